"""Deterministic automata over characters: what strings and numbers may be, as sets that can be combined.

A set of texts is an automaton; intersection, union and complement give another one. Numbers are texts, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .lazy import lazy
from .work import remembered, spend

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
STATES_MAX = 20_000
ENDLESS = 1 << 60
MINIMISED_MAX = 5000     # states; of more, equal ones are not joined
Ranges = tuple[tuple[int, int], ...]   # sorted, disjoint code points


class TooLargeError(Exception):
    """An automaton would have more than STATES_MAX states."""


@dataclass(frozen=True)
class Listed:
    """These texts, or all others: such sets are combined without a walk through their automata."""

    texts: frozenset[str]
    is_others: bool = False

    @property
    def opposite(self) -> Listed:
        """All other texts."""
        return Listed(self.texts, not self.is_others)

    def __and__(self, other: Listed) -> Listed:
        if self.is_others and other.is_others:
            return Listed(self.texts | other.texts, is_others=True)
        if other.is_others:
            return Listed(self.texts - other.texts)
        return Listed(other.texts - self.texts if self.is_others else self.texts & other.texts)

    def whole(self) -> Automaton:
        """Return its automaton, with the states in the order of _trimmed."""
        found = literal(self.texts)
        return _opposite(found) if self.is_others else _trimmed(found.edges, found.ends, listed=self, is_minimal=True)


@dataclass(frozen=True)
class Automaton:
    """States are numbers; 0 is the first. What no edge reads leads nowhere.

    Attributes:
        edges: of each state (low, high, target), sorted and disjoint
        ends: of each state, whether a text may end there
        listed: the same set as a list, where it was made of one
    """

    edges: tuple[tuple[tuple[int, int, int], ...], ...]
    ends: tuple[bool, ...]
    listed: Listed | None = field(default=None, compare=False)

    @lazy
    def _hash(self) -> int:
        return hash((self.edges, self.ends))

    def __hash__(self) -> int:
        return self._hash

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

    @lazy
    def longest(self) -> int | None:
        """How many characters the longest text has; None: without limit."""
        n_before = [0] * len(self.ends)
        for row in self.edges:
            for _, _, to in row:
                n_before[to] += 1
        order, found = [0] if not n_before[0] else [], [0] * len(self.ends)
        for state in order:
            far = found[state] + 1
            for _, _, to in self.edges[state]:
                if found[to] < far:
                    found[to] = far
                n_before[to] -= 1
                if not n_before[to]:
                    order.append(to)
        spend(len(order))
        return max(found) if len(order) == len(found) else None

    @lazy
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


def _joined(row: list[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Join adjacent edges of a sorted row that lead to the same state."""
    if len(row) < 2:
        return tuple(row)
    out = [row[0]]
    last_low, last_high, last = row[0]
    for edge in row[1:]:
        low, high, target = edge
        if target == last and low == last_high + 1:
            last_high = high
            out[-1] = (last_low, high, target)
        else:
            last_low, last_high, last = edge
            out.append(edge)
    return tuple(out)


def _trimmed(
    edges: Sequence[Sequence[tuple[int, int, int]]], ends: Sequence[bool], *, is_minimal: bool = False,
    listed: Listed | None = None,
) -> Automaton:   # fmt: skip
    """Keep the first state, and those from which an end can be reached; of few, join those that are equal.

    edges: of each state, sorted. is_minimal: no states are equal. listed: as in Automaton.
    """
    back: list[list[int]] = [[] for _ in ends]
    spend(sum(map(len, edges)) + len(edges))
    for state, row in enumerate(edges):
        for _, _, target in row:
            back[target].append(state)
    alive, waiting = set(), [state for state, end in enumerate(ends) if end]
    while waiting:
        state = waiting.pop()
        if state not in alive:
            alive.add(state)
            waiting += back[state]
    kept = edges if len(alive) == len(ends) else [[edge for edge in row if edge[2] in alive] for row in edges]
    is_minimal = is_minimal or len(kept) > MINIMISED_MAX
    block = list(range(len(kept))) if is_minimal else _blocks(kept, back, ends, alive)
    order, place = [0], {block[0]: 0}
    for state in order:
        for _, _, target in kept[state]:
            if block[target] not in place:
                place[block[target]] = len(order)
                order.append(target)
    places = [place.get(one, 0) for one in block]
    return Automaton(
        tuple(_joined([(low, high, places[to]) for low, high, to in kept[state]]) for state in order),
        tuple([ends[state] for state in order]), listed,
    )   # fmt: skip


