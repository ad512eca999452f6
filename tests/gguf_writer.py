"""GGUF files as they are described, valid or not, and random weights of any format: a writer of numpy and struct.

    write_gguf(None, kv, tensors) -> bytes of whatever is described
    random_blocks("Q4_K", 512, rng, std) -> whole blocks of random valid codes, weights about `std` in size
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vocabulary import Pair

F32 = npt.NDArray[np.float32]

# ---- Numbers of the format -------------------------------------------------------------------------------------------

VALUE_TYPES = {
    "u8": 0, "i8": 1, "u16": 2, "i16": 3, "u32": 4, "i32": 5, "f32": 6, "bool": 7, "string": 8, "array": 9,
    "u64": 10, "i64": 11, "f64": 12,
}  # fmt: skip
PACKING = {
    "u8": "<B", "i8": "<b", "u16": "<H", "i16": "<h", "u32": "<I", "i32": "<i", "f32": "<f", "bool": "<?",
    "u64": "<Q", "i64": "<q", "f64": "<d",
}  # fmt: skip
TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q8_1": 9, "Q2_K": 10, "Q3_K": 11,
    "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "Q8_K": 15, "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ1_S": 19,
    "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22, "IQ4_XS": 23, "I8": 24, "I16": 25, "I32": 26, "I64": 27, "F64": 28,
    "IQ1_M": 29, "BF16": 30, "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40, "Q1_0": 41, "Q2_0": 42,
}  # fmt: skip
BLOCKS = {  # name: (weights, bytes)
    "F32": (1, 4), "F16": (1, 2), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
    "Q8_0": (32, 34), "Q8_1": (32, 36), "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176),
    "Q6_K": (256, 210), "Q8_K": (256, 292), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98),
    "IQ1_S": (256, 50), "IQ4_NL": (32, 18), "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136),
    "I8": (1, 1), "I16": (1, 2), "I32": (1, 4), "I64": (1, 8), "F64": (1, 8), "IQ1_M": (256, 56), "BF16": (1, 2),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17), "NVFP4": (64, 36), "Q1_0": (128, 18), "Q2_0": (64, 18),
}  # fmt: skip

# ---- Writing ---------------------------------------------------------------------------------------------------------

# A Pair is a key, a type and a value: ("a", "u32", 7), ("a", "string[]", ["x"]). A type number is followed by bytes as
# they are.


@dataclass(frozen=True)
class Tensor:
    """A row of the tensor table and its bytes. Nothing is checked: a lie is a test case."""

    name: str | bytes
    type: str | int
    ne: Sequence[int]  # ne[0] is the contiguous one
    data: bytes
    offset: int | None = None  # as the table claims; None: where the data is
    n_dims: int | None = None  # as the table claims; None: len(ne)


def packed_string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def _packed_item(kind: str, value: Any) -> bytes:  # noqa: ANN401
    return packed_string(value) if kind == "string" else struct.pack(PACKING[kind], value)


def _packed_pair(pair: Pair) -> bytes:
    key, kind, value = pair
    start = packed_string(key)
    if isinstance(kind, int):
        return start + struct.pack("<I", kind) + bytes(value)
    if not kind.endswith("[]"):
        return start + struct.pack("<I", VALUE_TYPES[kind]) + _packed_item(kind, value)
    item = kind[:-2]
    head = struct.pack("<IIQ", VALUE_TYPES["array"], VALUE_TYPES[item], len(value))
    return start + head + b"".join(_packed_item(item, one) for one in value)


def _packed_row(tensor: Tensor, offset: int) -> bytes:
    number = TYPES[tensor.type] if isinstance(tensor.type, str) else tensor.type
    n_dims = len(tensor.ne) if tensor.n_dims is None else tensor.n_dims
    offset = offset if tensor.offset is None else tensor.offset
    dims = b"".join(struct.pack("<Q", ne) for ne in tensor.ne)
    return packed_string(tensor.name) + struct.pack("<I", n_dims) + dims + struct.pack("<IQ", number, offset)


def write_gguf(
    path: Path | None,
    kv: Iterable[Pair],
    tensors: Sequence[Tensor] = (),
    *,
    alignment: int = 32,
    version: int = 3,
    magic: bytes = b"GGUF",
    n_kv: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """Return a file's bytes, and write them to `path` unless it is None. The counts may be claimed to be others."""
    pairs = list(kv)
    if alignment != 32:
        pairs.insert(0, ("general.alignment", "u32", alignment))
    table, data = b"", bytearray()
    for tensor in tensors:
        table += _packed_row(tensor, len(data))
        data += tensor.data + bytes(-len(tensor.data) % alignment)
    counts = struct.pack(
        "<QQ", len(tensors) if n_tensors is None else n_tensors, len(pairs) if n_kv is None else n_kv
    )
    header = magic + struct.pack("<I", version) + counts + b"".join(map(_packed_pair, pairs)) + table
    out = b"".join([header, bytes(-len(header) % alignment), data])
    if path is not None:
        path.write_bytes(out)
    return out


def write_split(
    folder: Path | None,
    kv: Iterable[Pair],
    tensors: Sequence[Tensor],
    counts: Sequence[int],
    *,
    alignment: int = 32,
    keys: Mapping[int, Sequence[Pair]] | None = None,
) -> list[bytes]:
    """Return the parts of a split model, of counts[i] tensors each; the first has the metadata.

    keys: of part i, in the place of the part's same key, or added; a value of None leaves the key out. Only the
    first part has another alignment. Files are called tiny-00001-of-0000N.gguf.
    """
    parts, at = [], 0
    for no, count in enumerate(counts):
        own: list[Pair] = [
            ("split.no", "u16", no), ("split.count", "u16", len(counts)), ("split.tensors.count", "i32", len(tensors)),
        ]  # fmt: skip
        merged = {pair[0]: pair for pair in (*(kv if no == 0 else ()), *own, *(keys or {}).get(no, ()))}
        path = None if folder is None else folder / f"tiny-{no + 1:05}-of-{len(counts):05}.gguf"
        pairs = [pair for pair in merged.values() if pair[2] is not None]
        parts.append(write_gguf(path, pairs, tensors[at : at + count], alignment=32 if no else alignment))
        at += count
    return parts


