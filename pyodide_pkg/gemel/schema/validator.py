"""Whether a finished value is valid by a schema: each keyword as its draft defines it, without a grammar.

The grammar of a schema that can't be enforced as a whole allows more than valid values; this decides about those.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from typing import Any

from .automaton import Automaton, TooLargeError
from .document import Document, as_decimal, document, escaped, same
from .errors import refused
from .formats import format_of
from .pattern import PatternError, pattern
from .places import Places, draft_of
from .shape import Place
from .work import OverBudgetError, limited, spend

Setting = Any     # what a schema gives a keyword
Seen = set[Any]   # members by name, or items by place, that some keyword has looked at
PATH_STEP = 64    # characters of a path that count as one step


class InvalidValueError(ValueError):
    """A value is not valid by a schema.

    Attributes:
        path: where in the value, such as "#/items/0"
        keyword: the path of the keyword in the schema
    """

    def __init__(self, path: str, keyword: str, why: str) -> None:
        super().__init__(f"{path}: {why} ({keyword})")
        self.path, self.keyword = path, keyword


def validate(value: object, schema: Mapping[str, Any] | bool | str) -> None:
    """Raise InvalidValueError unless the value is valid.

    value: what json.loads returns. schema: as compile_schema takes it. Formats are checked where a grammar enforces
    them. SchemaError: the schema is invalid, has a pattern that is not supported or refers to itself without a value
    in between; the value is not JSON; either is nested too deep; or the check takes too many steps.
    """
    with limited():
        try:
            read = document(schema)
            _Validator(Places(read, draft_of(read))).check_root(document(value, root="the value"))
        except RecursionError:
            raise refused("#", "the schema or the value is nested too deep to be checked") from None
        except OverBudgetError:
            raise refused("#", "it takes too many steps to check a value") from None


def is_kind(value: object, kind: str, draft: int) -> bool:
    """Whether a value is of a type of JSON schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int | Decimal):
        if kind == "integer":
            return isinstance(value, int) or (draft > 4 and value == value.to_integral_value())
        return kind == "number"
    kinds: dict[str, type] = {"null": type(None), "string": str, "array": list, "object": dict}
    return kind in kinds and isinstance(value, kinds[kind])


def step_of(path: str, key: object) -> str:
    """Return the path of a part."""
    return f"{path}/{escaped(str(key))}"


