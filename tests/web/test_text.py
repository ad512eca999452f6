"""Chats and completions: what gemel makes of the same prompt, in OpenAI's shapes, whole and in chunks."""

from __future__ import annotations

import math
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import CHATML, tiny_bytes
from serving import Asked, events_of, text_of

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_tokens": 12}


def test_a_completion_is_what_gemel_generates(asked: Asked, model: gemel.Model) -> None:
    whole = model.generate("the model", max_tokens=12, temperature=0)
    whole.read()
    text = text_of(model, whole.ids)
    answer = asked.good(TEXT, prompt="the model", **GREEDY)
    assert answer == {
        "id": "cmpl-0", "object": "text_completion", "created": 0, "model": "tiny",
        "system_fingerprint": f"gemel-{gemel.__version__}",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": len(whole.prompt_ids), "completion_tokens": 12,
            "total_tokens": len(whole.prompt_ids) + 12, "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_a_chat_is_what_gemel_answers(asked: Asked, model: gemel.Model) -> None:
    with model.chat(system="Be brief.") as chat:
        sent = chat.send("Hello", max_tokens=12, temperature=0)
        sent.read()
    text = text_of(model, sent.ids)
    answer = asked.good(CHAT, messages=[{"role": "system", "content": "Be brief."}, *HELLO], **GREEDY)
    (choice,) = answer["choices"]
    assert choice == {
        "index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "logprobs": None,
        "finish_reason": "length",
    }
    assert (answer["object"], answer["id"]) == ("chat.completion", "chatcmpl-0")


@pytest.mark.parametrize("more", [{}, {"seed": 3, "temperature": 1}, {"n": 3, "seed": 1, "temperature": 1}])
def test_the_chunks_of_a_stream_join_to_the_whole_answer(asked: Asked, more: dict[str, Any]) -> None:
    body: dict[str, Any] = {**GREEDY, "messages": HELLO, "logprobs": True, "top_logprobs": 2, **more}
    whole = asked.good(CHAT, **body)
    chunks = events_of(asked.post(CHAT, **body, stream=True))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)
    for choice in whole["choices"]:
        mine = [one for chunk in chunks for one in chunk["choices"] if one["index"] == choice["index"]]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(one["delta"].get("content", "") for one in mine) == choice["message"]["content"]
        assert [one["finish_reason"] for one in mine] == [None] * (len(mine) - 1) + [choice["finish_reason"]]
        logprobs = [token for one in mine if one["logprobs"] for token in one["logprobs"]["content"]]
        assert logprobs == choice["logprobs"]["content"]


def test_usage_is_streamed_when_it_is_asked_for(asked: Asked) -> None:
    body = {**GREEDY, "prompt": "the model"}
    whole = asked.good(TEXT, **body)
    chunks = events_of(asked.post(TEXT, **body, stream=True, stream_options={"include_usage": True}))
    usage = chunks[-1]["usage"]
    cached = usage.pop("prompt_tokens_details")["cached_tokens"]
    assert cached == whole["usage"]["prompt_tokens"] - 1   # the last token has the logits
    assert whole["usage"].pop("prompt_tokens_details") == {"cached_tokens": 0}
    assert (chunks[-1]["choices"], usage) == ([], whole["usage"])
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_the_event_loop_gives_the_same_bytes_as_a_thread(serve: Any) -> None:  # noqa: ANN401
    bodies = [
        (CHAT, {**GREEDY, "messages": HELLO, "logprobs": True, "top_logprobs": 5}),
        (CHAT, {**GREEDY, "messages": HELLO, "stream": True, "n": 2, "stream_options": {"include_usage": True}}),
        (TEXT, {"model": "tiny", "prompt": ["the", "a model"], "seed": 4, "logprobs": 1}),
        ("/v1/embeddings", {"model": "tiny", "input": ["the model", "another"]}),
    ]
    thread, loop = serve(threads=True, cache_memory=0), serve(threads=False, cache_memory=0)
    for path, body in bodies:
        headers = {"x-request-id": "one"}   # else each response has a new one
        one, other = (app.ask("POST", path, json=body, headers=headers) for app in (thread, loop))
        assert one.status_code == 200
        assert one.headers == other.headers
        # When one of two answers begins depends on the clock: the chunks are the same, but maybe not their order.
        assert sorted(one.content.split(b"\n\n")) == sorted(other.content.split(b"\n\n"))


