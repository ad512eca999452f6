"""A model's bytes go to the core's loader in pieces, and a model handle comes out.

One loop for every host: it asks an Arrivals (a file, bytes, a browser's File, a download) for pieces, in the order of
first need once the header is whole. A source that has no need to wait never suspends the loop, so that gemel.open runs
it to its end at once; progress, Ctrl-C and prefill ride between the pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol, TypeVar

from . import _abi
from ._arrival import Arrival, Data, kept, size_of
from ._errors import FormatError
from ._gguf import Gguf, Metadata, read_rows
from ._library import ERROR_SIZE, Block, Handle, Library, check, open_handle, pointer_at
from ._overrides import Override, give
from ._plan import Span, layer_order
from ._pool import Pool, at_least
from ._source import Progress

T = TypeVar("T")
Step = Callable[[int], bool]
"""step(layers that are whole): evaluate a layer of a prompt, or return False when there is none to evaluate."""


class Arrivals(Protocol):
    """Where pieces come from. Until `order` is called: the first part's, in file order."""

    name: str
    sizes: tuple[int, ...]   # bytes of each part; offsets are those of the parts laid one after the other
    repeats: bool            # pieces that were handed out before `order` come again when they are in it

    @property
    def ready(self) -> bool:
        """Whether next() would return at once."""

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        """Say what is wanted from now on: these spans, in this order; final: nothing else will be."""

    async def next(self) -> tuple[int, Data]:
        """Return (offset, bytes) of the next piece, which are valid until the next call; or raise SourceError."""

    async def turn(self) -> None:
        """Let the event loop run, where there is one."""

    async def end(self) -> None:
        """Wait until the whole file has been found to be what it should be; nothing more is wanted."""

    def close(self) -> None:
        """Let go of everything at once, whether or not the end was reached."""


class Arriving(Handle):
    """The model in a loader: the loader's until `arrived`, from then on its own, and a user of its threads."""

    def __init__(self, library: Library, address: int, loader: Handle) -> None:
        super().__init__(library, address, "gemel_model_close", loader)
        self._is_loaders = True

    def _free(self, address: int) -> None:
        if not self._is_loaders:
            super()._free(address)

    def arrived(self, pool: Pool) -> None:
        self._is_loaders = False
        self.move_to(pool)


