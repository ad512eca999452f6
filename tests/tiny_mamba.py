"""A tiny model's selective state spaces: what a file says of them, and the tensors of a layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from gguf_writer import Tensor, vector
from tiny_model import TinyModel
from vocabulary import Pair

if TYPE_CHECKING:
    from tiny import _Weights


def is_first(t: TinyModel) -> bool:
    """Say whether it is Mamba-1, which has no heads."""
    return t.row.mixer == "MAMBA"


def keys(t: TinyModel) -> list[Pair]:
    if not t.row.has("MAMBA"):
        return []
    numbers = {
        "conv_kernel": t.taps, "inner_size": t.inner, "state_size": t.ssm_state, "time_step_rank": t.ssm_heads,
        **({} if is_first(t) else {"group_count": t.ssm_groups}),
    }  # fmt: skip
    pairs: list[Pair] = [(f"{t.arch}.ssm.{name}", "u32", value) for name, value in numbers.items()]
    if is_first(t):
        pairs.append((f"{t.arch}.ssm.dt_b_c_rms", "bool", t.ssm_normed))
    return pairs


def convolved(t: TinyModel) -> int:
    """Return how many channels are convolved."""
    return t.inner + (0 if is_first(t) else 2 * t.ssm_groups * t.ssm_state)


def sizes(t: TinyModel) -> dict[str, tuple[int, int]]:
    """Return (n_in, rows) of a layer's matrices, in the order of files."""
    rows = t.inner + convolved(t) + (0 if is_first(t) else t.ssm_heads)
    steps = {"ssm_x": (t.inner, t.ssm_heads + 2 * t.ssm_state), "ssm_dt": (t.ssm_heads, t.inner)}
    return {"ssm_in": (t.n_embd, rows), **(steps if is_first(t) else {}), "ssm_out": (t.inner, t.n_embd)}


def tensors(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    """Return what else a layer has. States keep between nearly nothing and nearly all from one position to the next."""
    blk, n = f"blk.{il}", t.inner if is_first(t) else t.ssm_heads
    conv = vector(f"{blk}.ssm_conv1d.weight", weights.numbers(f"{blk}.ssm_conv1d.weight", convolved(t) * t.taps))
    out = [replace(conv, ne=[t.taps, convolved(t)])]
    if t.row.has("CONV_BIAS") or (t.ssm_bias and t.row.has("MAY_CONV_BIAS")):
        out.append(weights.bias(f"{blk}.ssm_conv1d.bias", convolved(t)))
    out.append(vector(f"{blk}.ssm_dt.bias", weights.numbers(f"{blk}.ssm_dt.bias", n) * 1.5 - 1.5))
    columns = t.ssm_state if is_first(t) else 1
    decays = -np.exp(weights.numbers(f"{blk}.ssm_a", n * columns) * 0.8 - 0.5)
    out.append(replace(vector(f"{blk}.ssm_a", decays), ne=[columns, n]))
    skip = vector(f"{blk}.ssm_d", 1 + 0.3 * weights.numbers(f"{blk}.ssm_d", n))
    out.append(skip if is_first(t) else replace(skip, ne=[1, n]))
    if t.row.has("GROUP_NORM") or (t.ssm_norm and t.row.has("MAY_GROUP_NORM")):
        norm = weights.norm(f"{blk}.ssm_norm.weight", t.inner)
        out.append(replace(norm, ne=[t.inner // t.ssm_groups, t.ssm_groups]))
    return out


def std(name: str, n_in: int) -> float:
    """Return the size of a matrix's weights: those of ssm_x and ssm_in are larger, so that states show in logits."""
    return (2.0 if name == "ssm_x" else 1.0) / math.sqrt(n_in)
