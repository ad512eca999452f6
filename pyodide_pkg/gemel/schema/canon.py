"""Schemas of a document that plainly say the same, and references: each is known by one place, and read once."""

from __future__ import annotations

from collections.abc import Hashable

from ..core.errors import SchemaError
from .document import Document
from .formats import PATTERNS
from .keywords import ANNOTATIONS, is_of
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
        self._places, self._strict = places, strict
        self._of: dict[Place, Place] = {}
        self._first: dict[Hashable, Place] = {}   # by what a schema says
        self._depth = 0

    def place(self, place: Place) -> Place:
        """Return the place that stands for a schema."""
        found = self._of.get(place)
        if found is None:
            target = self._target(place)
            self._of[place] = found = self._of.get(target) or self._by_content(target)
            self._of.setdefault(target, found)
        return found

    def node(self, place: Place) -> Node:
        """Return the node of one schema; that of every value is empty."""
        if place.schema is True or place.schema == {}:
            return ()
        if place.schema is False:
            return (FALSE,)
        found = self.place(place)
        return () if found.schema is True or found.schema == {} else (found,)

    def _target(self, place: Place) -> Place:
        """Follow references that have only annotations beside them; what is wrong with one is said when it is read."""
        one = place
        for _ in range(BEHIND_MAX):
            schema = one.schema
            if not isinstance(schema, dict) or "$ref" not in schema or not schema.keys() - ANNOTATIONS == {"$ref"}:
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
            what = self._value(place, keyword, value) if is_of(keyword, self._places.draft) else None
            if what is None:
                return None
            said.append((keyword, what))
        return tuple(said)

    def _value(self, place: Place, keyword: str, value: Document) -> Hashable | None:
        if keyword in SCALARS:
            return (type(value), str(value))
        if keyword == "type":
            return value if isinstance(value, str) else _texts(value)
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
        child = self._places.child(place, *steps)
        if isinstance(child.schema, bool):
            return child.schema
        target = self._target(child)   # what is referred to may have this schema in itself
        return self.place(child) if target == child else self._of.get(target, target)


def _texts(values: Document) -> Hashable | None:
    if isinstance(values, list) and all(isinstance(one, str) for one in values):
        return tuple(values)
    return None
