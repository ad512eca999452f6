"""Requests at planned times: as Poisson arrivals at a rate, or all at once, with up to N at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import accumulate
from typing import Any

from .asking import Record, Target


def arrivals(n: int, rate: float | None, seed: int) -> list[float]:
    """Return when n requests are to be sent, in seconds from the first. rate: a second; None: all at once.

    >>> arrivals(3, None, 0)
    [0.0, 0.0, 0.0]
    >>> times = arrivals(10000, 5.0, 0)
    >>> 1900 < times[-1] < 2100
    True
    """
    if rate is None:
        return [0.0] * n
    numbers = random.Random(seed)
    return list(accumulate((numbers.expovariate(rate) for _ in range(n - 1)), initial=0.0))


def run(
    target: Target, bodies: Sequence[dict[str, Any]], times: Sequence[float], *, concurrency: int,
    on_progress: Callable[[str, int, int], None],
) -> tuple[list[Record], float]:  # fmt: skip
    """Send each body at its time, or as soon after it as fewer than `concurrency` requests run.

    Returns what each took, and the seconds of all.
    """
    records = [Record() for _ in bodies]
    start = time.perf_counter()

    def one(i: int) -> None:
        now = time.perf_counter() - start
        if now < times[i]:
            time.sleep(times[i] - now)
        records[i].late = max(0.0, time.perf_counter() - start - times[i])
        target.ask(bodies[i], records[i])

    with ThreadPoolExecutor(min(concurrency, len(bodies)), "load") as pool:
        running = [pool.submit(one, i) for i in range(len(bodies))]   # they begin in this order
        try:
            for n_done, done in enumerate(as_completed(running), 1):
                done.result()
                on_progress("bench", n_done, len(bodies))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return records, time.perf_counter() - start
