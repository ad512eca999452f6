"""What a JSON value may be, by kind: unions of shapes, which can be intersected.

A node is what a place in a value must satisfy: schemas that all apply there. It is read when it is needed, so a schema
may refer to itself. No object here changes once it is made; they are not frozen because that triples the time that
making one takes, and a schema makes many thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeVar

from .automaton import ANY, Automaton, both, lengths, literal, nearest_end, of_length, without
from .lazy import lazy

T = TypeVar("T")
COMPARED_MAX = 100   # alternatives that are compared with each other
CONSTANTS = frozenset(("null", "true", "false"))


class Place(str):
    """A schema and its path, such as #/properties/a. It is the text of its path: that compares and hashes fast.

    Attributes:
        schema: an object, True or False
        base: the URI that its references are relative to
    """

    __slots__ = ("base", "schema")
    schema: Any
    base: str

    def __new__(cls, path: str, schema: Any, base: str = "") -> Place:  # noqa: ANN401
        """Make one."""
        made = super().__new__(cls, path)
        made.schema, made.base = schema, base
        return made

    @property
    def path(self) -> str:
        """Its path."""
        return self


Node = tuple[Place, ...]   # sorted; (): any value


FALSE = Place("false", False)   # no value


def joined(*nodes: Node) -> Node:
    """Return what satisfies all of them."""
    some = [node for node in nodes if node]
    if len(some) < 2:
        return some[0] if some else ()
    return tuple(sorted({place for node in some for place in node}))


@dataclass(unsafe_hash=True)
class Text:
    """Strings: these texts, or those of least..most characters that are in the automaton, if there is one.

    Attributes:
        excluded: these texts are not in it
    """

    automaton: Automaton | None = None
    least: int = 0
    most: int | None = None
    texts: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()

    def __and__(self, other: Text) -> Text:
        if self is other or other is ANY_TEXT:
            return self
        if self is ANY_TEXT:
            return other
        if self.texts is not None:
            return Text(texts=frozenset(filter(other.accepts, self.texts)))
        if other.texts is not None:
            return other & self
        a, b = self.automaton, other.automaton
        return Text(
            both(a, b) if a and b and a is not b else a or b, max(self.least, other.least),
            smaller(self.most, other.most), None, self.excluded | other.excluded,
        )   # fmt: skip

    @property
    def is_any(self) -> bool:
        """Whether every string is in it."""
        return self is ANY_TEXT or self == ANY_TEXT

    @property
    def is_length(self) -> bool:
        """Whether it has all strings of some lengths, and no others."""
        is_all = self.automaton is None and self.texts is None and not self.excluded
        return is_all and bool(self.least or self.most is not None) and not self.is_empty

    def accepts(self, text: str) -> bool:
        """Return whether a string is in it."""
        if self.texts is not None:
            return text in self.texts
        if len(text) < self.least or (self.most is not None and len(text) > self.most) or text in self.excluded:
            return False
        return self.automaton is None or self.automaton.accepts(text)

    @lazy
    def whole(self) -> Automaton:
        """One automaton for all of it."""
        if self.texts is not None:
            return literal(self.texts)
        if self.excluded:
            return without(replace(self, excluded=frozenset()).whole, literal(self.excluded))
        if not self.least and self.most is None:
            return self.automaton or ANY
        return of_length(self.automaton, self.least, self.most) if self.automaton else lengths(self.least, self.most)

    @lazy
    def at_least(self) -> Automaton:
        """One automaton for the strings of `automaton` that have `least` characters, whatever the most."""
        return of_length(self.automaton or ANY, self.least, None)

    @property
    def is_counted(self) -> bool:
        """Whether an automaton and the most characters of its texts say all of it."""
        return self.automaton is not None and self.most is not None and not self.excluded

    @lazy
    def is_empty(self) -> bool:
        """Whether no string is in it."""
        if self.texts is not None:
            return not self.texts
        if self.most is not None and self.most < self.least:
            return True
        if self.automaton is None and (not self.excluded or self.most is None):
            return False
        if self.is_counted:
            return self.at_least.is_empty or nearest_end(self.at_least)[0] > (self.most or 0)
        return self.whole.is_empty

    @property
    def opposite(self) -> list[Text]:
        """All other strings, as a union."""
        if self.texts is not None:
            return [Text(excluded=self.texts)]
        plain = replace(self, excluded=frozenset())
        found = [] if plain.is_any else [Text(without(ANY, plain.whole))]
        return [*found, Text(texts=frozenset(filter(plain.accepts, self.excluded)))] if self.excluded else found


ANY_TEXT = Text()


@dataclass(unsafe_hash=True)
class ItemLayer:
    """Items by place, and those behind."""

    prefix: tuple[Node, ...] = ()
    rest: Node = ()

    def at(self, i: int) -> Node:
        """Return what item i must satisfy."""
        return self.prefix[i] if i < len(self.prefix) else self.rest


@dataclass(unsafe_hash=True)
class Contained:
    """least..most items satisfy a node."""

    node: Node
    least: int
    most: int | None


@dataclass(unsafe_hash=True)
class Items:
    """Arrays: what all layers allow."""

    layers: tuple[ItemLayer, ...] = ()
    least: int = 0
    most: int | None = None
    contains: tuple[Contained, ...] = ()
    is_unique: bool = False

    def __and__(self, other: Items) -> Items:
        if self is other or other is ANY_ITEMS:
            return self
        if self is ANY_ITEMS:
            return other
        return Items(
            self.layers + other.layers, max(self.least, other.least), smaller(self.most, other.most),
            self.contains + other.contains, self.is_unique or other.is_unique,
        )   # fmt: skip

    def at(self, i: int) -> Node:
        """Return what item i must satisfy."""
        return joined(*(layer.at(i) for layer in self.layers))

    @property
    def n_prefix(self) -> int:
        """From this item on, all must satisfy the same."""
        return max((len(layer.prefix) for layer in self.layers), default=0)


ANY_ITEMS = Items()


@dataclass
class MemberLayer:
    """Members by name, by pattern of the name, and all others."""

    known: tuple[tuple[str, Node], ...] = ()
    patterns: tuple[tuple[Automaton, Node], ...] = ()
    rest: Node = ()

    @lazy
    def by_name(self) -> dict[str, Node]:
        """The nodes of names that are known."""
        return dict(self.known)

    def __hash__(self) -> int:
        return self._hash

    @lazy
    def _hash(self) -> int:
        return hash((self.known, self.patterns, self.rest))

    def of(self, name: str) -> Node:
        """Return what the value of that name must satisfy."""
        if not self.patterns:
            return self.by_name.get(name, self.rest)
        found = [self.by_name[name]] if name in self.by_name else []
        found += [node for automaton, node in self.patterns if automaton.accepts(name)]
        return joined(*found) if found else self.rest


@dataclass(unsafe_hash=True)
class Some:
    """At least one member whose name is in an automaton satisfies a node."""

    names: Automaton
    node: Node


@dataclass
class Members:
    """Objects: what all layers allow."""

    layers: tuple[MemberLayer, ...] = ()
    required: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    names: Text = ANY_TEXT
    some: tuple[Some, ...] = ()

    def __and__(self, other: Members) -> Members:
        if self is other or other is ANY_MEMBERS:
            return self
        if self is ANY_MEMBERS or (self._hash == other._hash and self == other):
            return other
        required = tuple(dict.fromkeys(self.required + other.required))
        return Members(
            tuple(dict.fromkeys(self.layers + other.layers)), required, max(self.least, other.least),
            smaller(self.most, other.most), self.names & other.names, tuple(dict.fromkeys(self.some + other.some)),
        )   # fmt: skip

    def __hash__(self) -> int:
        return self._hash

    @lazy
    def _hash(self) -> int:
        return hash((self.layers, self.required, self.least, self.most, self.some))

    @lazy
    def _nodes(self) -> dict[str, Node]:
        return {}

    @lazy
    def said(self) -> frozenset[MemberLayer | Some]:
        """What it asks for, besides names and counts."""
        return frozenset((*self.layers, *self.some))

    def is_within(self, other: Members) -> bool:
        """Whether it plainly has all that another one asks for, so that each of its objects is one of the other's."""
        return (
            self.needs >= other.needs and self.said >= other.said and self.least >= other.least
            and other.most in (None, self.most) and (self.names is other.names or self.names == other.names)
        )   # fmt: skip

    def of(self, name: str) -> Node:
        """Return what the value of that name must satisfy."""
        if name not in self._nodes:
            self._nodes[name] = joined(*[layer.of(name) for layer in self.layers])
        return self._nodes[name]

    @lazy
    def needs(self) -> frozenset[str]:
        """The names that are required."""
        return frozenset(self.required)

    @property
    def known(self) -> list[str]:
        """Names that are listed or required, in the schema's order."""
        listed = [name for layer in self.layers for name, _ in layer.known]
        return list(dict.fromkeys([*listed, *self.required]))


