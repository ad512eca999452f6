"""Grammars as plain data, and what they allow, slowly and obviously: the reference for core_c/src/grammar.

A node is one of
    ("text", "ab")                       these characters
    ("chars", ((97, 122), ...), False)   one character of the ranges; True: one that is not
    ("seq", a, b, ...), ("any", a, b, ...)   one after another; one of them
    ("rep", a, m, n)                     m to n times; n None: without limit
    ("rule", 2)                          the rule of that number
    ("id", 5, False)                     the id 5 itself, not its text; True: any other id
A grammar is a list of nodes; the first one is the root.

What was read leads to a set of stacks: tuples of nodes that have to follow, the next one first. Characters are read as
code points. Bytes at the end that are no whole character stand for all characters that begin with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Node = tuple[Any, ...]
Stack = tuple[Node, ...]
EVERY = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
TERMINALS = ("text", "chars", "id")


# ---- As GBNF ---------------------------------------------------------------------------------------------------------


def gbnf(rules: Sequence[Node]) -> str:
    """Return the grammar as text."""
    return "".join(f"{_name(i)} ::= {_written(node)}\n" for i, node in enumerate(rules))


def _name(i: int) -> str:
    return f"rule-{i}" if i else "root"


def _escaped(code: int) -> str:
    return chr(code) if chr(code).isalnum() else f"\\U{code:08x}"


def _written(node: Node) -> str:
    kind, *rest = node
    if kind == "text":
        return '"' + "".join(_escaped(ord(char)) for char in rest[0]) + '"'
    if kind == "chars":
        ranges, is_negated = rest
        inside = "".join(f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges)
        return f"[{'^' * is_negated}{inside}]"
    if kind == "rule":
        return _name(rest[0])
    if kind == "id":
        return f"{'!' * rest[1]}<[{rest[0]}]>"
    if kind == "rep":
        inner, least, most = rest
        return f"({_written(inner)}){{{least},{'' if most is None else most}}}"
    return "(" + (" " if kind == "seq" else " | ").join(map(_written, rest)) + ")"


# ---- What is refused -------------------------------------------------------------------------------------------------


def _is_empty(node: Node, empty: Sequence[bool]) -> bool:
    """Return whether a node matches the empty text, by what is known of rules."""
    kind, *rest = node
    if kind == "text":
        return not rest[0]
    if kind == "rule":
        return empty[rest[0]]
    if kind == "rep":
        return rest[1] == 0 or _is_empty(rest[0], empty)
    return kind in ("seq", "any") and (all if kind == "seq" else any)(_is_empty(one, empty) for one in rest)


def _ends(node: Node, ends: Sequence[bool]) -> bool:
    kind, *rest = node
    if kind == "rule":
        return ends[rest[0]]
    if kind == "rep":
        return rest[1] == 0 or _ends(rest[0], ends)
    return kind in TERMINALS or (all if kind == "seq" else any)(_ends(one, ends) for one in rest)


def _fixed(rules: Sequence[Node], of: Any) -> list[bool]:  # noqa: ANN401
    known = [False] * len(rules)
    for _ in rules:
        known = [of(node, known) for node in rules]
    return known


def _first_rules(node: Node, empty: Sequence[bool]) -> set[int]:
    """Return the rules that a node may begin with."""
    kind, *rest = node
    if kind == "rule":
        return {rest[0]}
    if kind == "rep":
        return set() if rest[2] == 0 else _first_rules(rest[0], empty)
    found: set[int] = set()
    for one in rest if kind in ("seq", "any") else ():
        found |= _first_rules(one, empty)
        if kind == "seq" and not _is_empty(one, empty):
            break
    return found


def _named(node: Node) -> set[int]:
    kind, *rest = node
    if kind == "rule":
        return {rest[0]}
    if kind == "rep":
        return set() if rest[2] == 0 else _named(rest[0])
    return set().union(*map(_named, rest)) if kind in ("seq", "any") else set()


def _closed(of: Sequence[set[int]], start: Iterable[int]) -> set[int]:
    found = set(start)
    while more := set().union(*(of[i] for i in found)) - found:
        found |= more
    return found


def is_refused(rules: Sequence[Node]) -> bool:
    """Return whether a rule that is used never ends, or calls itself before it reads something."""
    used = _closed([_named(node) for node in rules], [0])
    empty, ends = _fixed(rules, _is_empty), _fixed(rules, _ends)
    first = [_first_rules(node, empty) for node in rules]
    return any(not ends[i] or i in _closed(first, first[i]) for i in used)


# ---- What may follow -------------------------------------------------------------------------------------------------


def opened(rules: Sequence[Node], stacks: Iterable[Stack]) -> set[Stack]:
    """Return the stacks that begin with something to read, and the empty one if all was read."""
    seen: set[Stack] = set()
    found: set[Stack] = set()
    todo = list(stacks)
    while todo:
        stack = todo.pop()
        if stack in seen:
            continue
        seen.add(stack)
        if not stack:
            found.add(stack)
            continue
        (kind, *rest), under = stack[0], stack[1:]
        if kind == "seq":
            todo.append((*rest, *under))
        elif kind == "any":
            todo += [(one, *under) for one in rest]
        elif kind == "rule":
            todo.append((rules[rest[0]], *under))
        elif kind == "rep":
            inner, least, most = rest
            if least == 0:
                todo.append(under)
            if most != 0:
                todo.append((inner, ("rep", inner, max(least - 1, 0), None if most is None else most - 1), *under))
        elif kind == "text" and not rest[0]:
            todo.append(under)
        else:
            found.add(stack)
    return found


def _reads(node: Node, low: int, high: int) -> bool:
    """Return whether a node reads a character from low to high."""
    kind, *rest = node
    if kind == "text":
        return low <= ord(rest[0][0]) <= high
    if kind != "chars":
        return False
    ranges, is_negated = rest
    if low == high:
        return low not in SURROGATES and any(a <= low <= b for a, b in ranges) != is_negated
    edges = {low, *(b + 1 for _, b in ranges), *(a for a, _ in ranges), 0xE000}   # where what it reads may begin
    return any(_reads(node, code, code) for code in edges if low <= code <= high)


def after_code(rules: Sequence[Node], stacks: set[Stack], code: int) -> set[Stack]:
    """Return the stacks after a character."""
    found = []
    for stack in stacks:
        if stack and _reads(stack[0], code, code):
            kind, *rest = stack[0]
            found.append((("text", rest[0][1:]), *stack[1:]) if kind == "text" else stack[1:])
    return opened(rules, found)


class Place:
    """Where a grammar is after some ids: stacks, and bytes of a character that is not whole. Immutable."""

    def __init__(self, rules: Sequence[Node], stacks: set[Stack] | None = None, tail: bytes = b"") -> None:
        self.rules = rules
        self.stacks = opened(rules, [(rules[0],)]) if stacks is None else stacks
        self.tail = tail

    @property
    def may_end(self) -> bool:
        return not self.tail and () in self.stacks

    def after(self, text: bytes) -> Place | None:
        """Return the place after more bytes, None when no answer begins so."""
        stacks, tail = self.stacks, self.tail
        for byte in text:
            tail += bytes([byte])
            try:
                stacks, tail = after_code(self.rules, stacks, ord(tail.decode())), b""
            except UnicodeDecodeError:
                if not any(stack and _reads_partly(stack[0], tail) for stack in stacks):
                    return None
            if not stacks:
                return None
        return Place(self.rules, stacks, tail)

    def after_id(self, id: int, *, is_end: bool) -> Place | None:
        """Return the place after an id that counts as such. is_end: it ends a generation, and is no "other id"."""
        if self.tail:
            return None
        found = [
            stack[1:] for stack in self.stacks
            if stack and stack[0][0] == "id" and (stack[0][1] == id) != stack[0][2] and not (is_end and stack[0][2])
        ]  # fmt: skip
        return Place(self.rules, opened(self.rules, found)) if found else None


def _reads_partly(node: Node, tail: bytes) -> bool:
    """Return whether a node reads a character whose bytes begin with these."""
    low, high = _beginning(tail)
    return low <= high and _reads(node, low, high)


def _beginning(tail: bytes) -> tuple[int, int]:
    """Return the first and last code point whose bytes begin with these; (1, 0): there is none."""
    lead = tail[0]
    size = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 0
    if len(tail) >= size or any(byte & 0xC0 != 0x80 for byte in tail[1:]):
        return 1, 0
    code = lead & (0x7F >> size)
    for byte in tail[1:]:
        code = code << 6 | byte & 0x3F
    shift = 6 * (size - len(tail))
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[size]
    return max(code << shift, least), min((code << shift) + (1 << shift) - 1, EVERY)
