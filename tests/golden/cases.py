"""What golden vectors are made of: cases of each architecture, as fields of tiny.TinyModel and transformers' RoPE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import tiny
from archs import ARCHS, Arch
from golden_files import N_VOCAB

Fields = dict[str, Any]


class Golden(NamedTuple):
    """A case: fields of tiny.TinyModel, transformers' rope_parameters, how many ids, the session's n_ctx."""

    fields: Fields
    rope: dict[str, Any] = {}  # noqa: RUF012
    n_ids: int = 48
    n_ctx: int = 256
    exact_angles: bool = False  # RoPE's are float64 in transformers, too: its float32 ones can move logits by 1.3e-5


BASE: Fields = {
    "n_layer": 2, "n_vocab": N_VOCAB, "n_ctx": 256, "rope_base": 500.0, "format": "F32", "hashed": True,
    "embd_std": 0.02,  # small, so that the first norm's epsilon counts
}  # fmt: skip
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
FREQS = {"rope_freqs.weight": tiny.llama3_factors(16, base=500, factor=8, n_ctx_orig=64).tolist()}
SHORT, LONG = [1.0 + 0.1 * i for i in range(8)], [2.0 + 0.5 * i for i in range(8)]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 768}
YARN_FIELDS = {"rope": "yarn", "rope_n_ctx_orig": 768}
LINEAR = {"rope_type": "linear", "factor": 2.5}
LINEAR_FIELDS = {"rope": "linear", "rope_factor": 2.5}
JOINED, ALL_JOINED = {"fused": ["attn_qkv"]}, {"fused": ["attn_qkv", "gate_up"]}
# Sizes that are a multiple of nothing: five heads of 12.
ODD: Fields = {"n_embd": 60, "n_head": 5, "n_head_kv": 1, "n_ff": 77}
ODD_ALL_HEADS: Fields = {**ODD, "n_head_kv": 5}
BIASES: Fields = {"biases": True, "ffn_biases": True}
SIX_HEADS: Fields = {"n_embd": 96, "n_head": 6, "n_ff": 384}


def longrope(n: int) -> tuple[Fields, dict[str, Any]]:
    """Return longrope of n pairs, four times its original context of 64."""
    fields = {
        "rope": "longrope",
        "rope_n_ctx_orig": 64,
        "rope_attn_factor": math.sqrt(1 + math.log(4.0) / math.log(64)),
        "rope_factors": {"rope_factors_long.weight": LONG[:n], "rope_factors_short.weight": SHORT[:n]},
    }
    factors = {"short_factor": SHORT[:n], "long_factor": LONG[:n]}
    return fields, {"rope_type": "longrope", **factors, "original_max_position_embeddings": 64, "factor": 4.0}


def llamas(row: Arch) -> dict[str, Golden]:
    cases = {
        "plain": Golden({}),
        "tied": Golden({"tied": True}),
        "wide heads": Golden({"head_dim": 24, "n_head_kv": 1}),
        "biases": Golden({"biases": True, "ffn_biases": True}),
        "linear": Golden(LINEAR_FIELDS, LINEAR),
        "yarn": Golden(YARN_FIELDS, YARN),
        "llama3": Golden({"rope_factors": FREQS}, {"rope_type": "llama3", **LLAMA3}),
        "longrope": Golden(*longrope(8), 48, 64),
        "longrope, past its original context": Golden(*longrope(8), 80),
    }
    if not row.has("MAY_QKV_BIAS"):
        cases["biases"] = Golden({}, n_ids=0)  # none, and its seed is not another's
    if row.has("MAY_EXPERTS"):
        cases["experts"] = Golden({"experts": {"n": 8, "n_used": 2}})
        many = {"n": 20, "n_used": 5, "fused": True}
        cases["many experts, tied"] = Golden({"tied": True, "n_ff": 40, "experts": many})
    return cases


def _gemma(more: dict[str, Golden]) -> dict[str, Golden]:
    """Return cases of a Gemma. Its files are tied: with small embeddings, logits would vanish beside their cap."""
    cases = {"plain": Golden({"head_dim": 24}), "odd sizes": Golden(ODD), **more}
    tied = {name: case._replace(fields={"tied": True, "embd_std": None, **case.fields}) for name, case in cases.items()}
    return {**tied, "untied": Golden({"n_head_kv": 4, "embd_std": 0.02 / 8})}   # small before sqrt(n_embd), too


FLAGS = [False, True, True]
# Rounded keys move the logits of deep models far: few ids. n_embd / n_head, not head_dim, says their scale.
DEEP: Fields = {"n_head": 2, "n_head_kv": 1, "head_dim": 20, "n_ff": 24, "window": 6}
NO_PATTERN = {"without": ["gemma3.attention.sliding_window_pattern", "gemma3.rope.freq_base_swa"]}
GEMMA2 = {
    "no caps": Golden({"soft_cap": 0.0, "final_cap": 0.0}),
    "default caps": Golden({"without": [
        "gemma2.attn_logit_softcapping", "gemma2.final_logit_softcapping",
    ]}),
    "no window": Golden({"window": 256}),
    "46 layers": Golden({**DEEP, "n_layer": 46}, n_ids=10),
}  # fmt: skip
GEMMA3 = {
    "six layers": Golden({"n_layer": 7, "window": 9, "n_embd": 48, "n_ff": 64, **NO_PATTERN}),
    "flags of layers": Golden({"n_layer": 3, "window": 16, "window_pattern": FLAGS}),
    "linear": Golden({**LINEAR_FIELDS}, LINEAR),
    "a final cap": Golden({"final_cap": 2.0}),
    "no window": Golden({"window": 0}),
    "a window of the whole context": Golden({"window": 256}),
    "62 layers": Golden({**DEEP, **NO_PATTERN, "n_layer": 62}, n_ids=10),
}
PHI3 = {
    "plain": Golden({**ALL_JOINED, "n_head_kv": 4}),
    "no window": Golden({**ALL_JOINED, "window": 0}),
    "odd sizes": Golden({**ODD, **ALL_JOINED, "window": 17}),
    "three quarters rotated": Golden({**ALL_JOINED, "tied": True, "n_rot": 12, "window": 33}),
    "longrope": Golden({**ALL_JOINED, **longrope(8)[0]}, longrope(8)[1], 48, 64),
    "longrope, past its original context": Golden({**longrope(6)[0], "n_rot": 12, "window": 40}, longrope(6)[1], 80),
}
PHI2 = {
    "plain": Golden({"n_rot": 6}),
    "joined": Golden({"n_rot": 8, **JOINED}),
    "odd sizes": Golden({**ODD_ALL_HEADS, "n_rot": 4}),
    "grouped heads": Golden({"n_head_kv": 2, "n_rot": 16}),
}
SMOLLM3 = {
    "plain": Golden({"n_layer": 5, "tied": True}),
    "untied": Golden({"n_layer": 4, "n_head_kv": 1, "seed": 2}),
    "odd sizes": Golden({"n_layer": 4, **ODD}),
    "biases": Golden({"n_layer": 4, "biases": True, "ffn_biases": True}),
    "yarn": Golden({"n_layer": 4, **YARN_FIELDS}, YARN),
}
OLMO2 = {
    "plain": Golden({"n_head_kv": 4, "seed": 1}),
    "grouped heads": Golden({"n_head_kv": 2}),
    "odd sizes": Golden({**ODD}),
    "windows": Golden({"n_layer": 4, "window": 20, "seed": 2}),
    "windows by flags": Golden({"n_layer": 3, "window": 7, "window_pattern": FLAGS}),
    "windows, yarn": Golden({"n_layer": 4, "window": 12, **YARN_FIELDS}, YARN),
}
GRANITE = {
    "plain": Golden({}),
    "tied": Golden({"tied": True, "n_head_kv": 1}),
    "odd sizes": Golden({**ODD, "residual_scale": 0.22, "logit_scale": 8.0}),
    "biases": Golden({"biases": True, "ffn_biases": True, "attn_scale": 0.125, "embd_scale": 12.0}),
}
STARCODER2 = {
    "plain": Golden({"tied": True}),
    "untied": Golden({"n_head_kv": 1}),
    "odd sizes": Golden({**ODD}),
    "linear": Golden(LINEAR_FIELDS, LINEAR),
}
GPT2 = {
    "plain": Golden({"tied": True, **JOINED}),
    "untied": Golden({"n_ff": 256}),
    "odd sizes": Golden({**ODD_ALL_HEADS, **JOINED}),
}
GPTNEOX = {
    "plain": Golden({"n_rot": 4, **JOINED}),
    "sequential": Golden({"parallel": False, "n_rot": 16, **JOINED}),
    "tied": Golden({"tied": True, "n_rot": 8}),
    "odd sizes": Golden({**ODD_ALL_HEADS, "n_rot": 6, **JOINED}),
    "sequential, odd sizes": Golden({**ODD_ALL_HEADS, "parallel": False, "n_rot": 2}),
}
STABLELM = {
    "plain": Golden({"n_rot": 4}),
    "biases": Golden({"biases": True}),
    "parallel": Golden({"parallel": True, "biases": True, "n_rot": 4}),
    "parallel, odd sizes": Golden({**ODD, "parallel": True, "n_rot": 2}),
    "a flag that its norms contradict": Golden({"seed": 1, "kv": [["stablelm.use_parallel_residual", "bool", True]]}),
    "odd sizes": Golden({**ODD, "tied": True, "n_rot": 6}),
}
FALCON = {
    "plain": Golden({**JOINED, "tied": True}),
    "two norms": Golden({"two_norms": True, "n_head_kv": 2, **JOINED}),
    "one norm, grouped heads": Golden({"n_head_kv": 2, **JOINED}),
    "biases": Golden({"biases": True, "ffn_biases": True, "two_norms": True, "n_head_kv": 2}),
    "odd sizes": Golden({**ODD, **JOINED}),
    "all heads": Golden({"n_head_kv": 4}),
}
MPT = {
    "plain": Golden({"n_ff": 256, "tied": True, **JOINED}),
    "clamped": Golden({"n_ff": 256, "tied": True, "clamp": 1.5, **JOINED}),
    "six heads": Golden({**SIX_HEADS, "tied": True, **JOINED}),
    "biases": Golden({"n_ff": 256, "tied": True, "biases": True, "ffn_biases": True, "norm_biases": True, **JOINED}),
    "biases, clamped, five heads": Golden({
        **ODD_ALL_HEADS, "n_ff": 240, "biases": True, "norm_biases": True, "clamp": 1.0,
    }),
}  # fmt: skip
BLOOM = {
    "plain": Golden({"n_ff": 256, "tied": True, **JOINED}),
    "untied": Golden({"n_ff": 256}),
    "six heads": Golden({**SIX_HEADS, "tied": True, **JOINED}),
    "three heads": Golden({"n_embd": 60, "n_head": 3, "n_ff": 240, "tied": True}),
}
OLMO = {
    "plain": Golden({"n_head_kv": 4}),
    "clamped": Golden({"clamp": 1.5, "tied": True}),
    "clamped, odd sizes": Golden({**ODD, "clamp": 1.0}),
}
SCALES = {"mscale": 0.707, "mscale_all_dim": 0.707}
V2: Fields = {"n": 12, "n_used": 3, "n_ff": 40, "n_shared": 1, "shared_width": 40, "n_dense": 1, "gating": 1}
GROUPS: Fields = {"n_groups": 4, "n_groups_used": 2}
V3: Fields = {**V2, **GROUPS, "gating": 2, "normed": True, "scale": 2.5, "choice_bias": True, "n_shared": 2,
              "shared_width": 80}   # fmt: skip
DEEPSEEK2 = {
    "plain": Golden({}),
    "two matrices of queries": Golden({"q_rank": 32, "tied": True}),
    "yarn": Golden({**YARN_FIELDS, "q_rank": 24, "yarn_log": 0.0707}, {**YARN, **SCALES}),
    "yarn without a multiplier": Golden(YARN_FIELDS, YARN),
    "odd sizes": Golden({**ODD, "kv_rank": 22, "head_dim": 14, "n_rot": 6, "v_dim": 11}),
    "experts": Golden({"n_layer": 3, "experts": V2}),
    "groups of experts": Golden({"n_layer": 3, "q_rank": 32, "seed": 3, "experts": {**V2, **GROUPS, "scale": 1.5}}),
    "a router of sigmoids": Golden({"n_layer": 3, "q_rank": 32, "experts": V3}),
    "odd sizes, two matrices": Golden({**ODD, "kv_rank": 22, "head_dim": 15, "n_rot": 6, "v_dim": 11, "q_rank": 28}),
}
GPT_OSS = {
    "plain": Golden({}),
    "yarn": Golden(YARN_FIELDS, YARN),
    "odd sizes": Golden({**ODD, "window": 7, "experts": {"n": 5, "n_used": 2}}),
    "all heads, tied": Golden({"n_head_kv": 4, "head_dim": 24, "tied": True, "experts": {"n": 20, "n_used": 4}}),
}
QWEN3 = {
    "plain": Golden({"head_dim": 24}),
    "tied": Golden({"tied": True}),
    "odd sizes": Golden({**ODD}),
    "yarn": Golden(YARN_FIELDS, YARN),
}
INTERNLM2 = {
    "plain": Golden({**JOINED}),
    "odd sizes": Golden({**ODD}),
    "linear": Golden(LINEAR_FIELDS, LINEAR),
}
MINICPM = {
    "plain": Golden({"tied": True, "embd_std": 0.02}),
    "untied": Golden({"n_head_kv": 4}),
    "odd sizes": Golden({**ODD, "residual_scale": 0.22, "logit_scale": 8.0, "embd_scale": 12.0}),
    "default scales": Golden({"without": ["minicpm.embedding_scale", "minicpm.residual_scale", "minicpm.logit_scale"]}),
}
ERNIE4_5 = {
    "plain": Golden({"head_dim": 24, "n_head_kv": 1}),
    "tied": Golden({"tied": True}),
    "odd sizes": Golden({**ODD}),
    "biases": Golden({"biases": True, "ffn_biases": True}),
}
SEED_OSS = {
    "plain": Golden({"head_dim": 24}),
    "odd sizes": Golden({**ODD, "tied": True}),
    "biases": Golden({"biases": True, "ffn_biases": True}),
}
EXAONE4 = {
    "plain": Golden({}),
    "no window": Golden({"window": 0, "tied": True}),
    "every fourth": Golden({"n_layer": 5, "window": 9, "without": ["exaone4.attention.sliding_window_pattern"]}),
    "flags of layers": Golden({**ODD, "n_layer": 3, "window": 7, "window_pattern": FLAGS}),
    "llama3": Golden({"rope_factors": FREQS, "window": 12}, {"rope_type": "llama3", **LLAMA3}),
}
ALPHA = {"rope_type": "dynamic", "alpha": 1000.0, "factor": 1.0, "rope_theta": 500.0}
HUNYUAN = {
    "plain": Golden({"head_dim": 24, "tied": True}),
    "odd sizes": Golden({**ODD}),
    "biases": Golden({"biases": True}),
    "a base for long contexts": Golden({"rope_base": 500.0 * 1000 ** (16 / 14)}, ALPHA),
    "alpha": Golden({"rope_alpha": 1000.0}, ALPHA),
}
MISTRAL3_YARN = {**YARN, "original_max_position_embeddings": 16, "mscale": 1.0, "mscale_all_dim": 1.0}
MISTRAL3 = {
    "plain": Golden({"rope": "yarn", "rope_n_ctx_orig": 16, "head_dim": 24}, MISTRAL3_YARN),
    "odd sizes": Golden({**ODD, "rope": "yarn", "rope_n_ctx_orig": 7},
                        {**MISTRAL3_YARN, "original_max_position_embeddings": 7}),
    "half of YaRN's scale": Golden({"rope": "yarn", "rope_n_ctx_orig": 16, "yarn_log": 0.5, "heat": 0.1, "tied": True},
                                   {**MISTRAL3_YARN, "mscale_all_dim": 0.5}),
    "no temperature": Golden({"heat": 0.0, "yarn_log": 0.0, **YARN_FIELDS}, YARN),
    "no YaRN": Golden({"rope_n_ctx_orig": 16}),
}
ARCEE = {
    "plain": Golden({"head_dim": 24}),
    "tied": Golden({"tied": True, "n_head_kv": 1}),
    "odd sizes": Golden({**ODD}),
    "yarn": Golden(YARN_FIELDS, YARN),
    "biases": Golden({"biases": True, "ffn_biases": True}),
}
APERTUS = {
    "plain": Golden({"n_layer": 3}),
    "odd sizes": Golden({**ODD, "tied": True}),
    "llama3": Golden({"rope_factors": FREQS}, {"rope_type": "llama3", **LLAMA3}),
    "biases": Golden({"biases": True}),
}
NEMOTRON = {
    "plain": Golden({"n_head_kv": 1}),
    "odd sizes": Golden({**ODD, "n_rot": 4, "tied": True}),
    "all rotated": Golden({"n_rot": 16}),
    "biases": Golden({"biases": True, "ffn_biases": True}),
}
COMMAND_R = {
    "plain": Golden({"tied": True}),
    "untied": Golden({"n_head_kv": 4}),
    "norms of heads": Golden({"tied": True, "head_norms": True}),
    "norms of heads, odd sizes": Golden({**ODD, "head_norms": True}),
    "biases": Golden({"biases": True, "fused": ["attn_qkv"]}),
}
COHERE2 = {
    "plain": Golden({"tied": True}),
    "every fourth": Golden({"n_layer": 5, "window": 9, "without": ["cohere2.attention.sliding_window_pattern"]}),
    "flags of layers": Golden({**ODD, "n_layer": 3, "window": 7, "window_pattern": FLAGS}),
    "a window of the whole context": Golden({"tied": True, "window": 256}),
    "biases": Golden({"biases": True}),
}
GLM4 = {
    "plain": Golden({"fused": ["gate_up"], "biases": True}),
    "no biases": Golden({"head_dim": 24, "n_rot": 12, "n_head_kv": 1, "tied": True}),
    "odd sizes": Golden({**ODD, "n_rot": 4, "fused": ["gate_up"]}),
}
OPENELM = {
    "plain": Golden({"n_layer": 3, "head_dim": 16, "n_head": [2, 4, 6], "n_head_kv": [1, 2, 3], "n_ff": [32, 96, 160],
                     "tied": True, **JOINED}),
    "equal layers": Golden({"head_dim": 24, "tied": True}),
    "odd sizes": Golden({**ODD, "head_dim": 12, "n_head": [5, 3], "n_head_kv": [1, 3], "n_ff": [77, 40]}),
}
LFM2 = {
    "plain": Golden({"n_layer": 3, "tied": True, "seed": 9000}),
    "odd sizes": Golden({**ODD, "n_layer": 3, "taps": 4, "seed": 9001}),
    "attention first and last": Golden({"n_layer": 4, "n_head_kv": [2, 0, 0, 2], "taps": 2, "seed": 9002}),
    "2,000 tokens": Golden({"n_ctx": 2048, "n_layer": 3, "seed": 9003}, n_ids=2000, n_ctx=2048),
}
LFM2MOE = {
    "plain": Golden({"n_layer": 3, "seed": 9100}),
    "many experts, tied": Golden({
        "n_layer": 3, "tied": True, "n_ff": 96, "experts": {"n": 20, "n_used": 4, "n_ff": 40}, "seed": 9101,
    }),
    "no bias of choice, odd sizes": Golden({
        **ODD, "n_layer": 3, "experts": {"n_ff": 35, "choice_bias": False, "fused": True}, "seed": 9102,
    }),
    "2,000 tokens": Golden({"n_ctx": 2048, "n_layer": 3, "seed": 9103}, n_ids=2000, n_ctx=2048),
}  # fmt: skip
# Heads of values that share a key, in lengths that are a multiple of nothing.
ODD_DELTA: Fields = {**ODD, "head_dim": 12, "n_rot": 6, "delta_heads": (2, 6), "delta_dims": (10, 13), "taps": 4}
QWEN35 = {
    "plain": Golden({"taps": 4, "seed": 9200}),
    "odd sizes": Golden({**ODD_DELTA, "n_layer": 3, "seed": 9201}),
    "delta nets side by side, tied": Golden({
        "n_layer": 4, "recurrent": [True, True, False, True], "delta_heads": (1, 3), "tied": True, "seed": 9202,
        "delta_dims": (32, 32), "taps": 2, **ALL_JOINED,
    }),
    "2,000 tokens": Golden({"n_ctx": 2048, "n_layer": 3, "taps": 4, "seed": 9203}, n_ids=2000, n_ctx=2048),
}  # fmt: skip
QWEN35MOE = {
    "plain": Golden({"taps": 4, "seed": 9300}),
    "odd sizes": Golden({**ODD_DELTA, "n_layer": 3, "seed": 9301, "experts": {"n_ff": 35, "shared_width": 50}}),
    "many experts, tied": Golden({
        "n_layer": 3, "tied": True, "experts": {"n": 20, "n_used": 4, "n_ff": 40, "fused": True}, "seed": 9302,
    }),
    "2,000 tokens": Golden({"n_ctx": 2048, "n_layer": 3, "taps": 4, "seed": 9303}, n_ids=2000, n_ctx=2048),
}  # fmt: skip
QWEN3NEXT = {
    name: case._replace(fields={**case.fields, "seed": case.fields["seed"] + 100}) for name, case in QWEN35MOE.items()
}
ODD_MAMBA: Fields = {"n_embd": 60, "taps": 4, "ssm_state": 13}
MAMBA = {
    "plain": Golden({"n_layer": 3, "tied": True, "seed": 9300}),
    "odd sizes": Golden({**ODD_MAMBA, "ssm_heads": 7, "seed": 9301}),
    "normed": Golden({"taps": 2, "ssm_heads": 16, "ssm_state": 32, "ssm_normed": True, "seed": 9302}),
    "2,000 tokens": Golden({"seed": 9303, "n_ctx": 2048}, n_ids=2000, n_ctx=2048),
}
MAMBA2 = {
    "plain": Golden({"n_layer": 3, "tied": True, "seed": 9200}),
    "odd sizes, three groups": Golden({**ODD_MAMBA, "ssm_heads": 12, "ssm_groups": 3, "seed": 9201}),
    "wide heads": Golden({"taps": 2, "ssm_heads": 2, "ssm_groups": 2, "ssm_state": 64, "seed": 9202}),
    "2,000 tokens": Golden({"seed": 9203, "n_ctx": 2048}, n_ids=2000, n_ctx=2048),
}
ODD_RWKV: Fields = {"n_embd": 60, "n_ff": 77, "head_size": 12}
RWKV7 = {
    "plain": Golden({"n_layer": 3, "seed": 9700}),
    "odd sizes": Golden({**ODD_RWKV, "ranks": [7, 3, 33, 70], "seed": 9701}),
    "wide heads": Golden({"n_embd": 128, "head_size": 64, "ranks": [32, 24, 8, 48], "n_layer": 3, "seed": 9702}),
    "2,000 tokens": Golden({"head_size": 64, "seed": 9703, "n_ctx": 2048}, n_ids=2000, n_ctx=2048),
}
ARWKV7 = {
    "plain": Golden({"n_layer": 3, "head_size": 64, "seed": 9710}),
    "no gate": Golden({"n_embd": 128, "n_ff": 77, "head_size": 64, "ranks": [7, 1, 33, 0], "seed": 9711}),
    "no norm of heads": Golden({"head_size": 64, "time_norm": False, "n_layer": 3, "seed": 9712}),
    "2,000 tokens": Golden({"head_size": 64, "seed": 9713, "n_ctx": 2048}, n_ids=2000, n_ctx=2048),
}
NO_ROPE = [["granitehybrid.rope.scaling.finetuned", "bool", False]]
FALCON_H1 = {
    "plain": Golden({"ssm_norm": False, "seed": 9500}),
    "odd sizes, normed": Golden({**ODD, "taps": 4, "ssm_heads": 12, "ssm_groups": 3, "ssm_state": 13, "seed": 9501}),
    "no biases of taps": Golden({"ssm_bias": False, "n_head_kv": 1, "seed": 9502}),
    "2,000 tokens": Golden(
        {"n_ctx": 2048, "ssm_groups": 2, "seed": 9503}, n_ids=2000, n_ctx=2048, exact_angles=True
    ),
}
GRANITE_HYBRID = {
    "plain": Golden({"n_layer": 3, "kv": NO_ROPE, "seed": 9600}),
    "RoPE, tied": Golden({"n_layer": 3, "n_head_kv": [0, 0, 2], "tied": True, "ssm_groups": 2, "seed": 9601}),
    "no biases of taps": Golden({"ssm_bias": False, "kv": NO_ROPE, "biases": True, "seed": 9603}),
    "experts": Golden({
        "n_layer": 3, "kv": NO_ROPE, "seed": 9602,
        "experts": {"n": 6, "n_used": 2, "shared": True, "shared_width": 40, "says_shared": True},
    }),
    "2,000 tokens": Golden({"n_ctx": 2048, "kv": NO_ROPE, "ssm_groups": 2, "seed": 9604}, n_ids=2000, n_ctx=2048),
}
NEMOTRON_H = {
    "plain": Golden({"n_layer": 4, "ssm_groups": 2, "seed": 9700}),
    "no biases of taps": Golden({"n_layer": 3, "ssm_bias": False, "seed": 9702}),
    "epsilon of LayerNorms, tied": Golden({
        "n_layer": 5, "n_ff": [0, 80, 0, 80, 0], "n_head_kv": [0, 0, 2, 0, 0], "taps": 4, "tied": True, "seed": 9701,
        "kv": [["nemotron_h.attention.layer_norm_epsilon", "f32", 1e-5]], "without": [
            "nemotron_h.attention.layer_norm_rms_epsilon",
        ],
    }),
    "2,000 tokens": Golden({"n_ctx": 2048, "n_layer": 3, "ssm_groups": 2, "seed": 9703}, n_ids=2000, n_ctx=2048),
}
SHARING: Fields = {"n_layer": 6, "window": 9, "window_pattern": [True, False, True, False, True, False]}
GEMMA4 = {
    "values are keys": Golden({"k_is_v": True, "n_head_kv": [2, 1], "head_dim": 40, "head_dim_swa": 16}),
    "four layers": Golden({"n_layer": 4, "window": 9, "window_pattern": [True, True, False, False]}),
    "a large epsilon": Golden({"eps": 0.01}),
    # Transformers shares keys only in models that have embeddings of layers.
    "shared keys": Golden({**SHARING, "shared_kv": 3, "per_layer": 16}),
    "shared keys, wide": Golden({**SHARING, "shared_kv": 2, "wide_shared": True, "n_head_kv": [2, 1] * 3,
                                 "k_is_v": True, "per_layer": 32}),
    "embeddings of layers": Golden({"per_layer": 24}),
}
# Of 26B-A4B. An expert is shorter than the feed-forward beside it.
GEMMA4_EXPERTS = {
    "experts": Golden({"k_is_v": True, "n_head_kv": [2, 1, 1], "head_dim": 40, "head_dim_swa": 16, "n_layer": 3,
                       "window_pattern": [True, False, False], "experts": {"n": 12, "n_used": 3, "n_ff": 40}}),
    "many experts": Golden({"final_cap": 2.0, "experts": {"n": 40, "n_used": 8, "n_ff": 24, "fused": True}}),
    "experts, embeddings of layers, odd sizes": Golden({
        **ODD, "n_layer": 3, "window_pattern": [True, True, False], "per_layer": 11,
        "experts": {"n": 7, "n_used": 3, "n_ff": 35},
    }),
}
MANY_EXPERTS: Fields = {"n": 24, "n_used": 6}
ODD_EXPERTS: Fields = {**ODD, "n_ff": 35}


def experts(seed: int, fields: Fields, more: dict[str, Golden]) -> dict[str, Golden]:
    """Return cases of an architecture with experts: few, many, odd sizes, and `fields` of its files in all of them.

    Their seeds count from `seed` on. Another one is needed where rounded keys make a row choose another expert.
    """
    cases = {
        "plain": Golden({}),
        "many experts": Golden({"n_ff": 40, "experts": MANY_EXPERTS}),
        "odd sizes": Golden({**ODD_EXPERTS, "experts": {"n": 7, "n_used": 3, "fused": True}}),
        **more,
    }
    seeded = {name: {"seed": seed + i, **fields, **case.fields} for i, (name, case) in enumerate(cases.items())}
    return {name: case._replace(fields=seeded[name]) for name, case in cases.items()}


def _gemma4_experts() -> dict[str, Golden]:
    """Return the cases of gemma4 with experts. Like those of others, each has a seed that no other case moves."""
    return {
        name: case._replace(fields={"seed": 4300 + i, "tied": True, "embd_std": None, **case.fields})
        for i, (name, case) in enumerate(GEMMA4_EXPERTS.items())
    }


WIDE_SHARED: Fields = {"tied": True, "experts": {"n": 4, "n_used": 1, "shared_width": 150}}
QWEN2MOE = experts(3100, {}, {"a wide shared expert": Golden(WIDE_SHARED)})
QWEN3MOE = experts(3200, {"head_dim": 24}, {"yarn": Golden({**YARN_FIELDS, "seed": 1}, YARN)})
OLMOE = experts(3300, {"n_head_kv": 4}, {})
GRANITEMOE = experts(3450, {}, {"a shared expert": Golden({"experts": {"n": 6, "shared": True, "says_shared": True,
                                                                 "shared_width": 50}, "tied": True})})
PHIMOE = {
    "plain": Golden({"seed": 3500, "experts": {"n": 8}}),
    "many experts": Golden({"seed": 3501, "n_ff": 40, "experts": {"n": 32}, "window": 0}),
    "odd sizes": Golden({"seed": 3502, **ODD_EXPERTS, "experts": {"n": 7}}),
}
GROUPED: Fields = {"n": 16, "n_used": 3, "n_groups": 4, "n_groups_used": 2, "n_dense": 0}
GLM4MOE = experts(3650, {}, {
    "groups, normed queries and keys": Golden({"qk_norm": True, "biases": True, "experts": GROUPED}),
    "weights as they are": Golden({"experts": {"normed": False, "scale": 0.7}, "n_layer": 3}),
})  # fmt: skip
TWO_SHARED: Fields = {"n_dense": 2, "n_shared": 2, "shared_width": 192}
ERNIE_MOE = experts(3700, {}, {"every second layer": Golden({"n_layer": 4, "experts": {**TWO_SHARED, "step": 2}})})
HUNYUAN_MOE = experts(3800, {}, {})
DOTS1 = experts(3900, {"n_head_kv": 4}, {"groups": Golden({"experts": GROUPED})})
BAILINGMOE = experts(4000, {}, {"dense first": Golden({"n_layer": 3, "experts": TWO_SHARED})})
MINIMAX = experts(4100, {"head_dim": 24}, {})
DENSE_BETWEEN: Fields = {"n": 8, "n_ff": 40, "shared_width": 40, "step": 2}
LLAMA4 = experts(4200, {}, {
    "dense layers between": Golden({"n_layer": 4, "window_pattern": 4, "window": 9, "experts": DENSE_BETWEEN}),
    "one expert, llama3": Golden({"rope_factors": FREQS, "experts": {"n_used": 1}, "tied": True},
                                 {"rope_type": "llama3", **LLAMA3}),
    "128 experts": Golden({"n_ff": 16, "experts": {"n": 128}}),
    "no chunks": Golden({"window": 0, "head_dim": 24}),
    "a chunk of the whole context": Golden({"window": 256, "biases": True}),
})  # fmt: skip
OF: dict[str, dict[str, Golden]] = {
    "qwen3": QWEN3,
    "gemma": _gemma({}),
    "gemma2": _gemma(GEMMA2),
    "gemma3": {name: case._replace(fields={"rope_base": 5000.0, **case.fields})
               for name, case in _gemma(GEMMA3).items()},   # not that of layers with a window
    "phi3": PHI3,
    "phi2": PHI2,
    "smollm3": SMOLLM3,
    "olmo2": OLMO2,
    "granite": GRANITE,
    "starcoder2": STARCODER2,
    "gpt2": GPT2,
    "gptneox": GPTNEOX,
    "stablelm": STABLELM,
    "falcon": FALCON,
    "mpt": MPT,
    "bloom": BLOOM,
    "olmo": OLMO,
    "internlm2": INTERNLM2,
    "minicpm": MINICPM,
    "ernie4_5": ERNIE4_5,
    "seed_oss": SEED_OSS,
    "exaone4": EXAONE4,
    "hunyuan-dense": HUNYUAN,
    "mistral3": MISTRAL3,
    "deepseek2": DEEPSEEK2,
    "gemma4": {name: case._replace(fields={"rope_base": 5000.0, "head_dim_swa": 20, **case.fields})
               for name, case in (_gemma(GEMMA4) | _gemma4_experts()).items()},
    "command-r": COMMAND_R,
    "cohere2": COHERE2,
    "glm4": GLM4,
    "openelm": OPENELM,
    "arcee": ARCEE,
    "apertus": APERTUS,
    "nemotron": NEMOTRON,
    "gpt-oss": GPT_OSS,
    "qwen2moe": QWEN2MOE,
    "qwen3moe": QWEN3MOE,
    "olmoe": OLMOE,
    "granitemoe": GRANITEMOE,
    "phimoe": PHIMOE,
    "glm4moe": GLM4MOE,
    "ernie4_5-moe": ERNIE_MOE,
    "hunyuan-moe": HUNYUAN_MOE,
    "dots1": DOTS1,
    "bailingmoe": BAILINGMOE,
    "minimax-m2": MINIMAX,
    "llama4": LLAMA4,
    "bert": {"plain": Golden(BIASES, n_ids=12), "odd sizes": Golden({**ODD_ALL_HEADS, **BIASES})},
    "mpnet": {
        "plain": Golden(BIASES), "odd sizes": Golden({**ODD_ALL_HEADS, **BIASES}),
        "all buckets": Golden({**BIASES, "n_ctx": 512}, n_ids=80),
    },
    "jina-bert-v2": {
        "plain": Golden(BIASES, n_ids=12), "odd sizes": Golden({**ODD_ALL_HEADS, **BIASES}), "no types": Golden(
            {**BIASES, "n_types": 1}, n_ids=30),
    },
    "modern-bert": {
        "plain": Golden({"rope_base": 30.0}),
        "odd sizes": Golden({**ODD_ALL_HEADS, "window": 12, "n_layer": 4, "window_pattern": 3}),
        "flags of layers": Golden({"n_layer": 3, "window_pattern": FLAGS, "window": 6}),
    },
    "gemma-embedding": {
        "plain": Golden({"head_dim": 24, "rope_base": 30.0, "embd_std": 0.02 / 8}),
        "odd sizes": Golden({**ODD, "embd_std": 0.02 / 8, "window": 12}),
        "flags of layers": Golden({"n_layer": 3, "window_pattern": FLAGS, "window": 8, "embd_std": 0.02 / 8}),
    },
    "mamba": MAMBA,
    "mamba2": MAMBA2,
    "rwkv7": RWKV7, "arwkv7": ARWKV7,
    "falcon-h1": FALCON_H1,
    "granitehybrid": GRANITE_HYBRID,
    "nemotron_h": NEMOTRON_H,
    "lfm2": LFM2,
    "lfm2moe": LFM2MOE,
    "qwen35": QWEN35, "qwen35moe": QWEN35MOE, "qwen3next": QWEN3NEXT,
    "nomic-bert": {"plain": Golden({"fused": ["attn_qkv"]}, n_ids=12), "odd sizes": Golden(ODD_ALL_HEADS)},
}


def of(row: Arch) -> dict[str, Golden]:
    """Return the cases of an architecture, with all of their fields: each has its own seed."""
    first = 100 * (1 + list(ARCHS).index(row.name))
    found = {}
    for i, (name, case) in enumerate((OF.get(row.name) or llamas(row)).items()):
        found[name] = case._replace(fields={"arch": row.name, "seed": first + i, **BASE, **case.fields})
    return {name: case for name, case in found.items() if case.n_ids}


def rows_of(n_ids: int) -> Sequence[int]:
    """Return the positions whose logits are kept."""
    return [0, 1, n_ids // 2, n_ids - 1]
