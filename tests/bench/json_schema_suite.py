"""JSON Schema Test Suite, a checkout of which GEMEL_JSON_SCHEMA_SUITE names; it is not part of the project.

    GEMEL_JSON_SCHEMA_SUITE=FOLDER pytest tests/bench/json_schema_suite.py

What compiles must match valid instances alone. How many cases compile, and how many the validator refuses, is written
down here. The tests print the counts that they find, and why the others are refused. Another checkout may have others.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import pytest
from compact import compact
from gemel.schema.compiler import compile_schema
from gemel.schema.validator import InvalidValueError, validate

SUITE = os.environ.get("GEMEL_JSON_SCHEMA_SUITE", "")
if not SUITE:
    pytest.fail("GEMEL_JSON_SCHEMA_SUITE is not set: it must name a checkout of the suite", pytrace=False)
DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#", "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}  # fmt: skip
# Of the suite's cases that are required, at its commit 44401e0c04: how many compile, how many the validator refuses to
# check, and how many there are.
COMPILED = {
    ("draft4", True): (580, 618), ("draft4", False): (588, 618),
    ("draft7", True): (858, 927), ("draft7", False): (866, 927),
    ("draft2019-09", True): (1073, 1259), ("draft2019-09", False): (1178, 1259),
    ("draft2020-12", True): (1056, 1280), ("draft2020-12", False): (1182, 1280),
}  # fmt: skip
REFUSED = {"draft4": (21, 618), "draft7": (27, 927), "draft2019-09": (40, 1259), "draft2020-12": (58, 1280)}


def groups(draft: str) -> Iterator[tuple[str, Any, list[dict[str, Any]]]]:
    """Yield the name, the schema and the cases of each group that is required."""
    for path in sorted(Path(SUITE, "tests", draft).glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft], **schema}
            tests = [one for one in group["tests"] if "only an annotation by default" not in one["description"]]
            if tests:
                yield f"{path.stem}: {group['description']}", schema, tests


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "relaxed"])
@pytest.mark.parametrize("draft", DRAFTS)
def test_grammars_of_the_suite_match_valid_values(bare: gemel.Model, draft: str, *, strict: bool) -> None:
    n, n_compiled, wrong, why = 0, 0, [], Counter[str]()
    for name, schema, tests in groups(draft):
        n += len(tests)
        try:
            made = compile_schema(schema, any_order=True, strict=strict)
        except gemel.SchemaError as error:
            why[str(error).split(": ", 2)[-1][:70]] += len(tests)
            continue
        n_compiled += len(tests)
        with bare.grammar(made.grammar) as grammar:
            for one in tests:
                found = grammar.matches(compact(one["data"]))
                is_loose = found and made.unenforced
                if found != one["valid"] and not is_loose:
                    wrong.append((name, one["description"]))
    assert n, f"{SUITE} has no tests for {draft}"
    print(f"\n{draft} strict={strict}: {n_compiled} of {n} cases compile, {n_compiled / n:.1%}")
    print("\n".join(f"{count:5} {reason}" for reason, count in why.most_common(25)))
    assert wrong == []
    assert (n_compiled, n) == COMPILED[draft, strict]


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_validator_agrees_with_the_suite(draft: str) -> None:
    n, wrong, refused = 0, [], Counter[str]()
    for name, schema, tests in groups(draft):
        n += len(tests)
        for one in tests:
            try:
                validate(one["data"], schema)
                found = True
            except InvalidValueError:
                found = False
            except gemel.SchemaError as error:
                refused[f"{name}: {error}"] += 1
                continue
            if found != one["valid"]:
                wrong.append((name, one["description"]))
    assert n, f"{SUITE} has no tests for {draft}"
    print(f"\n{draft}: {refused.total()} of {n} cases are refused", *refused.items(), sep="\n")
    assert wrong == []
    assert (refused.total(), n) == REFUSED[draft]
