"""Which models llama.cpp computes for golden logits: cases of cases.py, with what its loader asks for beside them."""

from __future__ import annotations

from archs import Arch
from golden import cases
from golden.cases import Fields, Golden

# A name with "phi3" in it must have Phi-3's vocabulary.
PHI3: Fields = {"kv": [["general.name", "string", "tiny"]], "fused": ["attn_qkv", "gate_up"]}
CAPPED: Fields = {"final_cap": 30.0}  # what llama.cpp takes where the file doesn't say it
LONG: Fields = {"window": 8192, "n_ctx": 16384, "window_pattern": 4, "n_layer": 4, "heat": 0.1, "heat_span": 8192}
SAME_EPS: Fields = {"eps": 1e-6, "embd_std": 0.5}
NORM_EPS: Fields = {"kv": [["nemotron_h.attention.layer_norm_epsilon", "f32", 1e-5]]}
NO_GATE_BIAS: Fields = {"without": [f"blk.{il}.ffn_gate.bias" for il in range(2)]}
MODERN: Fields = {"fused": ["attn_qkv", "gate_up"]}
V3: Fields = {**cases.V3, "n_ff": 40}
# Of an architecture: case of cases.py -> fields that are added. "plain", where an architecture is not here.
OF: dict[str, dict[str, Fields]] = {
    "llama": {"plain": {}, "biases": {}, "experts": {}},
    "phi3": {"no window": PHI3, "longrope, past its original context": {**PHI3, "window": 0}, "plain": PHI3},
    "olmo2": {"plain": {}, "windows, yarn": {}},
    "minicpm": {"plain": {}, "default scales": {}},
    "exaone4": {"no window": {}, "plain": {}},
    "phimoe": {"plain": {}, "many experts": {"experts": {"n": 32, "gating": 1}}},
    "mistral3": {"plain": {}, "half of YaRN's scale": {}},
    "hunyuan-dense": {"plain": {}, "alpha": {}},
    "gpt-oss": {
        "plain": {"experts": {"says_width": True}}, "yarn": {"experts": {"says_width": True}},
        "all heads, tied": {"experts": {"n": 20, "n_used": 4, "says_width": True}, "tied": False},
    },
    "gemma4": {
        "plain": {}, "values are keys": CAPPED, "shared keys, wide": CAPPED, "embeddings of layers": CAPPED,
        "experts": CAPPED, "many experts": {}, "experts, embeddings of layers, odd sizes": CAPPED,
    },
    # Without q_lora_rank llama.cpp runs models of 27 layers only: V2-Lite.
    "deepseek2": {
        "a router of sigmoids": {}, "groups of experts": {}, "yarn": {"n_layer": 3, "experts": V3},
        "experts": {"n_layer": 27, "n_embd": 32, "n_head": 2, "kv_rank": 32, "head_dim": 24, "n_rot": 8, "v_dim": 16},
    },
    "qwen2moe": {"plain": {}, "many experts": {}},
    "qwen3moe": {"plain": {}, "many experts": {}, "yarn": {}},
    "olmoe": {"plain": {}, "many experts": {}},
    "granitemoe": {"plain": {}, "a shared expert": {}},
    "glm4moe": {"plain": {}, "groups, normed queries and keys": {}, "weights as they are": {}},
    "ernie4_5-moe": {"plain": {}, "many experts": {}},
    "hunyuan-moe": {"plain": {}, "many experts": {}},
    "dots1": {"plain": {"experts": {"gating": 2}}, "groups": {"experts": {**cases.GROUPED, "gating": 2}}},
    "bailingmoe": {"plain": {}, "many experts": {}},
    "minimax-m2": {"plain": {}, "many experts": {}},
    "mamba": {"plain": {}, "odd sizes": {}, "normed": {}, "2,000 tokens": {}},
    "falcon-h1": {"plain": {}, "odd sizes, normed": {}, "2,000 tokens": {"seed": 9504}},
    "granitehybrid": {"plain": {}, "RoPE, tied": {}, "experts": {}, "2,000 tokens": {}},
    "nemotron_h": {"epsilon of LayerNorms, tied": {}, "2,000 tokens": NORM_EPS},
    "mamba2": {"plain": {}, "odd sizes, three groups": {}, "wide heads": {}, "2,000 tokens": {}},
    # Heads of fewer channels make its kernel write past their end.
    "rwkv7": {"plain": {"head_size": 64}, "wide heads": {}, "2,000 tokens": {}},
    "arwkv7": {"plain": {}, "no gate": {}, "no norm of heads": {}, "2,000 tokens": {}},
    "lfm2": {"plain": {}, "odd sizes": {}, "attention first and last": {}, "2,000 tokens": {}},
    "lfm2moe": {"plain": {}, "many experts, tied": {}, "2,000 tokens": {}},
    # Of all lengths, llama.cpp adds the norms' epsilon; values are as long as keys.
    "qwen35": {"plain": SAME_EPS, "odd sizes": {**SAME_EPS, "delta_dims": (12, 12)}, "2,000 tokens": SAME_EPS},
    "qwen35moe": {"plain": SAME_EPS, "many experts, tied": SAME_EPS, "2,000 tokens": SAME_EPS},
    "qwen3next": {"plain": SAME_EPS, "odd sizes": {**SAME_EPS, "delta_dims": (12, 12)}, "2,000 tokens": SAME_EPS},
    "llama4": {"dense layers between": LONG, "plain": LONG},
    "bert": {"plain": {}, "odd sizes": {}},
    "nomic-bert": {"plain": {}, "odd sizes": {}},
    "jina-bert-v2": {"plain": NO_GATE_BIAS, "odd sizes": NO_GATE_BIAS},
    "modern-bert": {"plain": MODERN, "odd sizes": MODERN},
    "gemma-embedding": {"plain": {}, "odd sizes": {}},
}  # fmt: skip


def of(row: Arch) -> dict[str, Golden]:
    """Return the cases of an architecture, with all of their fields."""
    known, own = cases.of(row), OF.get(row.name, {"plain": {}})
    return {name: known[name]._replace(fields={**known[name].fields, **more}) for name, more in own.items()}
