"""Deterministic automata over characters: what strings and numbers may be, as sets that can be combined.

A set of texts is an automaton; intersection, union and complement give another one. Numbers are texts, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .work import remembered, spend

LAST = 0x10FFFF
STATES_MAX = 20_000
MINIMISED_MAX = 300      # states; joining equal ones takes quadratic time
Ranges = tuple[tuple[int, int], ...]   # sorted, disjoint code points


class TooLargeError(Exception):
    """An automaton would have more than STATES_MAX states."""


@dataclass(frozen=True)
class Automaton:
    """States are numbers; 0 is the first. What no edge reads leads nowhere.

    Attributes:
        edges: of each state (low, high, target), sorted and disjoint
        ends: of each state, whether a text may end there
    """

    edges: tuple[tuple[tuple[int, int, int], ...], ...]
    ends: tuple[bool, ...]

    def accepts(self, text: str) -> bool:
        """Return whether the text is in the set."""
        state = 0
        for char in text:
            code, row = ord(char), self.edges[state]
            at = bisect_right(row, code, key=lambda edge: edge[0]) - 1
            if at < 0 or code > row[at][1]:
                return False
            state = row[at][2]
        return self.ends[state]

    @property
    def is_empty(self) -> bool:
        """Whether no text is in the set."""
        return not any(self.ends)   # only states that can be reached, and reach an end, are kept

    def texts(self, most: int) -> list[str] | None:
        """Return all texts, or None if there are more than `most`."""
        found: list[str] = []
        waiting = [("", 0)]
        while waiting:
            text, state = waiting.pop()
            if self.ends[state]:
                found.append(text)
            for low, high, target in self.edges[state]:
                if len(text) > most or high - low >= most:
                    return None
                waiting += [(text + chr(code), target) for code in range(low, high + 1)]
            if len(found) + len(waiting) > 4 * most or len(found) > most:
                return None
        return sorted(found)


def _row(pairs: Iterable[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Sort edges, and join adjacent ones that lead to the same state."""
    row: list[tuple[int, int, int]] = []
    for low, high, target in sorted(pairs):
        if row and row[-1][2] == target and row[-1][1] + 1 == low:
            row[-1] = (row[-1][0], high, target)
        else:
            row.append((low, high, target))
    return tuple(row)


def _trimmed(edges: Sequence[Sequence[tuple[int, int, int]]], ends: Sequence[bool]) -> Automaton:
    """Keep the first state, and those from which an end can be reached; of few, join those that are equal."""
    back: list[list[int]] = [[] for _ in ends]
    for state, row in enumerate(edges):
        spend(len(row) + 1)
        for _, _, target in row:
            back[target].append(state)
    alive, waiting = set(), [state for state, end in enumerate(ends) if end]
    while waiting:
        state = waiting.pop()
        if state not in alive:
            alive.add(state)
            waiting += back[state]
    kept = [[edge for edge in row if edge[2] in alive] for row in edges]
    block = _blocks(kept, ends) if len(kept) <= MINIMISED_MAX else list(range(len(kept)))
    order, place = [0], {block[0]: 0}
    for state in order:
        for _, _, target in kept[state]:
            if block[target] not in place:
                place[block[target]] = len(order)
                order.append(target)
    return Automaton(
        tuple(_row((low, high, place[block[to]]) for low, high, to in kept[state]) for state in order),
        tuple(ends[state] for state in order),
    )


def _blocks(edges: Sequence[Sequence[tuple[int, int, int]]], ends: Sequence[bool]) -> list[int]:
    """Return the block of each state: states of a block are equal. Moore: split until their edges lead to the same."""
    block = [int(end) for end in ends]
    while True:
        spend(sum(len(row) + 1 for row in edges))
        names: dict[object, int] = {}
        rows = (
            (block[state], _row((low, high, block[to]) for low, high, to in row)) for state, row in enumerate(edges)
        )
        new = [names.setdefault(row, len(names)) for row in rows]
        if len(names) == len(set(block)):
            return new
        block = new


