"""IQ1, IQ2 and IQ3 in plain numpy: tuples of magnitudes by their index, signs apart. gguf_file.py reads the others.

The grids are those of the gguf package; all else is written from the formats' public descriptions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]


class Parts(NamedTuple):
    """Blocks of a format, taken apart."""

    scale: F32  # [blocks][n_sub], d or d * sc
    minimum: F32 | None  # [blocks][n_sub], m or -(dmin * mn); None: the format has none
    values: F32  # [blocks][n_sub][16 or 32], integers


@functools.cache
def _grid(name: str) -> Ints:
    """Return the tuples of a format."""
    from gguf import quants

    form = getattr(quants, name)
    form.init_grid()
    return np.asarray(form.grid).reshape(form.grid_shape).astype(np.int32)


def _u16(b: U8, at: int, n: int) -> Ints:
    return b[:, at : at + 2 * n].copy().view("<u2").astype(np.int32)


def _d(b: U8, at: int = 0) -> F32:
    return b[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _fields(words: npt.NDArray[np.integer], width: int, n: int) -> Ints:
    """[blocks][k] words -> [blocks][k n]: of each, n fields of `width` bits, the lowest first."""
    found = words.astype(np.int64)[..., None] >> np.arange(0, width * n, width) & ((1 << width) - 1)
    return found.reshape(len(words), -1).astype(np.int32)


def _signed(magnitudes: Ints, signs: Ints) -> Ints:
    """[blocks][k][8 or 4] magnitudes with the signs of all values: [blocks][256] bits."""
    flat = magnitudes.reshape(len(magnitudes), -1)
    return np.where(signs == 1, -flat, flat)


def _even(sevens: Ints) -> Ints:
    """[blocks][k] -> [blocks][8 k]: seven signs, and one that makes their number even."""
    seven = _fields(sevens, 1, 7).reshape(len(sevens), -1, 7)
    return np.concatenate([seven, seven.sum(-1, keepdims=True) % 2], axis=-1).reshape(len(sevens), -1)


def _parts(d: F32, divisor: int, sc: Ints, values: Ints) -> Parts:
    scale = d / np.float32(divisor) * (2 * sc + 1).astype(np.float32)
    return Parts(scale, None, values.reshape(len(d), sc.shape[1], -1).astype(np.float32))


def _words_of_signs(b: U8, at: int, stride: int) -> tuple[Ints, Ints]:
    """Return the signs and scales of 8 words, which are `stride` bytes apart."""
    words = np.stack([b[:, at + stride * i : at + stride * i + 4].copy().view("<u4")[:, 0] for i in range(8)], axis=1)
    return _even(_fields(words, 7, 4)), (words >> 28).astype(np.int32)


def _iq2_xxs(b: U8) -> Parts:
    signs, sc = _words_of_signs(b, 6, 8)
    indices = b[:, 2:].reshape(len(b), 8, 8)[:, :, :4].reshape(len(b), -1)
    return _parts(_d(b), 8, sc, _signed(_grid("IQ2_XXS")[indices], signs))


def _iq2_xs(b: U8) -> Parts:
    words = _u16(b, 2, 32)
    return _parts(_d(b), 8, _fields(b[:, 66:], 4, 2), _signed(_grid("IQ2_XS")[words & 511], _even(words >> 9)))


def _iq2_s(b: U8) -> Parts:
    indices = b[:, 2:34] | _fields(b[:, 66:74], 2, 4) << 8
    return _parts(_d(b), 8, _fields(b[:, 74:], 4, 2), _signed(_grid("IQ2_S")[indices], _fields(b[:, 34:66], 1, 8)))


def _iq3_xxs(b: U8) -> Parts:
    signs, sc = _words_of_signs(b, 66, 4)
    return _parts(_d(b), 4, sc, _signed(_grid("IQ3_XXS")[b[:, 2:66]], signs))


def _iq3_s(b: U8) -> Parts:
    indices = b[:, 2:66] | _fields(b[:, 66:74], 1, 8) << 8
    return _parts(_d(b), 1, _fields(b[:, 106:], 4, 2), _signed(_grid("IQ3_S")[indices], _fields(b[:, 74:106], 1, 8)))


def _eighths(tuples: Ints, minus: Ints) -> Ints:
    """Eight times a tuple's values and an eighth: [blocks][32][8], with the eighth's sign for each tuple."""
    return 8 * tuples + np.where(minus == 1, -1, 1)[..., None]


def _iq1_s(b: U8) -> Parts:
    high = _u16(b, 34, 8)
    tuples = _grid("IQ1_S")[b[:, 2:34] | _fields(high, 3, 4) << 8]
    return _parts(_d(b), 8, high >> 12 & 7, _eighths(tuples, np.repeat(high >> 15, 4, axis=1)))


def _iq1_m(b: U8) -> Parts:
    words, high = _u16(b, 48, 4), _fields(b[:, 32:48], 4, 2)
    d = (words >> 12 << np.arange(0, 16, 4)).sum(axis=1).astype("<u2").view("<f2").astype(np.float32)[:, None]
    tuples = _grid("IQ1_S")[b[:, :32] | (high & 7) << 8]
    return _parts(d, 8, _fields(words & 0xFFF, 3, 4), _eighths(tuples, high >> 3))


ROWS: dict[int, tuple[str, int, int, Callable[[U8], Parts]]] = {   # a type's name, weights, bytes, reader
    16: ("IQ2_XXS", 256, 66, _iq2_xxs),
    17: ("IQ2_XS", 256, 74, _iq2_xs),
    18: ("IQ3_XXS", 256, 98, _iq3_xxs),
    19: ("IQ1_S", 256, 50, _iq1_s),
    21: ("IQ3_S", 256, 110, _iq3_s),
    22: ("IQ2_S", 256, 82, _iq2_s),
    29: ("IQ1_M", 256, 56, _iq1_m),
}
