"""A tiny model's RWKV-7 layers: what a file says of them, and the tensors of a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from gguf_writer import Tensor, vector
from tiny_model import TinyModel
from vocabulary import Pair

if TYPE_CHECKING:
    from tiny import _Weights

RANKS = ("decay", "iclr", "value_residual_mix", "gate")
LOW = tuple(f"time_mix_{part}{i}" for part in "wavg" for i in (1, 2))  # few columns or rows: programs quantise none


def keys(t: TinyModel) -> list[Pair]:
    if t.row.mixer != "RWKV":
        return []
    numbers = {f"attention.{name}_lora_rank": rank for name, rank in zip(RANKS, t.ranks, strict=True)}
    numbers |= {"wkv.head_size": t.wkv_size, "attention.head_count": 0}
    if t.row.ffn != "CHANNEL":
        numbers["token_shift_count"] = 1
    return [(f"{t.arch}.{name}", "u32", value) for name, value in numbers.items()]


def sizes(t: TinyModel, il: int) -> dict[str, tuple[int, int]]:
    """Return (n_in, rows) of a layer's matrices, in the order of files. Nothing reads the first layer's v."""
    n = t.n_embd
    out: dict[str, tuple[int, int]] = {}
    for part, own in zip("wavg", t.ranks, strict=True):
        rank = t.ranks[1] if part == "v" and il == 0 else own
        out |= {f"time_mix_{part}1": (n, rank), f"time_mix_{part}2": (rank, n)} if rank else {}
    out |= {f"time_mix_{part}": (n, n) for part in ("key", "value", "receptance", "output")}
    if t.row.ffn == "CHANNEL":
        out |= {"channel_mix_key": (n, t.ff_of(il)), "channel_mix_value": (t.ff_of(il), n)}
    return out


def tensors(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    """Return what else a layer has. States keep between half and nearly all from one position to the next."""
    blk, n, out = f"blk.{il}", t.n_embd, []

    def one(name: str, middle: float, by: float) -> Tensor:
        full = f"{blk}.{name}.weight"
        return vector(full, middle + by * weights.numbers(full, n))

    mixes = [0.5 + 0.3 * np.clip(weights.numbers(f"{blk}.time_mix_lerp_fused.{i}", n), -1.6, 1.6)
             for i in range(6 if t.ranks[3] else 5)]  # fmt: skip
    fused = vector(f"{blk}.time_mix_lerp_fused.weight", np.concatenate(mixes))
    out.append(replace(fused, ne=[n, 1, 1, len(mixes)]))
    out += [one("time_mix_w0", -1.0, 1.5), one("time_mix_a0", 0.0, 1.0), one("time_mix_v0", 0.0, 1.0)]
    out += [one("time_mix_k_k", 0.9, 0.3), one("time_mix_k_a", 0.8, 0.3), one("time_mix_r_k", 0.0, 0.5)]
    if t.row.has("TIME_NORM") or t.time_norm:
        out += [one("time_mix_ln", 1.0, 0.2), weights.norm_bias(f"{blk}.time_mix_ln.bias")]
    if t.row.ffn == "CHANNEL":
        out.append(one("channel_mix_lerp_k", 0.5, 0.3))
    return out
