"""How many ids were evaluated ahead for one answer, and how many of them were drawn."""

from __future__ import annotations

from contextlib import suppress

from ..core.errors import ArgumentError
from .core_session import CoreSession

TURN = 1 << 31   # where the core's counts begin again


class Drafts:
    """The counts of the sessions that an answer had, one after another."""

    def __init__(self) -> None:
        self._before = (0, 0)   # of earlier sessions
        self._start = (0, 0)    # what the session had counted when the answer took it
        self._session: CoreSession | None = None

    def begin(self, session: CoreSession) -> None:
        """Count in this session from now on."""
        self.end()
        self._start, self._session = session.drafted, session

    def end(self) -> None:
        """Count no longer: the session is given up."""
        self._before, self._session = self.counts, None

    @property
    def counts(self) -> tuple[int, int]:
        """How many ids were evaluated ahead so far, and how many of them were drawn."""
        session, (n, taken) = self._session, self._before
        if session is not None:
            with suppress(ArgumentError):   # it was closed
                now = session.drafted
                n += (now[0] - self._start[0]) % TURN
                taken += (now[1] - self._start[1]) % TURN
        return n, taken
