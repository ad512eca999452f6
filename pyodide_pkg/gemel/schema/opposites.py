"""The values that a shape does not have, as shapes.

An object is not of a shape if some member is not as it should be: a `Some`. So the opposite of additionalProperties and
its kin can be said, too.
"""

from __future__ import annotations

from collections.abc import Callable

from . import numbers
from .automaton import ANY, literal, without
from .errors import not_enforced
from .shape import (
    ANY_ITEMS,
    ANY_MEMBERS,
    ANY_TEXT,
    CONSTANTS,
    FALSE,
    Contained,
    ItemLayer,
    Items,
    MemberLayer,
    Members,
    Node,
    Place,
    Shape,
    Some,
    joined,
)  # fmt: skip

Negate = Callable[[Node], Node]   # the node of what does not satisfy a node


def opposite(place: Place, shape: Shape, negate: Negate) -> list[Shape]:
    """Return the values that a shape does not have, as a union. TooLargeError; SchemaError: it can't be said."""
    number = shape.number
    texts = shape.string.opposite if shape.string is not None else [ANY_TEXT]
    scalars = Shape(
        CONSTANTS - shape.constants, without(numbers.plain(), number) if number else numbers.any_number(),
        texts[0] if texts else None, ANY_ITEMS if shape.array is None else None,
        ANY_MEMBERS if shape.object is None else None,
    ).tidied()   # fmt: skip
    found = [scalars, *(Shape(string=one).tidied() for one in texts[1:])]
    if shape.array is not None:
        found += [Shape(array=one) for one in _other_arrays(place, shape.array, negate)]
    if shape.object is not None:
        found += [Shape(object=one) for one in _other_objects(shape.object, negate)]
    return [one for one in found if not one.is_empty]


def _other_arrays(place: Place, array: Items, negate: Negate) -> list[Items]:
    if array.is_unique:
        raise not_enforced(place.path, "the opposite of uniqueItems can't be enforced")
    found = [Items(most=array.least - 1)] if array.least else []
    found += [] if array.most is None else [Items(least=array.most + 1)]
    for one in array.contains:
        found += [Items(contains=(Contained(one.node, 0, one.least - 1),))] if one.least else []
        found += [] if one.most is None else [Items(contains=(Contained(one.node, one.most + 1, None),))]
    for layer in array.layers:
        for i, node in enumerate(layer.prefix):
            found += [Items((ItemLayer((*[()] * i, negate(node))),), least=i + 1)] if node else []
        if layer.rest == (FALSE,):
            found.append(Items(least=len(layer.prefix) + 1))
        elif layer.rest and layer.prefix:
            raise not_enforced(place.path, "the opposite of items behind prefixItems can't be enforced")
        elif layer.rest:
            found.append(Items(contains=(Contained(negate(layer.rest), 1, None),)))
    return found


def _other_objects(members: Members, negate: Negate) -> list[Members]:
    found = [Members(most=members.least - 1)] if members.least else []
    found += [] if members.most is None else [Members(least=members.most + 1)]
    nodes = {name: joined(*(layer.by_name.get(name, ()) for layer in members.layers)) for name in members.known}
    for name, node in nodes.items():
        other = MemberLayer(((name, negate(node)),))
        if name in members.needs:   # it is absent, or not as it should be
            found.append(Members((other,)))
        elif node:
            found.append(Members((other,), required=(name,)))
    if not members.names.is_any:
        found.append(Members(some=(Some(without(ANY, members.names.whole), ()),)))
    for one in members.some:
        found.append(Members((MemberLayer((), ((one.names, negate(one.node)),)),)))
    for layer in members.layers:
        names = ANY
        for automaton, node in layer.patterns:
            names = without(names, automaton) if layer.rest else names
            found += [Members(some=(Some(automaton, negate(node)),))] if node else []
        if layer.rest:
            names = without(names, literal(name for name, _ in layer.known)) if layer.known else names
            found.append(Members(some=(Some(names, negate(layer.rest)),)))
    return found


def forbidden(name: str) -> Members:
    """Return the objects without a member of that name."""
    return Members((MemberLayer(((name, (FALSE,)),)),))
