"""Write tests/golden/<architecture>.json: logits that Hugging Face transformers gives for tiny hashed models.

    python tests/golden/make_transformers.py            every row of tests/archs.py
    python tests/golden/make_transformers.py qwen2      one

Run it by a Python that has torch and transformers; the tests don't. The models' files are made first, as GGUF, and
their tensors given to transformers under its own names; rows of q and k go from GGUF's order of pairs to halves.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where archs.py is, for a script that is run by its path

import golden_files
import tiny
import torch
import transformers
from archs import ARCHS, Arch
from gguf_file import F32
from golden_files import IDS, N_VOCAB, Case

BASE: dict[str, Any] = {
    "n_layer": 2, "n_vocab": N_VOCAB, "n_ctx": 256, "rope_base": 500.0, "format": "F32", "hashed": True,
    "embd_std": 0.02,  # small, so that the first norm's epsilon counts
}  # fmt: skip
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
SHORT, LONG = [1.0 + 0.1 * i for i in range(8)], [2.0 + 0.5 * i for i in range(8)]
LONGROPE = {"short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64, "factor": 4.0}
YARN = {"factor": 4.0, "original_max_position_embeddings": 768}
LONGROPE_FIELDS = {
    "rope": "longrope",
    "rope_n_ctx_orig": 64,
    "rope_attn_factor": math.sqrt(1 + math.log(4.0) / math.log(64)),
    "rope_factors": {"rope_factors_long.weight": LONG, "rope_factors_short.weight": SHORT},
}
# name: fields of tiny.TinyModel, transformers' rope_parameters, ids, the session's n_ctx
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {
    "plain": ({}, {}, 48, 256),
    "tied": ({"tied": True}, {}, 48, 256),
    "wide heads": ({"head_dim": 24, "n_head_kv": 1}, {}, 48, 256),
    "biases": ({"biases": True, "ffn_biases": True}, {}, 48, 256),
    "linear": ({"rope": "linear", "rope_factor": 2.5}, {"rope_type": "linear", "factor": 2.5}, 48, 256),
    "yarn": ({"rope": "yarn", "rope_n_ctx_orig": 768}, {"rope_type": "yarn", **YARN}, 48, 256),
    "llama3": (
        {"rope_factors": {"rope_freqs.weight": tiny.llama3_factors(16, base=500, factor=8, n_ctx_orig=64).tolist()}},
        {"rope_type": "llama3", **LLAMA3}, 48, 256,
    ),
    "longrope": (LONGROPE_FIELDS, {"rope_type": "longrope", **LONGROPE}, 48, 64),
    "longrope, past its original context": (LONGROPE_FIELDS, {"rope_type": "longrope", **LONGROPE}, 80, 256),
}  # fmt: skip
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip


def halves(weight: F32, head_dim: int) -> F32:
    """Reorder the rows of q or k from GGUF's neighbouring pairs to transformers' order, first halves first."""
    heads = weight.reshape(-1, head_dim // 2, 2, *weight.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(weight.shape))


def state_of(t: tiny.TinyModel, tensors: list[tiny.Tensor]) -> dict[str, torch.Tensor]:
    state = {}
    for tensor in tensors:
        stem, _, kind = str(tensor.name).rpartition(".")
        blk, _, name = stem.rpartition(".")
        if name not in NAMES:
            continue  # factors of RoPE: they are in the config
        values = np.frombuffer(tensor.data, "<f4").reshape(tensor.ne[::-1])
        if t.row.rope == "NORM" and name in ("attn_q", "attn_k"):
            values = halves(values, t.dim)
        where = f"model.layers.{blk.removeprefix('blk.')}." if blk else ""
        state[f"{where}{NAMES[name]}.{kind}"] = torch.from_numpy(values.copy())
    if t.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state


def config_of(t: tiny.TinyModel, rope: dict[str, Any]) -> transformers.PretrainedConfig:
    return transformers.AutoConfig.for_model(
        t.arch,
        vocab_size=N_VOCAB,
        hidden_size=t.n_embd,
        intermediate_size=t.n_ff,
        num_hidden_layers=t.n_layer,
        num_attention_heads=t.n_head,
        num_key_value_heads=t.n_head_kv,
        head_dim=t.dim,
        max_position_embeddings=t.n_ctx,
        rms_norm_eps=t.eps,
        attention_bias=t.biases,
        mlp_bias=t.ffn_biases,
        tie_word_embeddings=t.tied,
        rope_parameters={"rope_type": "default", "rope_theta": t.rope_base, **rope},
        attn_implementation="eager",
    )


def case_of(fields: dict[str, Any], rope: dict[str, Any], n_ids: int, n_ctx: int) -> Case:
    t = tiny.TinyModel(**fields)
    tensors = tiny.described(t)[1]
    model = transformers.AutoModelForCausalLM.from_config(config_of(t, rope), dtype=torch.float32).eval()
    model.load_state_dict(state_of(t, tensors), strict=True)
    with torch.no_grad():
        logits = model(torch.tensor([IDS[:n_ids]])).logits[0].numpy()
    rows, columns = [0, 1, n_ids // 2, n_ids - 1], list(range(5, N_VOCAB, 17))
    return Case(fields, n_ids, n_ctx, rows, columns, golden_files.checksum(tensors), logits[np.ix_(rows, columns)])


def cases_of(row: Arch, seed: int) -> dict[str, Case]:
    found = {}
    for i, (name, (fields, rope, n_ids, n_ctx)) in enumerate(KINDS.items()):
        if name != "biases" or row.has("MAY_QKV_BIAS"):
            given = {"arch": row.name, "seed": 100 * seed + i, **BASE, **fields}
            found[name] = case_of(given, rope, n_ids, n_ctx)
    return found


if __name__ == "__main__":
    for number, row in enumerate(ARCHS.values(), 1):
        if row.name in (sys.argv[1:] or ARCHS):
            made_by = f"transformers {transformers.__version__}, torch {torch.__version__}"
            path = golden_files.FOLDER / f"{row.name}.json"
            golden_files.write(path, made_by, cases_of(row, number))
            print(path.name, path.stat().st_size)
