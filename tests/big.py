"""Files of the sizes that people download, 1 to 5 GB, of random weights: a few megabytes, again and again.

    big_model(LLAMA_3_8B).write_to(path)  a file, streamed
    big_model(LLAMA_32_3B)                the same as an object that can be read and sliced: what a test server takes
    python tests/big.py NAME FILE         a file of the shape of that name, in lower case: llama_3_8b

Formats are mixed as llama.cpp's Q4_K_M mixes them. The blocks of a format are a run of random ones, as often as it is
needed; the number of blocks in the run is prime, so that the rows of a matrix differ.
"""

from __future__ import annotations

import io
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from vocabulary import CONTROL, NORMAL, Pair, byte_alphabet

ALIGNMENT = 32
RUN = 65537   # blocks of a run
N_CONTROL = 256


@dataclass(frozen=True)
class Experts:
    """Numbers of layers that are mixtures of experts."""

    n: int
    n_used: int
    n_ff: int
    format: str | None = None   # of the experts' matrices; None: as the others


@dataclass(frozen=True)
class Shape:
    """A model's numbers."""

    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    n_ff: int
    n_vocab: int
    is_tied: bool = False
    format: str | None = None   # of all matrices; None: mixed as in Q4_K_M
    arch: str = "llama"
    head_dim: int | None = None   # None: n_embd / n_head
    experts: Experts | None = None
    keys: tuple[tuple[str, str, Any], ...] = ()   # of this architecture alone
    recurrent: tuple[int, ...] = ()   # layers without attention
    delta: tuple[int, int, int] | None = None   # of a gated delta net: heads of keys, of values, their length
    n_rot: int | None = None   # None: n_k
    ranks: tuple[int, int, int, int] | None = None   # of RWKV-7's small matrices: decay, rate, value, gate

    @property
    def n_k(self) -> int:
        """Channels of a head."""
        return self.head_dim or self.n_embd // self.n_head

    @property
    def n_kv(self) -> int:
        """Channels of all keys of a position."""
        return self.n_k * self.n_head_kv


LLAMA_3_8B = Shape(32, 4096, 32, 8, 14336, 128256)
LLAMA_32_3B = Shape(28, 3072, 24, 8, 8192, 128256, is_tied=True)
OVER_4_GB = Shape(21, 4096, 32, 8, 14336, 1024, format="Q8_0")
QWEN3_30B_A3B_4_LAYERS = Shape(
    4, 2048, 32, 4, 6144, 151936, arch="qwen3moe", head_dim=128, experts=Experts(128, 8, 768)
)   # fmt: skip
GPT_OSS_1B = Shape(
    12, 1024, 16, 4, 1024, 201088, format="Q8_0", arch="gpt-oss", head_dim=64, experts=Experts(32, 4, 1024, "MXFP4"),
    keys=(
        ("attention.sliding_window", "u32", 128), ("rope.scaling.type", "string", "yarn"),
        ("rope.scaling.factor", "f32", 32.0), ("rope.scaling.original_context_length", "u32", 4096),
    ),
)   # fmt: skip
QWEN35_08B = Shape(
    24, 1024, 8, 2, 3584, 248320, is_tied=True, arch="qwen35", head_dim=256, n_rot=64, delta=(16, 16, 128),
    recurrent=tuple(il for il in range(24) if il % 4 != 3), keys=(
        ("ssm.conv_kernel", "u32", 4), ("ssm.state_size", "u32", 128), ("ssm.group_count", "u32", 16),
        ("ssm.time_step_rank", "u32", 16), ("ssm.inner_size", "u32", 2048), ("full_attention_interval", "u32", 4),
        ("rope.dimension_sections", "i32[]", [11, 11, 10, 0]),
    ),
)   # fmt: skip
LFM2_ATTENTION = (2, 5, 8, 10, 12, 14)
LFM2_12B = Shape(
    16, 2048, 32, 8, 8192, 65536, is_tied=True, arch="lfm2", keys=(("shortconv.l_cache", "u32", 3),),
    recurrent=tuple(il for il in range(16) if il not in LFM2_ATTENTION),
)   # fmt: skip
RWKV7_04B = Shape(
    24, 1024, 16, 16, 4096, 65536, arch="rwkv7", ranks=(64, 64, 32, 128), keys=(
        ("wkv.head_size", "u32", 64), ("attention.layer_norm_epsilon", "f32", 1e-5),
        ("attention.decay_lora_rank", "u32", 64), ("attention.iclr_lora_rank", "u32", 64),
        ("attention.value_residual_mix_lora_rank", "u32", 32), ("attention.gate_lora_rank", "u32", 128),
    ),
)   # fmt: skip
SHAPES = {
    "qwen35_08b": QWEN35_08B, "lfm2_12b": LFM2_12B, "rwkv7_04b": RWKV7_04B,
    "llama_3_8b": LLAMA_3_8B, "llama_32_3b": LLAMA_32_3B, "over_4_gb": OVER_4_GB,
    "qwen3_30b_a3b_4_layers": QWEN3_30B_A3B_4_LAYERS, "gpt_oss_1b": GPT_OSS_1B,
}   # fmt: skip


