"""Ids of an answer become its parts: control tokens as the dialect's markers, all others as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .dialect import Section
from .markers import Markers
from .parser import Parser
from .parts import Part, ToolCall


class Reader:
    """Reads one answer.

    Attributes:
        parts: all so far, of which a caller takes those that it has not seen
        reasoning: its text so far
    """

    def __init__(
        self, markers: Markers, start: Section | None, tools: Mapping[str, Mapping[str, Any]],
        new_id: Callable[[int], str],
    ) -> None:  # fmt: skip
        self._characters = markers.characters
        self._parser = Parser(markers.dialect, start, tools, new_id)
        self.parts: list[Part] = []
        self.reasoning = ""

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that were begun."""
        return self._parser.calls

    @property
    def is_reasoning(self) -> bool:
        """Whether reasoning is being written, and no marker."""
        return self._parser.kind == "reasoning" and not self._parser.is_inside_marker

    def take(self, id: int, text: str) -> str:
        """Take an id and what it makes readable; return what it adds to the text."""
        return self._kept(self._parser.feed(text + self._characters.get(id, "")))

    def finish(self, text: str) -> str:
        """Take the last characters; return what they add to the text."""
        return self._kept(self._parser.feed(text) + self._parser.finish())

    def _kept(self, parts: list[Part]) -> str:
        self.parts += parts
        self.reasoning += "".join(part.text for part in parts if part.kind == "reasoning")
        return "".join(part.text for part in parts if part.kind == "text")
