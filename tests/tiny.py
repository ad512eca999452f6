"""Seeded tiny GGUF files: a writer that can also write nonsense, and llama models of any shape and format.

    tiny_llama(seed=1, format="Q4_K", n_embd=256, n_ff=256) -> bytes of a valid file with a working tokenizer
    write_gguf(None, kv, tensors) -> bytes of whatever is described, valid or not

Only numpy and struct; every random number comes from the seed. Weights have everyday sizes (about 1 / sqrt(n_in)), so
that a model of a few thousand weights stays numerically tame.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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

# A key, a type and a value: ("a", "u32", 7), ("a", "string[]", ["x"]). A type number is followed by bytes as they are.
Pair = tuple[str | bytes, str | int, Any]


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


# ---- Vocabularies ----------------------------------------------------------------------------------------------------

TEXT = """the model reads the tensors and the panels of the weights; then the session holds the tokens that it has seen,
and the sampler draws the next one. There were ten other ones in the morning, 1234567890 in all: what are they?
When the weather is there, the others gather together, singing on and on (it's what they'd do). Nothing ends."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
N_MERGES = 64


@cache
def byte_alphabet() -> tuple[str, ...]:
    """Return GPT-2's printable character for each byte: itself where it is visible, else the next from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in visible else next(others)) for byte in range(256))


def learn_merges(words: Iterable[str], n: int) -> list[tuple[str, str]]:
    """Return up to n pairs of pieces in the order in which byte-pair encoding joins them; of equals, the smaller."""
    counts = Counter(tuple(word) for word in words)
    merges: list[tuple[str, str]] = []
    while len(merges) < n:
        pairs: Counter[tuple[str, str]] = Counter()
        for pieces, count in counts.items():
            for pair in pairwise(pieces):
                pairs[pair] += count
        if not pairs:
            break
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        counts = Counter({_merged(pieces, merges[-1]): count for pieces, count in counts.items()})
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    i = 0
    while i < len(pieces):
        step = 2 if pieces[i : i + 2] == pair else 1
        out.append("".join(pieces[i : i + step]))
        i += step
    return tuple(out)


@cache
def _merges(space: str) -> list[tuple[str, str]]:
    alphabet = byte_alphabet()
    words = [space + word for word in TEXT.split()]
    return learn_merges(words if space == "▁" else ["".join(alphabet[b] for b in w.encode()) for w in words], N_MERGES)


def _fitted(pieces: list[tuple[str, int]], n_vocab: int | None, least: int) -> list[tuple[str, int]]:
    """Cut or pad (piece, kind) to n_vocab entries; the first `least` can't be cut."""
    n_vocab = len(pieces) if n_vocab is None else n_vocab
    if n_vocab < least:
        raise ValueError(f"n_vocab {n_vocab} is below the {least} that the vocabulary needs")
    padding = [(f"<unused{i}>", UNUSED) for i in range(n_vocab - len(pieces))]
    return pieces[:n_vocab] + padding


def bpe_vocabulary(n_vocab: int | None = None, *, pre: str = "gpt-2") -> list[Pair]:
    """Return tokenizer.ggml.* of a byte-level BPE: 3 control tokens, 256 bytes, then one token a merge."""
    control = [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)]
    alphabet = [(char, NORMAL) for char in sorted(byte_alphabet())]
    joined = dict.fromkeys("".join(pair) for pair in _merges(" "))
    start = len(control) + len(alphabet)
    pieces = _fitted(control + alphabet + [(piece, NORMAL) for piece in joined], n_vocab, start)
    known = {piece for piece, _ in pieces}
    return [
        ("tokenizer.ggml.model", "string", "gpt2"),
        ("tokenizer.ggml.pre", "string", pre),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in pieces]),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in pieces]),
        ("tokenizer.ggml.merges", "string[]", [f"{a} {b}" for a, b in _merges(" ") if {a, b, a + b} <= known]),
        ("tokenizer.ggml.bos_token_id", "u32", 1),
        ("tokenizer.ggml.eos_token_id", "u32", 2),
        ("tokenizer.ggml.unknown_token_id", "u32", 0),
        ("tokenizer.ggml.add_bos_token", "bool", False),
        ("tokenizer.ggml.add_space_prefix", "bool", False),
    ]


