"""Answers of a real model to JSON schemas are valid by another program's judgement, whatever the seed."""

from __future__ import annotations

import json
import re
from typing import Any

import gemel
import pytest
from jsonschema import Draft202012Validator, FormatChecker

pytestmark = [pytest.mark.model, pytest.mark.slow]
SEEDS = (1, 2, 3)
FORMATS = FormatChecker(["date", "ipv4", "uuid"])   # jsonschema's "time" alone has no offset, against RFC 3339
TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"   # RFC 3339's full-time
NAME: dict[str, Any] = {"type": "string", "minLength": 2, "maxLength": 12}


def closed(required: bool = True, **properties: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the schema of an object with these members alone."""
    needed = {"required": list(properties)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needed}


SCHEMAS: dict[str, dict[str, Any]] = {   # by what is asked for
    "A colour": {"enum": ["red", "green", "blue", None, 3]},
    "Is water wet?": {"type": "boolean"},
    "A year": {"type": "integer", "minimum": 1900, "maximum": 2026},
    "An even number": {"type": "integer", "multipleOf": 2, "minimum": -20, "maximum": 20},
    "A price": {"type": "number", "exclusiveMinimum": 0, "maximum": 99.5},
    "A name": NAME,
    "A date": {"type": "string", "format": "date"},
    "A time of day": {"type": "string", "format": "time"},
    "An address of a computer": {"type": "string", "format": "ipv4"},
    "An identifier": {"type": "string", "format": "uuid"},
    "A number plate": {"type": "string", "pattern": "^[A-Z]{1,3}-[0-9]{2,4}$"},
    "Three fruits": {"type": "array", "items": NAME, "minItems": 3, "maxItems": 3},
    "A pair": {
        "type": "array", "prefixItems": [NAME, {"type": "integer", "maximum": 9, "minimum": 0}], "items": False,
        "minItems": 2,
    },
    "Two tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
    "A person": closed(name=NAME, age={"type": "integer", "minimum": 0, "maximum": 120}),
    "A shirt": closed(size={"enum": ["S", "M", "L"]}, striped={"type": "boolean"}, required=False),
    "A place": closed(name=NAME, at=closed(x={"type": "integer", "maximum": 99, "minimum": 0}, y={"const": 7})),
    "A number or a word": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 999}, NAME]},
    "A shape": {"oneOf": [
        closed(kind={"const": "circle"}, radius={"type": "integer", "minimum": 1, "maximum": 50}),
        closed(kind={"const": "square"}, side={"type": "integer", "minimum": 1, "maximum": 50}),
    ]},
    "Something of both": {"allOf": [{"type": "string", "minLength": 3}, {"maxLength": 6}, {"pattern": "^[a-z]+$"}]},
    "A tree": {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": closed(name=NAME, children={"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}),
        },
    },
    "Scores": {
        "type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9}, "maxProperties": 2,
    },
    "An account": {**closed(name=NAME, card={"type": "string", "pattern": "^[0-9]{4}$"}, billing=NAME, required=False),
                   "dependentRequired": {"card": ["billing"]}},
    "A word but not this one": {"type": "string", "maxLength": 6, "not": {"const": "word"}},
}  # fmt: skip


def test_answers_to_schemas_are_valid_unless_they_are_cut(real_model: gemel.Model) -> None:
    with real_model.batch() as batch:
        answers = [
            (schema, batch.answer(
                [{"role": "user", "content": f"{asked}, as JSON."}], json_schema=schema, max_tokens=60, temperature=1,
                seed=seed,
            ))
            for asked, schema in SCHEMAS.items()
            for seed in SEEDS
        ]  # fmt: skip
        n_whole = 0
        for schema, generation in answers:
            text = generation.read()
            if generation.stop_reason == "length":
                continue
            n_whole += 1
            Draft202012Validator(schema, format_checker=FORMATS).validate(json.loads(text))
            assert generation.parsed == json.loads(text)
            if schema.get("format") == "time":
                assert re.fullmatch(TIME, json.loads(text), re.ASCII), text
    assert n_whole > len(answers) / 2
