"""A tiny model's GGUF file -> the same model of Hugging Face transformers: llama.cpp's converter, reversed.

Each architecture has a class of transformers, its names of tensors, and its config.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import transformers
from gguf_file import read_gguf
from golden import tensors
from golden.jina import Jina
from golden.tensors import Weights
from golden_files import N_VOCAB
from reference import unfused
from tiny import TinyModel, of_layer, tiny_llama
from tiny_experts import experts_of
from tiny_model import WINDOW_PATTERN

Config = dict[str, Any]


class Family(NamedTuple):
    """How transformers names and shapes what GGUF has. Names of layers begin with model.layers.{}, or have a {}."""

    model_type: str
    config: Callable[[TinyModel, Config], Config]
    names: dict[str, str]
    changed: Callable[[TinyModel, Weights], Weights] = lambda _, weights: weights  # of GGUF's names, before they go


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


def _gemma4_config(t: TinyModel, rope: Config) -> Config:
    return {
        **_llama(t, rope), **_kinds(t), "head_dim": t.dim_swa, "global_head_dim": t.dim,
        "num_key_value_heads": of_layer(t.heads_kv, 0), "num_global_key_value_heads": of_layer(t.heads_kv, 1),
        "attention_k_eq_v": t.k_is_v, "num_kv_shared_layers": t.shared_kv,
        "hidden_size_per_layer_input": t.per_layer, "vocab_size_per_layer_input": N_VOCAB,
        "use_double_wide_mlp": t.wide_shared, **_gemma4_experts(t),
        "final_logit_softcapping": t.caps[1], "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": t.rope_base},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    }  # fmt: skip


def _gemma4_experts(t: TinyModel) -> Config:
    x = experts_of(t)
    if x is None:
        return {"enable_moe_block": False}
    return {
        "enable_moe_block": True, "num_experts": x.n, "top_k_experts": x.n_used, "moe_intermediate_size": x.n_ff,
    }  # fmt: skip


def _with_experts(t: TinyModel, rope: Config) -> Config:
    """Return what most classes with experts call the same; each ignores the names of others."""
    x = experts_of(t)
    assert x is not None
    return {
        **_llama(t, rope), "num_experts": x.n, "num_local_experts": x.n, "num_experts_per_tok": x.n_used,
        "moe_intermediate_size": x.n_ff or t.n_ff, "norm_topk_prob": t.row.has("WEIGHTS_NORMED"),
        "shared_expert_intermediate_size": x.shared_width or t.n_ff,
    }  # fmt: skip


def _granitemoe(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    shared = {"shared_intermediate_size": x.shared_width or t.n_ff} if x.shared else {}
    return {**_granite(t, rope), **_with_experts(t, rope), **shared}


def _dots1(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    return {
        **_with_experts(t, rope), "n_routed_experts": x.n, "n_shared_experts": x.n_shared, "sliding_window": None,
        "first_k_dense_replace": x.n_dense, "routed_scaling_factor": x.scale, "norm_topk_prob": x.normed,
        "n_group": x.n_groups or 1, "topk_group": x.n_groups_used or 1,
    }  # fmt: skip


def _glm4moe(t: TinyModel, rope: Config) -> Config:
    return {**_dots1(t, {**rope, "partial_rotary_factor": t.rotated / t.dim}), "use_qk_norm": t.qk_norm}


def _ernie_moe(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    return {
        **_with_experts(t, rope), "moe_num_experts": x.n, "moe_k": x.n_used, "moe_num_shared_experts": x.n_shared,
        "moe_layer_start_index": x.n_dense, "moe_layer_interval": x.step or 1, "moe_layer_end_index": t.n_layer - 1,
    }  # fmt: skip


def _hunyuan_moe(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    return {**_llama(t, rope), "num_experts": x.n, "moe_topk": x.n_used}


def _minimax(t: TinyModel, rope: Config) -> Config:
    config = _with_experts(t, {**rope, "partial_rotary_factor": t.rotated / t.dim})
    return {**config, "rotary_dim": t.rotated}


def _phimoe(t: TinyModel, rope: Config) -> Config:
    return {
        **_with_experts(t, rope), "sliding_window": t.sliding or None, "attention_bias": True, "lm_head_bias": True,
    }  # fmt: skip


def _llama4(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    return {
        **_llama(t, rope), "intermediate_size": x.n_ff or t.n_ff, "intermediate_size_mlp": t.n_ff,
        "num_local_experts": x.n, "num_experts_per_tok": x.n_used, "interleave_moe_layer_step": x.step,
        "use_qk_norm": x.n != 128, "attention_chunk_size": t.sliding or None,
        "no_rope_layers": [int(t.slides(il) or not t.sliding) for il in range(t.n_layer)],
        "attn_temperature_tuning": True, "floor_scale": t.heated_by, "attn_scale": t.heated,
    }  # fmt: skip


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

def _bert(t: TinyModel, rope: Config) -> Config:
    return {**_basic(t, rope), "layer_norm_eps": t.eps, "type_vocab_size": t.n_types}


def _modern_bert(t: TinyModel, rope: Config) -> Config:
    return {
        **_basic(t, rope), "norm_eps": t.eps, "pad_token_id": 0, "local_attention": t.sliding,
        "layer_types": ["sliding_attention" if t.slides(il) else "full_attention" for il in range(t.n_layer)],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": t.rope_base},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    }  # fmt: skip


def _gemma_embedding(t: TinyModel, rope: Config) -> Config:
    return {**_gemma3(t, rope), "use_bidirectional_attention": True}


def _lfm2(t: TinyModel, rope: Config) -> Config:
    kinds = ["full_attention" if of_layer(t.heads_kv, il) else "conv" for il in range(t.n_layer)]
    each = max(of_layer(t.heads_kv, il) for il in range(t.n_layer))
    return {
        **_basic(t, rope), "num_key_value_heads": each, "layer_types": kinds, "conv_L_cache": t.taps,
        "norm_eps": t.eps, "block_auto_adjust_ff_dim": False,
    }  # fmt: skip


def _lfm2moe(t: TinyModel, rope: Config) -> Config:
    x = experts_of(t)
    assert x is not None
    return {
        **_with_experts(t, rope), **_lfm2(t, rope), "num_dense_layers": x.n_dense, "use_expert_bias": x.choice_bias,
    }  # fmt: skip


def _qwen35(t: TinyModel, rope: Config) -> Config:
    kinds = ["linear_attention" if t.has_delta(il) else "full_attention" for il in range(t.n_layer)]
    (n_k, n_v), (k_dim, v_dim) = t.delta_heads, t.delta_lengths
    own = {} if t.arch == "qwen3next" else {"mrope_section": t.sections, "mrope_interleaved": True}
    rope = {**rope, **own, "partial_rotary_factor": t.rotated / t.dim}
    return {
        **(_with_experts(t, rope) if experts_of(t) else _llama(t, rope)), "layer_types": kinds,
        "linear_conv_kernel_dim": t.taps, "linear_num_key_heads": n_k, "linear_num_value_heads": n_v,
        "linear_key_head_dim": k_dim, "linear_value_head_dim": v_dim,
    }  # fmt: skip


def _mamba(t: TinyModel, rope: Config) -> Config:
    return {
        **_basic(t, rope), "layer_norm_epsilon": t.eps, "state_size": t.ssm_state, "conv_kernel": t.taps,
        "time_step_rank": t.ssm_heads, "mixer_rms_eps": t.eps, "intermediate_size": t.inner,
    }  # fmt: skip


def _mamba2(t: TinyModel, rope: Config) -> Config:
    return {
        **_basic(t, rope), "layer_norm_epsilon": t.eps, "state_size": t.ssm_state, "conv_kernel": t.taps,
        "num_heads": t.ssm_heads, "head_dim": t.inner // t.ssm_heads, "n_groups": t.ssm_groups, "chunk_size": 16,
    }  # fmt: skip


def _ssm(t: TinyModel) -> Config:
    """Return what classes of hybrids call their Mamba-2."""
    return {
        "mamba_n_heads": t.ssm_heads, "mamba_d_head": t.inner // t.ssm_heads, "mamba_n_groups": t.ssm_groups,
        "mamba_d_state": t.ssm_state, "mamba_d_conv": t.taps, "mamba_conv_bias": t.ssm_bias, "mamba_chunk_size": 16,
    }  # fmt: skip


def _falcon_h1(t: TinyModel, rope: Config) -> Config:
    return {
        **_llama(t, rope), **_ssm(t), **tensors.MULTIPLIERS, "mamba_d_ssm": t.inner, "mamba_rms_norm": t.ssm_norm,
        "mamba_norm_before_gate": False,
    }  # fmt: skip


def _granite_hybrid(t: TinyModel, rope: Config) -> Config:
    x, is_still = experts_of(t), any("finetuned" in pair[0] for pair in t.kv)
    shared = x.shared_width if x else of_layer(t.n_ff, 0)
    return {
        **_granite(t, rope), **_ssm(t), **(_with_experts(t, rope) if x else {}), "shared_intermediate_size": shared,
        **_granite(t, rope), "num_local_experts": x.n if x else 0, "num_experts_per_tok": x.n_used if x else 0,
        "position_embedding_type": None if is_still else "rope", "num_key_value_heads": 2,
        "layer_types": ["attention" if of_layer(t.heads_kv, il) else "mamba" for il in range(t.n_layer)],
    }  # fmt: skip


def _nemotron_h(t: TinyModel, rope: Config) -> Config:
    kinds = {"MAMBA2": "linear_attention", "ATTENTION": "full_attention", "NONE": "mlp"}
    return {
        **_llama(t, rope), "layer_norm_epsilon": t.eps, "num_key_value_heads": 2, "use_bias": False,
        "layers_block_type": [kinds[t.mixer_of(il)] for il in range(t.n_layer)], "ssm_state_size": t.ssm_state,
        "mamba_num_heads": t.ssm_heads, "mamba_head_dim": t.inner // t.ssm_heads, "n_groups": t.ssm_groups,
        "conv_kernel": t.taps, "use_conv_bias": t.ssm_bias, "chunk_size": 16, "time_step_min": 1e-30,
        "intermediate_size": max(t.ff_of(il) for il in range(t.n_layer)),
    }  # fmt: skip


FAMILIES = {
    "llama": Family(
        "llama", _mixtral, tensors.LLAMA | tensors.EXPERTS,
        lambda t, weights: tensors.gate_up(tensors.halves(t, weights)),
    ),
    "qwen2": Family("qwen2", _llama, tensors.LLAMA),
    "qwen3": Family("qwen3", _llama, tensors.LLAMA),
    "gemma": Family("gemma", _gemma, tensors.LLAMA, tensors.less_one),
    "gemma2": Family("gemma2", _gemma2, tensors.GEMMA2, tensors.less_one),
    "gemma3": Family("gemma3_text", _gemma3, tensors.GEMMA2, tensors.less_one),
    "phi3": Family("phi3", _phi3, tensors.PHI3, tensors.qkv_and_gate),
    "phi2": Family("phi", _partial, tensors.PHI2),
    "smollm3": Family("smollm3", _smollm3, tensors.LLAMA, tensors.halves),
    "olmo2": Family("olmo2", _olmo2, {**tensors.LLAMA, **tensors.AFTER}),
    "granite": Family("granite", _granite, tensors.LLAMA, tensors.halves),
    "starcoder2": Family("starcoder2", _starcoder2, tensors.STARCODER2),
    "gpt2": Family("gpt2", _gpt2, tensors.GPT2, tensors.turned),
    "gptneox": Family("gpt_neox", _gptneox, tensors.GPTNEOX, tensors.qkv_by_groups),
    "stablelm": Family("stablelm", _stablelm, {**tensors.LLAMA, "output_norm": "model.norm"}),
    "falcon": Family(
        "falcon", _falcon_config,
        {**tensors.BLOOM, "ln_mlp": "transformer.h.{}.ln_mlp", "ln_attn": "transformer.h.{}.ln_attn"}, tensors.falcon,
    ),
    "mpt": Family("mpt", _mpt, tensors.MPT, tensors.qkv),
    "bloom": Family("bloom", _bloom, tensors.BLOOM, tensors.qkv_by_groups),
    "olmo": Family("olmo", lambda t, rope: {**_llama(t, rope), "clip_qkv": t.clamp}, tensors.LLAMA, tensors.halves),
    # Transformers has no class of it: the same arithmetic.
    "internlm2": Family("llama", _llama, tensors.LLAMA, tensors.halves),
    "minicpm": Family("granite", _minicpm, tensors.LLAMA, tensors.halves),
    "ernie4_5": Family("ernie4_5", _ernie, tensors.LLAMA),
    "seed_oss": Family("seed_oss", _seed_oss, tensors.SEED),
    "exaone4": Family("exaone4", _exaone4, {**tensors.LLAMA, **tensors.AFTER}),
    "hunyuan-dense": Family("hunyuan_v1_dense", _llama, tensors.HUNYUAN),
    "mistral3": Family("ministral3", _mistral3, tensors.LLAMA, tensors.halves),
    "gpt-oss": Family("gpt_oss", _gpt_oss, tensors.GPT_OSS, tensors.alternating),
    "deepseek2": Family(
        "deepseek_v2", _deepseek2, tensors.DEEPSEEK2, lambda t, weights: tensors.gate_up(tensors.kv_b(t, weights)),
    ),
    "command-r": Family("cohere", _cohere, tensors.LLAMA),
    "cohere2": Family("cohere2", _cohere2, tensors.LLAMA),
    "glm4": Family("glm4", _glm4, tensors.GLM4, tensors.gate),
    # Transformers has no class of it: Qwen 3 with layers of all sizes.
    "openelm": Family("qwen3", _llama, tensors.LLAMA),
    "arcee": Family("arcee", _llama, tensors.LLAMA, tensors.halves),
    "apertus": Family("apertus", _llama, tensors.APERTUS, tensors.xielu),
    "nemotron": Family("nemotron", _nemotron, tensors.LLAMA, tensors.less_one),
    "gemma4": Family("gemma4_text", _gemma4_config, tensors.GEMMA4, tensors.gemma4),
    "qwen2moe": Family("qwen2_moe", _with_experts, tensors.QWEN2MOE, tensors.qwen2moe),
    "qwen3moe": Family("qwen3_moe", _with_experts, tensors.LLAMA | tensors.EXPERTS, tensors.only_gate_up),
    "olmoe": Family("olmoe", _with_experts, tensors.LLAMA | tensors.EXPERTS, tensors.only_gate_up),
    "granitemoe": Family("granitemoe", _granitemoe, tensors.GRANITEMOE, tensors.granite_experts),
    "phimoe": Family(
        "phimoe", _phimoe, tensors.LLAMA | tensors.EXPERTS | {"ffn_gate_inp": "mlp.router"}, tensors.only_gate_up,
    ),
    "glm4moe": Family("glm4_moe", _glm4moe, tensors.GLM4MOE, tensors.only_gate_up),
    "ernie4_5-moe": Family("ernie4_5_moe", _ernie_moe, tensors.ERNIE_MOE, tensors.ernie_experts),
    "hunyuan-moe": Family("hunyuan_v1_moe", _hunyuan_moe, tensors.HUNYUAN_MOE, tensors.only_gate_up),
    "dots1": Family("dots1", _dots1, tensors.LLAMA | tensors.SHARED, tensors.only_gate_up),
    # Its code is not in transformers.
    "bailingmoe": Family("ernie4_5_moe", _ernie_moe, tensors.ERNIE_MOE, tensors.ernie_experts),
    "minimax-m2": Family(
        "minimax_m2", _minimax, tensors.LLAMA | tensors.EXPERTS | {"exp_probs_b": "mlp.e_score_correction_bias"},
        tensors.only_gate_up,
    ),
    "llama4": Family("llama4_text", _llama4, tensors.LLAMA4, tensors.llama4),
    "bert": Family("bert", _bert, tensors.BERT),
    "mpnet": Family(
        "mpnet", lambda t, rope: {**_bert(t, rope), "relative_attention_num_buckets": t.n_buckets}, tensors.MPNET
    ),
    "nomic-bert": Family("nomic_bert", _bert, tensors.NOMIC),
    "jina-bert-v2": Family("bert", _bert, tensors.JINA),
    "modern-bert": Family("modernbert", _modern_bert, tensors.MODERN, tensors.qkv_and_gate),
    "gemma-embedding": Family("gemma3_text", _gemma_embedding, tensors.GEMMA_EMBEDDING, tensors.less_one),
    "mamba": Family("mamba", _mamba, tensors.MAMBA, tensors.mamba),
    "falcon-h1": Family("falcon_h1", _falcon_h1, tensors.FALCON_H1, tensors.falcon_h1),
    "granitehybrid": Family("granitemoehybrid", _granite_hybrid, tensors.GRANITE_HYBRID, tensors.granite_hybrid),
    "nemotron_h": Family("nemotron_h", _nemotron_h, tensors.NEMOTRON_H, tensors.mamba),
    "mamba2": Family("mamba2", _mamba2, tensors.MAMBA, tensors.mamba),
    "lfm2": Family("lfm2", _lfm2, tensors.LFM2, tensors.lfm2),
    "lfm2moe": Family(
        "lfm2_moe", _lfm2moe, tensors.LFM2MOE, lambda t, weights: tensors.gate_up(tensors.lfm2(t, weights)),
    ),
    "qwen35": Family("qwen3_5_text", _qwen35, tensors.QWEN35, tensors.delta_net),
    "qwen35moe": Family("qwen3_5_moe_text", _qwen35, tensors.QWEN35MOE, tensors.delta_experts),
    "qwen3next": Family("qwen3_next", _qwen35, tensors.QWEN35MOE, tensors.delta_experts),
}  # fmt: skip


def _is_delta(t: TinyModel, name: str) -> bool:
    return t.has_delta(int(name.split(".")[1]))


BARE = ("_exps", "_sinks")  # transformers names these without .weight


def _state(t: TinyModel, family: Family) -> dict[str, torch.Tensor]:
    found = unfused(read_gguf(tiny_llama(**vars(t)))[1], t.row)
    if t.fused:
        found = {name: tensor for name, tensor in found.items() if ".attn_qkv." not in name or _is_delta(t, name)}
    state = {}
    for name, values in family.changed(t, {name: tensor.floats() for name, tensor in found.items()}).items():
        stem, _, kind = name.rpartition(".")
        blk, _, part = stem.rpartition(".")
        if part.startswith("rope_"):
            continue  # factors of RoPE: they are in the config
        where = family.names[part]
        if blk and "{}" not in where and part != "attn_rel_b":   # which all layers share
            where = f"model.layers.{{}}.{where}"
        where = where.format(blk.removeprefix("blk."))
        full = f"{where}{'_bias' if kind == 'bias' else ''}" if part.endswith(BARE) else f"{where}.{kind}"
        if part == "exp_probs_b":   # a buffer: its name is whole
            full = where
        state[full] = torch.from_numpy(values.copy())
    if t.tied:
        embd = family.names["token_embd"]
        state[f"{family.names['output']}.weight"] = state[f"{embd}.weight"]
    return state


def model_of(t: TinyModel, rope: Config) -> Any:  # noqa: ANN401
    """Return transformers' model of the same weights."""
    family = FAMILIES[t.arch]
    model_type = "olmo3" if t.arch == "olmo2" and t.sliding else family.model_type
    if t.arch == "deepseek2" and (t.experts["gating"] == 2 if t.experts else t.q_rank):
        model_type = "deepseek_v3"
    if t.ssm_normed:
        model_type = "falcon_mamba"
    if t.arch == "llama" and t.experts:
        model_type = "mixtral"
    if t.arch == "granitemoe" and (t.experts or {}).get("shared"):
        model_type = "granitemoeshared"
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}

    def config_of(il: int) -> transformers.PreTrainedConfig:
        own = t if t.row.has("ONE_HALF") else replace(t, n_ff=of_layer(t.n_ff, il))
        if not isinstance(t.n_head, int):
            own = replace(own, n_head=t.n_head[il], n_head_kv=of_layer(t.heads_kv, il))
        return transformers.AutoConfig.for_model(model_type, **{**plain, **family.config(own, rope)})

    if t.arch == "jina-bert-v2":
        jina = Jina(t, _bert(t, {}))
        jina.load_state_dict(_state(t, family), strict=True)
        return jina
    kind = transformers.AutoModel if t.row.has("ENCODER") else transformers.AutoModelForCausalLM
    kwargs = {"add_pooling_layer": False} if t.row.has("STREAM_NORM") else {}
    model = kind.from_config(config_of(0), dtype=torch.float32, **kwargs).eval()
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