def spm_vocabulary(n_vocab: int | None = None) -> list[Pair]:
    """Return tokenizer.ggml.* of a SentencePiece BPE: <unk> <s> </s>, 256 bytes, merged pieces by rank, characters."""
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    fallback = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    joined = dict.fromkeys("".join(pair) for pair in _merges("▁"))
    chars = sorted({*"▁", *(char for char in TEXT if not char.isspace())})
    start = special + fallback
    pieces = _fitted(start + [(piece, NORMAL) for piece in (*joined, *chars)], n_vocab, len(start))
    ranks = [float(len(start) - i) if kind == NORMAL else 0.0 for i, (_, kind) in enumerate(pieces)]
    return [
        ("tokenizer.ggml.model", "string", "llama"),
        ("tokenizer.ggml.pre", "string", "default"),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in pieces]),
        ("tokenizer.ggml.scores", "f32[]", ranks),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in pieces]),
        ("tokenizer.ggml.bos_token_id", "u32", 1),
        ("tokenizer.ggml.eos_token_id", "u32", 2),
        ("tokenizer.ggml.unknown_token_id", "u32", 0),
        ("tokenizer.ggml.add_bos_token", "bool", True),
        ("tokenizer.ggml.add_eos_token", "bool", False),
        ("tokenizer.ggml.add_space_prefix", "bool", True),
    ]


# ---- Models ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TinyLlama:
    """What tiny_llama makes. Matrices are of `format`, save those whose name or part of a name is in `formats`."""

    seed: int = 0
    arch: str = "llama"
    n_layer: int = 2
    n_embd: int = 64
    n_head: int = 4
    n_head_kv: int = 2
    head_dim: int | None = None  # None: n_embd / n_head, and the file doesn't say it
    n_ff: int = 96
    n_vocab: int | None = None  # None: what the vocabulary has, 323 to 400
    n_ctx: int = 512
    n_rot: int | None = None  # None: head_dim
    eps: float = 1e-5
    format: str = "Q4_1"
    formats: Mapping[str, str] | None = None  # {"attn_v": "Q6_K", "token_embd": "Q8_0", "blk.1.ffn_up": "F16"}
    tied: bool = False  # no output.weight
    biases: bool = False  # of attention's four projections
    rope: str = "none"  # none, linear, yarn, longrope, llama3
    rope_base: float = 10000.0
    rope_factor: float = 4.0
    rope_n_ctx_orig: int | None = None  # None: n_ctx / rope_factor
    rope_attn_factor: float | None = None
    tokenizer: str = "bpe"  # bpe, spm
    pre: str = "gpt-2"
    chat_template: str | None = None
    kv: Sequence[Pair] = ()  # added, or put in the place of the same key's
    without: Container[str | bytes] = ()  # keys and tensors that are left out
    by_name: bool = False  # tensors stored by name (blk.0, blk.1, blk.10, ...), as some writers do

    @property
    def dim(self) -> int:
        return self.n_embd // self.n_head if self.head_dim is None else self.head_dim

    @property
    def rotated(self) -> int:
        return self.dim if self.n_rot is None else self.n_rot

    @property
    def n_ctx_orig(self) -> int:
        return int(self.n_ctx / self.rope_factor) if self.rope_n_ctx_orig is None else self.rope_n_ctx_orig


def tiny_llama(path: Path | None = None, **fields: Any) -> bytes:  # noqa: ANN401
    """Return the bytes of a valid llama file; `fields` are those of TinyLlama. Equal fields give equal bytes.

    >>> tiny_llama(n_layer=1, format="Q8_0")[:4]
    b'GGUF'
    """
    return write_gguf(path, *described(TinyLlama(**fields)))


