"""Chats with tools and reasoning: what is asked for, whole answers, and streams of them."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import CHATML, tiny_bytes
from serving import Asked, Connection, events_of, until
from tool_chats import ASKED, BOTH, CLOCK, MUST, SHIRT, WIDE, chat_models, is_call

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "tools", "messages": ASKED, **MUST, **WIDE}
THOUGHT: dict[str, Any] = {"model": "thinks", "messages": ASKED, "max_tokens": 24, "temperature": 1.0, "seed": 4}


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel_web.ServedModel]]:
    with chat_models(2048) as opened:
        yield opened


@pytest.fixture(scope="module", params=[True, False], ids=["thread", "loop"])
def app(models: dict[str, gemel_web.ServedModel], request: pytest.FixtureRequest) -> Iterator[Asked]:
    with Asked(models, threads=request.param) as asked:
        yield asked


def said(answer: Any) -> Any:  # noqa: ANN401
    return answer["choices"][0]["message"]


def joined(events: list[Any]) -> dict[int, dict[str, Any]]:
    """Return the messages that a stream's deltas add up to, each with its finish_reason."""
    messages: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for choice in (choice for event in events for choice in event["choices"]):
        message, delta = messages[choice["index"]], choice["delta"]
        for name in ("content", "reasoning_content"):
            if delta.get(name) is not None or (name in delta and name not in message):
                message[name] = (message.get(name) or "") + delta[name] if delta[name] is not None else None
        for part in delta.get("tool_calls", ()):
            calls = message.setdefault("tool_calls", [])
            if "id" in part:   # it begins
                assert part["index"] == len(calls)
                assert (part["type"], part["function"]["arguments"]) == ("function", "")
                calls.append({"id": part["id"], "type": "function", "function": dict(part["function"])})
            else:
                assert set(part) == {"index", "function"}
                assert set(part["function"]) == {"arguments"}
                assert part["function"]["arguments"]
                calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
        if choice["finish_reason"]:
            message["finish_reason"] = choice["finish_reason"]
    return messages


def same(whole: Any, events: list[Any]) -> None:  # noqa: ANN401
    """Assert that a stream adds up to a whole answer."""
    streamed = joined(events)
    assert set(streamed) == {choice["index"] for choice in whole["choices"]}
    for choice in whole["choices"]:
        message = {name: value for name, value in choice["message"].items() if name not in ("role", "refusal")}
        assert streamed[choice["index"]] == {**message, "finish_reason": choice["finish_reason"]}


# ---- Calls -----------------------------------------------------------------------------------------------------------


def test_a_call_is_whole_and_says_so(app: Asked) -> None:
    (choice,) = app.good(CHAT, **BODY, seed=1)["choices"]
    message = choice["message"]
    assert (choice["finish_reason"], message["content"]) == ("tool_calls", None)
    assert message["tool_calls"]
    for call in message["tool_calls"]:
        assert set(call) == {"id", "type", "function"}
        assert call["type"] == "function"
        assert is_call(**call["function"])
    assert "reasoning_content" not in message


