"""Writes an object in another style than JSON's: as a list of members, each between texts, with strings as they are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

from ..core.json_value import KINDS
from .automaton import ANY, Automaton, TooLargeError, both, of_length, without
from .errors import not_enforced, refused
from .pattern import pattern
from .reader import TOO_LONG, Reader
from .rules import EMPTY, Alternative, in_class, quoted
from .shape import ANY_TEXT, Members, Node, Place, Shape, Text
from .style import Quote, Raw, Style, kinds_of_members, of_others
from .writer import Writer

ALL = frozenset(KINDS)
SHORT = 32
DIGITS = Automaton((tuple((ord(char), ord(char), 0) for char in sorted("+-.0123456789Ee")),), (True,))


class QuotedWriter(Writer):
    """Writes values like JSON's, but with bare names of members, and strings without escapes between marks."""

    names_are_json = lists_are_json = False

    def __init__(self, reader: Reader, quote: Quote, *, prefix: str) -> None:
        super().__init__(reader, any_order=False, prefix=prefix)
        self._quote = quote

    def _object(self, at: Place, members: Members) -> list[Alternative]:
        return super()._object(at, by_name(members))

    def _strings(self, at: Place, text: Text) -> list[Alternative]:
        if text.is_any:
            return [("string",)]
        return raw(self, at, text, self._quote.raw)

    def _constant(self, text: str) -> str:
        if not text.startswith('"'):
            return quoted(text)
        return self.rules.shared(tuple(self._strings(Place("#", True), Text(texts=frozenset((json.loads(text),))))))

    def _pair(self, name: str, node: Node) -> Alternative:
        check_name(name, self._quote.names)
        return self.rules.written(quoted(name + ":"), self.value(node)),

    def _other(self, at: Place, names: Automaton | None, node: Node) -> Alternative:
        return (*other_name(self, names, self._quote.names), '":"', self.value(node))


class MemberWriter(Writer):
    """Writes the members of one object in a style; their values are written by another writer, of the same reader."""

    names_are_json = False

    def __init__(self, values: Writer, style: Style) -> None:
        super().__init__(values.reader, any_order=False)
        self.rules, self._values, self._style = values.rules, values, style
        self.opens, self.comma, self.closes = EMPTY, style.comma or EMPTY, EMPTY
        self._kinds = kinds_of_members(values.reader)
        self._similar: dict[frozenset[str], Automaton | None] = {}

    def lines(self, root: Node) -> tuple[str, list[str]]:
        """Return the rule of all objects that a node allows, and the rules that it needs."""
        name, at = self.rules.new(), root[0]
        parts: list[Alternative] = []
        for members in [shape.object for shape in self.reader.shapes(root) if shape.object is not None]:
            members = by_name(members) if self._style.quote else members
            looser = Members(members.layers, members.required)
            parts += self.reader.relaxed(partial(self._object, at, members), partial(self._object, at, looser))
        self.rules.of[name] = list(dict.fromkeys(parts))
        self._values.write_values()
        return name, self.lines_of(root, name)

    def _pair(self, name: str, node: Node) -> Alternative:
        key = (name, node, False)
        if key not in self._of_pair:
            check_name(name, self._style.names)
            rule = self._of_pair[key] = self.rules.new()
            self.rules.of[rule] = self._written(quoted(name), node, self._kinds.get(name, ALL))
        return (self._of_pair[key],)

    def _other(self, at: Place, names: Automaton | None, node: Node) -> Alternative:
        name = self.rules.written(*other_name(self, names, self._style.names))
        rule = self.rules.new()
        self.rules.of[rule] = self._written(name, node, ALL)
        return (rule,)

    def _written(self, name: str, node: Node, kinds: frozenset[str]) -> list[Alternative]:
        """Return the ways to write a member."""
        style = self._style
        values: dict[str, dict[Alternative, None]] = {}
        for kind, value in self._ways_of(node, kinds):
            values.setdefault(style.middles[kind], {})[value] = None
        of = {middle: self.rules.shared(tuple(ways)) for middle, ways in values.items()}
        return [tuple(filter(None, (style.opens, name, middle, of[middle], style.closes))) for middle in of]

    def _ways_of(self, node: Node, kinds: frozenset[str]) -> list[tuple[str, Alternative]]:
        """Return the ways to write a value, with its kind."""
        found: list[tuple[str, Alternative]] = []
        places = node or (Place("#", True),)
        everything = self.reader.anything()
        for shape in self.reader.shapes(node):
            for constant in sorted(shape.constants):
                kind = "null" if constant == "null" else "boolean"
                found += [(kind, (quoted(text),)) for text in self._style.constants[constant]]
            for kind in ("number", "array", "object"):
                part = getattr(shape, kind)
                if part is not None and part == getattr(everything, kind):
                    found.append((kind, (kind,)))
                elif part is not None:
                    found += [(kind, one) for one in self._values._parts(places, Shape(**{kind: part}))]
            if (text := shape.string) is not None:
                found += [("string", one) for one in self._texts(places, text, self._style.look(kinds))]
        return found

    def _texts(self, places: Node, text: Text, look: frozenset[str]) -> list[Alternative]:
        if not self._style.raws:
            ways = self._values._parts(places, Shape(string=text))
            return ways + [way for one in self._style.also for way in raw(self, places[0], text, one)]
        return self.reader.relaxed(
            lambda: self._raw(places[0], text, look), lambda: self._raw(places[0], ANY_TEXT, look)
        )

    def _raw(self, at: Place, text: Text, look: frozenset[str]) -> list[Alternative]:
        if text.is_any and not look:
            return [("raw",)]
        if look not in self._similar:
            self._similar[look] = self._style.similar(look)
        return [way for one in self._style.raws for way in raw(self, at, text, one, self._similar[look])]


