"""The whole model in readable numpy: what the C core computes, stated a second time.

    GGUF bytes -> metadata and tensors -> parts of formats -> operations -> Reference.logits

Integer sums are exact and float operations in matrix products and norms happen in the core's order, so those results
are the core's to the bit; exp, sin, cos and attention over F16 are numpy's, so what passes through them agrees to about
1e-6.
One caution when logits are compared: a difference of 1e-7 before activations are quantised can move a code by one,
and such a step is larger (about 1 / 127 of one value) than every rounding error together.

Written from the formats' public descriptions, not from the C. Shapes: n tokens, n_in and rows of a matrix.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

# ---- Formats ---------------------------------------------------------------------------------------------------------
# Every quantised format is the same thing: sub-blocks of 16 or 32 small integers, a float scale and perhaps a float
# minimum for each: w = scale * value + minimum. Zero points are subtracted and code-books looked up in `values`.


class Parts(NamedTuple):
    scale: F32  # [blocks][n_sub], d or d * sc
    minimum: F32 | None  # [blocks][n_sub], m or -(dmin * mn); None: the format has none
    values: F32  # [blocks][n_sub][16 or 32], integers


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
    39: Format("MXFP4", 32, 17, _mxfp4),
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


# ---- Operations ------------------------------------------------------------------------------------------------------


def quantise(x: F32) -> tuple[Ints, F32]:
    """Quantise activations x[..][n_in] in blocks of 32: (codes [..][n_in / 32][32] in -127..127, d [..][n_in / 32])."""
    blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, 32)
    amax = np.abs(blocks).max(axis=-1)
    zero = amax < np.float32(1e-30)
    inverse: F32 = np.divide(127, np.where(zero, np.float32(1), amax), dtype=np.float32)
    inverse[zero] = 0
    codes = np.clip(np.rint(blocks * inverse[..., None]), -127, 127)
    d: F32 = amax / np.float32(127)
    return codes.astype(np.int32), d


def matmul(tensor: Tensor, x: F32) -> F32:
    """Multiply x[n][n_in] by the matrix tensor[rows][n_in]: [n][rows], sums in ascending order of n_in."""
    out = np.zeros((x.shape[0], tensor.shape[0]), np.float32)
    if FORMATS[tensor.type].parts is None:
        weights = tensor.floats()
        for k in range(x.shape[1]):
            out += weights[:, k] * x[:, k, None]
        return out
    scale, minimum, values = parts(tensor.type, tensor.data)
    sub = values.shape[-1]
    codes, d = quantise(x)
    codes_f = codes.reshape(x.shape[0], -1, sub).astype(np.float32)
    for ib in range(scale.shape[1]):
        d_x = d[:, ib * sub // 32, None]
        isum = codes_f[:, ib] @ values[:, ib].T  # integers below 2^24: exact in float32, in any order
        out += (scale[:, ib] * d_x) * isum
        if minimum is not None:
            xsum = codes_f[:, ib].sum(axis=1, keepdims=True)
            out += minimum[:, ib] * (d_x * xsum)
    return out


def rmsnorm(x: F32, w: F32, eps: float) -> F32:
    """Scale x[..][n] by 1 / sqrt(mean square + eps), then by w[n]; the sum runs in 2 x 16 lanes and is folded."""
    n = x.shape[-1]
    padded = np.zeros((*x.shape[:-1], -(-n // 32) * 32), np.float32)
    padded[..., :n] = x
    squares = (padded * padded).reshape(*x.shape[:-1], -1, 2, 16)
    lanes = np.zeros((*x.shape[:-1], 2, 16), np.float32)
    for i in range(squares.shape[-3]):
        lanes = lanes + squares[..., i, :, :]
    total = lanes[..., 0, :] + lanes[..., 1, :]
    for half in (8, 4, 2, 1):
        total = total[..., :half] + total[..., half:]
    r: F32 = np.divide(1, np.sqrt(total / np.float32(n) + np.float32(eps)), dtype=np.float32)
    return (x * r) * w


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first n_rot values of a head, with GGUF's kinds of scaling.

    `freq_factors` [n_rot / 2] divide the frequencies: rope_freqs.weight (Llama 3), rope_factors_{long,short}.weight.
    """

    n_rot: int
    base: float = 10000.0
    neox: bool = False  # pairs (i, i + n_rot / 2); else (2i, 2i + 1)
    kind: str = "none"  # none, linear, yarn, longrope
    factor: float = 1.0
    n_ctx_orig: int = 0
    attn_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    freq_factors: F32 | None = None


