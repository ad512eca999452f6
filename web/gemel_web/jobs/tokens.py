"""Tokens of an answer with their log-probabilities, each at its place in the text."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Sequence
from typing import Protocol

import gemel

from .events import Token


class Pieces(Protocol):
    """What tokens need of a model."""

    def piece(self, id: int, *, special: bool = False) -> bytes:
        """Return the bytes of an id."""


def scored(
    model: gemel.Model, ids: Sequence[int], n_top: int, kv_type: gemel.KvType | None
) -> Generator[None, None, tuple[Token, ...]]:
    """Evaluate a prompt, token by token; yield between them. Return its tokens, each given those before it."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    found: list[Token] = []
    offset = 0
    with model.session(len(ids), kv_type=kv_type) as session:
        for i, id in enumerate(ids):
            top = session.likeliest(n_top) if n_top and i else []
            logprob, *others = session.log_probs([id, *top]) if i else [0.0]
            found.append(Token(id, logprob, tuple(zip(top, others, strict=True)), offset, follows=i > 0))
            offset += len(utf8.decode(model.piece(id)))
            if i + 1 < len(ids):
                session.append([id])
            yield None
    return tuple(found)


class Tokens:
    """The tokens of one answer, from when they are drawn until they are sent.

    Attributes:
        n_drawn: complete characters in the tokens so far
    """

    def __init__(self, model: Pieces, n_top: int, offset: int) -> None:
        """Begin. offset: characters before the first token."""
        self._model, self._n_top = model, n_top
        self.n_drawn = offset
        self._first = offset
        self._logs: list[tuple[float, tuple[tuple[int, float], ...]]] = []
        self._unsent: list[Token] = []
        self._n_seen = 0
        self._text = ""   # of all tokens, markers included
        self._last = 0    # where in it the last token begins
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def log(self, session: gemel.Session, id: int) -> None:
        """Note the log-probabilities at a token that is drawn."""
        top = session.likeliest(self._n_top) if self._n_top else []
        logprob, *others = session.log_probs([id, *top])
        self._logs.append((logprob, tuple(zip(top, others, strict=True))))

    def add(self, ids: Sequence[int], n_dropped: int) -> None:
        """Note all tokens so far. n_dropped: characters of the first one that the answer's text lacks."""
        for id in ids[self._n_seen :]:
            self._unsent.append(Token(id, *self._logs[self._n_seen], self.n_drawn))
            text = self._utf8.decode(self._model.piece(id))
            if not self._n_seen:
                text = text[n_dropped:]
            self._n_seen += 1
            self._last = len(self._text)
            self._text += text
            self.n_drawn += len(text)

    @property
    def has_unsent(self) -> bool:
        """Whether tokens were not taken yet."""
        return bool(self._unsent)

    def taken(self, end: int | None) -> tuple[Token, ...]:
        """Return the tokens that were not returned yet and begin before a character of the answer; None: all."""
        given = tuple(token for token in self._unsent if end is None or token.offset < end)
        self._unsent = self._unsent[len(given) :]
        return given

    def cut(self, stops: Sequence[str]) -> int | None:
        """Return where the first stop string begins that the last token completed; None: there is none."""
        ends = [self._text.find(stop, max(0, self._last - len(stop) + 1)) for stop in stops]
        return min((self._first + at for at in ends if at >= 0), default=None)