def test_a_stream_adds_up_to_the_whole_answer(app: Asked) -> None:
    n_calls = set()
    for seed in range(6):
        body = {**BODY, "seed": seed, "n": 3}
        whole = app.good(CHAT, **body)
        stream = events_of(app.post(CHAT, **body, stream=True, stream_options={"include_usage": True}))
        assert stream[-1]["choices"] == []
        assert stream[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
        same(whole, stream)
        n_calls |= {len(one["message"]["tool_calls"]) for one in whole["choices"]}
        ids = [call["id"] for one in whole["choices"] for call in one["message"]["tool_calls"]]
        assert len(ids) == len(set(ids))
    assert {1, 2} <= n_calls


def some_request(seed: int) -> dict[str, Any]:
    """Return a request with options that a random generator chooses."""
    rng = random.Random(seed)
    body: dict[str, Any] = {
        "model": rng.choice(["tools", "thinks", "plain"]), "messages": ASKED, "seed": seed, "n": rng.choice([1, 3]),
        "max_tokens": rng.choice([5, 20, 60, 150]), "temperature": rng.choice([0, 1, 4]), **rng.choice([{}, WIDE]),
    }  # fmt: skip
    if tools := rng.choice([BOTH, [CLOCK], []]):
        body |= {"tools": tools, "tool_choice": rng.choice(["auto", "required", "none"])}
        body["parallel_tool_calls"] = rng.choice([True, False])
    if rng.random() < 0.5:
        body |= {"logprobs": True, "top_logprobs": rng.choice([0, 2])}
    if rng.random() < 0.5:
        body["stop"] = rng.sample(["e", "th", "a", " ", "\n", "zz", "tion", "}", "</", ">"], rng.choice([1, 3]))
    if rng.random() < 0.5:
        body["reasoning_budget"] = rng.choice([0, 1, 5, 20])
    return body


@pytest.mark.parametrize("seed", range(24))
def test_whatever_is_asked_for_a_stream_adds_up_to_the_whole_answer(app: Asked, seed: int) -> None:
    body = some_request(seed)
    whole = app.good(CHAT, **body)
    *events, last = events_of(app.post(CHAT, **body, stream=True, stream_options={"include_usage": True}))
    same(whole, events)
    for name in ("completion_tokens", "completion_tokens_details"):
        assert last["usage"].get(name) == whole["usage"].get(name)
    for choice in whole["choices"]:
        of_choice = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
        tokens = [token for one in of_choice if one["logprobs"] for token in one["logprobs"]["content"]]
        assert tokens == (choice["logprobs"]["content"] if body.get("logprobs") else [])


def test_the_first_chunk_has_a_content_only_where_a_text_begins(app: Asked) -> None:
    first = events_of(app.post(CHAT, **BODY, seed=1, stream=True))[0]["choices"][0]["delta"]
    assert first == {"role": "assistant", "content": None}
    body = {**BODY, "tool_choice": "none", "max_tokens": 3}
    first = events_of(app.post(CHAT, **body, seed=1, stream=True))[0]["choices"][0]["delta"]
    assert first == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(("choice", "names"), [
    ({"type": "function", "function": {"name": "clock"}}, {"clock"}),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "order_shirt"}},
    ]}}, {"order_shirt"}),
    ("required", {"clock", "order_shirt"}),
])
def test_only_tools_that_may_be_called_are(app: Asked, choice: Any, names: set[str]) -> None:  # noqa: ANN401
    answer = app.good(CHAT, **{**BODY, "tool_choice": choice, "n": 8, "seed": 1})
    calls = [call for one in answer["choices"] for call in one["message"]["tool_calls"]]
    assert {call["function"]["name"] for call in calls} == names


def test_a_tool_may_have_the_name_of_a_choice(app: Asked) -> None:
    named = {"type": "function", "function": {**CLOCK["function"], "name": "none"}}
    choice = {"type": "function", "function": {"name": "none"}}
    message = said(app.good(CHAT, **{**BODY, "tools": [SHIRT, named], "tool_choice": choice, "seed": 1}))
    assert {call["function"]["name"] for call in message["tool_calls"]} == {"none"}


def test_none_and_auto_may_answer_with_a_text(app: Asked) -> None:
    for choice in ("none", "auto", None):
        body = {**BODY, "tool_choice": choice, "max_tokens": 8, "temperature": 0}
        (answer,) = app.good(CHAT, **body)["choices"]
        assert answer["finish_reason"] == "length"
        assert answer["message"]["content"]
        assert "tool_calls" not in answer["message"]


def test_an_answer_has_one_call_without_parallel_ones(app: Asked) -> None:
    answer = app.good(CHAT, **BODY, n=8, seed=2, parallel_tool_calls=False)
    assert [len(one["message"]["tool_calls"]) for one in answer["choices"]] == [1] * 8
    assert {one["finish_reason"] for one in answer["choices"]} == {"tool_calls"}


def test_a_call_that_the_limit_cuts_is_a_beginning(app: Asked) -> None:
    (whole,) = app.good(CHAT, **BODY, seed=1, parallel_tool_calls=False)["choices"]
    arguments = whole["message"]["tool_calls"][0]["function"]["arguments"]
    n_cut = 0
    for limit in range(1, 40, 3):
        body = {**BODY, "seed": 1, "parallel_tool_calls": False, "max_tokens": limit}
        answer = app.good(CHAT, **body)
        (choice,) = answer["choices"]
        same(answer, events_of(app.post(CHAT, **body, stream=True)))
        if choice["finish_reason"] == "length":
            calls = choice["message"].get("tool_calls", [])
            assert all(arguments.startswith(call["function"]["arguments"]) for call in calls)
            n_cut += 1
    assert n_cut > 2


