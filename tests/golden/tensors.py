"""Names of tensors in transformers, and how GGUF's tensors become what transformers has: joined, reordered, renamed.

A table maps a GGUF name to transformers'; families.py says which architecture has which.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gguf_file import F32
from tiny import TinyModel, of_layer
from tiny_model import XIELU

Weights = dict[str, F32]

LLAMA = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
SEED = {**LLAMA, "post_attention_norm": "post_attention_layernorm"}
HUNYUAN = {**LLAMA, "attn_q_norm": "self_attn.query_layernorm", "attn_k_norm": "self_attn.key_layernorm"}
APERTUS = {**LLAMA, "attn_norm": "attention_layernorm", "ffn_norm": "feedforward_layernorm", "act_fn": "mlp.act_fn"}
GLM4 = {
    **LLAMA, "post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm",
    "ffn_up": "mlp.gate_up_proj",
}  # fmt: skip
AFTER = {"post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
GEMMA2 = {**LLAMA, **AFTER, "ffn_norm": "pre_feedforward_layernorm"}
GEMMA4 = {
    **GEMMA2, "self": "model.layers.{}", "inp_gate": "per_layer_input_gate", "proj": "per_layer_projection",
    "post_norm": "post_per_layer_input_norm", "per_layer_token_embd": "model.embed_tokens_per_layer",
    "per_layer_model_proj": "model.per_layer_model_projection",
    "per_layer_proj_norm": "model.per_layer_projection_norm",
    "pre_ffw_norm_2": "pre_feedforward_layernorm_2", "post_ffw_norm_1": "post_feedforward_layernorm_1",
    "post_ffw_norm_2": "post_feedforward_layernorm_2", "ffn_gate_inp": "router.proj", "router": "router",
    "ffn_gate_up_exps": "experts.gate_up_proj", "ffn_down_exps": "experts.down_proj",
}  # fmt: skip
FC = {"attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"}
PHI2 = {**LLAMA, **FC, "output_norm": "model.final_layernorm"}
PHI3 = {**LLAMA, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
STARCODER2 = {**LLAMA, "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
GPT2 = {
    "token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f",
    "output": "lm_head", "attn_norm": "transformer.h.{}.ln_1", "attn_qkv": "transformer.h.{}.attn.c_attn",
    "attn_output": "transformer.h.{}.attn.c_proj", "ffn_norm": "transformer.h.{}.ln_2",
    "ffn_up": "transformer.h.{}.mlp.c_fc", "ffn_down": "transformer.h.{}.mlp.c_proj",
}  # fmt: skip
BLOOM_LAYER = {
    "attn_norm": "input_layernorm", "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense", "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h",
}  # fmt: skip
BLOOM = {
    "token_embd": "transformer.word_embeddings", "token_embd_norm": "transformer.word_embeddings_layernorm",
    "output_norm": "transformer.ln_f", "output": "lm_head",
    **{name: f"transformer.h.{{}}.{other}" for name, other in BLOOM_LAYER.items()},
}  # fmt: skip
GPTNEOX = {
    "token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "lm_head",
    **{name: f"gpt_neox.layers.{{}}.{other}".replace("self_attention", "attention")
       for name, other in BLOOM_LAYER.items()},
}  # fmt: skip
MPT = {
    "token_embd": "transformer.wte", "output_norm": "transformer.norm_f", "output": "lm_head",
    "attn_norm": "transformer.blocks.{}.norm_1", "attn_qkv": "transformer.blocks.{}.attn.Wqkv",
    "attn_output": "transformer.blocks.{}.attn.out_proj", "ffn_norm": "transformer.blocks.{}.norm_2",
    "ffn_up": "transformer.blocks.{}.ffn.up_proj", "ffn_down": "transformer.blocks.{}.ffn.down_proj",
}  # fmt: skip

EMBEDDINGS = {
    "token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm",
}  # fmt: skip
BERT_LAYER = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}  # fmt: skip
BERT = {**EMBEDDINGS, **{name: f"encoder.layer.{{}}.{other}" for name, other in BERT_LAYER.items()}}
MPNET_LAYER = {
    **BERT_LAYER, **{f"attn_{one}": f"attention.attn.{one}" for one in "qkv"}, "attn_output": "attention.attn.o",
    "attn_output_norm": "attention.LayerNorm",
}  # fmt: skip
MPNET = {
    **EMBEDDINGS, **{name: f"encoder.layer.{{}}.{other}" for name, other in MPNET_LAYER.items()},
    "attn_rel_b": "encoder.relative_attention_bias",
}  # fmt: skip
NOMIC_LAYER = {**LLAMA, "attn_output_norm": "post_attention_layernorm", "layer_output_norm": "post_mlp_layernorm"}
NOMIC = {**{name: f"layers.{{}}.{other}" for name, other in NOMIC_LAYER.items()}, **EMBEDDINGS}
# A BERT whose middle is two matrices, one of which is activated.
JINA = {**BERT, "ffn_gate": "encoder.layer.{}.intermediate.gate", "ffn_up": "encoder.layer.{}.intermediate.up"}
MODERN_LAYER = {
    "attn_norm": "attn_norm", "attn_qkv": "attn.Wqkv", "attn_output": "attn.Wo", "ffn_norm": "mlp_norm",
    "ffn_up": "mlp.Wi", "ffn_down": "mlp.Wo",
}  # fmt: skip
MODERN = {
    "token_embd": "embeddings.tok_embeddings", "token_embd_norm": "embeddings.norm", "output_norm": "final_norm",
    **{name: f"layers.{{}}.{other}" for name, other in MODERN_LAYER.items()},
}  # fmt: skip
GEMMA_EMBEDDING = {
    **{name: f"layers.{{}}.{other}" for name, other in GEMMA2.items() if not other.startswith("model.")},
    "token_embd": "embed_tokens", "output_norm": "norm",
}  # fmt: skip


LFM2 = {
    **LLAMA, "attn_output": "self_attn.out_proj", "attn_q_norm": "self_attn.q_layernorm",
    "attn_k_norm": "self_attn.k_layernorm", "attn_norm": "operator_norm", "ffn_norm": "ffn_norm",
    "ffn_gate": "feed_forward.w1", "ffn_up": "feed_forward.w3", "ffn_down": "feed_forward.w2",
    "shortconv_in_proj": "conv.in_proj", "shortconv_out_proj": "conv.out_proj", "shortconv_conv": "conv.conv",
    "token_embd_norm": "model.embedding_norm",
}  # fmt: skip

LFM2MOE = {
    **LFM2, "ffn_gate_inp": "feed_forward.gate", "ffn_gate_up_exps": "feed_forward.experts.gate_up_proj",
    "ffn_down_exps": "feed_forward.experts.down_proj", "exp_probs_b": "feed_forward.expert_bias",
}  # fmt: skip


QWEN35 = {
    **LLAMA, "post_attention_norm": "post_attention_layernorm", "attn_qkv": "linear_attn.in_proj_qkv",
    "attn_gate": "linear_attn.in_proj_z", "ssm_beta": "linear_attn.in_proj_b", "ssm_alpha": "linear_attn.in_proj_a",
    "ssm_conv1d": "linear_attn.conv1d", "ssm_norm": "linear_attn.norm", "ssm_out": "linear_attn.out_proj",
    "own": "linear_attn", "ssm_qkvz": "linear_attn.in_proj_qkvz", "ssm_ba": "linear_attn.in_proj_ba",
}  # fmt: skip


def lfm2(t: TinyModel, weights: Weights) -> Weights:
    """Write convolutions with a dimension for their one group."""
    out = {name.replace(".shortconv.", ".shortconv_"): x for name, x in weights.items()}
    return {name: x[:, None] if name.endswith(".shortconv_conv.weight") else x for name, x in out.items()}


SSM = {f"ssm_{name}": f"{other}" for name, other in (
    ("in", "in_proj"), ("conv1d", "conv1d"), ("x", "x_proj"), ("dt", "dt_proj"), ("norm", "norm"), ("out", "out_proj"),
)}  # fmt: skip
MAMBA = {
    "token_embd": "backbone.embeddings", "output_norm": "backbone.norm_f", "output": "lm_head",
    "attn_norm": "backbone.layers.{}.norm", "mamba": "backbone.layers.{}.mixer",
    **{name: f"backbone.layers.{{}}.mixer.{other}" for name, other in SSM.items()},
}  # fmt: skip


def mamba(t: TinyModel, weights: Weights) -> Weights:
    """Write decays as logarithms, convolutions with a dimension for their one group, and Mamba-2's numbers flat."""
    is_first = t.row.mixer == "MAMBA"
    out = {}
    for name, x in weights.items():
        blk, _, part = name.partition(".ssm_")
        if part == "a":
            out[f"{blk}.mamba.A_log"] = np.log(-x) if is_first else np.log(-x).reshape(-1)
        elif part == "d":
            out[f"{blk}.mamba.D"] = x.reshape(-1)
        elif part == "dt.bias" and not is_first:
            out[f"{blk}.mamba.dt_bias"] = x
        elif part == "conv1d.weight":
            out[name] = x[:, None]
        else:
            out[name] = x.reshape(-1) if part == "norm.weight" else x
    return out


