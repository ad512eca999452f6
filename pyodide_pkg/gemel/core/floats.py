"""float32 bytes become an array: numpy's where numpy can be imported, otherwise a memoryview with the same shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    class FloatArray(numpy.ndarray[Any, numpy.dtype[numpy.float32]]):
        """A numpy array, which memoryview() and bytes() take in every version of Python."""

        def __buffer__(self, flags: int, /) -> memoryview: ...

    Rows: TypeAlias = Buffer | NDArray[numpy.float32]
else:   # without numpy, a memoryview with the same shape
    FloatArray = Rows = Any


def floats(raw: bytes, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Return float32 bytes as an array of `shape`; None: one dimension."""
    try:
        import numpy
    except ImportError:
        view = memoryview(raw).cast("f")
        return cast("FloatArray", view if shape is None else memoryview(raw).cast("f", shape))
    array: Any = numpy.frombuffer(bytearray(raw), dtype=numpy.float32)
    return cast("FloatArray", array if shape is None else array.reshape(shape))