def test_calls_and_results_go_back_to_the_model(app: Asked) -> None:
    message = said(app.good(CHAT, **BODY, seed=1))
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
    history = [*ASKED, message, *results]
    answer = app.good(CHAT, **{**BODY, "messages": history, "tool_choice": "none", "max_tokens": 2})
    assert answer["usage"]["prompt_tokens"] > app.good(CHAT, **BODY, seed=1)["usage"]["prompt_tokens"]
    parts = [*ASKED, message, *({**one, "content": [{"type": "text", "text": "done"}]} for one in results)]
    again = app.good(CHAT, **{**BODY, "messages": parts, "tool_choice": "none", "max_tokens": 2})
    assert again["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]


def test_ids_of_calls_repeat_with_the_seed_and_differ_between_answers(app: Asked) -> None:
    ids = [[call["id"] for call in said(app.good(CHAT, **BODY, seed=seed))["tool_calls"]] for seed in (1, 1, 2)]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_a_template_that_knows_no_tools_calls_them_too(app: Asked) -> None:
    message = said(app.good(CHAT, **{**BODY, "model": "plain"}, seed=1))
    assert all(is_call(**call["function"]) for call in message["tool_calls"])


def test_strangers_in_the_batch_change_nothing(app: Asked) -> None:
    bodies = [{**BODY, "seed": seed, "n": 2} for seed in range(4)] + [{**THOUGHT, "reasoning_budget": 5}]
    alone = [app.good(CHAT, **body)["choices"] for body in bodies]

    async def together() -> list[Any]:
        return await asyncio.gather(*(app.asking("POST", CHAT, json=body) for body in bodies))

    assert [one.json()["choices"] for one in app.run(together())] == alone


def test_a_client_that_leaves_stops_its_call(models: dict[str, gemel_web.ServedModel]) -> None:
    long = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1500}}, "required": ["text"]}
    tool = {"type": "function", "function": {"name": "write", "parameters": long}}
    body = {**BODY, "tools": [tool], "max_tokens": 1200, "stream": True}
    with Asked(models, threads=True) as app:
        gone = Connection(app, CHAT, body)

        async def leave() -> None:
            going = asyncio.create_task(gone.go())
            await until(lambda: b'"arguments"' in gone.body)
            gone.leave()
            await going

        app.run(leave())
        assert b"[DONE]" not in gone.body
        assert app.good(CHAT, **BODY, seed=1)["choices"][0]["finish_reason"] == "tool_calls"


# ---- Beside calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"stop": ["zzzz", "}"]}])
def test_logprobs_have_every_token_of_calls(app: Asked, more: dict[str, Any]) -> None:
    body = {**BODY, "seed": 1, "logprobs": True, "top_logprobs": 2, **more}
    answer = app.good(CHAT, **body)
    (choice,) = answer["choices"]
    tokens = choice["logprobs"]["content"]
    assert len(tokens) == answer["usage"]["completion_tokens"]
    raw = b"".join(bytes(token["bytes"]) for token in tokens).decode()
    for call in choice["message"]["tool_calls"]:
        assert call["function"]["arguments"] in raw
    events = events_of(app.post(CHAT, **body, stream=True))
    same(answer, events)
    chunks = [choice["logprobs"] for event in events for choice in event["choices"]]
    assert [token for one in chunks if one for token in one["content"]] == tokens


def test_stop_strings_end_texts_and_not_calls(app: Asked) -> None:
    text = {**BODY, "tool_choice": "none", "max_tokens": 24, "seed": 3}
    whole = said(app.good(CHAT, **text))["content"]
    stop = whole[8:11]
    for body in ({**text, "stop": stop}, {**text, "stop": stop, "logprobs": True}):
        answer = app.good(CHAT, **body)
        (choice,) = answer["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")
        events = events_of(app.post(CHAT, **body, stream=True))
        same(answer, events)
        if "logprobs" in body:
            tokens = choice["logprobs"]["content"]
            chunks = [one["choices"][0]["logprobs"] for one in events]
            assert [token for one in chunks if one for token in one["content"]] == tokens
            raw = b"".join(bytes(token["bytes"]) for token in tokens).decode("utf-8", "replace")
            assert raw.startswith(choice["message"]["content"])
            assert len(raw) < len(choice["message"]["content"]) + len(stop) + 8
    calls = said(app.good(CHAT, **BODY, seed=1))["tool_calls"]
    assert said(app.good(CHAT, **BODY, seed=1, stop=['"size"', "{", "call"]))["tool_calls"] == calls


