"""Schemas to shapes: each keyword becomes what it allows. What can't be enforced is an error that names its path."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial, reduce
from typing import Any, TypeVar

from . import numbers
from .automaton import STATES_MAX, Automaton, TooLargeError, both, either, n_counted
from .canon import Canon
from .document import Document, escaped, same
from .errors import OPPOSITE, NotEnforcedError, not_enforced, refused
from .evaluated import evaluated_items, evaluated_members
from .formats import format_of
from .keywords import KINDS, ignored, is_of, whole
from .opposites import forbidden, opposite
from .pattern import PatternError, pattern
from .places import Places
from .possible import Possible
from .shape import (
    ANY_ITEMS,
    ANY_MEMBERS,
    ANY_TEXT,
    COMPARED_MAX,
    CONSTANTS,
    FALSE,
    Contained,
    ItemLayer,
    Items,
    MemberLayer,
    Members,
    Node,
    Place,
    Shape,
    Text,
    Union,
    merged,
)  # fmt: skip
from .work import spend

TOO_LONG = (
    f"a pattern or format and a length together need more than {STATES_MAX} states: give a shorter maxLength, or none"
)
T = TypeVar("T")
ALTERNATIVES_MAX = 400
PREFIX_MAX = 64   # places of a node
PAIRS_MAX, PRUNED_FROM = 10 * ALTERNATIVES_MAX, 8


class Reader:
    """Reads the schemas of one document, each once.

    Unless it is strict, keywords that can't be enforced allow all values: what it returns allows all valid values, and
    maybe others. The opposite of such a schema can't be said.
    """

    def __init__(self, places: Places, *, strict: bool = True) -> None:
        self.places, self.strict = places, strict
        self.unenforced: list[str] = []   # paths
        self.draft = places.draft
        self._canon = Canon(places, strict=strict)
        self.warnings: list[str] = []
        self._read: dict[str, list[Shape]] = {}
        self._of_pattern: dict[str, Automaton] = {}
        self.path = [places.root.path]    # of the schema that is read last; a list, so that others see it
        self._reading: list[str] = []
        self._loose: set[str] = set()     # paths of schemas that are not enforced as a whole
        self._opposites: dict[str, Node] = {}   # what a path is the opposite of
        self._shapes: dict[Node, list[Shape]] = {}
        self._anything: Shape | None = None
        self.possible = Possible(self.shapes, self._reading)

    # ---- Nodes ------------------------------------------------------------------------------------------------------

    def shapes(self, node: Node) -> list[Shape]:
        """Return what a node allows, as a union."""
        if node not in self._shapes and self._is_contradiction(node):
            self._shapes[node] = []
        if node not in self._shapes:
            whole = range(len(node)) if 2 < len(node) <= PREFIX_MAX else ()
            known = next((i for i in whole if (*node[:i], *node[i + 1 :]) in self._shapes), -1)
            if known >= 0:   # a node often adds one place to another node
                before: Union = self._shapes[(*node[:known], *node[known + 1 :])]
                self._shapes[node] = [shape for shape in self._also(node[known], before) if not shape.is_empty]
            else:
                self._read_in_order(node)
        return self._shapes[node]

    def _read_in_order(self, node: Node) -> None:
        """Note what a node allows, from its longest beginning that is known on."""
        is_short = len(node) <= PREFIX_MAX   # such nodes share how they begin
        n = len(node) - 1 if is_short else 0
        while n > 0 and node[:n] not in self._shapes:
            n -= 1
        found = self._shapes[node[:n]] if n > 0 else [self.anything()]
        if not node:
            self._shapes[node] = found
        for i in range(max(n, 0), len(node)):
            found = [shape for shape in self._also(node[i], found) if not shape.is_empty]
            if is_short or i == len(node) - 1:
                self._shapes[node[: i + 1]] = found

    def _is_contradiction(self, node: Node) -> bool:
        """Whether a node needs what another part of it forbids."""
        if not self._opposites:
            return False
        opposites = [self._opposites[place] for place in node if place in self._opposites]
        own = set(node) if opposites else set()
        return any(map(own.issuperset, opposites))

    def _also(self, place: Place, found: Union) -> list[Shape]:
        if self.strict:
            return self.all_of(place, found, self.of(place))
        return self.relaxed(lambda: self.all_of(place, found, self.of(place)), lambda: list(found))

    def of(self, place: Place) -> list[Shape]:
        """Return what a schema allows."""
        if place in self._read:
            if place in self._loose:
                self._loose.update(self._reading)
            return self._read[place]
        if place.path in self._reading:
            raise refused(place.path, "it refers to itself without a value in between")
        self._reading.append(place.path)
        self.path[0] = place.path
        try:
            found = self._alternatives(place)
        except RecursionError:
            raise refused(place.path, "schemas are nested too deep") from None
        finally:
            self._reading.pop()
        self._read[place.path] = found
        return found

    def relaxed(self, make: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return make(); if that can't be enforced, and need not be, note it and return otherwise()."""
        try:
            return make()
        except NotEnforcedError as error:
            if self.strict:
                raise
            self.unenforced.append(error.path)
            self._loose.update(self._reading)
            return otherwise()

    # ---- Sets of shapes ---------------------------------------------------------------------------------------------

    def anything(self) -> Shape:
        """Return all values."""
        if self._anything is None:
            self._anything = Shape(CONSTANTS, numbers.any_number(), ANY_TEXT, ANY_ITEMS, ANY_MEMBERS)
        return self._anything

    def all_of(self, place: Place, a: Union, b: Union) -> list[Shape]:
        """Return the values that are in both unions."""
        everything = self.anything()
        if len(a) == 1 and a[0] is everything:
            return list(b)
        if len(b) == 1 and (b[0] is everything or b[0] == everything):
            return list(a)
        if len(a) == len(b) == 1:
            spend(20)
            one = self._guarded(place, lambda: a[0] & b[0])
            return [] if one.is_empty else [one]
        if len(a) * len(b) > PAIRS_MAX:
            raise not_enforced(place.path, f"more than {PAIRS_MAX} combinations of alternatives")
        spend(20 * len(a) * len(b))
        found = self._guarded(place, lambda: [x & y for x in a for y in b])
        found = self._few(place, [shape for shape in found if not shape.is_empty], most=PAIRS_MAX)
        if len(found) > PRUNED_FROM:   # contradictions, such as between the tags of alternatives, don't add up
            pruned = [self._pruned(shape) for shape in found]
            if any(map(operator.is_not, pruned, found)):
                found = self._few(place, [shape for shape in pruned if not shape.is_empty], most=PAIRS_MAX)
        return self._at_most(place, found, ALTERNATIVES_MAX)

    def _pruned(self, shape: Shape) -> Shape:
        """Return it without objects if no object is in it."""
        if shape.object is None or self.possible.shape(Shape(object=shape.object)):
            return shape
        return Shape(shape.constants, shape.number, shape.string, shape.array)

    def _few(self, place: Place, union: list[Shape], *, most: int = ALTERNATIVES_MAX) -> list[Shape]:
        spend(5 * len(union) + min(len(union), COMPARED_MAX) ** 2)
        return self._at_most(place, merged(union) if len(union) > 1 else union, most)

    def _at_most(self, place: Place, union: list[Shape], most: int) -> list[Shape]:
        if len(union) > most:
            raise not_enforced(place.path, f"more than {most} alternatives")
        return union

    def _guarded(self, place: Place, make: Callable[[], T]) -> T:
        try:
            return make()
        except TooLargeError:
            raise not_enforced(place.path, "what it allows needs too many states: shorten or split it") from None

    def without(self, place: Place, other: Place) -> list[Shape]:
        """Return all values that another schema does not allow."""
        union = self.of(other)
        if other.path in self._loose:
            raise not_enforced(place.path, "the opposite of what can't be enforced can't be, either")
        found: list[Shape] = [self.anything()]
        for shape in union:
            found = self.all_of(place, found, self._guarded(place, partial(opposite, place, shape, self.negated)))
        return found

    def negated(self, node: Node) -> Node:
        """Return the node of values that do not satisfy a node."""
        if not node:
            return (FALSE,)
        if FALSE in node:
            return ()
        if len(node) == 1 and node[0].path in self._opposites:
            return self._opposites[node[0].path]
        path = ",".join(place.path + OPPOSITE for place in node)
        if path not in self._opposites:
            self._opposites[path] = node
            if len(node) > 1:   # of values that one of them does not allow
                for place in node:
                    self.negated((place,))
        return (Place(path, True),)

    # ---- Keywords ---------------------------------------------------------------------------------------------------

    def _alternatives(self, place: Place) -> list[Shape]:
        schema = place.schema
        if place.path in self._opposites:
            node = self._opposites[place.path]
            if len(node) == 1:
                return self.without(place, node[0])
            return self._few(place, [shape for one in node for shape in self.of(self.negated((one,))[0])])
        if schema is True:
            return [self.anything()]
        if schema is False:
            return []
        said_nothing = [f"{place.path}/{escaped(keyword)}: {why}" for keyword, why in ignored(schema, self.draft)]
        if "$ref" in schema and self.draft <= 7:
            self.warnings += said_nothing
            return self.of(self.places.find(place, schema["$ref"], "$ref"))
        found: list[Shape] = [self._guarded(place, lambda: self._shape(place))]
        self.warnings += said_nothing
        for keyword, value in schema.items():
            read = COMBINATIONS.get(keyword)
            if read is not None and is_of(keyword, self.draft):
                found = self.relaxed(
                    partial(self._combined, place, found, partial(read, self, place, value)),
                    partial(self._less, place, keyword, found),
                )
        return [shape for shape in found if not shape.is_empty]

    def _combined(self, place: Place, found: Union, read: Callable[[], list[Shape]]) -> list[Shape]:
        return self.all_of(place, found, read())

    def _less(self, place: Place, keyword: str, found: Union) -> list[Shape]:
        """Return what is left of a keyword that is not enforced."""
        if keyword != "oneOf":
            return list(found)
        return self.relaxed(lambda: self.all_of(place, found, self._any_of_one_of(place)), lambda: list(found))


    def _unevaluated_items(self, place: Place, value: object) -> list[Shape]:
        found = None if value is True else evaluated_items(place, self.draft)
        if found is None:
            return [self.anything()]
        layer = ItemLayer(((),) * found, self._node(place, "unevaluatedItems"))
        return [replace(self.anything(), array=Items((layer,)))]

    def _unevaluated_properties(self, place: Place, value: object) -> list[Shape]:
        found = None if value is True else evaluated_members(place, self.places)
        if found is None:
            return [self.anything()]
        names, sources = found
        at = f"{place.path}/unevaluatedProperties"
        patterns = tuple((self._pattern(at, source), ()) for source in sources)
        layer = MemberLayer(tuple((name, ()) for name in names), patterns, self._node(place, "unevaluatedProperties"))
        return [replace(self.anything(), object=Members((layer,)))]

    def _whole(self, place: Place, keyword: str) -> int | None:
        """Return a keyword's value, an integer from 0 on; None: it is absent."""
        return whole(place.schema[keyword]) if keyword in place.schema else None

    def _child(self, place: Place, *steps: str | int) -> Place:
        return self.places.child(place, *steps)

    def _node(self, place: Place, *steps: str | int) -> Node:
        return self._canon.node(place, *steps)

    def _shape(self, place: Place) -> Shape:
        kinds = self._kinds(place)
        has = kinds.__contains__
        constants = {"null"} if has("null") else set()
        constants |= {"true", "false"} if has("boolean") else set()
        number = self._number(place, is_integer=not has("number")) if has("number") or has("integer") else None
        return Shape(
            frozenset(constants), number, self._string(place) if has("string") else None,
            self._items(place) if has("array") else None, self._members(place) if has("object") else None,
        ).tidied()   # fmt: skip

    def _kinds(self, place: Place) -> frozenset[str]:
        value = place.schema.get("type", list(KINDS))
        return frozenset([value] if isinstance(value, str) else value)

    def _number(self, place: Place, *, is_integer: bool) -> Automaton:
        schema = place.schema
        found = numbers.integers(with_fraction=self.draft > 4) if is_integer else numbers.any_number()
        for keyword, strict, is_least in (
            ("minimum", "exclusiveMinimum", True), ("maximum", "exclusiveMaximum", False),
        ):   # fmt: skip
            is_strict = self.draft == 4 and schema.get(strict) is True
            found = self._bounded(place, keyword, found, is_least=is_least, is_strict=is_strict)
            if self.draft > 4:
                found = self._bounded(place, strict, found, is_least=is_least, is_strict=True)
        if "multipleOf" in schema:
            at, step = f"{place.path}/multipleOf", schema["multipleOf"]
            found = self.relaxed(lambda: self._multiples(at, found, step), lambda: found)
        return found

    def _bounded(
        self, place: Place, keyword: str, found: Automaton, *, is_least: bool, is_strict: bool
    ) -> Automaton:
        if keyword not in place.schema:
            return found
        value = place.schema[keyword]
        at = Place(f"{place.path}/{keyword}", None)

        def make() -> Automaton:
            return self._guarded(at, lambda: both(found, numbers.bound(value, is_least=is_least, is_strict=is_strict)))

        return self.relaxed(make, lambda: found)

    def _multiples(self, at: str, found: Automaton, step: int | Decimal) -> Automaton:
        try:
            return both(found, numbers.multiples(step))
        except TooLargeError:
            why = f"must be at most {numbers.MODULUS_MAX} units of its last decimal place"
            raise not_enforced(at, why) from None

    def _string(self, place: Place) -> Text:
        schema = place.schema
        text = Text(None, self._whole(place, "minLength") or 0, self._whole(place, "maxLength"))
        if "pattern" in schema:
            at = Place(f"{place.path}/pattern", None)
            matching = Text(self._pattern(at.path, schema["pattern"]))
            text = self.relaxed(lambda: self._guarded(at, lambda: text & matching), lambda: text)
        if "format" in schema:
            found = format_of(schema["format"])
            if found is None:
                self.warnings.append(f"{place.path}/format: {schema['format']!r} is not enforced")
            else:
                at = Place(f"{place.path}/format", None)
                text = self.relaxed(lambda: self._guarded(at, lambda: text & Text(found)), lambda: text)
        if text.automaton is not None and (text.least or text.most is not None):
            at = Place(f"{place.path}/{'minLength' if text.most is None else 'maxLength'}", None)
            text = self.relaxed(lambda: self._limited(at, text), lambda: Text(text.automaton))
        return text

    def _limited(self, at: Place, text: Text) -> Text:
        self.path[0] = at.path
        try:
            if text.is_counted:   # looked at here, so that its error names the keyword
                n_counted(text.at_least, text.most or 0)
            else:
                text.whole   # noqa: B018
        except TooLargeError:
            raise not_enforced(at.path, TOO_LONG) from None
        return text

    def _pattern(self, at: str, source: str) -> Automaton:
        self.path[0] = at
        try:
            if source not in self._of_pattern:
                self._of_pattern[source] = pattern(source)
            return self._of_pattern[source]
        except PatternError as error:
            raise refused(at, str(error)) from None
        except (TooLargeError, RecursionError):
            raise refused(at, "needs too many states: shorten it") from None

    def _items(self, place: Place) -> Items:
        schema = place.schema
        tuple_of, rest_of = ("prefixItems", "items") if self.draft >= 2020 else ("items", "additionalItems")
        prefix: list[Node] = []
        rest: Node = ()
        if isinstance(schema.get(tuple_of), list):
            prefix = [self._node(place, tuple_of, i) for i in range(len(schema[tuple_of]))]
            rest = self._node(place, rest_of) if rest_of in schema else ()
        elif "items" in schema:
            rest = self._node(place, "items")
        contains: tuple[Contained, ...] = ()
        if "contains" in schema and self.draft >= 6:
            least = self._whole(place, "minContains") if self.draft >= 2019 else None
            most = self._whole(place, "maxContains") if self.draft >= 2019 else None
            one = Contained(self._node(place, "contains"), 1 if least is None else least, most)
            contains = (one,) if one.least or most is not None else ()
        layers = (ItemLayer(tuple(prefix), rest),) if any(prefix) or rest else ()
        return Items(
            layers, self._whole(place, "minItems") or 0, self._whole(place, "maxItems"), contains,
            schema.get("uniqueItems") is True,
        )   # fmt: skip

    def _members(self, place: Place) -> Members:
        schema = place.schema
        named = schema.get("properties", {})
        known = tuple((name, self._node(place, "properties", name)) for name in named)
        at = f"{place.path}/patternProperties"
        patterns = tuple(
            (self._pattern(f"{at}/{escaped(source)}", source), self._node(place, "patternProperties", source))
            for source in schema.get("patternProperties", {})
        )
        rest = self._node(place, "additionalProperties") if "additionalProperties" in schema else ()
        required = schema.get("required", [])
        layers = (MemberLayer(known, patterns, rest),) if known or patterns or rest else ()
        return Members(
            layers, tuple(dict.fromkeys(required)), self._whole(place, "minProperties") or 0,
            self._whole(place, "maxProperties"), self.relaxed(lambda: self._names(place), Text),
        )   # fmt: skip

    def _names(self, place: Place) -> Text:
        if "propertyNames" not in place.schema or self.draft < 6:
            return ANY_TEXT
        found = [shape.string for shape in self.of(self._child(place, "propertyNames")) if shape.string is not None]
        if not found:
            return Text(most=0) & Text(least=1)
        if len(found) == 1:
            return found[0]
        return Text(self._guarded(place, lambda: reduce(either, (one.whole for one in found))))

    # ---- Keywords that combine schemas ------------------------------------------------------------------------------

    def _list(self, place: Place, keyword: str) -> list[Place]:
        found = [self._canon.child(place, keyword, i) for i in range(len(place.schema[keyword]))]
        return [self._child(place, keyword, i) if isinstance(one, bool) else one for i, one in enumerate(found)]

    def _all_of(self, place: Place, _: object) -> list[Shape]:
        found: list[Shape] = [self.anything()]
        for one in self._list(place, "allOf"):
            found = self.all_of(place, found, self.of(one))
        return found

    def _any_of(self, place: Place, _: object) -> list[Shape]:
        return self._few(place, [shape for one in self._list(place, "anyOf") for shape in self.of(one)])

    def _one_of(self, place: Place, _: object) -> list[Shape]:
        at = Place(f"{place.path}/oneOf", place.schema["oneOf"], place.base)
        parts = [self.of(one) for one in self._list(place, "oneOf")]
        found: list[Shape] = []
        overlaps = self._overlaps(at, parts)
        for i, part in enumerate(parts):
            only = self._few(place, part)
            for k, other in enumerate(self._list(place, "oneOf")):
                only = self.all_of(at, only, self.without(at, other)) if (i, k) in overlaps else only
            found = self._few(place, found + only)
        return found

    def _overlaps(self, at: Place, parts: list[list[Shape]]) -> set[tuple[int, int]]:
        """Return which two parts a value may satisfy at the same time, both ways."""
        found = set()
        for i, a in enumerate(parts):
            for k, b in enumerate(parts[:i]):
                if any(map(self.possible.shape, self.all_of(at, a, b))):
                    found |= {(i, k), (k, i)}
        return found

    def _any_of_one_of(self, place: Place) -> list[Shape]:
        return [shape for one in self._list(place, "oneOf") for shape in self.of(one)]

    def _negated(self, place: Place, _: object) -> list[Shape]:
        child = self._child(place, "not")
        return self.without(child, child)

    def _if(self, place: Place, _: object) -> list[Shape]:
        schema = place.schema
        if "then" not in schema and "else" not in schema:
            return [self.anything()]
        at = Place(f"{place.path}/if", schema["if"], place.base)
        holds = self.of(self._child(place, "if"))
        found = self.all_of(place, holds, self.of(self._child(place, "then"))) if "then" in schema else list(holds)
        other = self.relaxed(lambda: self.without(at, self._child(place, "if")), lambda: [self.anything()])
        if "else" in schema:
            other = self.all_of(place, other, self.of(self._child(place, "else")))
        return self._few(place, found + other)

    def _ref(self, place: Place, value: object) -> list[Shape]:
        return self.of(self.places.find(place, value, "$ref"))

    def _dynamic_ref(self, place: Place, value: object) -> list[Shape]:
        name = str(value).partition("#")[2]
        targets = self.places.dynamic_targets(place, value)
        if len(targets) > 1:
            raise not_enforced(f"{place.path}/$dynamicRef", f"there are several $dynamicAnchor {name!r}")
        return self.of(targets[0])

    def _recursive_ref(self, place: Place, value: object) -> list[Shape]:
        targets = self.places.recursive_targets(place, value)
        if len(targets) > 1:
            raise not_enforced(f"{place.path}/$recursiveRef", "$recursiveAnchor can't be enforced: use $ref")
        return self.of(targets[0])

    def _const(self, place: Place, value: Any) -> list[Shape]:  # noqa: ANN401
        return self._guarded(place, lambda: self.exactly([value]))

    def _enum(self, place: Place, value: Any) -> list[Shape]:  # noqa: ANN401
        return self._guarded(place, lambda: self.exactly(value))

    def exactly(self, values: Iterable[Document]) -> list[Shape]:
        """Return these values."""
        constants, texts, amounts = set(), [], []
        found = []
        for value in {same(one): one for one in values}.values():
            spend(5)
            if value is None or isinstance(value, bool):
                constants.add(json.dumps(value))
            elif isinstance(value, str):
                texts.append(value)
            elif isinstance(value, int | Decimal):
                amounts.append(value)
            elif isinstance(value, list):
                layer = ItemLayer(tuple(exact_node(one) for one in value), (FALSE,))
                found.append(Shape(array=Items((layer,), len(value), len(value))))
            else:
                known = tuple((name, exact_node(one)) for name, one in value.items())
                layer_of = MemberLayer(known, (), (FALSE,))
                found.append(Shape(object=Members((layer_of,), tuple(value))))
        number = numbers.values(amounts) if amounts else None
        scalars = Shape(frozenset(constants), number, Text(texts=frozenset(texts)) if texts else None)
        return found if scalars.is_empty else [scalars, *found]

    def _dependencies(self, place: Place, _: object, keyword: str = "dependencies") -> list[Shape]:
        found: list[Shape] = [self.anything()]
        for name, value in place.schema[keyword].items():
            absent = Shape(**{**vars(self.anything()), "object": forbidden(name)})
            if isinstance(value, list):
                there: Union = [Shape(object=Members(required=(name, *value)))]
            else:
                there = self.all_of(
                    place, [Shape(object=Members(required=(name,)))], self.of(self._child(place, keyword, name))
                )
            found = self.all_of(place, found, [absent, *there])
        return found

    def _dependent_required(self, place: Place, value: object) -> list[Shape]:
        return self._dependencies(place, value, "dependentRequired")

    def _dependent_schemas(self, place: Place, value: object) -> list[Shape]:
        return self._dependencies(place, value, "dependentSchemas")


def exact_node(value: Document) -> Node:
    """Return the node of one value."""
    return (Place(f"enum {same(value)}", {"enum": [value]}),)


COMBINATIONS: Mapping[str, Callable[[Reader, Place, object], list[Shape]]] = {
    "allOf": Reader._all_of, "anyOf": Reader._any_of, "oneOf": Reader._one_of, "not": Reader._negated,
    "if": Reader._if, "$ref": Reader._ref, "$dynamicRef": Reader._dynamic_ref, "$recursiveRef": Reader._recursive_ref,
    "const": Reader._const, "enum": Reader._enum, "dependencies": Reader._dependencies,
    "unevaluatedItems": Reader._unevaluated_items, "unevaluatedProperties": Reader._unevaluated_properties,
    "dependentRequired": Reader._dependent_required, "dependentSchemas": Reader._dependent_schemas,
}   # fmt: skip
