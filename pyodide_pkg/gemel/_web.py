"""How MODEL becomes bytes in a tab: addresses through the download worker, a browser's File in slices, arrays at once.

What Python's own file system holds is read as on a desktop. The synchronous calls wait for the asynchronous ones where
the browser lets Python wait (JSPI); in a worker without that they use the browser's synchronous calls.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from . import _engine, _features, cache
from ._ahead import PROMPT
from ._arrival import Data
from ._cpu import pick_isa, pick_threads
from ._errors import FormatError, SourceError
from ._fetch import ChangedError, Fetched, File
from ._gguf import Gguf
from ._library import load, load_async
from ._loading import Arrivals, at_once, read_gguf
from ._model import Model
from ._names import NAMES, part_names, url_of
from ._overrides import Overrides, checked
from ._plan import Span, pieces
from ._source import LocalArrivals, Progress, Source, is_address, named, not_empty, resolve
from ._xhr import XhrSource

T = TypeVar("T")
SLICE = 1 << 22     # bytes of a File a time
CHANGES = 3         # versions of a remote file that may be met in one load
_models_url: str | None = None


def set_models_url(models_url: str | None) -> None:
    """Fetch short names from `<models_url>/<file>` from now on."""
    global _models_url
    _models_url = models_url.rstrip("/") if models_url is not None else None


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
) -> Model:
    """See gemel.open_async."""
    from ._open import load_model

    given = checked(overrides)
    _engine.start_early(threads, size_of(model))
    for _ in range(CHANGES):
        arrivals = await arrivals_of(model, cache=cache, on_progress=on_progress)
        try:
            library = await load_async(sum(arrivals.sizes), threads)
            n_threads, row = pick_threads(threads, library), pick_isa(library, isa)
            return await load_model(
                library, arrivals, n_threads, row, on_progress=on_progress, prompt=prompt, overrides=given
            )
        except ChangedError:
            continue
        except FormatError as error:
            if not (cache and is_url(model)):
                raise
            advice = f"await gemel.cache.delete_async({model!r}) makes it be fetched anew"
            raise FormatError(f"{error}; if a wrong file was sent, {advice}") from error
        finally:
            arrivals.close()
    raise SourceError(f"{named(model)} changed while it was downloaded, {CHANGES} times: try again later")


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
    from ._open import load_model

    if can_wait():
        return wait_for(
            open_in_tab_async(
                model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache,
                overrides=overrides,
            )
        )   # fmt: skip
    given = checked(overrides)
    arrivals = LocalArrivals(source_now(model, "await gemel.open_async(...)", keep=cache), turns=False)
    try:
        library = load()
        n_threads, row = pick_threads(threads, library), pick_isa(library, isa)
        loading = load_model(library, arrivals, n_threads, row, on_progress=on_progress, prompt=prompt, overrides=given)
        return at_once(loading)
    finally:
        arrivals.close()


def inspect_in_tab(model: Any, *, on_progress: Progress | None) -> Gguf:  # noqa: ANN401
    """See gemel.inspect."""
    if can_wait():
        return wait_for(_inspect(model, on_progress))
    source = source_now(model, "run it by pyodide.runPythonAsync, in a browser with JSPI", keep=False)
    arrivals = LocalArrivals(source, turns=False)
    try:
        return at_once(read_gguf(load(), arrivals))
    finally:
        arrivals.close()


async def _inspect(model: Any, on_progress: Progress | None) -> Gguf:  # noqa: ANN401
    arrivals = await arrivals_of(model, cache=False, on_progress=on_progress)
    try:
        return await read_gguf(load(), arrivals)
    finally:
        arrivals.close()


def can_wait() -> bool:
    """Tell whether this very call may wait for a promise."""
    from pyodide.ffi import can_run_sync  # type: ignore[import-not-found]

    return bool(can_run_sync())


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine in synchronous code."""
    from pyodide.ffi import run_sync

    result: T = run_sync(coroutine)
    return result


# ---- What MODEL is ---------------------------------------------------------------------------------------------------


async def arrivals_of(model: Any, *, cache: bool, on_progress: Progress | None) -> Arrivals:  # noqa: ANN401
    """Return where the pieces of MODEL come from."""
    if is_url(model):
        return not_empty(await Fetched.open(files_of(model), cache=cache, on_progress=on_progress))
    if is_blob(model):
        return not_empty(BlobArrivals(model))
    return LocalArrivals(local_source(model), turns=True)


def source_now(model: Any, advice: str, *, keep: bool) -> Source:  # noqa: ANN401
    """Return the bytes of MODEL for code that can't wait for a promise. keep: the caller wants a download cached."""
    if not is_url(model) and not is_blob(model):
        return local_source(model)
    if not _features.in_worker():
        raise SourceError(
            f"{name_of(model)}: synchronous code on a page's main thread can't wait for bytes in this browser: {advice}"
        )
    if is_blob(model):
        return not_empty(BlobSource(model))
    return not_empty(_requested(files_of(model), keep=keep))


