"""Attention over a cache of floats and of Q8_0 in numpy: blocks of positions in order, as docs/bits.md says.

q[n][n_head][k_dim], k[n_past][n_head_kv][k_dim] and v[n_past][n_head_kv][v_dim] -> [n][n_head][v_dim]: the queries are
those of the last n positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gguf_file import F32, Ints
from reference_math import Cap, ascending, capped, exp, exp2, fold, padded, quantise

LOG2_E = math.log2(math.e)
UNSEEN = np.float32(-3e38)
UNSEEN_Q8 = np.float32(-3.4028235e38)


@dataclass(frozen=True)
class Scores:
    """What becomes of products before softmax."""

    scale: float | None = None  # None: 1 / sqrt(k_dim)
    cap: float = 0.0  # 0: none
    slopes: tuple[float, ...] | None = None  # of ALiBi, one for each head
    biases: F32 | None = None  # [buckets][heads] added by the key's distance
    window: int = 0  # positions that a query sees, its own included; 0: all up to its own
    chunked: bool = False  # windows lie side by side: a query sees its own, up to itself
    whole: bool = False  # a query sees all positions
    reach: int | None = None  # of them, those that are at most so far away
    heat: float = 0.0  # queries are multiplied by 1 + heat * ln(1 + floor((position + ahead) / span))
    heat_span: int = 0
    heat_ahead: int = 0
    sinks: tuple[float, ...] | None = None  # scores that belong to no position, one for each head

    def query_scale(self, k_dim: int, unit: float) -> np.float32:
        """Return what a query is multiplied by, in units of 1 (natural) or log2 e."""
        return np.float32(unit / math.sqrt(k_dim) if self.scale is None else unit * self.scale)

    def query_scales(self, k_dim: int, unit: float, at: npt.NDArray[np.int64]) -> F32:
        """Return the same of the queries of positions `at`: [n][1][1]."""
        heat = np.ones(len(at), np.float32)
        if self.heat:
            spans = (np.asarray(at) + self.heat_ahead) // self.heat_span
            heat = (1 + self.heat * np.log(1 + spans)).astype(np.float32)
        return (self.query_scale(k_dim, unit) * heat)[:, None, None]

    def first(self, at: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
        """Return the first position that the query of position `at` sees."""
        at = np.asarray(at)
        if self.reach is not None:
            return np.maximum(0, at - self.reach)
        if self.window and self.chunked:
            return at - at % self.window
        return np.maximum(0, at - self.window + 1) if self.window else np.zeros_like(at)


def alibi_slopes(n_head: int, max_bias: float) -> tuple[float, ...]:
    """Return the slope of each head: powers of 2^-(max_bias / n), n the largest power of two up to n_head."""
    n = 1 << (n_head.bit_length() - 1)
    powers = [(h + 1) / n if h < n else (2 * (h - n) + 1) / (2 * n) for h in range(n_head)]
    return tuple(2.0 ** (-max_bias * power) for power in powers)


def attend(q: F32, k: F32, v: F32, scores: Scores = Scores(), kept: npt.DTypeLike = np.float16) -> F32:
    """Causal grouped-query attention, a block of 16 positions after the other. K and V are rounded to `kept`."""
    n, n_head, k_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    keys, values = (np.repeat(x.astype(kept).astype(np.float32), n_head // n_head_kv, axis=1) for x in (k, v))
    own = np.arange(n_past - n, n_past)
    scaled = (q * scores.query_scales(k_dim, 1.0, own))[:, :, None]  # [n][n_head][1][k_dim]
    first = scores.first(own)
    top = np.full((n, n_head, 1), UNSEEN, np.float32)
    lanes, out = np.zeros((n, n_head, 16), np.float32), np.zeros((n, n_head, v.shape[-1]), np.float32)
    for start in range(int(first.min()) // 16 * 16, n_past, 16):
        block = keys[start : start + 16].swapaxes(0, 1)[None]  # [1][n_head][up to 16][k_dim]
        here = np.arange(start, start + block.shape[2])
        last = np.minimum(own + (n_past if scores.reach is None else scores.reach), n_past - 1) if scores.whole else own
        unseen = ((here > last[:, None]) | (here < first[:, None]))[:, None]
        even, odd = (ascending(scaled[..., i::2] * block[..., i::2]) for i in (0, 1))
        score = np.where(unseen, UNSEEN, _changed(even + odd, scores, own, here))
        now = np.maximum(top, score.max(axis=-1, keepdims=True))
        old, top = exp(top - now), now
        weights = np.where(unseen, np.float32(0), exp(score - top))
        lanes = lanes * old
        lanes[..., : len(here)] += weights
        out = out * old
        for i, at in enumerate(here):
            out = out + values[at] * weights[..., i, None]
    by: F32 = np.divide(1, fold(lanes), dtype=np.float32)
    if scores.sinks is not None:
        sinks = np.array(scores.sinks, np.float32)[:, None]
        most = np.maximum(top, sinks)
        fix = exp(top - most)
        by = np.divide(fix, fold(lanes) * fix + exp(sinks - most), dtype=np.float32)
    mixed: F32 = out * by
    return mixed


def _changed(score: F32, scores: Scores, own: npt.NDArray[np.int64], here: npt.NDArray[np.int64]) -> F32:
    """Cap score[n][n_head][positions] and add ALiBi's bias."""
    if scores.cap:
        score = capped(score, Cap.of(scores.cap))
    if scores.slopes is not None:
        slopes = np.array(scores.slopes, np.float32)[:, None]
        score = score + slopes * -np.abs(here - own[:, None]).astype(np.float32)[:, None]
    if scores.biases is not None:
        far = here - own[:, None]
        score = score + scores.biases[buckets(len(scores.biases), far)].swapaxes(1, 2)
    return score


