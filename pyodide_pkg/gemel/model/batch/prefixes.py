"""What was evaluated and is still held: sessions in a tree of their ids, a page of 64 ids an edge.

A session in the tree is never evaluated again. A new one is forked from it, and shares the pages of its beginning. The
batches of a model have one tree, with a root for each kind of session, so that each can free what is oldest.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress

from ...core.errors import GemelError
from ..core_model import CoreModel
from ..session import Session

PAGE = 64         # ids
SIZE = 4 * PAGE   # their bytes
MOST = 512        # sessions that are held: each has, besides its pages, a list of ids and maybe logits


class Entry:
    """A session that is held, and the ids that follow the last whole page of it."""

    __slots__ = ("n", "node", "owner", "session", "tail", "used")

    def __init__(self, session: Session, node: Node, ids: bytes, owner: object) -> None:
        self.session = session
        self.node = node
        self.owner = owner
        self.n = len(ids) // 4
        self.tail = ids[self.n // PAGE * SIZE :]
        self.used = 0


class Node:
    """The ids of whole pages, from the root to here."""

    __slots__ = ("children", "edge", "entries", "parent")

    def __init__(self, parent: Node | None, edge: bytes) -> None:
        self.parent = parent
        self.edge = edge
        self.children: dict[bytes, Node] = {}
        self.entries: list[Entry] = []


class Prefixes:
    """The sessions that a model's batches hold. `kind`: only sessions of one kind share what they evaluated."""

    def __init__(self) -> None:
        self._roots: dict[Hashable, Node] = {}
        self._entries: dict[Entry, Hashable] = {}   # and their kinds
        self._clock = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def longest(self, ids: Sequence[int], kind: Hashable) -> int:
        """Return how many of the first ids some session holds; it counts as used."""
        with self._lock:
            for entry, n in self._found(array("i", ids).tobytes(), kind):
                self._use(entry)
                return n
        return 0

    def fork(self, ids: Sequence[int], kind: Hashable) -> Session | None:
        """Return a session with as many of the first ids as any held one can give; None: there is none.

        At least the last id is left to evaluate: its logits are wanted.
        """
        with self._lock:
            for entry, n in self._found(array("i", ids[:-1]).tobytes(), kind):
                with suppress(GemelError):   # such as: pages that a sliding window needs there were freed
                    forked = entry.session.fork(entry.session._keeps(n))
                    self._use(entry)
                    return forked
        return None

    def hold(self, session: Session, kind: Hashable, owner: object) -> None:
        """Take a session over. Held ones whose ids it begins with are closed, if it can be forked where they end."""
        ids = array("i", session.ids).tobytes()
        if not ids:
            session.close()
            return
        with self._lock:
            node = self._roots.setdefault(kind, Node(None, b""))
            path = [node]
            for at in range(0, len(ids) // SIZE * SIZE, SIZE):
                edge = ids[at : at + SIZE]
                node = node.children.setdefault(edge, Node(node, edge))
                path.append(node)
            entry = Entry(session, node, ids, owner)
            node.entries.append(entry)
            self._entries[entry] = kind
            self._use(entry)
            for depth, passed in enumerate(path):
                for old in list(passed.entries):
                    starts = ids[depth * SIZE :].startswith(old.tail)
                    if old is not entry and starts and _can_fork(session, old.n):
                        self._drop(old)
            while len(self._entries) > MOST:
                self._drop_oldest()

    def drop_oldest(self) -> bool:
        """Close the session that was not used for the longest time; False: there is none."""
        with self._lock:
            return self._drop_oldest()

    def close(self, owner: object) -> None:
        """Close what one batch gave."""
        with self._lock:
            for entry in [entry for entry in self._entries if entry.owner is owner]:
                self._drop(entry)

    def after_fork(self) -> None:
        """Let a forked child use it, though another thread of the parent may have."""
        self._lock = threading.Lock()

    def _drop_oldest(self) -> bool:
        if not self._entries:
            return False
        self._drop(min(self._entries, key=lambda entry: entry.used))
        return True

    def _found(self, ids: bytes, kind: Hashable) -> Iterator[tuple[Entry, int]]:
        """Yield sessions with how many of the ids they hold, the most first."""
        node = self._roots.get(kind)
        path = []
        while node is not None:
            path.append(node)
            at = SIZE * (len(path) - 1)
            node = node.children.get(ids[at : at + SIZE])
        for depth in range(len(path) - 1, -1, -1):
            rest = ids[SIZE * depth :]
            near = [(common(entry.tail, rest), entry) for entry in path[depth].entries]
            near += [(common(edge, rest), _shallowest(child)) for edge, child in path[depth].children.items()]
            for n, entry in sorted(near, key=lambda pair: -pair[0]):
                if PAGE * depth + n:
                    yield entry, PAGE * depth + n

    def _use(self, entry: Entry) -> None:
        self._clock += 1
        entry.used = self._clock

    def _drop(self, entry: Entry) -> None:
        kind = self._entries.pop(entry)
        entry.session.close()
        node = entry.node
        node.entries.remove(entry)
        while not node.entries and not node.children:
            if node.parent is None:
                del self._roots[kind]
                return
            del node.parent.children[node.edge]
            node = node.parent


def prefixes_of(model: CoreModel) -> Prefixes:
    """Return the tree that the batches of a model share."""
    found: Prefixes = vars(model).setdefault("_prefixes", Prefixes())
    return found


def common(one: bytes, other: bytes) -> int:
    """Return how many ids two lists of int32 have in common at the beginning."""
    low, high = 0, min(len(one), len(other)) // 4
    while low < high:   # one[:4 * low] is equal
        middle = (low + high + 1) // 2
        if one[4 * low : 4 * middle] == other[4 * low : 4 * middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shallowest(node: Node) -> Entry:
    """Return the held session below a node that has the fewest ids beyond it."""
    nodes = deque([node])
    while not nodes[0].entries:
        nodes.extend(nodes.popleft().children.values())
    return min(nodes[0].entries, key=lambda entry: entry.n)


def _can_fork(session: Session, n: int) -> bool:
    try:
        session.fork(n).close()
        return session._keeps(n) == n
    except GemelError:
        return False
