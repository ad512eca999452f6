"""Schemas that are invalid, hostile or unusual: an exact grammar, or an error with a path, and never something else."""

from __future__ import annotations

import copy
from typing import Any

import gemel
import hypothesis
import hypothesis.strategies as st
import pytest
from compact import compact
from gemel.schema.compiler import compile_schema
from gemel.schema.keywords import TABLE
from gemel.schema.reader import COMBINATIONS

D4, D7 = ({"$schema": f"http://json-schema.org/draft-0{n}/schema#"} for n in (4, 7))
CASES: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}, "b": {"enum": ["x", 1.5, None]}},
     "required": ["a"], "patternProperties": {"^c": {"type": "null"}}, "additionalProperties": {"maxLength": 3}},
    {"prefixItems": [{"type": "null"}], "items": {"anyOf": [{"type": "string"}, {"multipleOf": 0.5}]}, "minItems": 1},
    {"oneOf": [{"required": ["a"]}, {"not": {"const": 5}}], "if": {"minimum": 2}, "then": {"maximum": 5}},
    {"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}},
     "allOf": [{"$ref": "#/$defs/n"}, {"maxProperties": 3}]},
    {**D7, "items": [{}, {"format": "date"}], "additionalItems": False, "uniqueItems": True,
     "dependencies": {"a": ["b"]}},
]  # fmt: skip


NUMBERS: list[tuple[Any, list[str], list[str]]] = [   # a schema, texts of valid numbers, texts of others
    ({"not": {"type": "integer"}, "type": "number"}, ["1.5", "-0.01"], ["1", "1.0", "1.000", "1e0", "10e1", "-0"]),
    ({"not": {"minimum": 2}, "type": "number"}, ["1.99", "-5"], ["2", "2.0", "20e-1", "2e0"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}], "type": "number"}, ["1", "1.00", "2.5"], ["2.00", "3", "30e-1"]),
    ({"not": {"enum": [1, 2.5]}, "type": "number"}, ["2", "2.51"], ["1", "1.0", "1e0", "2.50", "25e-1"]),
    ({"type": "integer"}, ["1.000", "1e5"], ["1.001", "01"]),
    ({"minimum": 12345678901234567890123456789012345.5, "type": "number"},
     [str(int(12345678901234567890123456789012345.5) + 2**70)], ["12345678901234567"]),
    ('{"type":"number","exclusiveMinimum":12345678901234567890123456789012345.5}',
     ["12345678901234567890123456789012345.51"],
     ["12345678901234567890123456789012345.5", "12345678901234567890123456789012345"]),
    ('{"type":"number","multipleOf":0.00000000000000000000000000005}',
     ["0.0000000000000000000000000001"], ["0.00000000000000000000000000001"]),
    ('{"enum":[1234567890123456789012345678901234567890]}',
     ["1234567890123456789012345678901234567890"], ["1234567890123456789012345678901234567891"]),
    ({"enum": [1e300, 1e16, 0.0]},
     ["1e+300", "1" + "0" * 300, "1e+16", "10000000000000000", "0", "-0", "0.0"], ["1", "1e301"]),
    ({"enum": [*range(3000), 1.05, 1.5]},
     ["0", "2999", "1.05", "1.0500", "1.500", "7.0"], ["3000", "1.04", "7.01", "-1"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "valid", "invalid"), NUMBERS, ids=range(len(NUMBERS)))
def test_each_way_to_write_a_number_counts(
    bare: gemel.Model, schema: Any, valid: list[str], invalid: list[str]  # noqa: ANN401
) -> None:
    with bare.grammar(json_schema=schema) as grammar:
        assert [text for text in valid if not grammar.matches(text)] == []
        assert [text for text in invalid if grammar.matches(text)] == []


