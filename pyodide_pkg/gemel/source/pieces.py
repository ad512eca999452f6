"""The protocol by which a file's bytes reach the loader, and its implementation for a source on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

from .layer_order import Span, pieces
from .piece_order import Data
from .sources import Source

FIRST_PIECE = 1 << 16    # bytes: enough to see that a file is not GGUF
PIECE = 1 << 24          # bytes per call: a fraction of a second, after which Ctrl-C works


class PieceSource(Protocol):
    """Where the pieces of a file come from. Until `order` is called: the first part's, in file order."""

    name: str
    sizes: tuple[int, ...]   # bytes of each part; offsets count through all parts, laid one after the other
    repeats: bool            # pieces that were returned before `order` come again when they are in it

    @property
    def ready(self) -> bool:
        """Whether next() would return without waiting."""

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        """Ask for these spans, in this order, from now on; final: nothing else will be asked for."""

    async def next(self) -> tuple[int, Data]:
        """Return (offset, bytes) of the next piece, which are valid until the next call; or raise SourceError."""

    async def yield_turn(self) -> None:
        """Let the event loop run, where there is one."""

    async def end(self) -> None:
        """Wait until the whole file is verified; nothing more is wanted."""

    def close(self) -> None:
        """Let go of everything, whether or not the end was reached."""


class LocalPieces:
    """A PieceSource of a source on this machine. `yields`: let an event loop run after each piece."""

    repeats = True
    ready = False

    def __init__(self, source: Source, *, yields: bool) -> None:
        self.name = source.name
        self.sizes = source.sizes
        self._source = source
        self._yields = yields
        self._pieces: Iterator[Span] = self._growing(0, source.sizes[0])

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        self._pieces = pieces(spans, PIECE) if final else self._growing(*spans[0])

    def _growing(self, start: int, end: int) -> Iterator[Span]:
        """Small pieces first: a header may be short."""
        size = FIRST_PIECE
        while start < end:
            yield start, min(start + size, end)
            start, size = start + size, min(2 * size, PIECE)

    async def next(self) -> tuple[int, Data]:
        await self.yield_turn()
        start, end = next(self._pieces)
        return start, self._source.read(start, end - start)

    async def yield_turn(self) -> None:
        if self._yields:
            await asyncio.sleep(0)

    async def end(self) -> None:
        pass

    def close(self) -> None:
        self._source.close()