class Pieces(io.RawIOBase):
    """Bytes in a list of pieces, which may be the same one many times: a binary file, and what a server slices."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        self._at = 0

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(len(self))
        out = bytearray()
        i = bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[i] - len(self._pieces[i])
            part = self._pieces[i][start - begin : stop - begin]
            out += part
            start += len(part)
            i += 1
        return bytes(out)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self)}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        part = self[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def write_to(self, path: Path) -> None:
        """Write a file."""
        with path.open("wb") as file:
            for piece in self._pieces:
                file.write(piece)


def big_model(shape: Shape) -> Pieces:
    """Return a file of that shape."""
    runs: dict[str, bytes] = {}
    rng = np.random.default_rng(1)
    table, pieces, offset = [], [], 0
    for name, type_, ne in _tensors(shape):
        table.append(tiny.Tensor(name, type_, ne, b"", offset=offset))
        if type_ == "F32":
            data = [_floats(name, prod(ne), rng)]
        else:
            if type_ not in runs:
                runs[type_] = tiny.random_blocks(type_, RUN * tiny.BLOCKS[type_][0], rng, 1 / sqrt(shape.n_embd))
            block, n_bytes = tiny.BLOCKS[type_]
            whole, rest = divmod(prod(ne) // block * n_bytes, len(runs[type_]))
            data = [*[runs[type_]] * whole, runs[type_][:rest]]
        size = sum(map(len, data))
        pieces += [*data, bytes(-size % ALIGNMENT)]
        offset += size + -size % ALIGNMENT
    header = tiny.write_gguf(None, _pairs(shape), table)
    return Pieces([header, *filter(None, pieces)])


def _floats(name: str, n: int, rng: np.random.Generator) -> bytes:
    """Return F32 weights: of norms ones; of what forgets minus ones; of routers, biases and sinks small ones."""
    is_norm = name.endswith(("norm.weight", "norm_2.weight", "_ln.weight"))
    values = np.ones(n) if is_norm else rng.standard_normal(n) * 0.05
    if name.endswith("ssm_a"):
        values = -np.ones(n)
    return values.astype("<f4").tobytes()


def _tensors(shape: Shape) -> Iterator[tuple[str, str, list[int]]]:
    """Yield name, format and shape of each tensor in the order of the file."""
    n_embd = shape.n_embd
    plain = shape.format or "Q4_K"
    best = shape.format or "Q6_K"
    yield "token_embd.weight", best if shape.is_tied else plain, [n_embd, shape.n_vocab]
    for il in range(shape.n_layer):
        wide = best if _is_better(il, shape.n_layer) else plain
        if shape.ranks:
            for name, type_, *ne in _rwkv(shape, shape.ranks, plain, il):
                yield f"blk.{il}.{name}", str(type_), [int(n) for n in ne]
            continue
        mixer = _recurrent(shape, plain) if il in shape.recurrent else _attention(shape, plain, wide)
        for name, type_, *ne in chain(mixer, _feed_forward(shape, plain, wide)):
            yield f"blk.{il}.{name}", str(type_), [int(n) for n in ne]
    yield f"{'token_embd' if shape.arch == 'lfm2' else 'output'}_norm.weight", "F32", [n_embd]
    if shape.ranks:
        for name in ("output_norm.bias", "token_embd_norm.weight", "token_embd_norm.bias"):
            yield name, "F32", [n_embd]
    if not shape.is_tied:
        yield "output.weight", best, [n_embd, shape.n_vocab]


def _attention(shape: Shape, plain: str, wide: str) -> Iterator[tuple[str | int, ...]]:
    n_embd, n_kv, n_q = shape.n_embd, shape.n_kv, shape.n_k * shape.n_head
    gates = 2 if shape.delta else 1
    yield "attn_norm.weight", "F32", n_embd
    for name, type_, n_in, n_out in (
        ("attn_q", plain, n_embd, gates * n_q), ("attn_k", plain, n_embd, n_kv), ("attn_v", wide, n_embd, n_kv),
        ("attn_output", plain, n_q, n_embd),
    ):   # fmt: skip
        yield f"{name}.weight", type_, n_in, n_out
        if shape.arch == "gpt-oss":
            yield f"{name}.bias", "F32", n_out
    if shape.arch == "gpt-oss":
        yield "attn_sinks.weight", "F32", shape.n_head
    if shape.arch in ("qwen3moe", "qwen35", "lfm2"):
        yield "attn_q_norm.weight", "F32", shape.n_k
        yield "attn_k_norm.weight", "F32", shape.n_k


def _recurrent(shape: Shape, plain: str) -> Iterator[tuple[str | int, ...]]:
    """Yield what is in the place of attention."""
    n_embd = shape.n_embd
    yield "attn_norm.weight", "F32", n_embd
    if shape.delta is None:
        yield "shortconv.in_proj.weight", plain, n_embd, 3 * n_embd
        yield "shortconv.conv.weight", "F32", 3, n_embd
        yield "shortconv.out_proj.weight", plain, n_embd, n_embd
        return
    n_k, n_v, dim = shape.delta
    n = (2 * n_k + n_v) * dim
    yield "attn_qkv.weight", shape.format or "Q5_K", n_embd, n   # as llama.cpp's Q4_K_M has it
    yield "attn_gate.weight", plain, n_embd, n_v * dim
    yield "ssm_conv1d.weight", "F32", 4, n
    yield "ssm_dt.bias", "F32", n_v
    yield "ssm_a", "F32", n_v
    yield "ssm_beta.weight", plain, n_embd, n_v
    yield "ssm_alpha.weight", plain, n_embd, n_v
    yield "ssm_norm.weight", "F32", dim
    yield "ssm_out.weight", plain, n_v * dim, n_embd


def _rwkv(shape: Shape, ranks: tuple[int, ...], plain: str, il: int) -> Iterator[tuple[str | int, ...]]:
    """Yield a layer of RWKV-7. llama.cpp's quantiser leaves the small matrices as they are."""
    n, n_ff = shape.n_embd, shape.n_ff
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        yield f"{name}.weight", "F32", n
        yield f"{name}.bias", "F32", n
    yield "time_mix_lerp_fused.weight", "F32", n, 1, 1, 6
    for name in ("time_mix_w0", "time_mix_a0", "time_mix_v0", "time_mix_k_k", "time_mix_k_a", "time_mix_r_k"):
        yield f"{name}.weight", "F32", n
    for part, own in zip("wavg", ranks, strict=True):
        rank = ranks[1] if part == "v" and il == 0 else own   # nothing reads the first layer's
        yield f"time_mix_{part}1.weight", "F16", n, rank
        yield f"time_mix_{part}2.weight", "F16", rank, n
    for part in ("key", "value", "receptance", "output"):
        yield f"time_mix_{part}.weight", plain, n, n
    yield "channel_mix_lerp_k.weight", "F32", n
    yield "channel_mix_key.weight", plain, n, n_ff
    yield "channel_mix_value.weight", plain, n_ff, n


