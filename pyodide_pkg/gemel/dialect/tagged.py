"""Arguments between tags, each with a name: strings are written as they are, all other values as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.json_value import KINDS
from .encoding import Encoding, Marking, read_nested
from .scanner import EndError, Scanner, Steps

if TYPE_CHECKING:
    from ..schema.compiler import Written
    from ..schema.style import Style

NAMES = r'[^<>"&\s\x00-\x1F]+'
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
CONSTANTS = {"null": ("null", "None"), "true": ("true", "True"), "false": ("false", "False")}
CDATA, CDATA_END = "<![CDATA[", "]]>"
Put = Callable[[str], None]


@dataclass(frozen=True)
class Tagged:
    """A tag for each argument.

    Attributes:
        opens, middle, closes: before the name, behind it, and behind the value
        after: behind that, and between: before the next one
        middles: what is behind the name instead of `middle`, by the kind of value
        has_cdata: strings with a line break or a mark of XML's are in a CDATA section
    """

    opens: str
    middle: str
    closes: str
    after: str = ""
    between: str = ""
    middles: tuple[tuple[str, str], ...] = ()
    has_cdata: bool = False

    has_json = True

    @property
    def begins(self) -> tuple[str, ...]:
        """The first tag."""
        return (self.opens,)

    def marked(self, mark: Marking) -> Encoding:
        """Return it with each marker replaced."""
        return replace(
            self, opens=mark(self.opens), middle=mark(self.middle), closes=mark(self.closes), after=mark(self.after),
            between=mark(self.between), middles=tuple((kind, mark(text)) for kind, text in self.middles),
        )  # fmt: skip

    def common(self, gbnf: Marking) -> str:
        """Return the rules of all JSON values, and of all strings."""
        from ..schema.rules import common as json_rules

        return f"{json_rules(is_spaced=True)}\n{self._style(gbnf).common()}"

    def rules(self, parameters: Mapping[str, Any], gbnf: Marking, *, prefix: str, strict: bool) -> Written:
        """Return the rules of the arguments that a schema allows."""
        from ..schema.compiler import write_rules

        return write_rules(parameters, prefix=prefix, is_spaced=True, style=self._style(gbnf), strict=strict)

    def _style(self, gbnf: Marking) -> Style:
        from ..schema.style import Raw, Style, of_others, raw_without

        is_text = not any("\ud800" <= char <= "\udfff" for char in self.closes)   # else no string has it
        raws = [raw_without(self.closes if is_text else "")]
        if self.has_cdata:
            marks = "<&>\r\n"
            raws = [Raw(of_others(marks), marks), raw_without(CDATA_END, gbnf(CDATA), gbnf(CDATA_END))]
        middles = dict.fromkeys(KINDS, gbnf(self.middle)) | {kind: gbnf(text) for kind, text in self.middles}
        closes = gbnf(self.closes + self.after)
        return Style(gbnf(self.opens), middles, closes, gbnf(self.between), NAMES, tuple(raws), constants=CONSTANTS)

    # ---- Reading ----------------------------------------------------------------------------------------------------

    def read(self, scanner: Scanner, parameters: Mapping[str, Any], put: Put) -> Steps:
        """Read one argument after the other, each by the kinds of values that it may have."""
        from ..schema.compiler import kinds_by_member

        known, by_middle = kinds_by_member(parameters), self._by_middle()
        put("{")
        begins, comma = self.opens, ""
        while (yield from scanner.at([begins], is_whole=True)):
            scanner.take(len(begins))
            name, middle = yield from read_name(scanner, known, by_middle)
            put(f"{comma}{json.dumps(name, ensure_ascii=False)}: ")
            kinds = by_middle[middle] & known.get(name, by_middle[middle]) or by_middle[middle]
            yield from self._value(scanner, kinds, put)
            yield from scanner.one_of([self.after])
            begins, comma = self.between + self.opens, ", "
        put("}")

    def _by_middle(self) -> dict[str, frozenset[str]]:
        """Return the kinds of values behind each text that may follow a name."""
        middles = dict.fromkeys(KINDS, self.middle) | dict(self.middles)
        return {text: frozenset(kind for kind in KINDS if middles[kind] == text) for text in middles.values()}

    def _value(self, scanner: Scanner, kinds: frozenset[str], put: Put) -> Steps:
        if self.has_cdata and (yield from scanner.at([CDATA])):
            scanner.take(len(CDATA))
            yield from read_raw(scanner, CDATA_END, put)
            yield from scanner.one_of([self.closes])
        elif kinds == {"string"}:
            yield from read_raw(scanner, self.closes, put)
        else:
            while not scanner.rest:
                yield from scanner.more()
            if ("array" in kinds and scanner.rest[0] == "[") or ("object" in kinds and scanner.rest[0] == "{"):
                yield from read_nested(scanner, put)
                yield from scanner.one_of([self.closes])
            else:
                read: list[str] = []
                yield from scanner.up_to(self.closes, read.append)
                put(as_json("".join(read), kinds))

    # ---- Writing ----------------------------------------------------------------------------------------------------

    def written(self, arguments: str, parameters: Mapping[str, Any]) -> str:
        """Return arguments between tags."""
        middles = dict(self.middles)
        return self.between.join(
            f"{self.opens}{name}{middles.get(kind_of(value), self.middle)}{self._text(value)}{self.closes}{self.after}"
            for name, value in json.loads(arguments).items()
        )

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        return f"{CDATA}{value}{CDATA_END}" if self.has_cdata and any(char in value for char in "<&>\r\n") else value


def read_raw(scanner: Scanner, closes: str, put: Put) -> Steps:
    """Read a string that is written as it is, up to what closes it; put it as JSON, as it grows."""
    put('"')
    yield from scanner.up_to(closes, lambda text: put(json.dumps(text, ensure_ascii=False)[1:-1]))
    put('"')


def read_name(
    scanner: Scanner, known: Iterable[str], middles: Iterable[str]
) -> Generator[None, None, tuple[str, str]]:
    """Read a name and what follows it: a name that is known, or all up to what may follow."""
    options = {name + middle: (name, middle) for name in known for middle in middles}
    found = yield from scanner.at(options)
    if found:
        scanner.take(len(found))
        return options[found]
    read: list[str] = []
    middle = yield from scanner.until(list(middles), read.append)
    if not middle:
        raise EndError
    scanner.take(len(middle))
    return "".join(read), middle


def as_json(text: str, kinds: Container[str]) -> str:
    """Return what a text says as JSON: a value of one of the kinds that it looks like, or else a string."""
    for constant, texts in CONSTANTS.items():
        if text in texts and ("null" if constant == "null" else "boolean") in kinds:
            return constant
    is_number = "number" in kinds and NUMBER.fullmatch(text)
    return text if is_number else json.dumps(text, ensure_ascii=False)


def kind_of(value: object) -> str:
    """Return the kind of a JSON value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return kinds[type(value)]
