"""Many at once: models, and generations of a batch. Like behaviour.py, a program that runs unchanged on every host."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import gemel

FOLDER = Path(__file__).resolve().parent
Result = Any


async def many_models_open_and_close() -> Result:
    found = set()
    for _ in range(40):
        with gemel.open(FOLDER / "long.gguf") as model, model.session(n_ctx=256) as session:
            session.sync([5, 6, 7])
            found.add(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
    assert len(found) == 1
    return found.pop()


async def generations_of_a_batch_are_what_they_are_alone() -> Result:
    """Also where they share a prompt, are put back for want of memory, or one beside them is closed."""
    with gemel.open(FOLDER / "long.gguf") as model:
        page = 64 * model.kv_size
        prompts = [[5 + i % 3, *range(3, 200)] for i in range(6)] + [list(range(3, 203 + i)) for i in range(3)]
        alone = [model.generate(ids, max_tokens=30, seed=i) for i, ids in enumerate(prompts)]
        wanted = [generation.read() for generation in alone]
        for memory in (None, 0, 9 * page):
            with model.batch(1024, cache_memory=memory) as batch:
                generations = [batch.generate(ids, max_tokens=30, seed=i) for i, ids in enumerate(prompts)]
                left = batch.generate([9] * 100, max_tokens=30)
                for _ in range(10):
                    batch.step()
                left.close()
                assert [generation.read() for generation in generations] == wanted
                assert [generation.ids for generation in generations] == [generation.ids for generation in alone]
        assert model.cache_size == 0
        return wanted


def cases() -> list[str]:
    """Return the names of the cases, in order."""
    return [
        name
        for name, value in list(globals().items())
        if asyncio.iscoroutinefunction(value) and value.__module__ == __name__ and not name.startswith("_")
    ]
