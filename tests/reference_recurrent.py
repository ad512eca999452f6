"""Recurrent layers in numpy: what a position reads of those before it is a state, token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from gguf_file import F32, Tensor
from reference_math import gated, matmul, rmsnorm, sigmoid, silu


def convolved(w: F32, x: F32) -> F32:
    """Convolve each channel of x[n][channels] over its last positions by w[channels][taps], the oldest first."""
    taps, n = w.shape[1], len(x)
    padded = np.concatenate([np.zeros((taps - 1, x.shape[1]), np.float32), x])
    out: F32 = w[:, 0] * padded[:n]
    for i in range(1, taps):
        out = out + w[:, i] * padded[i : i + n]
    return out


def short_conv(projected: F32, w: F32) -> F32:
    """Return c * convolution(b * x) of rows of b, c and x, side by side: [n][3 * n_embd] -> [n][n_embd]."""
    b, c, x = np.split(projected, 3, axis=-1)
    out: F32 = c * convolved(w, b * x)
    return out


Rule = Callable[[F32, F32, F32, F32, F32], F32]


class Delta(NamedTuple):
    """The numbers of a gated delta net. grouped: heads of values that share a key are adjacent."""

    n_k: int
    n_v: int
    k_dim: int
    v_dim: int
    grouped: bool = False
    eps: float = 1e-6


def of_length_one(x: F32, scale: float) -> F32:
    """Divide x[..][n] by its length, and multiply it by a scale."""
    n = x.shape[-1]
    return rmsnorm(x, np.full(n, np.float32(scale)), float(np.float32(1e-6) / np.float32(n)))


def decays(a: F32, x: F32) -> F32:
    """Return exp(a * softplus(x)), in doubles."""
    wide = x.astype(np.float64)
    soft = np.where(x > 20, wide, np.log(1 + np.exp(np.minimum(wide, 100))))
    out: F32 = np.exp(a.astype(np.float64) * soft).astype(np.float32)
    return out


def delta_rule(q: F32, k: F32, v: F32, decay: F32, beta: F32) -> F32:
    """Return what queries read: q, k [n][heads][k_dim], v [n][heads][v_dim], decay, beta [n][heads]."""
    state = np.zeros((*k.shape[1:], v.shape[-1]), np.float32)
    out = np.empty_like(v)
    for t in range(len(q)):
        read = np.zeros_like(v[t])
        for i in range(k.shape[-1]):
            read = read + state[:, i] * k[t, :, i, None]
        moved = (v[t] - read * decay[t, :, None]) * beta[t, :, None]
        state = state * decay[t, :, None, None] + moved[:, None] * k[t, ..., None]
        sums = np.zeros_like(v[t])
        for i in range(k.shape[-1]):
            sums = sums + state[:, i] * q[t, :, i, None]
        out[t] = sums
    return out


def delta_net(d: Delta, tensors: dict[str, Tensor], blk: str, x: F32, rule: Rule = delta_rule) -> F32:
    """Return what ssm_out reads, [n][n_v * v_dim], of normed rows x[n][n_embd]."""
    n, keys = len(x), d.n_k * d.k_dim
    mixed = silu(convolved(tensors[f"{blk}.ssm_conv1d.weight"].floats(), matmul(tensors[f"{blk}.attn_qkv.weight"], x)))
    which = np.arange(d.n_v) // (d.n_v // d.n_k) if d.grouped else np.arange(d.n_v) % d.n_k
    q, k = (mixed[:, at : at + keys].reshape(n, d.n_k, d.k_dim)[:, which] for at in (0, keys))
    v = mixed[:, 2 * keys :].reshape(n, d.n_v, d.v_dim)
    if d.grouped:
        both = matmul(tensors[f"{blk}.ssm_ba.weight"], x).reshape(n, d.n_k, 2, -1)
        beta, alpha = both[:, :, 0].reshape(n, -1), both[:, :, 1].reshape(n, -1)
    else:
        beta, alpha = (matmul(tensors[f"{blk}.ssm_{name}.weight"], x) for name in ("beta", "alpha"))
    decay = decays(tensors[f"{blk}.ssm_a"].floats(), alpha + tensors[f"{blk}.ssm_dt.bias"].floats())
    out = rule(of_length_one(q, 1 / d.k_dim), of_length_one(k, d.k_dim**-0.5), v, decay, sigmoid(beta))
    normed = rmsnorm(out, tensors[f"{blk}.ssm_norm.weight"].floats(), d.eps)
    z = matmul(tensors[f"{blk}.attn_gate.weight"], x).reshape(normed.shape)
    return gated(silu, z, normed).reshape(n, -1)
