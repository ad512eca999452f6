"""Schemas of a document that plainly say the same, and references: each is known by one place, and read once."""

from __future__ import annotations

from collections.abc import Hashable

from ..core.errors import SchemaError
from .document import Document
from .formats import PATTERNS
from .keywords import ANNOTATIONS, SAID
from .places import Places
from .shape import FALSE, Node, Place

SCALARS = frozenset((
    "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
    "minLength", "minProperties", "minimum", "multipleOf", "pattern", "uniqueItems",
))   # fmt: skip
LISTS = frozenset(("allOf", "anyOf", "oneOf"))
BEHIND_MAX = 100   # references, each to another one
DEPTH_MAX = 30     # schemas within each other that are compared


class Canon:
    """Gives each place the first one that says the same.

    Unless `strict`, only references are followed: the path of each keyword that is not enforced counts.
    """

    def __init__(self, places: Places, *, strict: bool) -> None:
        self._places, self._strict, self._keywords = places, strict, SAID[places.draft]
        self._of: dict[Place, Place] = {}
        self._first: dict[Hashable, Place] = {}   # by what a schema says
        self._of_part: dict[int, tuple[object, Place]] = {}   # by the id of a schema, and the schema
        self._depth = 0

    def place(self, place: Place) -> Place:
        """Return the place that stands for a schema."""
        found = self._of.get(place)
        if found is None:
            target = self._target(place)
            self._of[place] = found = self._of.get(target) or self._by_content(target)
            self._of.setdefault(target, found)
        return found

    def child(self, place: Place, *steps: str | int) -> Place | bool:
        """Return the place that stands for a part of a schema; True and False stand for themselves."""
        value = place.schema
        for step in steps:
            value = value[step]
        if isinstance(value, bool):
            return value
        known = self._of_part.get(id(value))
        if known is None:
            known = self._of_part[id(value)] = (value, self.place(self._places.child(place, *steps)))
        return known[1]

    def node(self, place: Place, *steps: str | int) -> Node:
        """Return the node of a part of a schema; that of every value is empty."""
        found = self.child(place, *steps)
        if isinstance(found, bool):
            return () if found else (FALSE,)
        return () if found.schema is True or found.schema == {} else (found,)

    def _target(self, place: Place) -> Place:
        """Follow references that have only annotations beside them; what is wrong with one is said when it is read."""
        one = place
        for _ in range(BEHIND_MAX):
            schema = one.schema
            if not isinstance(schema, dict) or "$ref" not in schema or schema.keys() - ANNOTATIONS != {"$ref"}:
                return one
            try:
                one = self._places.find(one, schema["$ref"], "$ref")
            except SchemaError:
                return place
        return place

    def _by_content(self, place: Place) -> Place:
        if not self._strict or not isinstance(place.schema, dict) or self._depth >= DEPTH_MAX:
            return place
        self._depth += 1
        said = self._said(place)
        self._depth -= 1
        return place if said is None else self._first.setdefault(said, place)

    def _said(self, place: Place) -> Hashable | None:
        """Return what a schema says, without annotations; None: it has other keywords than the usual ones."""
        said: list[Hashable] = []
        for keyword, value in place.schema.items():
            if keyword in ANNOTATIONS:
                continue
            what: Hashable | None = None
            if keyword == "type":
                what = value if isinstance(value, str) else _texts(value)
            elif keyword in self._keywords:
                what = self._value(place, keyword, value)
            if what is None:
                return None
            said.append((keyword, what))
        return tuple(said)

    def _value(self, place: Place, keyword: str, value: Document) -> Hashable | None:
        if keyword in SCALARS:
            return (type(value), str(value))
        if keyword in ("enum", "required"):
            return _texts(value)
        if keyword == "format":
            return value if isinstance(value, str) and value in PATTERNS else None
        if keyword == "properties" and isinstance(value, dict):
            return tuple([(name, self._child(place, keyword, name)) for name in value])
        if keyword in ("items", "additionalProperties") and isinstance(value, dict | bool):
            return self._child(place, keyword)
        if keyword in LISTS and isinstance(value, list):
            return tuple([self._child(place, keyword, i) for i in range(len(value))])
        return None

    def _child(self, place: Place, *steps: str | int) -> Place | bool:
        part = place.schema
        for step in steps:
            part = part[step]
        if isinstance(part, bool) or "$ref" not in part:
            return self.child(place, *steps)
        child = self._places.child(place, *steps)
        target = self._target(child)   # what is referred to may have this schema in itself
        return self.place(child) if target == child else self._of.get(target, target)


def _texts(values: Document) -> Hashable | None:
    if isinstance(values, list) and all(isinstance(one, str) for one in values):
        return tuple(values)
    return None
