"""Chat.run: the model calls tools, their functions run, and the model reads the results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

import gemel
import pytest
from python.test_turns import template

OpenTiny = Callable[..., gemel.Model]
FORCED: dict[str, Any] = {
    "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 150, "seed": 1, "temperature": 1.0,
}  # fmt: skip


def order(size: Literal["S", "M", "L"], striped: bool) -> dict[str, Any]:
    """Order a shirt.

    size: of the shirt
    """
    return {"ordered": size, "striped": striped}


def failing(size: Literal["S", "M"]) -> str:
    """Fail."""
    raise LookupError(f"no shirt of size {size}")


@pytest.fixture
def chat(tiny_model: OpenTiny) -> gemel.Chat:
    """A chat with a tiny model that calls tools."""
    return tiny_model().chat(template=template())


def test_a_function_is_called_and_its_result_is_read(chat: gemel.Chat) -> None:
    rounds = chat.run("the", tools=[order], max_rounds=1, **FORCED)
    parts = list(rounds)
    roles = [message["role"] for message in chat.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    (result,) = [part for part in parts if part.kind == "result"]
    assert result.call is not None
    assert json.loads(result.text)["ordered"] == result.call.values["size"]
    assert chat.messages[2] == {"role": "tool", "tool_call_id": result.call.id, "content": result.text}
    assert (rounds.n_rounds, rounds.text) == (1, chat.messages[-1]["content"])
    assert rounds.generation is not None
    assert not rounds.generation.calls


def test_the_answer_after_the_last_round_calls_nothing(chat: gemel.Chat) -> None:
    rounds = chat.run("the", tools=[order], max_rounds=2, **FORCED)
    rounds.read()
    assert rounds.n_rounds <= 2
    assert "tool_calls" not in chat.messages[-1]


def test_an_error_is_a_result_or_is_raised(chat: gemel.Chat) -> None:
    parts = list(chat.run("the", tools=[failing], max_rounds=1, **FORCED))
    assert [part.text[:34] for part in parts if part.kind == "result"] == ["error: LookupError: 'no shirt of s"] or [
        part.text[:33] for part in parts if part.kind == "result"
    ] == ["error: LookupError: no shirt of s"]
    with pytest.raises(LookupError, match="no shirt of size"):
        chat.run("the", tools=[failing], raise_errors=True, **FORCED).read()


def test_a_call_may_be_refused(chat: gemel.Chat) -> None:
    asked: list[str] = []

    def refuse(call: Any) -> bool:  # noqa: ANN401
        asked.append(call.name)
        return False

    parts = list(chat.run("the", tools=[failing], on_call=refuse, max_rounds=1, raise_errors=True, **FORCED))
    assert asked == ["failing"]
    assert [part.text for part in parts if part.kind == "result"] == ["error: the user refused this call"]


def test_functions_may_be_asynchronous(chat: gemel.Chat) -> None:
    async def slow(size: Literal["S", "M"]) -> str:
        """Wait."""
        await asyncio.sleep(0)
        return f"{size}!"

    async def run() -> list[str]:
        rounds = chat.run("the", tools=[slow], max_rounds=1, **FORCED)
        return [part.text async for part in rounds if part.kind == "result"]

    (result,) = asyncio.run(run())
    assert result in ("S!", "M!")
    with pytest.raises(gemel.ArgumentError, match="slow is asynchronous: use `async for`"):
        chat.run("the", tools=[slow], **FORCED).read()


def test_a_call_that_was_cut_is_an_error(chat: gemel.Chat) -> None:
    with pytest.raises(gemel.AnswerError, match="a call was cut after 40 tokens: allow more"):
        chat.run("the", tools=[order], **{**FORCED, "max_tokens": 40}).read()


@pytest.mark.parametrize(("tools", "words"), [
    ([], "tools: the list is empty: run"), ([{"name": "x"}], "tools: 'x' has no function: run"),
])  # fmt: skip
def test_run_needs_functions(chat: gemel.Chat, tools: list[Any], words: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        chat.run("the", tools=tools)


def test_rounds_can_be_stopped(chat: gemel.Chat) -> None:
    with chat.run("the", tools=[order], **FORCED) as rounds:
        next(iter(rounds))
    assert rounds.generation is not None
    assert rounds.generation.stop_reason == "cancelled"
