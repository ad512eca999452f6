"""MODEL becomes a Model: `open`, `open_async` and `inspect` are the same loop over the same loader.

A tab has other ways to get at bytes (_web.py); what happens to them is the same.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from ._ahead import PROMPT, Ahead
from ._cpu import pick_isa, pick_threads
from ._errors import CancelledError
from ._gguf import Gguf
from ._library import Library, load
from ._loading import Arrivals, Loading, at_once, read_gguf, read_headers, read_tensors
from ._memory import Plan, available, plan_of
from ._model import Model
from ._overrides import Overrides, checked
from ._session import KvType
from ._source import MODEL, LocalArrivals, Progress, Source, resolve


def open(
    model: MODEL,
    *,
    threads: int | None = None,
    isa: str | None = None,
    on_progress: Progress | None = None,
    prompt: PROMPT | None = None,
    cache: bool = True,
    overrides: Overrides | None = None,
) -> Model:
    """Load a GGUF model.

    model: a path, a URL, "hf:owner/repo/file.gguf", a short name (gemel.NAMES), bytes, or an open binary file; in a tab
    a File, Blob, Uint8Array or ArrayBuffer of JavaScript's as well. Any part of a split model's files means all.
    threads: 1..256; default GEMEL_THREADS, or the physical cores this process may use.
    isa: the kernels' row (gemel.isas()); default GEMEL_ISA, or the best of this CPU.
    Neither threads nor isa changes a bit of any result.
    on_progress(stage, done, total): "download" or "load", in bytes (total is 0 when it is not known), or "prefill", in
    layers. What it raises ends the loading.
    prompt: a text, ids or messages, evaluated layer by layer while the model loads; a generation that begins with it
    goes on from there. The bits are the same.
    cache=False: don't keep what is downloaded.
    overrides: values of metadata keys in place of the file's, {"llama.rope.freq_base": 5e5}, checked as those are. A
    key that begins with a dot gets the architecture's name before it. What nothing reads is an ArgumentError.

    SourceError when the bytes can't be had, FormatError when they are malformed, UnsupportedError when they are not
    computed here.
    """
    if sys.platform == "emscripten":
        from ._web import open_in_tab

        return open_in_tab(
            model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache, overrides=overrides
        )
    library, given = load(), checked(overrides)
    n_threads, row = pick_threads(threads, library), pick_isa(library, isa)
    arrivals = LocalArrivals(resolve(model, cache=cache, on_progress=on_progress), turns=False)
    loading = load_model(library, arrivals, n_threads, row, on_progress=on_progress, prompt=prompt, overrides=given)
    return at_once(loading)


async def open_async(
    model: MODEL,
    *,
    threads: int | None = None,
    isa: str | None = None,
    on_progress: Progress | None = None,
    prompt: PROMPT | None = None,
    cache: bool = True,
    overrides: Overrides | None = None,
) -> Model:
    """As open, giving the event loop a turn after each piece; a download runs in a thread where there are threads.

    Cancelling the task ends the loading and frees what it held.
    """
    if sys.platform == "emscripten":
        from ._web import open_in_tab_async

        return await open_in_tab_async(
            model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache, overrides=overrides
        )
    library, given = load(), checked(overrides)
    n_threads, row = pick_threads(threads, library), pick_isa(library, isa)
    arrivals = LocalArrivals(await resolve_in_thread(model, cache=cache, on_progress=on_progress), turns=True)
    return await load_model(
        library, arrivals, n_threads, row, on_progress=on_progress, prompt=prompt, overrides=given
    )


async def load_model(
    library: Library,
    arrivals: Arrivals,
    threads: int,
    isa: int | None,
    *,
    on_progress: Progress | None,
    prompt: PROMPT | None,
    overrides: Overrides | None = None,
) -> Model:
    """Load what arrives; close `arrivals`, and on an error everything else. overrides: what `checked` returned."""
    loading = model = ahead = None
    try:
        loading = Loading(library, arrivals.name, arrivals.sizes)
        early = await read_headers(loading, arrivals)
        given = loading.override(overrides or {})
        refuse_too_large(loading, threads)
        arrivals.order(loading.begin(threads, isa), final=True)
        if prompt is not None:
            model = Model(library, loading.model(), arrivals.name, given)
            ahead = Ahead(model, prompt, on_progress)
        await read_tensors(loading, arrivals, early, on_progress, ahead.step if ahead else None)
        if model is None or ahead is None:
            model = Model(library, loading.finish(), arrivals.name, given)
        else:
            loading.finish()
            while ahead.finish():
                await arrivals.turn()
            model._keep_ahead(ahead.session)
            model._read_facts()
        await arrivals.end()
        return model
    except BaseException:
        if model is not None:
            model.close()
        raise
    finally:
        if loading is not None:
            loading.close()
        arrivals.close()


def refuse_too_large(loading: Loading, threads: int) -> None:
    """Raise OutOfMemoryError before weights are read that this machine's memory can't hold."""
    memory = available()
    if memory is not None:
        with loading.loader as loader:
            plan_of(loading.library, loader, loading.name, n_ctx=1, threads=threads).check(memory)


async def resolve_in_thread(model: MODEL, *, cache: bool, on_progress: Progress | None) -> Source:
    """As resolve, in a thread of its own, which a cancellation ends."""
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


def inspect(model: MODEL, *, on_progress: Progress | None = None) -> Gguf:
    """Read a file's header only: version, metadata, tensor table. Any architecture; no weights are loaded."""
    if sys.platform == "emscripten":
        from ._web import inspect_in_tab

        return inspect_in_tab(model, on_progress=on_progress)
    source = resolve(model, on_progress=on_progress)
    try:
        return at_once(read_gguf(load(), LocalArrivals(source, turns=False)))
    finally:
        source.close()


def plan(
    model: MODEL,
    *,
    n_ctx: int,
    kv_type: KvType | None = None,
    threads: int | None = None,
    memory: int | None = None,
    on_progress: Progress | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """Return the memory that a model and a session of `n_ctx` positions will need, before its weights are read.

    memory: so many bytes are there; where they are too few, OutOfMemoryError says both numbers and what would fit.
    overrides: as for open.
    """
    given = checked(overrides)
    with inspect(model, on_progress=on_progress) as header:
        n_threads = pick_threads(threads, load())
        found = header.plan(n_ctx=n_ctx, kv_type=kv_type, threads=n_threads, overrides=given)
    if memory is not None:
        found.check(memory)
    return found
