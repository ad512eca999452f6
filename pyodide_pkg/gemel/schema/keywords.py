"""The keywords of JSON schema: which drafts have them, and what their values must be.

A keyword of another draft says nothing, as that draft defines, which is a warning. A value of another type is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from .document import as_decimal, escaped
from .errors import refused

KINDS = ("null", "boolean", "number", "integer", "string", "array", "object")
NAMES = {4: "draft-04", 6: "draft-06", 7: "draft-07", 2019: "draft 2019-09", 2020: "draft 2020-12"}
NEWEST = 2020


def is_number(value: object) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def whole(value: object) -> int | None:
    """Return a number as an integer from 0 on, if it is one."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool) or value < 0:
        return None
    n, places = as_decimal(value)
    if places >= 0:
        return n * int(10**places)
    return None if n % 10**-places else n // int(10**-places)


def _is_schema(value: object) -> bool:
    return isinstance(value, dict | bool)


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_types(value: object) -> bool:
    kinds = [value] if isinstance(value, str) else value
    return isinstance(kinds, list) and bool(kinds) and all(isinstance(one, str) and one in KINDS for one in kinds)


def _is_map(value: object, test: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(test, value.values()))


# What a value must be, in words, and the test of it.
Kind = tuple[str, Callable[[object], bool]]
ANY: Kind = ("anything", lambda _: True)
SCHEMA: Kind = ("a schema: an object, true or false", _is_schema)
SCHEMAS: Kind = (
    "a list of schemas", lambda value: isinstance(value, list) and bool(value) and all(map(_is_schema, value))
)
NAMED: Kind = ("an object of schemas", lambda value: _is_map(value, _is_schema))
WHOLE: Kind = ("an integer from 0 on", lambda value: whole(value) is not None)
NUMBER: Kind = ("a number", is_number)
POSITIVE: Kind = ("a number over 0", lambda value: isinstance(value, int | Decimal) and is_number(value) and value > 0)
BOOL: Kind = ("true or false", lambda value: isinstance(value, bool))
STRING: Kind = ("a string", lambda value: isinstance(value, str))
STRINGS: Kind = ("a list of strings", _is_strings)
VALUES: Kind = ("a list of values", lambda value: isinstance(value, list))
TYPES: Kind = (f"one or several of {', '.join(KINDS)}", _is_types)
TEXTS: Kind = ("an object of lists of strings", lambda value: _is_map(value, _is_strings))
DEPENDENCIES: Kind = (
    "an object of schemas or lists of strings", lambda value: _is_map(value, lambda x: _is_schema(x) or _is_strings(x))
)
ITEMS: Kind = ("a schema or a list of schemas", lambda value: _is_schema(value) or SCHEMAS[1](value) or value == [])

