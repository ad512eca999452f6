"""Word boundaries in a schema's patterns: an automaton accepts what Python's re finds."""

import itertools
import re

import pytest
from gemel.schema.pattern import PatternError, pattern

PATTERNS = [
    r"\bab\b", r"^a\b.b$", r"\b", r"a\Bb", r"\Ba", r"\B-", r"^\b", r"\b$", r"(\ba|b\b)-", r"\b\b-?a", r"a\b\B",
    r"^(?:a|-)*\b-+$", r"^(?!ab\b)a", r"(?:\b[ab]+\b ?){2}",
]  # fmt: skip


@pytest.mark.parametrize("source", PATTERNS)
def test_a_pattern_is_found_where_words_begin_and_end(source: str) -> None:
    automaton, wanted = pattern(source), re.compile(source, re.ASCII)
    texts = ("".join(text) for n in range(1, 7) for text in itertools.product("ab- ", repeat=n))
    assert [text for text in texts if automaton.accepts(text) != bool(wanted.search(text))] == []
    if r"\B" not in source:   # re finds \B in no empty text before Python 3.14; ECMA-262 does
        assert automaton.accepts("") == bool(wanted.search(""))


def test_the_empty_text_has_no_boundary() -> None:
    assert pattern(r"^\B$").accepts("")
    assert not pattern(r"\b").accepts("")


@pytest.mark.parametrize(("source", "column"), [(r"(^a\b|b)", 2), (r"a$|\bb", 2), (r"\b+", 3)])
def test_what_cannot_stand_beside_a_boundary_is_refused(source: str, column: int) -> None:
    with pytest.raises(PatternError, match=f"column {column} "):
        pattern(source)
