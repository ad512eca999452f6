"""Events of a job become blocks of content: of a whole message, or as a stream begins, extends and ends them.

A block has a text, the thinking of a model, or a call of a tool. A new one begins where the kind or the call changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..http.connection import EVENTS
from ..http.errors import ApiError
from ..jobs.blocks import Block, Growing
from ..jobs.events import Began, Ended, Event, Text
from ..jobs.service import event_of
from .wire import error_of

UNSIGNED = "unsigned"   # of thinking: clients send it back, and nothing checks it


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the objects of a response share."""

    id: str
    alias: str
    max_tokens: int
    shows_thinking: bool


def begun(block: Block) -> dict[str, Any]:
    """Return a block without its text."""
    if block.call is not None:
        return {"type": "tool_use", "id": block.call.id, "name": block.call.name, "input": {}}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def whole(block: Block) -> dict[str, Any]:
    """Return all of a block. A call that the limit cut has the members of its input that are complete."""
    if block.call is not None:
        return {**begun(block), "input": json.loads(complete(block.text))}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": block.text, "signature": UNSIGNED}
    return {"type": "text", "text": block.text}


def delta(block: Block, text: str) -> dict[str, Any]:
    """Return what a text adds to a block."""
    if block.call is not None:
        return {"type": "input_json_delta", "partial_json": text}
    if block.kind == "reasoning":
        return {"type": "thinking_delta", "thinking": text}
    return {"type": "text_delta", "text": text}


class Message(Growing):
    """A message as it grows."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._head = head

    def add(self, event: Event) -> bool:
        """Take an event; return whether a block begins with it. Thinking that is not shown is left out."""
        is_new = super().add(event)
        if isinstance(event, Text) and event.kind == "reasoning" and self.blocks and not self._head.shows_thinking:
            self.blocks[-1].text = ""
        return is_new

    def object(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the message."""
        return {
            "id": self._head.id, "type": "message", "role": "assistant", "model": self._head.alias,
            "content": content, **self.end(), "usage": self.usage(),
        }  # fmt: skip

    def end(self) -> dict[str, Any]:
        """Return why it ended."""
        ended = self.ended
        stop = None if ended is None or ended.reason != "stop" else ended.stop_string
        return {"stop_reason": None if ended is None else self._reason(ended), "stop_sequence": stop}

    def _reason(self, ended: Ended) -> str:
        if ended.reason == "length":
            is_full = ended.n_tokens < self._head.max_tokens
            return "model_context_window_exceeded" if is_full else "max_tokens"
        if ended.reason == "calls":
            return "tool_use"
        return "end_turn" if ended.stop_string is None else "stop_sequence"

    def usage(self) -> dict[str, Any]:
        """Return the tokens so far: those of the answer are known at its end."""
        ended = self.ended
        n_cached = 0 if ended is None else ended.n_cached
        found: dict[str, Any] = {
            "input_tokens": self.n_prompt - n_cached, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": n_cached, "output_tokens": 0 if ended is None else ended.n_tokens,
        }  # fmt: skip
        if ended is not None and ended.n_reasoning:
            found["output_tokens_details"] = {"thinking_tokens": ended.n_reasoning}
        return found


class Gathered:
    """A whole message."""

    def __init__(self, head: Head) -> None:
        self._message = Message(head)

    def event(self, event: Event) -> None:
        """Take an event."""
        self._message.add(event)

    def value(self) -> dict[str, Any]:
        """Return the message."""
        return self._message.object([whole(block) for block in self._message.blocks])


class Events:
    """A message as a stream."""

    media, ping = EVENTS, event_of({"type": "ping"}, "ping")

    def __init__(self, head: Head) -> None:
        self._message = Message(head)
        self._shows_thinking = head.shows_thinking

    def event(self, event: Event) -> bytes:
        """Return the events that an event of the job becomes."""
        message = self._message
        is_new = message.add(event)
        if isinstance(event, Began):
            return _sent("message_start", message=message.object([]))
        at = len(message.blocks) - 1
        if isinstance(event, Ended):
            last = _sent("message_delta", delta=message.end(), usage=message.usage())
            return self._closed(at) + last + _sent("message_stop")
        if not isinstance(event, Text) or at < 0:
            return b""
        block, made = message.blocks[at], b""
        if is_new:
            made += self._closed(at - 1) + _sent("content_block_start", index=at, content_block=begun(block))
        if event.text and (event.kind != "reasoning" or self._shows_thinking):
            made += _sent("content_block_delta", index=at, delta=delta(block, event.text))
        return made

    def end(self) -> bytes:
        """Return nothing: the last event of the job ended it."""
        return b""

    def failed(self, error: ApiError) -> bytes:
        """Return an error."""
        return event_of(error_of(error), "error")

    def _closed(self, at: int) -> bytes:
        """Return the end of a block; thinking is signed before that."""
        if at < 0:
            return b""
        signed = b""
        if self._message.blocks[at].kind == "reasoning":
            signature = {"type": "signature_delta", "signature": UNSIGNED}
            signed = _sent("content_block_delta", index=at, delta=signature)
        return signed + _sent("content_block_stop", index=at)


def _sent(kind: str, **fields: Any) -> bytes:  # noqa: ANN401
    return event_of({"type": kind, **fields}, kind)


def complete(text: str) -> str:
    """Return JSON that has those members and items of a cut object that are complete.

    >>> complete('{"a": [1, 2'), complete('{"a": "x, y", "b'), complete('{"a": 1}'), complete("")
    ('{"a": [1]}', '{"a": "x, y"}', '{"a": 1}', '{}')
    """
    open_, end, closes, in_text, skip = "", 0, "{}", False, False   # text[:end] + closes: what is complete
    for at, character in enumerate(text):
        if in_text:
            in_text, skip = skip or character != '"', not skip and character == "\\"
        elif character == '"':
            in_text = True
        elif character in "{[":
            open_ = ("}" if character == "{" else "]") + open_
            end, closes = at + 1, open_
        elif character in "}]":
            open_ = open_[1:]
            end, closes = at + 1, open_
        elif character == ",":
            end, closes = at, open_
    return text[:end] + closes
