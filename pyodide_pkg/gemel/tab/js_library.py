"""The core through JavaScript: the exports of the threaded engine, on memory that its workers share.

Arguments and results follow the generated table. Addresses are numbers, or BigInt where the engine has 64-bit ones. The
core's memory is not Python's: bytes are copied in and out; a few bytes go through a small buffer that has a permanent
view, since making a view costs more than a call. Blocks are freed with their Python objects.
"""

from __future__ import annotations

from typing import Any, cast

from ..core import abi, pool
from ..core.errors import EngineError, OutOfMemoryError
from ..core.library import Argument, Buffer, JsBytes, Result
from . import features

# What the engine exports besides gemel.h.
OWN: dict[str, tuple[str, str]] = {
    "malloc": ("p", "z"),
    "calloc": ("p", "zz"),
    "memcpy": ("p", "ppz"),
    "free": ("v", "p"),
    "gemel_engine_cpus": ("v", "i"),
    "gemel_engine_patience": ("v", "d"),
    "gemel_engine_seat": ("i", ""),
    "gemel_engine_stack": ("p", "i"),
    "gemel_engine_unseat": ("v", "i"),
    "gemel_engine_parked": ("i", ""),
    "gemel_engine_fault": ("i", ""),
    "gemel_engine_flag": ("p", "p"),
}
FAULTS = {
    1: "a worker failed",
    2: "a worker does not answer: it may have been terminated",
    3: "a worker's stack overflowed",
}
STRING_PIECE = 64
SMALL = (16, 64, 512)   # bytes of the views of the small buffer


class JsBlock:
    """The engine's memory, freed with this object."""

    __slots__ = ("_library", "address", "size")

    def __init__(self, library: JsLibrary, address: int, size: int) -> None:
        self._library = library
        self.address = address
        self.size = size

    def __del__(self) -> None:
        self._library.engine_call("free", self.address)