def test_earlier_requests_change_no_byte(serve: Any) -> None:  # noqa: ANN401
    body = {**GREEDY, "messages": HELLO, "logprobs": True}
    fresh, used = serve(), serve()
    used.good(CHAT, model="tiny", messages=[*HELLO, {"role": "assistant", "content": "x"}, *HELLO], max_tokens=9)
    used.good(TEXT, **GREEDY, prompt="the")
    first, later = fresh.good(CHAT, **body), used.good(CHAT, **body)
    assert first["usage"].pop("prompt_tokens_details") is not None
    assert later["usage"].pop("prompt_tokens_details")["cached_tokens"] > 0
    assert {**first, "id": ""} == {**later, "id": ""}


def test_prompts_may_be_texts_or_ids_and_are_answered_in_order(app: Asked, model: gemel.Model) -> None:
    texts = ["the model", "other ones"]
    ids = [model.tokenize(text) for text in texts]
    answers = [
        app.good(TEXT, prompt=prompt, n=2, **GREEDY)["choices"]
        for prompt in (texts, ids)
    ]
    assert answers[0] == answers[1]
    assert [choice["index"] for choice in answers[0]] == [0, 1, 2, 3]
    single = [app.good(TEXT, prompt=one, **GREEDY)["choices"][0]["text"] for one in ids]
    assert [choice["text"] for choice in answers[0]] == [text for text in single for _ in range(2)]


def test_answers_to_one_prompt_have_consecutive_seeds(app: Asked) -> None:
    body: dict[str, Any] = {"model": "tiny", "prompt": "the", "max_tokens": 9, "temperature": 1.5}
    several = [choice["text"] for choice in app.good(TEXT, **body, n=3, seed=10)["choices"]]
    alone = [app.good(TEXT, **body, seed=seed)["choices"][0]["text"] for seed in (10, 11, 12)]
    assert several == alone
    assert len(set(several)) == 3


def test_a_stop_string_ends_the_text_before_it_and_its_tokens(app: Asked) -> None:
    whole = app.good(TEXT, prompt="the model", logprobs=0, **GREEDY)["choices"][0]
    stop = whole["text"][4:7]
    cut = app.good(TEXT, prompt="the model", logprobs=0, stop=["nowhere", stop], **GREEDY)["choices"][0]
    at = whole["text"].index(stop)
    assert (cut["text"], cut["finish_reason"]) == (whole["text"][:at], "stop")
    n = len(cut["logprobs"]["tokens"])
    assert cut["logprobs"]["text_offset"] == [offset for offset in whole["logprobs"]["text_offset"] if offset < at]
    assert cut["logprobs"]["tokens"] == whole["logprobs"]["tokens"][:n]


def test_an_answer_that_the_model_ends_has_finish_reason_stop(app: Asked, model: gemel.Model) -> None:
    choice = app.good(TEXT, prompt="the", logit_bias={str(model.eos_id): 100}, **GREEDY)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")


