"""How well a real model predicts a text in each tensor type that llama.cpp's quantiser makes: gemel and llama.cpp.

    python tests/bench/type_likelihood.py SMOLLM2.gguf TEXT.txt [--types Q4_K,IQ1_S] [-n 2048] [--results FILE.json]

Run it by a Python that has gemel, llama-cpp-python and numpy. The model, an architecture of llama, is written in F16,
with zeros where a row's length is not a multiple of 256: they change nothing that it computes, and every type fits.
llama.cpp then quantises all matrices of layers to one type (token_embd to Q8_0), with an importance matrix of the
text's last ids. The text's first ids are scored in chunks, with an F16 cache. Where the two differ by more than 0.3 %,
llama.cpp is also compared with itself, by flash attention, and both with `exact`: the same weights as F32, where no
activation is rounded.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where peer.py is, for a script that is run by its path

import gemel
import llama_cpp
import numpy as np
import peer
from gguf_file import F32, Metadata, read_gguf

BLOCK = 256      # weights of the largest block of a type
N_MATRIX = 512   # ids of the importance matrix
BOUND = 0.003
Q8_0 = 7         # LLAMA_FTYPE_MOSTLY_Q8_0; matrices of layers are overridden
TYPES = {
    "F32": 0, "F16": 1, "BF16": 30, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11,
    "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ1_S": 19, "IQ1_M": 29, "IQ2_XXS": 16, "IQ2_XS": 17, "IQ2_S": 22,
    "IQ3_XXS": 18, "IQ3_S": 21, "IQ4_NL": 20, "IQ4_XS": 23, "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40,
    "Q1_0": 41, "Q2_0": 42,
}  # fmt: skip
Weights = dict[str, F32]


def number(metadata: Metadata, key: str) -> float:
    value = metadata[f"llama.{key}"]
    assert isinstance(value, int | float)
    return value


def whole(metadata: Metadata, key: str) -> int:
    return int(number(metadata, key))


# ---- The model in F16 ------------------------------------------------------------------------------------------------


def widened(source: Path) -> tuple[Metadata, Weights]:
    """Return a model whose rows have whole blocks: it has more heads and channels, which are zeros."""
    metadata, tensors = read_gguf(source.read_bytes())
    n_embd, dim = whole(metadata, "embedding_length"), whole(metadata, "rope.dimension_count")
    share = n_embd / _whole(n_embd)   # of a row's channels that are the model's own
    weights = {}
    for name, tensor in tensors.items():
        values = tensor.floats()
        values = np.pad(values, [(0, _whole(n) - n) for n in values.shape])
        weights[name] = (values * np.sqrt(share)).astype(np.float32) if values.ndim == 1 else values
    metadata |= {
        "llama.embedding_length": _whole(n_embd),
        "llama.attention.head_count": len(weights["blk.0.attn_q.weight"]) // dim,
        "llama.attention.head_count_kv": len(weights["blk.0.attn_k.weight"]) // dim,
        "llama.attention.layer_norm_rms_epsilon": number(metadata, "attention.layer_norm_rms_epsilon") * share,
    }
    return metadata, weights


def _whole(n: int) -> int:
    return -(-n // BLOCK) * BLOCK


def squares(metadata: Metadata, weights: Weights, ids: list[int]) -> Iterator[tuple[str, F32]]:
    """Yield (matrix of a layer, the mean square of each channel that it reads): an importance matrix."""
    dim, eps = whole(metadata, "rope.dimension_count"), number(metadata, "attention.layer_norm_rms_epsilon")
    angles = np.arange(len(ids))[:, None] / number(metadata, "rope.freq_base") ** (np.arange(0, dim, 2) / dim)
    turn = np.exp(1j * angles)[:, None]
    mask = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)

    def normed(x: F32, name: str) -> F32:
        scales = np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)
        return np.asarray(x / scales * weights[f"{name}.weight"], np.float32)

    def turned(x: F32) -> F32:
        pairs = x.reshape(len(ids), -1, dim // 2, 2)
        both = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
        return np.stack([both.real, both.imag], axis=-1).reshape(len(ids), -1, dim).astype(np.float32)

    def attended(q: F32, k: F32, v: F32) -> F32:
        group = q.shape[1] // k.shape[1]
        scores = np.einsum("ihd,jhd->hij", q, np.repeat(k, group, axis=1)) / math.sqrt(dim) + mask
        chances = np.exp(scores - scores.max(axis=-1, keepdims=True))
        chances /= chances.sum(axis=-1, keepdims=True)
        heads = np.einsum("hij,jhd->ihd", chances, np.repeat(v, group, axis=1))
        return np.asarray(heads.reshape(len(ids), -1), np.float32)

    x = weights["token_embd.weight"][ids]
    for il in range(whole(metadata, "block_count")):
        own = {name: weights[f"blk.{il}.{name}.weight"] for name in ("attn_q", "attn_k", "attn_v", "attn_output",
                                                                     "ffn_gate", "ffn_up", "ffn_down")}  # fmt: skip
        h = normed(x, f"blk.{il}.attn_norm")
        o = attended(
            turned(h @ own["attn_q"].T), turned(h @ own["attn_k"].T), (h @ own["attn_v"].T).reshape(len(ids), -1, dim)
        )
        x = x + o @ own["attn_output"].T
        f = normed(x, f"blk.{il}.ffn_norm")
        gate = f @ own["ffn_gate"].T
        a = gate / (1 + np.exp(-gate)) * (f @ own["ffn_up"].T)
        x = x + a @ own["ffn_down"].T
        read = {"attn_q": h, "attn_k": h, "attn_v": h, "attn_output": o, "ffn_gate": f, "ffn_up": f, "ffn_down": a}
        for name, values in read.items():
            yield f"blk.{il}.{name}.weight", np.mean(values * values, axis=0, dtype=np.float32)


# ---- llama.cpp's quantiser -------------------------------------------------------------------------------------------


def quantise(source: Path, path: Path, type_: int, importance: dict[str, F32]) -> None:
    """Write a file whose layers have matrices of one type."""
    entries = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, values) in zip(entries, importance.items(), strict=False):
        entry.name, entry.size = name.encode(), values.size
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    overrides = (llama_cpp.llama_model_tensor_override * 2)()
    overrides[0].pattern, overrides[0].type = rb"^blk\.", type_
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.token_embedding_type, params.pure = Q8_0, TYPES["Q8_0"], True
    params.imatrix, params.tt_overrides = entries, overrides
    if llama_cpp.llama_model_quantize(str(source).encode(), str(path).encode(), params):
        raise SystemExit(f"llama.cpp can't quantise to type {type_}")
    _, tensors = read_gguf(path.read_bytes())
    if any(tensor.type != type_ for name, tensor in tensors.items() if name in importance):
        raise SystemExit(f"llama.cpp wrote other types than {type_}")


# ---- Scores ----------------------------------------------------------------------------------------------------------


def mean_nll(parts: list[list[float]]) -> float:
    return float(np.mean(np.concatenate([np.asarray(part) for part in parts])))


def own_nll(path: Path, chunks: list[list[int]]) -> float:
    nll: list[list[float]] = []
    with gemel.open(path) as model:
        for chunk in chunks:
            with model.session(kv_type="f16") as session:
                nll.append([-one for one in session.score(chunk)[0][1:]])
    return mean_nll(nll)


def compared(path: Path, chunks: list[list[int]]) -> dict[str, Any]:
    """Return both likelihoods and how far they are apart."""
    own, theirs = own_nll(path, chunks), mean_nll(peer.scores(path, chunks).nll)
    found = {"gemel": own, "llama.cpp": theirs, "apart": own / theirs - 1}
    if abs(found["apart"]) > BOUND:
        found["flash"] = mean_nll(peer.scores(path, chunks, flash=True).nll) / theirs - 1
        found["exact"] = exact_nll(path, chunks)
    return found


def exact_nll(path: Path, chunks: list[list[int]]) -> float:
    """Return the likelihood by a file's weights as floats."""
    metadata, tensors = read_gguf(path.read_bytes())
    floats = path.with_name("floats.gguf")
    peer.write_model(floats, metadata, {name: tensor.floats() for name, tensor in tensors.items()}, "F32")
    return own_nll(floats, chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("-n", type=int, default=2048, help="ids that are scored")
    parser.add_argument("--results", type=Path, help="keep the figures in this file, and go on where it ends")
    options = parser.parse_args()
    results = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    log = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(log, None)
    metadata, weights = widened(options.model)
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder) / "f16.gguf", Path(folder) / "type.gguf"
        peer.write_model(source, metadata, weights)
        with gemel.open(source) as model:
            ids = list(model.tokenize(options.text.read_text()))
        importance = dict(squares(metadata, weights, ids[-N_MATRIX:]))
        for name in options.types.split(","):
            if name in results:
                continue
            quantise(source, path, TYPES[name], importance)
            results[name] = compared(path, peer.chunks_of(ids[: options.n]))
            if options.results:
                options.results.write_text(json.dumps(results, indent=1))
            print(name, *(f"{key} {value:.5f}" for key, value in results[name].items()), flush=True)
    if any(abs(row["apart"]) > BOUND for row in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
