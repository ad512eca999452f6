"""A tiny model's GGUF file -> the same model of Hugging Face transformers: llama.cpp's converter, reversed.

Each architecture has a class of transformers, its names of tensors, and its config.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from gguf_file import F32, read_gguf
from golden_files import N_VOCAB
from reference import unfused
from tiny import TinyModel, of_layer, tiny_llama
from tiny_experts import experts_of
from tiny_model import WINDOW_PATTERN, XIELU

Weights = dict[str, F32]
Config = dict[str, Any]


class Family(NamedTuple):
    """How transformers names and shapes what GGUF has. Names of layers begin with model.layers.{}, or have a {}."""

    model_type: str
    config: Callable[[TinyModel, Config], Config]
    names: dict[str, str]
    changed: Callable[[TinyModel, Weights], Weights] = lambda _, weights: weights  # of GGUF's names, before they go


# ---- Tensors ---------------------------------------------------------------------------------------------------------

_LLAMA = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
_SEED = {**_LLAMA, "post_attention_norm": "post_attention_layernorm"}
_HUNYUAN = {**_LLAMA, "attn_q_norm": "self_attn.query_layernorm", "attn_k_norm": "self_attn.key_layernorm"}
_APERTUS = {**_LLAMA, "attn_norm": "attention_layernorm", "ffn_norm": "feedforward_layernorm", "act_fn": "mlp.act_fn"}
_GLM4 = {
    **_LLAMA, "post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm",
    "ffn_up": "mlp.gate_up_proj",
}  # fmt: skip
_AFTER = {"post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
_GEMMA2 = {**_LLAMA, **_AFTER, "ffn_norm": "pre_feedforward_layernorm"}
_FC = {"attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"}
_PHI2 = {**_LLAMA, **_FC, "output_norm": "model.final_layernorm"}
_PHI3 = {**_LLAMA, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
_STARCODER2 = {**_LLAMA, "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
_GPT2 = {
    "token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f",
    "output": "lm_head", "attn_norm": "transformer.h.{}.ln_1", "attn_qkv": "transformer.h.{}.attn.c_attn",
    "attn_output": "transformer.h.{}.attn.c_proj", "ffn_norm": "transformer.h.{}.ln_2",
    "ffn_up": "transformer.h.{}.mlp.c_fc", "ffn_down": "transformer.h.{}.mlp.c_proj",
}  # fmt: skip
_BLOOM_LAYER = {
    "attn_norm": "input_layernorm", "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense", "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h",
}  # fmt: skip
_BLOOM = {
    "token_embd": "transformer.word_embeddings", "token_embd_norm": "transformer.word_embeddings_layernorm",
    "output_norm": "transformer.ln_f", "output": "lm_head",
    **{name: f"transformer.h.{{}}.{other}" for name, other in _BLOOM_LAYER.items()},
}  # fmt: skip
_GPTNEOX = {
    "token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "lm_head",
    **{name: f"gpt_neox.layers.{{}}.{other}".replace("self_attention", "attention")
       for name, other in _BLOOM_LAYER.items()},
}  # fmt: skip
_MPT = {
    "token_embd": "transformer.wte", "output_norm": "transformer.norm_f", "output": "lm_head",
    "attn_norm": "transformer.blocks.{}.norm_1", "attn_qkv": "transformer.blocks.{}.attn.Wqkv",
    "attn_output": "transformer.blocks.{}.attn.out_proj", "ffn_norm": "transformer.blocks.{}.norm_2",
    "ffn_up": "transformer.blocks.{}.ffn.up_proj", "ffn_down": "transformer.blocks.{}.ffn.down_proj",
}  # fmt: skip


_DEEPSEEK2 = {
    **_LLAMA, "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj", "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm", "attn_kv_b": "self_attn.kv_b_proj",
    "ffn_gate_inp": "mlp.gate", "exp_probs_b": "mlp.gate.e_score_correction",
    "ffn_gate_up_exps": "mlp.experts.gate_up_proj", "ffn_down_exps": "mlp.experts.down_proj",
    **{f"ffn_{one}_shexp": f"mlp.shared_experts.{one}_proj" for one in ("gate", "up", "down")},
}  # fmt: skip


def _halves(t: TinyModel, weights: Weights) -> Weights:
    """Reorder the rows of q and k from GGUF's neighbouring pairs to transformers' order, first halves first."""
    out = dict(weights)
    for name, x in weights.items():
        if ".attn_q." in name or ".attn_k." in name:
            heads = x.reshape(-1, t.dim // 2, 2, *x.shape[1:])
            out[name] = np.ascontiguousarray(heads.swapaxes(1, 2).reshape(x.shape))
    return out


def _gemma4(t: TinyModel, weights: Weights) -> Weights:
    """Name the scale of a layer as transformers does, without `weight`."""
    return {name.replace("layer_output_scale.weight", "self.layer_scalar"): x for name, x in weights.items()}


def _less_one(t: TinyModel, weights: Weights) -> Weights:
    """Take the 1 off norms that Gemma's classes add to their weights."""
    return {name: x - 1 if name.endswith("_norm.weight") else x for name, x in weights.items()}


