"""llama.cpp's API: whole completions, streams that add up to them, infilling, tokens, facts, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gemel
import gemel_web
import httpx
import pytest
from conftest import CHATML, tiny_bytes
from gemel_web.jobs import fim
from gemel_web.jobs.events import Ended
from gemel_web.llama_cpp.answers import timings
from serving import Asked, error_of

PATH = "/completion"
GREEDY: dict[str, Any] = {"model": "chat", "temperature": 0, "n_predict": 12}
HELLO = [{"role": "user", "content": "Hello"}]
GAP = {"BEFORE": "<|endoftext|>", "AFTER": "<|im_start|>", "MIDDLE": "<|im_end|>"}
TIMINGS = {
    "cache_n", "prompt_n", "prompt_ms", "prompt_per_token_ms", "prompt_per_second", "predicted_n", "predicted_ms",
    "predicted_per_token_ms", "predicted_per_second",
}  # fmt: skip
DRAFTS = {"draft_n", "draft_n_accepted"}   # where there are some


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel_web.ServedModel]]:
    fields: dict[str, dict[str, Any]] = {"chat": {"chat_template": CHATML}, "spm": {"tokenizer": "spm"}}
    with ExitStack() as stack:
        yield {
            name: gemel_web.ServedModel(stack.enter_context(gemel.open(tiny_bytes(**one, n_ctx=512), threads=1)))
            for name, one in fields.items()
        }


@pytest.fixture(scope="module", params=[True, False], ids=["thread", "loop"])
def app(models: dict[str, gemel_web.ServedModel], request: pytest.FixtureRequest) -> Iterator[Asked]:
    with Asked(models, threads=request.param, parallel=3) as asked:
        yield asked


def events_of(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    *events, rest = response.text.split("\n\n")
    assert rest == ""
    return [json.loads(event.removeprefix("data: ")) for event in events]


def joined(events: list[Any]) -> dict[str, Any]:
    """Return what a stream adds up to, without the times."""
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    last = events[-1]
    assert set(last.pop("timings")) - DRAFTS == TIMINGS
    last.pop("tokens_cached")
    out = {**last, "content": "".join(event["content"] for event in events)}
    out["tokens"] = [id for event in events for id in event["tokens"]]
    out["completion_probabilities"] = [one for event in events for one in event.get("completion_probabilities", ())]
    return out


def test_a_completion_is_what_gemel_generates(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    model = models["chat"].model
    whole = model.generate("the model", max_tokens=12, temperature=0)
    text = whole.read()
    answer = app.good(PATH, **GREEDY, prompt="the model", return_tokens=True)
    assert (answer["content"], answer["tokens"], answer["stop_type"]) == (text, whole.ids, "limit")
    assert (answer["tokens_predicted"], answer["tokens_evaluated"]) == (12, len(whole.prompt_ids))
    assert answer["timings"]["predicted_n"] == 11
    assert answer["generation_settings"]["temperature"] == 0
    ids = model.tokenize("the model")
    for prompt in (ids, ["the", *model.tokenize(" model")]):
        assert app.good(PATH, **GREEDY, prompt=prompt)["content"] == text
    assert app.good(PATH, **GREEDY, prompt="<|im_start|>")["tokens_evaluated"] == 1   # a control token
    stopped = app.good(PATH, **GREEDY, prompt="the model", stop=["nowhere", text[4:7]])
    assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", text[4:7])
    ended = app.good(PATH, **GREEDY, prompt="the model", logit_bias=[[model.eos_id, 100]])
    assert (ended["stop_type"], ended["content"]) == ("eos", "")
    never = app.good(PATH, **GREEDY, prompt="the model", logit_bias=[[whole.ids[0], False]], return_tokens=True)
    assert never["tokens"][0] != whole.ids[0]
    by_name = app.good(PATH, **GREEDY, prompt="the model", logit_bias={str(whole.ids[0]): False})
    assert never["content"] == by_name["content"]


def some_request(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    body: dict[str, Any] = {
        "model": rng.choice(["chat", "spm"]), "prompt": rng.choice(["the model", [5, 6, 7], ["a", 5]]), "seed": seed,
        "n_predict": rng.choice([1, 3, 20, 60]), "temperature": rng.choice([0, 1, 4]),
    }  # fmt: skip
    if rng.random() < 0.5:
        body |= {"n_probs": rng.choice([0, 1, 3])}
    if rng.random() < 0.5:
        body |= {"return_tokens": rng.choice([True, False])}
    if rng.random() < 0.5:
        body["stop"] = rng.sample(["e", "th", "a", " ", "\n", "zz", "tion"], 2)
    if rng.random() < 0.3:
        body["grammar"] = 'root ::= ("yes" | "no " [a-z]+)'
    return body


@pytest.mark.parametrize("part", range(3))
def test_whatever_is_asked_for_a_stream_adds_up_to_the_whole_completion(app: Asked, part: int) -> None:
    seen = set()
    for seed in range(50 * part, 50 * part + 50):
        body = some_request(seed)
        whole = joined([app.good(PATH, **body)])
        assert joined(events_of(app.post(PATH, **body, stream=True))) == whole, body
        seen.add(whole["stop_type"])
        if body.get("return_tokens") and whole["stop_type"] != "word":
            assert len(whole["tokens"]) == whole["tokens_predicted"]
        if body.get("n_probs"):
            assert all(len(one["top_logprobs"]) == body["n_probs"] for one in whole["completion_probabilities"])
    assert {"word", "limit", "eos"} <= seen


def test_texts_become_tokens_and_tokens_texts(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    model = models["chat"].model
    text = "the <|im_end|>model\N{SLIGHTLY SMILING FACE}"
    tokens = app.good("/tokenize", model="chat", content=text)["tokens"]
    assert tokens == model.tokenize(text, special=True)
    plain = app.good("/tokenize", model="chat", content=text, parse_special=False)["tokens"]
    assert plain == model.tokenize(text)
    assert app.good("/detokenize", model="chat", tokens=tokens) == {"content": text}
    pieces = app.good("/tokenize", model="chat", content=text, with_pieces=True)["tokens"]
    assert [one["id"] for one in pieces] == tokens
    raw = b"".join(one["piece"].encode() if isinstance(one["piece"], str) else bytes(one["piece"]) for one in pieces)
    assert raw.decode() == text
    with_bos = app.good("/tokenize", model="spm", content="the", add_special=True)["tokens"]
    assert with_bos[0] == models["spm"].model.bos_id


def test_a_template_is_applied_and_its_prompt_is_that_of_the_chat(app: Asked) -> None:
    prompt = app.good("/apply-template", model="chat", messages=HELLO)["prompt"]
    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    chat = app.good("/v1/chat/completions", model="chat", messages=HELLO, temperature=0, max_tokens=12)
    answer = app.good(PATH, **GREEDY, prompt=prompt)
    assert answer["tokens_evaluated"] == chat["usage"]["prompt_tokens"]
    assert answer["content"] == chat["choices"][0]["message"]["content"]


def test_text_is_inserted_into_a_gap(
    app: Asked, models: dict[str, gemel_web.ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix: dict[str, Any] = {"model": "chat", "temperature": 0, "max_tokens": 12, "prompt": "the", "suffix": " model"}
    assert app.bad("/v1/completions", **suffix)["param"] == "suffix"
    fields = {**GREEDY, "input_prefix": "the", "input_suffix": " model"}
    assert app.bad("/infill", **fields)["param"] == "input_suffix"
    for name, text in GAP.items():
        monkeypatch.setattr(fim, name, ((), (text,)))
    model = models["chat"].model
    control = [model.tokenize(text, special=True)[0] for text in GAP.values()]
    ids = [control[0], *model.tokenize("the"), control[1], *model.tokenize(" model"), control[2]]
    whole = model.generate(ids, max_tokens=12, temperature=0).read()
    assert app.good("/infill", **fields)["content"] == whole
    assert app.good("/v1/completions", **suffix)["choices"][0]["text"] == whole
    ollama = {"model": "chat", "prompt": "the", "suffix": " model", "options": {"temperature": 0, "num_predict": 12}}
    assert app.good("/api/generate", **ollama, stream=False)["response"] == whole
    assert "insert" in app.good("/api/show", model="chat")["capabilities"]
    more = app.good("/infill", **fields, prompt=" a", input_extra=[{"filename": "a.c", "text": "int a;"}])
    begun = [*model.tokenize("\n\n--- snippet ---\n\nint a;"), *ids, *model.tokenize(" a")]
    assert more["content"] == model.generate(begun, max_tokens=12, temperature=0).read()


def test_the_server_says_what_it_runs(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    props = app.get("/props?model=chat").json()
    assert (props["total_slots"], props["model_alias"], props["chat_template"]) == (3, "chat", CHATML)
    assert props["default_generation_settings"]["n_ctx"] == 512
    assert (props["bos_token"], props["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    slots = app.get("/slots?model=chat").json()
    assert [(slot["id"], slot["is_processing"]) for slot in slots] == [(0, False), (1, False), (2, False)]
    assert app.get("/health").json() == {"status": "ok"}
    assert error_of(app.get("/props"), 400)["param"] == "model"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (PATH, {"prompt": []}, "prompt: it is empty"), (PATH, {"prompt": ["a", "b"]}, "prompt: one prompt per request"),
    (PATH, {"prompt": [10**6]}, "prompt: 1000000 is not a token id"), (PATH, {"prompt": {}}, "prompt: must be"),
    (PATH, {"n_predict": 0}, "n_predict: must be"), (PATH, {"n": 2}, "n: only one answer"),
    (PATH, {"ignore_eos": True}, "ignore_eos:"), (PATH, {"samplers": ["top_k"]}, "samplers:"),
    (PATH, {"dynatemp_range": 1}, "dynatemp_range:"), (PATH, {"lora": [{}]}, "lora:"),
    (PATH, {"min_keep": 2}, "min_keep:"), (PATH, {"n_indent": 2}, "n_indent:"),
    (PATH, {"t_max_predict_ms": 5}, "t_max_predict_ms:"), (PATH, {"n_probs": 99}, "n_probs"),
    (PATH, {"post_sampling_probs": True}, "post_sampling_probs:"), (PATH, {"min_p": 9}, "min_p"),
    (PATH, {"logit_bias": [[1]]}, "logit_bias:"), (PATH, {"logit_bias": [["x", 1]]}, "logit_b"),
    (PATH, {"logit_bias": [[1, "x"]]}, "logit_bias: the bias of 1"), (PATH, {"topk": 1}, "topk"),
    (PATH, {"logit_bias": [[10**6, 1]]}, "logit_bias"), (PATH, {"grammar": "root"}, "grammar"),
    (PATH, {"response_format": {"type": "text"}}, "response_format: not supported here"),
    (PATH, {"prompt": [5] * 600}, "n_ctx is 512"), ("/detokenize", {"tokens": [10**6]}, "tokens: 1000000 is not"),
    ("/detokenize", {"tokens": "a"}, "tokens: must be a list"), ("/tokenize", {"content": 5}, "content: must be"),
    ("/apply-template", {"messages": []}, "messages: it is empty"), ("/infill", {"input_prefix": "a"}, "input_suffix:"),
    ("/infill", {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"x": 1}]}, "input_extra[0]: must"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "more", "start"), REFUSED, ids=range(len(REFUSED)))
def test_what_cant_be_honoured_is_refused_by_its_name(app: Asked, path: str, more: dict[str, Any], start: str) -> None:
    usual = {"prompt": "a"} if path == PATH else {}
    error = app.bad(path, **{"model": "chat", **usual, **more})
    words = error["message"]
    assert words.startswith(start) or error["param"] == start.partition(":")[0]


def test_timings_count_drafts_where_there_are_some() -> None:
    some = Ended(0, "stop", 9, 0, timings=gemel.Timings(n_drafted=5, n_accepted=3))
    assert (timings(some)["draft_n"], timings(some)["draft_n_accepted"]) == (5, 3)
    assert not timings(Ended(0, "stop", 9, 0)).keys() & DRAFTS
