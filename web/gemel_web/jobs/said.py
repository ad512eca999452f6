"""An answer as it grows: its text, its reasoning, its calls with their arguments, and the tokens of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .events import Call, Text, Token


class Said:
    """An answer as it grows.

    Attributes:
        text: without reasoning and calls
    """

    def __init__(self) -> None:
        self.text = self.reasoning = ""
        self._calls: dict[Call, str] = {}   # their arguments
        self._tokens: list[Token] = []

    def add(self, event: Text) -> None:
        """Take what an event adds."""
        self._tokens += event.tokens
        if event.call is not None:
            self._calls[event.call] = self._calls.get(event.call, "") + event.text
        elif event.kind == "reasoning":
            self.reasoning += event.text
        else:
            self.text += event.text

    @property
    def calls(self) -> Mapping[Call, str]:
        """Its calls in order, each with its arguments."""
        return self._calls

    @property
    def tokens(self) -> Sequence[Token]:
        """Its tokens, if they were asked for."""
        return self._tokens