# A schema that is not one, and where.
INVALID: list[tuple[Any, str]] = [
    ({"pattern": "a{" + "9" * 5000 + "}"}, "#/pattern"), ({"pattern": r"\x+1"}, "#/pattern"),
    ({"pattern": r"\u{41"}, "#/pattern"), ({"pattern": "(?i:a)"}, "#/pattern"),
    ({"$ref": "http://[::1"}, "#/$ref"), ({"$id": "http://[x", "$ref": "a"}, "#/$ref"),
    ({"dependentRequired": {"a": [5]}}, "#/dependentRequired"),
    ({"dependentRequired": {"a": "b"}}, "#/dependentRequired"),
    ({"minimum": float("nan")}, "#/minimum"), ({"minimum": float("inf")}, "#/minimum"),
    ('{"minimum": NaN}', "#/minimum"),
    ('{"minimum": 1e400000}', "#/minimum"), ('{"enum": [1e1000000000]}', "#/enum/0"),
    ('{"const": 1e99999999999999999999}', "#/const"), ({"const": 10**5000}, "#/const"),
    ({"enum": [{1, 2}]}, "#/enum/0"), ({"const": b"a"}, "#/const"), ({"const": "\ud800"}, "#/const"),
    ({"properties": {"\udc00": {}}}, "#/properties"), ({"properties": {5: {}}}, "#/properties"), ({None: 1}, "#"),
    ({"minimum": True}, "#/minimum"), ({"minimum": None}, "#/minimum"), ({"minLength": "1"}, "#/minLength"),
    ({"exclusiveMinimum": True, "minimum": 1}, "#/exclusiveMinimum"),
    ({**D4, "exclusiveMaximum": 5}, "#/exclusiveMaximum"),
    ({"uniqueItems": 1}, "#/uniqueItems"), ({"prefixItems": {}}, "#/prefixItems"), ({"items": [{}]}, "#/items"),
    ({"type": []}, "#/type"), ({"type": "text"}, "#/type"), ({"required": "a"}, "#/required"),
    ({"format": 5}, "#/format"),
    ({"properties": {"a": 5}}, "#/properties"), ({"$defs": {"unused": {"maxItems": -1}}}, "#/$defs/unused/maxItems"),
    ({"not": []}, "#/not"), ({"anyOf": []}, "#/anyOf"), ({"allOf": {}}, "#/allOf"),
    ({"multipleOf": -1}, "#/multipleOf"),
    ({"maxLength": 1.5}, "#/maxLength"), ({"pattern": 5}, "#/pattern"), ({"$ref": 5}, "#/$ref"), (5, "#"), ([], "#"),
    ({"minProperties": 2, "type": "object"}, "#/minProperties"),
    ({"type": "string", "format": "uri", "maxLength": 2000}, "#/maxLength"),
    ({"allOf": [{"contains": {"const": i}} for i in range(7)], "type": "array"}, "#/contains"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "path"), INVALID, ids=range(len(INVALID)))
def test_a_schema_that_is_invalid_is_refused_with_its_path(schema: Any, path: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.SchemaError) as raised:
        compile_schema(schema)
    assert (raised.value.path, type(raised.value)) == (path, gemel.SchemaError)


@pytest.mark.parametrize(("schema", "warning"), [
    ({**D4, "const": 5}, "#/const: a keyword since draft-06, ignored in draft-04"),
    ({**D7, "prefixItems": [{}]}, "#/prefixItems: a keyword since draft 2020-12, ignored in draft-07"),
    ({"additionalItems": False}, "#/additionalItems: a keyword of draft-04, ignored in draft 2020-12"),
    ({**D7, "$ref": "#/definitions/a", "maxLength": 1, "title": "T", "definitions": {"a": {}}},
     "#/maxLength: ignored beside $ref, as draft-07 says"),
    ({"minimun": 5}, "#/minimun: unknown keyword, ignored"),
], ids=range(5))   # fmt: skip
def test_a_keyword_that_says_nothing_in_its_draft_is_a_warning(schema: Any, warning: str) -> None:  # noqa: ANN401
    assert compile_schema(schema).warnings == (warning,)


@pytest.mark.parametrize(("pattern", "valid", "invalid"), [
    ("^(?!-)(?=.*[)b])[-a)b]+$", ["ab", "b-", ")"], ["-b", "a", "ac"]),
    ("^(?!plugins$)[a-z]+$", ["plugin"], ["plugins"]),
    ("$^", [""], ["a"]), ("^a*$^", [""], ["a"]), ("^a{1000}$", ["a" * 1000], ["a" * 999]),
    (r"^\u{1F600}\x41$", ["😀A"], ["A"]), (r"^\uD83D\uDE00|\uD83D\u0041|b$", ["😀", "b"], ["\U0001f441", "A"]),
    (r"^(a[^\s\S]|b)$", ["b"], ["a", "ab", ""]), (r"^[]*$", [""], ["a"]),
])   # fmt: skip
def test_patterns_have_ecmas_meaning(bare: gemel.Model, pattern: str, valid: list[str], invalid: list[str]) -> None:
    with bare.grammar(json_schema={"type": "string", "pattern": pattern}) as grammar:
        assert all(grammar.matches(compact(text)) for text in valid)
        assert not any(grammar.matches(compact(text)) for text in invalid)


