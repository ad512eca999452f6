"""Write what the fuzz targets start from: a folder of small inputs and a dictionary for each, made by tests/tiny.py.

    python seeds.py build/fuzz/seeds    ->  build/fuzz/seeds/fuzz_gguf/*, build/fuzz/seeds/fuzz_gguf.dict, ...

An input is what the comment at the top of fuzz_<x>.c draws. fuzz_state needs none: every input is a change of a valid
saved session.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gemel
import hostile
import tiny
from compact import compact
from gemel.schema.compiler import compile_schema
from random_schemas import Maker
from vocabulary import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, small_charsmap

MODELS: dict[str, dict[str, Any]] = {
    "q4_1": {},
    "tied": {"format": "Q8_0", "tied": True},
    "floats": {"format": "F16", "formats": {"attn_v": "F32", "token_embd": "BF16"}, "biases": True, "n_embd": 8},
    "k": {"format": "Q5_0", "formats": {"ffn_down": "Q4_K"}, "n_ff": 256},
    "mxfp4": {"format": "MXFP4", "formats": {"attn_q": "IQ4_NL", "attn_k": "Q4_0"}, "n_layer": 2},
    "spm": {"tokenizer": "spm", "rope": "yarn"},
    "longrope": {"tokenizer": "spm", "rope": "longrope", "head_dim": 8, "format": "F16"},
}


def as_input(parts: Sequence[bytes], cuts: int) -> bytes:
    """Return the input of fuzz_gguf for the parts of a model."""
    sizes = b"".join(struct.pack("<H", len(part)) for part in parts[:-1])
    return bytes([cuts, len(parts) - 1]) + sizes + b"".join(parts)


def gguf_seeds() -> Iterable[tuple[str, bytes]]:
    for number, (name, fields) in enumerate(MODELS.items()):
        yield name, as_input(hostile.small(**fields).parts(), number)
    for name, make in hostile.BASES["new"].items():
        yield f"new_{name}", as_input(make().parts(), 7)
    for counts in ((2, 10), (4, 0, 8), (3, 3, 3, 3)):
        yield f"split{len(counts)}", as_input(hostile.small(counts=counts).parts(), 7)


def gguf_words() -> Iterable[bytes]:
    """Keys, tensor names, and numbers where 32 and 64 bits end."""
    specs = [hostile.small(**fields) for fields in MODELS.values()]
    for spec in specs + [make() for make in hostile.BASES["new"].values()]:
        yield from (tiny.packed_string(pair[0]) for pair in spec.pairs)
        yield from (tiny.packed_string(tensor.name) for tensor in spec.tensors)
    for key in ("head_count", "head_count_kv", "sliding_window"):
        yield tiny.packed_string(f"llama.attention.{key}")
    yield from (tiny.packed_string(f"split.{key}") for key in ("no", "count", "tensors.count"))
    yield from (struct.pack("<Q", n) for n in hostile.WIDE)
    yield from (struct.pack("<f", x) for x in hostile.FLOATS)


def vocabulary(first: int, tokens: Sequence[tuple[int, int, str]], merges: Sequence[tuple[int, int]]) -> bytes:
    """Return the first part of an input of fuzz_tokenizer: tokens are (kind, score, text), merges pairs of numbers."""
    out = bytes([first, 0, 0, 255, 255, 255, 255, len(tokens)])
    for kind, score, text in tokens:
        raw = text.encode()
        out += bytes([kind - 1, 128 + score, len(raw)]) + raw
    return out + bytes([len(merges)]) + b"".join(struct.pack("<HH", *pair) for pair in merges)


def tokenizer_seeds() -> Iterable[tuple[str, bytes]]:
    normal, unknown, control, defined = NORMAL, UNKNOWN, CONTROL, USER_DEFINED
    text = "the <|im_end|> tea,\n\n  12345 it's naïve ▁\xff 🙂 the the".encode() + b"\x80\xff\0"
    words = [(normal, 0, "th"), (normal, 0, "the"), (control, 0, "<|im_end|>"), (defined, 0, "tea")]
    merges = [(ord("t"), ord("h")), (256, ord("e"))]
    yield "bpe", vocabulary(3, words, merges) + text
    yield "bpe_few", vocabulary(1, [*words, (unknown, 0, "?")], [(0, 1)]) + text
    pieces = [(normal, -1, "▁"), (normal, 1, "▁t"), (normal, 2, "th"), (normal, 3, "▁th"), (normal, -2, "t")]
    yield "spm", vocabulary(2, [*pieces, *words[2:]], []) + text
    yield "spm_few", vocabulary(0, [(unknown, 0, "<unk>"), *pieces], []) + text
    yield "unigram", vocabulary(4, [(unknown, 0, "<unk>"), *pieces, *words[2:]], []) + text
    yield "unigram_bytes", vocabulary(6, [(unknown, 0, "<unk>"), *pieces, *words[2:]], []) + text
    yield "charsmap", vocabulary(12, [(unknown, 0, "<unk>"), *pieces], []) + b"\1" + small_charsmap()[4:] + text
    written = [(normal, 0, piece) for piece in ("the", "\\n\\n", "\\xe4\\xb8", "it\\'s")]
    yield "world", vocabulary(18, [*written, *words[2:]], []) + text
    yield "world_few", vocabulary(16, [(unknown, 0, "?"), (normal, 0, "th"), (normal, 0, "\\")], []) + text
    yield "characters", vocabulary(7, [*pieces, (normal, 0, "h"), *words[2:]], [(256, 260), (257, 261)]) + text


def tokenizer_words() -> Iterable[bytes]:
    return [word.encode() for word in ("▁", "Ġ", "<0x41>", "<|im_end|>", "'re", "  ", "\r\n", "é", "\u3000", "🙂")]


GRAMMARS = (
    (1, 'root ::= v\nv ::= "[" (v ("," v)*)? "]" | [0-9]{1,9} | "\\"" [^"\\\\]{0,40} "\\""'),
    (1, 'root ::= <think> !<think>{2,} ("a" | <[97]>)  # ids\n'),
    (1, 'root ::= "a" root root | "b" | "\\u00e9\\x41\\U0001F600" .'),
    (2, r"(?:a|(?<n>[^\d\s])){2,30}\w+?\.\uD83D\uDE00|^x$"),
    (3, "yes\nno\n\n\x80\nyesterday"),
)


SCHEMA_SEEDS, SCHEMAS, LONGEST = 6, 40, 900   # bytes of a grammar


def schema_grammars() -> Iterable[tuple[bytes, bytes]]:
    """Grammars that JSON schemas become, each with a value's text."""
    for seed in range(SCHEMA_SEEDS):
        maker = Maker(seed)
        for _ in range(SCHEMAS):
            schema, value = maker.schema(), compact(maker.value()).encode()
            try:
                grammar = compile_schema(schema, any_order=True, strict=False).grammar.encode()
            except gemel.SchemaError:
                continue
            if len(grammar) <= LONGEST:
                yield grammar, value