def _joined(weights: Weights, names: tuple[str, ...], into: str, join: Callable[[list[F32]], F32]) -> Weights:
    """Join tensors of each layer and kind, in the order of names."""
    out = dict(weights)
    for name in weights:
        blk, _, kind = name.rpartition(f".{names[-1]}.")
        if blk:
            out[f"{blk}.{into}.{kind}"] = join([out.pop(f"{blk}.{one}.{kind}") for one in names])
    return out


def _xielu(t: TinyModel, weights: Weights) -> Weights:
    """Add the numbers of each layer's activation, which are parameters there."""
    numbers = {f"blk.{il}.act_fn.{name}": np.array(by[il % 3], np.float32).reshape([1] if "alpha" in name else [])
               for name, by in XIELU.items() for il in range(t.n_layer)}
    return {**weights, **numbers}


QKV = ("attn_q", "attn_k", "attn_v")


def _qkv(t: TinyModel, weights: Weights) -> Weights:
    return _joined(weights, QKV, "attn_qkv", np.concatenate)


def _gate(t: TinyModel, weights: Weights) -> Weights:
    return _joined(weights, ("ffn_gate", "ffn_up"), "ffn_up", np.concatenate)


def _qkv_and_gate(t: TinyModel, weights: Weights) -> Weights:
    return _gate(t, _qkv(t, weights))


def _qkv_by_groups(t: TinyModel, weights: Weights) -> Weights:
    """Join q, k and v a group at a time: the queries of a key's head, the key, the value."""
    n = of_layer(t.heads_kv, 0)

    def join(parts: list[F32]) -> F32:
        groups = [x.reshape(n, -1, *x.shape[1:]) for x in parts]
        return np.concatenate(groups, axis=1).reshape(-1, *parts[0].shape[1:])

    return _joined(weights, QKV, "attn_qkv", join)


def _turned(t: TinyModel, weights: Weights) -> Weights:
    """Write matrices of layers with a row per input, as GPT-2's are."""
    return {name: x.T if x.ndim == 2 and name.startswith("blk.") else x for name, x in _qkv(t, weights).items()}


def _falcon(t: TinyModel, weights: Weights) -> Weights:
    """Name the two norms of a layer, where it has two, as transformers does."""
    renamed = {"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"} if t.two_norms else {}
    out = {}
    for name, x in _qkv_by_groups(t, weights).items():
        blk, _, part = name.rpartition(".")
        stem, _, norm = blk.rpartition(".")
        out[f"{stem}.{renamed[norm]}.{part}" if norm in renamed else name] = x
    return out


def _kv_b(t: TinyModel, weights: Weights) -> Weights:
    """Join k_b, turned, and v_b head by head, as they were trained."""
    out = dict(weights)
    for name in weights:
        blk, _, part = name.rpartition(".attn_k_b.")
        if blk:
            k, v = out.pop(name), out.pop(f"{blk}.attn_v_b.{part}")
            out[f"{blk}.attn_kv_b.{part}"] = np.concatenate([k.swapaxes(1, 2), v], axis=1).reshape(-1, t.kv_rank)
    return out


# ---- Experts ---------------------------------------------------------------------------------------------------------

_EXPERTS = {"ffn_gate_inp": "mlp.gate", "ffn_gate_up_exps": "mlp.experts.gate_up_proj", "ffn_down_exps":
            "mlp.experts.down_proj"}


def _gate_up(weights: Weights) -> Weights:
    """Join the gate and up of each expert, rows of its gate first."""
    names = ("ffn_gate_exps", "ffn_up_exps")
    return _joined(weights, names, "ffn_gate_up_exps", lambda parts: np.concatenate(parts, axis=1))


