"""MODEL of a command line becomes an open model; meanwhile, progress is shown and the loading time measured."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gemel
from gemel import Overrides

from .options import usage_error
from .output import say_warning
from .progress import Bar


@dataclass(frozen=True)
class Loaded:
    """An open model."""

    model: gemel.Model
    load_s: float   # seconds from the file to a ready model, without a download


@contextmanager
def opened(
    name: str, *, threads: int | None = None, isa: str | None = None, draft: str | bool = True,
    overrides: Overrides | None = None, log_progress: bool = False,
) -> Iterator[Loaded]:
    """Open a model for the length of a command, and say its warnings. A bad `isa` is a usage error.

    log_progress: see Bar.
    """
    check_isas([] if isa is None else [isa])
    start = time.perf_counter()

    def on_progress(stage: str, done: int, total: int) -> None:
        nonlocal start
        if stage == "download":
            start = time.perf_counter()
        bar(stage, done, total)

    with Bar(log=log_progress) as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore", gemel.ModelWarning)   # they are said below, a line each
        model = gemel.open(
            name, threads=threads, isa=isa, draft=draft, on_progress=on_progress, overrides=overrides
        )
    with model:
        for text in model.warnings:
            say_warning(f"{model.name}: {text}")
        yield Loaded(model, time.perf_counter() - start)


def check_isas(names: list[str]) -> None:
    """Raise a usage error for an instruction set that is unknown or not available here."""
    known = gemel.isas()
    available = ", ".join(isa for isa, usable in known.items() if usable)
    for name in names:
        if not known.get(name):
            why = "this CPU does not support it" if name in known else "unknown instruction set"
            raise usage_error(f"--isa {name}: {why}; available here: {available}")


def check_ctx(model: gemel.Model, ctx: int | None) -> int | None:
    """Return --ctx; raise a usage error if it is over the model's limit."""
    if ctx is not None and ctx > model.n_ctx:
        raise usage_error(f"--ctx {ctx}: {model.name} allows 1 to {model.n_ctx}")
    return ctx
