"""The messages of answers, whole or as chunks add to them, and the tokens that they took."""

from __future__ import annotations

from msgspec import UNSET

from ..jobs.events import Began, Ended, Text
from ..jobs.said import Said
from . import wire


def message_of(said: Said) -> wire.AnswerMessage:
    """Return an answer as the message of a chat."""
    calls = [
        wire.ToolCall(id=call.id, function=wire.CalledFunction(call.name, arguments))
        for call, arguments in said.calls.items()
    ]
    return wire.AnswerMessage(
        content=said.text if said.text or not (calls or said.reasoning) else None,
        reasoning_content=said.reasoning or UNSET,
        tool_calls=calls or UNSET,
    )  # fmt: skip


class Counts:
    """Tokens of a request's answers."""

    def __init__(self) -> None:
        self._n = self._n_cached = self._n_reasoning = 0

    def add(self, ended: Ended) -> None:
        """Count an answer."""
        self._n += ended.n_tokens
        self._n_cached += ended.n_cached
        self._n_reasoning += ended.n_reasoning

    def usage(self, began: Began) -> wire.Usage:
        """Return the tokens of the request."""
        details = wire.AnswerDetails(self._n_reasoning) if self._n_reasoning else UNSET
        n_all = began.n_prompt + self._n
        return wire.Usage(began.n_prompt, self._n, n_all, wire.PromptDetails(self._n_cached), details)


def delta(event: Text) -> wire.Delta:
    """Return what a chunk adds to a message."""
    call = event.call
    if call is None:
        if event.kind == "call":   # only tokens
            return wire.Delta()
        return wire.Delta(reasoning_content=event.text) if event.kind == "reasoning" else wire.Delta(content=event.text)
    if not event.begins:
        function = wire.FunctionDelta(arguments=event.text)
        return wire.Delta(tool_calls=[wire.ToolCallDelta(index=call.index, function=function)])
    function = wire.FunctionDelta(name=call.name, arguments=event.text)
    return wire.Delta(
        tool_calls=[wire.ToolCallDelta(index=call.index, id=call.id, type="function", function=function)]
    )
