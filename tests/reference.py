"""The whole model in readable numpy: what the C core computes, stated a second time.

    GGUF bytes -> metadata and tensors (gguf_file.py) -> operations -> Reference.layer -> Reference.logits

Integer sums are exact, and float operations happen in the order that docs/bits.md gives, so logits are the core's to
the bit. Only RoPE's angles and a Q8_0 cache's logarithms go through numpy's own functions, in float64, and are rounded
once. That this arithmetic is the model's is shown by golden/, where transformers' logits are.

Written from docs/bits.md and the formats' public descriptions, not from the C. Shapes: n tokens, n_in and rows
of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from archs import ARCHS
from gguf_file import F32, FORMATS, Ints, Tensor, dequantise, parts, read_gguf

# ---- Operations ------------------------------------------------------------------------------------------------------


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


def rmsnorm(x: F32, w: F32, eps: float) -> F32:
    """Scale x[..][n] by 1 / sqrt(mean square + eps), then by w[n]; the sum runs in 2 x 16 lanes and is folded."""
    n = x.shape[-1]
    padded = np.zeros((*x.shape[:-1], -(-n // 32) * 32), np.float32)
    padded[..., :n] = x
    squares = (padded * padded).reshape(*x.shape[:-1], -1, 2, 16)
    lanes = np.zeros((*x.shape[:-1], 2, 16), np.float32)
    for i in range(squares.shape[-3]):
        lanes = lanes + squares[..., i, :, :]
    total = fold(lanes[..., 0, :] + lanes[..., 1, :])
    r: F32 = np.divide(1, np.sqrt(total / np.float32(n) + np.float32(eps)), dtype=np.float32)
    return (x * r) * w


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
    beta_fast: float = 32.0
    beta_slow: float = 1.0
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

        low = max(math.floor(turning(spec.beta_fast)), 0)
        high = min(math.ceil(turning(spec.beta_slow)), spec.n_rot - 1)
        keep = 1 - np.clip((i - low) / max(0.001, high - low), 0, 1)
        scaled = scaled * (1 - keep) + freq * keep
        magnitude *= 1 + 0.1 * math.log(spec.factor)
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


def attend(q: F32, k: F32, v: F32, kept: npt.DTypeLike = np.float16) -> F32:
    """Causal grouped-query attention of the last n of n_past positions, a block of 16 positions after the other.

    q[n][n_head][head_dim], k and v[n_past][n_head_kv][head_dim] -> [n][n_head][head_dim]. K and V are rounded to
    `kept`.
    """
    n, n_head, head_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    group = n_head // n_head_kv
    keys = np.repeat(k.astype(kept).astype(np.float32), group, axis=1)
    values = np.repeat(v.astype(kept).astype(np.float32), group, axis=1)
    scaled = (q * np.float32(1 / math.sqrt(head_dim)))[:, :, None]  # [n][n_head][1][head_dim]
    top = np.full((n, n_head, 1), -3e38, np.float32)
    lanes, out = np.zeros((n, n_head, 16), np.float32), np.zeros(q.shape, np.float32)
    for start in range(0, n_past, 16):
        block = keys[start : start + 16].swapaxes(0, 1)[None]  # [1][n_head][up to 16][head_dim]
        here = np.arange(start, start + block.shape[2])
        future = (here > np.arange(n_past - n, n_past)[:, None])[:, None]
        even, odd = (ascending(scaled[..., i::2] * block[..., i::2]) for i in (0, 1))
        scores = np.where(future, np.float32(-3e38), even + odd)
        now = np.maximum(top, scores.max(axis=-1, keepdims=True))
        old, top = exp(top - now), now
        weights = np.where(future, np.float32(0), exp(scores - top))
        lanes = lanes * old
        lanes[..., : len(here)] += weights
        out = out * old
        for i, at in enumerate(here):
            out = out + values[at] * weights[..., i, None]
    mixed: F32 = out * np.divide(1, fold(lanes), dtype=np.float32)
    return mixed


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


class Q8Cache(NamedTuple):
    """Keys and values [positions][heads] as a Q8_0 cache keeps them."""

    k: Ints  # [..][head_dim / 32][32]
    k_scale: F32  # [..][head_dim / 32]
    v: Ints  # [..][head_dim]
    v_log: F32  # log2 of the scale
    v_inverse: F32  # 1 / scale

    def of(self, index: slice | tuple[slice, int]) -> Q8Cache:
        """Return what an index takes of every part."""
        return Q8Cache(self.k[index], self.k_scale[index], self.v[index], self.v_log[index], self.v_inverse[index])


def _padded(x: F32) -> F32:
    """Append zeros to heads until their width is a multiple of 32."""
    return np.concatenate([x, np.zeros((*x.shape[:-1], -x.shape[-1] % 32), np.float32)], axis=-1)


def q8_cache(k: F32, v: F32) -> Q8Cache:
    """Round k and v [positions][heads][head_dim]: K in blocks of 32 channels, V a head at a time."""
    codes, scale = quantise(_padded(k))
    amax = np.maximum(np.abs(v).max(axis=-1), np.float32(1e-30))
    inverse: F32 = np.divide(127, amax, dtype=np.float32)
    values = np.clip(np.rint(v * inverse[..., None]), -127, 127).astype(np.int32)
    log: F32 = np.log2((amax / np.float32(127)).astype(np.float64)).astype(np.float32)
    return Q8Cache(codes, scale, values, log, inverse)


def attend_q8(q: F32, k: F32, v: F32) -> F32:
    """As attend, over a Q8_0 cache: integer sums, and a block of 64 positions after the other."""
    n, n_head, head_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    codes, d = quantise(_padded(q * np.float32(math.log2(math.e) / math.sqrt(head_dim))))
    cache = q8_cache(k, v)
    out = np.zeros(q.shape, np.float32)
    for i in range(n):
        for ih in range(n_head):
            head = cache.of((slice(n_past - n + i + 1), ih * n_head_kv // n_head))
            out[i, ih] = _attend_q8_one(codes[i, ih], d[i, ih], head)
    return out


def _attend_q8_one(q: Ints, d: F32, head: Q8Cache) -> F32:
    """One query of one head: q[head_dim / 32][32] with its scales meets positions [n_past]."""
    top, lanes, out = np.float32(-3e38), np.zeros(16, np.float32), np.zeros(head.v.shape[1], np.float32)
    for start in range(0, len(head.v), 64):
        block = head.of(slice(start, start + 64))
        score = np.zeros(len(block.v), np.float32)
        for ib in range(len(d)):
            score = score + (block.k_scale[:, ib] * d[ib]) * (block.k[:, ib] @ q[ib]).astype(np.float32)
        score = score + block.v_log
        most = score.max()
        weights = exp2(score - most, 127)
        plain = np.zeros(64, np.float32)
        plain[: len(weights)] = weights * block.v_inverse
        total = np.zeros(16, np.float32)
        for row in plain.reshape(4, 16):
            total = total + row
        now = max(top, most)
        old, new = exp2(top - now, 1), exp2(most - now, 1)
        lanes = lanes * old + total * new
        out = out * old + (np.rint(weights).astype(np.int32) @ block.v).astype(np.float32) * new
        top = now
    mixed: F32 = out * np.divide(1, fold(lanes), dtype=np.float32)
    return mixed


def swiglu(gate: F32, up: F32) -> F32:
    """gate / (1 + exp(-gate)) * up."""
    gated: F32 = np.divide(gate, 1 + exp(-gate), dtype=np.float32)
    return gated * up


# ---- The model -------------------------------------------------------------------------------------------------------

Attend = Callable[[F32, F32, F32], F32]
ATTENTION: dict[str, Attend] = {"f32": partial(attend, kept=np.float32), "f16": attend, "q8_0": attend_q8}


class Steps(NamedTuple):
    """What a layer makes of x, in order; all but `out` is quantised for the product that reads it."""

    attn_in: F32  # [n][n_embd], after attn_norm
    attn_out: F32  # [n][n_head * head_dim], before attn_output
    ffn_in: F32  # [n][n_embd], after ffn_norm
    ffn_mid: F32  # [n][n_ff], before ffn_down
    out: F32  # [n][n_embd], the residual stream after the layer


class Reference:
    """A model of a GGUF file. n_ctx chooses between longrope's two tables; default: min(the file's, 4096).

    kv_type: what keys and values are rounded to, "f32" (not at all), "f16" or "q8_0".
    """

    def __init__(self, data: bytes, *, n_ctx: int | None = None, kv_type: str = "f16") -> None:
        self.attend = ATTENTION[kv_type]
        self.metadata, tensors = read_gguf(data)
        self.tensors = unfused(tensors)
        self.arch = str(self.metadata["general.architecture"])
        if self.arch not in ARCHS or self._number("expert_count", 0):
            raise ValueError(f"architecture {self.arch!r} (or its experts) is not described here")
        self.row = ARCHS[self.arch]
        kinds = (self.row.norm, self.row.act, self.row.mixer, self.row.ffn)
        if kinds != ("RMS", "SILU", "ATTENTION", "GATED"):
            raise ValueError(f"architecture {self.arch!r} has parts that are not described here: {kinds}")
        self.n_layer = int(self._number("block_count"))
        self.n_embd = int(self._number("embedding_length"))
        self.n_head = self._numbers("attention.head_count")
        self.n_head_kv = self._numbers("attention.head_count_kv", self.n_head)
        self.head_dim = int(self._number("attention.key_length", self.n_embd // self.n_head[0]))
        self.eps = self._number("attention.layer_norm_rms_epsilon")
        self.n_ctx = n_ctx or min(int(self._number("context_length")), 4096)
        self.rope = self._rope()

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

    def _rope(self) -> Rope:
        n_ctx_orig = int(self._number("rope.scaling.original_context_length", self._number("context_length")))
        factors = self.tensors.get("rope_freqs.weight")
        if factors is None:
            length = "long" if self.n_ctx > n_ctx_orig else "short"
            factors = self.tensors.get(f"rope_factors_{length}.weight")
        return Rope(
            n_rot=int(self._number("rope.dimension_count", self.head_dim)),
            base=self._number("rope.freq_base", 10000.0),
            neox=self.row.rope == "NEOX",
            kind=str(self.metadata.get(f"{self.arch}.rope.scaling.type", "linear")),
            factor=self._number("rope.scaling.factor", self._number("rope.scale_linear", 1.0)) or 1.0,
            n_ctx_orig=n_ctx_orig,
            attn_factor=self._number("rope.scaling.attn_factor", 1.0),
            beta_fast=self._number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=self._number("rope.scaling.yarn_beta_slow", 1.0),
            freq_factors=None if factors is None else factors.floats(),
        )

    def _linear(self, name: str, x: F32) -> F32:
        out = matmul(self.tensors[f"{name}.weight"], x)
        required = self.row.has("QKV_BIAS") and name.endswith(("attn_q", "attn_k", "attn_v"))
        bias = self.tensors[f"{name}.bias"] if required else self.tensors.get(f"{name}.bias")
        return out if bias is None else out + bias.floats()

    def norm(self, name: str, x: F32) -> F32:
        """Return rmsnorm by the weights of "output_norm", "blk.0.attn_norm" or the like."""
        return rmsnorm(x, self.tensors[f"{name}.weight"].floats(), self.eps)

    def steps(self, il: int, x: F32) -> Steps:
        """Return what layer il makes of x[n][n_embd] at positions 0..n-1."""
        blk = f"blk.{il}."
        positions = range(len(x))
        attn_in = self.norm(blk + "attn_norm", x)
        q = self._linear(blk + "attn_q", attn_in).reshape(len(x), self.n_head[il], self.head_dim)
        k = self._linear(blk + "attn_k", attn_in).reshape(len(x), self.n_head_kv[il], self.head_dim)
        v = self._linear(blk + "attn_v", attn_in).reshape(len(x), self.n_head_kv[il], self.head_dim)
        mixed = self.attend(rope(self.rope, q, positions), rope(self.rope, k, positions), v)
        attn_out = mixed.reshape(len(x), -1)
        x = x + self._linear(blk + "attn_output", attn_out)
        ffn_in = self.norm(blk + "ffn_norm", x)
        ffn_mid = swiglu(self._linear(blk + "ffn_gate", ffn_in), self._linear(blk + "ffn_up", ffn_in))
        return Steps(attn_in, attn_out, ffn_in, ffn_mid, x + self._linear(blk + "ffn_down", ffn_mid))

    def layer(self, il: int, x: F32) -> F32:
        """Return the residual stream after layer il, x[n][n_embd] being that before it: positions 0..n-1."""
        return self.steps(il, x).out

    def embed(self, ids: Sequence[int]) -> F32:
        """Return the residual stream before layer 0: [n][n_embd]."""
        embd = self.tensors["token_embd.weight"]
        return dequantise(embd.type, embd.data[list(ids)], len(ids) * self.n_embd).reshape(-1, self.n_embd)

    def hidden(self, ids: Sequence[int]) -> F32:
        """Return the last hidden states of ids, after the output norm: [n][n_embd]."""
        x = self.embed(ids)
        for il in range(self.n_layer):
            x = self.layer(il, x)
        return self.norm("output_norm", x)

    def logits(self, ids: Sequence[int]) -> F32:
        """Return the logits after each of ids: [n][n_vocab]."""
        output = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return matmul(output, self.hidden(ids))


def unfused(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cut attn_qkv into q, k and v, and an ffn_up that has no ffn_gate into gate and up: rows in this order.

    k and v have as many rows as each other; q has what attn_output reads.
    """
    out = dict(tensors)
    for name, tensor in tensors.items():
        blk, _, part = name.partition(".attn_qkv.")
        if part:
            n_q = tensors[f"{blk}.attn_output.weight"].shape[1]
            n_kv = (tensor.shape[0] - n_q) // 2
            for one, start, end in (("q", 0, n_q), ("k", n_q, n_q + n_kv), ("v", n_q + n_kv, n_q + 2 * n_kv)):
                out[f"{blk}.attn_{one}.{part}"] = _rows(tensor, start, end)
        blk, _, part = name.partition(".ffn_up.")
        if part == "weight" and f"{blk}.ffn_gate.weight" not in tensors:
            half = tensor.shape[0] // 2
            out[f"{blk}.ffn_gate.weight"] = _rows(tensor, 0, half)
            out[f"{blk}.ffn_up.weight"] = _rows(tensor, half, 2 * half)
    return out


def _rows(tensor: Tensor, start: int, end: int) -> Tensor:
    """Return rows of a matrix, or numbers of an F32 vector."""
    if len(tensor.shape) > 1:
        return Tensor(tensor.type, (end - start, *tensor.shape[1:]), tensor.data[start:end])
    return Tensor(tensor.type, (end - start,), tensor.data[:, 4 * start : 4 * end])
