"""Rotary position embedding in numpy: frequencies in float64, rotations in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gguf_file import F32


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first n_rot values of a head, with GGUF's kinds of scaling.

    `freq_factors` [n_rot / 2] divide the frequencies: rope_freqs.weight (Llama 3), rope_factors_{long,short}.weight.
    """

    n_rot: int
    base: float = 10000.0
    neox: bool = False  # pairs (i, i + n_rot / 2); else (2i, 2i + 1)
    kind: str = "none"  # none, linear, yarn, longrope
    factor: float = 1.0
    n_ctx_orig: int = 0
    attn_factor: float = 1.0
    log_multiplier: float = 0.0  # of YaRN: what its scale of cos and sin is divided by
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    whole_bounds: bool = True  # YaRN rounds the first and last index that it changes, away from each other
    freq_factors: F32 | None = None


def rope_table(spec: Rope, positions: Sequence[int]) -> tuple[F32, F32]:
    """Return cos and sin, [n][n_rot / 2], in float64 and rounded, times the attention factor."""
    if spec.kind not in ("none", "linear", "yarn", "longrope"):
        raise ValueError(f"RoPE scaling {spec.kind!r} is not described here")
    i = np.arange(spec.n_rot // 2, dtype=np.float64)
    freq = spec.base ** (-2 * i / spec.n_rot)
    if spec.freq_factors is not None:
        freq = freq / spec.freq_factors.astype(np.float64)
    magnitude = spec.attn_factor
    scaled = freq if spec.kind == "none" else freq * (1 / spec.factor)
    if spec.kind == "yarn":

        def turning(rotations: float) -> float:
            """Return the index whose pair makes so many rotations in the original context."""
            return spec.n_rot * math.log(spec.n_ctx_orig / (rotations * 2 * math.pi)) / (2 * math.log(spec.base))

        low, high = max(turning(spec.beta_fast), 0), min(turning(spec.beta_slow), spec.n_rot - 1)
        if spec.whole_bounds:
            low, high = math.floor(low), math.ceil(high)
        keep = 1 - np.clip((i - low) / max(0.001, high - low), 0, 1)
        scaled = scaled * (1 - keep) + freq * keep
        magnitude *= (1 + 0.1 * math.log(spec.factor)) / (1 + 0.1 * spec.log_multiplier * math.log(spec.factor))
    angles = np.asarray(positions, np.float64)[:, None] * scaled
    factor = np.float32(magnitude)
    return np.cos(angles).astype(np.float32) * factor, np.sin(angles).astype(np.float32) * factor


def rope(spec: Rope, x: F32, positions: Sequence[int]) -> F32:
    """Rotate x[n][heads][head_dim], row i standing at positions[i]."""
    cos, sin = (t[:, None, :] for t in rope_table(spec, positions))
    half = spec.n_rot // 2
    first = slice(0, half) if spec.neox else slice(0, spec.n_rot, 2)
    second = slice(half, spec.n_rot) if spec.neox else slice(1, spec.n_rot, 2)
    out = x.copy()
    out[..., first] = x[..., first] * cos - x[..., second] * sin
    out[..., second] = x[..., first] * sin + x[..., second] * cos
    return out
