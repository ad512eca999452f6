"""The Responses API: whole responses, streams that add up to them, its client, its store, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import gemel_web
import httpx
import httpx2
import openai
import pytest
from gemel_web.responses.store import Store
from serving import Asked, error_of
from tool_chats import BOTH, chat_models, is_call

PATH = "/v1/responses"
BODY: dict[str, Any] = {"model": "plain", "input": "A shirt, please.", "max_output_tokens": 12, "temperature": 0}
TOOLS = [{"type": "function", **tool["function"]} for tool in BOTH]
WIDE = {"temperature": 4.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
CALL: dict[str, Any] = {
    "model": "tools", "input": "A shirt, please.", "tools": TOOLS, "tool_choice": "required", **WIDE, "seed": 1,
}  # fmt: skip
DONE = ("response.completed", "response.incomplete")


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel_web.ServedModel]]:
    with chat_models(1024) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(models: dict[str, gemel_web.ServedModel]) -> Iterator[Asked]:
    with Asked(models) as asked:
        yield asked


def events_of(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    *events, rest = response.text.split("\n\n")
    assert rest == ""
    found = [json.loads(event.partition("\ndata: ")[2]) for event in events]
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def joined(events: list[Any]) -> dict[str, Any]:
    """Return the response at the end of a stream, whose items are those that its events add up to."""
    created, progress, *rest, last = events
    assert [created["type"], progress["type"]] == ["response.created", "response.in_progress"]
    assert last["type"] in DONE
    items: list[Any] = []
    for event in rest:
        kind, at = event["type"].removeprefix("response."), event["output_index"]
        if kind == "output_item.added":
            assert at == len(items)
            items.append(event["item"])
            continue
        item = items[at]
        assert at == len(items) - 1
        if kind == "content_part.added":
            item["content"].append(event["part"])
        elif kind == "function_call_arguments.delta":
            item["arguments"] += event["delta"]
        elif kind in ("output_text.delta", "reasoning_text.delta"):
            item["content"][0]["text"] += event["delta"]
            item["content"][0].get("logprobs", []).extend(event.get("logprobs", ()))
        elif kind in ("output_text.done", "reasoning_text.done"):
            assert item["content"][0]["text"] == event["text"]
        elif kind == "function_call_arguments.done":
            assert item["arguments"] == event["arguments"]
        elif kind == "content_part.done":
            assert item["content"] == [event["part"]]
        else:
            assert kind == "output_item.done"
            assert item == {**event["item"], "status": "in_progress"}
            item["status"] = event["item"]["status"]
    assert last["response"]["output"] == items
    return dict(last["response"])


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response without what differs between equal ones."""
    n_cached = response["usage"]["input_tokens_details"].pop("cached_tokens")
    assert n_cached >= 0
    return {**response, "id": "", "output": [{**item, "id": ""} for item in response["output"]]}


def test_a_response_is_what_gemel_answers(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    with models["plain"].model.chat(system="Be brief.") as chat:
        sent = chat.send("A shirt, please.", max_tokens=12, temperature=0)
        text = sent.read()
    answer = app.good(PATH, **BODY, instructions="Be brief.", metadata={"a": "b"})
    (item,) = answer["output"]
    assert (item["type"], item["role"], item["content"][0]["text"]) == ("message", "assistant", text)
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (len(sent.prompt_ids), 12)
    assert (answer["metadata"], answer["store"], answer["instructions"]) == ({"a": "b"}, False, "Be brief.")
    items = [{"role": "developer", "content": "Be brief."}, {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": "A shirt, please."},
    ]}]  # fmt: skip
    assert app.good(PATH, **{**BODY, "input": items})["output"][0]["content"] == item["content"]


