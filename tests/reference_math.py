"""Sums, products, norms and activations in numpy: the float operations of docs/bits.md, in its order.

Shapes: n tokens, n_in and rows of a matrix; [..] is any number of dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from gguf_file import F32, FORMATS, Ints, Tensor, parts


def quantise(x: F32) -> tuple[Ints, F32]:
    """Quantise activations x[..][n_in] in blocks of 32: (codes [..][n_in / 32][32] in -127..127, d [..][n_in / 32])."""
    blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, 32)
    amax = np.abs(blocks).max(axis=-1)
    zero = amax < np.float32(1e-30)
    inverse: F32 = np.divide(127, np.where(zero, np.float32(1), amax), dtype=np.float32)
    inverse[zero] = 0
    codes = np.clip(np.rint(blocks * inverse[..., None]), -127, 127)
    d: F32 = amax / np.float32(127)
    return codes.astype(np.int32), d


def matmul(tensor: Tensor, x: F32) -> F32:
    """Multiply x[n][n_in] by the matrix tensor[rows][n_in]: [n][rows], sums in ascending order of n_in."""
    out = np.zeros((x.shape[0], tensor.shape[0]), np.float32)
    if FORMATS[tensor.type].parts is None:
        weights = tensor.floats()
        for k in range(x.shape[1]):
            out += weights[:, k] * x[:, k, None]
        return out
    scale, minimum, values = parts(tensor.type, tensor.data)
    sub = values.shape[-1]
    codes, d = quantise(x)
    codes_f = codes.reshape(x.shape[0], -1, sub).astype(np.float32)
    for ib in range(scale.shape[1]):
        d_x = d[:, ib * sub // 32, None]
        isum = codes_f[:, ib] @ values[:, ib].T  # integers below 2^24: exact in float32, in any order
        out += (scale[:, ib] * d_x) * isum
        if minimum is not None:
            xsum = codes_f[:, ib].sum(axis=1, keepdims=True)
            out += minimum[:, ib] * (d_x * xsum)
    return out


def _folded(x: F32) -> F32:
    """Add up x[..][n], n a multiple of 32, in 2 x 16 lanes that are folded: [..][1]."""
    steps = x.reshape(*x.shape[:-1], -1, 2, 16)
    lanes = np.zeros((*x.shape[:-1], 2, 16), np.float32)
    for i in range(steps.shape[-3]):
        lanes = lanes + steps[..., i, :, :]
    return fold(lanes[..., 0, :] + lanes[..., 1, :])


def padded(x: F32) -> F32:
    """Append zeros to x[..][n] until n is a multiple of 32."""
    return np.concatenate([x, np.zeros((*x.shape[:-1], -x.shape[-1] % 32), np.float32)], axis=-1)


def rmsnorm(x: F32, w: F32, eps: float) -> F32:
    """Scale x[..][n] by 1 / sqrt(mean square + eps), then by w[n]."""
    wide = padded(x)
    total = _folded(wide * wide)
    r: F32 = np.divide(1, np.sqrt(total / np.float32(x.shape[-1]) + np.float32(eps)), dtype=np.float32)
    return (x * r) * w


def layernorm(x: F32, w: F32 | None, b: F32 | None, eps: float) -> F32:
    """Subtract the mean of x[..][n], scale by 1 / sqrt(variance + eps), then by w[n], then add b[n]."""
    n = np.float32(x.shape[-1])
    d = x - _folded(padded(x)) / n
    wide = padded(d)
    r: F32 = np.divide(1, np.sqrt(_folded(wide * wide) / n + np.float32(eps)), dtype=np.float32)
    y = d * r
    if w is not None:
        y = y * w
    return y if b is None else y + b


# Of e^r, highest power first: the polynomial of Cephes' expf.
EXP = np.array([1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665796e-2, 1.6666665e-1, 0.5], np.float32)


def exp(x: F32) -> F32:
    """Return e^x in the core's own steps, x clamped to [-87, 88]."""
    x = np.clip(x, np.float32(-87), np.float32(88))
    n: F32 = np.rint(x * np.float32(1.44269504))
    r = (x - n * np.float32(0.693359375)) - n * np.float32(-2.12194440e-4)
    power = np.broadcast_to(EXP[0], x.shape)
    for term in EXP[1:]:
        power = power * r + term
    out: F32 = np.ldexp(np.float32(1) + (r * r * power + r), n.astype(np.int32))
    return out


def ascending(terms: F32) -> F32:
    """Add up terms[..][n], one after the other."""
    total = np.zeros(terms.shape[:-1], np.float32)
    for i in range(terms.shape[-1]):
        total = total + terms[..., i]
    return total


def fold(lanes: F32) -> F32:
    """Add up lanes[..][16] as the core does: halves onto each other, [..][1]."""
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes


