"""Events of a job become OpenAI's objects: chats or completions, whole or in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import gemel
from msgspec import UNSET, UnsetType

from ..jobs.events import Ended, Text, Token
from ..jobs.said import Said
from . import wire
from .message import delta, message_of


@dataclass(frozen=True, kw_only=True)
class Head:
    """The fields that all objects of a response share."""

    id: str
    created: int
    alias: str
    fingerprint: str

    def answer(
        self,
        kind: str,
        choices: list[wire.ChatChoice] | list[wire.ChunkChoice] | list[wire.TextChoice],
        usage: wire.Usage | UnsetType | None = UNSET,
    ) -> wire.Answer:
        """Return one object."""
        return wire.Answer(
            id=self.id, object=kind, created=self.created, model=self.alias, system_fingerprint=self.fingerprint,
            choices=choices, usage=usage,
        )


class Shape(Protocol):
    """The JSON of one route's answers."""

    prefix: str    # of ids
    whole: str     # `object` of a whole answer
    chunk: str     # `object` of a chunk

    def first(self, event: Text | Ended) -> wire.ChunkChoice | None:
        """Return the chunk that comes before an answer's first event; None: there is none."""

    def piece(self, event: Text) -> wire.ChunkChoice | wire.TextChoice:
        """Return the chunk of a text and its tokens."""

    def last(self, ended: Ended) -> wire.ChunkChoice | wire.TextChoice:
        """Return the last chunk of an answer."""

    def all(self, index: int, said: Said, ended: Ended) -> wire.ChatChoice | wire.TextChoice:
        """Return a whole answer."""


class ChatShape:
    """chat.completion."""

    prefix, whole, chunk = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, model: gemel.Model, *, logprobs: bool) -> None:
        self._model = model
        self._logprobs = logprobs

    def first(self, event: Text | Ended) -> wire.ChunkChoice:
        """Return the chunk with the role. Its content is null where the answer does not begin with a text."""
        is_text = isinstance(event, Ended) or event.kind == "text"
        return wire.ChunkChoice(event.choice, wire.Delta(role="assistant", content="" if is_text else None), None, None)

    def piece(self, event: Text) -> wire.ChunkChoice:
        """Return a chunk of text, reasoning or a call."""
        return wire.ChunkChoice(event.choice, delta(event), self._of(event.tokens), None)

    def last(self, ended: Ended) -> wire.ChunkChoice:
        """Return the chunk with the reason why the answer ended."""
        return wire.ChunkChoice(ended.choice, wire.Delta(), None, reason_of(ended), ended.invalid or UNSET)

    def all(self, index: int, said: Said, ended: Ended) -> wire.ChatChoice:
        """Return a whole answer."""
        return wire.ChatChoice(index, message_of(said), self._of(said.tokens), reason_of(ended), ended.invalid or UNSET)

    def _of(self, tokens: Sequence[Token]) -> wire.ChatLogprobs | None:
        if not self._logprobs:
            return None
        return wire.ChatLogprobs([
            wire.TokenLogprob(
                *self._named(token.id, token.logprob), top_logprobs=[
                    wire.TopLogprob(*self._named(id, logprob)) for id, logprob in token.top
                ],
            )
            for token in tokens
        ])

    def _named(self, id: int, logprob: float) -> tuple[str, float, list[int]]:
        raw = self._model.piece(id, special=True)
        return raw.decode("utf-8", "replace"), logprob, list(raw)


class TextShape:
    """text_completion."""

    prefix, whole, chunk = "cmpl-", "text_completion", "text_completion"

    def __init__(self, model: gemel.Model, *, logprobs: bool) -> None:
        self._model = model
        self._logprobs = logprobs

    def first(self, event: Text | Ended) -> None:
        """Return None: a completion begins with its text."""

    def piece(self, event: Text) -> wire.TextChoice:
        """Return a chunk of text."""
        return wire.TextChoice(event.choice, event.text, self._of(event.tokens), None)

    def last(self, ended: Ended) -> wire.TextChoice:
        """Return the last chunk of a completion."""
        return wire.TextChoice(ended.choice, "", None, reason_of(ended), ended.invalid or UNSET)

    def all(self, index: int, said: Said, ended: Ended) -> wire.TextChoice:
        """Return a whole completion."""
        return wire.TextChoice(index, said.text, self._of(said.tokens), reason_of(ended), ended.invalid or UNSET)

    def _of(self, tokens: Sequence[Token]) -> wire.Logprobs | None:
        if not self._logprobs:
            return None
        return wire.Logprobs(
            [self._name(token.id) for token in tokens],
            [token.logprob if token.follows else None for token in tokens],
            [
                None if not token.follows else {self._name(id): logprob for id, logprob in reversed(token.top)}
                for token in tokens
            ],
            [token.offset for token in tokens],
        )

    def _name(self, id: int) -> str:
        """Return a token's text, or its bytes if it is not valid UTF-8: each token has a different name."""
        raw = self._model.piece(id, special=True)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def reason_of(ended: Ended) -> str:
    """Return the finish_reason of an answer."""
    return "tool_calls" if ended.reason == "calls" else ended.reason
