"""Mixtures of experts in numpy: the router and the sum of docs/bits.md, written for one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from gguf_file import F32, Tensor
from reference_math import ascending, exp, gated, matmul, sigmoid

Act = Callable[[F32], F32]


@dataclass(frozen=True)
class Mixture:
    """What a layer's experts are: the fields of struct experts of core_c/src/model/model.h."""

    n: int
    n_used: int
    n_groups: int = 1
    n_groups_used: int = 1
    route: str = "SOFTMAX"  # SOFTMAX, SIGMOID, CHOSEN, MIXER
    normed: bool = False
    scale: float = 1.0
    router_scale: float = 1.0  # of the router's logits
    before: bool = False  # a weight is multiplied by what an expert reads, not by what it makes
    group_top: int | None = None  # how many of a group's best experts it counts by; None: as its router does


def softmax(logits: F32) -> F32:
    e = exp(logits - logits.max())
    out: F32 = np.divide(e, ascending(e), dtype=np.float32)
    return out


def best(values: F32, n: int) -> list[int]:
    """Return the indices of the n largest, ascending; of equals the lower ones."""
    return sorted(sorted(range(len(values)), key=lambda i: (-values[i], i))[:n])


def limited(x: Mixture, choice: F32) -> F32:
    """Leave the experts of the best groups."""
    groups = choice.reshape(x.n_groups, -1)
    top = -np.sort(-groups, axis=-1)[:, : x.group_top or (2 if x.route == "SIGMOID" else 1)]
    kept = best(ascending(top) if top.shape[1] > 1 else top[:, 0], x.n_groups_used)
    return np.where(np.isin(np.arange(x.n_groups), kept)[:, None], groups, -np.inf).ravel().astype(np.float32)


def mixed_two(logits: F32) -> tuple[list[int], F32]:
    """Choose two experts, each with its share of the softmax of logits that are near its own: sparsemixer."""
    found, left = {}, np.ones(len(logits), bool)
    for _ in range(2):
        top = logits[left].max()
        size = np.maximum(np.abs(logits), top)
        near = left & ~((top - logits) / size > np.float32(0.02))
        e = best(np.where(left, logits, -np.inf).astype(np.float32), 1)[0]
        terms = exp(logits - top)
        found[e] = np.float32(terms[e] / ascending(np.where(near, terms, np.float32(0))))
        left[e] = False
    ids = sorted(found)
    return ids, np.array([found[e] for e in ids], np.float32)


def route(x: Mixture, logits: F32, bias: F32 | None) -> tuple[list[int], F32]:
    """Choose the experts of a row by its logits [n]: (ids, ascending; their weights)."""
    logits = logits * np.float32(x.router_scale)
    if x.route == "MIXER":
        ids, weights = mixed_two(logits)
        return ids, weights if x.scale == 1 else weights * np.float32(x.scale)
    scores = softmax(logits) if x.route == "SOFTMAX" else sigmoid(logits) if x.route == "SIGMOID" else logits
    choice = logits
    if bias is not None:
        choice = scores + bias
    if x.n_groups_used < x.n_groups:
        choice = limited(x, scores if bias is None else choice)
    ids = best(choice, x.n_used)
    weights = scores[ids]
    if x.route == "CHOSEN":
        weights = softmax(weights)
    if x.normed:
        weights = np.divide(weights, ascending(weights) + np.float32(1e-20), dtype=np.float32)
    return ids, weights if x.scale == 1 else weights * np.float32(x.scale)


def matrix_of(tensor: Tensor, e: int) -> Tensor:
    """Return expert e's matrix of a tensor [n][rows][n_in]."""
    rows = tensor.shape[1]
    return Tensor(tensor.type, tensor.shape[1:], tensor.data[e * rows : (e + 1) * rows])


def mixed(
    x: Mixture, tensors: dict[str, Tensor], blk: str, act: Act, rows: F32, routed: F32 | None = None
) -> F32:
    """Return what a layer's experts make of rows [n][n_embd]; `routed`: what the router reads, if other rows."""
    read = rows if routed is None else routed
    logits = matmul(tensors[f"{blk}.ffn_gate_inp.weight"], read) + _vector(tensors, f"{blk}.ffn_gate_inp.bias", 0)
    bias = tensors.get(f"{blk}.exp_probs_b.bias")
    routes = [route(x, one, None if bias is None else bias.floats()) for one in logits]
    scales = tensors.get(f"{blk}.ffn_down_exps.scale")
    if scales is not None:
        routes = [(ids, weights * scales.floats()[ids]) for ids, weights in routes]
    out = np.zeros_like(rows)
    for e in range(x.n):
        own = [(t, weights[ids.index(e)]) for t, (ids, weights) in enumerate(routes) if e in ids]
        if not own:
            continue
        at, by = [t for t, _ in own], np.array([weight for _, weight in own], np.float32)[:, None]
        if x.before:
            out[at] += _expert(tensors, blk, e, act, rows[at] * by)
        else:
            out[at] += _expert(tensors, blk, e, act, rows[at]) * by
    if f"{blk}.ffn_down_shexp.weight" in tensors:
        out = out + _shared(tensors, blk, act, rows)
    return out


def _vector(tensors: dict[str, Tensor], name: str, e: int | None = None) -> F32 | np.float32:
    if name not in tensors:
        return np.float32(0)
    values = tensors[name].floats()
    return values[e] if values.ndim > 1 else values


def _expert(tensors: dict[str, Tensor], blk: str, e: int, act: Act, rows: F32) -> F32:
    def product(name: str, x: F32) -> F32:
        y = matmul(matrix_of(tensors[f"{blk}.{name}_exps.weight"], e), x)
        bias = tensors.get(f"{blk}.{name}_exps.bias")
        return y if bias is None else y + bias.floats()[e]

    return product("ffn_down", gated(act, product("ffn_gate", rows), product("ffn_up", rows)))


def _shared(tensors: dict[str, Tensor], blk: str, act: Act, rows: F32) -> F32:
    gate, up, down = (tensors[f"{blk}.ffn_{one}_shexp.weight"] for one in ("gate", "up", "down"))
    y = matmul(down, gated(act, matmul(gate, rows), matmul(up, rows)))
    router = tensors.get(f"{blk}.ffn_gate_inp_shexp.weight")
    if router is None:
        return y
    row = Tensor(router.type, (1, router.shape[-1]), router.data.reshape(1, -1))
    return y * sigmoid(matmul(row, rows))


def unfused_experts(tensors: dict[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Cut each ffn_gate_up_exps into ffn_gate_exps and ffn_up_exps."""
    out = {}
    for name in names:
        tensor, blk = tensors[name], name.removesuffix(".ffn_gate_up_exps.weight")
        n, rows, n_in = tensor.shape
        data = tensor.data.reshape(n, 2, rows // 2, -1)
        for i, part in enumerate(("gate", "up")):
            own = data[:, i].reshape(n * rows // 2, -1)
            out[f"{blk}.ffn_{part}_exps.weight"] = Tensor(tensor.type, (n, rows // 2, n_in), own)
    return out
