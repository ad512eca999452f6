"""Llama files of the sizes that people download, 2 to 5 GB, of random weights: a few megabytes, again and again.

    big_model(LLAMA_3_8B).write_to(path)  a file, streamed
    big_model(LLAMA_32_3B)                the same as an object that can be read and sliced: what a test server takes

Formats are mixed as llama.cpp's Q4_K_M mixes them. The blocks of a format are a run of random ones, as often as it is
needed; the number of blocks in the run is prime, so that the rows of a matrix differ.
"""

from __future__ import annotations

import io
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
class Shape:
    """A llama's numbers."""

    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    n_ff: int
    n_vocab: int
    is_tied: bool = False
    format: str | None = None   # of all matrices; None: mixed as in Q4_K_M

    @property
    def n_kv(self) -> int:
        return self.n_embd // self.n_head * self.n_head_kv


LLAMA_3_8B = Shape(32, 4096, 32, 8, 14336, 128256)
LLAMA_32_3B = Shape(28, 3072, 24, 8, 8192, 128256, is_tied=True)
OVER_4_GB = Shape(21, 4096, 32, 8, 14336, 1024, format="Q8_0")


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
    runs: dict[str, bytes] = {"F32": np.ones(shape.n_embd, np.float32).tobytes()}
    rng = np.random.default_rng(1)
    table, pieces, offset = [], [], 0
    for name, type_, ne in _tensors(shape):
        if type_ not in runs:
            runs[type_] = tiny.random_blocks(type_, RUN * tiny.BLOCKS[type_][0], rng, 1 / sqrt(shape.n_embd))
        table.append(tiny.Tensor(name, type_, ne, b"", offset=offset))
        block, n_bytes = tiny.BLOCKS[type_]
        size = prod(ne) // block * n_bytes
        whole, rest = divmod(size, len(runs[type_]))
        pieces += [runs[type_]] * whole + [runs[type_][:rest], bytes(-size % ALIGNMENT)]
        offset += size + -size % ALIGNMENT
    header = tiny.write_gguf(None, _pairs(shape), table)
    return Pieces([header, *filter(None, pieces)])


def _tensors(shape: Shape) -> Iterator[tuple[str, str, list[int]]]:
    """Yield name, format and shape of each tensor in the order of the file."""
    n_embd, n_ff, n_kv = shape.n_embd, shape.n_ff, shape.n_kv
    plain = shape.format or "Q4_K"
    best = shape.format or "Q6_K"
    yield "token_embd.weight", best if shape.is_tied else plain, [n_embd, shape.n_vocab]
    for il in range(shape.n_layer):
        wide = best if _is_better(il, shape.n_layer) else plain
        for name, type_, *ne in (
            ("attn_norm", "F32", n_embd), ("attn_q", plain, n_embd, n_embd), ("attn_k", plain, n_embd, n_kv),
            ("attn_v", wide, n_embd, n_kv), ("attn_output", plain, n_embd, n_embd), ("ffn_norm", "F32", n_embd),
            ("ffn_gate", plain, n_embd, n_ff), ("ffn_up", plain, n_embd, n_ff), ("ffn_down", wide, n_ff, n_embd),
        ):   # fmt: skip
            yield f"blk.{il}.{name}.weight", str(type_), [int(n) for n in ne]
    yield "output_norm.weight", "F32", [n_embd]
    if not shape.is_tied:
        yield "output.weight", best, [n_embd, shape.n_vocab]


def _is_better(il: int, n_layer: int) -> bool:
    """Tell whether Q4_K_M gives a layer's values and its last matrix more bits: the ends, and every third between."""
    eighth = n_layer // 8
    return il < eighth or il >= 7 * n_layer // 8 or (il - eighth) % 3 == 2


def _pairs(shape: Shape) -> list[Pair]:
    own: Sequence[tuple[str, str, Any]] = (
        ("block_count", "u32", shape.n_layer), ("context_length", "u32", 8192), ("vocab_size", "u32", shape.n_vocab),
        ("embedding_length", "u32", shape.n_embd), ("feed_forward_length", "u32", shape.n_ff),
        ("attention.head_count", "u32", shape.n_head), ("attention.head_count_kv", "u32", shape.n_head_kv),
        ("attention.layer_norm_rms_epsilon", "f32", 1e-5), ("rope.freq_base", "f32", 500000.0),
        ("rope.dimension_count", "u32", shape.n_embd // shape.n_head),
    )   # fmt: skip
    return [
        ("general.architecture", "string", "llama"), ("general.name", "string", "big random llama"),
        *((f"llama.{key}", kind, value) for key, kind, value in own), *_vocabulary(shape.n_vocab),
    ]   # fmt: skip


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
