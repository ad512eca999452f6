"""MODEL becomes a Model in a tab: addresses through the download worker, a File in slices, an array whole.

Files in Python's own file system are read as on a desktop. The synchronous calls wait for the asynchronous ones where
the browser lets Python wait (JSPI); in a worker without JSPI they use the browser's synchronous calls.
"""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..core.checks import callback, flag, shown
from ..core.cpu import asked_threads, pick_isa, pick_threads
from ..core.errors import FormatError, SourceError, UnsupportedError
from ..source import cached
from ..source.catalog import CATALOG, part_names, url_of
from ..source.hub_address import hub_address
from ..source.pieces import LocalPieces, PieceSource
from ..source.progress import Progress
from ..source.sources import Source, is_address, named, not_empty, resolve
from . import features
from .blobs import ArraySource, BlobPieces, BlobSource, is_array, is_blob, name_of
from .fetch import ChangedError, FetchedPieces, File
from .waiting import can_wait, wait_for

if TYPE_CHECKING:
    from ..model.core_model import PROMPT
    from ..model.header import Gguf
    from ..model.model import Model
    from ..model.overrides import Overrides
    from .xhr import XhrSource

CHANGES = 3         # versions of a remote file that one load may meet
UNREACHABLE = (     # how a text begins that is no path and no address for a tab, and what to do
    ("blob:", "a tab does not load from blob: addresses: pass the Blob or File itself"),
    (r"file:|[a-z]:[\\/]|\\\\", "a tab can't read this machine's files: pass a File that the user chose"),
    (
        "(data|javascript|about|mailto|urn|filesystem|view-source|content):",
        "{scheme}: is not supported; use https:, http:, hf:, or a File, a Blob or an array of bytes",
    ),
)
# What reads the file, and then answers, in an order in which each imports little: Python compiles all of it.
READERS = (
    "core.slots", "text.ids", "model.gguf", "model.kv", "model.overrides", "model.sampling", "model.grammar",
    "model.call_options", "model.core_model", "model.core_session", "model.sampler", "model.turn", "model.answer",
    "model.stages", "model.generation", "model.session", "model.model", "model.loader", "model.opening", "dialect.rows",
)  # fmt: skip
_models_url: str | None = None
_uncached: WeakKeyDictionary[Model, str] = WeakKeyDictionary()   # why the downloads of models are not cached


def set_models_url(models_url: str | None) -> None:
    """Fetch short names from `<models_url>/<file>` from now on."""
    global _models_url
    _models_url = models_url.rstrip("/") if models_url is not None else None


def why_uncached(model: Model) -> str | None:
    """See gemel.browser.why_uncached."""
    return _uncached.get(model)


# ---- Opening ---------------------------------------------------------------------------------------------------------


async def open_in_tab_async(
    model: Any,  # noqa: ANN401
    *,
    threads: int | None,
    isa: str | None,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    cache: bool,
    overrides: Overrides | None,
    replaces: Model | None = None,
) -> Model:
    """See gemel.open_async and gemel.browser.replace."""
    flag("cache", cache)
    callback("on_progress", on_progress)
    asked_threads(threads)   # it checks
    given: Overrides = {}
    if overrides is not None:
        from ..model.overrides import check_overrides

        given = check_overrides(overrides)
    ready = asyncio.ensure_future(_get_ready(threads, size_of(model), keep=cache))
    try:
        return await _open(
            model, ready, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache,
            overrides=given, replaces=replaces,
        )  # fmt: skip
    finally:
        ready.cancel()   # after an error of the first bytes, nobody waits for it


async def _open(
    model: Any,  # noqa: ANN401
    ready: asyncio.Future[None],
    *,
    threads: int | None,
    isa: str | None,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    cache: bool,
    overrides: Overrides,
    replaces: Model | None,
) -> Model:
    """Open it, again if it changes meanwhile. ready: done when what reads it is imported."""
    for _ in range(CHANGES):
        pieces = await pieces_of(model, cache=cache, on_progress=on_progress)
        try:
            await ready
            from ..model.opening import load_model
            from .choice import load_async

            library = await load_async(sum(pieces.sizes), threads)
            n_threads, number = pick_threads(threads, library), pick_isa(library, isa)
            opened = await load_model(
                library, pieces, n_threads, number, on_progress=on_progress, prompt=prompt, overrides=overrides,
                replaces=replaces,
            )  # fmt: skip
            if isinstance(pieces, FetchedPieces) and pieces.why_uncached:
                _uncached[opened] = pieces.why_uncached
            return opened
        except ChangedError:
            continue
        except (FormatError, UnsupportedError) as error:
            if not (cache and is_url(model)):
                raise
            from ..source.removal import advice

            raise type(error)(f"{error}; {advice(pieces.name)}") from error
        finally:
            pieces.close()
    raise SourceError(f"{named(model)} changed while it was downloaded, {CHANGES} times: try again later")


async def _get_ready(threads: int | None, size: int | None, *, keep: bool) -> None:
    """Start the engine and import what reads a model, while its first bytes are fetched. keep: what was compiled."""
    from . import engine

    engine.start_early(threads, size)
    for name in READERS:
        await asyncio.sleep(0)   # workers start, and messages arrive, only between Python's steps
        import_module(f"gemel.{name}")
    if keep:
        from . import kept_code

        await kept_code.keep()


