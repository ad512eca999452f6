"""Small working vocabularies for tiny models: a text's byte-pair merges -> the tokenizer.ggml.* pairs of a file.

Byte-level BPE, SentencePiece, BPE over characters, unigram and WordPiece; all but the last two cover every byte.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any

Pair = tuple[str | bytes, str | int, Any]  # a key, a type, a value; see tiny.py
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


def char_bpe_vocabulary(n_vocab: int | None = None) -> list[Pair]:
    """Return tokenizer.ggml.* of a BPE over characters: <pad> <eos> <bos> <unk>, bytes, characters, merged pieces."""
    special = [("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", UNKNOWN)]
    fallback = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    chars = sorted({"▁", "\n", *(char for char in TEXT if not char.isspace())})
    merges = [*_merges("▁"), ("▁", "▁"), ("\n", "\n"), ("\n\n", "\n")]
    joined = dict.fromkeys("".join(pair) for pair in merges)
    start = special + fallback + [(char, NORMAL) for char in chars]
    pieces = _fitted(start + [(piece, NORMAL) for piece in joined], n_vocab, len(start))
    known = {piece for piece, _ in pieces}
    return [
        ("tokenizer.ggml.model", "string", "gemma4"),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in pieces]),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in pieces]),
        ("tokenizer.ggml.merges", "string[]", [f"{a} {b}" for a, b in merges if a + b in known]),
        ("tokenizer.ggml.bos_token_id", "u32", 2),
        ("tokenizer.ggml.eos_token_id", "u32", 1),
        ("tokenizer.ggml.unknown_token_id", "u32", 3),
        ("tokenizer.ggml.add_bos_token", "bool", True),
        ("tokenizer.ggml.add_space_prefix", "bool", False),
    ]


def unigram_vocabulary(n_vocab: int | None = None) -> list[Pair]:
    """Return tokenizer.ggml.* of a unigram model: <pad> </s> <unk>, then pieces, long ones likelier per character."""
    special = [("<pad>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN)]
    joined = dict.fromkeys("".join(pair) for pair in _merges("▁"))
    chars = sorted({"▁", *(char for char in TEXT if not char.isspace())})
    pieces = _fitted(special + [(piece, NORMAL) for piece in (*joined, *chars)], n_vocab, len(special))
    scores = [-2.0 - 0.75 * len(piece) - i / 97 if kind == NORMAL else 0.0 for i, (piece, kind) in enumerate(pieces)]
    return [
        ("tokenizer.ggml.model", "string", "t5"),
        ("tokenizer.ggml.pre", "string", "default"),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in pieces]),
        ("tokenizer.ggml.scores", "f32[]", scores),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in pieces]),
        ("tokenizer.ggml.eos_token_id", "u32", 1),
        ("tokenizer.ggml.unknown_token_id", "u32", 2),
        ("tokenizer.ggml.add_bos_token", "bool", False),
        ("tokenizer.ggml.add_eos_token", "bool", True),
        ("tokenizer.ggml.add_space_prefix", "bool", True),
        ("tokenizer.ggml.remove_extra_whitespaces", "bool", False),
    ]


def wordpiece_vocabulary(n_vocab: int | None = None, *, cased: bool = False) -> list[Pair]:
    """Return tokenizer.ggml.* of a WordPiece: [PAD] [UNK] [CLS] [SEP] [MASK], then pieces that begin words or go on."""
    special = [("[PAD]", CONTROL), ("[UNK]", UNKNOWN), ("[CLS]", CONTROL), ("[SEP]", CONTROL), ("[MASK]", CONTROL)]
    text = TEXT if cased else TEXT.lower()
    joined = [piece for a, b in _merges("▁") for piece in (a + b,)]
    pieces = dict.fromkeys(piece if cased else piece.lower() for piece in joined if piece != "▁")
    chars = sorted({char for char in text if not char.isspace()})
    normal = [*pieces, *(f"▁{char}" for char in chars), *chars]
    found = _fitted(special + [(piece, NORMAL) for piece in dict.fromkeys(normal)], n_vocab, len(special))
    return [
        ("tokenizer.ggml.model", "string", "bert"),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in found]),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in found]),
        ("tokenizer.ggml.cls_token_id", "u32", 2),
        ("tokenizer.ggml.seperator_token_id", "u32", 3),
        ("tokenizer.ggml.unknown_token_id", "u32", 1),
    ]


def world_vocabulary(n_vocab: int | None = None) -> list[Pair]:
    """Return tokenizer.ggml.* of RWKV's kind: a control token, 256 bytes, merged pieces, parts of characters."""
    byte_of = {char: byte for byte, char in enumerate(byte_alphabet())}
    joined = [bytes(byte_of[char] for char in a + b) for a, b in _merges(" ")]
    joined += [b"\n\n", b"\\'", b"\t\t\r\n", *("\u4e2d\u6587".encode()[:n] for n in (2, 3, 6))]
    found = [("<s>", CONTROL), *((repr(bytes([byte]))[2:-1], NORMAL) for byte in range(256))]
    found += [(repr(piece)[2:-1], NORMAL) for piece in dict.fromkeys(joined)]
    found = _fitted(found, n_vocab, 257)
    return [
        ("tokenizer.ggml.model", "string", "rwkv"),
        ("tokenizer.ggml.tokens", "string[]", [piece for piece, _ in found]),
        ("tokenizer.ggml.token_type", "i32[]", [kind for _, kind in found]),
        ("tokenizer.ggml.bos_token_id", "u32", 0),
        ("tokenizer.ggml.eos_token_id", "u32", 0),
    ]


def small_charsmap() -> bytes:
    """Return a tokenizer.ggml.precompiled_charsmap of 512 units: "t" becomes "h", "te" "th"."""
    units, leaf, end = [0] * 512, 1 << 8, 1 << 31
    units[ord("t")] = ord("t") | leaf | (ord("t") ^ 256) << 10
    units[256] = end
    units[256 ^ ord("e")] = ord("e") | leaf | (256 ^ ord("e") ^ 300) << 10
    units[300] = end | 2
    return struct.pack("<513I", 2048, *units) + b"h\0th".ljust(16, b"\0")