def rel_biases(tensors: Mapping[str, Any]) -> F32 | None:
    """Return the biases of distances, [buckets][heads], if the file has them."""
    tensor = tensors.get("blk.0.attn_rel_b.weight")
    return None if tensor is None else tensor.floats().reshape(tensor.shape)


def buckets(n: int, far: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bucket of each distance, of n: half of them behind the query, single distances, then by a ratio."""
    half, single = n // 2, n // 4
    size = np.abs(far)
    grown = np.log(np.maximum(size, single) / single) / np.log(128 / single) * (half - single)
    large = np.minimum(single + np.floor(grown + 1e-9).astype(np.int64), half - 1)
    return np.where(size < single, size, large) + np.where(far > 0, half, 0)


class Q8Cache(NamedTuple):
    """Keys and values [positions][heads] as a Q8_0 cache keeps them."""

    k: Ints  # [..][k_dim / 32][32]
    k_scale: F32  # [..][k_dim / 32]
    v: Ints  # [..][v_dim]
    v_log: F32  # log2 of the scale
    v_inverse: F32  # 1 / scale

    def of(self, index: slice | tuple[slice, int]) -> Q8Cache:
        """Return what an index takes of every part."""
        return Q8Cache(self.k[index], self.k_scale[index], self.v[index], self.v_log[index], self.v_inverse[index])


def q8_cache(k: F32, v: F32) -> Q8Cache:
    """Round k and v [positions][heads][..]: K in blocks of 32 channels, V a head at a time."""
    codes, scale = quantise(padded(k))
    amax = np.maximum(np.abs(v).max(axis=-1), np.float32(1e-30))
    inverse: F32 = np.divide(127, amax, dtype=np.float32)
    values = np.clip(np.rint(v * inverse[..., None]), -127, 127).astype(np.int32)
    log: F32 = np.log2((amax / np.float32(127)).astype(np.float64)).astype(np.float32)
    return Q8Cache(codes, scale, values, log, inverse)


def attend_q8(q: F32, k: F32, v: F32, scores: Scores = Scores()) -> F32:
    """As attend, over a Q8_0 cache: integer sums, and a block of 64 positions after the other."""
    n, n_head, k_dim = q.shape
    n_past, n_head_kv, _ = k.shape
    codes, d = quantise(padded(q * scores.query_scales(k_dim, LOG2_E, np.arange(n_past - n, n_past))))
    cache = q8_cache(k, v)
    out = np.zeros((n, n_head, v.shape[-1]), np.float32)
    cap = Cap.of(scores.cap * LOG2_E) if scores.cap else None
    for i in range(n):
        own = n_past - n + i
        for ih in range(n_head):
            slope = None if scores.slopes is None else np.float32(scores.slopes[ih] * LOG2_E)
            sink = None if scores.sinks is None else np.float32(float(np.float32(scores.sinks[ih])) * LOG2_E)
            head = cache.of((slice(own + 1), ih * n_head_kv // n_head))
            out[i, ih] = _attend_q8_one(codes[i, ih], d[i, ih], head, int(scores.first(own)), cap, slope, sink)
    return out


def _attend_q8_one(
    q: Ints,
    d: F32,
    head: Q8Cache,
    first: int,
    cap: Cap | None,
    slope: np.float32 | None,
    sink: np.float32 | None,
) -> F32:
    """One query of one head: q[k_dim / 32][32] with its scales meets positions first .. its own, the cache's last."""
    top, lanes, out = UNSEEN, np.zeros(16, np.float32), np.zeros(head.v.shape[1], np.float32)
    for start in range(first // 64 * 64, len(head.v), 64):
        block = head.of(slice(start, start + 64))
        here = np.arange(start, start + len(block.v))
        score = np.zeros(len(here), np.float32)
        for ib in range(len(d)):
            score = score + (block.k_scale[:, ib] * d[ib]) * (block.k[:, ib] @ q[ib]).astype(np.float32)
        if cap is not None:
            score = capped(score, cap)
        if slope is not None:
            score = score + slope * (here - (len(head.v) - 1)).astype(np.float32)
        score = np.where(here < first, UNSEEN_Q8, score + block.v_log)
        most = np.maximum(score.max(), UNSEEN)
        weights = exp2(score - most, 127)
        plain = np.zeros(64, np.float32)
        plain[: len(here)] = np.where(here < first, np.float32(0), weights * block.v_inverse)
        total = np.zeros(16, np.float32)
        for row in plain.reshape(4, 16):
            total = total + row
        now = np.maximum(top, most)
        old, new = exp2(top - now, 1), exp2(most - now, 1)
        lanes = lanes * old + total * new
        out = out * old + (np.rint(weights).astype(np.int32) @ block.v).astype(np.float32) * new
        top = now
    by: F32 = np.divide(1, fold(lanes), dtype=np.float32)
    if sink is not None:
        most = np.maximum(top, sink)
        fix = exp2(top - most, 1)
        by = np.divide(fix, fold(lanes) * fix + exp2(sink - most, 127), dtype=np.float32)
    mixed: F32 = out * by
    return mixed


Attend = Callable[[F32, F32, F32, Scores], F32]
ATTENTION: dict[str, Attend] = {"f32": partial(attend, kept=np.float32), "f16": attend, "q8_0": attend_q8}
