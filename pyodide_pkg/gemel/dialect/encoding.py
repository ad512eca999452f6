"""How the arguments of a call are written: rules of a grammar for them, and what reads them as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .scanner import Scanner, Steps

if TYPE_CHECKING:
    from ..schema.compiler import Written

Marking = Callable[[str], str]


class Encoding(Protocol):
    """A way to write arguments."""

    @property
    def begins(self) -> tuple[str, ...]:
        """Texts that begin arguments, if they are not absent."""

    @property
    def has_json(self) -> bool:
        """Whether its common rules are those of JSON, and others."""

    def marked(self, mark: Marking) -> Encoding:
        """Return it with each marker replaced."""

    def common(self, gbnf: Marking) -> str:
        """Return the rules that those of all tools use. gbnf: writes a marker."""

    def rules(self, parameters: Mapping[str, Any], gbnf: Marking, *, prefix: str, strict: bool) -> Written:
        """Return the rules of all arguments that a schema allows. SchemaError: it can't be enforced.

        prefix: the names of the rules begin so.
        """

    def read(self, scanner: Scanner, parameters: Mapping[str, Any], put: Callable[[str], None]) -> Steps:
        """Read the arguments of a tool with these parameters; put the text of a JSON object, as it grows."""

    def written(self, arguments: str, parameters: Mapping[str, Any]) -> str:
        """Return arguments, which are a JSON object, as models write them."""


@dataclass(frozen=True)
class Json:
    """Arguments are a JSON object. A space may follow commas and colons."""

    begins = ("{",)
    has_json = True

    def marked(self, mark: Marking) -> Encoding:
        """Return itself: it has no markers."""
        return self

    def common(self, gbnf: Marking) -> str:
        """Return the rules of all JSON values."""
        from ..schema.rules import common as json_rules

        return json_rules(is_spaced=True)

    def rules(self, parameters: Mapping[str, Any], gbnf: Marking, *, prefix: str, strict: bool) -> Written:
        """Return the schema's own rules."""
        from ..schema.compiler import write_rules

        return write_rules(parameters, prefix=prefix, is_spaced=True, strict=strict)

    def read(self, scanner: Scanner, parameters: Mapping[str, Any], put: Callable[[str], None]) -> Steps:
        """Pass the object on as it is written."""
        yield from read_nested(scanner, put)

    def written(self, arguments: str, parameters: Mapping[str, Any]) -> str:
        """Return them as they are."""
        return arguments


def read_nested(scanner: Scanner, put: Callable[[str], None]) -> Steps:
    """Pass a JSON object or array on as it is written, to its last brace."""
    depth, in_string, is_escaped = 0, False, False
    while True:
        for at, char in enumerate(scanner.rest):
            if in_string:
                in_string = is_escaped or char != '"'
                is_escaped = not is_escaped and char == "\\"
            elif char == '"':
                in_string = True
            elif char in "{[":
                depth += 1
            elif char in "}]":
                depth -= 1
                if depth <= 0:
                    put(scanner.take(at + 1))
                    return
        put(scanner.take(len(scanner.rest)))
        yield from scanner.more()


def read_string(scanner: Scanner, put: Callable[[str], None]) -> Steps:
    """Pass a JSON string on as it is written, to its last quote."""
    is_begun = is_escaped = False
    while True:
        for at, char in enumerate(scanner.rest):
            if char == '"' and is_begun and not is_escaped:
                put(scanner.take(at + 1))
                return
            is_escaped = is_begun and not is_escaped and char == "\\"
            is_begun = True
        put(scanner.take(len(scanner.rest)))
        yield from scanner.more()
