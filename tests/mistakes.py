"""Mistakes that a core or a reference might have, made in a Reference: tests show that their bounds see each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from reference import Reference

Mistake = Callable[[Reference], None]


def scale(model: Reference) -> None:
    """Multiply the scale of attention by 1.005."""
    attend = model.attend
    model.attend = lambda q, k, v: attend(q * np.float32(1.005), k, v)


def pairs(model: Reference) -> None:
    """Rotate (2i, 2i + 1) in the place of (i, i + n_rot / 2), or the other way round."""
    model.rope = replace(model.rope, neox=not model.rope.neox)


def epsilon(model: Reference) -> None:
    """Take 1e-6 for the norms' epsilon of 1e-5."""
    model.eps = 1e-6


def rope_scaling(model: Reference) -> None:
    """Ignore RoPE's scaling, of any kind."""
    model.rope = replace(model.rope, kind="none", freq_factors=None, attn_factor=1.0)


def no_bias(name: str) -> Mistake:
    """Ignore a bias of layer 1."""

    def ignore(model: Reference) -> None:
        bias = model.tensors[f"blk.1.{name}.bias"]
        model.tensors[f"blk.1.{name}.bias"] = replace(bias, data=np.zeros_like(bias.data))

    return ignore


BIASES = {
    f"no bias of {name}": no_bias(name)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
}
EVERYWHERE = {"scale": scale, "pairs": pairs, "epsilon": epsilon}
