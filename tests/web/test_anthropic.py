"""Anthropic's API: whole messages, streams that add up to them, its client, and what is refused, in its shape."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import anthropic
import gemel_web
import httpx
import httpx2
import pytest
from gemel_web.anthropic.blocks import complete
from serving import Asked
from tool_chats import BOTH, CLOCK, chat_models, is_call

PATH, COUNT = "/v1/messages", "/v1/messages/count_tokens"
ASKED = [{"role": "user", "content": "A shirt, please."}]
BODY: dict[str, Any] = {"model": "tools", "messages": ASKED, "max_tokens": 12, "temperature": 0}
TOOLS = [
    {
        "name": tool["function"]["name"], "description": tool["function"].get("description", ""),
        "input_schema": tool["function"]["parameters"],
    }
    for tool in BOTH
]  # fmt: skip
WIDE = {"temperature": 4.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
CALL: dict[str, Any] = {**BODY, **WIDE, "max_tokens": 300, "tools": TOOLS, "tool_choice": {"type": "any"}}


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel_web.ServedModel]]:
    with chat_models(1024) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(models: dict[str, gemel_web.ServedModel]) -> Iterator[Asked]:
    with Asked(models, threads=True) as asked:
        yield asked


def bad(app: Asked, status: int = 400, path: str = PATH, **body: Any) -> str:  # noqa: ANN401
    """Return the message of an error, which has Anthropic's shape."""
    response = app.post(path, **body)
    assert response.status_code == status, response.text
    answer = response.json()
    assert (set(answer), answer["type"]) == ({"type", "error"}, "error")
    assert set(answer["error"]) == {"type", "message"}
    return str(answer["error"]["message"])


