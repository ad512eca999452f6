"""What only a browser tab has: the address of worker scripts, starting the threaded engine, why it is not used, memory,
a model in the place of another, the models of a repository of the hub, and a flag with which another thread of the page
stops a worker's computation.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .core.errors import LibraryError
from .source.hub_address import HubModel

if TYPE_CHECKING:   # restore() comes before what it restores is imported
    from .model.core_model import PROMPT
    from .model.core_session import CoreSession
    from .model.generation import Generation
    from .model.model import Model
    from .model.overrides import Overrides
    from .source.progress import Progress

__all__ = [
    "HubModel", "cancel_flag", "configure", "engine_reason", "hub_models", "keep", "memory_size", "replace", "restore",
    "start", "why_uncached",
]  # fmt: skip

UNCHANGED: Any = object()   # an argument that was not given


def configure(*, base_url: str | None = UNCHANGED, models_url: str | None = UNCHANGED) -> None:
    """Set where workers start from and where short names are fetched from. An argument left out changes nothing.

    base_url: the address of a folder that serves gemel's *.js files (those in the wheel's gemel/_core) from the page's
    own origin; for pages whose Content-Security-Policy forbids Blob workers. None: from the wheel itself.
    models_url: the address of a folder that serves the files of gemel.NAMES under their names (gemel.NAMES[...].file).
    None: from where a desktop gets them, where a page may fetch from there.
    """
    if base_url is not UNCHANGED:
        from .tab import assets

        assets.set_base_url(base_url)
    if models_url is not UNCHANGED:
        from .tab import opening

        opening.set_models_url(models_url)


async def start(threads: int | None = None) -> None:
    """Start the threaded engine now, so that gemel.open uses it too, and open_async need not wait for it.

    threads: how many the next model may use; default the CPUs that the browser reports, at most 8.
    LibraryError says why when this page has no threaded engine.
    """
    from .core.cpu import asked_threads
    from .tab import engine

    asked = asked_threads(threads)
    refusal = _refusal()
    if refusal:
        raise LibraryError(f"the threaded engine can't be started: {refusal}")
    await engine.start("threads", asked)


async def restore() -> None:
    """Read what this browser has kept of gemel's compiled Python, as open_async does, before more of it is imported."""
    await _kept_code().restore()


async def keep() -> None:
    """Keep what Python has compiled of gemel by now for later visits: more than open_async, which keeps it, too."""
    await _kept_code().keep()


async def replace(
    loaded: Model,
    model: Any,  # noqa: ANN401
    *,
    threads: int | None = None,
    isa: str | None = None,
    on_progress: Progress | None = None,
    prompt: PROMPT | None = None,
    cache: bool = True,
    overrides: Overrides | None = None,
    draft: Any = True,  # noqa: ANN401
) -> Model:
    """As gemel.open_async, in the place of `loaded`, which is closed once the new file's header is found good.

    So the weights of both are never in memory at the same time. After an error before that, such as an address that is
    out of reach or a file that is not a model, `loaded` stays open. LibraryError outside a tab.
    """
    if not _in_tab():
        raise LibraryError("this is not a browser: close the model and open the other")
    from ._open import _check_draft, open_async
    from .tab.opening import open_in_tab_async

    _check_draft(draft)
    opened = await open_in_tab_async(
        model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache, overrides=overrides,
        replaces=loaded,
    )  # fmt: skip
    if draft is True:
        return opened
    from .model.drafting import use_opened_async
    from .tab.draft_file import with_bytes_async

    draft = await with_bytes_async(draft)
    return await use_opened_async(
        opened, draft, lambda of: open_async(of, threads=threads, isa=isa, on_progress=on_progress, cache=cache)
    )


async def hub_models(address: str) -> list[HubModel]:
    """Return the models of a repository of the hub: of hf:owner/repo, or of a page whose address was copied.

    SourceError when the hub lists no GGUF model, or does not answer. LibraryError outside a tab.
    """
    if not _in_tab():
        raise LibraryError("this is not a browser: gemel.pull(address) downloads the model that an address means")
    from .core.checks import text
    from .tab.hub_file import models

    return await models(text("address", address))


def engine_reason() -> str:
    """Return one sentence: which engine models use here, and why."""
    refusal = _refusal()
    if not refusal:
        return "the threaded engine: the page is cross-origin isolated and Python runs in a worker"
    return f"the {'side module' if _in_tab() else 'native library'}: {refusal}"


def memory_size() -> int:
    """Return the bytes of WebAssembly memory that Python and gemel's engines have here; it never shrinks.

    It holds weights, KV caches and Python's own objects. LibraryError outside a tab.
    """
    if not _in_tab():
        raise LibraryError("this is not a browser: ask the operating system for this process's memory")
    import pyodide_js  # type: ignore[import-not-found]

    from .tab import engine

    return int(pyodide_js._module.HEAPU8.byteLength) + sum(engine.memory_sizes())


def why_uncached(model: Model) -> str | None:
    """Return why a model's download is not cached, one sentence. None: it is, or nothing was to be cached."""
    if not _in_tab():
        return None
    from .tab import opening

    return opening.why_uncached(model)


def cancel_flag(of: CoreSession | Generation) -> Any:  # noqa: ANN401
    """Return a shared Int32Array: `Atomics.store(flag, 0, 1)`, in any thread of the page, is session.cancel().

    A worker takes no messages while its Python computes, so send the flag to the page first. The flag is 0 again when a
    call was cancelled. After the session is closed, do not write to it: 64 flags later another session has its place.
    LibraryError when the model is not on the threaded engine.
    """
    from .model.generation import Generation
    from .tab.js_library import JsLibrary

    session = of._run.session if isinstance(of, Generation) else of
    library = session._library
    if not isinstance(library, JsLibrary):
        raise LibraryError(
            f"the {library.engine} core shares no memory with the page: stop an `async for`, or terminate the worker"
        )
    with session._handle as address:
        return library.int_at(library.call("gemel_engine_flag", address))


def _kept_code() -> ModuleType:
    if not _in_tab():
        raise LibraryError("this is not a browser: Python keeps what it compiles in __pycache__")
    from .tab import kept_code

    return kept_code


def _in_tab() -> bool:
    return sys.platform == "emscripten"


def _refusal() -> str:
    if not _in_tab():
        return "this is not a browser"
    from .tab import engine

    return engine.threads_refusal()
