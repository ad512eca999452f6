"""Which nodes and shapes some finite value satisfies.

A node may need others: a member that is required, items. What only refers to itself has no value. While a schema is
being read, the nodes that it is part of count as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from ..core.errors import SchemaError
from .automaton import literal, without
from .shape import FALSE, Items, Members, Node, Shape, Some, joined
from .work import spend


class Possible:
    """Asks for the shapes of nodes only when it needs them, and remembers what it found."""

    def __init__(self, shapes: Callable[[Node], list[Shape]], reading: Container[str]) -> None:
        self._shapes = shapes
        self._reading = reading   # paths of the schemas that are being read
        self._known: dict[Node, bool] = {}

    def close(self) -> None:
        """Let go of the reader, which has this object: so both are freed without a search for garbage."""
        self._shapes = _closed

    def shape(self, shape: Shape) -> bool:
        """Whether a shape has a value, or may have one: what is being read is not known yet."""
        try:
            return self._is_filled(shape, lambda node: self._is_open(node) or self.node(node))
        except SchemaError:   # is raised when that schema is read for itself
            return True

    def node(self, node: Node) -> bool:
        """Whether some finite value satisfies a node."""
        if not node:
            return True
        if node in self._known:
            return self._known[node]
        asked: dict[Node, None] = {node: None}
        found: set[Node] = set()
        taken: list[Node] = []   # as possible, since they are being read

        def is_known(one: Node) -> bool:
            if not one or one in self._known:
                return not one or self._known[one]
            spend(5)
            if self._is_open(one):
                taken.append(one)
                return True
            asked.setdefault(one)
            return one in found

        n_before = (0, -1)
        while node not in found and n_before != (len(asked), len(found)):   # the least fixed point
            n_before = (len(asked), len(found))
            for one in reversed(list(asked)):   # those that others need come later
                if one not in found and any(self._is_filled(shape, is_known) for shape in self._shapes(one)):
                    found.add(one)
        if not taken:
            self._known.update((one, True) for one in found)
        if node not in found:
            self._known.update((one, False) for one in asked if one not in found)
        return node in found

    def _is_open(self, node: Node) -> bool:
        return any(place in self._reading for place in node)

    def _is_filled(self, shape: Shape, is_known: Callable[[Node], bool]) -> bool:
        """Whether a shape has a value, as far as is known of its nodes."""
        if shape.constants or shape.number or shape.string is not None:
            return True
        if shape.array is not None and _has_items(shape.array, is_known):
            return True
        return shape.object is not None and _has_members(shape.object, is_known)


def _closed(_: Node) -> list[Shape]:
    raise RuntimeError("the reader is closed")


def _has_items(array: Items, is_known: Callable[[Node], bool]) -> bool:
    if array.most is not None and array.least > array.most:
        return False
    needed = range(min(array.least, array.n_prefix + 1))
    return all(is_known(array.at(i)) for i in needed) and all(
        not one.least or is_known(one.node) for one in array.contains
    )


def _has_members(members: Members, is_known: Callable[[Node], bool]) -> bool:
    spend(6 + 4 * len(members.required) * (len(members.layers) + 1))
    if members.most is not None and max(members.least, len(members.required)) > members.most:
        return False
    if not all(is_known(members.of(name)) for name in members.required):
        return False
    return all(_has_some(members, some, is_known) for some in members.some)


def _has_some(members: Members, some: Some, is_known: Callable[[Node], bool]) -> bool:
    """Whether a member may be the one that is needed; of members that are not listed, patterns are ignored."""
    known = members.known
    spend(10 + 6 * len(known))
    for name in known:
        if some.names.accepts(name) and is_known(joined(members.of(name), some.node)):
            return True
    rest = joined(*(layer.rest for layer in members.layers if not layer.patterns), some.node)
    if FALSE in rest or not is_known(rest):
        return False
    return not without(some.names, literal(known)).is_empty if known else not some.names.is_empty
