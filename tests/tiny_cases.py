"""Tiny models of every architecture for tests of bits: few, and together they have all parts that its files may have.

    CASES["gemma3, six layers"] -> fields of tiny.TinyModel
    of("gemma3") -> the cases of one architecture by name; the first is its plain one
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tiny
import tiny_rwkv
from archs import DECODERS, ENCODERS

Fields = dict[str, Any]

FUSED = ("attn_qkv", "gate_up")
ODD: Fields = {"n_embd": 60, "n_head": 5, "n_head_kv": 1, "n_ff": 77, "format": "F32"}  # a multiple of nothing
ODD_LATENT: Fields = {**ODD, "kv_rank": 22, "head_dim": 15, "n_rot": 6, "v_dim": 11}
ODD_DELTA: Fields = {**ODD, "delta_heads": (2, 6), "delta_dims": (10, 13), "taps": 4}
ODD_SSM: Fields = {"taps": 4, "ssm_inner": 84, "ssm_heads": 12, "ssm_groups": 3, "ssm_state": 13}
ALL = {"biases": True, "ffn_biases": True, "norm_biases": True}
FLAGS = (False, True, True)

ELM: Fields = {  # each layer wider than the one before
    "n_layer": 3, "head_dim": 16, "n_head": (2, 4, 6), "n_head_kv": (1, 2, 3), "n_ff": (32, 96, 160), "tied": True,
}  # fmt: skip

# What an architecture has beside its plain model in Q4_0, by what is in it.
_MORE: dict[str, dict[str, Fields]] = {
    "qwen3": {"odd sizes": ODD, "wide heads, tied": {"head_dim": 24, "tied": True, "fused": FUSED}},
    "gemma": {"odd sizes, tied": {**ODD, "tied": True}, "wide heads": {"head_dim": 40, "n_head_kv": 1}},
    "gemma2": {
        "odd sizes, tied": {**ODD, "tied": True, "window": 17},
        "default caps": {"without": ("gemma2.attn_logit_softcapping", "gemma2.final_logit_softcapping")},
        "no caps, no window": {"soft_cap": 0.0, "final_cap": 0.0, "window": 0, "fused": FUSED},
    },
    "gemma3": {
        "six layers": {
            "n_layer": 7, "n_embd": 32, "n_ff": 32, "tied": True,
            "without": ("gemma3.attention.sliding_window_pattern", "gemma3.rope.freq_base_swa"),
        },
        "odd sizes": {**ODD, "window": 33, "window_pattern": FLAGS, "n_layer": 3, "rope": "linear"},
        "a cap, no window": {"final_cap": 2.0, "window": 0, "fused": FUSED},
    },
    "phi3": {
        "fused": {"fused": FUSED, "n_head_kv": 4, "tied": True},
        "odd sizes, longrope": {**ODD, "n_rot": 8, "window": 0, "rope": "longrope", "rope_attn_factor": 1.2},
    },
    "phi2": {"odd sizes, fused": {**ODD, "n_head_kv": 5, "n_rot": 4, "tied": True, "fused": FUSED}},
    "smollm3": {"odd sizes, yarn": {**ODD, "n_layer": 4, "rope": "yarn"}, "biases": {"n_layer": 4, **ALL}},
    "olmo2": {
        "odd sizes": ODD,
        "windows, yarn": {"n_layer": 4, "window": 20, "rope": "yarn", "fused": FUSED},
        "windows by flags": {"n_layer": 3, "window": 9, "window_pattern": FLAGS, "head_dim": 24},
    },
    "granite": {"odd sizes, tied": {**ODD, "tied": True}, "biases": {**ALL, "fused": FUSED}},
    "starcoder2": {"odd sizes, tied": {**ODD, "tied": True}},
    "gpt2": {"odd sizes, fused, tied": {**ODD, "n_head_kv": 5, "tied": True, "fused": FUSED}},
    "gptneox": {
        "odd sizes, fused": {**ODD, "n_head_kv": 5, "n_rot": 4, "fused": FUSED},
        "sequential": {"parallel": False, "n_rot": 16},
    },
    "stablelm": {
        "parallel": {"parallel": True, "biases": True, "fused": FUSED},
        "odd sizes": {**ODD, "n_rot": 4, "kv": (("stablelm.use_parallel_residual", "bool", True),)},
    },
    "falcon": {
        "two norms, fused": {"two_norms": True, "n_head_kv": 2, "fused": FUSED},
        "odd sizes, biases": {**ODD, **ALL},
    },
    "mpt": {
        "odd sizes, biases, fused": {**ODD, **ALL, "n_head_kv": 5, "max_alibi_bias": 6.0, "fused": FUSED},
        "clamped, tied": {"clamp": 1.5, "n_head": 6, "n_embd": 96, "tied": True},
        "no ALiBi": {"max_alibi_bias": 0.0},
    },
    "bloom": {"odd sizes, fused, tied": {**ODD, "n_head_kv": 5, "tied": True, "fused": FUSED}},
    "gemma4": {
        "odd sizes, tied": {**ODD, "head_dim": 24, "head_dim_swa": 12, "window": 17, "tied": True},
        "values are keys": {"k_is_v": True, "n_head_kv": (2, 1), "head_dim": 32, "head_dim_swa": 16, "final_cap": 3.0},
        "fused": {"fused": FUSED, "without": ("blk.0.layer_output_scale.weight",)},
        "shared keys": {
            "n_layer": 5, "shared_kv": 3, "wide_shared": True, "head_dim": 24, "head_dim_swa": 16, "window": 17,
        },
        "experts": {
            "n_layer": 3, "k_is_v": True, "n_head_kv": (2, 1, 2), "head_dim": 32, "head_dim_swa": 16,
            "window_pattern": (True, False, True), "experts": {"n": 12, "n_used": 3, "n_ff": 32},
        },
        "experts, odd sizes": {**ODD, "per_layer": 12, "experts": {"n": 7, "n_used": 3, "n_ff": 35, "fused": True}},
        "shared keys, odd sizes": {
            **ODD, "n_layer": 4, "shared_kv": 1, "head_dim": 24, "head_dim_swa": 12, "k_is_v": True,
        },
        "embeddings of layers": {"n_layer": 5, "shared_kv": 2, "wide_shared": True, "per_layer": 64},
        "embeddings of layers, odd sizes": {
            **ODD, "n_layer": 3, "per_layer": 13, "head_dim": 24, "head_dim_swa": 12, "tied": True,
        },
    },
    "command-r": {
        "odd sizes, norms of heads": {**ODD, "head_norms": True, "tied": True},
        "norms of heads, biases": {"head_norms": True, "biases": True, "fused": FUSED},
    },
    "cohere2": {"odd sizes, tied": {**ODD, "n_layer": 3, "window": 17, "window_pattern": FLAGS, "tied": True}},
    "glm4": {"odd sizes, fused": {**ODD, "n_rot": 4, "fused": FUSED}, "biases": {"biases": True, "n_rot": 16}},
    "openelm": {"layers of different sizes": ELM, "odd sizes, fused": {**ODD, "tied": True, "fused": FUSED}},
    "internlm2": {"odd sizes, fused": {**ODD, "fused": FUSED}},
    "minicpm": {
        "biases, tied": {**ALL, "tied": True},
        "default scales": {   # 256: logits are divided by n_embd / 256
            "n_embd": 256, "without": ("minicpm.embedding_scale", "minicpm.residual_scale", "minicpm.logit_scale"),
        },
    },
    "ernie4_5": {"odd sizes, biases": {**ODD, **ALL}},
    "seed_oss": {"odd sizes, biases": {**ODD, **ALL}, "wide heads, fused": {"head_dim": 24, "fused": FUSED}},
    "exaone4": {
        "odd sizes": {**ODD, "n_layer": 3, "window": 17, "window_pattern": FLAGS},
        "no window": {"window": 0, "tied": True, "fused": FUSED},
    },
    "hunyuan-dense": {
        "odd sizes": {**ODD, "rope_alpha": 100.0}, "wide heads, biases": {"head_dim": 24, "biases": True},
    },
    "mistral3": {
        "odd sizes, yarn": {**ODD, "rope": "yarn", "rope_n_ctx_orig": 7},
        "biases": {**ALL, "rope_n_ctx_orig": 16, "fused": FUSED},
    },
    "gpt-oss": {
        "odd sizes, yarn": {**ODD, "window": 17, "rope": "yarn", "rope_n_ctx_orig": 100},
        "no window, fused, tied": {"window": 0, "tied": True, "fused": ("attn_qkv",), "experts": {"n": 5, "n_used": 2}},
        "all heads, MXFP4": {"n_head_kv": 1, "head_dim": 32, "format": "MXFP4"},
    },
    "deepseek2": {
        "two matrices of queries, yarn": {"q_rank": 32, "rope": "yarn", "yarn_log": 0.0707},
        "odd sizes": {**ODD_LATENT, "q_rank": 28},
        "the sizes of V3's heads": {
            "n_layer": 1, "n_embd": 256, "kv_rank": 512, "head_dim": 192, "n_rot": 64, "v_dim": 128, "q_rank": 64,
        },
        "more heads than a call has queries": {
            "n_embd": 128, "n_head": 32, "kv_rank": 32, "head_dim": 12, "n_rot": 4, "v_dim": 8,
        },
        "experts in groups": {
            "n_layer": 3, "q_rank": 32,
            "experts": {"n": 12, "n_used": 3, "n_ff": 32, "n_shared": 1, "shared_width": 32, "n_dense": 1, "gating": 1,
                        "n_groups": 4, "n_groups_used": 2},
        },
        "a router of sigmoids": {
            "n_layer": 3,
            "experts": {"n": 12, "n_used": 3, "n_ff": 32, "n_shared": 2, "shared_width": 64, "n_dense": 1, "gating": 2,
                        "n_groups": 4, "n_groups_used": 2, "normed": True, "scale": 2.5, "choice_bias": True},
        },
        "latent of 80, padded": {"kv_rank": 80, "head_dim": 72, "n_rot": 8, "v_dim": 40, "n_head": 8, "tied": True},
    },
    "llama4": {
        "odd sizes": {**ODD, "window": 17, "experts": {"n": 5, "n_used": 3, "fused": True}},
        "dense layers between": {
            "n_layer": 4, "window_pattern": 4, "fused": FUSED,
            "experts": {"n": 8, "n_used": 1, "n_ff": 64, "shared_width": 64, "step": 2},
        },
        "128 experts, F16 before Q8_0": {
            "n_ff": 32, "experts": {"n": 128}, "formats": {"ffn_up_exps": "F16", "ffn_gate_exps": "Q8_0"},
        },
        "no chunks": {"window": 0, "biases": True},
    },
    "arcee": {"odd sizes, tied": {**ODD, "tied": True}, "biases": {**ALL, "fused": FUSED}},
    "apertus": {
        "odd sizes": {**ODD, "n_layer": 3},
        "one number for all layers": {"kv": (("xielu.beta", "f32", 0.7),), "biases": True, "fused": FUSED},
    },
    "nemotron": {"odd sizes, tied": {**ODD, "n_rot": 4, "tied": True}, "biases": {**ALL, "fused": FUSED}},
    "bert": {"odd sizes": {**ODD, **ALL, "n_head_kv": 5}, "no types": {"n_types": 0, "biases": True, "fused": FUSED}},
    "mpnet": {
        "odd sizes": {**ODD, **ALL, "n_head_kv": 5}, "few buckets": {"n_buckets": 7, "biases": True, "fused": FUSED},
    },
    "nomic-bert": {
        "odd sizes": {**ODD, "n_head_kv": 5, "n_rot": 12, "fused": FUSED}, "biases": {**ALL, "n_head_kv": 2},
    },
    "jina-bert-v2": {"odd sizes, biases": {**ODD, **ALL, "n_head_kv": 5}, "fused": {"fused": FUSED, "n_types": 0}},
    "modern-bert": {
        "odd sizes": {
            **ODD, "n_head_kv": 5, "n_rot": 12, "window": 7, "window_pattern": 3, "n_layer": 4, "fused": FUSED,
        },
        "SILU, flags": {
            "window_pattern": FLAGS, "n_layer": 3, "kv": (("modern-bert.hidden_activation", "string", "silu"),),
        },
        "no window": {"window": 0, "fused": FUSED},
    },
    "gemma-embedding": {
        "odd sizes": {**ODD, "head_dim": 24, "window": 9, "window_pattern": FLAGS, "n_layer": 3},
        "fused": {"fused": FUSED, "without": ("gemma-embedding.attention.sliding_window_pattern",), "n_layer": 7,
                  "n_embd": 32, "n_ff": 32},
    },
    "lfm2": {
        "odd sizes": {**ODD, "n_layer": 3, "taps": 4, "tied": True},
        "convolutions side by side, fused": {"n_layer": 4, "n_head_kv": (0, 0, 2, 0), "fused": FUSED},
        "attention first, two taps": {"n_head_kv": (2, 0), "taps": 2, "head_dim": 24},
    },
    "lfm2moe": {
        "odd sizes": {**ODD, "n_layer": 3, "tied": True, "experts": {"n": 5, "n_ff": 35, "fused": True}},
        "all experts, no bias of choice": {"n_layer": 3, "experts": {"n_dense": 0, "choice_bias": False}},
    },
    "qwen35": {
        "odd sizes": {**ODD_DELTA, "n_layer": 3, "tied": True},
        "delta nets side by side, fused": {
            "n_layer": 4, "recurrent": (True, True, False, True), "delta_heads": (1, 2), "delta_dims": (48, 80),
            "taps": 4, "fused": FUSED,
        },
        "attention first": {"recurrent": (False, True), "head_dim": 24, "delta_heads": (4, 4)},
    },
    "qwen35moe": {"odd sizes": {**ODD_DELTA, "n_layer": 3, "experts": {"n": 5, "n_ff": 35, "fused": True}}},
    "qwen3next": {"odd sizes": {**ODD_DELTA, "n_layer": 3, "tied": True, "experts": {"n": 5, "n_ff": 35}}},
    "mamba": {
        "odd sizes, tied": {
            **ODD, "taps": 4, "ssm_inner": 87, "ssm_heads": 7, "ssm_state": 13, "ssm_normed": True, "tied": True,
        },
        "steps of one number": {"n_embd": 32, "ssm_heads": 1, "ssm_state": 1, "taps": 2},
        "normed": {"ssm_heads": 32, "ssm_normed": True},
    },
    "mamba2": {
        "odd sizes, tied": {
            **ODD, "taps": 4, "ssm_inner": 84, "ssm_heads": 12, "ssm_groups": 3, "ssm_state": 13, "tied": True,
        },
        "wide heads": {"ssm_heads": 2, "ssm_groups": 2, "ssm_state": 40, "taps": 2},
        "one head": {"n_embd": 32, "ssm_heads": 1, "ssm_inner": 96, "ssm_state": 1},
    },
    "falcon-h1": {
        "odd sizes": {**ODD, **ODD_SSM, "tied": True, "ssm_norm": False},
        "biases, fused": {**ALL, "fused": FUSED, "ssm_heads": 2},
    },
    "granitehybrid": {
        "odd sizes": {**ODD, **ODD_SSM, "n_layer": 3, "n_head_kv": (0, 1, 0), "tied": True},
        "experts, no RoPE, biases": {
            "biases": True, "experts": {"n": 6, "n_used": 2, "shared": True, "shared_width": 32, "says_shared": True},
            "kv": (("granitehybrid.rope.scaling.finetuned", "bool", False),),
        },
    },
    "nemotron_h": {
        "odd sizes": {**ODD, **ODD_SSM, "n_layer": 4, "n_head_kv": (1, 0, 0, 0), "n_ff": (0, 77, 0, 35), "tied": True},
        "feed-forward first and last, biases": {
            **ALL, "n_layer": 5, "n_head_kv": (0, 0, 2, 0, 0), "n_ff": (96, 0, 0, 64, 32), "ssm_heads": 2,
            "head_dim": 24,
        },
    },
    "rwkv7": {
        "odd sizes, tied": {**ODD, "head_size": 12, "ranks": (7, 1, 33, 70), "n_layer": 3, "tied": True},
        "wide heads": {"n_embd": 128, "head_size": 64, "ranks": (32, 8, 12, 64)},
        "one head, coded low ranks": {
            "head_size": 64, "ranks": (32, 64, 96, 32),
            "formats": dict.fromkeys(tiny_rwkv.LOW, "Q8_0") | {"time_mix_value": "F16", "time_mix_output": "F32"},
        },
        "heads of one channel": {"n_embd": 32, "head_size": 1, "n_layer": 2},
    },
    "arwkv7": {
        "odd sizes, no gate": {**ODD, "head_size": 20, "ranks": (7, 3, 9, 0), "n_layer": 3},
        "no norm of heads, fused": {"time_norm": False, "fused": FUSED, "tied": True},
    },
    "olmo": {"odd sizes, tied": {**ODD, "tied": True}, "clamped, fused": {"clamp": 1.5, "fused": FUSED}},
}  # fmt: skip
_ANY: dict[str, Fields] = {
    "F32": {"format": "F32"},
    "fused": {"fused": FUSED},
    "yarn": {"rope": "yarn", "n_rot": 8, "tied": True},
}


def of(arch: str) -> dict[str, Fields]:
    """Return the cases of an architecture by name."""
    plain: Fields = {"format": "Q4_0", "n_layer": 4} if arch == "smollm3" else {"format": "Q4_0"}
    cases = {"Q4_0": plain, **_MORE.get(arch, _ANY)}
    return {f"{arch}, {name}": {"arch": arch, **fields} for name, fields in cases.items()}


CASES: dict[str, Fields] = {name: fields for arch in DECODERS for name, fields in of(arch).items()}
OF_ENCODERS: dict[str, Fields] = {name: fields for arch in ENCODERS for name, fields in of(arch).items()}
WINDOWED = ("gpt-oss, Q4_0", "llama4, Q4_0", "gemma2, Q4_0", "gemma3, odd sizes", "olmo2, windows, yarn")


def pairs(archs: Iterable[str], first: str = "llama") -> list[tuple[str, str]]:
    """Return all formats with the first architecture, and three formats with each, of which many have every format."""
    formats = list(tiny.COMPUTED)
    found = [(first, format_) for format_ in formats]
    for i, arch in enumerate(archs):
        found += [(arch, formats[(i + step) % len(formats)]) for step in (0, 9, 17)]
    return list(dict.fromkeys(found))
