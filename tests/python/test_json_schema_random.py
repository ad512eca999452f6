"""Random schemas and values: a grammar matches what the validator takes as valid, and nothing else."""

from __future__ import annotations

from typing import Any

import gemel
import pytest
from compact import compact
from gemel.schema.compiler import compile_schema
from gemel.schema.validator import InvalidValueError, validate
from random_schemas import Maker

SEEDS, SCHEMAS, VALUES = 6, 25, 40


def is_valid(value: object, schema: Any) -> bool:  # noqa: ANN401
    try:
        validate(value, schema)
    except InvalidValueError:
        return False
    return True


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "relaxed"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_grammars_match_what_the_validator_takes(bare: gemel.Model, seed: int, *, strict: bool) -> None:
    maker, n_compiled = Maker(seed), 0
    for _ in range(SCHEMAS):
        schema = maker.schema()
        values = [maker.value() for _ in range(VALUES)]
        try:
            made = compile_schema(schema, any_order=True, strict=strict)
        except gemel.SchemaError:
            continue
        n_compiled += 1
        with bare.grammar(made.grammar) as grammar:
            for value in values:
                found, wanted = grammar.matches(compact(value)), is_valid(value, schema)
                is_other = "@unique" in made.grammar and ".0" in compact(value)   # there, numbers have one spelling
                assert found == wanted or (found and made.unenforced) or (wanted and is_other), (schema, value)
    assert n_compiled > SCHEMAS // 3
