"""All that there is to show at a moment: what was counted, and what the engine and the registry say now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..jobs.counts import Counts
from ..jobs.work import Load
from ..registry import Usage
from .histogram import ROWS, Histogram
from .tally import Tally

NO_LOAD = Load(0, 0, 0, 0, 0, Counts())


@dataclass(frozen=True)
class State:
    """The figures of an app. loads: of the models that have been asked since they were opened."""

    requests: Mapping[tuple[str, str], int]   # by API and status
    tallies: Mapping[str, Tally]
    usage: Sequence[Usage]
    loads: Mapping[str, Load]

    def names(self) -> list[str]:
        """Return the models that have figures: those that are or were open."""
        return [one.alias for one in self.usage if one.state != "unloaded" or one.alias in self.tallies or one.n_loads]

    def load(self, name: str) -> Load:
        """Return what a model has to do."""
        return self.loads.get(name, NO_LOAD)

    def counts(self, name: str) -> Counts:
        """Return a model's passes since the server began."""
        counts = Counts()
        counts.add(self.load(name).counts)
        if name in self.tallies:
            counts.add(self.tallies[name].past)
        return counts


def rows_of(counts: Counts) -> Histogram:
    """Return the passes by their rows."""
    histogram = Histogram(ROWS)
    for n_rows, n in counts.rows.items():
        histogram.observe(n_rows, n)
    return histogram