_GPT_OSS = {
    **_SEED, "attn_sinks": "self_attn.sinks", "ffn_gate_inp": "mlp.router",
    "ffn_gate_up_exps": "mlp.experts.gate_up_proj", "ffn_down_exps": "mlp.experts.down_proj",
}  # fmt: skip


def _alternating(t: TinyModel, weights: Weights) -> Weights:
    """Join the gate and up of each expert, a row of one after a row of the other, and write a row per input."""
    names = ("ffn_gate_exps", "ffn_up_exps")

    def join(parts: list[F32]) -> F32:
        return np.stack(parts, axis=2).reshape(len(parts[0]), -1, *parts[0].shape[2:])

    joined = _joined(weights, names, "ffn_gate_up_exps", join)
    return {name: x.swapaxes(1, 2) if x.ndim == 3 else x for name, x in joined.items()}


# ---- Configs ---------------------------------------------------------------------------------------------------------


def _basic(t: TinyModel, rope: Config) -> Config:
    """Return what nearly all classes call the same."""
    return {
        "vocab_size": N_VOCAB, "hidden_size": t.n_embd, "intermediate_size": t.n_ff, "num_hidden_layers": t.n_layer,
        "num_attention_heads": t.n_head, "num_key_value_heads": t.heads_kv, "max_position_embeddings": t.n_ctx,
        "tie_word_embeddings": t.tied, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": t.rope_base, **rope},
    }  # fmt: skip


def _llama(t: TinyModel, rope: Config) -> Config:
    return {
        **_basic(t, rope), "head_dim": t.dim, "rms_norm_eps": t.eps, "attention_bias": t.biases,
        "mlp_bias": t.ffn_biases,
    }  # fmt: skip


def _mixtral(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    return _llama(t, rope) | ({"num_local_experts": x.n, "num_experts_per_tok": x.n_used} if x else {})


def _smollm3(t: TinyModel, rope: Config) -> Config:
    return {**_llama(t, rope), "no_rope_layer_interval": 4}


def _granite(t: TinyModel, rope: Config) -> Config:
    names = ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling")
    return {**_llama(t, rope), **dict(zip(names, t.scales, strict=True))}


def _minicpm(t: TinyModel, rope: Config) -> Config:
    """Return Granite's config: transformers has no class of MiniCPM, which has the same scales but that of scores."""
    names = ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling")
    scales = (12.0, 1.4 / math.sqrt(t.n_layer), None, t.n_embd / 256) if t.without else t.scales
    found = dict(zip(names, scales, strict=True))
    return {**_llama(t, rope), **found, "attention_multiplier": 1 / math.sqrt(t.dim)}


def _ernie(t: TinyModel, rope: Config) -> Config:
    return {**_llama(t, rope), "use_bias": t.biases}


def _seed_oss(t: TinyModel, rope: Config) -> Config:
    return {**_llama(t, rope), "attention_out_bias": t.biases}


def _cohere(t: TinyModel, rope: Config) -> Config:
    return {
        **_llama(t, rope), "layer_norm_eps": t.eps, "logit_scale": t.scales[3], "use_qk_norm": t.head_norms,
    }  # fmt: skip


def _cohere2(t: TinyModel, rope: Config) -> Config:
    return {**_cohere(t, rope), **_kinds(t)}


def _glm4(t: TinyModel, rope: Config) -> Config:
    return _llama(t, {**rope, "partial_rotary_factor": t.rotated / t.dim})


def _exaone4(t: TinyModel, rope: Config) -> Config:
    """Return the config; without a window all layers are alike, with one only those that have it rotate."""
    return {**_llama(t, rope), **_kinds(t), "sliding_window": t.sliding or None}


def _mistral3(t: TinyModel, rope: Config) -> Config:
    """Return the config; attention's temperature is said beside RoPE."""
    own = {"llama_4_scaling_beta": t.heated or 0.0, "original_max_position_embeddings": t.n_ctx_orig}
    return _llama(t, {**own, **rope})


def _gemma(t: TinyModel, rope: Config) -> Config:
    return {**_llama(t, rope), "query_pre_attn_scalar": t.dim}


def _kinds(t: TinyModel) -> Config:
    """Return which layers have windows, where the file says it: transformers has other defaults."""
    pattern = WINDOW_PATTERN.get(t.arch) if t.window_pattern is None else t.window_pattern
    if f"{t.arch}.attention.sliding_window_pattern" in t.without:
        pattern = None
    config: Config = {"sliding_window": t.sliding or t.n_ctx}
    if not t.sliding:
        config["layer_types"] = ["full_attention"] * t.n_layer
    elif pattern is not None:
        flags = [(il + 1) % pattern != 0 if isinstance(pattern, int) else pattern[il] for il in range(t.n_layer)]
        config["layer_types"] = ["sliding_attention" if flag else "full_attention" for flag in flags]
    return config


def _gemma2(t: TinyModel, rope: Config) -> Config:
    without = "gemma2.attn_logit_softcapping" in t.without
    caps = (50.0, 30.0) if without else t.caps
    return {
        **_gemma(t, rope), **_kinds(t), "query_pre_attn_scalar": t.n_embd // 2 if t.n_layer == 46 else t.dim,
        "attn_logit_softcapping": caps[0] or None, "final_logit_softcapping": caps[1] or None,
    }  # fmt: skip


def _gemma3(t: TinyModel, rope: Config) -> Config:
    full = {"rope_type": "default", "rope_theta": t.rope_base, **rope}
    base = 10000.0 if "gemma3.rope.freq_base_swa" in t.without else 500.0
    return {
        **_gemma(t, rope), **_kinds(t), "query_pre_attn_scalar": t.n_embd // 2 if t.n_layer == 62 else t.dim,
        "final_logit_softcapping": t.caps[1],
        "rope_parameters": {
            "full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": base},
        },
    }  # fmt: skip


