"""The same figures as JSON, for pages that plot them: /metrics.json."""

from __future__ import annotations

import time
from typing import Any

from .histogram import Histogram
from .names import COUNTERS, GAUGES, HISTOGRAMS, LABELLED, PASSES
from .state import State

PREFIX = "gemel:"


def figures(state: State) -> dict[str, Any]:
    """Return all figures. Histograms have bounds, counts per bucket (one more than bounds) and the sum."""
    shown = set(state.names())
    return {
        "time": time.monotonic(),
        "requests": [{"api": api, "status": status, "n": n} for (api, status), n in sorted(state.requests.items())],
        "models": [
            {
                "name": one.alias, "state": one.state, "memory": one.memory, "loads": one.n_loads,
                "unloads": one.n_unloads, "load_seconds": one.load_seconds,
                **(_figures(state, one.alias) if one.alias in shown else {}),
            } for one in state.usage
        ],
    }   # fmt: skip


def _figures(state: State, model: str) -> dict[str, Any]:
    tally = state.tallies.get(model)
    values = {_short(name): of(state, model) for name, (_, of) in {**COUNTERS, **GAUGES}.items()}
    histograms = {_short(PASSES[0]): _buckets(PASSES[2](state.counts(model)))}
    if tally is not None:
        histograms |= {_short(name): _buckets(of(tally)) for name, (_, of) in HISTOGRAMS.items()}
        values |= {_short(name): sum(of(tally).values()) for name, (_, _, of) in LABELLED.items()}
    return {"values": values, "histograms": histograms}


def _short(name: str) -> str:
    return name.removeprefix(PREFIX)


def _buckets(histogram: Histogram) -> dict[str, Any]:
    return {"bounds": histogram.bounds, "counts": histogram.counts, "sum": histogram.sum}