def _blocks(
    edges: Sequence[Sequence[tuple[int, int, int]]], before: Sequence[Sequence[int]], ends: Sequence[bool],
    alive: Collection[int],
) -> list[int]:   # fmt: skip
    """Return the block of each state that is alive: states of a block are equal. before: the states that lead to each.

    Blocks are split until their edges lead to the same ones. Only states whose targets moved are looked at again.
    """
    block = [int(end) for end in ends]
    sizes = [len(alive) - sum(block), sum(block)]
    looked_at: Iterable[int] = alive
    while looked_at:
        alike: dict[int, dict[object, list[int]]] = {}
        n_steps = 0
        for state in looked_at:
            row = edges[state]
            n_steps += len(row) + 1
            alike.setdefault(block[state], {}).setdefault(_leads_to(row, block), []).append(state)
        spend(n_steps)
        moved: list[int] = []
        for name, groups in alike.items():
            parts = sorted(groups.values(), key=len)
            if sum(map(len, parts)) == sizes[name]:   # else the states that are not looked at keep the name
                parts.pop()
            for part in parts:
                sizes[name] -= len(part)
                for state in part:
                    block[state] = len(sizes)
                sizes.append(len(part))
                moved += part
        looked_at = sorted({source for state in moved for source in before[state]})
    return block


def _leads_to(row: Sequence[tuple[int, int, int]], block: Sequence[int]) -> tuple[int, ...]:
    """Return which ranges of a sorted row lead to which blocks; adjacent ones to the same are joined."""
    if len(row) == 1:
        low, high, to = row[0]
        return (low, high, block[to])
    out: list[int] = []
    last, after = -1, -1
    for low, high, to in row:
        if block[to] == last and low == after:
            out[-2] = high
        else:
            last = block[to]
            out += (low, high, last)
        after = high + 1
    return tuple(out)


