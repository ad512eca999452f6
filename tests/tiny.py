"""Seeded tiny GGUF files: a writer that can also write nonsense, and models of any architecture, shape and format.

    tiny_llama(seed=1, format="Q4_K", n_embd=256, n_ff=256) -> bytes of a valid file with a working tokenizer
    write_gguf(None, kv, tensors) -> bytes of whatever is described, valid or not

Only numpy and struct; every random number comes from the seed. Weights have everyday sizes (about 1 / sqrt(n_in)), so
that a model of a few thousand weights stays numerically tame; those of q and k are larger, so that attention is peaked
and a wrong scale, bias or rotation shows in the logits.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from archs import ARCHS, Arch
from vocabulary import Pair, bpe_vocabulary, spm_vocabulary

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
    "IQ1_M": 29, "BF16": 30, "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39,
}  # fmt: skip
BLOCKS = {  # name: (weights, bytes)
    "F32": (1, 4), "F16": (1, 2), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
    "Q8_0": (32, 34), "Q8_1": (32, 36), "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176),
    "Q6_K": (256, 210), "Q8_K": (256, 292), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98),
    "IQ1_S": (256, 50), "IQ4_NL": (32, 18), "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136),
    "I8": (1, 1), "I16": (1, 2), "I32": (1, 4), "I64": (1, 8), "F64": (1, 8), "IQ1_M": (256, 56), "BF16": (1, 2),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17),
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
    table, data = b"", b""
    for tensor in tensors:
        table += _packed_row(tensor, len(data))
        data += tensor.data + bytes(-len(tensor.data) % alignment)
    counts = struct.pack(
        "<QQ", len(tensors) if n_tensors is None else n_tensors, len(pairs) if n_kv is None else n_kv
    )
    header = magic + struct.pack("<I", version) + counts + b"".join(map(_packed_pair, pairs)) + table
    out = header + bytes(-len(header) % alignment) + data
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

    keys: of part i, in the place of the same key of its own, or added; a value of None leaves the key out. Only the
    first part is told of another alignment. Files are called tiny-00001-of-0000N.gguf.
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
# scale d stands, where the minimum stands (None: there is none), how many d the minimum must be for weights to average
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
}
COMPUTED = ("F32", "F16", "BF16", *CODED, "MXFP4")


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
    if type_ == "MXFP4":
        exponent = round(math.log2(std / 2.926))  # 2.926: root mean square of the 16 values
        raw[:, 0] = 127 + exponent + rng.integers(-1, 1, n, endpoint=True)
        return raw.tobytes()
    at, min_at, centre, spread = CODED[type_]
    d = rng.uniform(0.6, 1.4, n) * (std / spread)
    if min_at is None:
        d *= rng.choice([-1.0, 1.0], n)
    else:
        raw[:, min_at : min_at + 2] = _f16_bytes(d * centre * rng.uniform(0.9, 1.1, n))
    raw[:, at : at + 2] = _f16_bytes(d)
    return raw.tobytes()


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


# ---- Models ----------------------------------------------------------------------------------------------------------

PerLayer = int | Sequence[int]  # one number, or an array of the file with one for each layer
SHARPNESS = 1.75  # of q and k: scores of attention are about 3 in size, so that a few positions decide


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """What tiny_llama makes. Matrices are of `format`, except those whose name or part of a name is in `formats`."""

    seed: int = 0
    arch: str = "llama"  # a row of archs.py; another name is written as llama's files are
    n_layer: int = 2
    n_embd: int = 64
    n_head: PerLayer = 4
    n_head_kv: PerLayer = 2
    head_dim: int | None = None  # None: n_embd / n_head, and the file doesn't say it
    n_ff: PerLayer = 96
    n_vocab: int | None = None  # None: what the vocabulary has, 323 to 400
    n_ctx: int = 512
    n_rot: int | None = None  # None: head_dim
    eps: float = 1e-5
    format: str = "Q4_1"
    formats: Mapping[str, str] | None = None  # {"attn_v": "Q6_K", "token_embd": "Q8_0", "blk.1.ffn_up": "F16"}
    hashed: bool = False  # weights are hashed_numbers, the same with any numpy; formats that hold floats only
    embd_std: float | None = None  # size of token_embd's weights; None: 0.5, and of a tied one 2 / sqrt(n_embd)
    tied: bool = False  # no output.weight
    biases: bool = False  # of attention's projections, where the architecture allows them
    ffn_biases: bool = False  # of the three of feed-forward, allowed or not
    fused: Sequence[str] = ()  # attn_qkv: rows of q, k, v in one tensor; gate_up: those of gate, up as ffn_up
    rope: str = "none"  # none, linear, yarn, longrope, llama3
    rope_base: float = 10000.0
    rope_factor: float = 4.0
    rope_n_ctx_orig: int | None = None  # None: n_ctx / rope_factor
    rope_attn_factor: float | None = None
    rope_factors: Mapping[str, Sequence[float]] | None = None  # tensors by name; None: made for `rope`
    tokenizer: str = "bpe"  # bpe, spm
    pre: str = "gpt-2"
    chat_template: str | None = None
    kv: Sequence[Pair] = ()  # added, or put in the place of the same key's
    without: Container[str | bytes] = ()  # keys and tensors that are left out
    by_name: bool = False  # tensors stored by name (blk.0, blk.1, blk.10, ...), as some writers do

    @property
    def row(self) -> Arch:
        return ARCHS.get(self.arch, ARCHS["llama"])

    @property
    def dim(self) -> int:
        return self.n_embd // of_layer(self.n_head, 0) if self.head_dim is None else self.head_dim

    @property
    def rotated(self) -> int:
        return self.dim if self.n_rot is None else self.n_rot

    @property
    def n_ctx_orig(self) -> int:
        return int(self.n_ctx / self.rope_factor) if self.rope_n_ctx_orig is None else self.rope_n_ctx_orig


def of_layer(value: PerLayer, il: int) -> int:
    return value if isinstance(value, int) else value[il]


def tiny_llama(path: Path | None = None, **fields: Any) -> bytes:  # noqa: ANN401
    """Return the bytes of a valid file of any architecture (arch="llama"); `fields` are those of TinyModel.

    Equal fields give equal bytes.

    >>> tiny_llama(n_layer=1, format="Q8_0")[:4]
    b'GGUF'
    """
    return write_gguf(path, *described(TinyModel(**fields)))


def tiny_split(folder: Path | None = None, *, n_parts: int = 3, **fields: Any) -> list[bytes]:  # noqa: ANN401
    """Return the same model in parts: n_parts runs of tensors, as even as can be, in file order."""
    pairs, tensors = described(TinyModel(**fields))
    n = len(tensors)
    counts = [n * (i + 1) // n_parts - n * i // n_parts for i in range(n_parts)]
    return write_split(folder, pairs, tensors, counts)


def described(t: TinyModel) -> tuple[list[Pair], list[Tensor]]:
    """Return what the file of a model holds: pairs and tensors, for write_gguf and write_split."""
    vocabulary = spm_vocabulary(t.n_vocab) if t.tokenizer == "spm" else bpe_vocabulary(t.n_vocab, pre=t.pre)
    n_vocab = next(len(value) for key, _, value in vocabulary if key == "tokenizer.ggml.tokens")
    tensors = [tensor for tensor in _tensors(t, n_vocab) if tensor.name not in t.without]
    if t.by_name:
        tensors.sort(key=lambda tensor: tensor.name)
    return _with(_hyperparameters(t, n_vocab) + vocabulary + _template(t), t), tensors


def _with(pairs: list[Pair], t: TinyModel) -> list[Pair]:
    merged = {pair[0]: pair for pair in (*pairs, *t.kv)}
    return [pair for key, pair in merged.items() if key not in t.without]


def _template(t: TinyModel) -> list[Pair]:
    return [] if t.chat_template is None else [("tokenizer.chat_template", "string", t.chat_template)]


def _hyperparameters(t: TinyModel, n_vocab: int) -> list[Pair]:
    def per_layer(key: str, value: PerLayer) -> Pair:
        return (f"{t.arch}.{key}", "u32" if isinstance(value, int) else "i32[]", value)

    pairs: list[Pair] = [
        ("general.architecture", "string", t.arch),
        ("general.name", "string", f"tiny {t.arch} {t.seed}"),
        ("general.quantization_version", "u32", 2),
        (f"{t.arch}.vocab_size", "u32", n_vocab),
        (f"{t.arch}.context_length", "u32", t.n_ctx),
        (f"{t.arch}.embedding_length", "u32", t.n_embd),
        (f"{t.arch}.block_count", "u32", t.n_layer),
        per_layer("feed_forward_length", t.n_ff),
        per_layer("attention.head_count", t.n_head),
        per_layer("attention.head_count_kv", t.n_head_kv),
        (f"{t.arch}.attention.layer_norm_rms_epsilon", "f32", t.eps),
        (f"{t.arch}.rope.dimension_count", "u32", t.rotated),
        (f"{t.arch}.rope.freq_base", "f32", t.rope_base),
    ]
    if t.head_dim is not None:
        pairs += [(f"{t.arch}.attention.{part}_length", "u32", t.head_dim) for part in ("key", "value")]
    if t.rope in ("linear", "yarn", "longrope"):
        pairs.append((f"{t.arch}.rope.scaling.type", "string", t.rope))
        pairs.append((f"{t.arch}.rope.scaling.original_context_length", "u32", t.n_ctx_orig))
    if t.rope in ("linear", "yarn"):
        pairs.append((f"{t.arch}.rope.scaling.factor", "f32", t.rope_factor))
    if t.rope_attn_factor is not None:
        pairs.append((f"{t.arch}.rope.scaling.attn_factor", "f32", t.rope_attn_factor))
    return pairs


def llama3_factors(n_rot: int, *, base: float, factor: float, n_ctx_orig: int) -> F32:
    """Return what Llama 3.1 divides its frequencies by: 1 for short waves, `factor` for long ones, a blend between."""
    wave = 2 * math.pi * base ** (np.arange(0, n_rot, 2) / n_rot)
    keep = np.clip((n_ctx_orig / wave - 1) / (4 - 1), 0, 1)  # low_freq_factor 1, high_freq_factor 4
    return (1 / ((1 - keep) / factor + keep)).astype(np.float32)


def _rope_factors(t: TinyModel, rng: np.random.Generator) -> Mapping[str, Sequence[float] | F32]:
    if t.rope_factors is not None:
        return t.rope_factors
    if t.rope == "llama3":
        factors = llama3_factors(t.rotated, base=t.rope_base, factor=t.rope_factor, n_ctx_orig=t.n_ctx_orig)
        return {"rope_freqs.weight": factors}
    if t.rope != "longrope":
        return {}
    ramp = np.linspace(1, t.rope_factor, t.rotated // 2)
    short, long = (ramp**power * rng.uniform(0.95, 1.05, len(ramp)) for power in (0.25, 1))
    return {"rope_factors_long.weight": long.tolist(), "rope_factors_short.weight": short.tolist()}


def _format_of(t: TinyModel, name: str) -> str:
    stem = name.removesuffix(".weight")
    formats = t.formats or {}
    return formats.get(stem, formats.get(stem.rsplit(".", 1)[-1], t.format))


class _Weights:
    """Draws a model's tensors: each call goes on in the seed's sequence, or, hashed, starts the name's own."""

    def __init__(self, t: TinyModel) -> None:
        self.t, self.rng = t, np.random.default_rng(t.seed)

    def numbers(self, name: str, n: int) -> npt.NDArray[np.float64]:
        return hashed_numbers(self.t.seed, name, n) if self.t.hashed else self.rng.standard_normal(n)

    def matrix(self, name: str, n_in: int, rows: int, std: float | None = None) -> Tensor:
        type_ = _format_of(self.t, name)
        if n_in % BLOCKS[type_][0]:
            raise ValueError(f"{name}: n_in {n_in} is not a multiple of {type_}'s block, {BLOCKS[type_][0]}")
        std = 1 / math.sqrt(n_in) if std is None else std
        if self.t.hashed:
            data = float_bytes(type_, (self.numbers(name, n_in * rows) * std).astype(np.float32))
        else:
            data = random_blocks(type_, n_in * rows, self.rng, std)
        return Tensor(name, type_, [n_in, rows], data)

    def norm(self, name: str) -> Tensor:
        return vector(name, 1 + 0.1 * self.numbers(name, self.t.n_embd))

    def bias(self, name: str, n: int) -> Tensor:
        return vector(name, self.numbers(name, n) / 2)


