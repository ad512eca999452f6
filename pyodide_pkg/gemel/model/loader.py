"""Pieces of a file go to the core's loader, which makes a model of them.

Every host has the same loop. It asks a PieceSource (a file, bytes, a browser's File, a download) for pieces; once the
header is complete, in the order in which they are needed. A source that need not wait never suspends the loop, so that
gemel.open runs it in one go. Progress, Ctrl-C and prefill happen between pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from ..core import abi
from ..core.errors import FormatError
from ..core.library import ERROR_SIZE, Block, Handle, Library, check, open_handle, pointer_at
from ..core.pool import Pool, at_least
from ..source.layer_order import Span, layer_order
from ..source.piece_order import Data, PieceOrder, kept, size_of
from ..source.pieces import PieceSource
from ..source.progress import Progress
from .gguf import Metadata, read_rows
from .header import Gguf
from .overrides import Override, give

T = TypeVar("T")
Step = Callable[[int], bool]
"""step(complete layers): evaluate one more layer of a prompt; return False when all of those are done."""


class ModelHandle(Handle):
    """The model in a loader. The loader owns it until `finish`; from then on it is a user of its pool of threads."""

    def __init__(self, library: Library, address: int, loader: Handle) -> None:
        super().__init__(library, address, "gemel_model_close", loader)
        self._is_loading = True

    def _free(self, address: int) -> None:
        if not self._is_loading:
            super()._free(address)

    def finish(self, pool: Pool) -> None:
        self._is_loading = False
        self.move_to(pool)


class Loader:
    """One gemel_loader. Close it at the end, also after an error."""

    def __init__(self, library: Library, name: str, sizes: Sequence[int]) -> None:
        self.library = library
        self.name = name
        self.sizes = tuple(sizes)
        self.starts = [0, *accumulate(sizes)]
        self.error: Block = library.alloc(ERROR_SIZE)
        self.handle = open_handle(library, "gemel_loader_open", float(sizes[0]), where=name, error=self.error)
        self.n_parts = 0          # parts whose headers are complete
        self._header_end = 0      # bytes of the next header that were fed
        self._order: PieceOrder | None = None
        self._pool: Pool | None = None
        self._model: ModelHandle | None = None

    def close(self) -> None:
        self.handle.close()

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self.starts[-1]

    @property
    def left(self) -> int:
        """Bytes of tensors that are still missing."""
        return self._order.left if self._order else self.size

    def part_of(self, offset: int) -> int:
        return bisect_right(self.starts, offset) - 1

    # ---- The header -------------------------------------------------------------------------------------------------

    def header(self, offset: int, data: Data) -> bool:
        """Feed the next bytes of a part's header; return whether that header is complete."""
        if not self._header_end and self.n_parts:
            self._call("gemel_loader_part", float(self.sizes[self.n_parts]))
        self.feed(offset, data)
        self._header_end = offset + size_of(data)
        with self.handle as loader:
            whole = bool(self.library.call("gemel_loader_n_parts", loader) > self.n_parts)
        if whole:
            self.n_parts, self._header_end = self.n_parts + 1, 0
        elif self._header_end >= self.starts[self.n_parts + 1]:
            raise FormatError(
                f"{self.name}: the file ends at offset {self._header_end}, inside its header: it is truncated"
            )
        return whole

    def gguf(self) -> int:
        """Return the address of the header, once it is complete."""
        with self.handle as loader:
            return int(self.library.call("gemel_loader_gguf", loader) or 0)

    def override(self, overrides: Mapping[str, Override]) -> dict[str, Override]:
        """Let these values replace the headers', which are complete; return them with full key names."""
        metadata = Metadata(self.library, self.handle, self.gguf())
        with self.handle as loader:
            return give(self.library, loader, metadata, overrides, self.name)

    def begin(self, threads: int, isa: int | None) -> list[Span]:
        """Begin a model of the headers; return the spans that it needs, in the order of need.

        The model uses `threads` threads of the library's pool.
        """
        self._set(abi.LOADER_N_THREADS, threads)
        with at_least(self.library, threads) as pool, self.handle as loader:
            self.handle.move_to(pool)
            check(self.library, self.library.call("gemel_loader_use", loader, pool.address), self.name)
            self._pool = pool
        if isa is not None:
            self._set(abi.LOADER_ISA, isa)
        self._call("gemel_loader_begin")
        rows = read_rows(self.library, self.gguf())
        self._order = PieceOrder(rows, self.feed)
        return layer_order(rows, self.sizes)

    # ---- The tensors ------------------------------------------------------------------------------------------------

    def feed(self, offset: int, data: Data) -> None:
        """Pass bytes to the core."""
        self._call("gemel_loader_feed", float(offset), self.library.lend(data), size_of(data))

    def take(self, offset: int, data: Data) -> None:
        """Take bytes of tensors, in any order."""
        assert self._order is not None
        self._order.take(offset, data)

    def n_layers(self) -> int:
        """Return how many layers are complete, up to the first that is not; -1 before a session can begin."""
        with self.handle as loader:
            return int(self.library.call("gemel_loader_n_layers", loader))

    def model(self) -> ModelHandle:
        """Return the model while it loads, for a session that prefills."""
        if self._model is None:
            with self.handle as loader:
                address = self.library.call("gemel_loader_model", loader)
            self._model = ModelHandle(self.library, address, self.handle)
        return self._model

    def finish(self) -> Handle:
        """Return the model, when all tensors were fed."""
        out = self.library.alloc(8)
        self._call("gemel_loader_finish", out)
        assert self._pool is not None
        if self._model is None:
            return Handle(self.library, pointer_at(self.library, out), "gemel_model_close", self._pool)
        self._model.finish(self._pool)
        return self._model

    def _set(self, option: int, value: int) -> None:
        with self.handle as loader:
            check(self.library, self.library.call("gemel_loader_set", loader, option, value), self.name)

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        with self.handle as loader:
            code = self.library.call(name, loader, *arguments, self.error, self.error.size)
        check(self.library, code, self.name, self.error)


