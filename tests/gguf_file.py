"""GGUF files read in plain numpy: bytes -> metadata and tensors -> parts of formats -> floats.

Written from the formats' public descriptions, not from the C; reference.py computes with what is read here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import gguf_grids
import numpy as np
from gguf_grids import F32 as F32
from gguf_grids import U8 as U8
from gguf_grids import Ints as Ints
from gguf_grids import Parts as Parts

# ---- Formats ---------------------------------------------------------------------------------------------------------
# Every quantised format is the same thing: sub-blocks of 16 or 32 small integers, a float scale and perhaps a float
# minimum for each: w = scale * value + minimum. Zero points are subtracted and code-books looked up in `values`.

IQ4NL = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int32)
FP4_DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int32)


def _f16(blocks: U8, at: int) -> F32:
    """Read the little-endian half at byte `at` of each block: [blocks][1]."""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _nibbles(data: U8) -> Ints:
    """[..][k] bytes -> [..][2][k]: the low nibbles, then the high ones."""
    return np.stack([data & 15, data >> 4], axis=-2).astype(np.int32)


def _planes(data: U8, width: int) -> Ints:
    """[..][k] bytes -> [..][8 / width][k]: the fields of `width` bits, lowest first."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    return ((data[..., None, :] >> shifts) & ((1 << width) - 1)).astype(np.int32)


def _bits_in_order(data: U8) -> Ints:
    """[blocks][k] bytes -> [blocks][8 k]: bit i of the little-endian word."""
    return np.unpackbits(data, axis=1, bitorder="little").astype(np.int32)


def _six_bit_pairs(b: U8) -> tuple[Ints, Ints]:
    """Unpack the 12 bytes with 8 scales and 8 minima that Q4_K and Q5_K share."""
    first, second, third = (b[:, 4 * i : 4 * i + 4].astype(np.int32) for i in range(3))
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6) << 4], axis=1)
    minima = np.concatenate([second & 63, (third >> 4) | (second >> 6) << 4], axis=1)
    return scales, minima


def _symmetric(d: F32, values: Ints, sub: int, scales: Ints | None = None) -> Parts:
    scale = d if scales is None else d * scales.astype(np.float32)
    return Parts(scale, None, values.reshape(len(d), -1, sub).astype(np.float32))


def _affine(d: F32, m: F32, values: Ints, sub: int, scales: tuple[Ints, Ints] | None = None) -> Parts:
    if scales is not None:
        d, m = d * scales[0].astype(np.float32), -(m * scales[1].astype(np.float32))
    return Parts(d, m, values.reshape(len(d), -1, sub).astype(np.float32))


def _q4_0(b: U8) -> Parts:
    return _symmetric(_f16(b, 0), _nibbles(b[:, 2:]) - 8, 32)


def _q4_1(b: U8) -> Parts:
    return _affine(_f16(b, 0), _f16(b, 2), _nibbles(b[:, 4:]), 32)


def _q5_0(b: U8) -> Parts:
    fifth = _bits_in_order(b[:, 2:6]) << 4
    return _symmetric(_f16(b, 0), _nibbles(b[:, 6:]).reshape(-1, 32) + fifth - 16, 32)


def _q5_1(b: U8) -> Parts:
    fifth = _bits_in_order(b[:, 4:8]) << 4
    return _affine(_f16(b, 0), _f16(b, 2), _nibbles(b[:, 8:]).reshape(-1, 32) + fifth, 32)


def _q8_0(b: U8) -> Parts:
    return _symmetric(_f16(b, 0), b[:, 2:].view(np.int8).astype(np.int32), 32)


def _q2_k(b: U8) -> Parts:
    pairs = _nibbles(b[:, :16])
    codes = _planes(b[:, 16:80].reshape(-1, 2, 32), 2)
    return _affine(_f16(b, 80), _f16(b, 82), codes, 16, (pairs[:, 0], pairs[:, 1]))


def _q3_k(b: U8) -> Parts:
    scales = _nibbles(b[:, 96:104]).reshape(-1, 16) + (_planes(b[:, 104:108], 2).reshape(-1, 16) << 4) - 32
    low = _planes(b[:, 32:96].reshape(-1, 2, 32), 2).reshape(-1, 256)
    third = _planes(b[:, :32], 1).reshape(-1, 256) << 2
    return _symmetric(_f16(b, 108), low + third - 4, 16, scales)


