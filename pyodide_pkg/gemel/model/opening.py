"""Pieces of a file become a Model: header, check of the memory, tensors, and a prompt evaluated meanwhile.

_open.py and tab/opening.py say where the pieces come from.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from types import FrameType

from ..core.errors import CancelledError, ModelWarning
from ..core.library import Library
from ..core.packed import PACKAGE
from ..source.pieces import PieceSource
from ..source.progress import Progress
from ..source.sources import MODEL, Source, resolve
from .core_model import PROMPT
from .loader import Loader, read_headers, read_tensors
from .memory import Plan, available_memory, plan_of
from .model import Model
from .overrides import Overrides
from .preload import Preload


async def load_model(
    library: Library,
    pieces: PieceSource,
    threads: int,
    isa: int | None,
    *,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    overrides: Overrides | None = None,
    replaces: Model | None = None,
) -> Model:
    """Load a model from pieces; close `pieces`, and after an error everything else. overrides: from check_overrides.

    replaces: a model that is closed before memory for the new one's weights is taken, and not after an earlier error.
    """
    loader = model = preload = None
    try:
        loader = Loader(library, pieces.name, pieces.sizes)
        early = await read_headers(loader, pieces)
        given = loader.override(overrides or {})
        if replaces is not None:
            plan_for(loader, threads)
            replaces.close()
        refuse_too_large(loader, threads)
        pieces.order(loader.begin(threads, isa), final=True)
        if prompt is not None:
            model = Model(library, loader.model(), pieces.name, given)
            preload = Preload(model, prompt, on_progress)
        await read_tensors(loader, pieces, early, on_progress, preload.step if preload else None)
        if model is None or preload is None:
            model = Model(library, loader.finish(), pieces.name, given)
        else:
            loader.finish()
            while preload.finish():
                await pieces.yield_turn()
            model._finish_loading(preload.session)
        await pieces.end()
        warn_of(model)
        return model
    except BaseException:
        if model is not None:
            model.close()
        raise
    finally:
        if loader is not None:
            loader.close()
        pieces.close()


def warn_of(model: Model) -> None:
    """Warn of what the model goes without, in the name of the first caller outside this package."""
    frame: FrameType | None = sys._getframe()
    level = 1
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    for text in model.warnings:
        warnings.warn(f"{model.name}: {text}", ModelWarning, stacklevel=level)


def refuse_too_large(loader: Loader, threads: int) -> None:
    """Raise OutOfMemoryError, before weights are read, when this machine has too little memory for them."""
    memory = available_memory()
    if memory is not None:
        plan_for(loader, threads).check(memory)


def plan_for(loader: Loader, threads: int) -> Plan:
    """Return the memory that the smallest session needs. UnsupportedError for a model that gemel does not support."""
    with loader.handle as address:
        return plan_of(loader.library, address, loader.name, n_ctx=1, threads=threads)


async def resolve_in_thread(model: MODEL, *, cache: bool, on_progress: Progress | None) -> Source:
    """As resolve, in another thread, which ends when the task is cancelled."""
    cancelled = threading.Event()

    def report(stage: str, done: int, total: int) -> None:
        if cancelled.is_set():
            raise CancelledError("the task that loaded this model was cancelled")
        if on_progress:
            on_progress(stage, done, total)

    def run() -> Source:
        source = resolve(model, cache=cache, on_progress=report)
        if cancelled.is_set():
            source.close()
        return source

    try:
        return await asyncio.to_thread(run)
    except asyncio.CancelledError:
        cancelled.set()
        raise