ANY_MEMBERS = Members()


@dataclass(unsafe_hash=True)
class Shape:
    """Values of one or more kinds; None: values of that kind are not allowed."""

    constants: frozenset[str] = frozenset()
    number: Automaton | None = None
    string: Text | None = None
    array: Items | None = None
    object: Members | None = None

    def __and__(self, other: Shape) -> Shape:
        if self is other:
            return self
        number = both(self.number, other.number) if self.number and other.number else None
        string = self.string & other.string if self.string is not None and other.string is not None else None
        array = self.array & other.array if self.array is not None and other.array is not None else None
        members = self.object & other.object if self.object is not None and other.object is not None else None
        return Shape(self.constants & other.constants, number, string, array, members).tidied()

    def tidied(self) -> Shape:
        """Return it without kinds that have no value."""
        number = None if self.number is not None and self.number.is_empty else self.number
        string = None if self.string is not None and self.string.is_empty else self.string
        if number is self.number and string is self.string:
            return self
        return Shape(self.constants, number, string, self.array, self.object)

    @property
    def is_empty(self) -> bool:
        """Whether it has no kind."""
        return (
            not self.constants and self.number is None and self.string is None and self.array is None
            and self.object is None
        )   # fmt: skip


Union = Sequence[Shape]   # a value of one of them