def grammar_seeds() -> Iterable[tuple[str, bytes]]:
    answer = bytes(range(1, 120, 7))
    for number, (kind, text) in enumerate(GRAMMARS):
        raw = text.encode("latin-1") if kind == 3 else text.encode()
        yield f"{kind}_{number}", bytes([kind]) + struct.pack("<H", len(raw)) + raw + answer
    for number, (grammar, value) in enumerate(schema_grammars()):
        yield f"schema_{number}", bytes([1]) + struct.pack("<H", len(grammar)) + grammar + value
    for number in range(8):  # made of bytes
        yield f"made_{number}", bytes([0]) + bytes((i * i * (number + 3) >> 3) & 255 for i in range(200))


def grammar_words() -> Iterable[bytes]:
    words = (
        "root",
        " ::= ",
        "{2,30}",
        "<think>",
        "!<think>",
        "<[97]>",
        "[^a-z]",
        "(?:",
        "(?<a>",
        r"\u{1F600}",
        r"\d",
        "é",
    )
    return [word.encode() for word in words]


SEEDS = {"fuzz_gguf": (gguf_seeds, gguf_words), "fuzz_grammar": (grammar_seeds, grammar_words)}
SEEDS["fuzz_tokenizer"] = (tokenizer_seeds, tokenizer_words)


def write(folder: Path) -> None:
    for target, (seeds, words) in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / target / name).write_bytes(data)
        lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in dict.fromkeys(words())]
        (folder / f"{target}.dict").write_text("".join(lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