def _requested(files: Sequence[File], *, keep: bool) -> XhrSource:
    name = files[0].name
    lacks = ["is not kept"] * keep + ["is not compared with its SHA-256"] * (files[0].tree is not None)
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


def is_url(model: object) -> bool:
    return isinstance(model, str) and is_address(named(model))


def is_blob(model: object) -> bool:
    """Tell whether this is a File or Blob of JavaScript's."""
    return hasattr(model, "js_id") and hasattr(model, "arrayBuffer") and hasattr(model, "slice")


def is_array(model: object) -> bool:
    """Tell whether this is an ArrayBuffer, a typed array or a DataView of JavaScript's."""
    return hasattr(model, "js_id") and hasattr(model, "byteLength")


def size_of(model: Any) -> int | None:  # noqa: ANN401
    """Return the bytes of a model where that is known at once."""
    if is_blob(model):
        return int(model.size)
    if is_array(model):
        return int(model.byteLength)
    if isinstance(model, bytes | bytearray | memoryview):
        return memoryview(model).nbytes
    return NAMES[model].size if isinstance(model, str) and model in NAMES else None


def name_of(model: Any) -> str:  # noqa: ANN401
    return model if isinstance(model, str) else str(getattr(model, "name", None) or "<blob>")


def files_of(name: str) -> list[File]:
    """Return what to fetch for a short name or address: every part of a split model."""
    import js  # type: ignore[import-not-found]

    known = NAMES.get(name)
    first = address_of(name)
    base = js.location.href if hasattr(js, "location") else None
    urls = [str(js.URL.new(url, base).href) if base else url for url in part_names(first)]
    if known is not None and len(urls) == 1:
        return [File(urls[0], key_of(urls[0]), name, known.size, known.tree_sha256)]
    return [File(url, key_of(url), name) for url in urls]


def key_of(url: str) -> str:
    """Return the name of a URL's folder in the cache."""
    return cache.entry_folder(url).name


def address_of(name: str) -> str:
    """Return the URL of a short name or address."""
    known = NAMES.get(name)
    if known is None:
        return url_of(name)
    if _models_url is not None:
        return f"{_models_url}/{known.file}"
    if known.url is None:
        raise SourceError(
            f"{name} comes inside a Python package, which a tab can't fetch: serve {known.file} with the page and name "
            "its folder (gemel.browser.configure(models_url=...)), or give its URL, or a File that the user chose"
        )
    return url_of(known.url)


# ---- Files, arrays, synchronous requests -----------------------------------------------------------------------------


class ArraySource:
    """A gemel._source.Source of bytes that JavaScript holds."""

    def __init__(self, array: Any) -> None:  # noqa: ANN401
        import js

        self.name = "<array>"
        whole = not hasattr(array, "buffer")   # an ArrayBuffer itself
        new = js.Uint8Array.new
        self._bytes = new(array) if whole else new(array.buffer, array.byteOffset, array.byteLength)
        self.size = int(self._bytes.byteLength)
        self.sizes: tuple[int, ...] = (self.size,)

    def read(self, offset: int, size: int) -> Data:
        return self._bytes.subarray(offset, offset + size)

    def close(self) -> None:
        self._bytes = None


class BlobArrivals:
    """A gemel._loading.Arrivals of a File or Blob; the slice after the next is read meanwhile."""

    repeats = True
    ready = False

    def __init__(self, blob: Any) -> None:  # noqa: ANN401
        self.name = name_of(blob)
        self.sizes: tuple[int, ...] = (int(blob.size),)
        self._blob = blob
        self._coming: tuple[int, Any] | None = None
        self.order([(0, self.sizes[0])], final=False)

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        self._pieces: Iterator[Span] = pieces(spans, SLICE)
        self._coming = None

    async def next(self) -> tuple[int, Data]:
        import js

        start, promise = self._coming or self._begin(next(self._pieces))
        following = next(self._pieces, None)
        self._coming = self._begin(following) if following else None
        try:
            return start, js.Uint8Array.new(await promise)
        except Exception as error:   # the browser's, when the file was changed or deleted
            raise _unreadable(self.name, start, error) from error

    def _begin(self, span: Span) -> tuple[int, Any]:
        return span[0], self._blob.slice(*span).arrayBuffer()

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def end(self) -> None:
        pass

    def close(self) -> None:
        self._blob = self._coming = None


class BlobSource:
    """A gemel._source.Source of a File or Blob, in a worker."""

    def __init__(self, blob: Any) -> None:  # noqa: ANN401
        import js

        self.name = name_of(blob)
        self.size = int(blob.size)
        self.sizes: tuple[int, ...] = (self.size,)
        self._blob = blob
        self._reader = js.FileReaderSync.new()

    def read(self, offset: int, size: int) -> Data:
        import js

        try:
            return js.Uint8Array.new(self._reader.readAsArrayBuffer(self._blob.slice(offset, offset + size)))
        except Exception as error:
            raise _unreadable(self.name, offset, error) from error

    def close(self) -> None:
        self._blob = None


def _unreadable(name: str, offset: int, error: Exception) -> SourceError:
    return SourceError(f"{name}: reading at offset {offset} failed: {error}; choose the file anew")
