"""The whole model in readable numpy: what the C core computes, stated a second time.

    GGUF bytes -> metadata and tensors (gguf_file.py) -> operations (reference_math.py, _rope.py, _attention.py)
        -> Reference.layer -> Reference.logits

Integer sums are exact, and float operations happen in the order that docs/bits.md gives, so logits are the core's to
the bit. Only RoPE's angles, ALiBi's slopes and a Q8_0 cache's logarithms go through Python's and numpy's own functions,
in float64, and are rounded once. That this arithmetic is the model's is shown by golden/, where transformers' logits
are.

Written from docs/bits.md and the formats' public descriptions, not from the C. Shapes: n tokens, n_in and rows
of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from archs import ARCHS
from gguf_file import F32, Tensor, Value, dequantise, read_gguf
from reference_attention import ATTENTION, Scores, alibi_slopes, attend, attend_q8, rel_biases
from reference_experts import Mixture, mixed
from reference_fused import unfused
from reference_math import (
    Cap,
    Clamped,
    Xielu,
    capped,
    exp,
    exp2,
    gated,
    gelu,
    gelu_tanh,
    layernorm,
    matmul,
    quantise,
    relu2,
    rmsnorm,
    sigmoid,
    silu,
    swiglu,
)
from reference_recurrent import Delta, Mamba, Rule, delta_net, delta_rule, mamba, mamba2, short_conv
from reference_rope import Rope, rope, rope_table
from reference_rwkv import TimeMix, channel_mix, time_mix

__all__ = [
    "Cap",
    "Reference",
    "Rope",
    "Scores",
    "Steps",
    "alibi_slopes",
    "attend",
    "attend_q8",
    "capped",
    "exp",
    "exp2",
    "gelu",
    "gelu_tanh",
    "layernorm",
    "matmul",
    "quantise",
    "rmsnorm",
    "rope",
    "rope_table",
    "silu",
    "swiglu",
    "unfused",
]

ACTIVATIONS: dict[str, Callable[[F32], F32]] = {
    "SILU": silu, "GELU": gelu, "GELU_TANH": gelu_tanh, "RELU2": relu2, "CLAMPED": Clamped(),
}  # fmt: skip
OWN_ROPE = ("gemma3", "gemma4", "olmo2", "modern-bert", "gemma-embedding")  # of layers with a window
# Every n-th layer has no window, where the file says nothing.
PATTERNS = {"gemma2": 2, "gpt-oss": 2, "gemma3": 6, "gemma4": 6, "olmo2": 4, "exaone4": 4, "cohere2": 4, "llama4": 4,
            "modern-bert": 3, "gemma-embedding": 6}   # fmt: skip
SOFT_CAPS = {"gemma2": (50.0, 30.0)}
WINDOWS_ROTATE = ("exaone4", "cohere2", "llama4")  # where layers have windows, the others have no RoPE
LAYERS_WITH_EXPERTS = {"leading_dense_block_count": 0, "interleave_moe_layer_step": 1}
ROUTES = {1: "SOFTMAX", 2: "SIGMOID", 3: "CHOSEN"}
LOGITS_DIVIDED = ("granite", "granitemoe", "granitehybrid", "minicpm")
HUNYUAN = ("hunyuan-dense", "hunyuan-moe")
DEEPEST = {"gemma2": 46, "gemma3": 62}  # their scores are divided by sqrt(n_embd / n_head)


class Steps(NamedTuple):
    """What a layer makes of x, in order; all but `out` is quantised for the product that reads it."""

    attn_in: F32  # [n][n_embd], after attn_norm
    attn_out: F32  # [n][n_head * v_dim], before attn_output; of a short convolution [n][n_embd], before its out_proj
    ffn_in: F32  # [n][n_embd], after ffn_norm
    out: F32  # [n][n_embd], the residual stream after the layer


class Reference:
    """A model of a GGUF file. n_ctx chooses between longrope's two tables; default: min(the file's, 4096).

    kv_type: what keys and values are rounded to, "f32" (not at all), "f16" or "q8_0".
    """

    def __init__(self, data: bytes, *, n_ctx: int | None = None, kv_type: str = "f16") -> None:
        self.attend = ATTENTION[kv_type]
        self.metadata, tensors = read_gguf(data)
        self.arch = str(self.metadata["general.architecture"])
        if self.arch not in ARCHS:
            raise ValueError(f"architecture {self.arch!r} is not described here")
        self.row = ARCHS[self.arch]
        stems = (name for name in list(tensors) if name.endswith(".ffn_norm"))   # falcon-h1 has no more of the name
        self.tensors = unfused(tensors | {f"{name}.weight": tensors[name] for name in stems}, self.row)
        self.n_layer = int(self._number("block_count") - self._number("nextn_predict_layers", 0))
        self.acts = [self._act(il) for il in range(self.n_layer)]
        self.n_embd = int(self._number("embedding_length"))
        self.n_head = self._numbers("attention.head_count", [0] * self.n_layer)
        self.n_head_kv = self._numbers("attention.head_count_kv", self.n_head)
        self.is_latent = self.row.mixer == "MLA"
        by_width = self.n_embd // max(self.n_head[0], 1)
        self.k_dim = int(self._number("attention.key_length", by_width))
        self.v_dim = int(self._number("attention.value_length", by_width))
        if self.is_latent:
            self.v_dim = int(self._number("attention.kv_lora_rank"))
            self.k_dim = self.v_dim + int(self._number("rope.dimension_count"))
        is_rms = self.row.norm == "RMS" or self.row.has("RMS_EPSILON")
        other = self._value("attention.layer_norm_epsilon") if self.row.has("LAYER_EPSILON") else None
        absent = float(other) if isinstance(other, float) else None
        self.eps = self._number(f"attention.layer_norm_{'rms_' if is_rms else ''}epsilon", absent)
        self.n_ctx = n_ctx or min(int(self._number("context_length")), 4096)
        self.ropes = [self._rope(il) for il in range(self.n_layer)]
        self.scores = [self._scores(il) for il in range(self.n_layer)]
        self.norms_values = self.arch == "gemma4"
        self.n_per_layer = int(self._number("embedding_length_per_layer_input", 0))
        self.types: list[int] = []  # of the positions of a text; empty: all are 0
        self.own: F32 | None = None  # embeddings that layers have for themselves: [n][n_layer][n_per_layer]
        self.head_eps = 64e-5  # of RWKV-7's norms of heads
        self.first: F32 | None = None  # of RWKV-7: what layer 0 has as values, [n][n_embd]
        self.made: dict[int, tuple[F32, F32]] = {}  # keys and values of layers, for those that share them
        self.late_norm = self.arch in HUNYUAN  # q and k are normed after RoPE
        # The same without weights, in layers with RoPE.
        self.bare_norms = self.arch == "llama4" and self._number("expert_count") != 128
        self.clamp = self._number("attention.clamp_kqv", 0.0)
        self.rule: Rule = delta_rule
        self.gated_heads = self.row.has("DELTA_NET")
        self.grouped_values = self.arch == "qwen3next"  # of gated delta nets: those that share a key are adjacent
        self.mixtures = [self._mixture(il) for il in range(self.n_layer)]
        self.parallel = [self._is_parallel(il) for il in range(self.n_layer)]
        embd, residual, logit = self._default_scales()
        self.embd_scale = self._number("embedding_scale", embd)
        self.residual_scale = self._number("residual_scale", residual)
        logit_scale = self._number("logit_scale", logit)
        self.logit_scale = 1 / logit_scale if self.arch in LOGITS_DIVIDED else logit_scale
        self.final_cap = self._number("final_logit_softcapping", SOFT_CAPS.get(self.arch, (0.0, 0.0))[1])

    def _default_scales(self) -> tuple[float, float, float]:
        """Return the scales of embeddings, residuals and logits of files that don't say them."""
        if self.arch == "minicpm":
            return 12.0, 1.4 / math.sqrt(self.n_layer), self.n_embd / 256
        return math.sqrt(self.n_embd) if self.row.has("EMBD_SQRT") else 1.0, 1.0, 1.0

    # ---- What the file says ------------------------------------------------------------------------------------------

    def _value(self, key: str) -> Value | None:
        return self.metadata.get(f"{self.arch}.{key}")

    def _number(self, key: str, default: float | None = None) -> float:
        value = self.metadata.get(f"{self.arch}.{key}", default)
        if not isinstance(value, float | int):
            raise ValueError(f"{self.arch}.{key} is {value!r}: a number is needed")
        return value

    def _numbers(self, key: str, default: list[int] | None = None) -> list[int]:
        """Return an integer for each layer: the file has one for all, or an array."""
        value = self.metadata.get(f"{self.arch}.{key}", default)
        if not isinstance(value, list):
            return [int(self._number(key))] * self.n_layer
        return [int(one) for one in value if isinstance(one, int)]

    def slides(self, il: int) -> bool:
        """Say whether layer il is one of those that have a window."""
        if not self.row.has("WINDOWS") or not self._window():
            return False
        pattern = self._value("attention.sliding_window_pattern")
        if isinstance(pattern, list):
            return bool(pattern[il])
        period = int(self._number("attention.sliding_window_pattern", PATTERNS.get(self.arch, 0)))
        place = il if self.arch == "modern-bert" else il + 1
        return not period or place % period != 0

    def kv_of(self, il: int) -> int:
        """Return the layer whose keys and values layer il reads: the last of its kind that makes its own."""
        own = self.n_layer - int(self._number("attention.shared_kv_layers", 0))
        if il < own:
            return il
        return max(other for other in range(own) if self.slides(other) == self.slides(il))

    def _window(self) -> int:
        is_silent = self.arch == "gemma2" or (self.arch == "exaone4" and self.n_layer == 64)
        absent = 8192 if self.arch == "llama4" else 4096 if is_silent else 0
        return int(self._number("attention.sliding_window", absent))

    def _scores(self, il: int) -> Scores:
        scale = None
        if self.n_layer == DEEPEST.get(self.arch):
            scale = 1 / math.sqrt(self.n_embd / self.n_head[il])
        if self.is_latent:
            factor = self._number("rope.scaling.factor", 1.0)
            is_yarn = self._value("rope.scaling.type") == "yarn"
            all_ = self._number("rope.scaling.yarn_log_multiplier", 0.0)
            by = 1 + all_ * math.log(factor) if is_yarn and factor > 1 else 1.0
            scale = by * by / math.sqrt(self._number("attention.key_length_mla"))
        if self.arch == "gemma4":
            scale = 1.0
        if self._value("attention.scale") is not None:
            scale = self._number("attention.scale")
        window = self._window() if self.slides(il) else 0
        sinks = self.tensors[f"blk.{il}.attn_sinks.weight"].floats() if self.row.has("SINKS") else None
        has_alibi = self.row.has("ALIBI")
        max_bias = self._number("attention.max_alibi_bias", None if self.arch == "mpt" else 8.0) if has_alibi else 0.0
        return Scores(
            scale=scale,
            cap=self._number("attn_logit_softcapping", SOFT_CAPS.get(self.arch, (0.0, 0.0))[0]),
            sinks=None if sinks is None else tuple(float(sink) for sink in sinks),
            slopes=alibi_slopes(self.n_head[il], max_bias) if max_bias > 0 else None,
            biases=rel_biases(self.tensors),
            window=0 if self.row.has("ENCODER") or window >= self._number("context_length") else window,
            reach=window // 2 if self.row.has("ENCODER") and window else None,
            chunked=self.arch == "llama4",
            whole=self.row.has("ENCODER"),
            **self._heat(il),
        )

    def _heat(self, il: int) -> dict[str, Any]:
        """Return the fields of Scores for the temperature of attention."""
        if self.arch == "llama4" and self._rope(il) is None:
            heat = self._number("attention.temperature_scale", float(np.float32(0.1)))
            return {"heat": heat, "heat_span": int(self._number("attention.temperature_length", 8192)), "heat_ahead": 1}
        heat = self._number("attention.temperature_scale", 0.0) if self.arch == "mistral3" else 0.0
        return {"heat": heat, "heat_span": self._n_ctx_orig()}

    def _n_ctx_orig(self) -> int:
        return int(self._number("rope.scaling.original_context_length", self._number("context_length")))

    def _stretched(self, base: float) -> float:
        """Return the base of RoPE for a file's alpha, where it has one."""
        alpha = self._number("rope.scaling.alpha", 0.0) if self.arch in HUNYUAN else 0.0
        return base * alpha ** (self.k_dim / (self.k_dim - 2)) if alpha else base

    def _log_multiplier(self) -> float:
        """Return what YaRN's scale of cos and sin is divided by: deepseek2 has it in the scores instead."""
        said = self._number("rope.scaling.yarn_log_multiplier", 0.0)
        if self.arch == "deepseek2":
            return 1.0 if said else 0.0
        return said if self.arch == "mistral3" else 0.0

    def _rope(self, il: int) -> Rope | None:
        if self.row.rope == "NONE" or (self.arch == "smollm3" and (il + 1) % 4 == 0):
            return None
        if self._value("rope.scaling.finetuned") is False:
            return None
        if self.arch in WINDOWS_ROTATE and self._window() and not self.slides(il):
            return None
        n_ctx_orig = self._n_ctx_orig()
        factors = self.tensors.get("rope_freqs.weight")
        if factors is None:
            length = "long" if self.n_ctx > n_ctx_orig else "short"
            factors = self.tensors.get(f"rope_factors_{length}.weight")
        full = Rope(
            n_rot=int(self._number("rope.dimension_count", self.k_dim)),
            base=self._stretched(self._number("rope.freq_base", 10000.0)),
            neox=self.row.rope == "NEOX",
            kind=str(self.metadata.get(f"{self.arch}.rope.scaling.type", "linear")),
            factor=self._number("rope.scaling.factor", self._number("rope.scale_linear", 1.0)) or 1.0,
            n_ctx_orig=n_ctx_orig,
            attn_factor=self._number("rope.scaling.attn_factor", 1.0),
            log_multiplier=self._log_multiplier(),
            whole_bounds=self.arch != "gpt-oss",
            beta_fast=self._number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=self._number("rope.scaling.yarn_beta_slow", 1.0),
            freq_factors=None if factors is None else factors.floats(),
        )
        if self.arch not in OWN_ROPE or not self.slides(il):
            return full
        base = self._number("rope.freq_base_swa", full.base if self.arch == "olmo2" else 10000.0)
        n_rot = full.n_rot
        if self.arch == "gemma4":
            n_rot = int(self._number("rope.dimension_count_swa", self._number("attention.key_length_swa")))
        return Rope(n_rot=n_rot, base=base, neox=full.neox)  # windows need no scaling

    def _default_gating(self) -> int:
        return 2 if self.row.has("SIGMOID_ROUTER") else 3 if self.row.has("CHOSEN_ROUTER") else 1

    def _mixture(self, il: int) -> Mixture | None:
        n = int(self._number("expert_count", None if self.row.has("EXPERTS") else 0))
        lead, step = (int(self._number(key, absent)) for key, absent in LAYERS_WITH_EXPERTS.items())
        if not n or il < lead or (il + 1) % step:
            return None
        gating = int(self._number("expert_gating_func", self._default_gating()))
        is_mixer = self.arch == "phimoe" and self._value("expert_gating_func") is None
        n_groups = int(self._number("expert_group_count", 1))
        return Mixture(
            n=n, n_used=int(self._number("expert_used_count")), n_groups=n_groups,
            n_groups_used=int(self._number("expert_group_used_count", n_groups)),
            route="MIXER" if is_mixer else ROUTES[gating],
            normed=not is_mixer and bool(self._number("expert_weights_norm", self.row.has("WEIGHTS_NORMED"))),
            scale=self._number("expert_weights_scale", 1.0), before=self.arch == "llama4",
            router_scale=1 / math.sqrt(self.n_embd) if self.row.has("DENSE_BESIDE") else 1.0,
        )  # fmt: skip

    def _act(self, il: int) -> Callable[[F32], F32]:
        if self._value("hidden_activation") == "silu":
            return ACTIVATIONS["SILU"]
        if self.row.act != "XIELU":
            return ACTIVATIONS[self.row.act]
        numbers = [self.metadata[f"xielu.{name}"] for name in ("alpha_p", "alpha_n", "beta", "eps")]
        own = [one[il] if isinstance(one, list) else one for one in numbers]
        return Xielu.of(*(float(one) for one in own if isinstance(one, float)))

    def _is_parallel(self, il: int) -> bool:
        """Say whether both halves of a layer read the same x."""
        if self.row.has("MAY_PARALLEL"):
            return bool(self._number("use_parallel_residual"))
        has_none = self.row.has("MAY_ONE_NORM") and f"blk.{il}.ffn_norm.weight" not in self.tensors
        return has_none or self.row.has("ONE_NORM") or self.row.has("FALCON_NORMS")

    # ---- What it computes --------------------------------------------------------------------------------------------

    def _linear(self, name: str, x: F32) -> F32:
        """Multiply by a matrix, add its bias. A bias that the architecture has, and the file doesn't, is an error."""
        out = matmul(self.tensors[f"{name}.weight"], x)
        kind = {"attn_q": "QKV", "attn_k": "QKV", "attn_v": "QKV", "attn_output": "OUT", "output": "HEAD"}
        required = self.row.has(f"{kind.get(name.rpartition('.')[2], 'FFN')}_BIAS")
        bias = self.tensors[f"{name}.bias"] if required else self.tensors.get(f"{name}.bias")
        return out if bias is None else out + bias.floats()

    def norm(self, name: str, x: F32) -> F32:
        """Return the norm of x by the weights of "output_norm", "blk.0.attn_norm" or the like."""
        if name == "output_norm" and self.row.has("OUTPUT_NORM_EMBD"):
            name = "token_embd_norm"
        if self.row.norm == "RMS":
            return rmsnorm(x, self.tensors[f"{name}.weight"].floats(), self.eps)
        required = self.row.has("NORM_BIAS")
        weight = None if self.row.has("NORM_BARE") else self.tensors[f"{name}.weight"]
        bias = self.tensors[f"{name}.bias"] if required else self.tensors.get(f"{name}.bias")
        w, b = (None if one is None else one.floats() for one in (weight, bias))
        return layernorm(x, w, b, self.eps)

    def _heads(self, il: int, name: str, x: F32) -> F32:
        """Return attn_q, attn_k or attn_v of x, clamped, normed and rotated: [n][heads][k_dim or v_dim]."""
        is_k_v = self.arch == "gemma4" and name == "attn_v" and f"blk.{il}.attn_v.weight" not in self.tensors
        out = self._linear(f"blk.{il}.{'attn_k' if is_k_v else name}", x)
        if self.clamp:
            out = np.clip(out, np.float32(-self.clamp), np.float32(self.clamp))
        heads = out.reshape(len(x), (self.n_head if name == "attn_q" else self.n_head_kv)[il], -1)
        if name == "attn_q" and self.row.has("DELTA_NET"):
            heads = heads[..., : self.k_dim]   # the rest: see _gates
        if name == "attn_v":
            return rmsnorm(heads, np.ones(heads.shape[-1], np.float32), self.eps) if self.norms_values else heads
        own = self.row.has("MAY_QK_NORM_HEADS") or self.row.has("MAY_QK_NORM")
        own = own and f"blk.{il}.{name}_norm.weight" in self.tensors
        if own or (self.row.has("QK_NORM") and not self.late_norm):
            heads = self.norm(f"blk.{il}.{name}_norm", heads)
        if self.row.has("QK_NORM_WIDE"):
            heads = self.norm(f"blk.{il}.{name}_norm", out).reshape(heads.shape)
        spec = self.ropes[il]
        heads = heads if spec is None else rope(spec, heads, range(len(x)))
        if self.bare_norms and spec is not None:
            heads = rmsnorm(heads, np.ones(heads.shape[-1], np.float32), self.eps)
        return self.norm(f"blk.{il}.{name}_norm", heads) if self.late_norm else heads

    def _gates(self, il: int, x: F32) -> F32:
        """Return what multiplies heads after attention: [n][n_head][v_dim]."""
        return sigmoid(self._linear(f"blk.{il}.attn_q", x).reshape(len(x), self.n_head[il], -1)[..., self.k_dim :])

    def has_delta(self, il: int) -> bool:
        """Say whether layer il has a gated delta net in the place of attention."""
        said = self._value("attention.recurrent_layers")
        if isinstance(said, list):
            return bool(said[il])
        return self.row.has("DELTA_NET") and (il + 1) % int(self._number("full_attention_interval", 4)) != 0

    def _delta(self, il: int, x: F32) -> F32:
        n_k, n_v, k_dim, inner = (
            int(self._number(f"ssm.{key}")) for key in ("group_count", "time_step_rank", "state_size", "inner_size")
        )
        d = Delta(n_k, n_v, k_dim, inner // n_v, self.grouped_values, self.eps)
        return delta_net(d, self.tensors, f"blk.{il}", x, self.rule)

    def _latent(self, il: int, x: F32) -> tuple[F32, F32, F32]:
        """Return queries, keys and values of latent attention: one KV head, whose value is the latent."""
        blk = f"blk.{il}."
        if f"{blk}attn_q.weight" in self.tensors:
            q = self._linear(f"{blk}attn_q", x)
        else:
            q = self._linear(f"{blk}attn_q_b", self.norm(f"{blk}attn_q_a_norm", self._linear(f"{blk}attn_q_a", x)))
        q = q.reshape(len(x), self.n_head[il], -1)
        spec = self.ropes[il]
        assert spec is not None
        both = self._linear(f"{blk}attn_kv_a_mqa", x)[:, None]
        latent = self.norm(f"{blk}attn_kv_a_norm", both[..., : self.v_dim])
        k = np.concatenate([latent, rope(spec, both[..., self.v_dim :], range(len(x)))], axis=-1)
        split = q.shape[-1] - spec.n_rot
        absorbed = self._by_head(f"{blk}attn_k_b", q[..., :split])
        rotated = rope(spec, np.ascontiguousarray(q[..., split:]), range(len(x)))
        return np.concatenate([absorbed, rotated], axis=-1), k, latent

    def _by_head(self, name: str, x: F32) -> F32:
        """Multiply each head of x[n][n_head][..] by its own matrix."""
        tensor = self.tensors[f"{name}.weight"]
        n_head, rows, n_in = tensor.shape
        mats = tensor.data.reshape(n_head, rows, -1)
        parts = [matmul(Tensor(tensor.type, (rows, n_in), mats[h]), x[:, h]) for h in range(n_head)]
        return np.stack(parts, axis=1)

    def _norms(self, il: int) -> tuple[str, str]:
        """Return the names of the norms that attention and feed-forward read x by; "": they read x itself."""
        if self.row.mixer == "RWKV":
            return "attn_norm", "attn_norm_2"
        if self.row.has("NORM_AFTER") or self.row.has("STREAM_NORM"):
            return "", ""
        if self.row.has("FFN_NORM_POST"):
            return "attn_norm", "post_attention_norm"
        has_second = f"blk.{il}.attn_norm_2.weight" in self.tensors
        has_own = f"blk.{il}.ffn_norm.weight" in self.tensors
        return "attn_norm_2" if has_second else "attn_norm", "ffn_norm" if has_own else "attn_norm"

    def _read(self, il: int, name: str, x: F32) -> F32:
        is_bare = il == 0 and name == "attn_norm" and self.row.has("NO_FIRST_NORM")
        return self.norm(f"blk.{il}.{name}", x) if name and not is_bare else x

    def _added(self, il: int, x: F32, norm: str, y: F32) -> F32:
        """Add what a half makes to the residual stream; `norm` is applied where the architecture has it."""
        if self.row.has("POST_NORM") or self.row.has("NORM_AFTER"):
            y = self.norm(f"blk.{il}.{norm}", y)
        return x + (y if self.residual_scale == 1 else y * np.float32(self.residual_scale))

    def _stream(self, name: str, x: F32) -> F32:
        """Norm the residual stream itself, where the architecture does."""
        return self.norm(name, x) if self.row.has("STREAM_NORM") else x

    def steps(self, il: int, x: F32) -> Steps:
        """Return what layer il makes of x[n][n_embd] at positions 0..n-1."""
        blk, (attn_norm, ffn_norm) = f"blk.{il}.", self._norms(il)
        if il == 0:
            x = self._placed(x)
        attn_in = self._read(il, attn_norm, x)
        if self.row.has("ONE_HALF") and f"{blk}ffn_up.weight" in self.tensors:
            return Steps(attn_in, attn_in, attn_in, self._added(il, x, "", self._dense(il, attn_in)))
        mixer_out = "attn_output"
        if self.row.mixer == "RWKV":
            return self._rwkv(il, x, attn_in)
        if self.has_delta(il):
            attn_out, mixer_out = self._delta(il, attn_in), "ssm_out"
        elif f"{blk}ssm_in.weight" in self.tensors and self.row.mixer != "BOTH":
            attn_out, mixer_out = self._mamba(il, attn_in), "ssm_out"
        elif not self.n_head_kv[il]:
            w = self.tensors[f"{blk}shortconv.conv.weight"].floats()
            attn_out = short_conv(self._linear(f"{blk}shortconv.in_proj", attn_in), w)
            mixer_out = "shortconv.out_proj"
        elif self.is_latent:
            out = self.attend(*self._latent(il, attn_in), self.scores[il])
            attn_out = self._by_head(f"{blk}attn_v_b", out).reshape(len(x), -1)
        else:
            q = self._heads(il, "attn_q", attn_in)
            if self.kv_of(il) == il:
                self.made[il] = self._heads(il, "attn_k", attn_in), self._heads(il, "attn_v", attn_in)
            k, v = self.made[self.kv_of(il)]
            out = self.attend(q, k, v, self.scores[il])
            out = out * self._gates(il, attn_in) if self.gated_heads else out
            attn_out = out.reshape(len(x), -1)
        mid = self._added(il, x, "post_attention_norm", self._linear(blk + mixer_out, attn_out))
        mid = self._stream(f"{blk}attn_output_norm", mid)
        if self.row.mixer == "BOTH":
            mid = self._added(il, mid, "", self._linear(f"{blk}ssm_out", self._mamba(il, attn_in)))
        if self.row.has("ONE_HALF"):
            return Steps(attn_in, attn_out, attn_in, mid)
        ffn_in = self._read(il, ffn_norm, x if self.parallel[il] else mid)
        out = self._added(il, mid, "post_ffw_norm", self._feed_forward(il, ffn_in, mid))
        out = self._stream(f"{blk}layer_output_norm", out)
        if self.n_per_layer:
            assert self.own is not None
            own = gated(self.acts[il], self._linear(blk + "inp_gate", out), self.own[:, il])
            out = self._added(il, out, "post_norm", self._linear(blk + "proj", own))
        scale = self.tensors.get(f"{blk}layer_output_scale.weight")
        return Steps(attn_in, attn_out, ffn_in, out if scale is None else out * scale.floats())

    def _rwkv(self, il: int, x: F32, attn_in: F32) -> Steps:
        """Return what a layer of RWKV-7 makes of x; layer 0's values are for all."""
        spec = TimeMix(self.tensors, f"blk.{il}", int(self._number("wkv.head_size")), self.head_eps)
        attn_out, self.first = time_mix(spec, attn_in, self.first if il else None)
        mid = x + spec.linear("time_mix_output", attn_out)
        ffn_in = self.norm(f"blk.{il}.{'attn_norm_2' if self.row.ffn == 'CHANNEL' else 'ffn_norm'}", mid)
        out = channel_mix(spec, self.acts[il], ffn_in) if self.row.ffn == "CHANNEL" else self._dense(il, ffn_in)
        return Steps(attn_in, attn_out, ffn_in, mid + out)

    def _mamba(self, il: int, x: F32) -> F32:
        """Return what a selective state space makes of x, before ssm_out: [n][n_inner]."""
        n_state, n, groups = (int(self._number(f"ssm.{key}", 0)) for key in
                              ("state_size", "time_step_rank", "group_count"))  # fmt: skip
        spec = Mamba(self.tensors, f"blk.{il}", n_state, n, groups, bool(self._value("ssm.dt_b_c_rms")), self.eps)
        return mamba2(spec, x) if groups else mamba(spec, x)

    def _feed_forward(self, il: int, x: F32, stream: F32) -> F32:
        """Return what feed-forward makes of x, the normed stream: a dense one, experts, or both of the stream."""
        mixture = self.mixtures[il]
        if mixture and self.row.has("DENSE_BESIDE"):
            return self._beside(il, mixture, self._dense(il, x), stream)
        return mixed(mixture, self.tensors, f"blk.{il}", self.acts[il], x) if mixture else self._dense(il, x)

    def _beside(self, il: int, mixture: Mixture, dense: F32, stream: F32) -> F32:
        blk = f"blk.{il}"
        routed = rmsnorm(stream, self.tensors[f"{blk}.ffn_gate_inp.scale"].floats(), self.eps)
        rows = self.norm(f"{blk}.pre_ffw_norm_2", stream)
        out = mixed(mixture, self.tensors, blk, self.acts[il], rows, routed)
        return self.norm(f"{blk}.post_ffw_norm_1", dense) + self.norm(f"{blk}.post_ffw_norm_2", out)

    def _dense(self, il: int, x: F32) -> F32:
        blk = f"blk.{il}."
        if self.row.ffn == "GATED":
            mid = gated(self.acts[il], self._linear(blk + "ffn_gate", x), self._linear(blk + "ffn_up", x))
        else:
            mid = self.acts[il](self._linear(blk + "ffn_up", x))
        return self._linear(blk + "ffn_down", mid)

    def layer(self, il: int, x: F32) -> F32:
        """Return the residual stream after layer il, x[n][n_embd] being that before it: positions 0..n-1."""
        return self.steps(il, x).out

    def embed(self, ids: Sequence[int]) -> F32:
        """Return what layer 0 is given for ids, [n][n_embd]: a host may give it in their place."""
        x = self._rows("token_embd.weight", ids)
        if self.embd_scale != 1:
            x = x * np.float32(self.embd_scale)
        return self.norm("token_embd_norm", x) if self.row.has("EMBD_NORM") and not self.row.has("ENCODER") else x

    def own_embeddings(self, ids: Sequence[int]) -> F32:
        """Return what layers add by themselves for ids: [n][n_layer][n_per_layer]."""
        n, shape = self.n_per_layer, (len(ids), self.n_layer, self.n_per_layer)
        table = self.tensors["per_layer_token_embd.weight"]
        rows = dequantise(table.type, table.data[list(ids)], math.prod(shape)).reshape(shape)
        projected = matmul(self.tensors["per_layer_model_proj.weight"], self.embed(ids)).reshape(shape)
        normed = self.norm("per_layer_proj_norm", projected * np.float32(1 / math.sqrt(self.n_embd)))
        return (normed + rows * np.float32(math.sqrt(n))) * np.float32(math.sqrt(0.5))

    def _placed(self, x: F32) -> F32:
        """Add the rows of types and of positions 0..n-1 to embeddings; an encoder's norm comes last."""
        if "token_types.weight" in self.tensors:
            x = x + self._rows("token_types.weight", self.types or [0] * len(x))
        if self.row.has("POSITIONS"):
            x = x + self._rows("position_embd.weight", range(len(x)))
        return self.norm("token_embd_norm", x) if self.row.has("ENCODER") and self.row.has("EMBD_NORM") else x

    def _rows(self, name: str, rows: Sequence[int]) -> F32:
        tensor = self.tensors[name]
        return dequantise(tensor.type, tensor.data[list(rows)], len(rows) * self.n_embd).reshape(-1, self.n_embd)

    def hidden(self, ids: Sequence[int]) -> F32:
        """Return the last hidden states of ids, after the output norm: [n][n_embd]."""
        x = self.embed(ids)
        self.own = self.own_embeddings(ids) if self.n_per_layer else None
        for il in range(self.n_layer):
            x = self.layer(il, x)
        return x if self.row.has("STREAM_NORM") else self.norm("output_norm", x)

    def rank(self, ids: Sequence[int], types: Sequence[int] = (), *, as_chances: bool = False) -> list[float]:
        """Return a classifier's scores of a text, in doubles: sums ascend, one number after the other."""
        self.types = list(types)
        x = self.hidden(ids)[0 if self.row.has("ENCODER") else -1].astype(np.float64)
        for name in ("cls", "cls.output"):
            if f"{name}.weight" not in self.tensors:
                continue
            w = self.tensors[f"{name}.weight"].floats().reshape(-1, self.n_embd).astype(np.float64)
            x = np.add.accumulate(w * x, axis=1)[:, -1]
            if f"{name}.bias" in self.tensors:
                x = x + self.tensors[f"{name}.bias"].floats()
            if name == "cls":
                x = np.tanh(x)
        if as_chances:
            x = 1 / (1 + np.exp(-x)) if len(x) == 1 else np.exp(x - x.max()) / np.exp(x - x.max()).sum()
        return [float(one) for one in x]

    def outputs(self, ids: Sequence[int]) -> F32:
        """Return what the model is for: logits, or an encoder's hidden states."""
        return self.hidden(ids) if self.row.has("ENCODER") else self.logits(ids)

    def logits(self, ids: Sequence[int]) -> F32:
        """Return the logits after each of ids: [n][n_vocab]."""
        return self.head(self.hidden(ids))

    def head(self, hidden: F32) -> F32:
        """Return the logits of hidden states [n][n_embd] after the output norm."""
        out = matmul(self.tensors.get("output.weight", self.tensors["token_embd.weight"]), hidden)
        if self.row.has("HEAD_BIAS"):
            out = out + self.tensors["output.bias"].floats()
        if self.logit_scale != 1:
            out = out * np.float32(self.logit_scale)
        return capped(out, Cap.of(self.final_cap)) if self.final_cap else out
