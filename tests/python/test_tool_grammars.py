"""The grammars of a model's tools are written once for all its calls, as long as little is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gemel
from gemel.dialect.rows import CALLS, THOUGHTS
from gemel.model.grammar import Form
from gemel.model.tool_grammars import ToolGrammars

ASKED = [{"role": "user", "content": "the"}]
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}{# {notes} #}"
HERMES, LLAMA = '<tool_call> "arguments"', "dictionary of argument name and its value"


def tool(name: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}


def first_of(model: gemel.Model, notes: str = HERMES, **options: Any) -> object:  # noqa: ANN401
    given = {"tools": [tool("a"), tool("b")], **options}
    return model.turn(ASKED, template=TEMPLATE.replace("{notes}", notes), **given).script(None).first


def test_a_request_with_the_same_tools_writes_no_grammar(tiny_model: Callable[..., gemel.Model]) -> None:
    model = tiny_model()
    first = first_of(model)
    assert first_of(model) is first
    others: list[dict[str, Any]] = [
        {"tool_choice": "required"}, {"tool_choice": "b"}, {"parallel_tool_calls": False}, {"notes": LLAMA},
        {"tools": [tool("b"), tool("a")]}, {"tools": [tool("a"), tool("b", properties={"x": {}})]},
        {"tools": [tool("a"), {**tool("b"), "function": {**tool("b")["function"], "strict": False}}]},
    ]  # fmt: skip
    for options in others:
        assert first_of(model, **options) is not first, options
        assert first_of(model, **options) is first_of(model, **options), options
    assert first_of(model) is first


def test_little_is_kept() -> None:
    def made(text: str) -> tuple[Form, None]:
        return Form("grammar", text), None

    held = ToolGrammars(count=2, size=20)
    for name in ("a", "b", "a", "c"):   # b leaves: a was used later
        held.of((), name, lambda: made("x"))
    assert len(held) == 2
    assert held.of((), "a", lambda: made("y"))[0].source == "x"
    assert held.of((), "b", lambda: made("y"))[0].source == "y"
    held.of((), "large", lambda: made("z" * 100))
    assert len(held) == 1
    assert held.of((1,), "large", lambda: made("y"))[0].source == "y"
    assert len(held) == 1


def test_every_dialect_can_be_a_key() -> None:
    assert len({hash(row) for row in (*CALLS, *THOUGHTS)}) > 1
