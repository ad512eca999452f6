"""Events of a job become llama.cpp's objects: a whole completion, or events of a stream, without [DONE]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gemel

from ..http.connection import EVENTS, PING
from ..http.errors import ApiError, body_of
from ..jobs.events import Began, Ended, Event, Text, Token
from ..jobs.named import with_top
from ..jobs.said import Said
from ..jobs.service import event_of

Fields = dict[str, Any]
ANY_SLOT = -1   # a request has no slot for itself


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the objects of a response need. n_probs: None: no probabilities."""

    model: gemel.Model
    alias: str
    prompt: str
    settings: Fields
    n_probs: int | None
    has_tokens: bool

    def part(self, text: str, tokens: Sequence[Token], began: Began, n: int) -> Fields:
        """Return what a text adds."""
        found: Fields = {
            "index": 0, "content": text, "tokens": [token.id for token in tokens] if self.has_tokens else [],
            "stop": False, "id_slot": ANY_SLOT, "tokens_predicted": n, "tokens_evaluated": began.n_prompt,
        }  # fmt: skip
        if self.n_probs and tokens:
            found["completion_probabilities"] = [with_top(self.model, token, with_ids=True) for token in tokens]
        return found

    def last(self, began: Began, ended: Ended, text: str) -> Fields:
        """Return what the last object says besides. text: all of the answer."""
        kind = "limit" if ended.reason == "length" else "eos" if ended.stop_string is None else "word"
        return {
            "stop": True, "model": self.alias, "tokens_predicted": ended.n_tokens, "tokens_evaluated": began.n_prompt,
            "generation_settings": self.settings, "prompt": self.prompt, "has_new_line": "\n" in text,
            "truncated": False, "stop_type": kind, "stopping_word": ended.stop_string or "",
            "tokens_cached": ended.n_cached, "timings": timings(ended),
        }  # fmt: skip


def timings(ended: Ended) -> Fields:
    """Return times in milliseconds, and speeds in tokens per second."""
    times = ended.timings
    n_read, n_drawn = times.n_evaluated, times.n_decoded
    drafts: Fields = {"draft_n": times.n_drafted, "draft_n_accepted": times.n_accepted} if times.n_drafted else {}
    return {
        "cache_n": times.n_cached, "prompt_n": n_read, "prompt_ms": 1e3 * times.prompt_s,
        "prompt_per_token_ms": 1e3 * times.prompt_s / n_read if n_read else 0.0,
        "prompt_per_second": times.prompt_tok_s,
        "predicted_n": n_drawn, "predicted_ms": 1e3 * times.decode_s,
        "predicted_per_token_ms": 1e3 * times.decode_s / n_drawn if n_drawn else 0.0,
        "predicted_per_second": times.decode_tok_s, **drafts,
    }  # fmt: skip


class Gathered:
    """A whole completion."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._said = Said()
        self._began, self._last = Began(0), Fields()

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._began = event
        elif isinstance(event, Text):
            self._said.add(event)
        elif isinstance(event, Ended):
            self._last = self._head.last(self._began, event, self._said.text)

    def value(self) -> Fields:
        """Return it."""
        part = self._head.part(self._said.text, self._said.tokens, self._began, 0)
        return {**part, **self._last}


class Events:
    """A completion as a stream."""

    media, ping = EVENTS, PING

    def __init__(self, head: Head) -> None:
        self._head = head
        self._text = ""
        self._n = 0   # events with a text
        self._began = Began(0)

    def event(self, event: Event) -> bytes:
        """Return the event of a text, or the last one."""
        if isinstance(event, Began):
            self._began = event
        elif isinstance(event, Text):
            self._n += len(event.tokens) or 1
            self._text += event.text
            return event_of(self._head.part(event.text, event.tokens, self._began, self._n))
        elif isinstance(event, Ended):
            part = self._head.part("", (), self._began, self._n)
            return event_of({**part, **self._head.last(self._began, event, self._text)})
        return b""

    def end(self) -> bytes:
        """Return nothing: the last event was that of Ended."""
        return b""

    def failed(self, error: ApiError) -> bytes:
        """Return an error."""
        return event_of(body_of(error))