class Loading:
    """One gemel_loader. Close it when done, whatever happened."""

    def __init__(self, library: Library, name: str, sizes: Sequence[int]) -> None:
        self.library = library
        self.name = name
        self.sizes = tuple(sizes)
        self.starts = [0, *accumulate(sizes)]
        self.error: Block = library.alloc(ERROR_SIZE)
        self.loader = open_handle(library, "gemel_loader_open", float(sizes[0]), where=name, error=self.error)
        self.n_parts = 0          # parts whose headers are whole
        self._header_end = 0      # bytes of the header that comes next, fed so far
        self._arrival: Arrival | None = None
        self._pool: Pool | None = None
        self._model: Arriving | None = None

    def close(self) -> None:
        self.loader.close()

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self.starts[-1]

    @property
    def left(self) -> int:
        """Bytes of tensors that are missing."""
        return self._arrival.left if self._arrival else self.size

    def part_of(self, offset: int) -> int:
        return bisect_right(self.starts, offset) - 1

    # ---- The header -------------------------------------------------------------------------------------------------

    def header(self, offset: int, data: Data) -> bool:
        """Feed the next bytes of the header that is arriving; True when that header is whole."""
        if not self._header_end and self.n_parts:
            self._call("gemel_loader_part", float(self.sizes[self.n_parts]))
        self.feed(offset, data)
        self._header_end = offset + size_of(data)
        with self.loader as loader:
            whole = bool(self.library.call("gemel_loader_n_parts", loader) > self.n_parts)
        if whole:
            self.n_parts, self._header_end = self.n_parts + 1, 0
        elif self._header_end >= self.starts[self.n_parts + 1]:
            raise FormatError(
                f"{self.name}: the file ends at offset {self._header_end}, inside its header: it is not complete"
            )
        return whole

    def gguf(self) -> int:
        """Return the address of the header, once it is whole."""
        with self.loader as loader:
            return int(self.library.call("gemel_loader_gguf", loader) or 0)

    def override(self, overrides: Mapping[str, Override]) -> dict[str, Override]:
        """Read the headers, which are whole, with these values; return them by the keys' full names."""
        metadata = Metadata(self.library, self.loader, self.gguf())
        with self.loader as loader:
            return give(self.library, loader, metadata, overrides, self.name)

    def begin(self, threads: int, isa: int | None) -> list[Span]:
        """Make the model's shape; return the spans that it needs, in the order of need.

        It uses `threads` threads of the library's pool.
        """
        self._set(_abi.LOADER_N_THREADS, threads)
        with at_least(self.library, threads) as pool, self.loader as loader:
            self.loader.move_to(pool)
            check(self.library, self.library.call("gemel_loader_use", loader, pool.address), self.name)
            self._pool = pool
        if isa is not None:
            self._set(_abi.LOADER_ISA, isa)
        self._call("gemel_loader_begin")
        rows = read_rows(self.library, self.gguf())
        self._arrival = Arrival(rows, self.feed)
        return layer_order(rows, self.sizes)

    # ---- The tensors ------------------------------------------------------------------------------------------------

    def feed(self, offset: int, data: Data) -> None:
        """Hand bytes to the core as they are."""
        self._call("gemel_loader_feed", float(offset), self.library.lend(data), size_of(data))

    def take(self, offset: int, data: Data) -> None:
        """Hand over bytes of tensors, in any order."""
        assert self._arrival is not None
        self._arrival.take(offset, data)

    def n_layers(self) -> int:
        """Return how many layers are whole, up to the first that is not; -1 before a session can begin."""
        with self.loader as loader:
            return int(self.library.call("gemel_loader_n_layers", loader))

    def model(self) -> Arriving:
        """Return the model that is arriving, for sessions that run ahead."""
        if self._model is None:
            with self.loader as loader:
                address = self.library.call("gemel_loader_model", loader)
            self._model = Arriving(self.library, address, self.loader)
        return self._model

    def finish(self) -> Handle:
        """Return the model; all tensors are in."""
        out = self.library.alloc(8)
        self._call("gemel_loader_finish", out)
        assert self._pool is not None
        if self._model is None:
            return Handle(self.library, pointer_at(self.library, out), "gemel_model_close", self._pool)
        self._model.arrived(self._pool)
        return self._model

    def _set(self, option: int, value: int) -> None:
        with self.loader as loader:
            check(self.library, self.library.call("gemel_loader_set", loader, option, value), self.name)

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        with self.loader as loader:
            code = self.library.call(name, loader, *arguments, self.error, self.error.size)
        check(self.library, code, self.name, self.error)


async def read_headers(loading: Loading, arrivals: Arrivals) -> list[tuple[int, Data]]:
    """Feed the header of every part; return the pieces that hold more than a header and won't come again."""
    early: list[tuple[int, Data]] = []
    while loading.n_parts < len(loading.sizes):
        offset, data = await arrivals.next()
        part = loading.part_of(offset)
        whole = part == loading.n_parts and loading.header(offset, data)
        if (whole or part < loading.n_parts) and not arrivals.repeats:
            early.append((offset, kept(data, 0, size_of(data))))
        if whole and loading.n_parts < len(loading.sizes):
            part = loading.n_parts
            arrivals.order([(loading.starts[part], loading.starts[part + 1])], final=False)
    return early


async def read_tensors(
    loading: Loading,
    arrivals: Arrivals,
    early: Sequence[tuple[int, Data]],
    on_progress: Progress | None,
    step: Step | None,
) -> None:
    """Feed the tensors. A layer is evaluated when no piece waits: bytes come first, and the download never stops."""
    for offset, data in early:
        loading.take(offset, data)
    while True:
        if on_progress:
            on_progress("load", loading.size - loading.left, loading.size)
        if not loading.left:
            break
        while step is not None and not arrivals.ready and step(loading.n_layers()):
            await arrivals.turn()
        offset, data = await arrivals.next()
        loading.take(offset, data)


async def read_gguf(library: Library, arrivals: Arrivals) -> Gguf:
    """Return the header of a source; its loader lives on until the Gguf is closed."""
    loading = Loading(library, arrivals.name, arrivals.sizes)
    try:
        await read_headers(loading, arrivals)
        return Gguf(library, loading.loader, loading.gguf(), loading.size, loading.name)
    except BaseException:
        loading.close()
        raise


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a source that should be at hand waited")
