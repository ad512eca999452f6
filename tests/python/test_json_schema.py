"""JSON schemas become grammars that match exactly the compact JSON of valid values, or are refused with a path."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import gemel
import pytest
from compact import compact
from gemel.schema import validator
from gemel.schema.compiler import compile_schema
from gemel.schema.format_tables import TABLES
from gemel.schema.formats import PATTERNS, format_of
from gemel.schema.pattern import pattern
from gemel.schema.validator import InvalidValueError, validate
from gemel.schema.work import limited, remembered, spend

D4, D7, D19 = (
    {"$schema": uri}
    for uri in (
        "http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
    )
)  # fmt: skip
TREE = {
    "type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["value"],
    "additionalProperties": False,
}  # fmt: skip
# A schema, values that are valid, values that are not.
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [1, "a", None, {"a": [1]}, []], []),
    ({"type": "null"}, [None], [False, 0, "null"]),
    ({"type": ["boolean", "string"]}, [True, False, "", "a\"\\\n\t\u0001é😀"], [None, 1, []]),
    ({"type": "integer"}, [0, -1, 10, 1.0, 12345678901234567890], [1.5, "1", True]),
    ({**D4, "type": "integer"}, [1], [1.0, 1.5]),
    ({"type": "number", "minimum": -1.5, "exclusiveMaximum": 20}, [-1.5, 0, 19.99, -0.0, 2.5], [-1.51, 20, 20.0, 100]),
    ({**D4, "minimum": 3, "exclusiveMinimum": True}, [3.01, 4, "a"], [3, 2.9]),
    ({"multipleOf": 0.25, "maximum": 10}, [0, 0.25, 9.75, -3.5, 10], [0.2, 10.25, 0.255]),
    ({"type": "integer", "multipleOf": 7}, [0, 7, -14, 700, 21.0], [1, 8, 71]),
    ({"enum": [1, "a", None, [1, {"b": 2}], 2.5]}, [1, 1.0, "a", None, [1, {"b": 2}], 2.5], [2, "b", [1], False]),
    ({"const": {"a": 1}}, [{"a": 1}], [{}, {"a": 2}, {"a": 1, "b": 1}]),
    ({"type": "string", "minLength": 1, "maxLength": 3}, ["a", "é😀x", "\n"], ["", "abcd"]),
    ({"type": "string", "pattern": "^a+$|b"}, ["a", "aaa", "xbx", "b\n"], ["", "ax", "c"]),
    ({"type": "string", "pattern": "^.*\"$", "maxLength": 4}, ['"', 'ab"'], ["ab", 'abcd"']),
    ({"type": "string", "format": "date"}, ["2024-02-29", "1999-12-31"], ["2023-02-29", "2024-13-01", "x"]),
    ({"type": "string", "format": "ipv4"}, ["1.2.3.255"], ["1.2.3.256", "1.2.3"]),
    ({"type": "string", "format": "uuid"}, ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08"]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, [[True], [True, False]], [[], [1]]),
    (
        {"prefixItems": [{"type": "null"}, True], "items": {"type": "string"}},
        [[], [None], [None, 1, "a"]], [[1], [None, 1, 2]],
    ),
    ({**D7, "items": [{"type": "null"}], "additionalItems": False}, [[], [None]], [[1], [None, None]]),
    ({"contains": {"const": 1}, "minContains": 2}, [[1, 1], [0, 1, 2, 1]], [[], [1], [0, 2]]),
    ({"contains": {"const": 1}, "maxContains": 1}, [[1], [0, 1]], [[1, 1], [0]]),
    ({"items": {"enum": ["a", "b", None]}, "uniqueItems": True}, [[], ["b", "a"], ["a", None]], [["a", "a"], ["c"]]),
    (
        {"properties": {"a": {"type": "null"}, "b": {}}, "required": ["b"], "additionalProperties": False},
        [{"a": None, "b": 1}, {"b": []}, 5], [{}, {"a": None}, {"b": 1, "c": 1}, {"a": 1, "b": 1}],
    ),
    (
        {
            "patternProperties": {"^a": {"type": "null"}, "z$": {"maximum": 3}},
            "additionalProperties": {"type": "string"},
        },
        [{"ab": None, "z": 3, "c": "x"}, {}], [{"a": 1}, {"z": 4}, {"c": 1}, {"az": 1}],
    ),
    (
        {"propertyNames": {"maxLength": 2}, "minProperties": 1, "maxProperties": 2},
        [{"ab": 1}, {"a": 1, "b": 2}], [{}, {"abc": 1}],
    ),
    ({"anyOf": [{"type": "null"}, {"minimum": 3, "type": "number"}]}, [None, 3], [2, "a"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2.5], [3, 1.5]),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
        [{"a": 1}, {"b": 1}], [{}, {"a": 1, "b": 1}],
    ),
    ({"allOf": [{"minimum": 3}, {"maximum": 5}], "type": "integer"}, [3, 5], [2, 6]),
    ({"not": {"type": ["string", "object"]}}, [1, None, []], ["a", {}]),
    ({"not": {"required": ["a"]}}, [{}, {"b": 1}], [{"a": 1}, 1]),
    ({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["v"]}, "type": "object"},
     [{"k": 1, "v": 2}, {"k": 2}, {}], [{"k": 1}]),
    ({"dependentRequired": {"a": ["b"]}, "type": "object"}, [{}, {"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
    ({**D7, "dependencies": {"a": {"required": ["b"]}}, "type": "object"}, [{"a": 1, "b": 1}], [{"a": 1}]),
    (TREE, [{"value": 1}, {"value": 1, "next": {"value": 2}}], [{}, {"value": 1, "next": {}}]),
    ({"$defs": {"n": {"$anchor": "here", "type": "null"}}, "items": {"$ref": "#here"}}, [[None], []], [[1]]),
    ({"$id": "https://a.example/x", "$ref": "y", "$defs": {"y": {"$id": "y", "type": "null"}}}, [None], [1]),
    ({**D7, "$ref": "#/definitions/a~1b", "type": "string", "definitions": {"a/b": {"type": "null"}}}, [None], ["a"]),
    (
        {"allOf": [{"properties": {"a": {"type": "null"}}}, {"$ref": "#/$defs/b"}], "unevaluatedProperties": False,
         "$defs": {"b": {"patternProperties": {"^b": {"type": "integer"}}}}, "type": "object"},
        [{}, {"a": None}, {"a": None, "bb": 1}], [{"c": 1}, {"a": 1}, {"b": "x"}],
    ),
    (
        {"prefixItems": [{"type": "null"}], "unevaluatedItems": {"type": "string"}},
        [[], [None], [None, "a"]], [[None, 1]],
    ),
    ({"type": "object", "unevaluatedProperties": False}, [{}], [{"a": 1}]),
    (
        {"not": {"properties": {"a": {}}, "additionalProperties": False}, "type": "object"},
        [{"b": 1}, {"a": 1, "b": 1}], [{}, {"a": 1}],
    ),
    (
        {"not": {"patternProperties": {"^a": {"type": "null"}}, "additionalProperties": False}, "type": "object",
         "properties": {"ab": {"type": ["null", "boolean"]}, "ac": {"type": "null"}},
         "patternProperties": {"^a[d-z]": {"type": "integer"}, "^[^a]": {}}, "additionalProperties": False},
        [{"b": 1}, {"ab": True}, {"ab": True, "ac": None}, {"ad": 1}], [{}, {"ab": None}, {"ac": None}, {"ac": 1}],
    ),
    ({"not": {"propertyNames": {"maxLength": 2}}, "type": "object"}, [{"abc": 1}, {"a": 1, "abc": 1}], [{}, {"a": 1}]),
    (
        {"oneOf": [
            {"properties": {"a": {}}, "additionalProperties": False},
            {"properties": {"b": {}}, "additionalProperties": False},
        ], "type": "object"}, [{"a": 1}, {"b": 1}], [{}, {"a": 1, "b": 1}],
    ),
    (
        {"type": "object", "oneOf": [
            {"required": ["k"], "properties": {"k": {"const": i}, "v": {"type": "null"}}} for i in range(9)
        ]}, [{"k": 3, "v": None}, {"k": 8}], [{}, {"k": 9}, {"k": 3, "v": 1}],
    ),
    (
        {"type": "object", "oneOf": [{"required": [n], "properties": {n: {"type": "null"}}} for n in "abcdefgh"]},
        [{"a": None}, {"a": None, "b": 1}], [{}, {"a": 1}, {"a": None, "b": None}],
    ),
    (
        {"type": "object", "required": ["k"], "allOf": [
            {"if": {"properties": {"k": {"const": k}}}, "then": {"properties": {"v": {"maximum": i}}}}
            for i, k in enumerate("abcdefghijkl")
        ]}, [{"k": "b", "v": 1}, {"k": "z", "v": 99}, {"k": 5}], [{"k": "b", "v": 2}, {"v": 0}],
    ),
    (
        {"propertyNames": {"anyOf": [{"enum": ["a"]}, {"pattern": "^b"}]}, "type": "object"},
        [{"a": 1}, {"bc": 1}], [{"c": 1}],
    ),
    ({"not": {"contains": {"type": "null"}}, "type": "array"}, [[], [1]], [[None], [1, None]]),
    (
        {"not": {"contains": {"type": "null"}, "maxContains": 1}, "type": "array"},
        [[], [1], [None, None]], [[None], [1, None]],
    ),
    ({"type": "string", "not": {"enum": ["a", "bc"]}, "maxLength": 2}, ["", "b", "aa"], ["a", "bc", "abc"]),
    ({"type": "string", "pattern": "^a+$", "maxLength": 700}, ["a", "a" * 700], ["", "a" * 701]),
    ({"type": "string", "pattern": "^[ab]{2,3}$", "minLength": 1, "maxLength": 9}, ["ab", "abb"], ["a", "abbb"]),
    ({"type": "string", "minLength": 2, "pattern": "^(ab)*$"}, ["ab", "abab"], ["", "a"]),
    ({"type": ["string", "null"], "pattern": "^a\\ud800b$"}, [None], ["ab"]),   # no text has half of a pair
]  # fmt: skip
# A schema and the path at which it can't be enforced.
REFUSED: list[tuple[Any, str]] = [
    (False, "#"),
    ({"anyOf": [{}], "unevaluatedProperties": False}, "#/unevaluatedProperties"),
    ({"contains": {}, "unevaluatedItems": False}, "#/unevaluatedItems"),
    ({"items": {"type": "boolean"}, "prefixItems": [{}], "uniqueItems": True, "minItems": 4}, "#/uniqueItems"),
    ({"items": {"maxProperties": 1}, "uniqueItems": True}, "#/items/maxProperties"),
    ({"properties": {"a": {"pattern": "(?=x)"}}}, "#/properties/a/pattern"),
    ({"properties": {"a/b": {"type": "text"}}}, "#/properties/a~1b/type"),
    ({"$ref": "https://elsewhere.example/schema"}, "#/$ref"),
    ({"$ref": "#/$defs/absent"}, "#/$ref"),
    ({"$ref": "#"}, "#"),
    ({"allOf": [{"$ref": "#"}]}, "#"),
    ({"required": ["a"], "properties": {"a": {"$ref": "#"}}, "type": "object"}, "#"),
    ({"multipleOf": 0}, "#/multipleOf"),
    ({"minLength": -1}, "#/minLength"),
    ({"enum": 5}, "#/enum"),
    ({"$schema": "http://json-schema.org/draft-03/schema#"}, "#/$schema"),
    ({"not": {"uniqueItems": True}}, "#/not"),
    (   # a name that comes twice could undo what makes the object differ
        {"not": {"additionalProperties": {"type": "string"}}, "type": "object"}, "#",
    ),
    ('{"type": ', "#"),
]


def name_of(value: Any) -> str:  # noqa: ANN401
    return compact(value)[:60]


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=name_of)
def test_a_schemas_grammar_matches_valid_values_alone(
    bare: gemel.Model, schema: Any, valid: list[Any], invalid: list[Any]  # noqa: ANN401
) -> None:
    with bare.grammar(json_schema=schema, any_order=True) as grammar:
        assert [value for value in valid if not grammar.matches(compact(value))] == []
        assert [value for value in invalid if grammar.matches(compact(value))] == []
    with bare.grammar(json_schema=json.dumps(schema)) as grammar:   # as text, in the schema's order
        assert [value for value in valid if not grammar.matches(compact(value))] == []
        assert [value for value in invalid if grammar.matches(compact(value))] == []


@pytest.mark.parametrize(("schema", "path"), REFUSED, ids=name_of)
def test_what_cannot_be_enforced_is_refused_with_its_path(bare: gemel.Model, schema: Any, path: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.SchemaError, match="json_schema: ") as raised:
        bare.grammar(json_schema=schema)
    assert raised.value.path == path


def test_members_come_in_the_schemas_order_unless_any_is_wanted(bare: gemel.Model) -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}
    with bare.grammar(json_schema=schema) as ordered, bare.grammar(json_schema=schema, any_order=True) as free:
        assert ordered.matches('{"a":1,"b":2}')
        assert not ordered.matches('{"b":2,"a":1}')
        assert free.matches('{"b":2,"a":1}')
        assert not free.matches('{"b":2}')


def test_members_of_other_names_come_before_the_only_listed_one_in_any_order(bare: gemel.Model) -> None:
    with bare.grammar(json_schema={"type": "object", "required": ["a"]}, any_order=True) as grammar:
        assert grammar.matches('{"b":1,"a":2}')
        assert not grammar.matches('{"b":1}')


def test_what_is_not_enforced_is_a_warning_with_its_path(bare: gemel.Model) -> None:
    schema = {"properties": {"a": {"format": "duration", "color": "red"}}, "title": "T", "description": "D"}
    with bare.grammar(json_schema=schema) as grammar:
        assert [warning.split(":")[0] for warning in grammar.warnings] == [
            "#/properties/a/format", "#/properties/a/color",
        ]  # fmt: skip


def test_equal_schemas_are_written_once_and_each_says_what_is_not_enforced() -> None:
    part = {"additionalProperties": False, "properties": {"size": {"type": "string", "description": "D"}}}
    told: Any = {"type": "object", "properties": {"size": {"type": "string", "format": "duration"}}}
    schema: Any = {"properties": {"a": part, "b": {**part, "title": "T"}, "c": {"$ref": "#/$defs/d"}}}
    schema["$defs"] = {"d": part}
    assert compile_schema(schema).grammar.count("size") == 1
    schema = {"properties": {"a": told, "b": told, "c": {"pattern": "a(?=b)"}, "d": {"pattern": "a(?=b)"}}}
    with pytest.raises(gemel.SchemaError, match="#/properties/c/pattern: "):
        compile_schema(schema)
    del schema["properties"]["c"], schema["properties"]["d"]
    assert {warning.split(": ")[0] for warning in compile_schema(schema).warnings} == {
        "#/properties/a/properties/size/format", "#/properties/b/properties/size/format",
    }  # fmt: skip
    schema = {"properties": {"a": {"multipleOf": 0.3001}, "b": {"multipleOf": 0.3001}}}
    assert {*compile_schema(schema, strict=False).unenforced} == {
        "#/properties/a/multipleOf", "#/properties/b/multipleOf",
    }  # fmt: skip


def test_formats_that_are_tables_are_those_of_their_patterns() -> None:   # python pyodide_pkg/build/format_tables.py
    assert [name for name in TABLES if format_of(name) != pattern(f"^(?:{PATTERNS[name]})$")] == []


def test_patterns_of_many_words_and_those_that_allow_anything_behind_a_match_take_few_steps() -> None:
    words = "|".join(f"{a}x{b}" for a in range(40) for b in range(40))
    with limited(100_000):
        assert pattern(f"^(?:u|{words})?x*$").accepts("39x7xx")
        assert pattern(r"pull|push|\$\w{1,255}").accepts("a $b" + "c" * 300)


def test_long_strings_with_a_pattern_and_a_length_are_short_grammars(bare: gemel.Model) -> None:
    made = compile_schema({"type": "string", "pattern": "^[a-z][^ ]*$", "minLength": 2, "maxLength": 1500})
    assert len(made.grammar) < 2000
    names = {"propertyNames": {"minLength": 2, "maxLength": 1500}, "type": "object"}
    with bare.grammar(grammar=made.grammar) as text, bare.grammar(json_schema=names) as named:
        for n, is_right in ((1, False), (2, True), (1500, True), (1501, False)):
            assert text.matches(json.dumps("a" * n)) == is_right
            assert named.matches(compact({"a" * n: 1})) == is_right


def test_answers_follow_a_schema_and_end_with_it(bare: gemel.Model) -> None:
    schema = {
        "type": "object", "additionalProperties": False, "required": ["on", "n"],
        "properties": {"on": {"type": "boolean"}, "n": {"enum": [1, 2, 3]}},
    }  # fmt: skip
    for seed in range(5):
        answer = bare.generate("x", json_schema=schema, max_tokens=60, temperature=1.5, seed=seed, n_ctx=96)
        value = json.loads(answer.read())
        assert (answer.stop_reason in ("stop", "eos"), set(value)) == (True, {"on", "n"})
        assert value["n"] in (1, 2, 3)


def test_any_order_is_refused_without_a_schema_and_for_many_properties(bare: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="any_order: it is for json_schema alone"):
        bare.grammar(regex="a", any_order=True)
    with pytest.raises(gemel.SchemaError, match="it is for at most 10 properties"):
        bare.grammar(json_schema={"properties": {f"p{i}": {} for i in range(11)}}, any_order=True)


def nested(depth: int) -> Any:  # noqa: ANN401
    schema: Any = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


# A schema and what is said about it.
TOO_MUCH: list[tuple[Any, str]] = [
    (nested(5000), "too deep"),
    (
        {"allOf": [{"anyOf": [{"required": [f"{k}{i}"]} for k in "abc"], "type": "object"} for i in range(16)]},
        "#: more than 400 alternatives",
    ),
    ({"pattern": "(a{1000}){1000}"}, "#/pattern: it takes too many steps"),
    ({"pattern": "(a|b)*a(a|b){16}"}, "#/pattern: needs too many states"),
    ({"minLength": 10**9, "pattern": "a"}, "#/minLength: .*20000 states"),
    ({"minProperties": 10**9}, "#/minProperties: .*at most 1"),
    ({"contains": {"type": "null"}, "minContains": 10**9}, "#/contains: it takes too many steps"),
    ({"minimum": 1e300}, "#/minimum: .*too many states"),
    ({"multipleOf": 1e-300}, "#/multipleOf: must be at most 1000"),
    ({"pattern": "(" * 5000}, "more than 60 groups"),
]


@pytest.mark.parametrize(("schema", "why"), TOO_MUCH, ids=range(len(TOO_MUCH)))
@pytest.mark.long
def test_schemas_that_would_take_too_long_are_refused(schema: Any, why: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.SchemaError, match=why):
        compile_schema(schema)


@pytest.mark.parametrize("schema", [
    {"type": "string", "pattern": "^a*$", "maxLength": 4000}, {"pattern": "((a?){30}){30}"},
    {"enum": [f"value {i}" for i in range(5000)]}, {"oneOf": [{"const": f"value {i}"} for i in range(300)]},
    {"properties": {f"p{i}": {"type": "string"} for i in range(1000)}}, nested(150),
    {"allOf": [{"anyOf": [{"minimum": i}, {"maxLength": i}, {"maxItems": i}]} for i in range(16)]},
], ids=range(7))   # fmt: skip
@pytest.mark.long
def test_large_schemas_compile(bare: gemel.Model, schema: Any) -> None:  # noqa: ANN401
    bare.grammar(json_schema=schema).close()


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=name_of)
def test_the_validator_agrees_with_the_grammars(schema: Any, valid: list[Any], invalid: list[Any]) -> None:  # noqa: ANN401
    for value in valid:
        validate(value, schema)
    for value in invalid:
        with pytest.raises(InvalidValueError):
            validate(value, schema)


# A schema that can't be enforced, what of it is not, a value that the grammar allows, and one that it does not.
RELAXED: list[tuple[Any, list[str], Any, Any]] = [
    ({"items": {"maxProperties": 1}, "uniqueItems": True}, ["#/items/maxProperties"], [{"a": 1, "b": 2}], [1, 1]),
    ({"not": {"uniqueItems": True}, "type": "array"}, ["#/not"], [1], {}),
    (
        {"oneOf": [{"uniqueItems": True, "items": {"enum": [None, 1]}}, {"minItems": 2}], "type": "array"},
        ["#/oneOf"], [None, 1], [2],
    ),
    (
        {"type": "object", "anyOf": [{"properties": {"a": {"type": "null"}}}], "unevaluatedProperties": False},
        ["#/unevaluatedProperties"], {"a": None, "b": 1}, {"a": 1},
    ),
    ({"type": "integer", "multipleOf": 1001, "minimum": 5}, ["#/multipleOf"], 6, 4),
    (
        {"if": {"uniqueItems": True, "maxItems": 9}, "then": {"minItems": 2}, "else": {"maxItems": 1}, "type": "array"},
        ["#/if"], [None], {},
    ),
    ({"not": {"not": {"not": {"uniqueItems": True}}}}, ["#/not/not/not", "#/not/not", "#/not"], [None], "absent"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "paths", "allowed", "refused"), RELAXED, ids=name_of)
def test_a_schema_that_is_not_strict_allows_more_and_says_where(
    bare: gemel.Model, schema: Any, paths: list[str], allowed: Any, refused: Any  # noqa: ANN401
) -> None:
    made = compile_schema(schema, strict=False)
    assert list(made.unenforced) == paths
    with bare.grammar(made.grammar) as grammar:
        assert grammar.matches(compact(allowed))
        assert refused == "absent" or not grammar.matches(compact(refused))
    with pytest.raises(gemel.SchemaError):
        compile_schema(schema)
    with pytest.raises(InvalidValueError):
        validate(allowed, schema)


def test_a_value_that_is_not_valid_is_an_error_with_both_paths() -> None:
    schema = {"properties": {"a/b": {"items": {"maximum": 3}}}}
    with pytest.raises(InvalidValueError, match=r"#/a~1b/1: it is not valid by 'maximum'") as raised:
        validate({"a/b": [1, 5]}, schema)
    assert (raised.value.path, raised.value.keyword) == ("#/a~1b/1", "#/properties/a~1b/items/maximum")


def test_the_validator_makes_each_pattern_once_and_the_keys_of_an_enum(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def counted(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda one: (made.append(one), make(one))[1]   # type: ignore[func-returns-value]

    for name in ("pattern", "same"):
        monkeypatch.setattr(validator, name, counted(getattr(validator, name)))
    validate([""] * 500, {"items": {"pattern": "^(|(a|b)*a(a|b){11})$"}})
    assert len(made) == 1
    made.clear()
    validate([7] * 500, {"items": {"enum": list(range(1000))}})
    assert len(made) == 1000 + 500


@pytest.mark.parametrize(("value", "schema"), [
    ([0] * 200_000, {"items": {"type": "integer"}}), ("a" * 2_000_000, {"pattern": "a"}),
    ([0] * 1000, {"items": {"required": [f"a{i}" for i in range(2000)]}}),
    ("", {"allOf": [{"pattern": f"^(|({x})*a({x}){{{n}}})$"} for x in ("a|b", "b|a") for n in (12, 13)]}),
    (list(range(50_000)), {"allOf": [{"uniqueItems": True}] * 40}),
    ([0] * 50_000, {"anyOf": [{"const": i} for i in range(40)]}),
    ([0] * 200, {"items": {"anyOf": [True] * 1000}}), ([0] * 1500, {"allOf": [{"prefixItems": [True]}] * 1500}),
    ([0] * 1500, {"allOf": [{"unevaluatedItems": True}] * 100}),
    ([0] * 5000, {"items": {"multipleOf": Decimal("1" * 399 + ".1")}}),
    ({f"a{i}": 0 for i in range(1500)}, {"allOf": [{"properties": {"b": True}}] * 1500}),
    ([{}] * 1000, {"items": {"patternProperties": {f"a{i}": True for i in range(2000)}}}),
    ([0] * 300, {"items": {"$ref": f"#/$defs/{'a' * 300_000}"}, "$defs": {"a" * 300_000: True}}),
    ([0] * 400, {
        "$dynamicAnchor": "a", "items": {"$dynamicRef": "#a"},
        "$defs": {f"d{i}": {"$id": f"u:{i}", "$dynamicAnchor": "a"} for i in range(3000)},
    }),
    ([0] * 400, {
        "$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": True,
        "items": {"$recursiveRef": "#"}, "$defs": {f"d{i}": {"$id": f"u:{i}"} for i in range(5000)},
    }),
], ids=range(15))   # fmt: skip
@pytest.mark.long
def test_a_value_that_takes_too_long_to_check_is_refused(value: Any, schema: Any) -> None:  # noqa: ANN401
    with pytest.raises(gemel.SchemaError, match="#: it takes too many steps to check a value"):
        validate(value, schema)


def test_values_that_are_checked_in_time_are_valid() -> None:
    validate([0] * 80_000, {"items": {"type": "integer"}})
    validate([0] * 1000, {"items": {"patternProperties": {f"a{i}": True for i in range(10_000)}}})   # of no object


@pytest.mark.parametrize("n_others", [0, 100])
def test_what_a_schema_uses_again_costs_nothing_whatever_a_cache_dropped(n_others: int) -> None:
    @remembered
    def square(n: int) -> int:
        spend(0 if n else 60)
        return n * n

    with limited(100) as work:
        assert [square(n) for n in (0, *range(1, n_others), 0)][-1] == 0
        assert work.left == 40