def _feed_forward(shape: Shape, plain: str, wide: str) -> Iterator[tuple[str | int, ...]]:
    n_embd, experts = shape.n_embd, shape.experts
    post = shape.arch in ("gpt-oss", "qwen35")
    yield f"{'post_attention_norm' if post else 'ffn_norm'}.weight", "F32", n_embd
    if experts is None:
        yield "ffn_gate.weight", plain, n_embd, shape.n_ff
        yield "ffn_up.weight", plain, n_embd, shape.n_ff
        yield "ffn_down.weight", wide, shape.n_ff, n_embd
        return
    yield "ffn_gate_inp.weight", "F32", n_embd, experts.n
    if shape.arch == "gpt-oss":
        yield "ffn_gate_inp.bias", "F32", experts.n
    for name, type_, n_in, n_out in (
        ("gate", plain, n_embd, experts.n_ff), ("up", plain, n_embd, experts.n_ff), ("down", wide, experts.n_ff, n_embd)
    ):   # fmt: skip
        yield f"ffn_{name}_exps.weight", experts.format or type_, n_in, n_out, experts.n
        if shape.arch == "gpt-oss":
            yield f"ffn_{name}_exps.bias", "F32", n_out, experts.n


def _is_better(il: int, n_layer: int) -> bool:
    """Tell whether Q4_K_M gives a layer's values and its last matrix more bits: the ends, and every third between."""
    eighth = n_layer // 8
    return il < eighth or il >= 7 * n_layer // 8 or (il - eighth) % 3 == 2


