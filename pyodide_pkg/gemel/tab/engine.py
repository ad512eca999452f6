"""The threaded engine of a tab: whether a model gets it, why, and how it starts. js_library.py calls it.

It is one WebAssembly module on shared memory, instantiated in this worker and in every compute worker
(engine/worker.js). Compute workers wait in the core until a model's pool takes them. All are started from here, with
the page's own objects; no script text is evaluated, since a page may forbid that.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ..core import pool
from ..core.cpu import asked_threads
from ..core.errors import LibraryError, OutOfMemoryError, ThreadError
from ..core.library import check_abi
from . import assets, features
from .js_library import JsLibrary

WORKER = "worker.js"
PAGE = 1 << 16
INITIAL_PAGES = 64            # as in the modules' own import (cmake/engine.cmake)
MAX_PAGES = {"threads": (65536, 49152, 32768, 16384, 8192), "threads64": (262144, 196608, 131072, 98304)}
WIDE_SIZE = 3 << 30           # a larger file needs 64-bit addresses: weights, KV cache and buffers exceed 4 GB
NARROW_SIZE = 4_000_000_000   # the largest file that may fit 32-bit addresses at all
ROOMY_SIZE = 1 << 30          # a larger file stays out of Pyodide's own heap, even when one thread is asked for

_engines: dict[str, JsLibrary] = {}
_starting = asyncio.Lock()
_early: set[asyncio.Future[None]] = set()   # keeps tasks from being collected while they run
_untaken: set[JsLibrary] = set()            # started early, and not used yet


def running() -> JsLibrary | None:
    """Return the threaded engine that runs and works, or None."""
    for name in MAX_PAGES:
        library = _engines.get(name)
        if library is not None and not library.failure:
            _untaken.discard(library)   # the caller may use it
            return library
    return None


def threads_refusal() -> str:
    """Return why this page or host has no threaded engine, one sentence; "" when it has one."""
    if os.environ.get("GEMEL_LIBRARY"):
        return "GEMEL_LIBRARY names the core to use"
    if not features.has_workers():
        return "this host has no web workers, so there is one thread"
    if not features.is_isolated():
        return (
            "the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy: same-origin and "
            "Cross-Origin-Embedder-Policy: require-corp), so there is one thread"
        )
    if not features.shares_memory():
        return "this browser has no SharedArrayBuffer, though the page is cross-origin isolated, so there is one thread"
    if not features.in_worker():
        return "Python runs on the page's main thread, which must not wait for others: run Pyodide in a web worker"
    if not assets.has(_file("threads")):
        return "this installation has no threaded engine"
    return ""


def memory_sizes() -> list[int]:
    """Return the bytes of each engine's memory."""
    return [int(library.memory.buffer.byteLength) for library in _engines.values()]


async def choose(size: int, threads: int | None) -> tuple[JsLibrary | None, str]:
    """Start the threaded engine for a model of `size` bytes; return it and why, or None and why not."""
    asked = asked_threads(threads)
    refusal = threads_refusal()
    if not refusal and asked == 1 and size <= ROOMY_SIZE and running() is None:
        refusal = "one thread was asked for, and the side module needs no workers for that"
    if refusal:
        if size > NARROW_SIZE:
            raise OutOfMemoryError(
                f"a model of {size / 1e9:.1f} GB does not fit this tab's 4 GB of memory, and {refusal}"
            )
        return None, refusal
    library = await start(_name_for(size), asked)
    return library, library.why


def start_early(threads: int | None, size: int | None) -> None:
    """Start the engine that a model will get while its first bytes are downloaded. size: None where it is unknown.

    Errors are not reported here: `choose` meets them again, and ends this engine where the model needs the other.
    """
    asked = asked_threads(threads)
    if asked == 1 or threads_refusal() or any(not library.failure for library in _engines.values()):
        return
    try:
        name = "threads" if size is None else _name_for(size)
    except OutOfMemoryError:
        return
    task = asyncio.ensure_future(_start_early(name, asked))
    _early.add(task)
    task.add_done_callback(_ended_early)


async def _start_early(name: str, threads: int | None) -> None:
    async with _starting:
        if all(library.failure for library in _engines.values()):   # none was started meanwhile
            _untaken.add(await _grown(name, threads))


def _ended_early(task: asyncio.Future[None]) -> None:
    _early.discard(task)
    if not task.cancelled():
        task.exception()   # retrieved, so that the event loop does not report it


async def start(name: str, threads: int | None) -> JsLibrary:
    """Start an engine, or give the running one workers for `threads` threads (None: its default)."""
    async with _starting:
        for other in [one for one in _untaken if one.engine != name]:
            _end(other)
        library = await _grown(name, threads)
        _untaken.discard(library)
    return library


async def _grown(name: str, threads: int | None) -> JsLibrary:
    wanted = features.default_threads() if threads is None else threads
    library = _engines.get(name)
    workers: list[_Worker] = []
    try:
        if library is None or library.failure:
            workers = [_Worker() for _ in range(wanted - 1)]   # they start while the module is compiled
            await asyncio.sleep(0)
            library = _engines[name] = await _boot(name)
        await _hire(library, wanted - 1, workers)
    finally:
        for worker in workers:   # what was not hired, after an error
            worker.end()
    return library


