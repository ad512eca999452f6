"""Lists whose items are compared while the answer is written: how items are spelled, and whether there are enough."""

from __future__ import annotations

from .automaton import Automaton, TooLargeError, both
from .errors import not_enforced
from .numbers import spelled_once
from .reader import TOO_LONG, Reader
from .rules import Rules
from .shape import Items, Members, Node, Place, Shape, joined
from .work import spend

COUNTED_MAX = 1000   # so many are not counted one by one
LISTED_MAX = 20_000
DEPTH_MAX = 6
# Values with their numbers spelled in one way each.
COMMON = r"""value-once ::= "null" | "true" | "false" | number-once | string | array-once | object-once
array-once ::= "[" (value-once ("," value-once)*)? "]"
object-once ::= "{" (pair-once ("," pair-once)*)? "}"
pair-once ::= string ":" value-once
number-once ::= "0" | "-"? ([1-9] [0-9]* | ("0" | [1-9] [0-9]*) "." [0-9]* [1-9])"""


def has_many(automaton: Automaton) -> bool:
    """Whether infinitely many texts are in it."""
    return not automaton.is_empty and automaton.longest is None


class Distinct:
    """Counts different values. A count may be too small, never too large."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.possible = reader, reader.possible.node

    def of(self, node: Node, most: int, depth: int = 0) -> int:
        """Return how many values satisfy a node, up to `most`."""
        if most <= 1 or not node:
            return most if self.possible(node) else 0
        spend(20)
        if depth > DEPTH_MAX:
            return 1
        shapes = self.reader.shapes(node)
        texts = self._texts(shapes, most)
        if texts is not None:
            return min(most, texts)
        return min(most, max((self._shape(shape, most, depth) for shape in shapes), default=0))

    def texts(self, node: Node, most: int) -> int | None:
        """Return how many values satisfy a node that allows only a few strings, numbers and constants, or None."""
        return self._texts(self.reader.shapes(node), most) if node else None

    def _texts(self, shapes: list[Shape], most: int) -> int | None:
        found = set[str]()
        for shape in shapes:
            if shape.array is not None or shape.object is not None:
                return None
            found |= shape.constants
            numbers = [] if shape.number is None else _few(both(shape.number, spelled_once()), most)
            strings = [] if shape.string is None else _few(shape.string.whole, most)
            if numbers is None or strings is None:
                return None
            found |= {*numbers, *(f'"{text}' for text in strings)}
        return len(found)

    def _shape(self, shape: Shape, most: int, depth: int) -> int:
        n = len(shape.constants)
        number = None if shape.number is None else both(shape.number, spelled_once())
        for automaton in (number, None if shape.string is None else shape.string.whole):
            if automaton is not None and not automaton.is_empty:
                few = _few(automaton, most)
                n += most if few is None else len(few)
        if shape.array is not None:
            n += self._arrays(shape.array, most, depth)
        return n + (self._objects(shape.object, most, depth) if shape.object is not None else 0)

    def _arrays(self, array: Items, most: int, depth: int) -> int:
        node = array.at(array.n_prefix)
        if array.contains or array.most == 0 or not self.possible(node):
            return 1
        if array.most is None and not array.is_unique:
            return most
        return self.of(node, most, depth + 1)

    def _objects(self, members: Members, most: int, depth: int) -> int:
        rest = joined(*(layer.rest for layer in members.layers))
        if members.most is not None or members.some or not members.names.is_any:
            return 1
        if self.possible(rest) and not any(layer.patterns for layer in members.layers):
            return most
        n = 1
        for name in members.known:
            if n < most and self.possible(members.of(name)):
                n *= self.of(members.of(name), most, depth + 1) + (name not in members.needs)
        return min(n, most)

    def check(self, at: Place, array: Items) -> None:
        """Raise if some list could get stuck: no item is left for a place that it needs, by what this can count."""
        path, least = at.path, array.least
        for i in range(min(least, array.n_prefix + 1)):
            wanted = i + 1 if i < array.n_prefix else least
            if self.of(array.at(i), wanted) < wanted:
                raise not_enforced(f"{path}/uniqueItems", f"there may be fewer than {wanted} different items")
        if len(array.contains) > 1:
            raise not_enforced(f"{path}/uniqueItems", "beside several contains, it can't be enforced")
        for one in array.contains:
            nodes = [(joined(array.at(array.n_prefix), one.node), one.least)]
            if one.most is not None:
                nodes.append((joined(array.at(array.n_prefix), self.reader.negated(one.node)), least))
            for node, wanted in nodes:
                if wanted and (array.n_prefix or self.of(node, wanted) < wanted):
                    raise not_enforced(f"{path}/uniqueItems", "beside contains, it can't be enforced here")

    def most(self, at: Place, array: Items, *, is_inner: bool) -> int | None:
        """Return how many items a list can have, so that it ends when all are used; None: any number."""
        if array.n_prefix or array.contains:
            return array.most
        n = self.texts(array.at(0), COUNTED_MAX)
        if n is None and is_inner and self.of(array.at(0), COUNTED_MAX) < COUNTED_MAX:
            raise not_enforced(f"{at.path}/uniqueItems", "within items that are unique, it needs many different items")
        return array.most if n is None else n if array.most is None else min(array.most, n)


def _few(automaton: Automaton, most: int) -> list[str] | None:
    """Return the texts of an automaton; None: there are more than `most`. Of very many, none are said to be there."""
    if has_many(automaton):
        return None
    counted = min(max(most, COUNTED_MAX), LISTED_MAX)
    spend(counted)
    found = automaton.texts(counted)
    return [] if found is None and most > counted else found


def once(at: Place, number: Automaton) -> Automaton:
    """Return numbers, each spelled in one way."""
    try:
        return both(number, spelled_once())
    except TooLargeError:
        raise not_enforced(at.path, TOO_LONG) from None


def anything(rules: Rules) -> str:
    """Return the rule of all values, with their numbers spelled in one way each."""
    return rules.add_common(COMMON, "value-once")

