"""What an answer of a chat consists of: text, reasoning and calls of tools, as they grow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from ..core.public import public


@public
@dataclass
class ToolCall:
    """A call of a tool.

    Attributes:
        index: its place among the calls of an answer
        id: what its result names it by
        name: of the tool
        arguments: a JSON object, as text; while the answer runs, its beginning
        is_complete: whether the call was written to its end
    """

    index: int
    id: str
    name: str
    arguments: str = ""
    is_complete: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """The arguments by name. ValueError for a call that is not complete."""
        found: dict[str, Any] = json.loads(self.arguments)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the call as messages have it, in OpenAI's form."""
        return {
            "id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments or "{}"},
        }   # fmt: skip


@public
@dataclass(frozen=True)
class Part:
    """The next piece of an answer.

    Attributes:
        kind: "text", "reasoning", "call", or "result" of a call that Chat.run() made
        text: what it adds to the text, the reasoning or the arguments of the call; the result
        call: the call that it belongs to; its first part has no text yet
    """

    kind: Literal["text", "reasoning", "call", "result"]
    text: str
    call: ToolCall | None = None
