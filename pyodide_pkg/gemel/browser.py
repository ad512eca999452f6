"""What only a browser tab has: where worker scripts come from, the threaded engine's start, why it is not taken, its
memory, and a flag by which another thread of the page stops what a worker computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _assets
from ._errors import LibraryError

if TYPE_CHECKING:
    from ._generate import Generation
    from ._session import Session

__all__ = ["cancel_flag", "configure", "engine_reason", "memory_size", "start"]

UNCHANGED: Any = object()   # an argument that was not given


def configure(*, base_url: str | None = UNCHANGED, models_url: str | None = UNCHANGED) -> None:
    """Say where workers start from, and where short names are fetched from. What is not given stays as it is.

    base_url: the address of a folder that serves gemel's *.js files (those of the wheel's gemel/_core), of the page's
    own origin; for pages whose Content-Security-Policy forbids Blob workers. None: from the wheel itself.
    models_url: the address of a folder that serves the files of gemel.NAMES by their names (gemel.NAMES[...].file);
    None: from where a desktop has them, as far as a page can fetch that.
    """
    if base_url is not UNCHANGED:
        _assets.set_base_url(base_url)
    if models_url is not UNCHANGED:
        from . import _web

        _web.set_models_url(models_url)


async def start(threads: int | None = None) -> None:
    """Start the threaded engine now, so that gemel.open takes it as well and open_async need not wait for it.

    threads: how many the next model may use; default the CPUs that the browser names, at most 8.
    LibraryError says why when this page has no threaded engine.
    """
    from . import _engine

    asked = _engine.asked_threads(threads)
    refusal = _refusal()
    if refusal:
        raise LibraryError(f"the threaded engine can't be started: {refusal}")
    await _engine.start("threads", asked)


def engine_reason() -> str:
    """Return one sentence: which engine models get here, and why."""
    refusal = _refusal()
    if not refusal:
        return "the threaded engine: the page is cross-origin isolated and Python runs in a worker"
    return f"the {'side module' if _in_tab() else 'native library'}: {refusal}"


def memory_size() -> int:
    """Return the bytes of WebAssembly memory that Python and gemel's engines have here; it never shrinks.

    Weights, KV caches and everything else of Python's lie in it. LibraryError where there is no tab.
    """
    if not _in_tab():
        raise LibraryError("this is no browser: ask the operating system for the memory of this process")
    import pyodide_js  # type: ignore[import-not-found]

    from . import _engine

    engines = sum(int(library.memory.buffer.byteLength) for library in _engine._running.values())
    return int(pyodide_js._module.HEAPU8.byteLength) + engines


def cancel_flag(of: Session | Generation) -> Any:  # noqa: ANN401
    """Return a shared Int32Array: `Atomics.store(flag, 0, 1)`, in any thread of the page, is session.cancel().

    Python that computes in a worker takes no messages meanwhile; send the flag to the page first. It is 0 again once a
    call was cancelled; what is written after the session was closed has no effect on it, but after 64 more flags on
    another. LibraryError when the model is not on the threaded engine.
    """
    from ._generate import Generation
    from ._library_js import JsLibrary

    session = of._run.session if isinstance(of, Generation) else of
    library = session._library
    if not isinstance(library, JsLibrary):
        raise LibraryError(
            f"the {library.engine} core shares no memory with the page: stop an `async for`, or end the worker"
        )
    with session._handle as address:
        return library.int_at(library.call("gemel_engine_flag", address))


def _in_tab() -> bool:
    from ._features import in_tab

    return in_tab()


def _refusal() -> str:
    from . import _engine

    return _engine.threads_refusal() if _in_tab() else "this is no browser"
