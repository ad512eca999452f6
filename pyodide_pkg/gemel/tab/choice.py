"""Which core a tab uses: the threaded engine where there is one, otherwise the side module, with one thread."""

from __future__ import annotations

from ..core import shared
from ..core.errors import LibraryError
from ..core.library import Library
from . import assets, engine, features


def load() -> Library:
    """Return the threaded engine when it runs already, otherwise the side module."""
    return engine.running() or shared.load(side_module)


async def load_async(size: int, threads: int | None = None) -> Library:
    """Return the library for a model of `size` bytes; starts the threaded engine where there is one.

    threads: as for open; None is the library's own default_threads.
    """
    chosen, why = await engine.choose(size, threads)
    if chosen is not None:
        return chosen
    library = shared.load(side_module)
    library.why = why
    return library


def side_module() -> shared.Found:
    """Return the side module for this browser, or the one that GEMEL_LIBRARY names."""
    path = shared.named_library() or assets.path(f"libgemel_{flavour()}.wasm")
    return shared.Found(path, "side module", engine.threads_refusal() or "the threaded engine is started by open_async")


def flavour() -> str:
    """Return which build of the core this browser's WebAssembly takes."""
    found = features.flavour()
    if not found:
        raise LibraryError(
            "this browser's WebAssembly has no SIMD, which gemel needs: use a current browser, or gemel on a desktop"
        )
    return found
