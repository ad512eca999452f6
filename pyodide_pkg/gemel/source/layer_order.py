"""Tensor names and offsets become the order in which a file's bytes are needed: embedding, layers by number, output.

Files often store their layers sorted by name (blk.0, 1, 10, 11, ..., 2): in file order, layer 2 would wait for most of
the file. Arithmetic only; no files and no network.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

Span = tuple[int, int]        # bytes [start, end) of the file, or of a split model's parts, laid one after the other
Row = tuple[str, int, int]    # a tensor: name, offset, bytes

GAP = 1 << 16                 # bytes: a smaller gap between two tensors is read too
LAYER = re.compile(r"blk\.([0-9]{1,9})\.")
LAST = 1 << 30                # after every layer
BLOCK_MIN, BLOCK_MAX = 1 << 18, 1 << 24


def need(name: str) -> int:
    """Return when a tensor is first needed: -1 before the layers, its layer, or LAST."""
    layer = LAYER.match(name)
    if layer:
        return int(layer[1])
    return LAST if name.startswith("output") else -1


def layer_order(tensors: Iterable[Row], sizes: Sequence[int]) -> list[Span]:
    """Return the spans that hold the tensors, in the order of first need; `sizes` are those of the file's parts.

    Neighbours become one span; a span never crosses from one part into the next.

    >>> layer_order([("blk.0.a", 0, 10), ("blk.1.a", 10, 5), ("token_embd.weight", 15, 5)], [20])
    [(15, 20), (0, 15)]
    """
    ends = list(accumulate(sizes))
    spans: list[Span] = []
    for _, offset, size in sorted(tensors, key=lambda row: (need(row[0]), row[1])):
        if spans and _follows(spans[-1], offset, ends):
            spans[-1] = (spans[-1][0], offset + size)
        else:
            spans.append((offset, offset + size))
    return spans


def _follows(span: Span, offset: int, ends: Sequence[int]) -> bool:
    return 0 <= offset - span[1] <= GAP and bisect_right(ends, span[0]) == bisect_right(ends, offset)


def pieces(spans: Iterable[Span], size: int) -> Iterator[Span]:
    """Cut spans into pieces of at most `size` bytes.

    >>> list(pieces([(0, 10), (20, 23)], 4))
    [(0, 4), (4, 8), (8, 10), (20, 23)]
    """
    for start, end in spans:
        for at in range(start, end, size):
            yield at, min(at + size, end)


def block_size(size: int) -> int:
    """Return the bytes of the blocks that a file of `size` bytes is cached and hashed in: a power of two.

    >>> block_size(98362432), block_size(1), block_size(1 << 40)
    (1048576, 262144, 16777216)
    """
    block = BLOCK_MIN
    while block < BLOCK_MAX and block * 128 < size:
        block *= 2
    return block


def blocks(spans: Iterable[Span], sizes: Sequence[int], *, rest: bool) -> list[tuple[int, int]]:
    """Return (part, block) of the blocks that hold `spans`, in their order; rest: and then of all other blocks."""
    starts = [0, *accumulate(sizes)]
    found: dict[tuple[int, int], None] = {}
    for start, end in spans:
        part = bisect_right(starts, start) - 1
        size, base = block_size(sizes[part]), starts[part]
        for i in range((start - base) // size, -((base - end) // size)):
            found[part, i] = None
    for part, whole in enumerate(sizes if rest else ()):
        for i in range(-(-whole // block_size(whole))):
            found[part, i] = None
    return list(found)