class JsLibrary:
    """A Library."""

    def __init__(
        self,
        path: str,
        engine: str,
        why: str,
        *,
        memory: Any,  # noqa: ANN401
        module: Any,  # noqa: ANN401
        exports: Any,  # noqa: ANN401
    ) -> None:
        self.path = path
        self.engine = engine
        self.why = why
        self.memory = memory
        self.module = module
        self.workers: list[Any] = []
        self.failure = ""   # why it can no longer be used
        self.is_wide = engine == "threads64"
        self.size_size = 8 if self.is_wide else 4
        self._table = {**abi.FUNCTIONS, **OWN}
        self._functions = {
            name: (getattr(exports, name), result, self._wide_places(codes))
            for name, (result, codes) in self._table.items()
        }
        self._trap, self._big = foreign_types()
        self._view_size = 0
        self._subarray: Any = None
        self._set: Any = None
        self._small = self._reserve("malloc", SMALL[-1])
        self._small_views = [(size, self._view_of(self._small.address, size)) for size in SMALL]

    @property
    def default_threads(self) -> int:
        """As many as the browser has CPUs, but no more than there are workers: none can be started here."""
        if self.failure:
            return 1
        parked = self.call("gemel_engine_parked")
        return int(max(1, min(features.default_threads(), parked + pool.count(self))))

    def call(self, name: str, *arguments: Argument) -> Result:
        if self.failure:
            if name.endswith("_close") or name == "gemel_session_cancel":
                return None   # the engine's memory is gone
            raise EngineError(self.failure)
        return self._call(name, arguments)

    def engine_call(self, name: str, *arguments: Argument) -> Result:
        """Call one of OWN; does nothing on an engine that failed."""
        return None if self.failure else self._call(name, arguments)

    def alloc(self, size: int) -> JsBlock:
        return self._reserve("calloc", 1, max(size, 1), size=size)

    def lend(self, data: Buffer) -> JsBlock:
        if hasattr(data, "js_id"):
            size = int(cast(Any, data).byteLength)
            block = self._reserve("malloc", max(size, 1), size=size)
            self._look_at(block.address + size)
            self._set(cast(JsBytes, data), block.address)
            return block
        view = memoryview(cast(Any, data))
        size = view.nbytes
        block = self._reserve("malloc", max(size, 1), size=size)
        if size <= SMALL[-1]:
            room, small = next(view for view in self._small_views if size <= view[0])
            small.assign(view.tobytes().ljust(room, b"\0"))
            self._call("memcpy", (block, self._small, size))
        else:
            self._view_of(block.address, size).assign(view.cast("B") if view.c_contiguous else view.tobytes())
        return block

    def read(self, address: int, size: int) -> bytes:
        if size > SMALL[-1]:
            return bytes(self._view_of(address, size).to_bytes())
        self._call("memcpy", (self._small, address, size))
        small = next(view[1] for view in self._small_views if size <= view[0])
        return bytes(small.to_bytes()[:size])

    def number(self, address: int) -> int:
        """Return an address as the engine takes it: a number or a BigInt."""
        return cast(int, self._big(address)) if self.is_wide else address

    def int_at(self, address: int) -> Any:  # noqa: ANN401
        """Return an Int32Array of the int at an address."""
        import js  # type: ignore[import-not-found]

        return js.Int32Array.new(self.memory.buffer, address, 1)

    # ---- Inside -----------------------------------------------------------------------------------------------------

    def _wide_places(self, codes: str) -> tuple[int, ...]:
        """Return which arguments are passed as BigInt."""
        return tuple(i for i, code in enumerate(codes) if code in "pzs") if self.is_wide else ()

    def _call(self, name: str, arguments: tuple[Argument, ...]) -> Result:
        function, result, wide = self._functions[name]
        lent: list[JsBlock] = []
        passed = [one if type(one) is int else self._passed(one, lent) for one in arguments]
        for i in wide:
            passed[i] = self.number(cast(int, passed[i]))
        try:
            value = function(*passed)
        except self._trap as error:
            raise self._failed(name, str(error)) from error
        return value if result == "i" else self._result(result, value)

    def _passed(self, argument: Argument, lent: list[JsBlock]) -> int | float:
        if isinstance(argument, int | float):
            return argument
        if argument is None:
            return 0
        if isinstance(argument, bytes):
            lent.append(self.lend(argument))
            return lent[-1].address
        return argument.address

    def _result(self, code: str, value: Any) -> Result:  # noqa: ANN401
        if code == "d" or code == "f":
            return float(value)
        if code == "v":
            return None
        address = int(value) if self.is_wide else value & 0xFFFFFFFF
        if code == "z":
            return address
        if not address:
            return None
        return self._string(address) if code == "s" else address

    def _string(self, address: int) -> str:
        """Return terminated text."""
        raw, end = b"", -1
        while end < 0:
            self._look_at(address + len(raw) + 1)
            raw += self.read(address + len(raw), min(STRING_PIECE, self._view_size - address - len(raw)))
            end = raw.find(0)
        return raw[:end].decode("utf-8", "replace")

    def _reserve(self, name: str, *sizes: int, size: int | None = None) -> JsBlock:
        """Allocate by malloc or calloc."""
        size = sizes[-1] if size is None else size
        address = self.call(name, *sizes)
        if not address:
            raise OutOfMemoryError(
                f"the engine has no memory for {size} more bytes: close other models or tabs, use a smaller n_ctx or a "
                "smaller file"
            )
        return JsBlock(self, address, size)

    def _view_of(self, address: int, size: int) -> Any:  # noqa: ANN401
        self._look_at(address + size)
        return self._subarray(address, address + size)

    def _look_at(self, end: int) -> None:
        """View the memory again when `end` is past the view: a call may have grown the memory."""
        import js

        if end <= self._view_size:
            return
        view = js.Uint8Array.new(self.memory.buffer)
        self._view_size = int(view.length)
        self._subarray = view.subarray
        self._set = view.set

    def _failed(self, name: str, error: str) -> EngineError:
        """Give up the engine: its threads' work and its models are lost."""
        fault = FAULTS.get(self._fault(), "")
        self.failure = (
            f"gemel's threaded engine failed in {name}: {fault or error}; its models are lost: open "
            "the model again with gemel.open_async, with fewer threads, a smaller n_ctx or a smaller file if it fails "
            "again"
        )
        for worker in self.workers:
            worker.terminate()
        self.workers.clear()
        return EngineError(self.failure)

    def _fault(self) -> int:
        """Return why a thread gave up, a key of FAULTS; 0 where the engine does not know."""
        try:
            return int(self._functions["gemel_engine_fault"][0]())
        except self._trap:
            return 0


def foreign_types() -> tuple[Any, Any]:
    """Return Pyodide's types for JavaScript's exceptions and BigInt."""
    from pyodide.ffi import JsBigInt, JsException  # type: ignore[import-not-found]

    return JsException, JsBigInt
