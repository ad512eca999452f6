"""Events of a job become a response: whole, or as a stream of events that begin, extend and end its items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gemel

from ..http.connection import EVENTS, PING
from ..http.errors import ApiError
from ..jobs.blocks import Growing
from ..jobs.events import Began, Ended, Event, Text, Token
from ..jobs.named import with_top
from ..jobs.service import event_of

Fields = dict[str, Any]
PREFIXES = {"text": "msg", "reasoning": "rs", "call": "fc"}


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the objects of a response share. fields: those that repeat the request. keep: takes the whole response."""

    model: gemel.Model
    id: str
    created: int
    fields: Fields
    logprobs: bool
    keep: Callable[[Fields], None]


class Answer(Growing):
    """A response as it grows: each block is an item."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._head = head

    def object(self) -> Fields:
        """Return the response; its items are there when it has ended."""
        ended = self.ended
        is_cut = ended is not None and ended.reason == "length"
        status = "in_progress" if ended is None else "incomplete" if is_cut else "completed"
        last = len(self.blocks) - 1
        output = [] if ended is None else [self.item(i, is_cut=is_cut and i == last) for i in range(last + 1)]
        return {
            "id": self._head.id, "object": "response", "created_at": self._head.created, "status": status,
            "error": None, "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": output, "usage": None if ended is None else self._usage(ended), **self._head.fields,
        }  # fmt: skip

    def _usage(self, ended: Ended) -> Fields:
        n, n_prompt = ended.n_tokens, self.n_prompt
        return {
            "input_tokens": n_prompt, "output_tokens": n, "total_tokens": n_prompt + n,
            "input_tokens_details": {"cached_tokens": ended.n_cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": ended.n_reasoning},
        }  # fmt: skip

    def item_id(self, i: int) -> str:
        """Return the id of an item."""
        return f"{PREFIXES[self.blocks[i].kind]}_{self._head.id.removeprefix('resp_')}_{i}"

    def item(self, i: int, *, is_cut: bool = False, is_new: bool = False) -> Fields:
        """Return an item: whole, cut by the limit, or new and without its text."""
        block = self.blocks[i]
        status = "in_progress" if is_new else "incomplete" if is_cut else "completed"
        found = {"id": self.item_id(i), "status": status}
        if block.call is not None:
            call, arguments = block.call, "" if is_new else block.text
            return {**found, "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}
        content = [] if is_new else [self.part(i)]
        if block.kind == "reasoning":
            return {**found, "type": "reasoning", "summary": [], "content": content}
        return {**found, "type": "message", "role": "assistant", "content": content}

    def part(self, i: int, *, is_new: bool = False) -> Fields:
        """Return the content of an item."""
        block = self.blocks[i]
        text = "" if is_new else block.text
        if block.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        logprobs = [] if is_new else self.logprobs(block.tokens)
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}

    def logprobs(self, tokens: Sequence[Token]) -> list[Fields]:
        """Return the log-probabilities of tokens, if they are wanted."""
        if not self._head.logprobs:
            return []
        return [with_top(self._head.model, token) for token in tokens]


class Gathered:
    """A whole response."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._growing = Answer(head)

    def event(self, event: Event) -> None:
        """Take an event."""
        self._growing.add(event)

    def value(self) -> Fields:
        """Return it."""
        whole = self._growing.object()
        self._head.keep(whole)
        return whole


class Events:
    """A response as a stream."""

    media, ping = EVENTS, PING

    def __init__(self, head: Head) -> None:
        self._head = head
        self._growing = Answer(head)
        self._n = 0   # events sent

    def event(self, event: Event) -> bytes:
        """Return the events that an event of the job becomes."""
        growing = self._growing
        at = len(growing.blocks) - 1
        is_new = growing.add(event)
        if isinstance(event, Began):
            begun = growing.object()
            return self._sent("response.created", response=begun) + self._sent("response.in_progress", response=begun)
        if isinstance(event, Ended):
            is_cut = event.reason == "length"
            closed = self._closed(at, is_cut=is_cut) if at >= 0 else b""
            whole = growing.object()
            self._head.keep(whole)
            return closed + self._sent(f"response.{whole['status']}", response=whole)
        if not isinstance(event, Text) or not growing.blocks:
            return b""
        made = b""
        if is_new:
            made += self._closed(at) if at >= 0 else b""
            at += 1
            made += self._opened(at)
        if event.text or (event.tokens and self._head.logprobs):
            made += self._delta(at, event)
        return made

    def _delta(self, at: int, event: Text) -> bytes:
        block = self._growing.blocks[at]
        if block.call is not None or block.kind == "call":
            return self._of(at, "function_call_arguments.delta", delta=event.text) if event.text else b""
        if block.kind == "reasoning":
            return self._of(at, "reasoning_text.delta", content_index=0, delta=event.text) if event.text else b""
        logprobs = self._growing.logprobs(event.tokens)
        return self._of(at, "output_text.delta", content_index=0, delta=event.text, logprobs=logprobs)

    def _opened(self, at: int) -> bytes:
        item = self._growing.item(at, is_new=True)
        made = self._sent("response.output_item.added", output_index=at, item=item)
        if item["type"] == "function_call":
            return made
        return made + self._of(at, "content_part.added", content_index=0, part=self._growing.part(at, is_new=True))

    def _closed(self, at: int, *, is_cut: bool = False) -> bytes:
        growing = self._growing
        block, item = growing.blocks[at], growing.item(at, is_cut=is_cut)
        if block.call is not None:
            made = self._of(at, "function_call_arguments.done", arguments=block.text)
        else:
            name, more = "reasoning_text.done", Fields()
            if block.kind == "text":
                name, more = "output_text.done", {"logprobs": growing.logprobs(block.tokens)}
            made = self._of(at, name, content_index=0, text=block.text, **more)
            made += self._of(at, "content_part.done", content_index=0, part=growing.part(at))
        return made + self._sent("response.output_item.done", output_index=at, item=item)

    def _of(self, at: int, name: str, **fields: Any) -> bytes:  # noqa: ANN401
        return self._sent(f"response.{name}", item_id=self._growing.item_id(at), output_index=at, **fields)

    def _sent(self, kind: str, **fields: Any) -> bytes:  # noqa: ANN401
        made = event_of({"type": kind, "sequence_number": self._n, **fields}, kind)
        self._n += 1
        return made

    def end(self) -> bytes:
        """Return nothing: the last event was that of Ended."""
        return b""

    def failed(self, error: ApiError) -> bytes:
        """Return a failed response."""
        why = {"code": "server_error", "message": error.message}
        return self._sent("response.failed", response={**self._growing.object(), "status": "failed", "error": why})
