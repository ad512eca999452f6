"""What the passes of several batches have evaluated, together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol


class OfBatch(Protocol):
    """The counts of one batch, as gemel.Batch has them."""

    rows: dict[int, int]
    n_decoded: int
    seconds: float


class Counts:
    """Sums over passes.

    Attributes:
        n_decoded: rows that were tokens of answers
        seconds: that passes took
    """

    def __init__(self) -> None:
        self._rows = Counter[int]()
        self.n_decoded = 0
        self.seconds = 0.0

    @property
    def rows(self) -> Mapping[int, int]:
        """How many passes had so many rows."""
        return self._rows

    def add_batch(self, batch: OfBatch) -> None:
        """Add those of a batch, which may be counting."""
        self._add(batch.rows.copy(), batch.n_decoded, batch.seconds)

    def add(self, other: Counts) -> None:
        """Add others."""
        self._add(other.rows, other.n_decoded, other.seconds)

    def _add(self, rows: Mapping[int, int], n_decoded: int, seconds: float) -> None:
        self._rows.update(rows)
        self.n_decoded += n_decoded
        self.seconds += seconds