def _q4_k(b: U8) -> Parts:
    return _affine(_f16(b, 0), _f16(b, 2), _nibbles(b[:, 16:].reshape(-1, 4, 32)), 32, _six_bit_pairs(b[:, 4:16]))


def _q5_k(b: U8) -> Parts:
    low = _nibbles(b[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    fifth = _planes(b[:, 16:48], 1) << 4
    return _affine(_f16(b, 0), _f16(b, 2), low + fifth, 32, _six_bit_pairs(b[:, 4:16]))


def _q6_k(b: U8) -> Parts:
    low = _nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 256)
    high = _planes(b[:, 128:192].reshape(-1, 2, 32), 2).reshape(-1, 256) << 4
    return _symmetric(_f16(b, 208), low + high - 32, 16, b[:, 192:208].view(np.int8).astype(np.int32))


def _iq4_nl(b: U8) -> Parts:
    return _symmetric(_f16(b, 0), IQ4NL[_nibbles(b[:, 2:])], 32)


def _iq4_xs(b: U8) -> Parts:
    high = (b[:, 2:4].copy().view("<u2").astype(np.int32) >> np.arange(0, 16, 2)) & 3
    low = _nibbles(b[:, 4:8]).swapaxes(1, 2).reshape(-1, 8)
    return _symmetric(_f16(b, 0), IQ4NL[_nibbles(b[:, 8:].reshape(-1, 8, 16))], 32, low + (high << 4) - 32)


def _mxfp4(b: U8) -> Parts:
    exponent = b[:, :1].astype(np.int32) - 128
    scale = np.where(exponent == 127, np.float32(np.nan), np.ldexp(np.float32(1), exponent))
    return _symmetric(scale.astype(np.float32), FP4_DOUBLED[_nibbles(b[:, 1:])], 32)


def _nvfp4(b: U8) -> Parts:
    x = b[:, :4].astype(np.int32) & 127
    exponent, mantissa = x >> 3, (x & 7).astype(np.float32)
    scale = np.where(exponent == 0, mantissa / 512, np.ldexp(1 + mantissa / 8, exponent - 7)) / 2
    codes = _nibbles(b[:, 4:].reshape(-1, 4, 8)).reshape(-1, 4, 16)
    return Parts(np.where(b[:, :4] == 127, 0, scale).astype(np.float32), None, FP4_DOUBLED[codes].astype(np.float32))


def _tq1_0(b: U8) -> Parts:
    parts = []
    for first, n, digits in ((0, 32, 5), (32, 16, 5), (48, 4, 4)):
        powers = 3 ** np.arange(digits).reshape(-1, 1)
        rest = (b[:, None, first : first + n] * powers) % 256
        parts.append((rest * 3 // 256).reshape(len(b), -1))
    return _repeated(_f16(b, 52), np.concatenate(parts, axis=1).astype(np.int32) - 1)


def _tq2_0(b: U8) -> Parts:
    codes = _planes(b[:, :64].reshape(-1, 2, 32), 2).reshape(-1, 256)
    return _repeated(_f16(b, 64), codes - 1)


def _q2_0(b: U8) -> Parts:
    codes = _bits_in_order(b[:, 2:]).reshape(-1, 64, 2) @ np.array([1, 2], np.int32)
    return _repeated(_f16(b, 0), codes - 1)


def _q1_0(b: U8) -> Parts:
    return _repeated(_f16(b, 0), 2 * _bits_in_order(b[:, 2:]) - 1)


def _repeated(d: F32, values: Ints) -> Parts:
    """Take blocks of 64 to 256 as sub-blocks of 32 with the same scale."""
    return Parts(np.repeat(d, values.shape[1] // 32, axis=1), None, values.reshape(len(d), -1, 32).astype(np.float32))


class Format(NamedTuple):
    name: str
    block: int  # weights
    size: int  # bytes
    parts: Callable[[U8], Parts] | None  # None: plain floats


FORMATS = {
    0: Format("F32", 1, 4, None),
    1: Format("F16", 1, 2, None),
    2: Format("Q4_0", 32, 18, _q4_0),
    3: Format("Q4_1", 32, 20, _q4_1),
    6: Format("Q5_0", 32, 22, _q5_0),
    7: Format("Q5_1", 32, 24, _q5_1),
    8: Format("Q8_0", 32, 34, _q8_0),
    10: Format("Q2_K", 256, 84, _q2_k),
    11: Format("Q3_K", 256, 110, _q3_k),
    12: Format("Q4_K", 256, 144, _q4_k),
    13: Format("Q5_K", 256, 176, _q5_k),
    14: Format("Q6_K", 256, 210, _q6_k),
    20: Format("IQ4_NL", 32, 18, _iq4_nl),
    23: Format("IQ4_XS", 256, 136, _iq4_xs),
    30: Format("BF16", 1, 2, None),
    34: Format("TQ1_0", 256, 54, _tq1_0),
    35: Format("TQ2_0", 256, 66, _tq2_0),
    39: Format("MXFP4", 32, 17, _mxfp4),
    40: Format("NVFP4", 64, 36, _nvfp4),
    41: Format("Q1_0", 128, 18, _q1_0),
    42: Format("Q2_0", 64, 18, _q2_0),
    **{type_: Format(*row) for type_, row in gguf_grids.ROWS.items()},
}


def parts(type_: int, data: U8) -> Parts:
    """Take the rows of a quantised matrix apart: data[rows][bytes] -> scale[rows][n_sub] and so on."""
    form = FORMATS[type_]
    assert form.parts is not None, f"{form.name} has no parts"
    rows = data.shape[0]
    scale, minimum, values = form.parts(data.reshape(-1, form.size))
    return Parts(
        scale.reshape(rows, -1),
        None if minimum is None else minimum.reshape(rows, -1),
        values.reshape(rows, -1, values.shape[-1]),
    )


def dequantise(type_: int, data: bytes | U8, n: int) -> F32:
    """Return the n weights of whole blocks as float32 [n], multiply and add rounded separately."""
    raw = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1)
    form = FORMATS[type_]
    if raw.size * form.block != n * form.size:
        raise ValueError(f"{form.name}: {raw.size} bytes are not {n} weights")
    if form.name == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if form.parts is None:
        return raw.view("<f4" if form.name == "F32" else "<f2").astype(np.float32)
    scale, minimum, values = form.parts(raw.reshape(-1, form.size))
    weights = scale[..., None] * values
    return (weights if minimum is None else weights + minimum[..., None]).reshape(-1)


# ---- GGUF ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    """A tensor in the file's form: `shape` in numpy's order (the file's reversed), `data` [rows][bytes]."""

    type: int
    shape: tuple[int, ...]
    data: U8

    def floats(self) -> F32:
        return dequantise(self.type, self.data, math.prod(self.shape)).reshape(self.shape)


Value = float | int | str | list["Value"]
Metadata = dict[str, Value]
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str) -> float | int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        assert isinstance(value, float | int)
        return value

    def u32(self) -> int:
        return int(self.number("<I"))

    def u64(self) -> int:
        return int(self.number("<Q"))

    def string(self) -> str:
        size = self.u64()
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-8", "surrogateescape")

    def value(self, kind: int) -> Value:
        if kind == 8:
            return self.string()
        if kind == 9:
            item, count = self.u32(), self.u64()
            return [self.value(item) for _ in range(count)]
        return self.number(SCALARS[kind])


def read_gguf(data: bytes) -> tuple[Metadata, dict[str, Tensor]]:
    """Read a well-formed little-endian GGUF file of version 2 or 3: (metadata, tensors by name)."""
    cursor = _Cursor(data)
    if cursor.u32() != 0x46554747 or cursor.u32() not in (2, 3):
        raise ValueError("not a GGUF file of version 2 or 3")
    n_tensors, n_kv = cursor.u64(), cursor.u64()
    metadata = {cursor.string(): cursor.value(cursor.u32()) for _ in range(n_kv)}
    entries = []
    for _ in range(n_tensors):
        name = cursor.string()
        shape = tuple(reversed([cursor.u64() for _ in range(cursor.u32())]))
        entries.append((name, shape, cursor.u32(), cursor.u64()))
    alignment = metadata.get("general.alignment", 32)
    assert isinstance(alignment, int)
    start = -(-cursor.at // alignment) * alignment
    tensors = {}
    for name, shape, type_, offset in entries:
        form = FORMATS[type_]
        rows, row_size = math.prod(shape[:-1]), shape[-1] // form.block * form.size
        raw = np.frombuffer(data, np.uint8, rows * row_size, start + offset)
        tensors[name] = Tensor(type_, shape, raw.reshape(rows, row_size))
    return metadata, tensors
