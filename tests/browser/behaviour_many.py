"""Many models at once. Like behaviour.py, a program that runs unchanged on every host."""

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


def cases() -> list[str]:
    """Return the names of the cases, in order."""
    return [
        name
        for name, value in list(globals().items())
        if asyncio.iscoroutinefunction(value) and value.__module__ == __name__ and not name.startswith("_")
    ]
