"""The seam to the compiled core: the protocol that a library implements, and the handles of the core's objects.

A library has four methods (call, alloc, lend, read) and some facts. ctypes_library.py implements it for desktops and
for Pyodide's side module, tab/js_library.py for a tab's threaded engine. Addresses are plain ints in the core's memory.
A process may use several libraries: a model keeps the one that it was loaded with.
"""

from __future__ import annotations

import threading
from array import array
from typing import Any, Protocol, TypeAlias

from . import abi
from .errors import ArgumentError, LibraryError, error_of

ERROR_SIZE = 1024   # bytes for the core's message


class Block(Protocol):
    """Memory that the core can reach, valid as long as the object."""

    address: int
    size: int


class JsBytes(Protocol):
    """JavaScript's Uint8Array, as Pyodide shows it."""

    @property
    def js_id(self) -> int: ...

    def to_bytes(self) -> bytes: ...


Argument = int | float | bytes | Block | None
Result = Any   # by the table in abi.py: int, float, str, or None
Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | JsBytes"


class Library(Protocol):
    """One loaded core."""

    path: str         # where it was loaded from
    size_size: int    # bytes of a size_t
    engine: str       # "native", "side module", "threads", or "threads64": the threaded engine with 64-bit addresses
    why: str          # one sentence: why this engine

    @property
    def default_threads(self) -> int:
        """How many threads compute by default."""

    def call(self, name: str, *arguments: Argument) -> Result:
        """Call an exported function: int, float, str (terminated text), or None for NULL and void."""

    def alloc(self, size: int) -> Block:
        """Return zeroed memory that the core can write."""

    def lend(self, data: Buffer) -> Block:
        """Show the core a bytes-like object or a Uint8Array; copies only where necessary.

        What the core sees is valid as long as the block.
        """

    def read(self, address: int, size: int) -> bytes:
        """Copy bytes out of the core's memory."""


def check_abi(library: Library) -> Library:
    """Return the library, or raise LibraryError naming both ABI numbers."""
    found = library.call("gemel_abi")
    if found != abi.ABI:
        raise LibraryError(
            f"{library.path} has ABI {found}, this package needs ABI {abi.ABI}: "
            "reinstall gemel, so that both come from one build"
        )
    return library


def check(library: Library, code: int, where: str, error: Block | None = None) -> int:
    """Return a count or 0; raise the exception of a negative code, with the core's message where there is one."""
    if code >= 0:
        return code
    sentence = "" if error is None else text_of(library.read(error.address, error.size))
    raise error_of(code, where, sentence)


def text_of(raw: bytes) -> str:
    """Decode up to the terminator."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def texts_at(library: Library, name: str, address: int) -> tuple[str, ...]:
    """Return the texts that a function (object, i) gives for i = 0, 1, ... up to the first NULL."""
    texts: list[str] = []
    while (text := library.call(name, address, len(texts))) is not None:
        texts.append(text)
    return tuple(texts)


def size_at(library: Library, block: Block) -> int:
    """Read the size_t at the start of a block."""
    return int.from_bytes(library.read(block.address, library.size_size), "little")


def double_at(library: Library, block: Block) -> float:
    """Read the double at the start of a block."""
    return memoryview(library.read(block.address, 8)).cast("d")[0]


def pointer_at(library: Library, block: Block) -> int:
    """Read the address at the start of a block. Addresses are as wide as sizes on every host."""
    return size_at(library, block)


class Handle:
    """One of the core's objects. It is freed once: when it was closed and its last user has left.

    `with handle as address:` is a use; a handle with a `parent` is a user of its parent as long as it exists. So
    nothing is freed during a call of another thread, and a model outlives its sessions whichever is closed first.
    """

    def __init__(self, library: Library, address: int, close: str, parent: Handle | None = None) -> None:
        self._library = library
        self._address = address
        self._close = close
        self._parent = parent
        self._kept: list[Handle] = []
        self._users = 0
        self._closed = False
        self._lock = threading.RLock()   # re-entrant: a finalizer may run while the lock is held
        if parent is not None:
            parent.__enter__()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def address(self) -> int:
        """Of the object; it stays valid as long as the handle is in use."""
        return self._address

    @property
    def parent(self) -> Handle | None:
        return self._parent

    def __enter__(self) -> int:
        with self._lock:
            if self._closed:
                noun = self._close.split("_")[1].replace("loader", "header")
                raise ArgumentError(f"this {noun} is closed: open a new one")
            self._users += 1
            return self._address

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._users -= 1
            self._free_if_unused()

    def move_to(self, parent: Handle) -> None:
        """Use another parent from now on: a model that was the loader's, when it is complete."""
        parent.__enter__()
        with self._lock:
            before, self._parent = self._parent, parent
        if before is not None:
            before.__exit__()

    def keep(self, other: Handle) -> None:
        """Use another handle until this one is freed: the object reads it."""
        other.__enter__()
        self._kept.append(other)

    def close(self) -> None:
        """Close now, or as soon as the last user leaves. May be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._free_if_unused()

    def after_fork(self) -> None:
        """Replace the lock: a thread that does not exist in the child may hold it."""
        self._lock = threading.RLock()

    def _free_if_unused(self) -> None:
        if self._closed and self._users == 0 and self._address:
            address, self._address = self._address, 0
            self._free(address)
            for other in self._kept:
                other.__exit__()
            if self._parent is not None:
                self._parent.__exit__()

    def _free(self, address: int) -> None:
        self._library.call(self._close, address)


def open_handle(
    library: Library,
    name: str,
    *arguments: Argument,
    where: str,
    parent: Handle | None = None,
    error: Block | None = None,
) -> Handle:
    """Call `gemel_noun_open([parent,] ..., **out [, err, err_size])` and own what it made."""
    out = library.alloc(8)
    tail: tuple[Argument, ...] = (out,) if error is None else (out, error, error.size)
    close = name.replace("_open", "_close")
    if parent is None:
        check(library, library.call(name, *arguments, *tail), where, error)
        return Handle(library, pointer_at(library, out), close)
    with parent as address:
        check(library, library.call(name, address, *arguments, *tail), where, error)
        return Handle(library, pointer_at(library, out), close, parent)
