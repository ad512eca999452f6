"""MODEL, in whatever form a person has it, becomes a Source: a name, a size, and bytes at any offset.

    path | "name of the table" | "https://..." | "hf:owner/repo/file.gguf" | bytes-like | open binary file

Names and addresses become files of the cache (_download.py). Files are read into one reused buffer rather than mapped:
it costs no more, since the loader packs every byte anew, and a file that shrinks meanwhile is an error, not a signal.
"""

from __future__ import annotations

import difflib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ._errors import FormatError, SourceError
from ._names import NAMES

Progress = Callable[[str, int, int], None]
"""on_progress(stage, done, total): stage is "download" or "load", done and total are bytes (total 0: not known)."""

MODEL = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


class Source(Protocol):
    """Bytes at offsets. `read` returns exactly `size` bytes, valid until the next read, or raises SourceError."""

    name: str
    size: int

    def read(self, offset: int, size: int) -> memoryview:
        """Return bytes [offset, offset + size)."""

    def close(self) -> None:
        """Let go of the file; what the caller opened stays open."""


class BytesSource:
    """Bytes that are in memory already."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.name = "<bytes>"
        self._view = memoryview(data).cast("B") if not isinstance(data, memoryview) else flat(data)
        self.size = self._view.nbytes

    def read(self, offset: int, size: int) -> memoryview:
        return self._view[offset : offset + size]

    def close(self) -> None:
        self._view.release()


class FileSource:
    """A seekable binary file, read from its start whatever its position."""

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._buffer = bytearray()
        try:
            self.size = file.seek(0, io.SEEK_END)
        except (OSError, AttributeError, ValueError) as error:
            raise SourceError(f"{name} can't be sought in ({error}): read it whole and pass its bytes") from error

    def read(self, offset: int, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        done = 0
        try:
            self._file.seek(offset)
            while done < size:
                count = self._fill(view[done:])
                if not count:
                    break
                done += count
        except OSError as error:
            raise SourceError(f"{self.name}: reading at offset {offset + done} failed: {error}") from error
        if done < size:
            raise SourceError(
                f"{self.name} ends at offset {offset + done}, though it had {self.size} bytes when it was opened: "
                "wait until nothing writes to it, then open it again"
            )
        return view

    def _fill(self, view: memoryview) -> int:
        """Read some bytes into the view; 0 at the end."""
        if isinstance(self._file, io.RawIOBase | io.BufferedIOBase):
            return self._file.readinto(view) or 0
        data: Any = self._file.read(view.nbytes)
        if not isinstance(data, bytes):
            raise SourceError(f"{self.name} gives {type(data).__name__}, not bytes: open it in binary mode ('rb')")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._owned:
            self._file.close()


def flat(data: memoryview) -> memoryview:
    """Return the bytes of a memoryview of any item type, copied only when it is not contiguous."""
    return data.cast("B") if data.c_contiguous else memoryview(data.tobytes())


def resolve(model: MODEL, *, on_progress: Progress | None = None) -> Source:
    """Return the bytes of MODEL, downloading it first where it is a name or an address.

    SourceError says what is wrong and what to do; an empty file is a FormatError. Never waits on a FIFO or a device.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        return _not_empty(BytesSource(model))
    if isinstance(model, str | os.PathLike):
        return _not_empty(open_file(locate(model, on_progress=on_progress)))
    if hasattr(model, "read") and hasattr(model, "seek"):
        return _not_empty(FileSource(model, str(getattr(model, "name", "<file>")), owned=False))
    raise TypeError(f"a model is a path, a URL, a short name, bytes or a binary file, not {type(model).__name__}")


def locate(model: str | os.PathLike[str], *, on_progress: Progress | None = None) -> Path:
    """Return the path of a local file for a path, URL, hf: address or short name, downloading it where it must be."""
    name = os.fspath(model)
    if not isinstance(name, str):
        raise TypeError("a path is text, not bytes; bytes are taken for the model itself")
    if "\0" in name:
        raise SourceError(f"the name {name[:80]!r} holds a NUL: no file or address has such a name")
    if not name:
        raise SourceError("the name of the model is empty: give a path, a URL, hf:owner/repo/file.gguf or a short name")
    if isinstance(model, str) and (model in NAMES or is_remote(model)):
        from ._download import fetch

        return fetch(model, on_progress=on_progress)
    return Path(name)


def pull(name: str, *, on_progress: Progress | None = None) -> Path:
    """Download a short name, URL or hf: address into the cache, where it is not there yet, and return its file."""
    if name not in NAMES and not is_remote(name):
        close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)
        raise SourceError(f"{name!r} is neither a short name nor an address; the nearest short name is {close[0]!r}")
    return locate(name, on_progress=on_progress)


def is_remote(name: str) -> bool:
    """Tell whether text is an address rather than a path; raise SourceError for schemes that are not fetched."""
    scheme, colon, rest = name.partition(":")
    if scheme.lower() in ("http", "https", "hf") and colon:
        return True
    if colon and rest.startswith("//"):
        raise SourceError(f"{name!r}: {scheme}: is not fetched; use https:, http:, hf: or a path")
    return False


def open_file(path: Path) -> FileSource:
    """Open a regular file; anything else is a SourceError before it is touched."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise SourceError(f"{path} is {_what(kind)}, not a file{_advice(path, kind)}")
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise SourceError(_missing(path)) from None
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be opened: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):   # it was exchanged since
        os.close(handle)
        raise SourceError(f"{path} is not a file any more")
    return FileSource(os.fdopen(handle, "rb", buffering=0), str(path), owned=True)


def _not_empty(source: Source) -> Source:
    if source.size == 0:
        source.close()
        raise FormatError(f"{source.name} is empty: offset 0 should hold the magic 'GGUF'")
    return source


def _what(kind: int) -> str:
    names = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in names if test(kind)), "a device")


def _advice(path: Path, kind: int) -> str:
    if not stat.S_ISDIR(kind):
        return ": copy its bytes to a file, or pass them"
    files = sorted(entry.name for entry in path.glob("*.gguf"))[:5]
    return ": name the .gguf file in it" + (f" ({', '.join(files)})" if files else "")


def _missing(path: Path) -> str:
    close = difflib.get_close_matches(str(path), NAMES, n=1, cutoff=0.5)
    hint = f"did you mean the short name {close[0]!r}?" if close else f"short names are {', '.join(sorted(NAMES))}"
    return f"there is no file {str(path)!r} in {Path.cwd()}; {hint}"
