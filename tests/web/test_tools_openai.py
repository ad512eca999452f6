"""The openai package calls tools: whole answers, streams, its helpers for both, and a conversation with results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
import pytest
from conftest import tiny_bytes
from openai.lib.streaming.chat import FunctionToolCallArgumentsDeltaEvent, FunctionToolCallArgumentsDoneEvent
from tool_chats import ASKED, BOTH, HERMES, MUST, WIDE, is_call
from web_server import Server

START = "<|im_start|>assistant\n{% endif %}"
MAY_THINK = HERMES.replace(START, START.replace("{% endif %}", "{% if enable_thinking %}<think>{% endif %}{% endif %}"))
MAY_THINK += "{# ends by </think> #}"
THINK = {"reasoning_budget": 3, "chat_template_kwargs": {"enable_thinking": True}}
ASK: Any = {"model": "model", "messages": ASKED, **MUST, "tools": BOTH, "extra_body": {**WIDE, **THINK}}
PAGE = Path(__file__).parents[2] / "docs" / "server.md"


class OrderShirt(pydantic.BaseModel):
    """Order a shirt."""

    size: Literal["S", "M", "L"]
    dry: bool


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    path = tmp_path_factory.mktemp("tools") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=MAY_THINK, n_ctx=2048))
    with Server(path) as server, openai.OpenAI(base_url=server.url, api_key="unused", max_retries=0) as client:
        yield client


def test_calls_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**ASK, n=4, seed=1)
    stream = client.chat.completions.create(**ASK, n=4, seed=1, stream=True)
    grown: dict[tuple[int, int], list[str]] = {}   # name and arguments
    reasons, thoughts = {}, dict.fromkeys(range(4), "")
    for choice in (choice for chunk in stream for choice in chunk.choices):
        for call in choice.delta.tool_calls or ():
            assert call.function is not None
            if call.id:
                grown[choice.index, call.index] = [call.id, call.function.name or "", ""]
            grown[choice.index, call.index][2] += call.function.arguments or ""
        thoughts[choice.index] += getattr(choice.delta, "reasoning_content", None) or ""
        reasons[choice.index] = choice.finish_reason
    for choice in whole.choices:
        assert choice.finish_reason == reasons[choice.index] == "tool_calls"
        assert choice.message.content is None
        assert getattr(choice.message, "reasoning_content", "") == thoughts[choice.index] != ""
        for i, one in enumerate(choice.message.tool_calls or ()):
            assert one.type == "function"
            assert grown.pop((choice.index, i)) == [one.id, one.function.name, one.function.arguments]
            assert is_call(one.function.name, one.function.arguments)
    assert not grown


def test_the_stream_helper_gathers_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASK, seed=1) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    (whole,) = client.chat.completions.create(**ASK, seed=1).choices
    assert final.choices[0].finish_reason == "tool_calls"
    calls = final.choices[0].message.tool_calls or []
    assert calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        (call.id, call.function.name, call.function.arguments)
        for call in whole.message.tool_calls or () if call.type == "function"
    ]
    done = [event for event in events if isinstance(event, FunctionToolCallArgumentsDoneEvent)]
    assert [event.arguments for event in done] == [call.function.arguments for call in calls]
    assert any(isinstance(event, FunctionToolCallArgumentsDeltaEvent) for event in events)


def test_arguments_are_parsed_as_pydantic_models(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(OrderShirt)
    asked = {**ASK, "tools": [tool]}
    (choice,) = client.chat.completions.parse(**asked, seed=2).choices
    for call in choice.message.tool_calls or ():
        assert isinstance(call.function.parsed_arguments, OrderShirt)
    assert choice.message.tool_calls


def test_a_named_choice_and_a_conversation_with_results(client: openai.OpenAI) -> None:
    asked = {**ASK, "tool_choice": {"type": "function", "function": {"name": "clock"}}}
    message = client.chat.completions.create(**asked, seed=3, parallel_tool_calls=False).choices[0].message
    call = (message.tool_calls or [])[0]
    assert call.type == "function"
    assert call.function.name == "clock"
    history = [*ASKED, message, {"role": "tool", "tool_call_id": call.id, "content": "12:00"}]
    answer = client.chat.completions.create(**{**ASK, "messages": history, "tool_choice": "none", "max_tokens": 8})
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].finish_reason == "length"


def test_the_example_of_the_page_runs(client: openai.OpenAI) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "tool_calls" in block]
    values: dict[str, Any] = {"client": client, "model": "model", "json": json}
    exec(compile(code, str(PAGE), "exec"), values)
    assert values["messages"][-1]["content"].startswith("It is sunny in ")
    assert values["answer"].choices


def test_errors_name_the_place(client: openai.OpenAI) -> None:
    bad: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
        "a": {"type": "strin"},
    }}}}]  # fmt: skip
    with pytest.raises(openai.BadRequestError, match="#/properties/a/type") as raised:
        client.chat.completions.create(**{**ASK, "tools": bad})
    assert raised.value.param == "tools[0].function.parameters"
