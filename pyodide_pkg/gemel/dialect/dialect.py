"""What a dialect is: how an answer's reasoning, text and calls of tools are marked.

An answer is reasoning, then a text, then calls; each may be absent. Markers are written as text; those that are control
tokens of a vocabulary mean these ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from .encoding import Encoding, Json

Kind = Literal["text", "reasoning", "call"]
Marks = str | tuple[str, ...]   # a text, or several of which one is written: the first is what models write most


class Hole(Enum):
    """What differs between calls."""

    NAME = "name"
    ARGUMENTS = "arguments"
    ID = "id"


@dataclass(frozen=True)
class Section:
    """A part of an answer between two markers. `closes` "": it goes on to what opens the next part, or to the end."""

    kind: Kind
    opens: str = ""
    closes: str = ""


@dataclass(frozen=True)
class Calls:
    """How calls are written.

    Attributes:
        name: of the dialect
        told_by: texts of templates that ask for it: all texts of one of the rows
        pieces: one call: texts, and what differs. The first text begins with a `marker`, unless `opens` is not empty
        marker: text that begins calls, and nothing else; "": `opens` and the name of a tool begin them
        opens, between, closes: before the first call, between two, and after the last
        encoding: how arguments are written
        id: GBNF of an id in a call
        leads: calls are marked only at the beginning of an answer: the marker may be part of a text
        follows_text: a text may come before the calls
        is_single: an answer has at most one call
        may_be_bare: an answer may also begin with a call without markers (bare.py), and then has no other
    """

    name: str
    told_by: tuple[tuple[str, ...], ...]
    pieces: tuple[Marks | Hole, ...]
    marker: Marks = ""
    opens: Marks = ""
    between: Marks = ""
    closes: Marks = ""
    encoding: Encoding = Json()  # noqa: RUF009  # immutable
    id: str = ""
    leads: bool = False
    follows_text: bool = True
    is_single: bool = False
    may_be_bare: bool = False

    @property
    def can_follow_json(self) -> bool:
        """Whether calls differ from a text that is JSON, in a grammar that has rules for both."""
        return bool(self.marker) and not self.leads and self.encoding.has_json

    def openers(self, names: Iterable[str]) -> list[str]:
        """Return the texts that begin calls. names: of the tools."""
        if self.marker:
            return list(each(self.marker))
        return [opens + head for opens in each(self.opens) for head in self.heads(names)]

    def heads(self, names: Iterable[str]) -> list[str]:
        """Return the texts that begin one call."""
        if not isinstance(self.pieces[0], Hole):
            return list(each(self.pieces[0]))
        return [name + text for name in names for text in self.after(0)]

    def after(self, i: int) -> tuple[str, ...]:
        """Return the texts that may follow piece i, which is a name or an id."""
        piece = self.pieces[i + 1]
        if isinstance(piece, Hole):   # arguments, which may be absent
            return (*self.encoding.begins, *self.after(i + 1))
        return each(piece)


@dataclass(frozen=True)
class Thoughts:
    """How reasoning is marked, and the text after it.

    Attributes:
        name: of the dialect
        told_by: as in Calls
        leads: sections before the text or the calls, in any order
        text: the section of the text; `opens` "": it needs no marker
        begun: what the template writes of all markers itself
        absent: what is written instead of the leads
        ends: what is written behind all else
        is_plain: a text may also come without its markers
    """

    name: str
    told_by: tuple[tuple[str, ...], ...]
    leads: tuple[Section, ...] = ()
    text: Section = Section("text")
    begun: str = ""
    absent: str = ""
    ends: str = ""
    is_plain: bool = False


@dataclass(frozen=True)
class Dialect:
    """How a model writes its answers. calls None: it has no tools."""

    calls: Calls | None
    thoughts: Thoughts


def each(marks: Marks) -> tuple[str, ...]:
    """Return the texts of which one is written."""
    return (marks,) if isinstance(marks, str) else marks


def is_told(told_by: tuple[tuple[str, ...], ...], template: str) -> bool:
    """Whether a template's text has all texts of one of the rows."""
    return any(all(text in template for text in row) for row in told_by)