def events_of(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, rest = response.text.split("\n\n")
    assert rest == ""
    found = []
    for event in events:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def joined(events: list[Any]) -> dict[str, Any]:
    """Return the message that a stream adds up to; its events come in the order that the API promises."""
    first, *rest, delta, last = [event for event in events if event["type"] != "ping"]
    assert (first["type"], delta["type"], last) == ("message_start", "message_delta", {"type": "message_stop"})
    message = first["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    open_, inputs = -1, dict[int, str]()
    for event in rest:
        at, blocks = event["index"], message["content"]
        if event["type"] == "content_block_start":
            assert at == len(blocks) == open_ + 1
            blocks.append(event["content_block"])
            open_ = at
            continue
        assert at == open_ == len(blocks) - 1
        if event["type"] == "content_block_delta":
            change = event["delta"]
            if change["type"] == "input_json_delta":
                inputs[at] = inputs.get(at, "") + change["partial_json"]
            elif change["type"] == "signature_delta":
                blocks[at]["signature"] = change["signature"]
            else:
                name = change["type"].removesuffix("_delta")
                blocks[at][name] += change[name]
    for at, text in inputs.items():
        message["content"][at]["input"] = json.loads(complete(text))
    return {**message, **delta["delta"], "usage": delta["usage"]}


def test_a_message_is_what_gemel_answers(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    with models["plain"].model.chat(system="Be brief.") as chat:
        sent = chat.send("Hello", max_tokens=12, temperature=0)
        text = sent.read()
    hello = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    answer = app.good(PATH, **{**BODY, "model": "plain", "messages": hello}, system="Be brief.")
    usage = answer.pop("usage")
    assert answer.pop("id").startswith("msg_")
    assert answer == {
        "type": "message", "role": "assistant", "model": "plain", "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens", "stop_sequence": None,
    }
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == len(sent.prompt_ids)
    assert usage["output_tokens"] == 12


def some_request(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    body: dict[str, Any] = {
        "model": rng.choice(["tools", "thinks", "plain"]), "messages": ASKED, "seed": seed,
        "max_tokens": rng.choice([1, 5, 20, 60, 150]), **rng.choice([WIDE, {"temperature": 1}]),
    }  # fmt: skip
    if tools := rng.choice([TOOLS, TOOLS[1:], []]):
        kind = rng.choice(["auto", "any", "none"])
        body |= {"tools": tools, "tool_choice": {"type": kind}}
        if kind != "none":
            body["tool_choice"]["disable_parallel_tool_use"] = rng.choice([True, False])
    if rng.random() < 0.5:
        body["stop_sequences"] = rng.sample(["e", "th", "a", " ", "\n", "zz", "tion", "}", "</", ">"], 3)
    if body["model"] == "thinks":
        enabled = {"type": "enabled", "budget_tokens": rng.choice([1, 5, 20])}
        body["thinking"] = rng.choice([{"type": "disabled"}, {"type": "adaptive"}, enabled, {
            **enabled, "display": "omitted",
        }])  # fmt: skip
    return body


@pytest.mark.parametrize("part", range(4))
def test_whatever_is_asked_for_a_stream_adds_up_to_the_whole_message(app: Asked, part: int) -> None:
    seen = set()
    for seed in range(40 * part, 40 * part + 40):
        body = some_request(seed)
        whole = app.good(PATH, **body)
        message = joined(events_of(app.post(PATH, **body, stream=True)))
        n_read = [
            one["usage"].pop("input_tokens") + one["usage"].pop("cache_read_input_tokens") for one in (whole, message)
        ]
        assert n_read[0] == n_read[1]
        assert {**message, "id": ""} == {**whole, "id": ""}, body
        seen |= {whole["stop_reason"], *(block["type"] for block in whole["content"])}
        for block in whole["content"]:
            if block["type"] == "tool_use" and whole["stop_reason"] == "tool_use":
                assert is_call(block["name"], json.dumps(block["input"]))
    assert {"max_tokens", "tool_use", "stop_sequence", "text", "thinking"} <= seen


def test_a_loop_gives_the_same_bytes_as_a_thread(models: dict[str, gemel_web.ServedModel], app: Asked) -> None:
    with Asked(models, threads=False) as loop:
        for body in (CALL, {**BODY, "model": "thinks", "thinking": {"type": "adaptive"}}):
            one, other = (joined(events_of(one.post(PATH, **body, seed=1, stream=True))) for one in (app, loop))
            assert one["content"] == other["content"]


def test_thinking_is_off_unless_it_is_asked_for(app: Asked) -> None:
    body = {**BODY, "model": "thinks", "max_tokens": 30, "temperature": 1, "seed": 1}

    def kinds(**more: Any) -> list[str]:  # noqa: ANN401
        return [block["type"] for block in app.good(PATH, **body, **more)["content"]]

    assert kinds() == kinds(thinking={"type": "disabled"}) == ["text"]
    assert kinds(thinking={"type": "enabled", "budget_tokens": 5}) == ["thinking", "text"]
    hidden = app.good(PATH, **body, thinking={"type": "enabled", "budget_tokens": 5, "display": "omitted"})
    assert hidden["content"][0] == {"type": "thinking", "thinking": "", "signature": "unsigned"}
    assert hidden["usage"]["output_tokens_details"]["thinking_tokens"] > 0


def test_calls_and_results_go_back_to_the_model(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    called = app.good(PATH, **CALL, seed=1)
    assert called["stop_reason"] == "tool_use"
    calls = [block for block in called["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "done"} for call in calls]
    messages = [*ASKED, {"role": "assistant", "content": called["content"]}, {"role": "user", "content": [
        *results, {"type": "text", "text": "Thanks."},
    ]}]  # fmt: skip
    history: list[dict[str, Any]] = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": call["id"], "function": {"name": call["name"], "arguments": call["input"]}} for call in calls
        ]},
        *({"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in calls),
        {"role": "user", "content": "Thanks."},
    ]  # fmt: skip
    tools = [{**tool["function"], "strict": False, "description": tool["function"].get("description", "")}
             for tool in BOTH]
    expected = models["tools"].model.turn(history, tools=tools).ids
    counted = {name: value for name, value in CALL.items() if name in ("model", "tools")}
    assert app.good(COUNT, **counted, messages=messages) == {"input_tokens": len(expected)}
    failed = [{**results[0], "is_error": True}, *results[1:]]
    again = [*messages[:2], {"role": "user", "content": failed}]
    plain = {**CALL, "messages": again, "tool_choice": {"type": "none"}, "max_tokens": 8, "seed": 2}
    assert app.good(PATH, **plain)["content"]   # with this seed, the tiny model writes some text


def test_a_named_tool_is_called_and_messages_of_a_user_are_one(app: Asked) -> None:
    answer = app.good(PATH, **{**CALL, "tool_choice": {"type": "tool", "name": "clock"}}, seed=1)
    assert {block["name"] for block in answer["content"]} == {"clock"}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    one, two = ([{"role": "user", "content": parts}], [{"role": "user", "content": text} for text in "ab"])
    assert app.good(COUNT, messages=one, model="plain") == app.good(COUNT, messages=two, model="plain")


def test_an_answer_continues_the_assistants_message_and_has_a_form(app: Asked) -> None:
    said = [*ASKED, {"role": "assistant", "content": "The sky"}]
    counts = [app.good(COUNT, messages=messages, model="plain")["input_tokens"] for messages in (ASKED, said)]
    assert counts[0] < counts[1]
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = app.good(PATH, **{**BODY, "max_tokens": 100}, output_config=config)
    assert json.loads(answer["content"][0]["text"])["a"] in (1, 2)


def test_the_context_being_full_is_a_reason_to_stop(app: Asked) -> None:
    schema = {"type": "string", "minLength": 1500}
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = app.good(PATH, **{**BODY, "max_tokens": 5000}, output_config=config)
    assert answer["stop_reason"] == "model_context_window_exceeded"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": 0}, "max_tokens: must be an integer of at least 1"), ({"max_token": 5}, "max_token: unknown"),
    ({"messages": []}, "messages: it is empty"), ({"messages": [{"role": "user", "content": []}]}, "messages[0].con"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text:"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]: must be an object with"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]}, "messages[0].content[0].y"),
    ({"messages": [*ASKED, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "no", "content": "x"},
    ]}]}, "messages[1].content[0].tool_use_id: 'no'"),
    ({"messages": [*ASKED, {"role": "assistant", "content": [
        {"type": "text", "text": "x"}, {"type": "tool_use", "id": "a", "name": "", "input": {}},
    ]}]}, "messages[1].content[1].name: it is empty"),
    ({"messages": [*ASKED, {"role": "assistant", "content": [
        {"type": "tool_use", "id": "a", "name": "clock", "input": {}},
    ]}]}, "messages[1]"),
    ({"system": [{"type": "image"}]}, "system[0].type"), ({"container": "x"}, "container: this server"),
    ({"mcp_servers": [{}]}, "mcp_servers"), ({"speed": "fast"}, "speed"), ({"stop_sequences": [""]}, "stop_sequences"),
    ({"temperature": -1}, "temperature"), ({"top_p": 5}, "top_p"), ({"thinking": {"type": "x"}}, "thinking.type"),
    ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking: this model does not reason"),
    ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens: must"),
    ({"output_config": {"effort": "high"}}, "output_config.effort: this model's"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format: must"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "x"}}}}, "#/type"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type: 'web_search_20250305'"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema: this parameter"),
    ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "tools[0].input_schema"),
    ({"tools": [{**TOOLS[0], "strict": True, "input_schema": {"type": "object", "properties": {
        "a": {"type": "strin"},
    }}}]}, "tools[0].input_schema: #/properties/a/type"),
    ({"tool_choice": {"type": "any"}}, "tool_choice: there are no tools"),
    ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
    ({"model": "bare"}, "messages: this model has no chat template"), ({"stream": "yes"}, "stream: must be true or"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "start"), REFUSED, ids=range(len(REFUSED)))
