"""Messages of the download worker (engine/fetch/) become pieces of a model; in node without a worker or a cache.

The worker does ranges, retries, the cache and its hashes. Python tells it how far it has read, so that only a few
pieces wait.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from ..core.errors import SourceError
from ..source.layer_order import Span, block_size, blocks
from ..source.not_gguf import what_instead
from ..source.piece_order import Data
from ..source.progress import Progress
from . import assets, features

SCRIPT = "fetch.js"
ACK = 1 << 21   # bytes read between two messages to the worker; a quarter of what it lets wait (its IN_FLIGHT)


class ChangedError(Exception):
    """The remote file has changed: start over."""


@dataclass(frozen=True)
class File:
    """One file to fetch."""

    url: str                  # absolute
    key: str                  # its folder in the cache
    name: str                 # what the user asked for
    size: int | None = None   # what is known of the file
    tree: str | None = None


class FetchedPieces:
    """A PieceSource of the download worker. Made by FetchedPieces.open."""

    repeats = False

    def __init__(self, name: str, on_progress: Progress | None) -> None:
        from pyodide.ffi import create_proxy  # type: ignore[import-not-found]

        self.name = name
        self._where = name   # in errors: with the address that a short name means
        self.sizes: tuple[int, ...] = ()
        self.why_uncached = ""   # a sentence; "": it is cached, or should not be
        self._starts: list[int] = []
        self._on_progress = on_progress
        self._queue: deque[tuple[int, Data]] = deque()
        self._error: Exception | None = None
        self._ended = False
        self._used = 0          # bytes returned since the last message to the worker
        self._spent: list[Any] = []   # their memory, which the worker reuses
        self._come, self._told = 0, -1
        self._quiet = False     # everything is cached: nothing is downloaded
        self._wake: asyncio.Future[None] | None = None
        self._worker = assets.start_worker(SCRIPT) if features.has_workers() else _in_thread()
        self._listeners = {"message": create_proxy(self._on_message), "error": create_proxy(self._on_failure)}
        for kind, listener in self._listeners.items():
            self._worker.addEventListener(kind, listener)

    @classmethod
    async def open(cls, files: Sequence[File], *, cache: bool, on_progress: Progress | None) -> FetchedPieces:
        """Start the worker and wait until sizes are known; by then it downloads the first file's start."""
        fetched = cls(files[0].name, on_progress)
        if ":" not in files[0].name:   # a short name
            fetched._where = f"{files[0].name} ({files[0].url})"
        try:
            fetched._say(type="open", files=[asdict(file) for file in files], cache=cache)
            while not fetched.sizes:
                await fetched._wait()
            if files[0].tree is not None and not _has_sha256():
                warnings.warn(
                    f"{fetched.name} is not checked against its SHA-256: the page is not a secure context (https: or "
                    "localhost, and no sandboxed frame)",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return fetched
        except BaseException:
            fetched.close()
            raise

    @property
    def ready(self) -> bool:
        return bool(self._queue)

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        pairs = blocks(spans, self.sizes, rest=final)
        self._say(type="order", blocks=[number for pair in pairs for number in pair], final=final)

    async def next(self) -> tuple[int, Data]:
        if self._used >= ACK:
            self._acknowledge()
        self._report()
        while not self._queue:
            await self._wait()
            self._report()
        offset, data = self._queue.popleft()
        self._used += data.byteLength
        self._spent.append(data.buffer)
        return offset, data

    async def yield_turn(self) -> None:
        await asyncio.sleep(0)

    async def end(self) -> None:
        while not self._ended:
            while self._queue:   # blocks that hold no tensor
                await self.next()
            self._acknowledge()
            await self._wait()

    def close(self) -> None:
        for kind, listener in self._listeners.items():
            self._worker.removeEventListener(kind, listener)
            listener.destroy()
        self._listeners.clear()
        self._queue.clear()
        if hasattr(self._worker, "terminate"):
            self._worker.terminate()   # which also releases its locks and files
        else:
            self._say(type="close")

    def _acknowledge(self) -> None:
        self._say(self._spent, type="ack", size=self._used, buffers=self._spent)
        self._used, self._spent = 0, []

    def _say(self, transfer: Sequence[Any] = (), **message: Any) -> None:  # noqa: ANN401
        import js  # type: ignore[import-not-found]
        from pyodide.ffi import to_js

        self._worker.postMessage(to_js(message, dict_converter=js.Object.fromEntries), to_js(list(transfer)))

    async def _wait(self) -> None:
        """Wait for the worker's next message; raise what went wrong."""
        if self._error is None:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self._error is not None:
            raise self._error

    def _report(self) -> None:
        if self._on_progress and not self._quiet and self._come > self._told:
            self._told = self._come
            self._on_progress("download", self._come, sum(self.sizes))

    def _on_message(self, event: Any) -> None:  # noqa: ANN401
        try:
            self._take(event.data)
        except Exception as error:   # such as a warning that the user turned into an error
            self._error = error
        self._rouse()

    def _take(self, message: Any) -> None:  # noqa: ANN401
        kind = message.type
        if kind == "block":
            part, data = message.file, message.data
            self._queue.append((self._starts[part] + message.block * block_size(self.sizes[part]), data))
            self._come = max(self._come, int(message.done))
        elif kind == "progress":
            self._come = max(self._come, int(message.done))
        elif kind == "opened":
            self.sizes = tuple(int(size) for size in message.sizes)
            self._starts = [0, *accumulate(self.sizes)]
            self._quiet = message.complete
            self._warn(message.note)
        elif kind == "done":
            self._ended = True
            self._warn(message.note)
        elif kind == "changed":
            self._error = ChangedError()
        elif kind == "refused":
            instead = what_instead(message.start.to_bytes(), message.url)
            self._error = SourceError(f"{message.url}: the server sent {instead}")
        else:
            self._error = SourceError(f"{self._where}: {message.text}")

    def _on_failure(self, event: Any) -> None:  # noqa: ANN401
        why = getattr(event, "message", None) or "the script could not be loaded"
        self._error = assets.refused(SCRIPT, why)
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _warn(self, why: str) -> None:
        if why:
            self.why_uncached = why
            warnings.warn(
                f"{self.name} is not kept: {why}; it is downloaded each time (pass cache=False if you mean that)",
                RuntimeWarning,
                stacklevel=2,
            )


def _has_sha256() -> bool:
    import js

    return getattr(js.crypto, "subtle", None) is not None


def _in_thread() -> Any:  # noqa: ANN401
    """Run the worker's script in this thread, where there are no workers; return its port, used like a worker."""
    import js
    from pyodide.code import run_js  # type: ignore[import-not-found]

    channel = js.MessageChannel.new()
    js.gemelPort = channel.port2
    try:
        run_js(assets.text(SCRIPT))
    finally:
        del js.gemelPort
    channel.port1.start()
    return channel.port1