def _pairs(shape: Shape) -> list[Pair]:
    own: Sequence[tuple[str, str, Any]] = (
        ("block_count", "u32", shape.n_layer), ("context_length", "u32", 8192), ("vocab_size", "u32", shape.n_vocab),
        ("embedding_length", "u32", shape.n_embd), ("feed_forward_length", "u32", shape.n_ff), *_heads(shape),
        *shape.keys,
    )   # fmt: skip
    if shape.experts:
        own = (
            *own, ("expert_count", "u32", shape.experts.n), ("expert_used_count", "u32", shape.experts.n_used),
            ("expert_feed_forward_length", "u32", shape.experts.n_ff),
        )   # fmt: skip
    return [
        ("general.architecture", "string", shape.arch), ("general.name", "string", f"big random {shape.arch}"),
        *((f"{shape.arch}.{key}", kind, value) for key, kind, value in own),
        *(_pieces if shape.ranks else _vocabulary)(shape.n_vocab),
    ]   # fmt: skip


def _heads(shape: Shape) -> Sequence[tuple[str, str, Any]]:
    if shape.ranks:
        return [("attention.head_count", "u32", 0)]
    return (
        ("attention.head_count", "u32", shape.n_head), _heads_kv(shape),
        ("attention.layer_norm_rms_epsilon", "f32", 1e-5), ("rope.freq_base", "f32", 500000.0),
        ("rope.dimension_count", "u32", shape.n_rot or shape.n_k), ("attention.key_length", "u32", shape.n_k),
        ("attention.value_length", "u32", shape.n_k),
    )   # fmt: skip


def _heads_kv(shape: Shape) -> tuple[str, str, Any]:
    name = "attention.head_count_kv"
    if not shape.recurrent or shape.delta:
        return name, "u32", shape.n_head_kv
    return name, "i32[]", [0 if il in shape.recurrent else shape.n_head_kv for il in range(shape.n_layer)]


def _vocabulary(n_vocab: int) -> list[Pair]:
    """Return a byte-level BPE: control tokens, 256 bytes, then a token for each merge: of two bytes, then of three."""
    alphabet = sorted(byte_alphabet())
    pairs = list(product(alphabet, repeat=2))
    merges = list(islice(chain(pairs, product(map("".join, pairs), alphabet)), n_vocab - N_CONTROL - len(alphabet)))
    control = [f"<|control_{i}|>" for i in range(N_CONTROL)]
    tokens = [*control, *alphabet, *map("".join, merges)]
    return [
        ("tokenizer.ggml.model", "string", "gpt2"), ("tokenizer.ggml.pre", "string", "llama-bpe"),
        ("tokenizer.ggml.tokens", "string[]", tokens),
        ("tokenizer.ggml.token_type", "i32[]", [CONTROL] * N_CONTROL + [NORMAL] * (n_vocab - N_CONTROL)),
        ("tokenizer.ggml.merges", "string[]", [f"{a} {b}" for a, b in merges]),
        ("tokenizer.ggml.bos_token_id", "u32", 0), ("tokenizer.ggml.eos_token_id", "u32", 1),
        ("tokenizer.ggml.add_bos_token", "bool", True),
    ]   # fmt: skip


def _pieces(n_vocab: int) -> list[Pair]:
    """Return RWKV's kind: a control token, 256 bytes, then pieces of two bytes."""
    pieces = chain(product(range(256)), product(range(256), repeat=2))
    tokens = ["<s>", *(repr(bytes(piece))[2:-1] for piece in islice(pieces, n_vocab - 1))]
    return [
        ("tokenizer.ggml.model", "string", "rwkv"), ("tokenizer.ggml.tokens", "string[]", tokens),
        ("tokenizer.ggml.token_type", "i32[]", [CONTROL] + [NORMAL] * (n_vocab - 1)),
        ("tokenizer.ggml.bos_token_id", "u32", 0), ("tokenizer.ggml.eos_token_id", "u32", 0),
    ]   # fmt: skip


if __name__ == "__main__":
    big_model(SHAPES[sys.argv[1]]).write_to(Path(sys.argv[2]))
