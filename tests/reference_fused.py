"""Tensors that hold the rows of several others, cut into these."""

from __future__ import annotations

from archs import Arch
from gguf_file import Tensor
from reference_experts import unfused_experts


def unfused(tensors: dict[str, Tensor], row: Arch) -> dict[str, Tensor]:
    """Cut attn_qkv into q, k and v, and an ffn_up that lacks its ffn_gate into gate and up: rows in this order.

    k and v have as many rows as each other; q has what attn_output reads.
    """
    out = dict(tensors)
    for name, tensor in tensors.items():
        blk, _, part = name.partition(".attn_qkv.")
        if part and f"{blk}.attn_output.weight" in tensors:   # gated delta nets, which lack it, don't cut it
            n_q = tensors[f"{blk}.attn_output.weight"].shape[1] * (2 if row.has("DELTA_NET") else 1)
            n_kv = (tensor.shape[0] - n_q) // 2
            for one, start, end in (("q", 0, n_q), ("k", n_q, n_q + n_kv), ("v", n_q + n_kv, n_q + 2 * n_kv)):
                out[f"{blk}.attn_{one}.{part}"] = _rows(tensor, start, end)
        blk, _, part = name.partition(".ffn_up.")
        if row.ffn == "GATED" and part == "weight" and f"{blk}.ffn_gate.weight" not in tensors:
            half = tensor.shape[0] // 2
            out[f"{blk}.ffn_gate.weight"] = _rows(tensor, 0, half)
            out[f"{blk}.ffn_up.weight"] = _rows(tensor, half, 2 * half)
    return out | unfused_experts(tensors, [name for name in tensors if name.endswith(".ffn_gate_up_exps.weight")])


def _rows(tensor: Tensor, start: int, end: int) -> Tensor:
    """Return rows of a matrix, or numbers of an F32 vector."""
    if len(tensor.shape) > 1:
        return Tensor(tensor.type, (end - start, *tensor.shape[1:]), tensor.data[start:end])
    return Tensor(tensor.type, (end - start,), tensor.data[:, 4 * start : 4 * end])
