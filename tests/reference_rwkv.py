"""RWKV-7 in numpy (arXiv:2503.14456), token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from gguf_file import F32, Tensor
from reference_math import Cap, _folded, capped, exp, layernorm, matmul, padded, rmsnorm, sigmoid

DECAY = np.float32(-0.606531)  # -1 / sqrt(e)


class TimeMix(NamedTuple):
    """A layer: its tensors, how many channels a head has, and the epsilon of its norm."""

    tensors: dict[str, Tensor]
    blk: str
    n: int
    eps: float

    def floats(self, name: str) -> F32:
        return self.tensors[f"{self.blk}.{name}.weight"].floats()

    def linear(self, name: str, x: F32) -> F32:
        return matmul(self.tensors[f"{self.blk}.{name}.weight"], np.ascontiguousarray(x))

    def has(self, name: str) -> bool:
        return f"{self.blk}.{name}.weight" in self.tensors


def mixed(x: F32, by: F32) -> F32:
    """Mix each row with the one before, of which the first has zeros."""
    before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
    out: F32 = x + (before - x) * by
    return out


def heads(r: F32, decay: F32, k: F32, v: F32, at: F32, less: F32) -> F32:
    """Return what rows read of each head's matrix: all [n][heads][channels]. Sums over channels of keys ascend."""
    state = np.zeros((*k.shape[1:], v.shape[-1]), np.float32)
    out = np.empty_like(v)
    for t in range(len(r)):
        read, sums = np.zeros_like(v[t]), np.zeros_like(v[t])
        for j in range(k.shape[-1]):
            read = read + state[:, j] * at[t, :, j, None]
        kept = state * decay[t, :, :, None] + v[t, :, None] * k[t, ..., None]
        state = kept - read[:, None] * less[t, ..., None]
        for j in range(k.shape[-1]):
            sums = sums + state[:, j] * r[t, :, j, None]
        out[t] = sums
    return out


def time_mix(m: TimeMix, x: F32, first: F32 | None) -> tuple[F32, F32]:
    """Return what time_mix_output reads of normed rows x, and the values of layer 0; `first` None: this is layer 0."""
    n_embd = x.shape[-1]
    by = m.floats("time_mix_lerp_fused").reshape(-1, n_embd)
    names = (0, "receptance"), (2, "key"), (3, "value")
    r, k, v = (m.linear(f"time_mix_{name}", mixed(x, by[i])) for i, name in names)
    low = capped(m.linear("time_mix_w1", mixed(x, by[1])), Cap.of(1.0))
    decay = exp(sigmoid(m.linear("time_mix_w2", low) + m.floats("time_mix_w0")) * DECAY)
    rate = sigmoid(m.linear("time_mix_a2", m.linear("time_mix_a1", mixed(x, by[4]))) + m.floats("time_mix_a0"))
    if first is not None:
        low = m.linear("time_mix_v1", mixed(x, by[3]))
        v = v + (first - v) * sigmoid(m.linear("time_mix_v2", low) + m.floats("time_mix_v0"))

    def by_head(one: F32) -> F32:
        return one.reshape(*one.shape[:-1], -1, m.n)

    one = np.full(m.n, np.float32(m.n**-0.5))
    at = rmsnorm(by_head(k * m.floats("time_mix_k_k")), one, float(np.float32(1e-24) / np.float32(m.n)))
    some = k * m.floats("time_mix_k_a")
    r, k, v, rate = by_head(r), by_head(k + (rate * some - some)), by_head(v), by_head(rate)
    out = heads(r, by_head(decay), k, v, at, at * rate)
    if m.has("time_mix_ln"):
        bias = m.tensors[f"{m.blk}.time_mix_ln.bias"].floats()
        out = layernorm(out, by_head(m.floats("time_mix_ln")), by_head(bias), m.eps)
    own = _folded(padded((k * r) * by_head(m.floats("time_mix_r_k"))))
    out = (out + v * own).reshape(x.shape)
    if m.has("time_mix_g1"):
        out = out * m.linear("time_mix_g2", sigmoid(m.linear("time_mix_g1", mixed(x, by[5]))))
    return out, v.reshape(x.shape) if first is None else first


def channel_mix(m: TimeMix, act: Callable[[F32], F32], x: F32) -> F32:
    """Return what feed-forward makes of normed rows."""
    wide = act(m.linear("channel_mix_key", mixed(x, m.floats("channel_mix_lerp_k").reshape(-1))))
    return m.linear("channel_mix_value", wide)
