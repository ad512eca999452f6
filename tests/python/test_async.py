"""Async iteration and what was evaluated ahead: small steps, stopping in the middle, going on from what is there."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import gemel

PROMPT = "The quick brown fox"


def test_async_iteration_evaluates_a_long_prompt_in_small_steps(model: gemel.Model) -> None:
    ids = [*range(1, 200)]

    async def main() -> list[int]:
        seen: list[int] = []
        generation = model.generate(ids, max_tokens=1)

        async def watch() -> None:
            while generation.stop_reason is None:
                seen.append(generation.timings.n_evaluated)
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0)
        async for _ in generation:
            pass
        await watcher
        return seen

    seen = asyncio.run(main())
    assert {0, 8} <= set(seen)
    assert all(b - a <= max(8, 2 * a) for a, b in itertools.pairwise(seen))


def test_closing_an_async_iteration_stops_within_the_prompt(model: gemel.Model) -> None:
    generation = model.generate([*range(1, 200)], max_tokens=1)

    async def main() -> None:
        async def stop() -> None:
            while not generation.timings.n_evaluated:
                await asyncio.sleep(0)
            generation.close()

        stopper = asyncio.create_task(stop())
        async for _ in generation:
            pass
        await stopper

    asyncio.run(main())
    assert generation.stop_reason == "cancelled"
    assert 0 < generation.timings.n_evaluated < 199


def test_only_one_generation_continues_the_prefilled_session(model: gemel.Model) -> None:
    ids = model.tokenize(PROMPT)
    backwards = model.generate([*reversed(ids)], max_tokens=2, temperature=0).read()
    forwards = model.generate([*ids, ids[0]], max_tokens=4, temperature=0).read()
    ahead = model.session()
    ahead.sync(ids)
    model._preloaded = ahead
    other = model.generate([*reversed(ids)], max_tokens=2, temperature=0)
    assert other.read() == backwards
    assert other.timings.n_evaluated == len(ids)
    first = model.generate([*ids, ids[0]], max_tokens=4, temperature=0)
    assert first.read() == forwards
    assert first.timings.n_evaluated == 1
    assert ahead.closed
    again = model.generate([*ids, ids[0]], max_tokens=4, temperature=0)
    assert again.read() == forwards
    assert again.timings.n_evaluated == len(ids) + 1


class _Met:
    """Stands for an evaluated session; two threads look at its ids before either goes on."""

    def __init__(self) -> None:
        self.closed, self.n_ctx, self.n_past, self.kv_type = False, 8, 1, "q8_0"
        self._both = threading.Barrier(2, timeout=10)

    @property
    def ids(self) -> list[int]:
        self._both.wait()
        return [1]


def test_only_one_thread_takes_the_prefilled_session(model: gemel.Model) -> None:
    met: Any = _Met()
    model._preloaded = met
    taken: list[object] = []
    threads = [threading.Thread(target=lambda: taken.append(model._take_preloaded([1, 2], 8, None))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=bool) == [None, met]
