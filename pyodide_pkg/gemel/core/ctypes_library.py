"""The core through ctypes: a shared library on a desktop, a side module in Pyodide.

Prototypes come from the generated table abi.py. ctypes releases the interpreter lock during a call, so that other
Python threads run on.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, cast

from . import abi
from .cpu import default_threads
from .errors import LibraryError
from .library import Argument, Buffer, JsBytes, Result

TYPES: dict[str, Any] = {
    "v": None,
    "i": ctypes.c_int,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
    "z": ctypes.c_size_t,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
}


class CtypesBlock:
    """A ctypes buffer with its address; ctypes itself passes it as an address."""

    __slots__ = ("_as_parameter_", "_keep", "address", "size")

    def __init__(self, address: int, size: int, keep: object) -> None:
        self.address = address
        self.size = size
        self._keep = keep
        self._as_parameter_ = ctypes.c_void_p(address)


class CtypesLibrary:
    """A Library."""

    size_size = ctypes.sizeof(ctypes.c_size_t)

    def __init__(self, path: str, engine: str, why: str) -> None:
        self.path = path
        self.engine = engine
        self.why = why
        self._functions: dict[str, Any] = {}
        shared = ctypes.CDLL(path)
        for name, (result, arguments) in abi.FUNCTIONS.items():
            try:
                function = getattr(shared, name)
            except AttributeError:
                raise LibraryError(
                    f"{path} has no function {name}: it was built from other sources than this package; reinstall gemel"
                ) from None
            function.restype = TYPES[result]
            function.argtypes = [TYPES[code] for code in arguments]
            self._functions[name] = function

    @property
    def default_threads(self) -> int:
        return default_threads()

    def call(self, name: str, *arguments: Argument) -> Result:
        result = self._functions[name](*arguments)
        return result.decode("utf-8", "replace") if isinstance(result, bytes) else result

    def alloc(self, size: int) -> CtypesBlock:
        buffer = ctypes.create_string_buffer(size)
        return CtypesBlock(ctypes.addressof(buffer), size, buffer)

    def lend(self, data: Buffer) -> CtypesBlock:
        if hasattr(data, "js_id"):
            data = cast(JsBytes, data).to_bytes()
        view = memoryview(data)
        if not view.c_contiguous:
            view = memoryview(view.tobytes())
        if view.nbytes == 0:
            return self.alloc(1)
        if view.readonly:
            raw = data if isinstance(data, bytes) else view.tobytes()
            address = ctypes.cast(ctypes.c_char_p(raw), ctypes.c_void_p).value or 0
            return CtypesBlock(address, len(raw), raw)
        buffer = (ctypes.c_char * view.nbytes).from_buffer(view.cast("B"))
        return CtypesBlock(ctypes.addressof(buffer), view.nbytes, buffer)

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(address, size)


def open_library(path: Path, engine: str, why: str) -> CtypesLibrary:
    """Load the core at a path. LibraryError says where it was looked for and what to do."""
    if not path.is_file():
        raise LibraryError(
            f"gemel's compiled core is not at {path}: install gemel (from a source tree: pip install -e .), "
            "or set GEMEL_LIBRARY to the path of a build"
        )
    try:
        return CtypesLibrary(str(path), engine, why)
    except OSError as error:
        raise LibraryError(f"gemel's compiled core at {path} can't be loaded: {error}") from error
