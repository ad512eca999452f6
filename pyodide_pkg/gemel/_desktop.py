"""MODEL becomes a Model on a desktop: a path, a download, bytes or an open file. See gemel.open."""

from __future__ import annotations

import contextlib

from ._choice import load
from .core.cpu import pick_isa, pick_threads
from .model.core_model import PROMPT
from .model.header import Gguf
from .model.loader import at_once, read_gguf
from .model.model import Model
from .model.opening import load_model, resolve_in_thread
from .model.overrides import Overrides, check_overrides
from .source.pieces import LocalPieces
from .source.progress import Progress
from .source.removal import advised
from .source.sources import MODEL, resolve


def open_on_desktop(
    model: MODEL,
    *,
    threads: int | None,
    isa: str | None,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    cache: bool,
    overrides: Overrides | None,
) -> Model:
    """See gemel.open."""
    library, given = load(), check_overrides(overrides)
    n_threads, number = pick_threads(threads, library), pick_isa(library, isa)
    with advised(model):
        pieces = LocalPieces(resolve(model, cache=cache, on_progress=on_progress), yields=False)
        return at_once(
            load_model(library, pieces, n_threads, number, on_progress=on_progress, prompt=prompt, overrides=given)
        )


async def open_on_desktop_async(
    model: MODEL,
    *,
    threads: int | None,
    isa: str | None,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    cache: bool,
    overrides: Overrides | None,
) -> Model:
    """See gemel.open_async."""
    library, given = load(), check_overrides(overrides)
    n_threads, number = pick_threads(threads, library), pick_isa(library, isa)
    with advised(model):
        pieces = LocalPieces(await resolve_in_thread(model, cache=cache, on_progress=on_progress), yields=True)
        return await load_model(
            library, pieces, n_threads, number, on_progress=on_progress, prompt=prompt, overrides=given
        )


def inspect_on_desktop(model: MODEL, *, on_progress: Progress | None) -> Gguf:
    """See gemel.inspect."""
    with advised(model), contextlib.closing(resolve(model, on_progress=on_progress)) as source:
        return at_once(read_gguf(load(), LocalPieces(source, yields=False)))