# ---- Weights ---------------------------------------------------------------------------------------------------------
# A block is random bytes, all of which are valid codes, and scales written over them. For each coded type: where the
# scale d is, where the minimum is (None: there is none), how many d the minimum must be for weights to average
# to 0, and the root mean square of a weight when d is 1 and codes and sub-scales are uniform.

CODED = {
    "Q4_0": (0, None, 0.0, 4.637),
    "Q4_1": (0, 2, -7.5, 4.610),
    "Q5_0": (0, None, 0.0, 9.247),
    "Q5_1": (0, 2, -15.5, 9.233),
    "Q8_0": (0, None, 0.0, 73.90),
    "Q2_K": (80, 82, 1.5, 13.87),
    "Q3_K": (108, None, 0.0, 43.34),
    "Q4_K": (0, 2, 7.5, 258.3),
    "Q5_K": (0, 2, 15.5, 526.9),
    "Q6_K": (208, None, 0.0, 1366.0),
    "IQ4_NL": (0, None, 0.0, 67.5),
    "IQ4_XS": (0, None, 0.0, 1247.0),
    "IQ1_S": (0, None, 0.0, 7.218),
    "IQ2_XXS": (0, None, 0.0, 53.28),
    "IQ2_XS": (0, None, 0.0, 55.98),
    "IQ2_S": (0, None, 0.0, 56.46),
    "IQ3_XXS": (0, None, 0.0, 142.2),
    "IQ3_S": (0, None, 0.0, 140.7),
    "TQ1_0": (52, None, 0.0, 0.8176),
    "TQ2_0": (64, None, 0.0, 1.225),
    "Q1_0": (0, None, 0.0, 1.0),
    "Q2_0": (0, None, 0.0, 1.225),
}
APART = ("MXFP4", "NVFP4", "IQ1_M")   # their scales are no f16 in one place
COMPUTED = ("F32", "F16", "BF16", *CODED, *APART)


def float_bytes(type_: str, values: F32) -> bytes:
    """Return values as F32, F16 or BF16 (rounded to nearest even)."""
    if type_ == "BF16":
        bits = values.astype("<f4").view("<u4").astype(np.uint64)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2"}[type_]).tobytes()


def random_blocks(type_: str, n_weights: int, rng: np.random.Generator, std: float) -> bytes:
    """Return whole blocks of a computed type: random valid codes, scales such that weights are about `std` in size."""
    block, size = BLOCKS[type_]
    if n_weights % block:
        raise ValueError(f"{n_weights} weights are not a whole number of {type_} blocks of {block}")
    if block == 1:
        return float_bytes(type_, (rng.standard_normal(n_weights) * std).astype(np.float32))
    n = n_weights // block
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if type_ in APART:
        _put_scales(type_, raw, std, rng)
        return raw.tobytes()
    at, min_at, centre, spread = CODED[type_]
    d = rng.uniform(0.6, 1.4, n) * (std / spread)
    if min_at is None:
        d *= rng.choice([-1.0, 1.0], n)
    else:
        raw[:, min_at : min_at + 2] = _f16_bytes(d * centre * rng.uniform(0.9, 1.1, n))
    raw[:, at : at + 2] = _f16_bytes(d)
    return raw.tobytes()


def _put_scales(type_: str, raw: npt.NDArray[np.uint8], std: float, rng: np.random.Generator) -> None:
    """Write the scales of blocks whose format is APART."""
    n = len(raw)
    if type_ == "IQ1_M":   # four bits of an f16 in each of four words
        halves = _f16_bytes(rng.uniform(0.6, 1.4, n) * rng.choice([-1.0, 1.0], n) * (std / 7.197)).view("<u2")
        for i in range(4):
            raw[:, 49 + 2 * i] = raw[:, 49 + 2 * i] & 15 | (halves[:, 0] >> 4 * i & 15) << 4
        return
    exponent = round(math.log2(std / 2.926))  # 2.926: root mean square of the 16 values
    if type_ == "MXFP4":
        raw[:, 0] = 127 + exponent + rng.integers(-1, 1, n, endpoint=True)
    else:
        raw[:, :4] = np.clip((exponent + 7) * 8 + rng.integers(-6, 6, (n, 4), endpoint=True), 1, 126)


def _f16_bytes(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return values.astype("<f2").view(np.uint8).reshape(-1, 2)


def hashed_numbers(seed: int, name: str, n: int) -> npt.NDArray[np.float64]:
    """Return n numbers of mean 0 and deviation 1, uniform: the same with every numpy, on every machine.

    Number i is made of the upper 24 bits of splitmix64's i-th output, from seed * 2^48 + crc32(name) * 2^16 on.
    """
    start = (seed << 48) + (zlib.crc32(name.encode()) << 16)
    z = np.uint64(start % 2**64) + np.arange(n, dtype=np.uint64)
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    return (z.astype(np.float64) / 2**23 - 1) * math.sqrt(3)


def vector(name: str, values: npt.ArrayLike) -> Tensor:
    floats = np.asarray(values, np.float32)
    return Tensor(name, "F32", [len(floats)], float_bytes("F32", floats))
