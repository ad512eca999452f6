"""What JavaScript holds as a model: a File or Blob in slices, an array's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import SourceError
from ..source.layer_order import Span, pieces
from ..source.piece_order import Data

SLICE = 1 << 22     # bytes of a File per read


def is_blob(model: object) -> bool:
    """Tell whether this is a File or Blob of JavaScript's."""
    return hasattr(model, "js_id") and hasattr(model, "arrayBuffer") and hasattr(model, "slice")


def is_array(model: object) -> bool:
    """Tell whether this is an ArrayBuffer, a typed array or a DataView of JavaScript's."""
    return hasattr(model, "js_id") and hasattr(model, "byteLength")


def name_of(model: Any) -> str:  # noqa: ANN401
    return model if isinstance(model, str) else str(getattr(model, "name", None) or "<blob>")


class ArraySource:
    """A Source of an ArrayBuffer, a typed array or a DataView."""

    def __init__(self, array: Any) -> None:  # noqa: ANN401
        import js  # type: ignore[import-not-found]

        self.name = "<array>"
        whole = not hasattr(array, "buffer")   # an ArrayBuffer itself
        new = js.Uint8Array.new
        self._bytes = new(array) if whole else new(array.buffer, array.byteOffset, array.byteLength)
        self.size = int(self._bytes.byteLength)
        self.sizes: tuple[int, ...] = (self.size,)

    def read(self, offset: int, size: int) -> Data:
        return self._bytes.subarray(offset, offset + size)

    def close(self) -> None:
        self._bytes = None


class BlobPieces:
    """A PieceSource of a File or Blob; it reads the slice after the next one in advance."""

    repeats = True
    ready = False

    def __init__(self, blob: Any) -> None:  # noqa: ANN401
        self.name = name_of(blob)
        self.sizes: tuple[int, ...] = (int(blob.size),)
        self._blob = blob
        self._coming: tuple[int, Any] | None = None
        self.order([(0, self.sizes[0])], final=False)

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        self._pieces: Iterator[Span] = pieces(spans, SLICE)
        self._coming = None

    async def next(self) -> tuple[int, Data]:
        import js

        start, promise = self._coming or self._begin(next(self._pieces))
        following = next(self._pieces, None)
        self._coming = self._begin(following) if following else None
        try:
            return start, js.Uint8Array.new(await promise)
        except Exception as error:   # the browser's, when the file was changed or deleted
            raise _unreadable(self.name, start, error) from error

    def _begin(self, span: Span) -> tuple[int, Any]:
        return span[0], self._blob.slice(*span).arrayBuffer()

    async def yield_turn(self) -> None:
        await asyncio.sleep(0)

    async def end(self) -> None:
        pass

    def close(self) -> None:
        self._blob = self._coming = None


class BlobSource:
    """A Source of a File or Blob, in a worker."""

    def __init__(self, blob: Any) -> None:  # noqa: ANN401
        import js

        self.name = name_of(blob)
        self.size = int(blob.size)
        self.sizes: tuple[int, ...] = (self.size,)
        self._blob = blob
        self._reader = js.FileReaderSync.new()

    def read(self, offset: int, size: int) -> Data:
        import js

        try:
            return js.Uint8Array.new(self._reader.readAsArrayBuffer(self._blob.slice(offset, offset + size)))
        except Exception as error:
            raise _unreadable(self.name, offset, error) from error

    def close(self) -> None:
        self._blob = None


def _unreadable(name: str, offset: int, error: Exception) -> SourceError:
    return SourceError(f"{name}: reading at offset {offset} failed: {error}; choose the file again")