def open_in_tab(
    model: Any,  # noqa: ANN401
    *,
    threads: int | None,
    isa: str | None,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    cache: bool,
    overrides: Overrides | None,
) -> Model:
    """See gemel.open."""
    if can_wait():
        return wait_for(
            open_in_tab_async(
                model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache,
                overrides=overrides,
            )
        )   # fmt: skip
    flag("cache", cache)
    callback("on_progress", on_progress)
    from ..model.loader import at_once
    from ..model.opening import load_model
    from ..model.overrides import check_overrides
    from .choice import load

    given = check_overrides(overrides)
    pieces = LocalPieces(source_now(model, "await gemel.open_async(...)", keep=cache), yields=False)
    try:
        library = load()
        n_threads, number = pick_threads(threads, library), pick_isa(library, isa)
        return at_once(
            load_model(library, pieces, n_threads, number, on_progress=on_progress, prompt=prompt, overrides=given)
        )
    finally:
        pieces.close()


def inspect_in_tab(model: Any, *, on_progress: Progress | None) -> Gguf:  # noqa: ANN401
    """See gemel.inspect."""
    if can_wait():
        return wait_for(_inspect(model, on_progress))
    from ..model.loader import at_once, read_gguf
    from .choice import load

    source = source_now(model, "run it by pyodide.runPythonAsync, in a browser with JSPI", keep=False)
    pieces = LocalPieces(source, yields=False)
    try:
        return at_once(read_gguf(load(), pieces))
    finally:
        pieces.close()


async def _inspect(model: Any, on_progress: Progress | None) -> Gguf:  # noqa: ANN401
    from ..model.loader import read_gguf
    from .choice import load

    pieces = await pieces_of(model, cache=False, on_progress=on_progress)
    try:
        return await read_gguf(load(), pieces)
    finally:
        pieces.close()


# ---- What MODEL is ---------------------------------------------------------------------------------------------------


async def pieces_of(model: Any, *, cache: bool, on_progress: Progress | None) -> PieceSource:  # noqa: ANN401
    """Return where the pieces of MODEL come from."""
    check_reachable(model)
    if is_url(model):
        name = model
        if hub_address(name) is not None:
            from .hub_file import full_name

            name = await full_name(name, cache=cache)
        files = files_of(name)
        try:
            return not_empty(await FetchedPieces.open(files, cache=cache, on_progress=on_progress))
        except SourceError as error:
            if _models_url is None or model not in CATALOG:
                raise
            raise SourceError(f"{error}; its folder is models_url (in JavaScript, models)") from error
    if is_blob(model):
        return not_empty(BlobPieces(model))
    return LocalPieces(local_source(model), yields=True)


def source_now(model: Any, advice: str, *, keep: bool) -> Source:  # noqa: ANN401
    """Return the bytes of MODEL for code that can't wait for a promise. keep: a download should be cached."""
    check_reachable(model)
    if not is_url(model) and not is_blob(model):
        return local_source(model)
    if not features.in_worker():
        raise SourceError(
            f"{name_of(model)}: synchronous code on a page's main thread can't wait for bytes in this browser: {advice}"
        )
    if is_blob(model):
        return not_empty(BlobSource(model))
    from .hub_file import full_name_now

    return not_empty(_requested(files_of(full_name_now(model)), keep=keep))


def _requested(files: Sequence[File], *, keep: bool) -> XhrSource:
    from .xhr import XhrSource

    name = files[0].name
    lacks = ["is not kept"] * keep + ["is not checked against its SHA-256"] * (files[0].tree is not None)
    if lacks:
        warnings.warn(
            f"{name} {' and '.join(lacks)}: synchronous code in this browser can't do that; await gemel.open_async",
            RuntimeWarning,
            stacklevel=2,
        )
    return XhrSource(name, [file.url for file in files], files[0].size)


def local_source(model: Any) -> Source:  # noqa: ANN401
    """Return a path's, file's or array's bytes."""
    return not_empty(ArraySource(model)) if is_array(model) else resolve(model)


def check_reachable(model: object) -> None:
    """Refuse a text that names something outside the tab, unless it is a file of Python's own file system."""
    if not isinstance(model, str):
        return
    for begins, what in UNREACHABLE:
        if re.match(begins, model, re.IGNORECASE) and not os.path.lexists(model):
            raise SourceError(f"{shown(model)}: {what.format(scheme=model.partition(':')[0])}")


def is_url(model: object) -> bool:
    return isinstance(model, str) and is_address(named(model))


def size_of(model: Any) -> int | None:  # noqa: ANN401
    """Return the bytes of a model where they are known without a request."""
    if is_blob(model):
        return int(model.size)
    if is_array(model):
        return int(model.byteLength)
    if isinstance(model, bytes | bytearray | memoryview):
        return memoryview(model).nbytes
    return CATALOG[model].size if isinstance(model, str) and model in CATALOG else None


def files_of(name: str) -> list[File]:
    """Return what to fetch for a short name or address: every part of a split model."""
    import js  # type: ignore[import-not-found]

    known = CATALOG.get(name)
    first = address_of(name)
    base = js.location.href if hasattr(js, "location") else None
    urls = [str(js.URL.new(url, base).href) if base else url for url in part_names(first)]
    if known is not None and len(urls) == 1:
        return [File(urls[0], key_of(urls[0]), name, known.size, known.tree_sha256)]
    return [File(url, key_of(url), name) for url in urls]


def key_of(url: str) -> str:
    """Return the name of a URL's folder in the cache."""
    return cached.entry_folder(url).name


def address_of(name: str) -> str:
    """Return the URL of a short name or address."""
    known = CATALOG.get(name)
    if known is None:
        return url_of(name)
    if _models_url is not None:
        return f"{_models_url}/{known.file}"
    if known.url is None:
        raise SourceError(
            f"{name} is inside a Python package, which a tab can't fetch: serve {known.file} with the page and pass "
            "its folder (gemel.browser.configure(models_url=...); in JavaScript, new Gemel({models: ...}) or the "
            "attribute models of <gemel-chat>), or pass a URL, or a File that the user chose"
        )
    return url_of(known.url)
