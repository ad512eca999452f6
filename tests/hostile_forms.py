"""Hostile schemas and grammars: forms of answers in requests, and the status that a server answers."""

from __future__ import annotations

from typing import Any


def nested(n: int, inner: Any = True) -> Any:  # noqa: ANN401
    for _ in range(n):
        inner = {"items": inner}
    return inner


def wide(n: int) -> dict[str, Any]:
    return {"properties": {f"p{i}": {"type": "string"} for i in range(n)}, "additionalProperties": False}


def nested_ways(depth: int, word: str) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        inner = {word: [{"properties": {f"k{i}": inner}} for i in range(4)]}
    return inner


def several(n: int, word: str, ways: int = 2) -> dict[str, Any]:
    """Return definitions of which each refers to the next one several times, in ways that differ."""
    defs = {f"d{i}": {word: [{"$ref": f"#/$defs/d{i + 1}", "minLength": j} for j in range(ways)]} for i in range(n)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{n}": {"type": "string"}}}


def relaxed(schema: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the form of a schema that answers are checked by at their end."""
    return {"type": "json_schema", "json_schema": {"name": "relaxed", "schema": schema, "strict": False}}


GRAMMARS: list[str] = [
    "root ::=", 'root ::= ""', "root ::= " + "(" * 50_000 + '"a"' + ")" * 50_000,
    'root ::= (("a" | "a" "a")* ){50} "b"', 'root ::= ("a"? ){1000} "b"', 'root ::= (("a"*)*)*',
    'root ::= ("" | "a")* "b"',
    "\n".join(f'a{i} ::= a{i + 1} | "x"' for i in range(20_000)) + '\na20000 ::= "y"\nroot ::= a0', "root ::= !<[1]>*",
    'root ::= "a" # ' + "x" * 100_000, 'root ::= "\u0000"', "root ::= [\ud7ff-\ue000]", "root ::= .{0,5000} .{0,5000}",
]  # fmt: skip
REFUSED_GRAMMARS: list[str] = [
    "", "root", "root ::= other", 'other ::= "a"', 'root ::= "a"{5,1}', 'root ::= "a"{1,1000000000}',
    'root ::= "a"{99999999999999999999}', 'root ::= (("a"{1000}){1000}){1000}', "root ::= root",
    'root ::= root "a" | "a"', "root ::= a\na ::= b\nb ::= root", 'root ::= "a" root', "root ::= []",
    "root ::= [^\\x00-\\U0010FFFF]", "root ::= [z-a]", 'root ::= "\\q"', 'root ::= "a', "root ::= (",
    "root ::= " + "(" * 50_000, "root ::= " + " | ".join(f'"x{i}"' for i in range(60_000)),
    "root ::= " + " ".join(["a"] * 20_000) + '\na ::= "x"?', 'root ::= <[99999999]>', "root ::= <nowhere>", "\0",
]  # fmt: skip
SCHEMAS: list[Any] = [
    {"pattern": "(a*)*b" * 50}, {"type": "string", "pattern": "(a|b|ab)*c" * 30}, {"pattern": "[^\\s\\S]"},
    {"type": "string", "pattern": "(x+x+)+y"}, {"type": "string", "minLength": 10**9}, {"minItems": 10**12},
    {"type": "array", "minItems": 10**6, "items": {"type": "null"}}, wide(5000), {**wide(2000), "required": ["p1999"]},
    {**wide(12), "minProperties": 6, "maxProperties": 6}, nested_ways(5, "anyOf"), nested_ways(5, "allOf"),
    several(16, "anyOf", 4), several(60, "anyOf"), several(60, "allOf"), several(60, "oneOf"),
    {"enum": ["x" * 1000] * 500}, {"unevaluatedProperties": False}, {"if": {"not": {"not": {}}}},
    {"type": "string", "format": "idn-email"}, {"": {"": {}}}, {"type": "array", "uniqueItems": True},
    {"items": {"enum": [*range(5000), ""]}, "type": "array", "uniqueItems": True},
    {"type": "object", "properties": {"\ud7ff\0": {"const": "\0\x7f\u2028"}}, "required": ["\ud7ff\0"]},
]  # fmt: skip
# Answers can be checked by these at their end, but the grammar can't enforce them.
RELAXED_SCHEMAS: list[Any] = [
    {"type": "integer", "minimum": 10**300, "maximum": 10**300 + 5},
    {"type": "integer", "multipleOf": 999999937}, {"multipleOf": 1e-300},
    {"type": "number", "minimum": 1e308, "maximum": -1e308},
    {"patternProperties": {f"^a{{{i}}}b": {} for i in range(60)}},
    {"type": "array", "items": {"type": "string", "pattern": "^(|(a|b)*a(a|b){11})$"}, "not": {"uniqueItems": True}},
]  # fmt: skip
REFUSED_SCHEMAS: list[Any] = [
    {"type": 1}, {"type": "text"}, {"type": []}, {"enum": []}, {"enum": "a"}, {"$ref": "#"}, {"$ref": "#/nowhere"},
    {"$ref": "https://example.org/schema"}, {"$ref": 1}, {"allOf": [{"$ref": "#"}]}, {"anyOf": []}, {"anyOf": [False]},
    False, {"not": {}}, {"pattern": "^a{5,1}$"}, {"pattern": "("}, {"pattern": "(?=a)"}, {"pattern": "\\1"},
    {"pattern": "a" * 100_000}, {"maxLength": -1}, {"type": "string", "minLength": 5, "maxLength": 4},
    {"type": "string", "maxLength": 1e300}, {"minimum": "a"}, {"multipleOf": 0}, nested(150), nested(250),
    nested(60, {"anyOf": [{"type": "string"}] * 50}), {"enum": list(range(100_000))}, {"const": nested(100)},
    {"patternProperties": {"(": {}}}, {"propertyNames": {"pattern": "(?!a)"}}, {"contains": {}, "minContains": 10**9},
    {"required": [1]}, {"required": "a"}, {"properties": []}, {"properties": {"a": 5}}, {"items": 7}, {"$defs": 3},
    {"$schema": "http://example.org/mine"}, {"$schema": 5}, {"dependentSchemas": {"a": {"$ref": "#"}}},
    {"$dynamicRef": "#x"}, {"format": 5},
]  # fmt: skip
FORMS: list[tuple[int, dict[str, Any]]] = [   # the status that is wanted, and the form of an answer
    *((200, {"grammar": one}) for one in GRAMMARS),
    *((400, {"grammar": one}) for one in REFUSED_GRAMMARS),
    *((200, {"json_schema": one}) for one in SCHEMAS),
    *((400, {"json_schema": one}) for one in RELAXED_SCHEMAS + REFUSED_SCHEMAS),
    *((200, {"response_format": relaxed(one)}) for one in SCHEMAS + RELAXED_SCHEMAS),
    *((400, {"response_format": relaxed(one)}) for one in REFUSED_SCHEMAS),
]