def name_of(model: gemel.Model, id: int) -> str:
    """Return what a completion's log-probabilities call a token."""
    raw = model.piece(id, special=True)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def test_log_probabilities_are_the_models_own(app: Asked, model: gemel.Model) -> None:
    body: dict[str, Any] = {"model": "tiny", "prompt": "the model", "max_tokens": 6, "seed": 2, "temperature": 2}
    answer = app.good(TEXT, **body, logprobs=3, logit_bias={"5": 3})
    chat = app.good(CHAT, **{**GREEDY, "messages": HELLO}, logprobs=True, top_logprobs=2)
    logprobs = answer["choices"][0]["logprobs"]
    ids = model.generate("the model", max_tokens=6, seed=2, temperature=2, logit_bias={5: 3})
    ids.read()
    with model.session() as session:
        session.sync(ids.prompt_ids)
        expected, top = session.score(ids.ids)
    assert logprobs["token_logprobs"] == expected
    assert logprobs["tokens"] == [name_of(model, id) for id in ids.ids]
    assert [max(one, key=lambda name: one[name]) for one in logprobs["top_logprobs"]] == [
        name_of(model, id) for id in top
    ]
    assert [len(one) for one in logprobs["top_logprobs"]] == [3] * 6
    for token in chat["choices"][0]["logprobs"]["content"]:
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"]
        first, second = token["top_logprobs"]
        assert token["logprob"] == first["logprob"] >= second["logprob"]   # greedy
        assert math.exp(first["logprob"]) <= 1


def test_echo_puts_the_prompt_first(app: Asked, model: gemel.Model) -> None:
    plain = app.good(TEXT, prompt="the model", **GREEDY)["choices"][0]["text"]
    assert app.good(TEXT, prompt="the model", echo=True, **GREEDY)["choices"][0]["text"] == "the model" + plain
    ids = model.tokenize("the model")
    chunks = events_of(app.post(TEXT, prompt=ids, echo=True, stream=True, **GREEDY))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "the model" + plain


def test_echo_with_logprobs_scores_the_prompt(asked: Asked, model: gemel.Model) -> None:
    ids = model.tokenize("the model \N{SLIGHTLY SMILING FACE} is")
    body: dict[str, Any] = {**GREEDY, "prompt": [ids, ids[:3]], "max_tokens": 3, "n": 2, "logprobs": 2, "echo": True}
    choices = asked.good(TEXT, **body)["choices"]
    plain = asked.good(TEXT, **{**body, "echo": False})["choices"]
    for prompt, choice, other in zip([ids, ids, ids[:3], ids[:3]], choices, plain, strict=True):
        found, n = choice["logprobs"], len(prompt)
        with model.session() as session:
            session.append(prompt[:1])
            scores, top = session.score(prompt[1:])
        assert found["token_logprobs"][:n] == [None, *scores]
        assert (found["top_logprobs"][0], found["text_offset"][0]) == (None, 0)
        best = [max(one, key=lambda name: one[name]) for one in found["top_logprobs"][1:n]]
        assert best == [name_of(model, id) for id in top[:n - 1]]
        assert found["tokens"][:n] == [name_of(model, id) for id in prompt]
        assert choice["text"] == model.detokenize(prompt) + other["text"]
        assert found["token_logprobs"][n:] == other["logprobs"]["token_logprobs"]
        shift = len(model.detokenize(prompt))
        assert found["text_offset"][n:] == [offset + shift for offset in other["logprobs"]["text_offset"]]
    chunks = events_of(asked.post(TEXT, **body, stream=True))
    for choice in choices:
        mine = [one for chunk in chunks for one in chunk["choices"] if one["index"] == choice["index"]]
        assert "".join(one["text"] for one in mine) == choice["text"]
        for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            streamed = [one for part in mine if part["logprobs"] for one in part["logprobs"][name]]
            assert streamed == choice["logprobs"][name]


@pytest.mark.parametrize("stream", [False, True])
def test_no_text_ends_in_half_a_character(app: Asked, model: gemel.Model, stream: bool) -> None:
    smile = model.tokenize("\N{SLIGHTLY SMILING FACE}")
    assert len(smile) == 4   # a token a byte
    half = {"model": "tiny", "prompt": "a", "max_tokens": 3, "temperature": 0, "logprobs": 0, "stream": stream}
    response = app.post(TEXT, **half, logit_bias={str(smile[0]): 100})   # three beginnings, the last of which waits
    answers = events_of(response) if stream else [response.json()]
    choices = [choice for answer in answers for choice in answer["choices"]]
    assert "".join(choice["text"] for choice in choices) == "\ufffd\ufffd"
    tokens = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["tokens"]]
    assert len(tokens) == 3
    assert choices[-1]["finish_reason"] == "length"


