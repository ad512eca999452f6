"""How the arguments of a call are written: rules of a grammar for them, and a reader that turns them into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..schema.compiler import Written, write_rules


class Reading(Protocol):
    """Reads the arguments of one call, in pieces."""

    def feed(self, text: str) -> tuple[str, int]:
        """Return the JSON text that is new, and how many characters of the text belong to the arguments.

        Fewer than all: they are complete.
        """

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow."""


class Encoding(Protocol):
    """A way to write arguments."""

    def rules(self, parameters: Mapping[str, Any], *, prefix: str, strict: bool) -> Written:
        """Return the rules of all arguments that a schema allows. SchemaError: it can't be enforced.

        prefix: the names of the rules begin so.
        """

    def reading(self, parameters: Mapping[str, Any]) -> Reading:
        """Return what reads the arguments of a tool with these parameters."""


@dataclass(frozen=True)
class Json:
    """Arguments are a JSON object. A space may follow commas and colons."""

    def rules(self, parameters: Mapping[str, Any], *, prefix: str, strict: bool) -> Written:
        """Return the schema's own rules."""
        return write_rules(parameters, prefix=prefix, is_spaced=True, strict=strict)

    def reading(self, parameters: Mapping[str, Any]) -> Reading:
        """Return what finds the end of an object."""
        return JsonReading()


class JsonReading:
    """Passes an object on as it is written, to its last brace.

    >>> reading = JsonReading()
    >>> reading.feed('{"a": "}'), reading.feed('"} and more'), reading.is_complete
    (('{"a": "}', 8), ('"}', 2), True)
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._is_escaped = False
        self.is_complete = False

    def feed(self, text: str) -> tuple[str, int]:
        """Return the text up to the end of the object, and its length."""
        if self.is_complete:
            return "", 0
        for at, char in enumerate(text):
            if self._in_string:
                if self._is_escaped:
                    self._is_escaped = False
                elif char == "\\":
                    self._is_escaped = True
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if not self._depth:
                    self.is_complete = True
                    return text[: at + 1], at + 1
        return text, len(text)