@dataclass
class Builder:
    """An automaton without the rule that each character leads to one state: what patterns are built of."""

    reads: list[list[tuple[int, int, int]]] = field(default_factory=list)
    skips: list[list[int]] = field(default_factory=list)

    def state(self) -> int:
        """Return a new state."""
        spend(12)
        self.reads.append([])
        self.skips.append([])
        return len(self.reads) - 1

    def closed(self, states: Iterable[int]) -> frozenset[int]:
        """Return the states that are reached without reading."""
        found, waiting = set(), list(states)
        while waiting:
            state = waiting.pop()
            if state not in found:
                found.add(state)
                waiting += self.skips[state]
        spend(len(found) // 2 + 1)
        return frozenset(found)

    def finish(self, first: int, end: int) -> Automaton:
        """Make it deterministic."""
        start = self.closed([first])
        place, order = {start: 0}, [start]
        edges = []
        for states in order:
            reads = [edge for state in states for edge in self.reads[state]]
            row = []
            spend((len({low for low, _, _ in reads}) + 1) * len(reads) // 4 + 1)
            for low, high, among in _cut(reads):
                target = self.closed(among)
                if target not in place:
                    if len(order) >= STATES_MAX:
                        raise TooLargeError
                    place[target] = len(order)
                    order.append(target)
                row.append((low, high, place[target]))
            edges.append(row)
        return _trimmed(edges, [end in states for states in order])


def _cut(reads: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, list[int]]]:
    """Return disjoint ranges, each with all targets of edges that cover it."""
    points = sorted({low for low, _, _ in reads} | {high + 1 for _, high, _ in reads})
    out = []
    for low, after in pairwise(points):
        among = sorted({target for a, b, target in reads if a <= low and after - 1 <= b})
        if among:
            out.append((low, after - 1, among))
    return out


def _product(a: Automaton, b: Automaton, is_end: Callable[[bool, bool], bool]) -> Automaton:
    """Walk both at the same time; -1 is where one of them leads nowhere."""
    is_needed = (not is_end(False, True), not is_end(True, False))   # without it, no text ends
    place, order = {(0, 0): 0}, [(0, 0)]
    edges = []
    for one, other in order:
        reads = [(low, high, (0, to)) for low, high, to in (a.edges[one] if one >= 0 else ())]
        reads += [(low, high, (1, to)) for low, high, to in (b.edges[other] if other >= 0 else ())]
        points = sorted({low for low, _, _ in reads} | {high + 1 for _, high, _ in reads})
        row = []
        spend(len(points) * len(reads) // 4 + 2)
        for low, after in pairwise(points):
            pair = [-1, -1]
            for from_, to, (which, target) in reads:
                if from_ <= low and after - 1 <= to:
                    pair[which] = target
            key = (pair[0], pair[1])
            if key == (-1, -1) or (key[0] < 0 and is_needed[0]) or (key[1] < 0 and is_needed[1]):
                continue
            if key not in place:
                if len(order) >= STATES_MAX:
                    raise TooLargeError
                place[key] = len(order)
                order.append(key)
            row.append((low, after - 1, place[key]))
        edges.append(row)
    ends = [is_end(one >= 0 and a.ends[one], other >= 0 and b.ends[other]) for one, other in order]
    return _trimmed(edges, ends)


def both(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts that are in both."""
    return _product(a, b, lambda x, y: x and y)


def either(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts that are in one of them at least."""
    return _product(a, b, lambda x, y: x or y)


def without(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts of a that are not in b."""
    return _product(a, b, lambda x, y: x and not y)


def branched(builder: Builder, texts: Iterable[str]) -> tuple[int, list[int]]:
    """Return a new state, and for each text the state that reading it from there leads to."""
    first = builder.state()
    after: dict[tuple[int, str], int] = {}
    ends = []
    for text in texts:
        at = first
        for char in text:
            if (at, char) not in after:
                to = after[at, char] = builder.state()
                builder.reads[at].append((ord(char), ord(char), to))
            at = after[at, char]
        ends.append(at)
    return first, ends


def literal(texts: Iterable[str]) -> Automaton:
    """Return the set of these texts."""
    builder = Builder()
    _, ends = branched(builder, texts)
    if len(builder.reads) > STATES_MAX:
        raise TooLargeError
    found = set(ends)
    return _trimmed(builder.reads, [state in found for state in range(len(builder.reads))])


@remembered
def lengths(least: int, most: int | None) -> Automaton:
    """Return the texts of least..most characters."""
    n = least if most is None else most
    if n >= STATES_MAX:
        raise TooLargeError
    spend(n)
    edges = [((0, LAST, state + 1),) for state in range(n)] + [((0, LAST, n),) if most is None else ()]
    return _trimmed(edges, [state >= least for state in range(n + 1)])


ANY = lengths(0, None)
NONE = Automaton(((),), (False,))
