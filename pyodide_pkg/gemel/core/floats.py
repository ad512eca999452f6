"""float32 bytes become an array: numpy's where numpy can be imported, otherwise a memoryview with the same shape."""

from __future__ import annotations

from typing import Any

FloatArray = Any
"""float32: a numpy array where numpy can be imported, otherwise a memoryview with the same shape."""


def floats(raw: bytes, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Return float32 bytes as an array of `shape`; None: one dimension."""
    try:
        import numpy
    except ImportError:
        view = memoryview(raw).cast("f")
        return view if shape is None else memoryview(raw).cast("f", shape)
    array = numpy.frombuffer(bytearray(raw), dtype=numpy.float32)
    return array if shape is None else array.reshape(shape)
