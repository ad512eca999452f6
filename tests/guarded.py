"""Give the core memory that the C library allocated, so that AddressSanitizer sees an access behind its end.

Python allocates small objects next to each other in its own blocks. PYTHONMALLOC=malloc changes that for all objects,
and tests under sanitizers take half as long again; here only what the core is given is allocated by the C library.
With GEMEL_GUARDED set, conftest.py installs it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

from gemel.core import ctypes_library, shared
from gemel.core.ctypes_library import CtypesBlock, CtypesLibrary
from gemel.core.library import Argument, Buffer, Result

SMALL = 4096   # bytes: Python itself takes larger objects from the C library


class Allocated:
    """Zeroed memory, freed with the object."""

    def __init__(self, size: int, c: ctypes.CDLL) -> None:
        self.address: int = c.calloc(1, size)
        self._free: Callable[[ctypes.c_void_p], None] = c.free

    def __del__(self) -> None:
        self._free(ctypes.c_void_p(self.address))


class GuardedLibrary(CtypesLibrary):
    """A library whose core sees copies of what it is lent, each in its own memory."""

    def __init__(self, path: str, engine: str, why: str) -> None:
        super().__init__(path, engine, why)
        self._c = ctypes.CDLL(None)
        self._c.calloc.restype, self._c.calloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
        self._c.free.restype = None

    def alloc(self, size: int) -> CtypesBlock:
        made = Allocated(size, self._c)
        return CtypesBlock(made.address, size, made)

    def lend(self, data: Buffer) -> CtypesBlock:
        lent = super().lend(data)
        return self._copied(self.read(lent.address, lent.size)) if lent.size <= SMALL else lent

    def call(self, name: str, *arguments: Argument) -> Result:
        texts = [self._copied(one + b"\0") for one in arguments if isinstance(one, bytes)]
        addresses: Iterator[Any] = iter([ctypes.cast(text.address, ctypes.c_char_p) for text in texts])
        return super().call(name, *(next(addresses) if isinstance(one, bytes) else one for one in arguments))

    def _copied(self, data: bytes) -> CtypesBlock:
        copy = self.alloc(len(data))
        ctypes.memmove(copy.address, data, len(data))
        return copy


def install() -> None:
    """Make this process's library such a one; it must not have been opened."""
    ctypes_library.CtypesLibrary = GuardedLibrary   # type: ignore[misc]
    if not isinstance(shared.load(), GuardedLibrary):
        raise RuntimeError("gemel opened its library before guarded.install()")