def halves(t: TinyModel, weights: Weights) -> Weights:
    """Reorder the rows of q and k from GGUF's neighbouring pairs to transformers' order, first halves first."""
    out = dict(weights)
    for name, x in weights.items():
        if ".attn_q." in name or ".attn_k." in name:
            heads = x.reshape(-1, t.dim // 2, 2, *x.shape[1:])
            out[name] = np.ascontiguousarray(heads.swapaxes(1, 2).reshape(x.shape))
    return out


def less_one(t: TinyModel, weights: Weights) -> Weights:
    """Take the 1 off norms that Gemma's classes add to their weights."""
    return {name: x - 1 if name.endswith("_norm.weight") else x for name, x in weights.items()}


def joined(weights: Weights, names: tuple[str, ...], into: str, join: Callable[[list[F32]], F32]) -> Weights:
    """Join tensors of each layer and kind, in the order of names."""
    out = dict(weights)
    for name in weights:
        blk, _, kind = name.rpartition(f".{names[-1]}.")
        if blk:
            out[f"{blk}.{into}.{kind}"] = join([out.pop(f"{blk}.{one}.{kind}") for one in names])
    return out


def xielu(t: TinyModel, weights: Weights) -> Weights:
    """Add the numbers of each layer's activation, which are parameters there."""
    numbers = {f"blk.{il}.act_fn.{name}": np.array(by[il % 3], np.float32).reshape([1] if "alpha" in name else [])
               for name, by in XIELU.items() for il in range(t.n_layer)}
    return {**weights, **numbers}


QKV = ("attn_q", "attn_k", "attn_v")


def qkv(t: TinyModel, weights: Weights) -> Weights:
    return joined(weights, QKV, "attn_qkv", np.concatenate)


def gate(t: TinyModel, weights: Weights) -> Weights:
    return joined(weights, ("ffn_gate", "ffn_up"), "ffn_up", np.concatenate)


def qkv_and_gate(t: TinyModel, weights: Weights) -> Weights:
    return gate(t, qkv(t, weights))


def qkv_by_groups(t: TinyModel, weights: Weights) -> Weights:
    """Join q, k and v a group at a time: the queries of a key's head, the key, the value."""
    n = of_layer(t.heads_kv, 0)

    def join(parts: list[F32]) -> F32:
        groups = [x.reshape(n, -1, *x.shape[1:]) for x in parts]
        return np.concatenate(groups, axis=1).reshape(-1, *parts[0].shape[1:])

    return joined(weights, QKV, "attn_qkv", join)


def turned(t: TinyModel, weights: Weights) -> Weights:
    """Write matrices of layers with a row per input, as GPT-2's are."""
    return {name: x.T if x.ndim == 2 and name.startswith("blk.") else x for name, x in qkv(t, weights).items()}


def falcon(t: TinyModel, weights: Weights) -> Weights:
    """Name the two norms of a layer, where it has two, as transformers does."""
    renamed = {"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"} if t.two_norms else {}
    out = {}
    for name, x in qkv_by_groups(t, weights).items():
        blk, _, part = name.rpartition(".")
        stem, _, norm = blk.rpartition(".")
        out[f"{stem}.{renamed[norm]}.{part}" if norm in renamed else name] = x
    return out


def kv_b(t: TinyModel, weights: Weights) -> Weights:
    """Join k_b, turned, and v_b head by head, as they were trained."""
    out = dict(weights)
    for name in weights:
        blk, _, part = name.rpartition(".attn_k_b.")
        if blk:
            k, v = out.pop(name), out.pop(f"{blk}.attn_v_b.{part}")
            out[f"{blk}.attn_kv_b.{part}"] = np.concatenate([k.swapaxes(1, 2), v], axis=1).reshape(-1, t.kv_rank)
    return out


def gemma4(t: TinyModel, weights: Weights) -> Weights:
    """Name the scales of a layer, of its router and of its experts as transformers does, without `weight`."""
    renamed = {"layer_output_scale.weight": "self.layer_scalar", "ffn_gate_inp.scale": "router.scale",
               "ffn_down_exps.scale": "router.per_expert_scale"}   # fmt: skip
    out = {}
    for name, x in gate_up(weights).items():
        at = next((old for old in renamed if name.endswith(f".{old}")), None)
        out[name if at is None else name.removesuffix(at) + renamed[at]] = x
    return out


# ---- Experts ---------------------------------------------------------------------------------------------------------

EXPERTS = {
    "ffn_gate_inp": "mlp.gate", "ffn_gate_up_exps": "mlp.experts.gate_up_proj",
    "ffn_down_exps": "mlp.experts.down_proj", "exp_probs_b": "mlp.gate.e_score_correction_bias",
}  # fmt: skip
SHARED = {
    **EXPERTS, "ffn_gate_shexp": "mlp.shared_experts.gate_proj", "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}  # fmt: skip
QWEN2MOE = {
    **LLAMA, **{name: other.replace("shared_experts", "shared_expert") for name, other in SHARED.items()},
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
}  # fmt: skip
DEEPSEEK2 = {
    **LLAMA, **SHARED, "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj", "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm", "attn_kv_b": "self_attn.kv_b_proj",
}  # fmt: skip
GLM4MOE = {**LLAMA, **SHARED, "post_attention_norm": "post_attention_layernorm"}
ERNIE_MOE = {**LLAMA, **SHARED, "exp_probs_b": "mlp.gate.moe_statics.e_score_correction_bias"}
HUNYUAN_MOE = {
    **HUNYUAN, **{name: other.replace("shared_experts", "shared_mlp") for name, other in SHARED.items()},
    "ffn_gate_inp": "mlp.gate.wg",
}  # fmt: skip
GRANITEMOE = {
    **LLAMA, **{name: other.replace("mlp", "block_sparse_moe") for name, other in EXPERTS.items()},
    "ffn_gate_inp": "block_sparse_moe.router", "ffn_up_shexp": "shared_mlp.input_linear",
    "ffn_down_shexp": "shared_mlp.output_linear",
}  # fmt: skip


QWEN35MOE = {**QWEN2MOE, **QWEN35}


def gate_up(weights: Weights) -> Weights:
    """Join the gate and up of each expert, rows of its gate first."""
    names = ("ffn_gate_exps", "ffn_up_exps")
    return joined(weights, names, "ffn_gate_up_exps", lambda parts: np.concatenate(parts, axis=1))


GPT_OSS = {
    **SEED, "attn_sinks": "self_attn.sinks", "ffn_gate_inp": "mlp.router",
    "ffn_gate_up_exps": "mlp.experts.gate_up_proj", "ffn_down_exps": "mlp.experts.down_proj",
}  # fmt: skip


def alternating(t: TinyModel, weights: Weights) -> Weights:
    """Join the gate and up of each expert, a row of one after a row of the other, and write a row per input."""
    names = ("ffn_gate_exps", "ffn_up_exps")

    def join(parts: list[F32]) -> F32:
        return np.stack(parts, axis=2).reshape(len(parts[0]), -1, *parts[0].shape[2:])

    out = joined(weights, names, "ffn_gate_up_exps", join)
    return {name: x.swapaxes(1, 2) if x.ndim == 3 else x for name, x in out.items()}


LLAMA4 = {
    **LLAMA, **{f"ffn_{one}": f"feed_forward.{one}_proj" for one in ("gate", "up", "down")},
    **{f"ffn_{one}_shexp": f"feed_forward.shared_expert.{one}_proj" for one in ("gate", "up", "down")},
    "ffn_gate_inp": "feed_forward.router", "ffn_gate_up_exps": "feed_forward.experts.gate_up_proj",
    "ffn_down_exps": "feed_forward.experts.down_proj",
}  # fmt: skip


def llama4(t: TinyModel, weights: Weights) -> Weights:
    """Join the gate and up of each expert, and write a row per input."""
    return {name: x.swapaxes(1, 2) if x.ndim == 3 else x for name, x in gate_up(weights).items()}


def grouped(t: TinyModel, x: F32, axis: int = 0) -> F32:
    """Reorder heads of values so that those with the same key are adjacent, as they were trained."""
    (n_k, n_v), at = t.delta_heads, np.moveaxis(x, axis, 0)
    heads = at.reshape(n_v // n_k, n_k, -1, *at.shape[1:]).swapaxes(0, 1)
    return np.ascontiguousarray(np.moveaxis(heads.reshape(at.shape), 0, axis))


def delta_net(t: TinyModel, weights: Weights) -> Weights:
    """Name what has no .weight, write convolutions with a dimension for their group, take the 1 off norms."""
    keys, out = 2 * t.delta_heads[0] * t.delta_lengths[0], {}
    for name, x in weights.items():
        blk, _, part = name.partition(".ssm_")
        if part == "a":
            out[f"{blk}.own.A_log"] = grouped(t, np.log(-x)) if t.arch != "qwen3next" else np.log(-x)
        elif part == "dt.bias":
            out[f"{blk}.own.dt_bias"] = grouped(t, x) if t.arch != "qwen3next" else x
        elif t.arch != "qwen3next" and (part == "conv1d.weight" or ".attn_qkv." in name):
            x = np.concatenate([x[:keys], grouped(t, x[keys:])])
            out[name] = x[:, None] if part else x
        elif t.arch != "qwen3next" and (part in ("beta.weight", "alpha.weight") or ".attn_gate." in name):
            out[name] = grouped(t, x)
        elif t.arch != "qwen3next" and part == "out.weight":
            out[name] = grouped(t, x, 1)
        elif part == "conv1d.weight":
            out[name] = x[:, None]
        else:
            out[name] = x - 1 if name.endswith("_norm.weight") and part != "norm.weight" else x
    return out


def qkvz(t: TinyModel, weights: Weights) -> Weights:
    """Join the rows of each head of keys: its query, its key, its values and their gates."""
    out, (n_k, _), (k_dim, _) = dict(weights), t.delta_heads, t.delta_lengths
    for name in weights:
        blk, _, part = name.partition(".attn_gate.")
        if part:
            qkv, z = out.pop(f"{blk}.attn_qkv.{part}"), out.pop(name)
            parts = [*np.split(qkv, [n_k * k_dim, 2 * n_k * k_dim]), z]
            heads = np.concatenate([x.reshape(n_k, -1, t.n_embd) for x in parts], axis=1)
            out[f"{blk}.ssm_qkvz.{part}"] = heads.reshape(-1, t.n_embd)
    return out


def delta_experts(t: TinyModel, weights: Weights) -> Weights:
    out = qwen2moe(t, delta_net(t, weights))
    return qkvz(t, out) if t.arch == "qwen3next" else out


def only_gate_up(t: TinyModel, weights: Weights) -> Weights:
    return gate_up(weights)


def qwen2moe(t: TinyModel, weights: Weights) -> Weights:
    """Write the shared expert's router as a matrix."""
    out = gate_up(weights)
    return {name: x.reshape(1, -1) if ".ffn_gate_inp_shexp." in name else x for name, x in out.items()}


def granite_experts(t: TinyModel, weights: Weights) -> Weights:
    out = gate_up(halves(t, weights))
    return joined(out, ("ffn_gate_shexp", "ffn_up_shexp"), "ffn_up_shexp", np.concatenate)


def ernie_experts(t: TinyModel, weights: Weights) -> Weights:
    """Write the biases of choice as rows. If the file has none, write zeros."""
    out = gate_up(weights)
    for name in list(out):
        if name.endswith(".ffn_gate_inp.weight"):
            bias = name.replace("ffn_gate_inp.weight", "exp_probs_b.bias")
            out[bias] = out.get(bias, np.zeros(len(out[name]), np.float32)).reshape(1, -1)
    return out


# ---- Hybrids of attention and Mamba-2 --------------------------------------------------------------------------------

MIXED = {"mamba": "model.layers.{}.mamba", **{name: f"mamba.{other}" for name, other in SSM.items()}}
# What Falcon-H1's class multiplies by, and its files' weights are multiplied by.
MULTIPLIERS = {
    "attention_in_multiplier": 0.5, "attention_out_multiplier": 2.0, "key_multiplier": 0.25, "ssm_in_multiplier": 0.5,
    "ssm_out_multiplier": 4.0, "ssm_multipliers": [0.5, 2.0, 0.25, 4.0, 0.125], "mlp_multipliers": [2.0, 0.5],
    "embedding_multiplier": 4.0, "lm_head_multiplier": 0.25,
}  # fmt: skip
FALCON_H1 = {
    **LLAMA, **MIXED, "output_norm": "model.final_layernorm", "ffn_norm": "pre_ff_layernorm",
    **{f"ffn_{one}": f"feed_forward.{one}_proj" for one in ("gate", "up", "down")},
}  # fmt: skip
GRANITE_HYBRID = {**GRANITEMOE, **MIXED}
NEMOTRON_H = {
    **{name: other.replace("backbone", "model") for name, other in MAMBA.items()},
    "ffn_up": "mixer.up_proj", "ffn_down": "mixer.down_proj",
    **{f"attn_{one}": f"mixer.{one[0]}_proj" for one in ("q", "k", "v", "output")},
}  # fmt: skip


def falcon_h1(t: TinyModel, weights: Weights) -> Weights:
    """Divide weights by what the class multiplies by."""
    by: dict[str, float] = {
        "attn_q": 0.5, "attn_k": 0.5 * 0.25, "attn_v": 0.5, "attn_output": 2.0, "ssm_out": 4.0, "ffn_gate": 2.0,
        "ffn_down": 0.5, "token_embd": 4.0, "output": 0.25,
    }  # fmt: skip
    out = {}
    for name, x in weights.items():
        part = name.removesuffix(".weight").rpartition(".")[2] if name.endswith(".weight") else ""
        out[f"{name}.weight" if name.endswith(".ffn_norm") else name] = x / np.float32(by.get(part, 1))
        if part == "ssm_in":
            wide, parts = t.ssm_groups * t.ssm_state, (0.5, 2.0, 0.25, 4.0, 0.125)
            rows = np.repeat(parts, [t.inner, t.inner, wide, wide, t.ssm_heads]).astype(np.float32)
            out[name] = x / (np.float32(0.5) * rows[:, None])
    return mamba(t, out)


def granite_hybrid(t: TinyModel, weights: Weights) -> Weights:
    """Name a dense feed-forward as the shared expert is."""
    dense = {} if t.experts else {f"ffn_{one}.": f"ffn_{one}_shexp." for one in ("gate", "up", "down")}
    out = {}
    for name, x in weights.items():
        old = next((one for one in dense if f".{one}" in name), "")
        out[name.replace(old, dense[old]) if old else name] = x
    return granite_experts(t, mamba(t, out))
