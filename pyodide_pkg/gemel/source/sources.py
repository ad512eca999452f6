"""MODEL, in each form that a caller may pass, becomes a Source: a name, a size, and bytes at any offset.

    path | short name | "https://..." | "hf:owner/repo..." | bytes-like | open binary file

download.py turns names and addresses into files of the cache; in a tab, tab/opening.py fetches them. A name like
x-00001-of-00003.gguf means all three files. Files are read into one reused buffer, not mapped: the loader repacks every
byte, so mapping saves nothing, and a file that shrinks meanwhile is an error instead of a signal.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from ..core.checks import callback, flag, text, wrong_type
from ..core.errors import ArgumentTypeError, FormatError, SourceError
from .catalog import CATALOG, part_names
from .paths import filled_in
from .piece_order import Data
from .progress import Progress

if TYPE_CHECKING:
    from .no_file import Use

MODEL = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


class HasSizes(Protocol):
    """A Source or a PieceSource."""

    name: str
    sizes: tuple[int, ...]   # bytes of each part

    def close(self) -> None: ...


Sized = TypeVar("Sized", bound=HasSizes)


class Source(Protocol):
    """Bytes at offsets. `read` returns exactly `size` bytes, valid until the next read, or raises SourceError."""

    name: str
    size: int
    sizes: tuple[int, ...]   # bytes of each part; no read crosses from one into the next

    def read(self, offset: int, size: int) -> Data:
        """Return bytes [offset, offset + size)."""

    def close(self) -> None:
        """Let go of the file. What the caller opened stays open."""


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.name = "<bytes>"
        self._view = memoryview(data).cast("B") if not isinstance(data, memoryview) else flat(data)
        self.size = self._view.nbytes
        self.sizes: tuple[int, ...] = (self.size,)

    def read(self, offset: int, size: int) -> memoryview:
        return self._view[offset : offset + size]

    def close(self) -> None:
        self._view.release()


class FileSource:
    """A seekable binary file; its position does not matter."""

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._buffer = bytearray()
        try:
            self.size = file.seek(0, io.SEEK_END)
        except (OSError, AttributeError, ValueError) as error:
            raise SourceError(f"{name} is not seekable ({error}): read it and pass its bytes") from error
        self.sizes: tuple[int, ...] = (self.size,)

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
                f"{self.name} ends at offset {offset + done}, but it had {self.size} bytes when it was opened: "
                "wait until nothing writes to it, then open it again"
            )
        return view

    def drop_buffer(self) -> None:
        """Free the buffer of reads; the next read makes it again."""
        self._buffer = bytearray()

    def _fill(self, view: memoryview) -> int:
        """Read some bytes into the view; return how many, 0 at the end."""
        if isinstance(self._file, io.RawIOBase | io.BufferedIOBase):
            return self._file.readinto(view) or 0
        data: Any = self._file.read(view.nbytes)
        if not isinstance(data, bytes):
            raise SourceError(f"{self.name} returns {type(data).__name__}, not bytes: open it in binary mode ('rb')")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._owned:
            self._file.close()


class PartsSource:
    """One file, or those of a split model one after the other. Closing it closes `keep`, which owns them."""

    def __init__(self, files: Sequence[FileSource], keep: contextlib.ExitStack) -> None:
        self.name = files[0].name
        self.sizes = tuple(file.size for file in files)
        self.size = sum(self.sizes)
        self._files = files
        self._starts = [0, *accumulate(self.sizes)]
        self._keep = keep
        self._last = 0   # the part that was read last, the only one that needs a buffer

    def read(self, offset: int, size: int) -> memoryview:
        part = bisect_right(self._starts, offset) - 1
        if part != self._last:
            self._files[self._last].drop_buffer()
            self._last = part
        return self._files[part].read(offset - self._starts[part], size)

    def close(self) -> None:
        self._keep.close()


def flat(data: memoryview) -> memoryview:
    """Return a memoryview of any item type as bytes; copies only when it is not contiguous."""
    return data.cast("B") if data.c_contiguous else memoryview(data.tobytes())


def resolve(model: MODEL, *, cache: bool = True, on_progress: Progress | None = None) -> Source:
    """Return the bytes of MODEL; a name or an address is downloaded first.

    cache=False: what is downloaded is deleted when the source is closed. SourceError says what is wrong and what to do;
    an empty file is a FormatError. Never waits on a FIFO or a device.
    """
    flag("cache", cache)
    callback("on_progress", on_progress)
    if isinstance(model, bytes | bytearray | memoryview):
        return not_empty(BytesSource(model))
    if isinstance(model, str | os.PathLike):
        with contextlib.ExitStack() as stack:
            folder = None
            if not cache and isinstance(model, str) and is_address(named(model)):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gemel-")))
            path = locate(model, folder=folder, on_progress=on_progress)
            files = [
                stack.enter_context(contextlib.closing(open_file(part))) for part in _parts(path)
            ]
            return not_empty(PartsSource(files, stack.pop_all()))
    if hasattr(model, "read") and hasattr(model, "seek"):
        return not_empty(FileSource(model, str(getattr(model, "name", "<file>")), owned=False))
    kinds = "a path, a URL, a short name, bytes or a binary file"
    raise ArgumentTypeError(f"a model must be {kinds}, not {type(model).__name__}")


def locate(
    model: str | os.PathLike[str], *, folder: Path | None = None, on_progress: Progress | None = None
) -> Path:
    """Return the path of the local file of a path, URL, hf: address or short name; what is not cached is downloaded.

    Of a split model: of its first part. folder: download to there, not to the cache.
    """
    callback("on_progress", on_progress)
    name = named(model)
    if isinstance(model, str) and is_address(model):
        from .download import fetch  # here: urllib takes its time, and `import gemel` needs none

        return fetch(model, folder=folder, on_progress=on_progress)
    return expanded(name)


def expanded(name: str) -> Path:
    """Return a path with ~ and environment variables filled in, unless a file has that very name."""
    return Path(name) if os.path.lexists(name) else filled_in(name)


def named(model: str | os.PathLike[str]) -> str:
    """Return a path or name as text; SourceError when it can't be either."""
    if not isinstance(model, str | os.PathLike):
        raise wrong_type("model", model, "a path, a URL, hf:owner/repo/file.gguf or a short name")
    name = os.fspath(model)
    if not isinstance(name, str):
        raise ArgumentTypeError("a path must be a str, not bytes; bytes are taken as the model itself")
    if "\0" in name:
        raise SourceError(f"the name {name[:80]!r} contains a NUL, which no file name or address may contain")
    if not name:
        raise SourceError("the name of the model is empty: pass a path, a URL, hf:owner/repo/file.gguf or a short name")
    return name


