"""MODEL, as a command line has it, becomes an open model: progress on the way, and how long loading took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gemel
from gemel import Overrides

from .options import usage_error
from .progress import Bar


@dataclass(frozen=True)
class Loaded:
    """An open model."""

    model: gemel.Model
    load_s: float   # seconds from the file to a model that is ready, a download not counted


@contextmanager
def opened(
    name: str, *, threads: int | None = None, isa: str | None = None, overrides: Overrides | None = None
) -> Iterator[Loaded]:
    """Open a model for the length of a command. A bad `isa` is an error of usage."""
    check_isas([] if isa is None else [isa])
    start = time.perf_counter()

    def on_progress(stage: str, done: int, total: int) -> None:
        nonlocal start
        if stage == "download":
            start = time.perf_counter()
        bar(stage, done, total)

    with Bar() as bar:
        model = gemel.open(name, threads=threads, isa=isa, on_progress=on_progress, overrides=overrides)
    with model:
        yield Loaded(model, time.perf_counter() - start)


def check_isas(names: list[str]) -> None:
    """Raise a usage error for a row of kernels that can't be used here."""
    rows = gemel.isas()
    usable = ", ".join(row for row, can in rows.items() if can)
    for name in names:
        if not rows.get(name):
            why = "this CPU can't run it" if name in rows else "there is no such row of kernels"
            raise usage_error(f"--isa {name}: {why}; usable here: {usable}")


def check_ctx(model: gemel.Model, ctx: int | None) -> int | None:
    """Return --ctx; a usage error when it is over what the file allows."""
    if ctx is not None and ctx > model.n_ctx:
        raise usage_error(f"--ctx {ctx}: {model.name} allows 1 to {model.n_ctx}")
    return ctx
