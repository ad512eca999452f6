"""What the passes of a batch have evaluated. Written by the thread that steps, read by any."""

from __future__ import annotations


class Counts:
    """Sums over passes.

    Attributes:
        rows: how many passes had so many rows; a row is an id of a prompt or of an answer
        n_decoded: rows that were ids of answers
        seconds: that passes took
    """

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.n_decoded = 0
        self.seconds = 0.0

    def note(self, n_rows: int, n_decoded: int, seconds: float) -> None:
        """Add a pass."""
        self.rows[n_rows] = self.rows.get(n_rows, 0) + 1
        self.n_decoded += n_decoded
        self.seconds += seconds