def model_files(model: str | os.PathLike[str], *, on_progress: Progress | None = None) -> tuple[Path, ...]:
    """Return the files of a model on this machine, in order of parts; what is not cached is downloaded."""
    return _parts(locate(model, on_progress=on_progress))


def _parts(path: Path) -> tuple[Path, ...]:
    """Return the files of a model, given any of them. The path of a folder may have no name: "." and "/"."""
    return tuple(path.with_name(name) for name in part_names(path.name)) if path.name else (path,)


def pull(name: str, *, on_progress: Progress | None = None) -> Path:
    """Download a short name, URL or hf: address into the cache unless it is there, and return its file."""
    if not is_address(text("name", name, "a short name, a URL or an hf: address, as a str")):
        from . import no_file

        close = no_file.short_name(name)
        known = f"the closest short name is {close!r}" if close else no_file.all_short_names()
        raise SourceError(f"{name!r} is neither a short name nor an address; {known}")
    return locate(name, on_progress=on_progress)


def is_address(name: str) -> bool:
    """Tell whether text is a short name or an address rather than a path."""
    return name in CATALOG or is_remote(name)


def is_remote(name: str) -> bool:
    """Tell whether text is an address rather than a path; SourceError for an unsupported scheme."""
    scheme, colon, rest = name.partition(":")
    if scheme.lower() in ("http", "https", "hf") and colon:
        return True
    if len(scheme) > 1 and colon and rest.startswith("//"):   # one letter: a drive
        raise SourceError(f"{name!r}: {scheme}: is not supported; use https:, http:, hf: or a path")
    return False


def open_file(path: Path, use: Use = "model") -> FileSource:
    """Open a regular file; anything else is a SourceError before it is touched. use: what the file should hold."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            from . import no_file

            raise SourceError(no_file.of_kind(path, kind, use))
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(path, flags)
    except FileNotFoundError:
        from . import no_file

        raise SourceError(no_file.missing(path, use)) from None
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be opened: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):   # it was replaced meanwhile
        os.close(handle)
        raise SourceError(f"{path} is no longer a file")
    return FileSource(os.fdopen(handle, "rb", buffering=0), str(path), owned=True)


def not_empty(source: Sized) -> Sized:
    """Return the source; if it is empty, close it and raise FormatError."""
    if 0 in source.sizes:
        source.close()
        raise FormatError(f"{source.name} is empty: offset 0 should have the magic 'GGUF'")
    return source