def merged(union: Union) -> list[Shape]:
    """Return the same values as few shapes: alternatives of different kinds share one, equal ones are kept once."""
    if len(union) == 1:
        return list(union)
    of_numbers: dict[Automaton, None] = {}
    of_strings: dict[Text, None] = {}
    of_arrays: dict[Items, None] = {}
    of_objects: dict[Members, None] = {}
    for shape in union:
        if shape.number is not None:
            of_numbers[shape.number] = None
        if shape.string is not None:
            of_strings[shape.string] = None
        if shape.array is not None:
            of_arrays[shape.array] = None
        if shape.object is not None:
            of_objects[shape.object] = None
    numbers = list(of_numbers)
    strings, arrays = whole(list(of_strings), ANY_TEXT), whole(list(of_arrays), ANY_ITEMS)
    objects = whole(list(of_objects), ANY_MEMBERS)
    if 1 < len(objects) <= COMPARED_MAX:   # those that are within others are not needed
        kept: list[Members] = []
        for one in objects:
            said = one.said
            if not any(said >= other.said and one.is_within(other) for other in kept):
                kept = [*(other for other in kept if not (other.said >= said and other.is_within(one))), one]
        objects = kept
    listed = [one for one in strings if one.texts is not None]
    if len(listed) > 1:
        texts = frozenset[str]().union(*(one.texts or () for one in listed))
        strings = [Text(texts=texts), *(one for one in strings if one.texts is None)]
    constants = frozenset[str]().union(*(shape.constants for shape in union))
    rows = zip_longest(numbers, strings, arrays, objects)
    return [Shape(frozenset() if i else constants, *row) for i, row in enumerate(rows)] or (
        [Shape(constants)] if constants else []
    )


def whole(kind: list[T], everything: T) -> list[T]:
    """Return alternatives of a kind; one that allows all values stands in for the others."""
    return [everything] if everything in kind else kind


def smaller(a: int | None, b: int | None) -> int | None:
    """Return the smaller limit; None: without limit."""
    return a if b is None else b if a is None else min(a, b)