@dataclass
class Builder:
    """An automaton without the rule that each character leads to one state: what patterns are built of.

    Attributes:
        reads: of each state (low, high, target)
        classes: of each state (ranges, target): many states read the same ranges
        skips: of each state those that are reached without reading
    """

    reads: list[list[tuple[int, int, int]]] = field(default_factory=list)
    classes: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    skips: list[list[int]] = field(default_factory=list)

    def state(self) -> int:
        """Return a new state."""
        spend(12)
        self.reads.append([])
        self.classes.append([])
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
        of_state: dict[int, frozenset[int]] = {}   # what is reached without reading, and reads or is the end

        def reached(states: Iterable[int]) -> frozenset[int]:
            for state in states:
                if state not in of_state:
                    found = self.closed((state,))
                    spend(len(found) // 3)
                    of_state[state] = frozenset(
                        [one for one in found if self.reads[one] or self.classes[one] or one == end]
                    )
            found = frozenset[int]().union(*[of_state[state] for state in states])
            return found if everything is None or everything not in found else of_state[everything]

        everything = self._everything(end)
        if everything is not None:
            of_state[everything] = frozenset((everything, end))
        start = reached([first])
        place, order = {start: 0}, [start]
        among: dict[frozenset[int], frozenset[int]] = {}   # sets of targets, with what is reached from them
        cuts: dict[frozenset[Ranges], list[tuple[int, int, tuple[Ranges, ...]]]] = {}
        edges = []
        for states in order:
            targets = self._targets(states)
            key = frozenset(targets)
            if key not in cuts:
                cuts[key] = _cut(key)
            row = []
            for low, high, which in cuts[key]:
                read = frozenset(targets[which[0]])
                if len(which) > 1:
                    read = read.union(*[targets[one] for one in which[1:]])
                if read not in among:
                    spend(len(read))
                    among[read] = reached(read)
                target = among[read]
                if target not in place:
                    if len(order) >= STATES_MAX:
                        raise TooLargeError
                    place[target] = len(order)
                    order.append(target)
                row.append((low, high, place[target]))
            spend(len(states) + 4 * len(row) + sum(map(len, targets.values())) // 4)
            edges.append(row)
        return _trimmed(edges, [end in states for states in order])

    def _everything(self, end: int) -> int | None:
        """Return a state from which every text is read, if there is one: what else is read beside it adds nothing."""
        for state, row in enumerate(self.reads):
            if (0, LAST, state) in row and end in self.skips[state]:
                return state
        return None

    def _targets(self, states: Iterable[int]) -> dict[Ranges, list[int]]:
        """Return what some states read, each with where it leads."""
        found: dict[Ranges, list[int]] = {}
        for state in states:
            for ranges, to in self.classes[state]:
                found.setdefault(ranges, []).append(to)
            for low, high, to in self.reads[state]:
                found.setdefault(((low, high),), []).append(to)
        return found


def _cut(classes: Iterable[Ranges]) -> list[tuple[int, int, tuple[Ranges, ...]]]:
    """Return disjoint ranges, in order, each with all classes that it is in."""
    listed = [(low, high, one) for one in classes for low, high in one]
    points = sorted({low for low, _, _ in listed} | {high + 1 for _, high, _ in listed})
    place = {point: i for i, point in enumerate(points)}
    among: list[list[Ranges]] = [[] for _ in points]
    n_steps = 2 * len(listed)
    for low, high, one in listed:
        first, after = place[low], place[high + 1]
        n_steps += after - first
        for i in range(first, after):
            among[i].append(one)
    spend(n_steps)
    return [
        (low, after - 1, tuple(which)) for (low, after), which in zip(pairwise(points), among, strict=False) if which
    ]


def _product(a: Automaton, b: Automaton, is_end: Callable[[bool, bool], bool]) -> Automaton:
    """Walk both at the same time; -1 is where one of them leads nowhere."""
    needs_a, needs_b = not is_end(False, True), not is_end(True, False)   # without it, no text ends
    place, order = {(0, 0): 0}, [(0, 0)]
    edges = []
    for one, other in order:
        row = []
        row_a, row_b = a.edges[one] if one >= 0 else (), b.edges[other] if other >= 0 else ()
        for low, high, x, y in _side_by_side(row_a, row_b):
            if (x < 0 and needs_a) or (y < 0 and needs_b):
                continue
            to = place.get((x, y))
            if to is None:
                if len(order) >= STATES_MAX:
                    raise TooLargeError
                to = place[x, y] = len(order)
                order.append((x, y))
            row.append((low, high, to))
        edges.append(row)
    ends = [is_end(one >= 0 and a.ends[one], other >= 0 and b.ends[other]) for one, other in order]
    return _trimmed(edges, ends)


def _side_by_side(
    a: Sequence[tuple[int, int, int]], b: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int, int, int]]:
    """Return the ranges of two sorted rows, cut at each other's ends, with the targets of both; -1: none."""
    spend(len(a) + len(b) + 2)
    out: list[tuple[int, int, int, int]] = []
    i = j = at = 0
    while i < len(a) and j < len(b):
        low_a, high_a, to_a = a[i]
        low_b, high_b, to_b = b[j]
        low_a, low_b = max(low_a, at), max(low_b, at)
        if low_a < low_b:
            at = min(high_a + 1, low_b)
            out.append((low_a, at - 1, to_a, -1))
        elif low_b < low_a:
            at = min(high_b + 1, low_a)
            out.append((low_b, at - 1, -1, to_b))
        else:
            at = min(high_a, high_b) + 1
            out.append((low_a, at - 1, to_a, to_b))
        i += at > high_a
        j += at > high_b
    out += [(max(low, at), high, to, -1) for low, high, to in a[i:]]
    out += [(max(low, at), high, -1, to) for low, high, to in b[j:]]
    return out


def both(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts that are in both."""
    if a is b or b is ANY:
        return a
    if a is ANY:
        return b
    return _of_lists(a.listed, b.listed) or _product(a, b, lambda x, y: x and y)


def _of_lists(a: Listed | None, b: Listed | None) -> Automaton | None:
    """Return the texts that are in both, if both are lists."""
    return None if a is None or b is None else (a & b).whole()


def either(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts that are in one of them at least."""
    return _product(a, b, lambda x, y: x or y)


def without(a: Automaton, b: Automaton) -> Automaton:
    """Return the texts of a that are not in b."""
    if a is ANY:
        return _opposite(b)
    return _of_lists(a.listed, b.listed and b.listed.opposite) or _product(a, b, lambda x, y: x and not y)


def parted(a: Automaton, b: Automaton) -> list[tuple[bool, Automaton]]:
    """Return the texts of a that are not in b, and those that are, without a part that is empty."""
    inside = both(a, b)
    if inside.is_empty:
        return [] if a.is_empty else [(False, a)]
    outside = without(a, b)
    return [(True, inside)] if outside.is_empty else [(False, outside), (True, inside)]


def _opposite(automaton: Automaton) -> Automaton:
    """Return all other texts: where nothing could be read, anything follows. It has no states that are equal."""
    n = len(automaton.ends)
    edges = []
    spend(sum(map(len, automaton.edges)) + n)
    for row in automaton.edges:
        at, filled = 0, []
        for low, high, to in row:
            filled += [(at, low - 1, n), (low, high, to)] if at < low else [(low, high, to)]
            at = high + 1
        edges.append([*filled, (at, LAST, n)] if at <= LAST else filled)
    listed = automaton.listed and automaton.listed.opposite
    ends = [not end for end in (*automaton.ends, False)]
    return _trimmed([*edges, [(0, LAST, n)]], ends, is_minimal=True, listed=listed)


def without_surrogates(automaton: Automaton) -> Automaton:
    """Return the texts of an automaton that have no half of a surrogate pair: UTF-8 can't write one."""
    return both(automaton, Automaton((((0, SURROGATES[0] - 1, 0), (SURROGATES[1] + 1, LAST, 0)),), (True,)))


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
    after: list[dict[str, int]] = [{}]   # a tree: of each state, the states that characters lead to
    last = set()
    listed = sorted(set(texts))   # in every process the same states
    for text in listed:
        at = 0
        for char in text:
            if char not in after[at]:
                after[at][char] = len(after)
                after.append({})
            at = after[at][char]
        last.add(at)
        spend(len(text) + 1)
    if len(after) > STATES_MAX:
        raise TooLargeError
    names: dict[tuple[bool, tuple[tuple[str, int], ...]], int] = {}
    place = [0] * len(after)
    for state in range(len(after) - 1, -1, -1):   # from the leaves on; equal states are joined
        row = tuple(sorted((char, place[to]) for char, to in after[state].items()))
        place[state] = names.setdefault((state in last, row), len(names))
    spend(4 * len(after))
    n = len(names)
    edges: list[list[tuple[int, int, int]]] = [[]] * n
    ends = [False] * n
    for (is_end, row), name in names.items():   # the first state was joined last
        edges[n - 1 - name] = [(ord(char), ord(char), n - 1 - to) for char, to in row]
        ends[n - 1 - name] = is_end
    return Automaton(tuple(map(_joined, edges)), tuple(ends), Listed(frozenset(listed))) if last else NONE


@remembered
def lengths(least: int, most: int | None) -> Automaton:
    """Return the texts of least..most characters."""
    n = least if most is None else most
    if n >= STATES_MAX:
        raise TooLargeError
    spend(n)
    edges = [((0, LAST, state + 1),) for state in range(n)] + [((0, LAST, n),) if most is None else ()]
    return _trimmed(edges, [state >= least for state in range(n + 1)])


def of_length(automaton: Automaton, least: int, most: int | None) -> Automaton:
    """Return the texts of an automaton that have least..most characters."""
    near, far = nearest_end(automaton), automaton.longest
    least = 0 if least <= near[0] else least
    most = None if most is not None and far is not None and far <= most else most
    if not least and most is None:
        return automaton
    if (most is not None and near[0] > most) or (far is not None and far < least):
        return NONE
    place, order = {(0, 0): 0}, [(0, 0)]
    leads = [dict.fromkeys([to for _, _, to in row]) for row in automaton.edges]   # rows may have hundreds of ranges
    edges = []
    for state, n in order:
        after = n + 1 if most is not None else min(n + 1, least)
        spend(len(automaton.edges[state]) + 2)
        places: dict[int, int] = {}
        for to in leads[state]:
            if most is not None and after + near[to] > most:
                continue
            if (to, after) not in place:
                if len(order) >= STATES_MAX:
                    raise TooLargeError
                place[to, after] = len(order)
                order.append((to, after))
            places[to] = place[to, after]
        edges.append(tuple([(low, high, places[to]) for low, high, to in automaton.edges[state] if to in places]))
    ends = tuple(automaton.ends[state] and n >= least for state, n in order)
    return _trimmed(edges, ends) if least else Automaton(tuple(edges), ends)


def n_counted(automaton: Automaton, most: int) -> int:
    """Return how many states count the characters of an automaton's texts up to `most`. TooLargeError: too many."""
    near, far = nearest_end(automaton), furthest_end(automaton)
    leads = [frozenset(to for _, _, to in row) for row in automaton.edges]
    after: dict[frozenset[int], frozenset[int]] = {}
    level, total, n, furthest = frozenset((0,)), len(far), 0, max(near)
    short = min(far)   # from a state whose texts all fit, characters are not counted
    while n <= most:
        level = frozenset(state for state in level if n + near[state] <= most) if n + furthest > most else level
        level = frozenset(state for state in level if n + far[state] > most) if n + short <= most else level
        if not level:
            break
        if level not in after:
            spend(len(level) + 2)
            after[level] = frozenset[int]().union(*[leads[state] for state in level])
        n_same = max(most - furthest - n, 1) if after[level] == level else 1   # the next levels are the same
        total, n = total + n_same * len(level), n + n_same
        if total > STATES_MAX:
            raise TooLargeError
        level = after[level]
    spend(total // 4)
    return total


def furthest_end(automaton: Automaton) -> list[int]:
    """Return the most characters from each state to an end; ENDLESS: without limit."""
    before: list[list[int]] = [[] for _ in automaton.ends]
    n_after = [len(row) for row in automaton.edges]
    for state, row in enumerate(automaton.edges):
        for _, _, to in row:
            before[to].append(state)
    found, order = [ENDLESS] * len(n_after), [state for state, n in enumerate(n_after) if not n]
    for state in order:
        found[state] = max([found[to] + 1 for _, _, to in automaton.edges[state]], default=0)
        for source in before[state]:
            n_after[source] -= 1
            if not n_after[source]:
                order.append(source)
    spend(len(found))
    return found


def nearest_end(automaton: Automaton) -> list[int]:
    """Return the fewest characters from each state to an end."""
    before: list[list[int]] = [[] for _ in automaton.ends]
    for state, row in enumerate(automaton.edges):
        for _, _, to in row:
            before[to].append(state)
    found = [0 if end else -1 for end in automaton.ends]
    order = [state for state, end in enumerate(automaton.ends) if end]
    for state in order:
        for source in before[state]:
            if found[source] < 0:
                found[source] = found[state] + 1
                order.append(source)
    spend(len(order))
    return found


ANY = lengths(0, None)
NONE = Automaton(((),), (False,), Listed(frozenset()))
