"""Sets of texts in schemas: lists are combined as their automata are, and every process writes the same grammar."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from gemel.schema.automaton import ANY, Automaton, both, literal, parted, without
from hypothesis import given
from hypothesis import strategies as st

LISTS = st.frozensets(st.text("ab\u00e9", max_size=3), min_size=1, max_size=6)
SCHEMA = {"propertyNames": {"enum": ["stage", "build", "prime", "pull", "snap", "slots", "type"]}, "type": "object"}
WRITE = "import sys; from gemel.schema.compiler import compile_schema; print(compile_schema(sys.argv[1]).grammar)"


def plain(automaton: Automaton) -> Automaton:
    """Return the same automaton, which does not know that it was made of a list."""
    return Automaton(automaton.edges, automaton.ends)


def one_of(texts: frozenset[str], *, is_others: bool) -> Automaton:
    return without(ANY, literal(texts)) if is_others else literal(texts)


@given(LISTS, LISTS, st.booleans(), st.booleans())
def test_lists_are_combined_as_their_automata_are(
    a_texts: frozenset[str], b_texts: frozenset[str], a_is_others: bool, b_is_others: bool
) -> None:
    a, b = one_of(a_texts, is_others=a_is_others), one_of(b_texts, is_others=b_is_others)
    assert both(a, b) == both(plain(a), plain(b))
    assert without(a, b) == without(plain(a), plain(b))
    assert parted(a, b) == parted(plain(a), plain(b))
    again = without(both(a, b), literal(a_texts))   # what was combined is a list, too
    assert again == without(plain(both(a, b)), plain(literal(a_texts)))


@pytest.mark.parametrize("texts", [[], ["a"], ["", "b", "ab"]])
def test_a_list_has_the_same_states_in_any_order(texts: list[str]) -> None:
    assert literal(texts) == literal(reversed(texts)) == literal(texts + texts)


def test_every_process_writes_the_same_grammar() -> None:
    grammars = []
    for seed in "123":   # of Python's hashes: they order its sets
        done = subprocess.run(
            [sys.executable, "-c", WRITE, str(SCHEMA).replace("'", '"')], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        grammars.append(done.stdout)
    assert grammars[0]
    assert grammars == grammars[:1] * 3