def some_request(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    body: dict[str, Any] = {
        "model": rng.choice(["tools", "thinks", "plain"]), "input": "A shirt, please.", "seed": seed,
        "max_output_tokens": rng.choice([1, 5, 20, 60, 150]), **rng.choice([WIDE, {"temperature": 1}]),
    }  # fmt: skip
    if tools := rng.choice([TOOLS, TOOLS[1:], []]):
        body |= {"tools": tools, "tool_choice": rng.choice(["auto", "required", "none"])}
        body["parallel_tool_calls"] = rng.choice([True, False])
    if rng.random() < 0.5:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": rng.choice([0, 2])}
    if body["model"] == "thinks" and rng.random() < 0.3:
        body["reasoning"] = {"effort": "none"}
    return body


@pytest.mark.parametrize("part", range(4))
def test_whatever_is_asked_for_a_stream_adds_up_to_the_whole_response(app: Asked, part: int) -> None:
    seen = set()
    for seed in range(30 * part, 30 * part + 30):
        body = some_request(seed)
        whole = app.good(PATH, **body)
        streamed = joined(events_of(app.post(PATH, **body, stream=True)))
        assert without_ids(streamed) == without_ids(whole), body
        seen |= {item["type"] for item in whole["output"]} | {whole["status"]}
        for item in whole["output"]:
            if item["type"] == "function_call" and item["status"] == "completed":
                assert is_call(item["name"], item["arguments"])
            if item["type"] == "message" and body.get("include"):
                assert item["content"][0]["logprobs"] or not item["content"][0]["text"]
    assert {"message", "reasoning", "function_call", "incomplete", "completed"} <= seen


def test_items_of_a_response_go_back_to_the_model(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    called = app.good(PATH, **CALL)
    calls = [item for item in called["output"] if item["type"] == "function_call"]
    assert calls
    user = {"role": "user", "content": "A shirt, please."}
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "done"} for call in calls]
    body = {**CALL, "tool_choice": "none", "max_output_tokens": 3}
    answer = app.good(PATH, **{**body, "input": [user, *called["output"], *results]})
    history: list[dict[str, Any]] = [user, {"role": "assistant", "content": None, "tool_calls": [
        {"id": call["call_id"], "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls
    ]}, *({"role": "tool", "tool_call_id": call["call_id"], "content": "done"} for call in calls)]  # fmt: skip
    assert answer["usage"]["input_tokens"] == len(models["tools"].model.turn(history, tools=BOTH).ids)
    stored = app.good(PATH, **CALL, store=True)
    again = app.good(PATH, **{**body, "input": results}, previous_response_id=stored["id"])
    assert again["usage"]["input_tokens"] == answer["usage"]["input_tokens"]
    thought = {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
    assert app.good(PATH, **{**BODY, "input": [user, thought, said, user]})["output"]


def test_a_response_is_kept_only_if_it_is_asked_for(app: Asked) -> None:
    never = app.good(PATH, **BODY)
    assert error_of(app.get(f"{PATH}/{never['id']}"), 404)["code"] == "response_not_found"
    for stream in (False, True):
        answer = app.post(PATH, **BODY, store=True, stream=stream)
        kept = joined(events_of(answer)) if stream else answer.json()
        assert app.get(f"{PATH}/{kept['id']}").json() == kept
        items = app.get(f"{PATH}/{kept['id']}/input_items").json()["data"]
        assert [(item["role"], item["content"]) for item in items] == [("user", "A shirt, please.")]
        assert app.ask("DELETE", f"{PATH}/{kept['id']}").json()["deleted"]
        assert error_of(app.get(f"{PATH}/{kept['id']}"), 404)
    assert app.bad(PATH, 404, **BODY, previous_response_id="resp_x")["param"] == "previous_response_id"


def test_the_store_drops_the_oldest_responses() -> None:
    store = Store(n_max=3, size_max=1000)
    for i in range(5):
        store.keep({"id": str(i), "output": []}, [])
    assert [store.get(str(i)).response["id"] for i in (2, 3, 4)] == ["2", "3", "4"]
    store.keep({"id": "large", "output": ["x" * 950]}, [])
    for gone in ("1", "2", "3", "4"):
        with pytest.raises(Exception, match="there is no response"):
            store.get(gone)
    store.keep({"id": "too large", "output": ["x" * 2000]}, [])
    with pytest.raises(Exception, match="there is no response 'too large'"):
        store.get("too large")


def test_an_answer_has_a_form(app: Asked) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    form = {"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}}
    answer = app.good(PATH, **{**BODY, "max_output_tokens": 100}, text=form)
    assert json.loads(answer["output"][0]["content"][0]["text"])["a"] in (1, 2)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input: it is empty"), ({"input": [{"type": "computer_call"}]}, "input[0].type: 'comp"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type: 'item_reference'"),
    ({"input": [{"role": "x", "content": "x"}]}, "input[0].role: 'x' must be"), ({"input": [{}]}, "input[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type: 'in"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content: must be"),
    ({"input": [{"role": "user", "content": "x", "colour": 1}]}, "input[0].colour: there is no"),
    ({"input": [{"role": "user", "content": "x"}, {"type": "function_call_output", "call_id": "no", "output": "x"}]},
     "input[1].call_id: 'no' is not"),
    ({"input": [{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "a", "name": "f",
                                                   "arguments": "{"}]}, "input[1].arguments: not valid JSON"),
    ({"max_output_tokens": 0}, "max_output_tokens: must be"), ({"max_tokens": 5}, "max_tokens: unknown parameter"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type: 'web_search' is not"),
    ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "array"}}]}, "tools[0]"),
    ({"tools": [{"type": "function", "name": "f", "strict": True, "parameters": {"type": "object", "properties": {
        "a": {"type": "strin"},
    }}}]}, "tools[0].parameters: #/properties/a/type"),
    ({"tool_choice": "required"}, "tool_choice: there are no tools"), ({"tool_choice": "x", "tools": TOOLS}, "tool_"),
    ({"tool_choice": {"type": "function", "name": "x"}, "tools": TOOLS}, "tool_choice.function.name"),
    ({"reasoning": {"effort": "x"}}, "reasoning.effort: must be"), ({"reasoning": {"x": 1}}, "reasoning.x: there"),
    ({"reasoning": {"effort": "high"}}, "reasoning.effort: this model's chat template"),
    ({"text": {"verbosity": "low"}}, "text.verbosity: not"), ({"text": {"format": {"type": "x"}}}, "text.format: its"),
    ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "x"}}}}, "text.format"),
    ({"truncation": "auto"}, "truncation: a prompt"), ({"background": True}, "background: not"),
    ({"conversation": "x"}, "conversation: not"), ({"include": ["x"]}, "include: 'x' is not"),
    ({"top_logprobs": 2}, "top_logprobs: it needs"), ({"model": "bare"}, "input: this model has no chat template"),
    ({"temperature": -1}, "temperature"), ({"prompt": {"id": "x"}}, "prompt: not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "start"), REFUSED, ids=range(len(REFUSED)))
def test_what_cant_be_honoured_is_refused_by_its_name(app: Asked, more: dict[str, Any], start: str) -> None:
    assert app.bad(PATH, **{**BODY, **more})["message"].startswith(start)


def test_the_openai_client(app: Asked) -> None:
    async def main() -> None:
        transport = httpx2.AsyncClient(transport=httpx2.ASGITransport(app.app))
        async with openai.AsyncOpenAI(
            api_key="none", base_url="http://localhost/v1", http_client=transport, max_retries=0
        ) as client:
            call: Any = {name: value for name, value in CALL.items() if name not in (*WIDE, "seed")}
            call["extra_body"] = {**WIDE, "seed": 1}
            whole = await client.responses.create(**call)
            async with client.responses.stream(**call) as stream:
                events = [event.type async for event in stream]
                final = await stream.get_final_response()
            assert "response.function_call_arguments.delta" in events
            given = [[getattr(item, "arguments", "") for item in one.output] for one in (whole, final)]
            assert given[0] == given[1] != []
            plain: Any = BODY
            text = await client.responses.create(**plain, store=True)
            assert text.output_text
            assert (await client.responses.retrieve(text.id)).output_text == text.output_text
            more = await client.responses.create(**{**plain, "input": "More."}, previous_response_id=text.id)
            assert more.usage is not None
            assert text.usage is not None
            assert more.usage.input_tokens > text.usage.input_tokens
            with pytest.raises(openai.BadRequestError, match="background"):
                await client.responses.create(**plain, background=True)

    app.run(main())
