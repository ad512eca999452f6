"""Arguments that are not written as JSON: grammars allow what a schema allows, and it is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel.dialect.dialect import Calls, Hole, each
from gemel.dialect.encoding import Json
from gemel.dialect.rows import CALLS
from gemel.dialect.scanner import Scanner
from gemel.schema.rules import quoted
from gemel.schema.validator import validate


def what_follows(row: Calls) -> str:
    """Return the text behind the arguments of a call."""
    after = [*row.pieces, row.closes][row.pieces.index(Hole.ARGUMENTS) + 1]
    assert not isinstance(after, Hole)
    return each(after)[0]


ENCODINGS = {row.name: (row.encoding, what_follows(row)) for row in CALLS if row.encoding != Json()}


def obj(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:   # noqa: ANN401
    return {
        "type": "object", "properties": properties, "additionalProperties": False,
        "required": list(properties) if required is None else required,
    }  # fmt: skip


STRING, NUMBER = {"type": "string"}, {"type": "number"}
Values = list[dict[str, Any]]
# A schema, arguments that are valid, arguments that are not.
CASES: list[tuple[dict[str, Any], Values, Values]] = [
    (obj(), [{}], [{"a": 1}]),
    (
        obj(a=STRING),
        [{"a": ""}, {"a": "x\ny\t<b> \"é\" 😀 &amp; ' \\n"}, {"a": "null"}, {"a": "5"}, {"a": "[1"}, {"a": " x "}],
        [{}],
    ),
    (obj(a=NUMBER, b={"type": "boolean"}, c={"type": "null"}), [{"a": 1.5e3, "b": True, "c": None}], [{"a": 1}]),
    (
        obj(["b"], a=STRING, b=STRING), [{"b": "x"}, {"a": "y", "b": "x"}],
        [{"a": "x"}, {"b": "x", "a": "y", "c": "z"}],
    ),
    (obj(a={"maxLength": 3, "minLength": 2, **STRING}), [{"a": "ab"}, {"a": "\né😀"}], [{"a": "a"}, {"a": "abcd"}]),
    (obj(a={"type": "string", "maxLength": 30_000}), [{"a": "ab é <b>"}, {"a": "é" * 29_000}], [{"a": "é" * 30_001}]),
    (
        obj(a={"type": ["string", "number", "null"], "maxLength": 30_000, "minLength": 2, "maximum": 9}),
        [{"a": "é<"}, {"a": "x" * 29_000}, {"a": None}, {"a": 7}, {"a": "12" * 9 + " apples, and some more of them"}],
        [{"a": "x"}, {"a": "x" * 30_001}, {"a": 12}, {"a": 10**40}],
    ),
    (obj(a={"type": "string", "pattern": "^[a-z]+$"}), [{"a": "ab"}], [{"a": ""}, {"a": "A"}]),
    (obj(a={"type": "string", "format": "date"}), [{"a": "2024-02-29"}], [{"a": "2023-02-29"}]),
    (obj(a={"enum": ["x", "y z", 3, None, False]}), [{"a": "y z"}, {"a": 3}, {"a": None}, {"a": False}], [{"a": "z"}]),
    (
        obj(a={"anyOf": [STRING, {"type": "null"}]}),
        [{"a": "x"}, {"a": None}, {"a": "12 Main St"}, {"a": "nul"}], [{"a": 1}],
    ),
    (
        obj(a={"type": ["string", "integer"]}),
        [{"a": "x"}, {"a": 7}, {"a": "7 x"}, {"a": "[7]"}, {"a": "null"}], [{"a": 1.5}],
    ),
    (obj(a={}), [{"a": "x"}, {"a": {"b": [1, "</parameter>"]}}, {"a": None}, {"a": [True, {}]}, {"a": -1}], []),
    (
        obj(a={"type": "array", "items": STRING, "maxItems": 2}),
        [{"a": []}, {"a": ["x", 'y"]']}], [{"a": ["x"] * 3}, {"a": [1]}],
    ),
    (
        obj(a={"items": {"enum": ["x", "y", None]}, "uniqueItems": True, "type": "array"}),
        [{"a": ["x", None, "y"]}, {"a": [None]}], [{"a": ["x", "x"]}, {"a": [None, None]}],
    ),
    (obj(b={}, a=obj(d={}, c={})), [{"b": 1, "a": {"d": 2, "c": 3}}], []),   # in another order than their names
    (obj(a=obj(b=STRING, c=NUMBER)), [{"a": {"b": "}{", "c": 1}}], [{"a": {"b": "x"}}, {"a": {"b": 1, "c": 1}}]),
    ({"type": "object", "additionalProperties": NUMBER}, [{}, {"a": 1}, {"a": 1, "b": 2.5}], [{"a": "x"}]),
    ({"type": "object"}, [{}, {"a": "x", "b": [1]}, {"a": None}], []),
    (
        {"properties": {"a": STRING}, "patternProperties": {"^n": NUMBER}},
        [{"a": "x", "n1": 1, "o": "y"}], [{"n1": "x"}, {"a": 1}],
    ),
    ({"$ref": "#/$defs/one", "$defs": {"one": obj(a=STRING)}}, [{"a": "x"}], [{}]),
    ({"allOf": [obj(["a"], a=STRING, b=NUMBER), {"required": ["b"]}]}, [{"a": "x", "b": 1}], [{"a": "x"}]),
    (
        {"oneOf": [obj(t={"const": "p"}, v=NUMBER), obj(t={"const": "q"}, v=STRING)]},
        [{"t": "p", "v": 1}, {"t": "q", "v": "x"}], [{"t": "p", "v": "x"}, {"t": "q", "v": 1}],
    ),
    ({**obj([], a=NUMBER, b=NUMBER, c=NUMBER), "minProperties": 2}, [{"a": 1, "c": 2}], [{"a": 1}, {}]),
    ({**obj([], a=NUMBER, b=NUMBER), "dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 2}], [{"a": 1}]),
]  # fmt: skip

every_encoding = pytest.mark.parametrize("name", ENCODINGS)


@pytest.fixture(scope="module")
def model() -> Iterator[gemel.Model]:
    with gemel.open(tiny_bytes(), threads=1) as opened:
        yield opened


def grammar_of(model: gemel.Model, name: str, schema: dict[str, Any], *, strict: bool = True) -> gemel.Grammar:
    encoding, after = ENCODINGS[name]
    made = encoding.rules(schema, quoted, prefix="t0-", strict=strict)
    return model.grammar("\n".join([f"root ::= {made.first} {quoted(after)}", *made.lines, encoding.common(quoted)]))


def written(name: str, values: Any, schema: Any) -> str:   # noqa: ANN401
    encoding, after = ENCODINGS[name]
    return encoding.written(json.dumps(values, ensure_ascii=False), schema) + after


def read(name: str, schema: Any, pieces: list[str]) -> tuple[Any, str]:   # noqa: ANN401
    """Return the arguments that are read, and what is left."""
    encoding, _ = ENCODINGS[name]
    scanner = Scanner()
    out: list[str] = []
    steps = encoding.read(scanner, schema, out.append)
    for piece in pieces:
        scanner.rest += piece
        if next(steps, "end") == "end":
            break
    return json.loads("".join(out)), scanner.rest


@every_encoding
def test_a_grammar_allows_what_the_schema_allows(model: gemel.Model, name: str) -> None:
    for schema, valid, invalid in CASES:
        with grammar_of(model, name, schema) as grammar:
            for values in valid:
                text = written(name, values, schema)
                validate(schema, values)
                assert grammar.matches(text), text
                assert read(name, schema, [text]) == (values, ENCODINGS[name][1])
                assert read(name, schema, list(text))[0] == values
            for values in invalid:
                text = written(name, values, schema)
                if grammar.matches(text):   # it says something else: 1 is a text where no number is allowed
                    found, _ = read(name, schema, [text])
                    validate(schema, found)
                    assert found != values


@every_encoding
def test_items_are_compared_in_lists_that_are_json(model: gemel.Model, name: str) -> None:
    schema = obj(a={"type": "array", "items": {}, "uniqueItems": True}, b=STRING)
    if name in ("gemma4", "function-gemma"):   # strings in lists have marks instead of quotes
        with pytest.raises(gemel.SchemaError, match="in lists that are not JSON, only items of 8 strings"):
            grammar_of(model, name, schema)
        return
    with grammar_of(model, name, schema) as grammar:
        for text in ("[[1", "x"):   # what is around a list is no JSON
            values = {"a": ["x", 1, {"p": 1, "q": [2, 3]}, "[1", None], "b": text}
            assert grammar.matches(written(name, values, schema))
            for again in ("x", 1, {"q": [2, 3], "p": 1}, "[1", None):
                assert not grammar.matches(written(name, {**values, "a": [*values["a"], again]}, schema))


@every_encoding
def test_what_is_read_is_valid(model: gemel.Model, name: str) -> None:
    """Whatever a model writes: here, letters that are drawn at random."""
    small = {"type": "number", "minimum": -99, "maximum": 99}
    mixed = obj(
        [], a={"type": ["string", "number", "null"], "maximum": 50, "minimum": 5}, b={"type": ["string", "boolean"]},
        c={"type": "string", "maxLength": 4}, d={"type": ["string", "array"], "items": small},
        e={"anyOf": [{"const": "5"}, small]},
    )  # fmt: skip
    _, after = ENCODINGS[name]
    n = 0
    with grammar_of(model, name, mixed) as grammar:
        for seed in range(12):
            generation = model.generate("the", grammar=grammar, max_tokens=250, seed=seed, temperature=1.5)
            text = generation.read()
            if generation.stop_reason != "length":
                values, rest = read(name, mixed, [text])
                validate(mixed, values)
                assert rest == after
                n += 1
    assert n > 0


@pytest.mark.parametrize(("name", "text"), [
    ("qwen3-coder", "a\n</parameter>"), ("glm4.7", "</arg_value>"), ("gemma4", '<|"|>'), ("minicpm5", "<]]>"),
])   # fmt: skip
def test_a_string_can_not_have_what_ends_it(model: gemel.Model, name: str, text: str) -> None:
    schema = obj(a=STRING)
    with grammar_of(model, name, schema) as grammar:
        assert grammar.matches(written(name, {"a": text[:-1]}, schema))
        assert not grammar.matches(written(name, {"a": text}, schema))
    with pytest.raises(gemel.SchemaError, match="no value can satisfy it"):
        grammar_of(model, name, obj(a={"const": text}))


@pytest.mark.parametrize(("schema", "why"), [
    (obj(None, **{"a>b": NUMBER}), r"can't have the member 'a>b'"),
    (obj(a={"type": "string", "pattern": "^x*$", "maxLength": 30_000}), "#/properties/a/maxLength: "),
    ({"type": "string"}, "no value can satisfy it"),
])   # fmt: skip
def test_what_can_not_be_written_is_an_error(model: gemel.Model, schema: dict[str, Any], why: str) -> None:
    with pytest.raises(gemel.SchemaError, match=why):
        grammar_of(model, "qwen3-coder", schema)


def test_schemas_that_need_not_be_enforced_are_written_as_far_as_possible(model: gemel.Model) -> None:
    schema = obj(a={"type": "string", "pattern": "^x*$", "maxLength": 30_000}, b={"type": "integer", "maximum": 5})
    with grammar_of(model, "qwen3-coder", schema, strict=False) as grammar:
        assert grammar.matches(written("qwen3-coder", {"a": "x", "b": 1}, schema))
        assert not grammar.matches(written("qwen3-coder", {"a": "x", "b": 6}, schema))


def test_both_spellings_of_constants_are_read(model: gemel.Model) -> None:
    schema = obj(a={"type": ["boolean", "null"]})
    for name in ("qwen3-coder", "lfm2"):
        for text, value in [("True", True), ("true", True), ("None", None), ("null", None), ("False", False)]:
            said = written(name, {"a": None}, schema).replace("None" if name == "lfm2" else "null", text)
            with grammar_of(model, name, schema) as grammar:
                assert grammar.matches(said)
            assert read(name, schema, [said])[0] == {"a": value}
