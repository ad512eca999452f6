"""How many ids were evaluated ahead for one answer, and how many of them were drawn, by what proposed them."""

from __future__ import annotations

from contextlib import suppress

from ..core import abi
from ..core.errors import ArgumentError
from .core_session import CoreSession

TURN = 1 << 31   # where the core's counts begin again
SOURCES = {      # what proposes ids, by the core's numbers
    abi.SOURCE_FORCED: "grammar", abi.SOURCE_REPEATS: "repeats", abi.SOURCE_NGRAMS: "file", abi.SOURCE_MODEL: "model",
}  # fmt: skip
Counts = list[tuple[int, int]]   # by source: ids evaluated ahead, and of them those drawn
NONE: Counts = [(0, 0)] * len(SOURCES)


class Drafts:
    """The counts of the sessions that an answer had, one after another."""

    def __init__(self) -> None:
        self._before = NONE   # of earlier sessions
        self._start = NONE    # what the session had counted when the answer took it
        self._session: CoreSession | None = None

    def begin(self, session: CoreSession) -> None:
        """Count in this session from now on."""
        self.end()
        self._start, self._session = session._drafted_by(), session

    def end(self) -> None:
        """Count no longer: the session is given up."""
        self._before, self._session = self._counts(), None

    def _counts(self) -> Counts:
        session, before = self._session, self._before
        if session is not None:
            with suppress(ArgumentError):   # it was closed
                return [
                    (n + (now - start) % TURN, taken + (now_taken - start_taken) % TURN)
                    for (n, taken), (now, now_taken), (start, start_taken)
                    in zip(before, session._drafted_by(), self._start, strict=True)
                ]  # fmt: skip
        return before

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Of each source that proposed some: ids that were evaluated ahead so far, and of them those drawn."""
        return {SOURCES[i]: pair for i, pair in enumerate(self._counts()) if pair[0]}