def test_a_chat_without_max_tokens_goes_on_until_the_context_is_full(model: gemel.Model) -> None:
    endless = {str(id): -100 for id in range(model.n_vocab) if model.is_eog(id)}
    with Asked({"tiny": gemel_web.ServedModel(model, n_ctx=40)}) as app:
        answer = app.good(CHAT, model="tiny", messages=HELLO, logit_bias=endless)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 41   # the last one needs no room


def test_parts_of_a_message_become_lines(app: Asked) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    whole = app.good(CHAT, messages=[{"role": "user", "content": "one\ntwo"}], **GREEDY)
    assert app.good(CHAT, messages=[{"role": "user", "content": parts}], **GREEDY)["choices"] == whole["choices"]


def test_an_earlier_answer_can_be_sent_back_unchanged(app: Asked) -> None:
    message = app.good(CHAT, messages=HELLO, **GREEDY)["choices"][0]["message"]
    history = [*HELLO, {**message, "tool_calls": None, "annotations": []}, *HELLO]
    assert app.good(CHAT, messages=history, **GREEDY)["choices"]


def test_bos_is_added_to_prompts_if_the_model_adds_it() -> None:
    with gemel.open(tiny_bytes(tokenizer="spm", chat_template=CHATML), threads=1) as spm:
        expected = spm.generate("the model", max_tokens=5, temperature=0)
        expected.read()
        text = text_of(spm, expected.ids)
        with Asked({"spm": gemel_web.ServedModel(spm)}) as app:
            answer = app.good(TEXT, model="spm", prompt="the model", temperature=0, max_tokens=5)
    assert answer["choices"][0]["text"] == text
    assert answer["usage"]["prompt_tokens"] == len(expected.prompt_ids)


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_answer_begins_without_the_space_of_its_first_piece(stream: bool) -> None:
    with gemel.open(tiny_bytes(tokenizer="spm", chat_template=CHATML), threads=1) as spm:
        id = next(id for id in range(spm.n_vocab) if spm.piece(id)[:1] == b" " and len(spm.piece(id)) > 3)
        text = 3 * spm.piece(id).decode()
        forced = {"model": "spm", "temperature": 0, "max_tokens": 3, "logit_bias": {str(id): 100}, "stream": stream}
        with Asked({"spm": gemel_web.ServedModel(spm)}) as app:
            answers = [app.post(CHAT, **forced, messages=HELLO, logprobs=True), app.post(TEXT, **forced, prompt="a")]
    parts = [
        choice
        for answer in answers
        for event in (events_of(answer) if stream else [answer.json()])
        for choice in event["choices"]
    ]
    messages = [part.get("message") or part.get("delta") for part in parts if "text" not in part]
    assert "".join(message.get("content") or "" for message in messages) == text[1:]
    assert sum(len((part.get("logprobs") or {}).get("content") or ()) for part in parts if "text" not in part) == 3
    assert "".join(part["text"] for part in parts if "text" in part) == text   # which goes on from a text


@pytest.mark.model
def test_the_real_model_answers(real_model: gemel.Model) -> None:
    with Asked({"real": gemel_web.ServedModel(real_model)}) as app:
        body = {"model": "real", "temperature": 0, "max_tokens": 24, "messages": HELLO}
        answers = [app.good(CHAT, **body)["choices"] for _ in range(2)]
    with real_model.chat() as chat:
        sent = chat.send("Hello", max_tokens=24, temperature=0)
        sent.read()
    assert answers[0] == answers[1]
    assert answers[0][0]["message"]["content"] == text_of(real_model, sent.ids)
