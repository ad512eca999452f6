"""What requests took, as figures: means and percentiles of each time, and throughput."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .asking import Record

PERCENTILES = (50, 90, 95, 99)
TIMES = {
    "first_token": "time to first token", "per_token": "time per further token", "between": "between pieces",
    "whole": "whole answer", "late": "sent late",
}  # fmt: skip


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, between neighbours in proportion, as numpy does.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([5.0], 99), percentile([0.0, 10.0], 90)
    (2.5, 5.0, 9.0)
    """
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return mean, percentiles and the largest of values; None if there is no value."""
    if not values:
        return None
    found = {"mean": sum(values) / len(values)} | {f"p{one}": percentile(values, one) for one in PERCENTILES}
    return found | {"max": max(values)}


def values_of(records: Sequence[Record]) -> dict[str, list[float]]:
    """Return the times of requests that were answered, by the names of TIMES."""
    good = [one for one in records if not one.error]
    return {
        "first_token": [one.first for one in good if one.first is not None],
        "per_token": [time for one in good if (time := one.per_token) is not None],
        "between": [gap for one in good for gap in one.gaps],
        "whole": [one.whole for one in good],
        "late": [one.late for one in records],
    }


def figures(records: Sequence[Record], seconds: float) -> dict[str, Any]:
    """Return all figures. Tokens of requests that failed count as none."""
    good = [one for one in records if not one.error]
    n_tokens = sum(one.n_tokens for one in good)
    known = [one.n_prompt for one in good if one.n_prompt is not None]
    return {
        "requests": len(records), "answered": len(good), "seconds": seconds,
        "errors": dict(Counter(one.error for one in records if one.error).most_common()),
        "prompt_tokens": sum(known) if len(known) == len(good) else None, "answer_tokens": n_tokens,
        "requests_s": len(good) / seconds, "answer_tokens_s": n_tokens / seconds,
        "times": {name: spread(values) for name, values in values_of(records).items()},
    }  # fmt: skip