TABLE: Mapping[str, tuple[tuple[int, int, Kind], ...]] = {   # first draft, last draft, what the value must be
    "type": ((4, 2020, TYPES),), "enum": ((4, 2020, VALUES),), "const": ((6, 2020, ANY),),
    "minimum": ((4, 2020, NUMBER),), "maximum": ((4, 2020, NUMBER),),
    "exclusiveMinimum": ((4, 4, BOOL), (6, 2020, NUMBER)), "exclusiveMaximum": ((4, 4, BOOL), (6, 2020, NUMBER)),
    "multipleOf": ((4, 2020, POSITIVE),),
    "minLength": ((4, 2020, WHOLE),), "maxLength": ((4, 2020, WHOLE),), "pattern": ((4, 2020, STRING),),
    "format": ((4, 2020, STRING),),
    "prefixItems": ((2020, 2020, SCHEMAS),), "items": ((4, 2019, ITEMS), (2020, 2020, SCHEMA)),
    "additionalItems": ((4, 2019, SCHEMA),), "contains": ((6, 2020, SCHEMA),),
    "minContains": ((2019, 2020, WHOLE),), "maxContains": ((2019, 2020, WHOLE),),
    "minItems": ((4, 2020, WHOLE),), "maxItems": ((4, 2020, WHOLE),), "uniqueItems": ((4, 2020, BOOL),),
    "unevaluatedItems": ((2019, 2020, SCHEMA),), "unevaluatedProperties": ((2019, 2020, SCHEMA),),
    "properties": ((4, 2020, NAMED),), "patternProperties": ((4, 2020, NAMED),),
    "additionalProperties": ((4, 2020, SCHEMA),), "propertyNames": ((6, 2020, SCHEMA),),
    "required": ((4, 2020, STRINGS),), "minProperties": ((4, 2020, WHOLE),), "maxProperties": ((4, 2020, WHOLE),),
    "dependencies": ((4, 2020, DEPENDENCIES),), "dependentRequired": ((2019, 2020, TEXTS),),
    "dependentSchemas": ((2019, 2020, NAMED),),
    "allOf": ((4, 2020, SCHEMAS),), "anyOf": ((4, 2020, SCHEMAS),), "oneOf": ((4, 2020, SCHEMAS),),
    "not": ((4, 2020, SCHEMA),), "if": ((7, 2020, SCHEMA),), "then": ((7, 2020, SCHEMA),),
    "else": ((7, 2020, SCHEMA),),
    "$ref": ((4, 2020, STRING),), "$dynamicRef": ((2020, 2020, STRING),), "$recursiveRef": ((2019, 2019, STRING),),
    "$defs": ((4, 2020, NAMED),), "definitions": ((4, 2020, NAMED),),
    "$id": ((6, 2020, STRING),), "id": ((4, 4, STRING),), "$anchor": ((2019, 2020, STRING),),
    "$dynamicAnchor": ((2020, 2020, STRING),), "$recursiveAnchor": ((2019, 2019, BOOL),),
    "$schema": ((4, 2020, STRING),),
}   # fmt: skip
ANNOTATIONS = frozenset((
    "$comment", "$vocabulary", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "contentEncoding", "contentMediaType", "contentSchema",
))   # fmt: skip


SAID = {
    draft: {name: kind for name, rows in TABLE.items() for since, until, kind in rows if since <= draft <= until}
    for draft in NAMES
}   # the keywords that say something in a draft, and what their values must be
FINE = {draft: ANNOTATIONS.union(said) for draft, said in SAID.items()}


def is_of(keyword: str, draft: int) -> bool:
    """Whether a keyword says something in a draft."""
    return keyword in SAID[draft]


def checked(schema: Mapping[str, object], path: str, draft: int) -> None:
    """Raise SchemaError for a keyword of the draft whose value has the wrong type."""
    kinds = SAID[draft]
    for keyword, value in schema.items():
        kind = kinds.get(keyword)
        if kind is not None and not kind[1](value):
            raise refused(f"{path}/{escaped(keyword)}", f"must be {kind[0]}, in {NAMES[draft]}")


def ignored(schema: Mapping[str, object], draft: int) -> Iterator[tuple[str, str]]:
    """Yield the keywords of a schema that say nothing in the draft, and why."""
    if schema.keys() <= FINE[draft] and "$ref" not in schema:
        return
    for keyword in schema:
        rows = TABLE.get(keyword)
        if "$ref" in schema and draft <= 7:
            if keyword not in ANNOTATIONS and keyword not in ("$ref", "$schema", "$defs", "definitions", "$id", "id"):
                yield keyword, f"ignored beside $ref, as {NAMES[draft]} says"
        elif rows is None:
            if keyword not in ANNOTATIONS:
                yield keyword, "unknown keyword, ignored"
        elif not is_of(keyword, draft):
            since, until = rows[0][0], rows[-1][1]
            whose = f"since {NAMES[since]}" if until == NEWEST else f"of {NAMES[since]}"
            yield keyword, f"a keyword {whose}, ignored in {NAMES[draft]}"
