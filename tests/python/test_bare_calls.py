"""Calls without markers, as small models begin an answer with: objects with a tool's name, bare or in a code block."""

from __future__ import annotations

from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel.dialect.grammar import AnswerGrammar
from gemel.dialect.markers import Markers
from gemel.dialect.reader import Reader
from gemel.dialect.rows import dialect_of
from hypothesis import given
from hypothesis import strategies as st

TOOLS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": False,
    },
    "web": {"type": "object", "properties": {}, "additionalProperties": False},
}  # fmt: skip
DIALECT = dialect_of('<tool_call> "arguments" <think> </think>', has_tools=True)
MARKED = '<tool_call>\n{"name": "web", "arguments": {}}\n</tool_call>'
CALLED: dict[str, tuple[str, list[tuple[str, str]]]] = {   # the text of an answer, and its calls
    '{"name": "web", "arguments": {}}': ("", [("web", "{}")]),
    ' {"name":"web","arguments":{}}\n': ("", [("web", "{}")]),
    '```json\n{\n  "name": "weather",\n  "arguments": {"city": "a}"}\n}\n```': ("", [("weather", '{"city": "a}"}')]),
    '```\n{"name": "web", "arguments": {}}\n```\n': ("", [("web", "{}")]),
    '<think>hm</think>\n\n{"name": "web", "arguments": {}}': ("", [("web", "{}")]),
    MARKED: ("", [("web", "{}")]),
    '{"name": "Bob", "age": 3}': ('{"name": "Bob", "age": 3}', []),
    '{"name": "we': ('{"name": "we', []),
    'It is {"name": "web", "x": 1}': ('It is {"name": "web", "x": 1}', []),
    f'{{"na{MARKED}': ('{"na', [("web", "{}")]),
    "": ("", []),
}  # fmt: skip
REFUSED = (
    '{"name": "web", "args"', '{"name": "web"}', '{"name": "web", "arguments": {"a"',
    '{"name": "web", "arguments": {}} a', '```json\n{"name": "weather", "arguments": {"city": 3', '{"name": "web" <',
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> gemel.Model:
    """A tiny model."""
    return gemel.open(tiny_bytes(), threads=1)


def grammar(model: gemel.Model) -> gemel.Grammar:
    """Return the grammar of answers that may call."""
    made = AnswerGrammar(Markers(model, DIALECT), TOOLS, choice="auto", is_parallel=True)
    return model.grammar(made.text(None))


def test_an_answer_may_begin_with_a_call_without_markers(model: gemel.Model) -> None:
    with grammar(model) as made:
        assert [answer for answer in CALLED if not made.matches(answer)] == []
        assert [answer for answer in REFUSED if made.begins(answer)] == []


@given(st.sampled_from(sorted(CALLED)), st.lists(st.integers(0, 90), max_size=8))
def test_it_is_read_at_any_split(model: gemel.Model, answer: str, cuts: list[int]) -> None:
    reader = Reader(Markers(model, DIALECT), None, TOOLS, str)
    ends = sorted({min(cut, len(answer)) for cut in cuts} | {len(answer)})
    parts = [part for at, end in zip([0, *ends], ends, strict=False) for part in reader.take(-1, answer[at:end])]
    parts += reader.finish("")
    text, calls = CALLED[answer]
    assert "".join(part.text for part in parts if part.kind == "text") == text
    assert [(call.name, call.arguments) for call in reader.calls] == calls
    assert all(call.is_complete for call in reader.calls)


@given(st.sampled_from([one for one in sorted(CALLED) if CALLED[one][1]]), st.integers(0, 90))
def test_a_call_that_is_cut_is_not_complete(model: gemel.Model, answer: str, end: int) -> None:
    reader = Reader(Markers(model, DIALECT), None, TOOLS, str)
    for char in answer[: min(end, answer.rindex("}"))]:
        reader.take(-1, char)
    reader.finish("")
    assert not any(call.is_complete for call in reader.calls)