def by_name(members: Members) -> Members:
    """Return the same objects, with the members that are listed in the order of their names."""
    layers = tuple(replace(layer, known=tuple(sorted(layer.known))) for layer in members.layers)
    return replace(members, layers=layers, required=tuple(sorted(members.required)))


def raw(writer: Writer, at: Place, text: Text, form: Raw, similar: Automaton | None = None) -> list[Alternative]:
    """Return the ways to write those strings of a text that a form has, and that are not similar to other values."""
    ways: list[Alternative]
    if text.texts is not None:
        kept = [one for one in sorted(text.texts) if form.allowed.accepts(one)]
        ways = [(quoted(one),) for one in kept if not (similar and similar.accepts(one))]
    else:
        try:
            ways = _automata(writer, text, form, similar)
        except TooLargeError:
            if text.automaton is not None or text.excluded:
                raise not_enforced(at.path, TOO_LONG) from None
            ways = _long(writer, text, form, similar)
    return [tuple(filter(None, (form.before, *way, form.after))) or (EMPTY,) for way in ways]


def _automata(writer: Writer, text: Text, form: Raw, similar: Automaton | None) -> list[Alternative]:
    if text.automaton is None and not text.excluded:
        found = of_length(form.allowed, text.least, text.most)
    else:
        found = both(text.whole, form.allowed)
    found = without(found, similar) if similar else found
    return [] if found.is_empty else [(writer.rules.automaton(found, is_json=False),)]


def _long(writer: Writer, text: Text, form: Raw, similar: Automaton | None) -> list[Alternative]:
    """Return the ways to write strings of so many characters that states can't count them.

    Those of more than SHORT have none of the form's other characters, and one at their beginning that numbers lack.
    """
    ways: list[Alternative] = []
    if text.least <= SHORT:
        ways += _automata(writer, Text(least=text.least, most=SHORT), form, similar)
    head = of_others(form.others) if form.others else ANY
    head = of_length(without(without(head, similar), DIGITS) if similar else head, SHORT + 1, SHORT + 1)
    character = f"[^{''.join(in_class(ord(char)) for char in form.others)}]" if form.others else "."
    most = None if text.most is None else text.most - SHORT - 1
    more = writer.rules.repeated(writer.rules.written(character), max(text.least - SHORT - 1, 0), most)
    return [*ways, (writer.rules.automaton(head, is_json=False), *more)]


def check_name(name: str, names: str) -> None:
    """Raise if a member's name can't be written."""
    if not re.fullmatch(names, name):
        raise refused("#", f"calls of this model can't have the member {name!r}: its name must match {names}")


def other_name(writer: Writer, names: Automaton | None, allowed: str) -> Alternative:
    """Return the names that are not listed and can be written."""
    automaton = pattern(f"^(?:{allowed})$")
    return (writer.rules.automaton(automaton if names is None else both(names, automaton), is_json=False),)
