"""Ids of an answer become its parts: control tokens as the dialect's markers, all others as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .dialect import Kind, Section
from .markers import Markers
from .parser import Parser
from .parts import Part, ToolCall


class Reader:
    """Reads one answer.

    Attributes:
        reasoning: its text so far
        n_reasoning: ids so far after which reasoning went on
    """

    def __init__(
        self, markers: Markers, start: Section | None, tools: Mapping[str, Mapping[str, Any]],
        new_id: Callable[[int], str],
    ) -> None:  # fmt: skip
        self._characters = markers.characters
        self._parser = Parser(markers.dialect, start, tools, new_id)
        self.reasoning, self.n_reasoning = "", 0

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that were begun."""
        return self._parser.calls

    @property
    def kind(self) -> Kind:
        """Of the section that is being written."""
        return self._parser.kind

    @property
    def is_inside_marker(self) -> bool:
        """Whether the text so far may end in the middle of a marker."""
        return self._parser.is_inside_marker

    def take(self, id: int, text: str) -> list[Part]:
        """Take an id and what it makes readable; return the parts that it completes."""
        parts = self._kept(self._parser.feed(text + self._characters.get(id, "")))
        self.n_reasoning += self.kind == "reasoning"
        return parts

    def finish(self, text: str) -> list[Part]:
        """Take the last characters; return the last parts."""
        return self._kept(self._parser.finish(text))

    def _kept(self, parts: list[Part]) -> list[Part]:
        self.reasoning += "".join(part.text for part in parts if part.kind == "reasoning")
        return parts
