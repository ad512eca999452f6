"""Arguments as a programming language has them: name=value, as in a call, or name:value with strings between marks."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.json_value import KINDS
from .encoding import Encoding, Marking, read_nested, read_string
from .scanner import Scanner, Steps
from .tagged import CONSTANTS, as_json, read_name, read_raw

if TYPE_CHECKING:
    from ..schema.compiler import Written
    from ..schema.style import Quote

NAMES = "[A-Za-z_][A-Za-z0-9_]*"
NO_SINGLE = "'\\"   # strings between single quotes have none of these
BARE = r"[^:{}\[\],<>\"|\s\x00-\x1F]+"
SPELLED = {name: texts[::-1] for name, texts in CONSTANTS.items()}   # True, then true
NO_STRING = frozenset(KINDS) - {"string"}
Put = Callable[[str], None]


@dataclass(frozen=True)
class Keywords:
    """Arguments of a call in Python: name="text", name='text', name=True. Lists and objects are JSON."""

    begins = ()
    has_json = True

    def marked(self, mark: Marking) -> Encoding:
        """Return itself: it has no markers."""
        return self

    def common(self, gbnf: Marking) -> str:
        """Return the rules of all JSON values."""
        from ..schema.rules import common as json_rules

        return json_rules(is_spaced=True)

    def rules(self, parameters: Mapping[str, Any], gbnf: Marking, *, prefix: str, strict: bool) -> Written:
        """Return the rules of the arguments that a schema allows."""
        from ..schema.compiler import write_rules
        from ..schema.rules import quoted
        from ..schema.style import Raw, Style, of_others

        single = Raw(of_others(NO_SINGLE), NO_SINGLE, quoted("'"), quoted("'"))
        style = Style("", dict.fromkeys(KINDS, '"="'), "", '", "', NAMES, also=(single,), constants=SPELLED)
        return write_rules(parameters, prefix=prefix, is_spaced=True, style=style, strict=strict)

    def read(self, scanner: Scanner, parameters: Mapping[str, Any], put: Put) -> Steps:
        """Read the arguments up to the bracket that closes the call."""
        from ..schema.compiler import kinds_by_member

        known = kinds_by_member(parameters)
        put("{")
        comma = ""
        while not (yield from scanner.at([")"], is_whole=True)):
            if comma:
                yield from scanner.one_of([", "])
            name, _ = yield from read_name(scanner, known, ["="])
            put(f"{comma}{json.dumps(name, ensure_ascii=False)}: ")
            comma = ", "
            while not scanner.rest:
                yield from scanner.more()
            if scanner.rest[0] == '"':
                yield from read_string(scanner, put)
            elif scanner.rest[0] == "'":
                scanner.take(1)
                yield from read_raw(scanner, "'", put)
            elif scanner.rest[0] in "[{":
                yield from read_nested(scanner, put)
            else:
                put(as_json((yield from _scalar(scanner, ",)")), NO_STRING))
        put("}")

    def written(self, arguments: str, parameters: Mapping[str, Any]) -> str:
        """Return arguments as keywords."""
        return ", ".join(
            f"{name}={repr(value) if value is None or isinstance(value, bool) else _json(value)}"
            for name, value in json.loads(arguments).items()
        )


@dataclass(frozen=True)
class Bare:
    """Arguments by name, without quotes around names, and with marks around strings, which have no escapes."""

    quote: str

    begins = ()
    has_json = False

    def marked(self, mark: Marking) -> Encoding:
        """Return it with its mark replaced."""
        return replace(self, quote=mark(self.quote))

    def _quote(self, gbnf: Marking) -> Quote:
        from ..schema.style import Quote, raw_without

        is_text = not any("\ud800" <= char <= "\udfff" for char in self.quote)   # else no string has it
        return Quote(raw_without(self.quote if is_text else "", gbnf(self.quote), gbnf(self.quote)), BARE)

    def common(self, gbnf: Marking) -> str:
        """Return the rules of all values."""
        return self._quote(gbnf).common()

    def rules(self, parameters: Mapping[str, Any], gbnf: Marking, *, prefix: str, strict: bool) -> Written:
        """Return the rules of the arguments that a schema allows."""
        from ..schema.compiler import write_rules
        from ..schema.rules import quoted
        from ..schema.style import Style

        style = Style("", dict.fromkeys(KINDS, quoted(":")), "", quoted(","), BARE, quote=self._quote(gbnf))
        return write_rules(parameters, prefix=prefix, style=style, strict=strict)

    def read(self, scanner: Scanner, parameters: Mapping[str, Any], put: Put) -> Steps:
        """Read the arguments up to the brace that closes them."""
        put("{")
        inside, is_named = ["{"], False   # brackets that are open; whether a name was read, and its value was not
        while True:
            while not scanner.rest:
                yield from scanner.more()
            char = scanner.rest[0]
            if char in "}]":
                if len(inside) == 1:
                    break
                put("}" if inside.pop() == "{" else "]")
                scanner.take(1)
            elif char == ",":
                put(", ")
                scanner.take(1)
                is_named = False
            elif inside[-1] == "{" and not is_named:
                name, _ = yield from read_name(scanner, (), [":"])
                put(f"{_json(name)}: ")
                is_named = True
                continue
            elif char in "{[":
                put(scanner.take(1))
                inside.append(char)
                is_named = False
                continue
            elif (yield from scanner.at([self.quote], is_whole=True)):
                scanner.take(len(self.quote))
                yield from read_raw(scanner, self.quote, put)
            else:
                put(as_json((yield from _scalar(scanner, ",}]")), NO_STRING))
            is_named = inside[-1] == "{" and is_named
        put("}")

    def written(self, arguments: str, parameters: Mapping[str, Any]) -> str:
        """Return arguments in this form."""
        return self._members(json.loads(arguments))

    def _members(self, values: Mapping[str, object]) -> str:
        return ",".join(f"{name}:{self._value(value)}" for name, value in sorted(values.items()))

    def _value(self, value: object) -> str:
        if isinstance(value, str):
            return f"{self.quote}{value}{self.quote}"
        if isinstance(value, dict):
            return "{" + self._members(value) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(self._value, value)) + "]"
        return _json(value)


def _scalar(scanner: Scanner, ends: str) -> Generator[None, None, str]:
    """Read the text up to one of some characters."""
    while True:
        at = next((i for i, char in enumerate(scanner.rest) if char in ends), None)
        if at is not None:
            return scanner.take(at)
        yield from scanner.more()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