def test_what_cant_be_honoured_is_refused_by_its_name(app: Asked, more: dict[str, Any], start: str) -> None:
    message = bad(app, **{**BODY, "model": "plain", **more})
    assert message.startswith(start) or (start.startswith("#") and start in message)


def test_errors_of_every_kind_have_the_shape_of_the_api(models: dict[str, gemel_web.ServedModel]) -> None:
    with Asked(models, api_key="secret", max_body=3000) as app:
        def ask(**more: Any) -> httpx.Response:  # noqa: ANN401
            return app.ask("POST", PATH, headers={"x-api-key": "secret", **more.pop("headers", {})}, **more)

        kinds = {
            "authentication_error": app.post(PATH, **BODY), "not_found_error": ask(json={**BODY, "model": "other"}),
            "request_too_large": ask(json={**BODY, "system": "x" * 4000}),
            "permission_error": ask(json=BODY, headers={"origin": "https://example.org"}),
        }
        for kind, response in kinds.items():
            assert response.json()["type"] == "error"
            assert response.json()["error"]["type"] == kind
        for response in (ask(content=b"{"), ask(content=b"[" * 999), app.get(PATH), ask(json=[]), app.get(PATH + "/x")):
            assert 400 <= response.status_code < 500
            assert response.json()["type"] == "error"
        assert ask(json=BODY).status_code == 200


def test_the_anthropic_client(app: Asked) -> None:
    async def main() -> None:
        transport = httpx2.AsyncClient(transport=httpx2.ASGITransport(app.app))
        async with anthropic.AsyncAnthropic(
            api_key="none", base_url="http://localhost", http_client=transport, max_retries=0
        ) as client:
            call: Any = {**CALL, "extra_body": {"seed": 1, **WIDE}}
            call = {name: value for name, value in call.items() if name not in WIDE}
            whole = await client.messages.create(**call)
            async with client.messages.stream(**call) as stream:
                events = [event.type async for event in stream]
                final = await stream.get_final_message()
            assert final.content == whole.content
            assert final.usage.output_tokens == whole.usage.output_tokens
            assert "input_json" in events
            history: Any = [*ASKED, {"role": "assistant", "content": whole.content}, {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": block.id, "content": "done"}
                for block in whole.content if block.type == "tool_use"
            ]}]  # fmt: skip
            tools: Any = TOOLS
            asked = {"model": "tools", "messages": history, "tools": tools}
            answer = await client.messages.create(**asked, max_tokens=3)
            count = await client.messages.count_tokens(**asked)
            usage = answer.usage
            assert count.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
            assert [model.id async for model in client.models.list()] == ["tools", "thinks", "plain", "bare"]
            assert (await client.models.retrieve("plain")).max_input_tokens == 1024
            with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
                await client.messages.create(model="plain", messages=history, max_tokens=0)
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.create(model="other", messages=history, max_tokens=1)

    app.run(main())


def test_a_cut_object_has_the_members_that_are_complete() -> None:
    whole = '{"a": [1, {"b": "x, \\"y}"}, []], "c": {"d": null, "e": 1.5}}'
    value = json.loads(whole)
    for n in range(len(whole) + 1):
        part = json.loads(complete(whole[:n]))
        assert set(part) <= set(value)
    assert json.loads(complete(whole)) == value
    assert CLOCK["function"]["name"] == "clock"