def vector(name: str, values: npt.ArrayLike) -> Tensor:
    floats = np.asarray(values, np.float32)
    return Tensor(name, "F32", [len(floats)], float_bytes("F32", floats))


def _tensors(t: TinyModel, n_vocab: int) -> list[Tensor]:
    if t.rope not in ("none", "linear", "yarn", "longrope", "llama3"):
        raise ValueError(f"rope {t.rope!r}: must be one of none, linear, yarn, longrope, llama3")
    weights = _Weights(t)
    sharp = 2 / math.sqrt(t.n_embd)  # logits of size 2
    embd_std = t.embd_std or (sharp if t.tied else 0.5)
    out = [weights.matrix("token_embd.weight", t.n_embd, n_vocab, embd_std), weights.norm("output_norm.weight")]
    if not t.tied:
        out.append(weights.matrix("output.weight", t.n_embd, n_vocab, sharp))
    out += [vector(name, factors) for name, factors in _rope_factors(t, weights.rng).items()]
    for il in range(t.n_layer):
        out += _fused(t, _layer(t, il, weights) + _biases(t, il, weights))
    return out


def _sizes(t: TinyModel, il: int) -> dict[str, tuple[int, int]]:
    """Return (n_in, rows) of a layer's matrices, in the order of files."""
    n_q, n_kv = of_layer(t.n_head, il) * t.dim, of_layer(t.n_head_kv, il) * t.dim
    n_ff = of_layer(t.n_ff, il)
    return {
        "attn_q": (t.n_embd, n_q),
        "attn_k": (t.n_embd, n_kv),
        "attn_v": (t.n_embd, n_kv),
        "attn_output": (n_q, t.n_embd),
        "ffn_gate": (t.n_embd, n_ff),
        "ffn_up": (t.n_embd, n_ff),
        "ffn_down": (n_ff, t.n_embd),
    }