def test_a_schema_is_that_of_the_text_beside_tools(app: Asked) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["a", "b"]}}}
    answer = app.good(CHAT, **{**BODY, "tool_choice": "none"}, response_format=form, seed=1)
    assert said(answer)["content"] in ('"a"', '"b"')
    assert said(app.good(CHAT, **BODY, response_format=form, seed=1))["tool_calls"]
    error = app.bad(CHAT, **BODY, grammar='root ::= "a"')
    assert error["param"] == "grammar"
    assert "tools" in error["message"]


# ---- Reasoning -------------------------------------------------------------------------------------------------------


def test_reasoning_is_apart_and_its_budget_ends_it(app: Asked) -> None:
    for name in ("reasoning_budget", "thinking_budget_tokens", "reasoning_budget_tokens"):
        answer = app.good(CHAT, **THOUGHT, **{name: 6})
        message = said(answer)
        assert message["reasoning_content"]
        assert message["content"]
        n = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
        assert 6 <= n <= 6 + len("\n</think>")   # this vocabulary spells the marker
        assert "think>" not in message["content"] + message["reasoning_content"]
        events = events_of(app.post(CHAT, **THOUGHT, **{name: 6}, stream=True))
        same(answer, events)
        assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    endless = said(app.good(CHAT, **THOUGHT, reasoning_budget=-1))
    assert endless == said(app.good(CHAT, **THOUGHT))
    assert endless["content"] is None
    none = said(app.good(CHAT, **THOUGHT, reasoning_budget=0))
    assert "reasoning_content" not in none
    assert none["content"]


@pytest.mark.parametrize("more", [
    {"think": False}, {"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}},
])
def test_reasoning_is_turned_off_under_each_name(app: Asked, more: dict[str, Any]) -> None:
    message = said(app.good(CHAT, **THOUGHT, **more))
    assert "reasoning_content" not in message
    assert message["content"]


def test_names_of_one_option_that_disagree_are_refused(app: Asked) -> None:
    off: dict[str, Any] = {"enable_thinking": False}
    both: list[dict[str, Any]] = [{"reasoning_effort": "none"}, {"chat_template_kwargs": off}]
    for more in ({"think": True, **other} for other in both):
        assert app.bad(CHAT, **THOUGHT, **more)["param"] in ("think", "reasoning_effort")


def test_an_effort_reaches_a_template_that_reads_it() -> None:
    shown = CHATML + "{% if reasoning_effort %}Effort: {{ reasoning_effort }}{% endif %}"
    with ExitStack() as stack:
        model = stack.enter_context(gemel.open(tiny_bytes(chat_template=shown), threads=1))
        app = stack.enter_context(Asked({"tiny": gemel_web.ServedModel(model)}))

        def n_prompt(**more: object) -> int:
            return int(app.good(CHAT, messages=ASKED, max_tokens=1, **more)["usage"]["prompt_tokens"])

        efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
        assert [n_prompt(reasoning_effort=one) for one in efforts] == [
            len(model.prompt_ids(ASKED, reasoning_effort=one)) for one in efforts
        ]
        assert n_prompt(reasoning_effort="high") > n_prompt()
        assert app.bad(CHAT, messages=ASKED, reasoning_effort="low", chat_template_kwargs={
            "reasoning_effort": "high"})["param"] == "reasoning_effort"


def test_reasoning_comes_before_calls_and_goes_back(app: Asked) -> None:
    body = {**BODY, "model": "thinks", "seed": 5, "reasoning_budget": 6}
    answer = app.good(CHAT, **body)
    message = said(answer)
    assert message["reasoning_content"]
    assert all(is_call(**call["function"]) for call in message["tool_calls"])
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    same(answer, events_of(app.post(CHAT, **body, stream=True)))
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
    assert app.good(CHAT, **{**body, "messages": [*ASKED, message, *results], "max_tokens": 3})["choices"]


def test_models_say_how_they_call_tools(app: Asked) -> None:
    meta = {one["id"]: one["meta"] for one in app.get("/v1/models").json()["data"]}
    assert {name: (one.get("tools"), one.get("reasoning")) for name, one in meta.items()} == {
        "tools": ("hermes", None), "thinks": ("hermes", "think"), "plain": ("generic", None), "bare": (None, None),
    }