def _end(library: JsLibrary) -> None:
    """End an engine that nothing has used: stop its workers and free its memory."""
    _untaken.discard(library)
    del _engines[library.engine]
    library.failure = "this engine was started early, and ended because a model needs the other one"
    for worker in library.workers:
        worker.terminate()


def _name_for(size: int) -> str:
    return "threads64" if _is_wide(size) else "threads"


def _is_wide(size: int) -> bool:
    if size <= WIDE_SIZE:
        return False
    if size > MAX_PAGES["threads64"][0] * PAGE:
        raise OutOfMemoryError(f"a model of {size / 1e9:.1f} GB does not fit a tab, which has 16 GB at most")
    if features.has_memory64() and assets.has(_file("threads64")):
        return True
    if size > NARROW_SIZE:
        raise OutOfMemoryError(
            f"a model of {size / 1e9:.1f} GB needs more than 4 GB of memory, which this browser's WebAssembly does not "
            "support (memory64): use a smaller file, another browser, or gemel on a desktop"
        )
    return False


def _file(name: str) -> str:
    return "gemel_threads64_relaxed.wasm" if name == "threads64" else f"gemel_threads_{features.flavour()}.wasm"


def new_memory(name: str) -> Any:  # noqa: ANN401
    """Return shared memory that may grow as far as the browser allows."""
    import js  # type: ignore[import-not-found]
    from pyodide.ffi import JsBigInt, JsException, to_js  # type: ignore[import-not-found]

    count = JsBigInt if name == "threads64" else int
    refusal = ""
    for pages in MAX_PAGES[name]:
        limits = {"initial": count(INITIAL_PAGES), "maximum": count(pages), "shared": True}
        if name == "threads64":
            limits["address"] = "i64"
        try:
            return js.WebAssembly.Memory.new(to_js(limits, dict_converter=js.Object.fromEntries))
        except JsException as error:
            refusal = str(error)
    raise OutOfMemoryError(
        f"the browser refuses shared memory ({refusal}): close other tabs, or open with threads=1, which needs none"
    )


async def _boot(name: str) -> JsLibrary:
    """Compile the module and instantiate it here, without workers."""
    import js
    from pyodide.ffi import JsException, to_js

    file = _file(name)
    memory = new_memory(name)
    try:
        module = await js.WebAssembly.compile(to_js(assets.data(file)))
        now = js.performance.now.bind(js.performance)
        imports = to_js({"env": {"memory": memory, "now": now}}, dict_converter=js.Object.fromEntries)
        instance = await js.WebAssembly.instantiate(module, imports)
    except JsException as error:
        raise LibraryError(f"gemel's threaded engine {file} can't be started: {error}") from error
    wide = "; 64-bit addresses, for models over 4 GB" if name == "threads64" else ""
    why = f"the page is cross-origin isolated and Python runs in a worker{wide}"
    library = JsLibrary(file, name, why, memory=memory, module=module, exports=instance.exports)
    library.engine_call("gemel_engine_cpus", int(js.navigator.hardwareConcurrency or 1))
    check_abi(library)
    return library


class _Worker:
    """A web worker that starts, and what it will say first."""

    def __init__(self) -> None:
        self.worker = assets.start_worker(WORKER)
        self.answer = assets.first_message(self.worker, WORKER)

    def end(self) -> None:
        self.answer.cancel()
        if self.answer.done() and not self.answer.cancelled():
            self.answer.exception()   # retrieved, so that the event loop does not report it
        self.worker.terminate()


async def _hire(library: JsLibrary, wanted: int, started: list[_Worker]) -> None:
    """Start workers until those in the pool and those that wait are `wanted`. started: those to take first."""
    missing = wanted - library.call("gemel_engine_parked") - (pool.count(library) - 1)
    if missing <= 0:
        return
    workers = [started.pop() if started else None for _ in range(missing)]
    done = await asyncio.gather(*(_hire_one(library, worker) for worker in workers), return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result


async def _hire_one(library: JsLibrary, started: _Worker | None) -> None:
    import js
    from pyodide.ffi import to_js

    seat = library.call("gemel_engine_seat")
    if seat < 0:
        if started is not None:
            started.end()
        raise ThreadError(f"there is no room for more than {len(library.workers)} workers: use fewer threads")
    worker = started
    try:
        if worker is None:
            worker = _Worker()
        stack = library.number(library.call("gemel_engine_stack", seat))
        parts = {"module": library.module, "memory": library.memory, "seat": seat, "stack": stack}
        worker.worker.postMessage(to_js(parts, dict_converter=js.Object.fromEntries))
        answer = await worker.answer
        if answer != "parked":
            raise ThreadError(f"a worker of the threaded engine could not start: {answer}")
    except BaseException:
        if worker is not None:
            worker.end()
        library.engine_call("gemel_engine_unseat", seat)
        raise
    library.workers.append(worker.worker)