def _layer(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    out = [weights.norm(f"blk.{il}.attn_norm.weight")]
    for name, (n_in, rows) in _sizes(t, il).items():
        if name == "ffn_gate":
            out.append(weights.norm(f"blk.{il}.ffn_norm.weight"))
        std = SHARPNESS / math.sqrt(n_in) if name in ("attn_q", "attn_k") else None
        out.append(weights.matrix(f"blk.{il}.{name}.weight", n_in, rows, std))
    return out


def _biases(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    names = []
    if t.row.has("QKV_BIAS") or (t.biases and t.row.has("MAY_QKV_BIAS")):
        names += ["attn_q", "attn_k", "attn_v"]
    if t.biases and t.row.has("MAY_OUT_BIAS"):
        names.append("attn_output")
    if t.ffn_biases:
        names += ["ffn_gate", "ffn_up", "ffn_down"]
    sizes = _sizes(t, il)
    return [weights.bias(f"blk.{il}.{name}.bias", sizes[name][1]) for name in names]


FUSIONS = {"attn_qkv": (("attn_q", "attn_k", "attn_v"), "attn_qkv"), "gate_up": (("ffn_gate", "ffn_up"), "ffn_up")}


def _fused(t: TinyModel, layer: list[Tensor]) -> list[Tensor]:
    """Join the tensors of a layer that `fused` names, in the place of the first: the same weights in fewer tensors."""
    for fusion in t.fused:
        names, joined = FUSIONS[fusion]
        for kind in ("weight", "bias"):
            parts = [one for name in names for one in layer if str(one.name).endswith(f".{name}.{kind}")]
            if not parts or (fusion == "gate_up" and kind == "bias"):
                continue
            if len({one.type for one in parts}) > 1:
                raise ValueError(f"{fusion}: {', '.join(names)} must have one format")
            blk = str(parts[0].name).rsplit(".", 2)[0]
            ne = [*parts[0].ne[:-1], sum(one.ne[-1] for one in parts)]
            one = replace(parts[0], name=f"{blk}.{joined}.{kind}", ne=ne, data=b"".join(p.data for p in parts))
            at = layer.index(parts[0])
            layer = [*layer[:at], one, *(other for other in layer[at:] if other not in parts)]
    return layer