@pytest.mark.parametrize(("pattern", "column"), [
    (r"a\q", 2), (r"^(?!a)b\q", 8), (r"^(?=a\q)b", 6), (r"^(?!a)(?=bc)d\q", 14), (r"^(?!a)(", 7), (r"\uD83D\u00", 7),
])   # fmt: skip
def test_an_error_of_a_pattern_has_its_column(pattern: str, column: int) -> None:
    with pytest.raises(gemel.SchemaError, match=f"#/pattern: column {column} of the pattern"):
        compile_schema({"type": "string", "pattern": pattern})


@pytest.mark.parametrize(("name", "valid", "invalid"), [
    ("time", ["23:59:60Z", "23:59:60.5+00:00", "01:02:03-05:30"], ["12:00:60Z", "23:59:60+01:00", "23:59:61Z"]),
    ("hostname", ["a.b.c", "x" * 63, "db.prod.a-long-cluster-name-xyz.eu-west-1.rds.example.com"],
     ["x" * 64, ".".join(["x" * 63] * 5), "-a", "a..b"]),
])   # fmt: skip
def test_formats_have_their_limits(bare: gemel.Model, name: str, valid: list[str], invalid: list[str]) -> None:
    with bare.grammar(json_schema={"type": "string", "format": name}) as grammar:
        assert [text for text in valid if not grammar.matches(compact(text))] == []
        assert [text for text in invalid if grammar.matches(compact(text))] == []


@pytest.mark.parametrize(("least", "most"), [(0, 1025), (3, 70000), (65536, 65536), (1500, None)])
def test_large_lengths_are_exact(bare: gemel.Model, least: int, most: int | None) -> None:
    text = {"type": "string", "minLength": least, **({} if most is None else {"maxLength": most})}
    items = {"type": "array", "items": {"const": 0}, "minItems": least, **({} if most is None else {"maxItems": most})}
    with bare.grammar(json_schema=text) as string, bare.grammar(json_schema=items) as array:
        last = most or least + 999
        steps = (0, 1, 255, 256, 257)
        for n in {0, max(least - 1, 0), *(least + step for step in steps), last - 1, last, last + 1}:
            is_valid = n >= least and (most is None or n <= most)
            assert string.matches('"' + "x" * n + '"') is is_valid, n
            assert array.matches(compact([0] * n)) is is_valid, n


def test_members_that_are_counted_have_different_names(bare: gemel.Model) -> None:
    schema = {"type": "object", "properties": {"a": {}}, "required": ["a"], "minProperties": 2}
    with bare.grammar(json_schema=schema) as grammar:
        assert grammar.matches('{"a":1,"x":2}')
        assert not grammar.matches('{"a":1}')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([*TABLE, "a{2}", "[x", "^a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from([*TABLE, *COMBINATIONS]) | st.text(max_size=3), inner, max_size=4
    ),
    max_leaves=20,
)  # fmt: skip


def compiles_or_says_where(schema: Any, *, strict: bool) -> None:  # noqa: ANN401
    try:
        assert compile_schema(schema, strict=strict).grammar.startswith("root ::= ")
    except gemel.SchemaError as error:
        assert (error.path[:1], str(error)[:13]) == ("#", "json_schema: ")   # noqa: PT017 (either is right)


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(json_values, st.booleans())
def test_any_json_value_becomes_a_grammar_or_an_error_with_a_path(schema: Any, strict: bool) -> None:  # noqa: ANN401
    compiles_or_says_where(schema, strict=strict)


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(st.sampled_from(CASES), json_values, st.data())
def test_a_changed_schema_becomes_a_grammar_or_an_error_with_a_path(
    schema: Any, value: Any, data: st.DataObject  # noqa: ANN401
) -> None:
    changed = copy.deepcopy(schema)
    at = changed
    while isinstance(at, dict | list) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = value
            break
        at = at[key]
    compiles_or_says_where(changed, strict=data.draw(st.booleans()))


@pytest.mark.parametrize("as_value", [False, True])
def test_objects_that_a_schema_shares_are_counted_in_each_place(*, as_value: bool) -> None:
    """JSON text can't share them; Python's dicts can, and say the same thing millions of times."""
    shared: Any = {"type": "null"}
    for _ in range(40):
        shared = {"anyOf": [shared, shared, {"type": "array", "items": shared}]}
    schema = {"const": shared} if as_value else shared
    with pytest.raises(gemel.SchemaError, match="more than 500000 objects and lists") as caught:
        compile_schema(schema)
    assert caught.value.path == "#"
