"""Write what the fuzz targets start from: a folder of small inputs and a dictionary for each, made by tests/tiny.py.

    python seeds.py build/fuzz/seeds    ->  build/fuzz/seeds/fuzz_gguf/*, build/fuzz/seeds/fuzz_gguf.dict, ...

An input is what the comment at the top of fuzz_<x>.c draws. fuzz_state needs none: every input is a change of a valid
saved session.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tiny

SMALL = {"n_layer": 1, "n_embd": 32, "n_head": 2, "n_head_kv": 1, "n_ff": 32, "n_ctx": 64}
MODELS: dict[str, dict[str, Any]] = {
    "q4_1": {},
    "tied": {"format": "Q8_0", "tied": True},
    "floats": {"format": "F16", "formats": {"attn_v": "F32", "token_embd": "BF16"}, "biases": True, "n_embd": 8},
    "k": {"format": "Q5_0", "formats": {"ffn_down": "Q4_K"}, "n_ff": 256},
    "mxfp4": {"format": "MXFP4", "formats": {"attn_q": "IQ4_NL", "attn_k": "Q4_0"}, "n_layer": 2},
    "spm": {"tokenizer": "spm", "rope": "yarn"},
    "longrope": {"tokenizer": "spm", "rope": "longrope", "head_dim": 8, "format": "F16"},
}
N_VOCAB = 12
ROWS = {"token_embd.weight", "output.weight"}  # tensors with a row for each token


def small(fields: dict[str, Any]) -> tuple[list[tiny.Pair], list[tiny.Tensor]]:
    """Return what a model's file holds, its vocabulary cut to N_VOCAB tokens and no merges."""
    pairs, tensors = tiny.described(tiny.TinyLlama(**{**SMALL, **fields}))
    return [cut_pair(pair) for pair in pairs], [cut_tensor(tensor) for tensor in tensors]


def cut_pair(pair: tiny.Pair) -> tiny.Pair:
    key, kind, value = pair
    if key == "llama.vocab_size":
        return key, kind, N_VOCAB
    if key == "tokenizer.ggml.merges":
        return key, kind, []
    return (key, kind, value[:N_VOCAB]) if isinstance(value, list) else pair


def cut_tensor(tensor: tiny.Tensor) -> tiny.Tensor:
    if tensor.name not in ROWS:
        return tensor
    row = len(tensor.data) // tensor.ne[1]
    return dataclasses.replace(tensor, ne=[tensor.ne[0], N_VOCAB], data=tensor.data[: row * N_VOCAB])


def as_input(parts: Sequence[bytes], cuts: int) -> bytes:
    """Return the input of fuzz_gguf for the parts of a model."""
    sizes = b"".join(struct.pack("<H", len(part)) for part in parts[:-1])
    return bytes([cuts, len(parts) - 1]) + sizes + b"".join(parts)


def gguf_seeds() -> Iterable[tuple[str, bytes]]:
    for number, (name, fields) in enumerate(MODELS.items()):
        yield name, as_input([tiny.write_gguf(None, *small(fields))], number)
    pairs, tensors = small({})
    n = len(tensors)
    for counts in ([2, n - 2], [4, 0, n - 4], [n // 4, n // 4, n // 4, n - n // 4 * 3]):
        yield f"split{len(counts)}", as_input(tiny.write_split(None, pairs, tensors, counts), 7)


def gguf_words() -> Iterable[bytes]:
    """Keys, tensor names, and numbers where 32 and 64 bits end."""
    for fields in MODELS.values():
        pairs, tensors = small(fields)
        yield from (tiny.packed_string(pair[0]) for pair in pairs)
        yield from (tiny.packed_string(tensor.name) for tensor in tensors)
    for key in ("head_count", "head_count_kv", "sliding_window"):
        yield tiny.packed_string(f"llama.attention.{key}")
    yield from (tiny.packed_string(f"split.{key}") for key in ("no", "count", "tensors.count"))
    yield from (struct.pack("<Q", n) for n in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64 - 1))
    yield from (struct.pack("<f", x) for x in (0, -1, float("inf"), float("nan")))


def vocabulary(first: int, tokens: Sequence[tuple[int, int, str]], merges: Sequence[tuple[int, int]]) -> bytes:
    """Return the first part of an input of fuzz_tokenizer: tokens are (kind, score, text), merges pairs of numbers."""
    out = bytes([first, 0, 0, 255, 255, 255, 255, len(tokens)])
    for kind, score, text in tokens:
        raw = text.encode()
        out += bytes([kind - 1, 128 + score, len(raw)]) + raw
    return out + bytes([len(merges)]) + b"".join(struct.pack("<HH", *pair) for pair in merges)


def tokenizer_seeds() -> Iterable[tuple[str, bytes]]:
    normal, unknown, control, defined = tiny.NORMAL, tiny.UNKNOWN, tiny.CONTROL, tiny.USER_DEFINED
    text = "the <|im_end|> tea,\n\n  12345 it's naïve ▁\xff 🙂 the the".encode() + b"\x80\xff\0"
    words = [(normal, 0, "th"), (normal, 0, "the"), (control, 0, "<|im_end|>"), (defined, 0, "tea")]
    merges = [(ord("t"), ord("h")), (256, ord("e"))]
    yield "bpe", vocabulary(3, words, merges) + text
    yield "bpe_few", vocabulary(1, [*words, (unknown, 0, "?")], [(0, 1)]) + text
    pieces = [(normal, -1, "▁"), (normal, 1, "▁t"), (normal, 2, "th"), (normal, 3, "▁th"), (normal, -2, "t")]
    yield "spm", vocabulary(2, [*pieces, *words[2:]], []) + text
    yield "spm_few", vocabulary(0, [(unknown, 0, "<unk>"), *pieces], []) + text


def tokenizer_words() -> Iterable[bytes]:
    return [word.encode() for word in ("▁", "Ġ", "<0x41>", "<|im_end|>", "'re", "  ", "\r\n", "é", "\u3000", "🙂")]


SEEDS = {"fuzz_gguf": (gguf_seeds, gguf_words), "fuzz_tokenizer": (tokenizer_seeds, tokenizer_words)}


def write(folder: Path) -> None:
    for target, (seeds, words) in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / target / name).write_bytes(data)
        lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in dict.fromkeys(words())]
        (folder / f"{target}.dict").write_text("".join(lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
