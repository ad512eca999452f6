"""Recurrent layers in numpy: what a position reads of those before it is a state, token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from gguf_file import F32, Tensor
from reference_math import ascending, exp, gated, matmul, rmsnorm, sigmoid, silu


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


# ---- Selective state spaces (Mamba) ----------------------------------------------------------------------------------


class Mamba(NamedTuple):
    """A layer: its tensors, how many numbers a channel has, and Mamba-2's heads and groups, or Mamba-1's rank."""

    tensors: dict[str, Tensor]
    blk: str
    n_state: int
    n: int  # heads; of Mamba-1: what ssm_dt reads
    groups: int = 0
    normed: bool = False  # of Mamba-1: steps, and what goes in and out
    eps: float = 1e-5

    def floats(self, name: str) -> F32:
        return self.tensors[f"{self.blk}.{name}"].floats()

    def linear(self, name: str, x: F32) -> F32:
        return matmul(self.tensors[f"{self.blk}.{name}.weight"], np.ascontiguousarray(x))

    def convolved(self, u: F32) -> F32:
        out = convolved(self.floats("ssm_conv1d.weight"), u)
        return silu(out + self.floats("ssm_conv1d.bias") if f"{self.blk}.ssm_conv1d.bias" in self.tensors else out)


# Of artanh(s) / s in s * s, highest power first.
ARTANH = np.array([1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1], np.float32)


def softplus(x: F32) -> F32:
    """Return ln(1 + e^x) in the core's own steps."""
    e = exp(-np.abs(x))
    s: F32 = np.divide(e, e + np.float32(2), dtype=np.float32)
    power = np.broadcast_to(ARTANH[0], x.shape)
    for term in ARTANH[1:]:
        power = power * (s * s) + term
    out: F32 = np.maximum(x, np.float32(0)) + power * (s + s)
    return out


def scan(step: F32, a: F32, d: F32, x: F32, z: F32, b: F32, c: F32) -> F32:
    """Scan channels token by token: step, x, z [n][channels]; a, b, c [..][channels][n_state] -> [n][channels].

    The sum over states ascends.
    """
    state = np.zeros(a.shape, np.float32)
    out = np.zeros(x.shape, np.float32)
    for t in range(len(x)):
        decay = exp(step[t][:, None] * a)
        state = state * decay + (x[t] * step[t])[:, None] * b[t]
        out[t] = (ascending(state * c[t]) + d * x[t]) * silu(z[t])
    return out


def mamba2(m: Mamba, rows: F32) -> F32:
    """Return what ssm_out reads of normed rows: ssm_in gives z, x, b, c and steps, side by side. [n][n_inner]."""
    projected, wide = m.linear("ssm_in", rows), m.groups * m.n_state
    inner = (projected.shape[-1] - 2 * wide - m.n) // 2
    z, u, steps = np.split(projected, [inner, 2 * inner + 2 * wide], axis=-1)
    x, b, c = np.split(m.convolved(u), [inner, inner + wide], axis=-1)

    def of_channels(one: F32) -> F32:
        return np.repeat(one.reshape(len(x), m.groups, m.n_state), inner // m.groups, axis=1)

    numbers = m.floats("ssm_a").reshape(-1), m.floats("ssm_d").reshape(-1), softplus(steps + m.floats("ssm_dt.bias"))
    a, d, step = (np.repeat(one, inner // m.n, axis=-1) for one in numbers)
    out = scan(step, np.repeat(a[:, None], m.n_state, axis=1), d, x, z, of_channels(b), of_channels(c))
    if f"{m.blk}.ssm_norm.weight" not in m.tensors:
        return out
    w = m.floats("ssm_norm.weight").reshape(m.groups, -1)
    return rmsnorm(out.reshape(len(x), m.groups, -1), w, m.eps).reshape(len(x), -1)


def mamba(m: Mamba, rows: F32) -> F32:
    """Return what ssm_out reads of normed rows: ssm_in gives x and z, ssm_x of x the others. [n][n_inner]."""
    x, z = np.split(m.linear("ssm_in", rows), 2, axis=-1)
    x = m.convolved(x)
    parts = np.split(m.linear("ssm_x", x), [m.n, m.n + m.n_state], axis=-1)
    if m.normed:
        parts = [rmsnorm(one, np.ones(one.shape[-1], np.float32), m.eps) for one in parts]
    steps = softplus(m.linear("ssm_dt", parts[0]) + m.floats("ssm_dt.bias"))
    return scan(steps, m.floats("ssm_a"), m.floats("ssm_d"), x, z, parts[1][:, None], parts[2][:, None])
