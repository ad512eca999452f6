"""The process's three streams, whatever the shell gave: closed, full, or without a reader.

stderr takes what it can and drops the rest: what is said there never ends a command. stdout that can't be written is a
StdoutError, from any writer. Closed streams are opened on the null device, so that no file gets their number.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAMES = ("stdin", "stdout", "stderr")
VT = 4   # ENABLE_VIRTUAL_TERMINAL_PROCESSING


class StdoutError(Exception):
    """stdout can't be written. is_gone: its reader has gone. Not an OSError, which writers may handle themselves."""

    def __init__(self, error: OSError) -> None:
        self.is_gone = error.errno == errno.EPIPE or (sys.platform == "win32" and error.errno == errno.EINVAL)
        why = "it is not open" if error.errno == errno.EBADF else error.strerror
        super().__init__(f"stdout can't be written: {why}")


class Patient(io.FileIO):
    """A file that waits where another program has made it non-blocking."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some bytes; return their number, at least 1."""
        while (written := super().write(data)) is None:
            select.select([], [self.fileno()], [])
        return written


class Stdout(Patient):
    """File 1."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Raise a StdoutError if that is impossible."""
        try:
            return super().write(data)
        except OSError as error:
            raise StdoutError(error) from None


class Stderr(Patient):
    """File 2."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Drop what can't be written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Make all three streams usable, and every character writable: those that an encoding lacks become escapes."""
    for number, name in enumerate(NAMES):
        if getattr(sys, name) is None:
            _occupy(number, os.O_WRONLY if name == "stderr" else os.O_RDONLY)   # stdout: so that writing fails
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)   # noqa: SIM115  # for as long as the process runs
    sys.stdout = _guarded(sys.stdout, sys.__stdout__, Stdout, 1)
    sys.stderr = _guarded(sys.stderr, sys.__stderr__, Stderr, 2)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace", encoding=_encoding(stream))
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding=_encoding(sys.stdin))


def _encoding(stream: TextIO) -> str | None:
    """Return UTF-8 for a file or pipe of Windows, which would have its language's; None: the stream keeps its own."""
    is_chosen = sys.platform != "win32" or stream.isatty() or "PYTHONIOENCODING" in os.environ
    return None if is_chosen else "utf-8"


def takes_codes(stream: TextIO) -> bool:
    """Tell whether a terminal understands escape codes; a console of Windows is asked to, once it is used."""
    if sys.platform != "win32":
        return True
    import ctypes
    import msvcrt

    kernel32, mode = ctypes.WinDLL("kernel32"), ctypes.c_uint32(0)
    console = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
    asked = kernel32.GetConsoleMode(console, ctypes.byref(mode)) and kernel32.SetConsoleMode(console, mode.value | VT)
    return bool(asked)


def silence() -> None:
    """Redirect stdout to nothing after it has failed: Python flushes it again when it exits."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError, AttributeError):   # a stream that is not a file can't fail
        os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def _occupy(number: int, flags: int) -> None:
    """Open the null device as a file number that is not in use."""
    try:
        os.fstat(number)
    except OSError:
        nothing = os.open(os.devnull, flags)
        if nothing == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(nothing, number)
            os.close(nothing)


def _guarded(stream: TextIO | None, original: TextIO | None, kind: type[Patient], number: int) -> TextIO:
    """Return a stream on the file `number`, or `stream` itself if it is anything but a file (a console, a test's)."""
    settings: dict[str, Any] = {"encoding": "utf-8"}
    if stream is not None:
        buffer = getattr(stream, "buffer", None)
        if stream is not original or type(getattr(buffer, "raw", buffer)) is not io.FileIO:
            return stream
        settings = {name: getattr(stream, name) for name in ("encoding", "line_buffering", "write_through")}
    return io.TextIOWrapper(io.BufferedWriter(kind(number, "wb", closefd=False)), **settings)
