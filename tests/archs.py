"""Every supported architecture, one row each: the twin of core_c/src/arch/archs.def, for the tests.

tiny.py writes models by these rows, reference.py computes by them, and test_archs.py holds the two tables equal. What a
file says itself (sizes, RoPE's scaling) has no column; nor has archs.def's `tune`, which is C.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """What the files of one architecture take for granted."""

    name: str  # of general.architecture
    rope: str  # NORM: pairs (2i, 2i + 1); NEOX: pairs (i, i + n_rot / 2); NONE: nothing is rotated
    norm: str  # RMS, LAYER
    act: str  # SILU, GELU (by erf), GELU_TANH, RELU2, XIELU, CLAMPED
    mixer: str  # ATTENTION, MLA, MAMBA, MAMBA2, BOTH: attention beside Mamba-2; RWKV
    ffn: str  # GATED: act(gate) * up; PLAIN: act(up); CHANNEL: of a mix with the row before; NONE
    properties: str = "0"  # X: files must have the tensor, or it is done; MAY_X: files may have the tensor or the key

    def has(self, name: str) -> bool:
        return name in self.properties.split(" | ")

    def may(self, name: str) -> bool:
        """Say whether files must or may have it."""
        return self.has(name) or self.has(f"MAY_{name}")


ALL_BIASES = "NORM_BIAS | QKV_BIAS | OUT_BIAS | FFN_BIAS"
MAY_EXPERTS = "MAY_EXPERTS | WEIGHTS_NORMED"
ANY_BIASES = "MAY_QKV_BIAS | MAY_OUT_BIAS | MAY_FFN_BIAS"
BERT = f"NORM_BIAS | {ANY_BIASES} | EMBD_NORM | TOKEN_TYPES | STREAM_NORM | ENCODER"

# fmt: off
_ROWS = (
    #    name          rope    norm     act          mixer        ffn      properties
    Arch("llama",      "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", f"{ANY_BIASES} | {MAY_EXPERTS}"),
    Arch("qwen2",      "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QKV_BIAS | LARGE_KEYS"),
    Arch("qwen3",      "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QK_NORM | MAY_RANK"),
    Arch("gemma",      "NEOX", "RMS",   "GELU_TANH", "ATTENTION", "GATED", "EMBD_SQRT"),
    Arch("gemma2",     "NEOX", "RMS",   "GELU_TANH", "ATTENTION", "GATED", "EMBD_SQRT | POST_NORM | WINDOWS"),
    Arch("gemma3",     "NEOX", "RMS",   "GELU_TANH", "ATTENTION", "GATED", "EMBD_SQRT | POST_NORM | QK_NORM | WINDOWS"),
    Arch("phi3",       "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "WINDOWS"),
    Arch("phi2",       "NEOX", "LAYER", "GELU_TANH", "ATTENTION", "PLAIN", f"{ALL_BIASES} | HEAD_BIAS | ONE_NORM"),
    Arch("smollm3",    "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", ANY_BIASES),
    Arch("olmo2",      "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "NORM_AFTER | QK_NORM_WIDE | WINDOWS"),
    Arch("granite",    "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", ANY_BIASES),
    Arch("starcoder2", "NEOX", "LAYER", "GELU_TANH", "ATTENTION", "PLAIN", ALL_BIASES),
    Arch("gpt2",       "NONE", "LAYER", "GELU_TANH", "ATTENTION", "PLAIN", f"{ALL_BIASES} | POSITIONS"),
    Arch("gptneox",    "NEOX", "LAYER", "GELU",      "ATTENTION", "PLAIN", f"{ALL_BIASES} | MAY_PARALLEL"),
    Arch("stablelm",   "NEOX", "LAYER", "SILU",      "ATTENTION", "GATED", "NORM_BIAS | MAY_QKV_BIAS | MAY_ONE_NORM"),
    Arch("falcon",     "NEOX", "LAYER", "GELU",      "ATTENTION", "PLAIN", f"NORM_BIAS | {ANY_BIASES} | FALCON_NORMS"),
    Arch("mpt",        "NONE", "LAYER", "GELU",      "ATTENTION", "PLAIN", f"MAY_NORM_BIAS | {ANY_BIASES} | ALIBI"),
    Arch("bloom",      "NONE", "LAYER", "GELU_TANH", "ATTENTION", "PLAIN", f"{ALL_BIASES} | ALIBI | EMBD_NORM"),
    Arch("olmo",       "NORM", "LAYER", "SILU",      "ATTENTION", "GATED", "NORM_BARE"),
    Arch("internlm2",  "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", "MAY_QKV_BIAS"),
    Arch("minicpm",    "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", ANY_BIASES),
    Arch("ernie4_5",   "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", ANY_BIASES),
    Arch("seed_oss",   "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", f"{ANY_BIASES} | FFN_NORM_POST"),
    Arch("exaone4",    "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "NORM_AFTER | QK_NORM | WINDOWS"),
    Arch("hunyuan-dense", "NEOX", "RMS", "SILU",     "ATTENTION", "GATED", "MAY_QKV_BIAS | MAY_OUT_BIAS | QK_NORM"),
    Arch("mistral3",   "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", ANY_BIASES),
    Arch("deepseek2",  "NORM", "RMS",   "SILU",      "MLA",       "GATED", "MAY_EXPERTS | MAY_CHOICE_BIAS"),
    Arch("arcee",      "NORM", "RMS",   "RELU2",     "ATTENTION", "PLAIN", ANY_BIASES),
    Arch("apertus",    "NEOX", "RMS",   "XIELU",     "ATTENTION", "PLAIN", "MAY_QKV_BIAS | MAY_OUT_BIAS | QK_NORM"),
    Arch("nemotron",   "NEOX", "LAYER", "RELU2",     "ATTENTION", "PLAIN", f"NORM_BIAS | {ANY_BIASES}"),
    Arch("command-r",  "NORM", "LAYER", "SILU",      "ATTENTION", "GATED",
         "MAY_QKV_BIAS | MAY_OUT_BIAS | ONE_NORM | MAY_QK_NORM_HEADS"),
    Arch("cohere2",    "NORM", "LAYER", "SILU",      "ATTENTION", "GATED",
         "MAY_QKV_BIAS | MAY_OUT_BIAS | ONE_NORM | WINDOWS"),
    Arch("glm4",       "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", "MAY_QKV_BIAS | POST_NORM"),
    Arch("openelm",    "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QK_NORM"),
    Arch("gpt-oss",    "NEOX", "RMS",   "CLAMPED",   "ATTENTION", "GATED",
         "QKV_BIAS | OUT_BIAS | SINKS | WINDOWS | FFN_NORM_POST | EXPERTS | CHOSEN_ROUTER | ROUTER_BIAS | EXPERT_BIAS"),
    Arch("gemma4",     "NEOX", "RMS",   "GELU_TANH", "ATTENTION", "GATED",
         "EMBD_SQRT | POST_NORM | QK_NORM | WINDOWS | MAY_OUT_SCALE | PER_LAYER_EMBDS | "
         f"{MAY_EXPERTS} | DENSE_BESIDE"),
    Arch("qwen2moe",   "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QKV_BIAS | LARGE_KEYS | EXPERTS | SPLIT_EXPERTS | SHARED_GATE"),
    Arch("qwen3moe",   "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM | EXPERTS | SPLIT_EXPERTS | WEIGHTS_NORMED"),
    Arch("olmoe",      "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QK_NORM_WIDE | EXPERTS"),
    Arch("granitemoe", "NORM", "RMS",   "SILU",      "ATTENTION", "GATED",
         "MAY_QKV_BIAS | MAY_OUT_BIAS | EXPERTS | WEIGHTS_NORMED"),
    Arch("phimoe",     "NEOX", "LAYER", "SILU",      "ATTENTION", "GATED",
         "NORM_BIAS | QKV_BIAS | OUT_BIAS | HEAD_BIAS | WINDOWS | EXPERTS | WEIGHTS_NORMED | RMS_EPSILON"),
    Arch("glm4moe",    "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "MAY_QKV_BIAS | MAY_QK_NORM | FFN_NORM_POST | EXPERTS | SIGMOID_ROUTER | MAY_CHOICE_BIAS"),
    Arch("ernie4_5-moe", "NORM", "RMS", "SILU",      "ATTENTION", "GATED",
         "EXPERTS | WEIGHTS_NORMED | MAY_CHOICE_BIAS"),
    Arch("hunyuan-moe", "NEOX", "RMS",  "SILU",      "ATTENTION", "GATED", "QK_NORM | EXPERTS | WEIGHTS_NORMED"),
    Arch("dots1",      "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM | EXPERTS | SIGMOID_ROUTER | MAY_CHOICE_BIAS"),
    Arch("bailingmoe", "NORM", "RMS",   "SILU",      "ATTENTION", "GATED", "EXPERTS"),
    Arch("minimax-m2", "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM_WIDE | EXPERTS | SIGMOID_ROUTER | MAY_CHOICE_BIAS | WEIGHTS_NORMED"),
    Arch("llama4",     "NORM", "RMS",   "SILU",      "ATTENTION", "GATED",
         "MAY_QKV_BIAS | MAY_OUT_BIAS | WINDOWS | EXPERTS | SIGMOID_ROUTER | SHARED_ALIKE"),
    Arch("bert",       "NONE", "LAYER", "GELU",      "ATTENTION", "PLAIN", f"{BERT} | POSITIONS | MAY_RANK"),
    Arch("nomic-bert", "NEOX", "LAYER", "SILU",      "ATTENTION", "GATED", BERT),
    Arch("jina-bert-v2", "NONE", "LAYER", "GELU",    "ATTENTION", "GATED", f"{BERT} | ALIBI"),
    Arch("modern-bert", "NEOX", "LAYER", "GELU",     "ATTENTION", "GATED",
         "EMBD_NORM | EMBD_NORM_BARE | NO_FIRST_NORM | WINDOWS | ENCODER"),
    Arch("gemma-embedding", "NEOX", "RMS", "GELU_TANH", "ATTENTION", "GATED",
         "EMBD_SQRT | POST_NORM | QK_NORM | WINDOWS | ENCODER"),
    Arch("lfm2",       "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QK_NORM | SHORT_CONV | OUTPUT_NORM_EMBD"),
    Arch("lfm2moe",    "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM | SHORT_CONV | OUTPUT_NORM_EMBD | EXPERTS | SIGMOID_ROUTER | WEIGHTS_NORMED | MAY_CHOICE_BIAS"),
    Arch("qwen35",     "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED", "QK_NORM | FFN_NORM_POST | DELTA_NET"),
    Arch("qwen35moe",  "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM | FFN_NORM_POST | DELTA_NET | EXPERTS | SPLIT_EXPERTS | SHARED_GATE | WEIGHTS_NORMED"),
    Arch("qwen3next",  "NEOX", "RMS",   "SILU",      "ATTENTION", "GATED",
         "QK_NORM | FFN_NORM_POST | DELTA_NET | EXPERTS | SPLIT_EXPERTS | SHARED_GATE | WEIGHTS_NORMED"),
    Arch("mamba",      "NONE", "RMS",   "SILU",      "MAMBA",     "NONE",  "MAMBA | CONV_BIAS | ONE_HALF"),
    Arch("mamba2",     "NONE", "RMS",   "SILU",      "MAMBA2",    "NONE",  "MAMBA | CONV_BIAS | GROUP_NORM | ONE_HALF"),
    Arch("falcon-h1",  "NEOX", "RMS",   "SILU",      "BOTH",      "GATED",
         f"MAMBA | MAY_CONV_BIAS | MAY_GROUP_NORM | {ANY_BIASES} | FFN_NORM_STEM"),
    Arch("granitehybrid", "NORM", "RMS", "SILU",     "ATTENTION", "GATED",
         f"MAMBA | MAY_CONV_BIAS | GROUP_NORM | {ANY_BIASES} | {MAY_EXPERTS}"),
    Arch("nemotron_h", "NONE", "RMS",   "RELU2",     "ATTENTION", "PLAIN",
         f"MAMBA | MAY_CONV_BIAS | GROUP_NORM | {ANY_BIASES} | ONE_HALF | LAYER_EPSILON"),
    Arch("mpnet",      "NONE", "LAYER", "GELU",      "ATTENTION", "PLAIN",
         f"{BERT} | POSITIONS | REL_BIAS".replace(" | TOKEN_TYPES", "")),
    Arch("rwkv7",      "NONE", "LAYER", "RELU2",     "RWKV",      "CHANNEL", "NORM_BIAS | EMBD_NORM | TIME_NORM"),
    Arch("arwkv7",     "NONE", "RMS",   "SILU",      "RWKV",      "GATED", "MAY_TIME_NORM"),
)
# fmt: on
ARCHS = {row.name: row for row in _ROWS}
DECODERS = {name: row for name, row in ARCHS.items() if not row.has("ENCODER")}
ENCODERS = {name: row for name, row in ARCHS.items() if row.has("ENCODER")}