class _Validator:
    def __init__(self, places: Places) -> None:
        self.places, self.draft = places, places.draft
        self.scope: list[str] = []   # URIs of the schemas that are being checked, the outermost first
        self.open: set[tuple[str, str]] = set()
        self._checks: dict[str, list[tuple[str, Check]]] = {}   # of each place, the keywords that it has
        self._patterns: dict[str, Automaton] = {}               # by source
        self._keys: dict[str, frozenset[Hashable]] = {}         # of the values of each place's enum or const, by path

    def check_root(self, value: Document) -> None:
        self.check(self.places.root, value, "#")

    def holds(self, place: Place, value: Document, at: str) -> Seen | None:
        """Return what was looked at, or None: the value is not valid."""
        try:
            return self.check(place, value, at)
        except InvalidValueError:
            return None

    def check(self, place: Place, value: Document, at: str) -> Seen:
        schema = place.schema
        size = len(value) if isinstance(value, list | dict) else 0
        spend(15 + size + (len(place.path) + len(at)) // PATH_STEP)
        if schema is False:
            raise InvalidValueError(at, place.path, "nothing is allowed here")
        if not isinstance(schema, dict):
            return set()
        key = (place.path, at)
        if key in self.open:
            raise refused(place.path, "it refers to itself without a value in between")
        self.open.add(key)
        self.scope.append(place.base)
        try:
            if "$ref" in schema and self.draft <= 7:
                return self.check(self.places.find(place, schema["$ref"], "$ref"), value, at)
            return self._keywords(place, value, at)
        finally:
            self.scope.pop()
            self.open.discard(key)

    def child(self, place: Place, *steps: str | int) -> Place:
        return self.places.child(place, *steps)

    def _keywords(self, place: Place, value: Document, at: str) -> Seen:
        seen: Seen = set()
        checks = self._checks.get(place.path)
        if checks is None:
            checks = self._checks[place.path] = [
                (keyword, check) for keyword, (since, until, check) in KEYWORDS.items()
                if keyword in place.schema and since <= self.draft <= until
            ]   # fmt: skip
        for keyword, check in checks:
            found = check(self, place, place.schema[keyword], value, at, seen)
            if found is not True:
                why = found or f"it is not valid by {keyword!r}"
                raise InvalidValueError(at, step_of(place.path, keyword), why)
        return seen

    def accepts(self, automaton: Automaton, text: str) -> bool:
        """Return whether a text is in the set. Counted."""
        spend(len(text) + 1)
        return automaton.accepts(text)

    def found_in(self, text: str, source: str, place: Place, *steps: str) -> bool:
        """Return whether a pattern, which is made once, is found in a text. steps: from the place to the pattern."""
        found = self._patterns.get(source)
        if found is None:
            path = "/".join((place.path, *map(escaped, steps)))
            try:
                found = self._patterns[source] = pattern(source)
            except PatternError as error:
                raise refused(path, str(error)) from None
            except TooLargeError:
                raise refused(path, "needs too many states: shorten it") from None
        return self.accepts(found, text)

    def is_among(self, path: str, values: list[Any], value: Document) -> bool:
        """Return whether a value is one of those that the keyword at a path lists."""
        keys = self._keys.get(path)
        if keys is None:
            keys = self._keys[path] = frozenset(map(key_of, values))
        return key_of(value) in keys

    # ---- Several schemas for one value ------------------------------------------------------------------------------

    def ref(self, place: Place, target: object, value: Document, at: str, seen: Seen) -> bool:
        seen |= self.check(self.places.find(place, target, "$ref"), value, at)
        return True

    def dynamic_ref(self, place: Place, target: object, value: Document, at: str, seen: Seen) -> bool:
        found = self.places.dynamic_target(place, target, self.scope)
        seen |= self.check(found, value, at)
        return True

    def recursive_ref(self, place: Place, target: object, value: Document, at: str, seen: Seen) -> bool:
        seen |= self.check(self.places.recursive_target(place, target, self.scope), value, at)
        return True

    def all_of(self, place: Place, parts: list[Any], value: Document, at: str, seen: Seen) -> bool:
        for i in range(len(parts)):
            seen |= self.check(self.child(place, "allOf", i), value, at)
        return True

    def any_of(self, place: Place, parts: list[Any], value: Document, at: str, seen: Seen) -> bool:
        found = [self.holds(self.child(place, "anyOf", i), value, at) for i in range(len(parts))]
        seen.update(*(one for one in found if one is not None))
        return any(one is not None for one in found)

    def one_of(self, place: Place, parts: list[Any], value: Document, at: str, seen: Seen) -> str | bool:
        found = [self.holds(self.child(place, "oneOf", i), value, at) for i in range(len(parts))]
        valid = [one for one in found if one is not None]
        seen.update(*valid)
        return len(valid) == 1 or f"{len(valid)} of the alternatives are valid, not one"

    def negated(self, place: Place, _: object, value: Document, at: str, _seen: Seen) -> bool:
        return self.holds(self.child(place, "not"), value, at) is None

    def condition(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        found = self.holds(self.child(place, "if"), value, at)
        seen |= found or set()
        then = "else" if found is None else "then"
        if then in place.schema:
            seen |= self.check(self.child(place, then), value, at)
        return True

    # ---- Arrays -----------------------------------------------------------------------------------------------------

    def prefix(self, place: Place, parts: Setting, value: Document, at: str, seen: Seen) -> bool:
        keyword = "prefixItems" if self.draft >= 2020 else "items"
        for i, one in enumerate(value[: len(parts)] if isinstance(value, list) else ()):
            self.check(self.child(place, keyword, i), one, step_of(at, i))
            seen.add(i)
        return True

    def _rest(self, place: Place, keyword: str, first: int, value: Document, at: str, seen: Seen) -> bool:
        for i, one in enumerate(value if isinstance(value, list) else ()):
            if i >= first:
                self.check(self.child(place, keyword), one, step_of(at, i))
                seen.add(i)
        return True

    def items(self, place: Place, parts: object, value: Document, at: str, seen: Seen) -> bool:
        if isinstance(parts, list) and self.draft < 2020:
            return self.prefix(place, parts, value, at, seen)
        first = len(place.schema.get("prefixItems", ())) if self.draft >= 2020 else 0
        return self._rest(place, "items", first, value, at, seen)

    def additional_items(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        listed = place.schema.get("items")
        if not isinstance(listed, list):
            return True
        return self._rest(place, "additionalItems", len(listed), value, at, seen)

    def contains(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        if not isinstance(value, list):
            return True
        child = self.child(place, "contains")
        found = [i for i, one in enumerate(value) if self.holds(child, one, step_of(at, i)) is not None]
        least = place.schema.get("minContains", 1) if self.draft >= 2019 else 1
        most = place.schema.get("maxContains") if self.draft >= 2019 else None
        if self.draft >= 2020:
            seen.update(found)
        return len(found) >= least and (most is None or len(found) <= most)

    def unevaluated_items(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        for i, one in enumerate(value if isinstance(value, list) else ()):
            if i not in seen:
                self.check(self.child(place, "unevaluatedItems"), one, step_of(at, i))
                seen.add(i)
        return True

    def unique(self, _place: Place, wanted: object, value: Document, _at: str, _seen: Seen) -> str | bool:
        if wanted is not True or not isinstance(value, list):
            return True
        keys = {key_of(one) for one in value}
        return len(keys) == len(value) or "the items are not unique"

    # ---- Objects ----------------------------------------------------------------------------------------------------

    def properties(self, place: Place, named: dict[str, Any], value: Document, at: str, seen: Seen) -> bool:
        for name, one in value.items() if isinstance(value, dict) else ():
            if name in named:
                self.check(self.child(place, "properties", name), one, step_of(at, name))
                seen.add(name)
        return True

    def patterns(self, place: Place, named: dict[str, Any], value: Document, at: str, seen: Seen) -> bool:
        if not isinstance(value, dict):
            return True
        spend(len(named))
        for source in named:
            for name, one in value.items():
                if self.found_in(name, source, place, "patternProperties", source):
                    self.check(self.child(place, "patternProperties", source), one, step_of(at, name))
                    seen.add(name)
        return True

    def additional(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        if not isinstance(value, dict):
            return True
        keyword = "patternProperties"
        known, sources = place.schema.get("properties", ()), place.schema.get(keyword, ())
        for name, one in value.items():
            if name not in known and not any(self.found_in(name, source, place, keyword, source) for source in sources):
                self.check(self.child(place, "additionalProperties"), one, step_of(at, name))
                seen.add(name)
        return True

    def unevaluated_properties(self, place: Place, _: object, value: Document, at: str, seen: Seen) -> bool:
        for name, one in value.items() if isinstance(value, dict) else ():
            if name not in seen:
                self.check(self.child(place, "unevaluatedProperties"), one, step_of(at, name))
                seen.add(name)
        return True

    def names(self, place: Place, _: object, value: Document, at: str, _seen: Seen) -> bool:
        for name in value if isinstance(value, dict) else ():
            self.check(self.child(place, "propertyNames"), name, step_of(at, name))
        return True

    def required(self, _place: Place, names: Setting, value: Document, _at: str, _seen: Seen) -> str | bool:
        spend(len(names))
        missing = [name for name in names if isinstance(value, dict) and name not in value]
        return not missing or f"it has no member {missing[0][:80]!r}"

    def dependent(self, place: Place, named: dict[str, Any], value: Document, at: str, seen: Seen) -> bool:
        for keyword in ("dependencies", "dependentSchemas", "dependentRequired"):
            if place.schema.get(keyword) is not named:
                continue
            spend(len(named))
            for name, one in named.items():
                if not isinstance(value, dict) or name not in value:
                    continue
                if isinstance(one, list):
                    spend(len(one))
                    if any(other not in value for other in one):
                        return False
                else:
                    seen |= self.check(self.child(place, keyword, name), value, at)
        return True


def key_of(value: Document) -> Hashable:
    """Return same(value). Counted."""
    spend(2 * _size(value))
    return same(value)


def _size(value: Document) -> int:
    if isinstance(value, dict):
        return 1 + sum(len(name) + _size(one) for name, one in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    if isinstance(value, str):
        return 1 + len(value) // 8
    if isinstance(value, Decimal):
        return 1 + len(value.as_tuple().digits)
    return 1 + value.bit_length() // 16 if isinstance(value, int) else 1


Check = Callable[[_Validator, Place, Any, Document, str, Seen], str | bool]


def _scalar(test: Callable[[Any, Any], bool], *kinds: type) -> Check:
    """Return the check of a keyword that concerns some types alone and needs nothing else."""
    def check(_: _Validator, _place: Place, limit: object, value: Document, _at: str, _seen: Seen) -> bool:
        return isinstance(value, bool) or not isinstance(value, kinds) or test(value, limit)
    return check


def _kind(self: _Validator, _place: Place, kinds: Setting, value: Document, _at: str, _seen: Seen) -> str | bool:
    wanted = [kinds] if isinstance(kinds, str) else kinds
    spend(len(wanted))
    return any(is_kind(value, kind, self.draft) for kind in wanted) or f"its type must be {' or '.join(wanted)}"


def _enum(self: _Validator, place: Place, values: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    return self.is_among(f"{place.path}/enum", values, value)


def _const(self: _Validator, place: Place, wanted: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    return self.is_among(f"{place.path}/const", [wanted], value)


def _least(self: _Validator, place: Place, limit: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return True
    is_strict = self.draft == 4 and place.schema.get("exclusiveMinimum") is True
    return bool(value > limit if is_strict else value >= limit)


def _most(self: _Validator, place: Place, limit: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return True
    is_strict = self.draft == 4 and place.schema.get("exclusiveMaximum") is True
    return bool(value < limit if is_strict else value <= limit)


def is_multiple(value: int | Decimal, step: int | Decimal) -> bool:
    """Return whether a number is a multiple, exactly."""
    (n, n_places), (d, d_places) = as_decimal(value), as_decimal(step)
    places = min(n_places, d_places)
    if d == 0 or max(n_places, d_places) - places > 10_000:
        return n == 0
    n, d = n * 10 ** (n_places - places), d * 10 ** (d_places - places)
    return bool(n % d == 0)


def _multiple(_: _Validator, _place: Place, step: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return True
    spend(_size(value) + _size(step))
    return is_multiple(value, step)


def _pattern(self: _Validator, place: Place, source: Setting, value: Document, _at: str, _seen: Seen) -> bool:
    return not isinstance(value, str) or self.found_in(value, source, place, "pattern")


def _format(self: _Validator, _place: Place, name: Setting, value: Document, _at: str, _seen: Seen) -> str | bool:
    found = format_of(name) if isinstance(name, str) and isinstance(value, str) else None
    return found is None or self.accepts(found, str(value)) or f"it is not a valid {name}"


ALL = 9999
NUMBER = (int, Decimal)
KEYWORDS: Mapping[str, tuple[int, int, Check]] = {   # first draft, last draft, check; unevaluated ones come last
    "type": (4, ALL, _kind), "enum": (4, ALL, _enum), "const": (6, ALL, _const),
    "minimum": (4, ALL, _least), "maximum": (4, ALL, _most),
    "exclusiveMinimum": (6, ALL, _scalar(lambda value, limit: value > limit, *NUMBER)),
    "exclusiveMaximum": (6, ALL, _scalar(lambda value, limit: value < limit, *NUMBER)),
    "multipleOf": (4, ALL, _multiple),
    "minLength": (4, ALL, _scalar(lambda value, limit: len(value) >= limit, str)),
    "maxLength": (4, ALL, _scalar(lambda value, limit: len(value) <= limit, str)),
    "pattern": (4, ALL, _pattern), "format": (4, ALL, _format),
    "minItems": (4, ALL, _scalar(lambda value, limit: len(value) >= limit, list)),
    "maxItems": (4, ALL, _scalar(lambda value, limit: len(value) <= limit, list)),
    "minProperties": (4, ALL, _scalar(lambda value, limit: len(value) >= limit, dict)),
    "maxProperties": (4, ALL, _scalar(lambda value, limit: len(value) <= limit, dict)),
    "required": (4, ALL, _Validator.required), "uniqueItems": (4, ALL, _Validator.unique),
    "prefixItems": (2020, ALL, _Validator.prefix), "items": (4, ALL, _Validator.items),
    "additionalItems": (4, 2019, _Validator.additional_items), "contains": (6, ALL, _Validator.contains),
    "properties": (4, ALL, _Validator.properties), "patternProperties": (4, ALL, _Validator.patterns),
    "additionalProperties": (4, ALL, _Validator.additional), "propertyNames": (6, ALL, _Validator.names),
    "dependencies": (4, ALL, _Validator.dependent), "dependentRequired": (2019, ALL, _Validator.dependent),
    "dependentSchemas": (2019, ALL, _Validator.dependent),
    "$ref": (4, ALL, _Validator.ref), "$dynamicRef": (2020, ALL, _Validator.dynamic_ref),
    "$recursiveRef": (2019, 2019, _Validator.recursive_ref),
    "allOf": (4, ALL, _Validator.all_of), "anyOf": (4, ALL, _Validator.any_of), "oneOf": (4, ALL, _Validator.one_of),
    "not": (4, ALL, _Validator.negated), "if": (7, ALL, _Validator.condition),
    "unevaluatedItems": (2019, ALL, _Validator.unevaluated_items),
    "unevaluatedProperties": (2019, ALL, _Validator.unevaluated_properties),
}   # fmt: skip