def rope_table(spec: Rope, positions: Sequence[int]) -> tuple[F32, F32]:
    """Return cos and sin, [n][n_rot / 2], computed in float64 and rounded once; they carry the attention factor."""
    if spec.kind not in ("none", "linear", "yarn", "longrope"):
        raise ValueError(f"RoPE scaling {spec.kind!r} is not described here")
    i = np.arange(spec.n_rot // 2, dtype=np.float64)
    freq = spec.base ** (-2 * i / spec.n_rot)
    if spec.freq_factors is not None:
        freq = freq / spec.freq_factors.astype(np.float64)
    magnitude = spec.attn_factor
    scaled = freq if spec.kind == "none" else freq / spec.factor
    if spec.kind == "yarn":

        def turning(rotations: float) -> float:
            """Return the index whose pair makes so many rotations in the original context."""
            return spec.n_rot * math.log(spec.n_ctx_orig / (rotations * 2 * math.pi)) / (2 * math.log(spec.base))

        low = max(math.floor(turning(spec.beta_fast)), 0)
        high = min(math.ceil(turning(spec.beta_slow)), spec.n_rot - 1)
        keep = 1 - np.clip((i - low) / max(0.001, high - low), 0, 1)
        scaled = scaled * (1 - keep) + freq * keep
        magnitude *= 1 + 0.1 * math.log(spec.factor)
    angles = np.asarray(positions, np.float64)[:, None] * scaled
    return (np.cos(angles) * magnitude).astype(np.float32), (np.sin(angles) * magnitude).astype(np.float32)


def rope(spec: Rope, x: F32, positions: Sequence[int]) -> F32:
    """Rotate x[n][heads][head_dim], row i standing at positions[i]."""
    cos, sin = (t[:, None, :] for t in rope_table(spec, positions))
    half = spec.n_rot // 2
    first = slice(0, half) if spec.neox else slice(0, spec.n_rot, 2)
    second = slice(half, spec.n_rot) if spec.neox else slice(1, spec.n_rot, 2)
    out = x.copy()
    out[..., first] = x[..., first] * cos - x[..., second] * sin
    out[..., second] = x[..., first] * sin + x[..., second] * cos
    return out


def attend(q: F32, k: F32, v: F32) -> F32:
    """Causal grouped-query attention of the last n of n_past positions.

    q[n][n_head][head_dim], k and v[n_past][n_head_kv][head_dim] -> [n][n_head][head_dim]. k and v pass through float16.
    """
    n, n_head, head_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    group = n_head // n_head_kv
    keys = np.repeat(k.astype(np.float16).astype(np.float32), group, axis=1)
    values = np.repeat(v.astype(np.float16).astype(np.float32), group, axis=1)
    scores = np.einsum("ihd,jhd->hij", q * np.float32(1 / math.sqrt(head_dim)), keys)
    future = np.arange(n_past)[None, :] > np.arange(n_past - n, n_past)[:, None]
    scores = np.where(future, np.float32(-np.inf), scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out: F32 = np.einsum("hij,jhd->ihd", weights, values) / weights.sum(axis=-1).T[..., None]
    return out


EXP2 = np.array([9.58285317e-3, 5.5906425e-2, 0.240240986, 0.693124193, 1], np.float32)  # of 2^r, highest power first


def exp2(x: F32, y: float) -> F32:
    """Return y * 2^x for x <= 0 in the core's own steps; no less than y * 2^-126."""
    x = np.maximum(x, np.float32(-126))
    n: F32 = np.rint(x)
    terms = EXP2 * np.float32(y)
    power = np.broadcast_to(terms[0], x.shape)
    for term in terms[1:]:
        power = power * (x - n) + term
    out: F32 = np.ldexp(power, n.astype(np.int32))
    return out


class Q8Cache(NamedTuple):
    """Keys and values [positions][heads] as a Q8_0 cache keeps them."""

    k: Ints  # [..][head_dim / 32][32]
    k_scale: F32  # [..][head_dim / 32]
    v: Ints  # [..][head_dim]
    v_log: F32  # log2 of the scale
    v_inverse: F32  # 1 / scale

    def of(self, index: slice | tuple[slice, int]) -> Q8Cache:
        """Return what an index takes of every part."""
        return Q8Cache(self.k[index], self.k_scale[index], self.v[index], self.v_log[index], self.v_inverse[index])


def _padded(x: F32) -> F32:
    """Append zeros to heads until their width is a multiple of 32."""
    return np.concatenate([x, np.zeros((*x.shape[:-1], -x.shape[-1] % 32), np.float32)], axis=-1)


def q8_cache(k: F32, v: F32) -> Q8Cache:
    """Round k and v [positions][heads][head_dim]: K in blocks of 32 channels, V a head at a time."""
    codes, scale = quantise(_padded(k))
    amax = np.maximum(np.abs(v).max(axis=-1), np.float32(1e-30))
    inverse: F32 = np.divide(127, amax, dtype=np.float32)
    values = np.clip(np.rint(v * inverse[..., None]), -127, 127).astype(np.int32)
    log: F32 = np.log2((amax / np.float32(127)).astype(np.float64)).astype(np.float32)
    return Q8Cache(codes, scale, values, log, inverse)


def attend_q8(q: F32, k: F32, v: F32) -> F32:
    """As attend, over a Q8_0 cache: integer sums, and a block of 64 positions after the other."""
    n, n_head, head_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    codes, d = quantise(_padded(q * np.float32(math.log2(math.e) / math.sqrt(head_dim))))
    cache = q8_cache(k, v)
    out = np.zeros(q.shape, np.float32)
    for i in range(n):
        for ih in range(n_head):
            head = cache.of((slice(n_past - n + i + 1), ih * n_head_kv // n_head))
            out[i, ih] = _attend_q8_one(codes[i, ih], d[i, ih], head)
    return out


def _attend_q8_one(q: Ints, d: F32, head: Q8Cache) -> F32:
    """One query of one head: q[head_dim / 32][32] with its scales meets positions [n_past]."""
    top, lanes, out = np.float32(-3e38), np.zeros(16, np.float32), np.zeros(head.v.shape[1], np.float32)
    for start in range(0, len(head.v), 64):
        block = head.of(slice(start, start + 64))
        score = np.zeros(len(block.v), np.float32)
        for ib in range(len(d)):
            score = score + (block.k_scale[:, ib] * d[ib]) * (block.k[:, ib] @ q[ib]).astype(np.float32)
        score = score + block.v_log
        most = score.max()
        weights = exp2(score - most, 127)
        plain = np.zeros(64, np.float32)
        plain[: len(weights)] = weights * block.v_inverse
        total = np.zeros(16, np.float32)
        for row in plain.reshape(4, 16):
            total = total + row
        now = max(top, most)
        old, new = exp2(top - now, 1), exp2(most - now, 1)
        lanes = lanes * old + total * new
        out = out * old + (np.rint(weights).astype(np.int32) @ block.v).astype(np.float32) * new
        top = now
    for half in (8, 4, 2, 1):
        lanes = lanes[:half] + lanes[half:]
    mixed: F32 = out * np.divide(1, lanes[0], dtype=np.float32)
    return mixed


def swiglu(gate: F32, up: F32) -> F32:
    """gate / (1 + exp(-gate)) * up."""
    with np.errstate(over="ignore"):
        gated: F32 = np.divide(gate, 1 + np.exp(-gate), dtype=np.float32)
    return gated * up


# ---- The model -------------------------------------------------------------------------------------------------------

ARCHITECTURES = {"llama": False}  # name -> rope.neox


class Reference:
    """A model of a GGUF file. n_ctx chooses between longrope's two tables; default: min(the file's, 4096).

    kv_type: what keys and values are rounded to, "f16" or "q8_0".
    """

    def __init__(self, data: bytes, *, n_ctx: int | None = None, kv_type: str = "f16") -> None:
        self.attend = {"f16": attend, "q8_0": attend_q8}[kv_type]
        self.metadata, self.tensors = read_gguf(data)
        self.arch = str(self.metadata["general.architecture"])
        if self.arch not in ARCHITECTURES or self._number("expert_count", 0):
            raise ValueError(f"architecture {self.arch!r} (or its experts) is not described here")
        self.n_layer = int(self._number("block_count"))
        self.n_embd = int(self._number("embedding_length"))
        self.n_head = int(self._number("attention.head_count"))
        self.n_head_kv = int(self._number("attention.head_count_kv", self.n_head))
        self.head_dim = int(self._number("attention.key_length", self.n_embd // self.n_head))
        self.eps = self._number("attention.layer_norm_rms_epsilon")
        self.n_ctx = n_ctx or min(int(self._number("context_length")), 4096)
        self.rope = self._rope()

    def _number(self, key: str, default: float | None = None) -> float:
        value = self.metadata.get(f"{self.arch}.{key}", default)
        if not isinstance(value, float | int):
            raise ValueError(f"{self.arch}.{key} is {value!r}: a number is needed")
        return value

    def _rope(self) -> Rope:
        n_ctx_orig = int(self._number("rope.scaling.original_context_length", self._number("context_length")))
        factors = self.tensors.get("rope_freqs.weight")
        if factors is None:
            length = "long" if self.n_ctx > n_ctx_orig else "short"
            factors = self.tensors.get(f"rope_factors_{length}.weight")
        return Rope(
            n_rot=int(self._number("rope.dimension_count", self.head_dim)),
            base=self._number("rope.freq_base", 10000.0),
            neox=ARCHITECTURES[self.arch],
            kind=str(self.metadata.get(f"{self.arch}.rope.scaling.type", "linear")),
            factor=self._number("rope.scaling.factor", self._number("rope.scale_linear", 1.0)) or 1.0,
            n_ctx_orig=n_ctx_orig,
            attn_factor=self._number("rope.scaling.attn_factor", 1.0),
            beta_fast=self._number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=self._number("rope.scaling.yarn_beta_slow", 1.0),
            freq_factors=None if factors is None else factors.floats(),
        )

    def _linear(self, name: str, x: F32) -> F32:
        out = matmul(self.tensors[f"{name}.weight"], x)
        bias = self.tensors.get(f"{name}.bias")
        return out if bias is None else out + bias.floats()

    def _norm(self, name: str, x: F32) -> F32:
        return rmsnorm(x, self.tensors[f"{name}.weight"].floats(), self.eps)

    def _layer(self, il: int, x: F32) -> F32:
        blk = f"blk.{il}."
        positions = range(len(x))
        h = self._norm(blk + "attn_norm", x)
        q = self._linear(blk + "attn_q", h).reshape(len(x), self.n_head, self.head_dim)
        k = self._linear(blk + "attn_k", h).reshape(len(x), self.n_head_kv, self.head_dim)
        v = self._linear(blk + "attn_v", h).reshape(len(x), self.n_head_kv, self.head_dim)
        mixed = self.attend(rope(self.rope, q, positions), rope(self.rope, k, positions), v)
        x = x + self._linear(blk + "attn_output", mixed.reshape(len(x), -1))
        h = self._norm(blk + "ffn_norm", x)
        gated = swiglu(self._linear(blk + "ffn_gate", h), self._linear(blk + "ffn_up", h))
        return x + self._linear(blk + "ffn_down", gated)

    def hidden(self, ids: Sequence[int]) -> F32:
        """Return the last hidden states of ids, after the output norm: [n][n_embd]."""
        embd = self.tensors["token_embd.weight"]
        x = dequantise(embd.type, embd.data[list(ids)], len(ids) * self.n_embd).reshape(-1, self.n_embd)
        for il in range(self.n_layer):
            x = self._layer(il, x)
        return self._norm("output_norm", x)

    def logits(self, ids: Sequence[int]) -> F32:
        """Return the logits after each of ids: [n][n_vocab]."""
        output = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return matmul(output, self.hidden(ids))