def tiny_split(folder: Path | None = None, *, n_parts: int = 3, **fields: Any) -> list[bytes]:  # noqa: ANN401
    """Return the same model in parts: n_parts runs of tensors, as even as can be, in file order."""
    pairs, tensors = described(TinyLlama(**fields))
    n = len(tensors)
    counts = [n * (i + 1) // n_parts - n * i // n_parts for i in range(n_parts)]
    return write_split(folder, pairs, tensors, counts)


def described(t: TinyLlama) -> tuple[list[Pair], list[Tensor]]:
    """Return what the file of a model holds: pairs and tensors, for write_gguf and write_split."""
    vocabulary = spm_vocabulary(t.n_vocab) if t.tokenizer == "spm" else bpe_vocabulary(t.n_vocab, pre=t.pre)
    n_vocab = next(len(value) for key, _, value in vocabulary if key == "tokenizer.ggml.tokens")
    tensors = [tensor for tensor in _tensors(t, n_vocab) if tensor.name not in t.without]
    if t.by_name:
        tensors.sort(key=lambda tensor: tensor.name)
    return _with(_hyperparameters(t, n_vocab) + vocabulary + _template(t), t), tensors


def _with(pairs: list[Pair], t: TinyLlama) -> list[Pair]:
    merged = {pair[0]: pair for pair in (*pairs, *t.kv)}
    return [pair for key, pair in merged.items() if key not in t.without]


def _template(t: TinyLlama) -> list[Pair]:
    return [] if t.chat_template is None else [("tokenizer.chat_template", "string", t.chat_template)]


def _hyperparameters(t: TinyLlama, n_vocab: int) -> list[Pair]:
    pairs: list[Pair] = [
        ("general.architecture", "string", t.arch),
        ("general.name", "string", f"tiny {t.arch} {t.seed}"),
        ("general.quantization_version", "u32", 2),
        (f"{t.arch}.vocab_size", "u32", n_vocab),
        (f"{t.arch}.context_length", "u32", t.n_ctx),
        (f"{t.arch}.embedding_length", "u32", t.n_embd),
        (f"{t.arch}.block_count", "u32", t.n_layer),
        (f"{t.arch}.feed_forward_length", "u32", t.n_ff),
        (f"{t.arch}.attention.head_count", "u32", t.n_head),
        (f"{t.arch}.attention.head_count_kv", "u32", t.n_head_kv),
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


def _rope_tensors(t: TinyLlama, rng: np.random.Generator) -> list[Tensor]:
    half = t.rotated // 2
    if t.rope == "llama3":
        factors = llama3_factors(t.rotated, base=t.rope_base, factor=t.rope_factor, n_ctx_orig=t.n_ctx_orig)
        return [Tensor("rope_freqs.weight", "F32", [half], float_bytes("F32", factors))]
    if t.rope != "longrope":
        return []
    ramp = np.linspace(1, t.rope_factor, half)
    short, long = (ramp**power * rng.uniform(0.95, 1.05, half) for power in (0.25, 1))
    return [
        Tensor("rope_factors_long.weight", "F32", [half], float_bytes("F32", long.astype(np.float32))),
        Tensor("rope_factors_short.weight", "F32", [half], float_bytes("F32", short.astype(np.float32))),
    ]


def _format_of(t: TinyLlama, name: str) -> str:
    stem = name.removesuffix(".weight")
    formats = t.formats or {}
    return formats.get(stem, formats.get(stem.rsplit(".", 1)[-1], t.format))


def _tensors(t: TinyLlama, n_vocab: int) -> list[Tensor]:
    if t.rope not in ("none", "linear", "yarn", "longrope", "llama3"):
        raise ValueError(f"rope {t.rope!r} is none of none, linear, yarn, longrope, llama3")
    rng = np.random.default_rng(t.seed)

    def matrix(name: str, n_in: int, rows: int, std: float | None = None) -> Tensor:
        type_ = _format_of(t, name)
        if n_in % BLOCKS[type_][0]:
            raise ValueError(f"{name}: n_in {n_in} is not a multiple of {type_}'s block, {BLOCKS[type_][0]}")
        data = random_blocks(type_, n_in * rows, rng, 1 / math.sqrt(n_in) if std is None else std)
        return Tensor(name, type_, [n_in, rows], data)

    def norm(name: str) -> Tensor:
        values = 1 + 0.1 * rng.standard_normal(t.n_embd)
        return Tensor(name, "F32", [t.n_embd], float_bytes("F32", values.astype(np.float32)))

    sharp = 2 / math.sqrt(t.n_embd)  # logits of size 2
    out = [matrix("token_embd.weight", t.n_embd, n_vocab, sharp if t.tied else 0.5), norm("output_norm.weight")]
    if not t.tied:
        out.append(matrix("output.weight", t.n_embd, n_vocab, sharp))
    out += _rope_tensors(t, rng)
    for il in range(t.n_layer):
        out += _layer(t, f"blk.{il}.", matrix, norm)
        out += _biases(t, f"blk.{il}.", rng) if t.biases else []
    return out


def _biases(t: TinyLlama, blk: str, rng: np.random.Generator) -> list[Tensor]:
    n_q, n_kv = t.n_head * t.dim, t.n_head_kv * t.dim
    sizes = {"attn_q": n_q, "attn_k": n_kv, "attn_v": n_kv, "attn_output": t.n_embd}
    return [
        Tensor(f"{blk}{name}.bias", "F32", [n], float_bytes("F32", (rng.standard_normal(n) / 2).astype(np.float32)))
        for name, n in sizes.items()
    ]


def _layer(
    t: TinyLlama, blk: str, matrix: Callable[[str, int, int], Tensor], norm: Callable[[str], Tensor]
) -> list[Tensor]:
    n_q, n_kv = t.n_head * t.dim, t.n_head_kv * t.dim
    return [
        norm(f"{blk}attn_norm.weight"),
        matrix(f"{blk}attn_q.weight", t.n_embd, n_q),
        matrix(f"{blk}attn_k.weight", t.n_embd, n_kv),
        matrix(f"{blk}attn_v.weight", t.n_embd, n_kv),
        matrix(f"{blk}attn_output.weight", n_q, t.n_embd),
        norm(f"{blk}ffn_norm.weight"),
        matrix(f"{blk}ffn_gate.weight", t.n_embd, t.n_ff),
        matrix(f"{blk}ffn_up.weight", t.n_embd, t.n_ff),
        matrix(f"{blk}ffn_down.weight", t.n_ff, t.n_embd),
    ]
