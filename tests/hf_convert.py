"""A tokenizer.json -> the tokenizer.ggml.* pairs of a GGUF file, as llama.cpp's converter writes them.

What GGUF has no key for is lost: a normaliser that is no charsmap (NFC), whether a BPE takes whole words, and whether a
unigram model cuts at every space.
"""

from __future__ import annotations

from typing import Any

import hf_tokenizer
from vocabulary import CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Pair

Json = dict[str, Any]


def converted(tokenizer: Json) -> list[Pair]:
    """Return the pairs; ValueError says what can't be expressed."""
    model = tokenizer["model"]
    if model["type"] == "Unigram":
        return _unigram(tokenizer)
    if model["type"] != "BPE":
        raise ValueError(f"a model of type {model['type']}")
    is_of_bytes = _has(tokenizer["pre_tokenizer"], "ByteLevel")
    name = ("gpt2", _rule(tokenizer)) if is_of_bytes else ("gemma4", "gemma4")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return [
        ("tokenizer.ggml.model", "string", name[0]),
        ("tokenizer.ggml.pre", "string", name[1]),
        *_tokens(tokenizer, model["vocab"]),
        ("tokenizer.ggml.merges", "string[]", merges),
    ]


def _unigram(tokenizer: Json) -> list[Pair]:
    pieces = tokenizer["model"]["vocab"]
    kinds = {piece: i for i, (piece, _) in enumerate(pieces)}
    pairs = _tokens(tokenizer, kinds, unknown=tokenizer["model"]["unk_id"])
    n = len(pairs[0][2])
    pad = [0.0] * (n - len(pieces))
    return [
        ("tokenizer.ggml.model", "string", "t5"),
        *pairs,
        ("tokenizer.ggml.scores", "f32[]", [float(score) for _, score in pieces] + pad),
        ("tokenizer.ggml.unknown_token_id", "u32", tokenizer["model"]["unk_id"]),
        ("tokenizer.ggml.add_space_prefix", "bool", True),
        ("tokenizer.ggml.remove_extra_whitespaces", "bool", False),
    ]


def _tokens(tokenizer: Json, vocab: dict[str, int], unknown: int | None = None) -> list[Pair]:
    added = {token["id"]: token for token in tokenizer["added_tokens"]}
    texts = {id: text for text, id in vocab.items()} | {id: token["content"] for id, token in added.items()}
    kinds = {id: _kind(token) for id, token in added.items()}
    if unknown is not None:
        kinds[unknown] = UNKNOWN
    ids = range(max(texts) + 1)
    return [
        ("tokenizer.ggml.tokens", "string[]", [texts.get(id, f"[PAD{id}]") for id in ids]),
        ("tokenizer.ggml.token_type", "i32[]", [kinds.get(id, NORMAL if id in texts else UNUSED) for id in ids]),
    ]


def _kind(token: Json) -> int:
    text = token["content"]
    looks_special = (text.startswith("<|") and text.endswith("|>")) or (text.startswith("<｜") and text.endswith("｜>"))
    return CONTROL if token["special"] or looks_special else USER_DEFINED


def _has(node: Json | None, kind: str) -> bool:
    if node is None:
        return False
    return node["type"] == kind or any(_has(part, kind) for part in node.get("pretokenizers", []))


def _rule(tokenizer: Json) -> str:
    """Return the name of the splitting rule with these patterns."""
    parts = tokenizer["pre_tokenizer"].get("pretokenizers", [tokenizer["pre_tokenizer"]])
    passes = ["digits" if part["type"] == "Digits" else part.get("pattern", {}).get("Regex", "") for part in parts]
    wanted = [_plain(pattern) for pattern in passes if pattern]
    whole = tokenizer["model"].get("ignore_merges") is True
    rules = [name for name, patterns in hf_tokenizer.PASSES.items() if [_plain(p) for p in patterns] == wanted]
    rules.sort(key=lambda name: (name in hf_tokenizer.WHOLE_WORDS) != whole)
    if not rules:
        raise ValueError(f"the splitting rule {passes}")
    return rules[0]


def _plain(pattern: str) -> str:
    return pattern.replace("\r", "\\r").replace("\n", "\\n").replace("\u3000", "\\u3000")