async def read_headers(loader: Loader, pieces: PieceSource) -> list[tuple[int, Data]]:
    """Feed the header of every part; return the pieces that contain more than a header and won't come again."""
    early: list[tuple[int, Data]] = []
    while loader.n_parts < len(loader.sizes):
        offset, data = await pieces.next()
        part = loader.part_of(offset)
        whole = part == loader.n_parts and loader.header(offset, data)
        if (whole or part < loader.n_parts) and not pieces.repeats:
            early.append((offset, kept(data, 0, size_of(data))))
        if whole and loader.n_parts < len(loader.sizes):
            part = loader.n_parts
            pieces.order([(loader.starts[part], loader.starts[part + 1])], final=False)
    return early


async def read_tensors(
    loader: Loader,
    pieces: PieceSource,
    early: Sequence[tuple[int, Data]],
    on_progress: Progress | None,
    step: Step | None,
) -> None:
    """Feed the tensors. Layers are evaluated only while no piece is waiting, so that a download never stalls."""
    for offset, data in early:
        loader.take(offset, data)
    while True:
        if on_progress:
            on_progress("load", loader.size - loader.left, loader.size)
        if not loader.left:
            break
        while step is not None and not pieces.ready and step(loader.n_layers()):
            await pieces.yield_turn()
        offset, data = await pieces.next()
        loader.take(offset, data)


async def read_gguf(library: Library, pieces: PieceSource) -> Gguf:
    """Return the header of a source; the Gguf keeps the loader until it is closed."""
    loader = Loader(library, pieces.name, pieces.sizes)
    try:
        await read_headers(loader, pieces)
        return Gguf(library, loader.handle, loader.gguf(), loader.size, loader.name)
    except BaseException:
        loader.close()
        raise


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a local source waited")