def _gemma4_config(t: TinyModel, rope: Config) -> Config:
    return {
        **_llama(t, rope), **_kinds(t), "head_dim": t.dim_swa, "global_head_dim": t.dim,
        "num_key_value_heads": of_layer(t.heads_kv, 0), "num_global_key_value_heads": of_layer(t.heads_kv, 1),
        "attention_k_eq_v": t.k_is_v, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0,
        "final_logit_softcapping": t.caps[1], "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": t.rope_base},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    }  # fmt: skip


def _olmo2(t: TinyModel, rope: Config) -> Config:
    if not t.sliding:
        return _llama(t, rope)
    kinds, own = {"full_attention": rope, "sliding_attention": {}}, _llama(t, {})
    parameters = {kind: {**own["rope_parameters"], **more} for kind, more in kinds.items()}
    return {**own, **_kinds(t), "rope_parameters": parameters}


def _deepseek2(t: TinyModel, rope: Config) -> Config:
    return {
        **_llama(t, rope), "head_dim": t.rotated, "num_key_value_heads": t.n_head, "q_lora_rank": t.q_rank or None,
        "kv_lora_rank": t.kv_rank, "qk_rope_head_dim": t.rotated, "qk_nope_head_dim": t.dim - t.rotated,
        "v_head_dim": t.v_length, **_deepseek_experts(t),
    }  # fmt: skip


def _deepseek_experts(t: TinyModel) -> Config:
    x = experts_of(t)
    if x is None:
        return {"first_k_dense_replace": t.n_layer}
    return {
        "first_k_dense_replace": x.n_dense, "n_routed_experts": x.n, "num_experts_per_tok": x.n_used,
        "moe_intermediate_size": x.n_ff, "n_shared_experts": x.n_shared, "routed_scaling_factor": x.scale or 1.0,
        "norm_topk_prob": bool(x.normed), "n_group": x.n_groups or 1, "topk_group": x.n_groups_used or 1,
        "topk_method": "group_limited_greedy" if x.n_groups else "greedy", "experts_implementation": "eager",
    }  # fmt: skip


