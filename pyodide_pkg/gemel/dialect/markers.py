"""A dialect's markers in a model's vocabulary: those that are control tokens become single characters.

An answer's text never has half of a surrogate pair, so these stand for control tokens.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Protocol

from .dialect import Calls, Dialect, Hole, Marks, Section, Thoughts, each

FIRST = 0xD800   # of the characters that stand for control tokens


class Vocabulary(Protocol):
    """What markers need of a model."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of a text."""

    def piece(self, id: int, *, special: bool = False) -> bytes:
        """Return the bytes of an id."""

    def is_control(self, id: int) -> bool:
        """Whether plain text can't spell an id."""

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

    def with_calls(self, calls: Calls) -> Markers:
        """Return them with other calls, whose markers have their characters already."""
        made = copy.copy(self)
        made.dialect = Dialect(calls, self.dialect.thoughts)
        return made

    def gbnf(self, marker: str) -> str:
        """Return a marker of the dialect as GBNF writes it; "" for an empty one."""
        from ..schema.rules import quoted

        parts = re.split("([\ud800-\udfff])", marker)
        return " ".join(f"<[{self._ids[part]}]>" if part in self._ids else quoted(part) for part in parts if part)

    def either(self, marks: Marks) -> str:
        """Return one of several markers as GBNF writes it."""
        from ..schema.rules import EMPTY

        found = [self.gbnf(mark) for mark in each(marks)]
        if len(found) == 1:
            return found[0]
        return f"({' | '.join(one or EMPTY for one in dict.fromkeys(found))})"

    def _calls(self, calls: Calls) -> Calls:
        pieces = tuple(piece if isinstance(piece, Hole) else self._any(piece) for piece in calls.pieces)
        return replace(
            calls, pieces=pieces, marker=self._any(calls.marker), opens=self._any(calls.opens),
            between=self._any(calls.between), closes=self._any(calls.closes),
            encoding=calls.encoding.marked(self._text),
        )  # fmt: skip

    def _thoughts(self, thoughts: Thoughts) -> Thoughts:
        return replace(
            thoughts, leads=tuple(map(self.section, thoughts.leads)), text=self.section(thoughts.text),
            begun=self._text(thoughts.begun), absent=self._text(thoughts.absent), ends=self._text(thoughts.ends),
        )  # fmt: skip

    def section(self, section: Section) -> Section:
        """Return a section with a character for each control token in its markers."""
        return replace(section, opens=self._text(section.opens), closes=self._text(section.closes))

    def _any(self, marks: Marks) -> Marks:
        return self._text(marks) if isinstance(marks, str) else tuple(map(self._text, marks))

    def _text(self, marker: str) -> str:
        """Return a marker with a character for each control token in it.

        What ends a generation is left out: it may follow where an answer may end.
        """
        for id in self._model.tokenize(marker, special=True) if marker else ():
            name = self._model.piece(id, special=True).decode("utf-8", "replace")
            if not self._model.is_control(id) or name not in marker:
                continue
            if self._model.is_eog(id):
                marker = marker.replace(name, "")
                continue
            if id not in self.characters:
                self.characters[id] = chr(FIRST + len(self.characters))
                self._ids[self.characters[id]] = id
            marker = marker.replace(name, self.characters[id])
        return marker
