"""A schema's patterns, names and lengths: an automaton, or a grammar, has the strings that Python's re and len say."""

from __future__ import annotations

import itertools
import re

import gemel
import pytest
from gemel.schema.pattern import pattern

PATTERNS = [
    "ab", "^ab?c", "a{2,3}b", "(ab|a){0,2}c", "^(a{0,2}b){1,2}$", "(a?){3}b", "^(a|b?){2,4}$", "a-b", "ab*", "abc+",
    "^(?:ab-c|ab-|a){2}$", "[a-b]{0,3}c$", "(a*){0,2}", "^a{0}b", "(a{1,2}){2,3}-",
]  # fmt: skip


@pytest.mark.parametrize("source", PATTERNS)
def test_a_pattern_is_found_where_re_finds_it(source: str) -> None:
    automaton, wanted = pattern(source), re.compile(source)
    texts = ("".join(text) for n in range(7) for text in itertools.product("abc-", repeat=n))
    assert [text for text in texts if automaton.accepts(text) != bool(wanted.search(text))] == []


@pytest.mark.parametrize(("source", "least", "most"), [
    ("^a*b?$", 0, 3), ("^a*b?$", 2, 4), ("^(ab)*$", 1, 5), ("b", 0, 3), ("^ab$", 0, 2), ("^(a|bb)+$", 3, 4),
    ("^[ab\\uD800-\\uDBFF]*$", 1, 2),
])  # fmt: skip
def test_a_pattern_and_a_length_are_both_enforced(model: gemel.Model, source: str, least: int, most: int) -> None:
    schema = {"type": "string", "pattern": source, "minLength": least, "maxLength": most}
    with model.grammar(json_schema=schema) as grammar:
        texts = ["".join(text) for n in range(6) for text in itertools.product("ab", repeat=n)]
        wanted = [text for text in texts if least <= len(text) <= most and re.search(source, text)]
        assert [text for text in texts if grammar.matches(f'"{text}"')] == wanted


def test_names_that_are_not_listed_may_be_any_others(model: gemel.Model) -> None:
    names = ["id", "identity", "a\"b", "é", "line\n", ""]
    schema = {
        "properties": {name: {"const": 1} for name in names}, "additionalProperties": {"const": 2}, "type": "object",
        "required": [names[0]],
    }  # fmt: skip
    with model.grammar(json_schema=schema) as grammar:
        assert grammar.matches('{"id":1,"identity":1,"a\\"b":1,"é":1,"line\\n":1,"":1,"else":2,"i":2}')
        for other in ("i", "idx", "identit", "a\\\"", "è", "line", "line\\t", "\\u0000", "日本", "😀"):
            assert grammar.matches(f'{{"id":1,"{other}":2}}'), other
            assert not grammar.begins(f'{{"id":1,"{other}":1'), other
        for name in ("id", "identity", 'a\\"b', "é", "line\\n", ""):
            assert not grammar.begins(f'{{"id":1,"{name}":2'), name


def test_many_constants_are_one_list(model: gemel.Model) -> None:
    words = [f"w{i}" for i in range(3000)] + ["\u2028", 'a"b', ""]
    with model.grammar(json_schema={"enum": [*words, 7, None]}) as grammar:
        for text in ('"w0"', '"w2999"', '"a\\"b"', '"\u2028"', '""', "7", "null"):
            assert grammar.matches(text), text
        for text in ('"w3000"', '"w"', '"a', "8"):
            assert not grammar.matches(text), text
