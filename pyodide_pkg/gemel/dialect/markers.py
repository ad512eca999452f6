"""A dialect's markers in a model's vocabulary: those that are control tokens become single characters.

An answer's text never has half of a surrogate pair, so these stand for control tokens.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol

from ..schema.rules import quoted
from ..text import template
from .dialect import Calls, Dialect, Hole, Section, Thoughts

FIRST = 0xD800   # of the characters that stand for control tokens


class Vocabulary(template.Vocabulary, Protocol):
    """What markers need of a model, besides what templates need."""

    def is_eog(self, id: int) -> bool:
        """Whether an id ends a generation."""


class Markers:
    """The markers of a dialect.

    Attributes:
        dialect: with a character for each control token
        characters: of these tokens, by id
    """

    def __init__(self, model: Vocabulary, dialect: Dialect) -> None:
        self._model = model
        self.characters: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self.dialect = Dialect(
            None if dialect.calls is None else self._calls(dialect.calls), self._thoughts(dialect.thoughts)
        )

    def gbnf(self, marker: str) -> str:
        """Return a marker of the dialect as GBNF writes it; "" for an empty one.

        What ends a generation is left out: it may follow where an answer may end.
        """
        pieces = []
        for part in re.split("([\ud800-\udfff])", marker):
            if part in self._ids:
                if not self._model.is_eog(self._ids[part]):
                    pieces.append(f"<[{self._ids[part]}]>")
            elif part:
                pieces.append(quoted(part))
        return " ".join(pieces)

    def _calls(self, calls: Calls) -> Calls:
        pieces = tuple(piece if isinstance(piece, Hole) else self._text(piece) for piece in calls.pieces)
        return replace(
            calls, pieces=pieces, marker=self._text(calls.marker), opens=self._text(calls.opens),
            between=self._text(calls.between), closes=self._text(calls.closes),
        )  # fmt: skip

    def _thoughts(self, thoughts: Thoughts) -> Thoughts:
        return replace(
            thoughts, leads=tuple(map(self._section, thoughts.leads)), text=self._section(thoughts.text),
            begun=self._text(thoughts.begun),
        )  # fmt: skip

    def _section(self, section: Section) -> Section:
        return replace(section, opens=self._text(section.opens), closes=self._text(section.closes))

    def _text(self, marker: str) -> str:
        """Return a marker with a character for each control token in it."""
        for id in self._model.tokenize(marker, special=True) if marker else ():
            name = self._model.piece(id, special=True).decode("utf-8", "replace")
            if not self._model.is_control(id) or name not in marker:
                continue
            if id not in self.characters:
                self.characters[id] = chr(FIRST + len(self.characters))
                self._ids[self.characters[id]] = id
            marker = marker.replace(name, self.characters[id])
        return marker
