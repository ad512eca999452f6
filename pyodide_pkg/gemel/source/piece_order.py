"""Pieces of a file, which may come in any order, become calls of the core's loader with each tensor's bytes in order.

The blocks of a download do not end where tensors end. A tensor's tail that comes before its head is kept until the head
is there; everything else is passed on immediately.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from .layer_order import Row

Data = Any
"""Bytes of a piece: a memoryview, or in a tab a Uint8Array of JavaScript's."""


def size_of(data: Data) -> int:
    """Return the bytes of a piece."""
    return int(data.byteLength if hasattr(data, "js_id") else data.nbytes)


def cut(data: Data, start: int, end: int) -> Data:
    """Show a part of a piece."""
    if start == 0 and end == size_of(data):
        return data
    return data.subarray(start, end) if hasattr(data, "js_id") else data[start:end]


def kept(data: Data, start: int, end: int) -> Data:
    """Copy a part of a piece, whose own memory may be overwritten."""
    return data.slice(start, end) if hasattr(data, "js_id") else memoryview(bytes(data[start:end]))


class PieceOrder:
    """Calls `feed(offset, data)` with each tensor's bytes in order, whatever the order of the pieces."""

    def __init__(self, tensors: Iterable[Row], feed: Callable[[int, Data], None]) -> None:
        extents = sorted((offset, offset + size) for _, offset, size in tensors)
        self._starts = [start for start, _ in extents]
        self._ends = [end for _, end in extents]
        self._fed = list(self._starts)                      # the offset that each tensor needs next
        self._held: dict[int, list[tuple[int, Data]]] = {}  # tensor -> later pieces, by offset
        self._feed = feed
        self.left = sum(end - start for start, end in extents)   # bytes of tensors that have not been fed

    def take(self, offset: int, data: Data) -> None:
        """Feed what can be fed of bytes [offset, offset + size), and keep what must wait."""
        end = offset + size_of(data)
        run: list[int] = []   # [start, end) of neighbours that go on together
        i = bisect_right(self._ends, offset)
        while i < len(self._starts) and self._starts[i] < end:
            start, stop = max(self._fed[i], offset), min(self._ends[i], end)
            if start != self._starts[i] or start >= stop:   # fed before, or its head is missing: a run ends here
                self._flush(run, offset, data)
                run = []
            if start == self._fed[i] and start < stop:
                run = [run[0] if run else start, stop]
                self._advance(i, stop)
                if i in self._held:
                    self._flush(run, offset, data)
                    self._release(i)
                    run = []
            elif start < stop:
                self._hold(i, start, kept(data, start - offset, stop - offset))
            i += 1
        self._flush(run, offset, data)

    def _advance(self, i: int, to: int) -> None:
        self.left -= to - self._fed[i]
        self._fed[i] = to

    def _flush(self, run: list[int], offset: int, data: Data) -> None:
        if run:
            self._feed(run[0], cut(data, run[0] - offset, run[1] - offset))

    def _hold(self, i: int, offset: int, data: Data) -> None:
        pieces = self._held.setdefault(i, [])
        pieces.append((offset, data))
        pieces.sort(key=lambda piece: piece[0])

    def _release(self, i: int) -> None:
        """Feed the kept pieces of a tensor that follow what was fed."""
        pieces = self._held[i]
        while pieces and pieces[0][0] <= self._fed[i]:
            offset, data = pieces.pop(0)
            start, stop = self._fed[i], offset + size_of(data)
            if start < stop:
                self._feed(start, cut(data, start - offset, stop - offset))
                self._advance(i, stop)
        if not pieces:
            del self._held[i]
