"""A tiny model's mixture of experts: what a file says of it, and its tensors.

TinyModel.experts is a mapping of the fields of Experts; architectures whose files must have experts have their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gguf_writer import Tensor, vector
from tiny_model import TinyModel, of_layer
from vocabulary import Pair

if TYPE_CHECKING:
    from tiny import _Weights


@dataclass(frozen=True, kw_only=True)
class Experts:
    """A mixture of experts. None: the file has no key for the field."""

    n: int = 8
    n_used: int = 2
    n_ff: int | None = None  # length of an expert; None: feed_forward_length
    says_width: bool = False  # the file has a key for it even if n_ff is None
    shared: bool = False
    shared_width: int | None = None  # a shared expert of this length; None: feed_forward_length, if shared
    says_shared: bool = False  # the file has a key for it
    n_shared: int | None = None
    n_groups: int | None = None
    n_groups_used: int | None = None
    n_dense: int | None = None  # leading layers without experts
    step: int | None = None  # every step-th layer has experts
    gating: int | None = None
    normed: bool | None = None
    scale: float | None = None
    choice_bias: bool = False
    fused: bool = False  # ffn_gate_up_exps
    scales: bool = True  # beside a dense feed-forward: each expert has a factor of its weight

    def has(self, il: int) -> bool:
        """Say whether layer il has experts."""
        return il >= (self.n_dense or 0) and (il + 1) % (self.step or 1) == 0


SHARED = {"shared": True, "says_shared": True}
# What the files of an architecture have.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt-oss": {"n": 8, "n_used": 3},
    "qwen2moe": {"n": 6, "n_used": 3, "says_width": True, **SHARED},
    "qwen3moe": {"n": 8, "n_used": 2, "says_width": True},
    "olmoe": {"n": 8, "n_used": 3},
    "granitemoe": {"n": 5, "n_used": 2},
    "phimoe": {"n": 8, "n_used": 2},
    "glm4moe": {
        "n": 8, "n_used": 3, "says_width": True, "shared": True, "n_shared": 1, "n_dense": 1, "gating": 2, "scale": 1.8,
        "normed": True, "choice_bias": True,
    },
    "ernie4_5-moe": {
        "n": 8, "n_used": 3, "says_width": True, "n_shared": 1, "n_dense": 1, "step": 1, "choice_bias": True, **SHARED,
    },
    "hunyuan-moe": {"n": 6, "n_used": 2, "says_width": True, "n_shared": 1, **SHARED},
    "dots1": {
        "n": 8, "n_used": 3, "says_width": True, "shared": True, "n_shared": 1, "n_dense": 1, "scale": 1.5,
        "normed": True, "choice_bias": True,
    },
    "bailingmoe": {
        "n": 8, "n_used": 3, "says_width": True, "shared": True, "n_shared": 1, "n_dense": 0, "scale": 1.0,
        "normed": True,
    },
    "minimax-m2": {"n": 8, "n_used": 3, "says_width": True, "gating": 2, "choice_bias": True},
    "lfm2moe": {"n": 8, "n_used": 3, "says_width": True, "n_dense": 1, "gating": 2, "choice_bias": True},
    "llama4": {"n": 8, "n_used": 2, "says_width": True, "shared": True, "step": 1},
    "qwen35moe": {"n": 8, "n_used": 3, "says_width": True, **SHARED},
    "qwen3next": {"n": 8, "n_used": 3, "says_width": True, **SHARED},
}
WIDE = 4  # what a clamped activation reads is that large: some of it is over 7


def experts_of(t: TinyModel) -> Experts | None:
    """Return the mixture of a model; None: it has none."""
    own = DEFAULTS.get(t.arch)
    if t.experts is None and own is None:
        return None
    return Experts(**{**(own or {}), **(t.experts or {})})


def keys(t: TinyModel) -> list[Pair]:
    x = experts_of(t)
    if x is None:
        return []
    numbers = {
        "expert_count": x.n, "expert_used_count": x.n_used, "expert_shared_count": x.n_shared,
        "expert_feed_forward_length": (x.n_ff or t.n_ff) if x.says_width or x.n_ff else None,
        "expert_shared_feed_forward_length": (x.shared_width or of_layer(t.n_ff, 0)) if x.says_shared else None,
        "expert_group_count": x.n_groups, "expert_group_used_count": x.n_groups_used,
        "leading_dense_block_count": x.n_dense, "interleave_moe_layer_step": x.step, "expert_gating_func": x.gating,
    }  # fmt: skip
    pairs: list[Pair] = [
        (f"{t.arch}.{key}", "u32" if isinstance(value, int) else "i32[]", value)
        for key, value in numbers.items() if value is not None
    ]
    if x.normed is not None:
        pairs.append((f"{t.arch}.expert_weights_norm", "bool", x.normed))
    if x.scale is not None:
        pairs.append((f"{t.arch}.expert_weights_scale", "f32", x.scale))
    return pairs


def has_experts(t: TinyModel, il: int) -> bool:
    x = experts_of(t)
    return x is not None and x.has(il)


def tensors(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    """Return what layer il has in the place of ffn_gate, ffn_up and ffn_down, or beside them. The router is peaked."""
    x = experts_of(t)
    assert x is not None
    width = x.n_ff or of_layer(t.n_ff, il)
    blk = f"blk.{il}"

    def all_of(name: str, n_in: int, rows: int) -> Tensor:
        std = WIDE / math.sqrt(n_in) if t.row.act == "CLAMPED" and name != "ffn_down" else None
        return replace(weights.matrix(f"{blk}.{name}_exps.weight", n_in, rows * x.n, std), ne=[n_in, rows, x.n])

    out = [weights.matrix(f"{blk}.ffn_gate_inp.weight", t.n_embd, x.n, 3 / math.sqrt(t.n_embd))]
    if t.row.has("ROUTER_BIAS"):
        out.append(weights.bias(f"{blk}.ffn_gate_inp.bias", x.n))
    if x.choice_bias:
        name = f"{blk}.exp_probs_b.bias"
        out.append(vector(name, 0.3 * weights.numbers(name, x.n)))
    gate, up = all_of("ffn_gate", t.n_embd, width), all_of("ffn_up", t.n_embd, width)
    out += [_joined(gate, up)] if x.fused else [gate, up]
    out.append(all_of("ffn_down", width, t.n_embd))
    if t.row.has("EXPERT_BIAS"):
        for name, n in (("ffn_gate", width), ("ffn_up", width), ("ffn_down", t.n_embd)):
            out.append(replace(weights.bias(f"{blk}.{name}_exps.bias", n * x.n), ne=[n, x.n]))
    return out + _shared(t, x, il, weights) + (_beside(t, x, il, weights) if t.row.has("DENSE_BESIDE") else [])


def _shared(t: TinyModel, x: Experts, il: int, weights: _Weights) -> list[Tensor]:
    if not x.shared and x.shared_width is None:
        return []
    out, width = [], x.shared_width or of_layer(t.n_ff, 0 if x.says_shared else il)
    blk = f"blk.{il}"
    if t.row.has("SHARED_GATE"):
        name = f"{blk}.ffn_gate_inp_shexp.weight"
        out.append(vector(name, weights.numbers(name, t.n_embd) * 2 / math.sqrt(t.n_embd)))
    sizes = {"gate": (t.n_embd, width), "up": (t.n_embd, width), "down": (width, t.n_embd)}
    return out + [weights.matrix(f"{blk}.ffn_{name}_shexp.weight", *size) for name, size in sizes.items()]


def _beside(t: TinyModel, x: Experts, il: int, weights: _Weights) -> list[Tensor]:
    """Return the norms and scales of experts beside a dense feed-forward. The router's makes up for its divisor."""
    blk = f"blk.{il}"
    out = [weights.norm(f"{blk}.{name}.weight") for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")]
    out.append(weights.norm(f"{blk}.ffn_gate_inp.scale", size=math.sqrt(t.n_embd)))
    if x.scales:
        name = f"{blk}.ffn_down_exps.scale"
        out.append(vector(name, 1 + 0.3 * weights.numbers(name, x.n)))
    return out


def _joined(gate: Tensor, up: Tensor) -> Tensor:
    """Join each expert's gate and up: rows of its gate, then those of its up."""
    n_in, rows, n = gate.ne
    size = len(gate.data) // n
    parts = [one.data[e * size : (e + 1) * size] for e in range(n) for one in (gate, up)]
    name = str(gate.name).replace("ffn_gate_exps", "ffn_gate_up_exps")
    return Tensor(name, gate.type, [n_in, 2 * rows, n], b"".join(parts))