EXP2 = np.array([9.58285317e-3, 5.5906425e-2, 0.240240986, 0.693124193, 1], np.float32)  # of 2^r, highest power first


def exp2(x: F32, y: float) -> F32:
    """Return y * 2^x for x <= 0 in the core's own steps; no less than y * 2^-126."""
    x = np.maximum(x, np.float32(-126))
    n: F32 = np.rint(x)
    terms = EXP2 * np.float32(y)
    power = np.broadcast_to(terms[0], x.shape)
    for term in terms[1:]:
        power = power * (x - n) + term
    out: F32 = np.ldexp(power, n.astype(np.int32))
    return out


class Cap(NamedTuple):
    """The constants of cap: c, 2c, and 2 / c."""

    c: np.float32
    twice: np.float32
    k: np.float32

    @classmethod
    def of(cls, c: float) -> Cap:
        return cls(np.float32(c), np.float32(2 * c), np.float32(2 / c))


def capped(s: F32, cap: Cap) -> F32:
    """Return c * tanh(s / c)."""
    out: F32 = cap.c - np.divide(cap.twice, 1 + exp(s * cap.k), dtype=np.float32)
    return out


def sigmoid(x: F32) -> F32:
    """1 / (1 + exp(-x))."""
    out: F32 = np.divide(1, 1 + exp(-x), dtype=np.float32)
    return out


def silu(x: F32) -> F32:
    """x / (1 + exp(-x))."""
    out: F32 = np.divide(x, 1 + exp(-x), dtype=np.float32)
    return out


def gelu_tanh(x: F32) -> F32:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), written with one exponential."""
    z = x * ((x * x) * np.float32(0.0713548162726) + np.float32(1.5957691216057308))
    out: F32 = np.divide(x, 1 + exp(-z), dtype=np.float32)
    return out


# Of erfc in t = 1 / (1 + 0.3275911 z), highest power first: Abramowitz and Stegun, 7.1.26.
ERFC = np.array([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592], np.float32)


def gelu(x: F32) -> F32:
    """x / 2 * (1 + erf(x / sqrt(2)))."""
    p = np.abs(x)
    z = p * np.float32(0.70710678)
    t: F32 = np.divide(1, 1 + z * np.float32(0.3275911), dtype=np.float32)
    h = np.broadcast_to(ERFC[0], x.shape)
    for term in ERFC[1:]:
        h = h * t + term
    h = ((h * t) * exp(-(z * z))) * np.float32(0.5)
    out: F32 = np.maximum(x, np.float32(0)) - p * h
    return out


def relu2(x: F32) -> F32:
    """max(x, 0) squared."""
    out: F32 = np.square(np.maximum(x, np.float32(0)))
    return out


@dataclass(frozen=True)
class Xielu:
    """The activation of arXiv:2411.13010 with a layer's numbers: alpha above 0 and below, beta, eps."""

    above: np.float32
    below: np.float32
    beta: np.float32
    eps: np.float32

    @classmethod
    def of(cls, alpha_p: float, alpha_n: float, beta: float, eps: float) -> Xielu:
        """Return the numbers that follow from those of a file."""
        softplus = [math.log1p(math.exp(alpha)) for alpha in (alpha_p, alpha_n)]
        return cls(np.float32(softplus[0]), np.float32(beta + softplus[1]), np.float32(beta), np.float32(eps))

    def __call__(self, x: F32) -> F32:
        below = ((exp(np.minimum(x, self.eps)) - np.float32(1)) - x) * self.below
        out: F32 = np.where(x > 0, (x * self.above) * x, below) + x * self.beta
        return out


@dataclass(frozen=True)
class Clamped:
    """The activation of gpt-oss: gate and up are clamped, and up is raised by 1."""

    limit: float = 7.0
    alpha: float = 1.702
    more: float = 1.0

    def __call__(self, gate: F32) -> F32:
        return self._of(gate) + gate * np.float32(0)

    def _of(self, gate: F32) -> F32:
        g = np.minimum(gate, np.float32(self.limit))
        out: F32 = np.divide(g, 1 + exp(-(g * np.float32(self.alpha))), dtype=np.float32)
        return out

    def gated(self, gate: F32, up: F32) -> F32:
        u: F32 = np.maximum(np.minimum(up, np.float32(self.limit)), np.float32(-self.limit))
        out: F32 = self._of(gate) * (u + np.float32(self.more)) + (gate * np.float32(0) + up * np.float32(0))
        return out


def gated(act: Callable[[F32], F32], gate: F32, up: F32) -> F32:
    """act(gate) * up, or what a clamped activation makes of both."""
    return act.gated(gate, up) if isinstance(act, Clamped) else act(gate) * up


def swiglu(gate: F32, up: F32) -> F32:
    """silu(gate) * up."""
    return silu(gate) * up
