"""Other ways to write an object than JSON's: its members between texts, its strings as they are.

What is written must be read again in one way. So a string may not have what ends it, and where a value may be a string
or something else, a string that looks like something else is left out: "5" where numbers are allowed, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from .automaton import ANY, LAST, Automaton, Builder, either, literal, without
from .numbers import any_number
from .pattern import pattern
from .reader import Reader
from .rules import Rules
from .shape import Node
from .work import remembered

VALUES = r"""value ::= "null" | "true" | "false" | number | string | array | object
array ::= "[" (value ("," value)*)? "]"
object ::= "{" (pair ("," pair)*)? "}"
pair ::= name ":" value
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?"""
JSON_CONSTANTS = {"null": ("null",), "true": ("true",), "false": ("false",)}


@dataclass(frozen=True)
class Raw:
    """A way to write a string as it is: these strings, between two pieces of GBNF.

    Attributes:
        others: all strings without these characters are among them
    """

    allowed: Automaton
    others: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Style:
    """How an object is written. Texts are GBNF, and may be empty.

    Attributes:
        opens: before a member's name
        middles: behind it, by the kind of value
        closes: behind the value
        comma: between two members
        names: a regular expression of the names that can be written
        raws: the ways to write a string; (): in quotes
        also: other ways to write those in quotes
        constants: the ways to write null, true and false
        quote: the mark around strings, wherever they are; None: JSON's
    """

    opens: str
    middles: Mapping[str, str]
    closes: str
    comma: str
    names: str
    raws: tuple[Raw, ...] = ()
    also: tuple[Raw, ...] = ()
    constants: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: JSON_CONSTANTS)
    quote: Quote | None = None

    def look(self, kinds: Iterable[str]) -> frozenset[str]:
        """Return which of some kinds only differ from strings by how values look."""
        if not self.raws:
            return frozenset()
        return frozenset(kind for kind in kinds if kind != "string" and self.middles[kind] == self.middles["string"])

    def similar(self, kinds: frozenset[str]) -> Automaton | None:
        """Return the strings that look like a value of one of these kinds."""
        found = []
        constants = {"null": ("null",), "boolean": ("true", "false")}
        for kind in sorted(kinds):
            if kind in constants:
                found.append(literal(text for one in constants[kind] for text in self.constants[one]))
            elif kind == "number":
                found.append(any_number())
            else:
                found.append(beginning("[" if kind == "array" else "{"))
        return reduce(either, found) if found else None

    def common(self) -> str:
        """Return the rule "raw", of all strings, and what it needs; "" if strings are in quotes."""
        if not self.raws:
            return ""
        rules = Rules(["#"], prefix="raw-")
        rules.of["raw"] = [
            tuple(filter(None, (raw.before, rules.automaton(raw.allowed, is_json=False), raw.after)))
            for raw in self.raws
        ]  # fmt: skip
        return "\n".join(rules.lines("raw"))


@dataclass(frozen=True)
class Quote:
    """A mark around strings that have no escapes, and the regular expression of names, which have no quotes."""

    raw: Raw
    names: str

    def common(self) -> str:
        """Return the rules of all values, written so."""
        rules = Rules(["#"], prefix="raw-")
        rules.of["string"] = [(self.raw.before, rules.automaton(self.raw.allowed, is_json=False), self.raw.after)]
        rules.of["name"] = [(rules.automaton(pattern(f"^(?:{self.names})$"), is_json=False),)]
        return "\n".join([VALUES, *rules.lines("string")])


def kinds_of(reader: Reader, node: Node) -> frozenset[str]:
    """Return which kinds of values a node allows."""
    found = set()
    for shape in reader.shapes(node):
        found |= {"null" if one == "null" else "boolean" for one in shape.constants}
        parts = {"number": shape.number, "string": shape.string, "array": shape.array, "object": shape.object}
        found |= {kind for kind, part in parts.items() if part is not None}
    return frozenset(found)


def kinds_of_members(reader: Reader) -> dict[str, frozenset[str]]:
    """Return which kinds of values the members that an object lists may have, in the schema's order."""
    shapes = [shape.object for shape in reader.shapes((reader.places.root,)) if shape.object is not None]
    names = dict.fromkeys(name for members in shapes for name in members.known)
    return {
        name: frozenset[str]().union(*(kinds_of(reader, members.of(name)) for members in shapes)) for name in names
    }


def raw_without(mark: str, before: str = "", after: str = "") -> Raw:
    """Return the strings that a mark is not in."""
    rare = next((char for char in mark if not char.isascii()), "<" if "<" in mark else mark[:1])
    return Raw(lacking(mark), rare, before, after)


@remembered
def lacking(text: str) -> Automaton:
    """Return the texts that a text is not in."""
    if not text:
        return ANY
    builder = Builder()
    first = at = builder.state()
    builder.reads[first].append((0, LAST, first))
    for char in text:
        to = builder.state()
        builder.reads[at].append((ord(char), ord(char), to))
        at = to
    builder.reads[at].append((0, LAST, at))
    return without(ANY, builder.finish(first, at))


@remembered
def beginning(text: str) -> Automaton:
    """Return the texts that begin with a text."""
    edges = [((ord(char), ord(char), i + 1),) for i, char in enumerate(text)]
    return Automaton((*edges, ((0, LAST, len(text)),)), (*([False] * len(text)), True))


@remembered
def of_others(characters: str) -> Automaton:
    """Return the texts that have none of some characters."""
    edges, at = [], 0
    for code in [*sorted(map(ord, characters)), LAST + 1]:
        edges += [(at, code - 1, 0)] if at < code else []
        at = code + 1
    return Automaton((tuple(edges),), (True,))
