"""Events of a job become Ollama's objects: a whole answer, or a line of JSON for each step.

Calls are sent when they are complete; one that the limit cut is left out, and done_reason says "length".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gemel

from ..http.errors import ApiError
from ..jobs.events import Began, Call, Ended, Event, Text, Token
from ..jobs.named import with_top
from ..jobs.said import Said
from ..jobs.service import encode
from .wire import error_of

NS = 10**9
LINES = "application/x-ndjson"
Fields = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the objects of a response share. created: returns the time as text."""

    model: gemel.Model | None   # None: nothing is answered
    alias: str
    created: Callable[[], str]
    is_chat: bool
    logprobs: bool
    start: float = field(default_factory=time.perf_counter)
    load_s: float = 0.0   # of the time since `start`, what the request waited for its model

    def object(
        self, text: str, *, thinking: str = "", calls: Sequence[Fields] = (), tokens: Sequence[Token] = (),
        done: Fields | None = None,
    ) -> Fields:  # fmt: skip
        """Return an object. done: what the last one has besides."""
        found: Fields = {"model": self.alias, "created_at": self.created()}
        thought = {"thinking": thinking} if thinking else {}
        if self.is_chat:
            called = {"tool_calls": list(calls)} if calls else {}
            found["message"] = {"role": "assistant", "content": text, **thought, **called}
        else:
            found |= {"response": text, **thought}
        found["done"] = done is not None
        if self.logprobs and tokens and self.model is not None:
            found["logprobs"] = [with_top(self.model, token) for token in tokens]
        return {**found, **(done or {})}

    def done(self, began: Began, ended: Ended) -> Fields:
        """Return what the last object says: counts, and times in nanoseconds."""
        times = ended.timings
        return {
            "done_reason": "length" if ended.reason == "length" else "stop",
            "total_duration": int((time.perf_counter() - self.start) * NS), "load_duration": int(self.load_s * NS),
            "prompt_eval_count": began.n_prompt, "prompt_eval_duration": int(times.prompt_s * NS),
            "eval_count": ended.n_tokens, "eval_duration": int(times.decode_s * NS),
        }  # fmt: skip


def called(index: int, call: Call, arguments: str) -> Fields | None:
    """Return a call, or None if its arguments are not complete."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return None
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": values}}


class Gathered:
    """A whole answer."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._said = Said()
        self._began, self._done = Began(0), Fields()

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._began = event
        elif isinstance(event, Text):
            self._said.add(event)
        elif isinstance(event, Ended):
            self._done = self._head.done(self._began, event)

    def value(self) -> Fields:
        """Return the answer."""
        said = self._said
        calls = [called(i, call, arguments) for i, (call, arguments) in enumerate(said.calls.items())]
        return self._head.object(
            said.text, thinking=said.reasoning, calls=[call for call in calls if call is not None],
            tokens=said.tokens, done=self._done,
        )


class Lines:
    """A stream."""

    media, ping = LINES, b""   # clients read each line as JSON

    def __init__(self, head: Head) -> None:
        self._head = head
        self._said = Said()
        self._n_called = 0   # of its calls, those that were sent or left out
        self._began = Began(0)

    def event(self, event: Event) -> bytes:
        """Return the lines of an event."""
        head = self._head
        if isinstance(event, Began):
            self._began = event
        if isinstance(event, Ended):
            return self._calls(len(self._said.calls)) + _line(head.object("", done=head.done(self._began, event)))
        if not isinstance(event, Text):
            return b""
        self._said.add(event)
        before = self._calls(len(self._said.calls) - 1)   # the last one grows
        if event.kind == "call":
            return before + (_line(head.object("", tokens=event.tokens)) if event.tokens and head.logprobs else b"")
        if not event.text and not event.tokens:
            return before
        text, thinking = ("", event.text) if event.kind == "reasoning" else (event.text, "")
        return before + _line(head.object(text, thinking=thinking, tokens=event.tokens))

    def _calls(self, n: int) -> bytes:
        """Return the lines of those of the first n calls that were not sent."""
        made = b""
        for i, (call, arguments) in list(enumerate(self._said.calls.items()))[self._n_called : max(n, 0)]:
            self._n_called = i + 1
            if (one := called(i, call, arguments)) is not None:
                made += _line(self._head.object("", calls=[one]))
        return made

    def end(self) -> bytes:
        """Return nothing: the last line was that of Ended."""
        return b""

    def failed(self, error: ApiError) -> bytes:
        """Return an error."""
        return _line(error_of(error))


def _line(value: Fields) -> bytes:
    return encode(value) + b"\n"
