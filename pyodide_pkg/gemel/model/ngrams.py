"""Texts become a file of n-grams, which drafts for a model: which id followed 2, 3 or 4 others most often.

For each run of ids, one id that may follow is counted: it gains one where it follows, and loses one where another does,
which takes its place below zero (Boyer and Moore's vote). So memory is in proportion to different runs. Where these are
too many, those that were met least are forgotten.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..core.checks import integer, sequence, text
from ..core.errors import ArgumentError
from ..core.library import check

if TYPE_CHECKING:
    from .core_model import CoreModel

MAGIC = b"gemelng1"
LENGTHS = (2, 3, 4)           # ids before the one that follows
MOST = 2_000_000              # runs of ids of each length that are counted at a time
PIECE = 1 << 16               # characters of a text that become ids at a time
Votes = dict[tuple[int, ...], list[int]]   # ids -> [the id that may follow, its votes, how often the ids were met]


def draft_cache(model: CoreModel, texts: Iterable[str], *, least: int = 2, most: int = MOST) -> bytes:
    """See Model.draft_cache."""
    least, most = integer(least, 1, "least"), integer(most, 1, "most")
    model._check_decodes()
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        sequence("texts", texts, "texts, such as a list")
    votes: dict[int, Votes] = {length: {} for length in LENGTHS}
    for one in texts:
        for ids in _pieces(model, text("texts", one)):
            for length in LENGTHS:
                _count(votes[length], ids, length)
                _forget(votes[length], most)
    return _written(model, {length: _best(votes[length], least) for length in LENGTHS})


def _pieces(model: CoreModel, whole: str) -> Iterator[Sequence[int]]:
    """Yield the ids of a text in pieces, cut after a line if there is one."""
    at = 0
    while at < len(whole):
        end = at + PIECE
        if end < len(whole):
            end = whole.rfind("\n", at, end) + 1 or end
        yield model.tokenize(whole[at:end])
        at = end


def _count(votes: Votes, ids: Sequence[int], length: int) -> None:
    for run in zip(*(ids[i : len(ids) - length + i] for i in range(length + 1)), strict=False):
        *before, after = run
        vote = votes.setdefault(tuple(before), [after, 0, 0])
        vote[2] += 1
        if vote[0] == after:
            vote[1] += 1
        elif vote[1]:
            vote[1] -= 1
        else:
            vote[:2] = after, 1


def _forget(votes: Votes, most: int) -> None:
    """Forget the runs that were met least, until at most half as many are left."""
    rare = 1
    while len(votes) > most:
        for ids in [ids for ids, vote in votes.items() if vote[2] <= rare]:
            del votes[ids]
        rare = 2 * rare if len(votes) > most // 2 else rare


def _best(votes: Votes, least: int) -> list[tuple[tuple[int, ...], int, int]]:
    """Return ids, the one that follows, and its share of 255, where they were met often enough and it won."""
    return sorted(
        (ids, after, max(1, round(255 * (n + won) / (2 * n))))
        for ids, (after, won, n) in votes.items()
        if n >= least and won > 0
    )


def _written(model: CoreModel, records: dict[int, list[tuple[tuple[int, ...], int, int]]]) -> bytes:
    library = model._library
    if not any(records.values()):
        raise ArgumentError("texts: nothing is repeated in them that could be drafted: pass more text, or least=1")
    block = library.alloc(8)
    with model._handle as address:
        check(library, library.call("gemel_model_vocab_hash", address, block), "the vocabulary")
    counts = [len(records[length]) for length in LENGTHS]
    parts = [MAGIC, library.read(block.address, 8), struct.pack("<4I", *counts, 0)]
    for length in LENGTHS:
        made = struct.Struct(f"<{length + 2}I")
        parts += [made.pack(*ids, after, share) for ids, after, share in records[length]]
    return b"".join(parts)
