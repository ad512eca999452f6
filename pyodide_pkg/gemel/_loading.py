"""A source's bytes go to the core's loader in pieces, and a model handle comes out.

Written once as a generator that stops after every piece, so that the synchronous open, the asynchronous one, progress
and Ctrl-C all ride on the same loop.
"""

from __future__ import annotations

from collections.abc import Generator

from . import _abi
from ._errors import FormatError
from ._gguf import Gguf
from ._library import ERROR_SIZE, Block, Handle, Library, check, open_handle, pointer_at
from ._source import Source

FIRST_PIECE = 1 << 16    # bytes: enough to see that a file is none of ours
PIECE = 1 << 24          # bytes a call: a fraction of a second, after which Ctrl-C works


class Feeder:
    """One gemel_loader and the source it is fed from. Close it when done, whatever happened."""

    def __init__(self, library: Library, source: Source) -> None:
        self.library = library
        self.source = source
        self.error: Block = library.alloc(ERROR_SIZE)
        self.loader = open_handle(
            library, "gemel_loader_open", float(source.size), where=source.name, error=self.error
        )

    def close(self) -> None:
        self.loader.close()

    def header(self) -> int:
        """Feed the file's start until the header is whole; return the address of its gguf."""
        done, piece = 0, FIRST_PIECE
        while done < self.source.size:
            size = min(piece, self.source.size - done)
            self.feed(done, size)
            done += size
            with self.loader as loader:
                gguf: int | None = self.library.call("gemel_loader_gguf", loader)
            if gguf:
                return gguf
            piece = min(2 * piece, PIECE)
        raise FormatError(f"{self.source.name}: the file ends at offset {done}, inside its header: it is not complete")

    def feed(self, offset: int, size: int) -> None:
        piece = self.library.lend(self.source.read(offset, size))
        with self.loader as loader:
            code = self.library.call(
                "gemel_loader_feed", loader, float(offset), piece, size, self.error, self.error.size
            )
        check(self.library, code, self.source.name, self.error)

    def set(self, option: int, value: int) -> None:
        with self.loader as loader:
            check(self.library, self.library.call("gemel_loader_set", loader, option, value), self.source.name)

    def begin(self) -> None:
        with self.loader as loader:
            code = self.library.call("gemel_loader_begin", loader, self.error, self.error.size)
        check(self.library, code, self.source.name, self.error)

    def finish(self) -> Handle:
        out = self.library.alloc(8)
        with self.loader as loader:
            code = self.library.call("gemel_loader_finish", loader, out, self.error, self.error.size)
        check(self.library, code, self.source.name, self.error)
        return Handle(self.library, pointer_at(self.library, out), "gemel_model_close")


def load_steps(
    library: Library, source: Source, *, threads: int, isa: int | None
) -> Generator[tuple[int, int], None, Handle]:
    """Yield (bytes done, bytes in all) after every piece; return the model's handle. Closing it frees everything."""
    feeder = Feeder(library, source)
    try:
        gguf = feeder.header()
        feeder.set(_abi.LOADER_N_THREADS, threads)
        if isa is not None:
            feeder.set(_abi.LOADER_ISA, isa)
        feeder.begin()
        done = min(int(library.call("gemel_gguf_data_offset", gguf)), source.size)
        yield done, source.size
        while done < source.size:
            size = min(PIECE, source.size - done)
            feeder.feed(done, size)
            done += size
            yield done, source.size
        return feeder.finish()
    finally:
        feeder.close()


def read_header(library: Library, source: Source) -> Gguf:
    """Return the header of a source; its loader lives on until the Gguf is closed."""
    feeder = Feeder(library, source)
    try:
        return Gguf(library, feeder.loader, feeder.header(), source.size, source.name)
    except BaseException:
        feeder.close()
        raise