def _gpt_oss(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    if rope:
        rope = {**rope, "truncate": False}
    return {
        **_llama(t, rope), **_kinds(t), "attention_bias": True, "num_local_experts": x.n,
        "num_experts_per_tok": x.n_used, "experts_implementation": "eager",
    }  # fmt: skip


def _phi3(t: TinyModel, rope: Config) -> Config:
    config = _partial(t, rope) | {"rms_norm_eps": t.eps, "sliding_window": t.sliding or None}
    return config | ({"original_max_position_embeddings": t.n_ctx_orig} if t.rope == "longrope" else {})


def _partial(t: TinyModel, rope: Config) -> Config:
    return _basic(t, {**rope, "partial_rotary_factor": t.rotated / t.dim}) | {"layer_norm_eps": t.eps}


def _stablelm(t: TinyModel, rope: Config) -> Config:
    return _partial(t, rope) | {"use_qkv_bias": t.biases, "use_parallel_residual": bool(t.is_parallel)}


def _gptneox(t: TinyModel, rope: Config) -> Config:
    return _partial(t, rope) | {"use_parallel_residual": t.is_parallel}


def _nemotron(t: TinyModel, rope: Config) -> Config:
    return _partial(t, rope) | {
        "head_dim": t.dim, "norm_eps": t.eps, "attention_bias": t.biases, "mlp_bias": t.ffn_biases,
    }  # fmt: skip


def _starcoder2(t: TinyModel, rope: Config) -> Config:
    return {**_basic(t, rope), "norm_epsilon": t.eps, "use_bias": True, "sliding_window": None}


def _gpt2(t: TinyModel, rope: Config) -> Config:
    return {
        "vocab_size": N_VOCAB, "n_positions": t.n_ctx, "n_embd": t.n_embd, "n_layer": t.n_layer, "n_head": t.n_head,
        "n_inner": t.n_ff, "layer_norm_epsilon": t.eps, "tie_word_embeddings": t.tied,
    }  # fmt: skip


def _falcon_config(t: TinyModel, rope: Config) -> Config:
    one_key = t.heads_kv == 1
    return {
        **_basic(t, rope), "ffn_hidden_size": t.n_ff, "num_kv_heads": t.heads_kv, "layer_norm_epsilon": t.eps,
        "bias": t.biases, "alibi": False, "parallel_attn": True, "multi_query": one_key,
        "new_decoder_architecture": not one_key and t.heads_kv != t.n_head,
        "num_ln_in_parallel_attn": 2 if t.two_norms else 1,
    }  # fmt: skip


def _bloom(t: TinyModel, rope: Config) -> Config:
    return {
        "vocab_size": N_VOCAB, "hidden_size": t.n_embd, "n_layer": t.n_layer, "n_head": t.n_head,
        "layer_norm_epsilon": t.eps, "tie_word_embeddings": t.tied,
    }  # fmt: skip


def _mpt(t: TinyModel, rope: Config) -> Config:
    attention = {"alibi": True, "alibi_bias_max": int(t.alibi or 0), "clip_qkv": t.clamp}
    return {
        "vocab_size": N_VOCAB, "d_model": t.n_embd, "n_layers": t.n_layer, "n_heads": t.n_head, "max_seq_len": t.n_ctx,
        "layer_norm_epsilon": t.eps, "attn_config": attention, "tie_word_embeddings": t.tied,
    }  # fmt: skip


# ---- Models ----------------------------------------------------------------------------------------------------------

FAMILIES = {
    "llama": Family("llama", _mixtral, _LLAMA | _EXPERTS, lambda t, weights: _gate_up(_halves(t, weights))),
    "qwen2": Family("qwen2", _llama, _LLAMA),
    "qwen3": Family("qwen3", _llama, _LLAMA),
    "gemma": Family("gemma", _gemma, _LLAMA, _less_one),
    "gemma2": Family("gemma2", _gemma2, _GEMMA2, _less_one),
    "gemma3": Family("gemma3_text", _gemma3, _GEMMA2, _less_one),
    "phi3": Family("phi3", _phi3, _PHI3, _qkv_and_gate),
    "phi2": Family("phi", _partial, _PHI2),
    "smollm3": Family("smollm3", _smollm3, _LLAMA, _halves),
    "olmo2": Family("olmo2", _olmo2, {**_LLAMA, **_AFTER}),
    "granite": Family("granite", _granite, _LLAMA, _halves),
    "starcoder2": Family("starcoder2", _starcoder2, _STARCODER2),
    "gpt2": Family("gpt2", _gpt2, _GPT2, _turned),
    "gptneox": Family("gpt_neox", _gptneox, _GPTNEOX, _qkv_by_groups),
    "stablelm": Family("stablelm", _stablelm, {**_LLAMA, "output_norm": "model.norm"}),
    "falcon": Family(
        "falcon", _falcon_config,
        {**_BLOOM, "ln_mlp": "transformer.h.{}.ln_mlp", "ln_attn": "transformer.h.{}.ln_attn"}, _falcon,
    ),
    "mpt": Family("mpt", _mpt, _MPT, _qkv),
    "bloom": Family("bloom", _bloom, _BLOOM, _qkv_by_groups),
    "olmo": Family("olmo", lambda t, rope: {**_llama(t, rope), "clip_qkv": t.clamp}, _LLAMA, _halves),
    "internlm2": Family("llama", _llama, _LLAMA, _halves),  # which transformers has no class of: the same arithmetic
    "minicpm": Family("granite", _minicpm, _LLAMA, _halves),
    "ernie4_5": Family("ernie4_5", _ernie, _LLAMA),
    "seed_oss": Family("seed_oss", _seed_oss, _SEED),
    "exaone4": Family("exaone4", _exaone4, {**_LLAMA, **_AFTER}),
    "hunyuan-dense": Family("hunyuan_v1_dense", _llama, _HUNYUAN),
    "mistral3": Family("ministral3", _mistral3, _LLAMA, _halves),
    "gpt-oss": Family("gpt_oss", _gpt_oss, _GPT_OSS, _alternating),
    "deepseek2": Family("deepseek_v2", _deepseek2, _DEEPSEEK2, lambda t, weights: _gate_up(_kv_b(t, weights))),
    "gemma4": Family("gemma4_text", _gemma4_config, {**_GEMMA2, "self": "model.layers.{}"}, _gemma4),
    "command-r": Family("cohere", _cohere, _LLAMA),
    "cohere2": Family("cohere2", _cohere2, _LLAMA),
    "glm4": Family("glm4", _glm4, _GLM4, _gate),
    "openelm": Family("qwen3", _llama, _LLAMA),  # which transformers has no class of: Qwen 3 with layers of all sizes
    "arcee": Family("arcee", _llama, _LLAMA, _halves),
    "apertus": Family("apertus", _llama, _APERTUS, _xielu),
    "nemotron": Family("nemotron", _nemotron, _LLAMA, _less_one),
}  # fmt: skip


BARE = ("_exps", "_sinks", "exp_probs_b")  # transformers names these without .weight


def _state(t: TinyModel, family: Family) -> dict[str, torch.Tensor]:
    tensors = unfused(read_gguf(tiny_llama(**vars(t)))[1], t.row)
    if t.fused:
        tensors = {name: tensor for name, tensor in tensors.items() if ".attn_qkv." not in name}
    state = {}
    for name, values in family.changed(t, {name: tensor.floats() for name, tensor in tensors.items()}).items():
        stem, _, kind = name.rpartition(".")
        blk, _, part = stem.rpartition(".")
        if part.startswith("rope_"):
            continue  # factors of RoPE: they are in the config
        where = family.names[part]
        if blk and "{}" not in where:
            where = f"model.layers.{{}}.{where}"
        where = where.format(blk.removeprefix("blk."))
        full = f"{where}{'_bias' if kind == 'bias' else ''}" if part.endswith(BARE) else f"{where}.{kind}"
        state[full] = torch.from_numpy(values.copy())
    if t.tied:
        embd = family.names["token_embd"]
        state[f"{family.names['output']}.weight"] = state[f"{embd}.weight"]
    return state


def model_of(t: TinyModel, rope: Config) -> transformers.PreTrainedModel:
    """Return transformers' model of the same weights."""
    family = FAMILIES[t.arch]
    model_type = "olmo3" if t.arch == "olmo2" and t.sliding else family.model_type
    if t.arch == "deepseek2" and (t.experts["gating"] == 2 if t.experts else t.q_rank):
        model_type = "deepseek_v3"
    model_type = "mixtral" if t.arch == "llama" and t.experts else model_type

    def config_of(il: int) -> transformers.PreTrainedConfig:
        own = replace(t, n_ff=of_layer(t.n_ff, il))
        if not isinstance(t.n_head, int):
            own = replace(own, n_head=t.n_head[il], n_head_kv=of_layer(t.heads_kv, il))
        return transformers.AutoConfig.for_model(model_type, attn_implementation="eager", **family.config(own, rope))

    model = transformers.AutoModelForCausalLM.from_config(config_of(0), dtype=torch.float32).eval()
    for il in range(t.n_layer if not isinstance(t.n_head, int) else 0):  # layers of different sizes
        model.model.layers[il] = type(model.model.layers[il])(config_of(il), il).eval()
    state = _state(t, family)
    for name in state.keys() - model.state_dict().keys():  # biases that MPT's class leaves out of its layers
        layer, _, kind = name.rpartition(".")
        assert (t.arch, kind) == ("mpt", "bias"), f"{name}: transformers has no such tensor"
        model.get_submodule(layer).bias = torch.nn.Parameter(state[name])
    for name, module in model.named_modules():  # these have their class's own epsilon; files have one for all norms
        if name.endswith(("q_a_layernorm", "kv_a_layernorm")):
            module.variance_epsilon = t.eps
    model.load_state_dict(state, strict=True)
    return model
