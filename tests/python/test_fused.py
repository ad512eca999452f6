"""Tensors that a file has joined (attn_qkv, gate and up as ffn_up) are cut apart on arrival: not one bit changes.

Nor do layers of different sizes change anything but their own numbers: the reference computes the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gemel
import numpy as np
import pytest
import tiny
import tiny_cases
from archs import ARCHS, DECODERS
from conftest import tiny_bytes
from gemel._choice import load
from gemel.model.loader import Loader
from gemel.model.model import Model
from gguf_file import read_gguf
from reference import Reference

Open = Callable[..., gemel.Model]
FUSED = ("attn_qkv", "gate_up")
IDS = [1, *range(3, 140), 7, 7, 7]   # longer than a micro-batch
FEW = IDS[:20]   # some together, and one alone
ROWS = [name for name, usable in gemel.isas().items() if usable]


def fields_of(format_: str, arch: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"arch": arch, "format": format_, "biases": True}
    if tiny.BLOCKS[format_][0] > 32:
        fields |= {"n_embd": 256, "n_head": 4, "n_head_kv": 2, "n_ff": 256}
    return fields


def logits(model: gemel.Model, ids: list[int] = IDS) -> bytes:
    with model.session() as session:
        session.append(ids[:-1])
        session.append(ids[-1:])
        return bytes(np.asarray(session.logits()).tobytes())


# ---- Joined tensors -------------------------------------------------------------------------------------------------


# An architecture decides which tensors are joined, a format how the bytes of a row are found: neither asks the other.
@pytest.mark.parametrize(("arch", "format_"), tiny_cases.pairs(DECODERS))
def test_joined_tensors_give_the_bits_of_separate_ones(tiny_model: Open, arch: str, format_: str) -> None:
    fields = fields_of(format_, arch)
    plain, joined = tiny_model(**fields), tiny_model(**fields, fused=FUSED)
    names = {tensor.name for tensor in joined.tensors}
    if ARCHS[arch].mixer == "ATTENTION":   # latent attention has other matrices, which no file joins
        kinds = {"weight", "bias"} if ARCHS[arch].may("QKV_BIAS") else {"weight"}
        assert kinds <= {name.rpartition(".")[2] for name in names if ".attn_qkv." in name}
    assert not [name for name in names if "attn_k." in name or "ffn_gate." in name]
    assert (joined.n_params, joined.weight_size) == (plain.n_params, plain.weight_size)
    assert logits(joined) == logits(plain)
    wanted = logits(plain, FEW)   # each row and number of threads reads what is in place now
    for isa in ROWS:
        joined.set_isa(isa)
        for threads in (1, 3):
            joined.set_threads(threads)
            assert logits(joined, FEW) == wanted, (isa, threads)


@pytest.mark.parametrize("fused", [("attn_qkv",), ("gate_up",)])
def test_either_can_be_joined_alone(tiny_model: Open, fused: tuple[str, ...]) -> None:
    assert logits(tiny_model(fused=fused)) == logits(tiny_model())


ODD: dict[str, dict[str, Any]] = {   # parts that end within a panel of 16 rows
    "heads of 8": {"n_embd": 24, "n_head": 3, "n_head_kv": 1, "n_ff": 75, "format": "F32"},
    "heads of 40": {"n_head": 3, "n_head_kv": 1, "head_dim": 40, "n_ff": 96, "formats": {"attn_output": "F16"}},
    "layers with different sizes": {
        "n_layer": 3, "head_dim": 32, "n_head": [4, 2, 3], "n_head_kv": [2, 2, 1], "n_ff": [96, 160, 64],
    },
}  # fmt: skip


def each_arch(fields: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return names of fields with architectures. Layers of nemotron_h have heads or a feed-forward, not both."""
    lists = {name for name, one in fields.items() if isinstance(one.get("n_head_kv"), list)}
    return [(name, arch) for name in fields for arch in DECODERS if arch != "nemotron_h" or name not in lists]


@pytest.mark.parametrize(("name", "arch"), each_arch(ODD))
def test_parts_may_end_at_any_row(tiny_model: Open, name: str, arch: str) -> None:
    fields = {**ODD[name], "arch": arch, "biases": True}
    assert logits(tiny_model(**fields, fused=FUSED)) == logits(tiny_model(**fields))


@pytest.mark.parametrize("size", [7, 100, 1000, 4096])
def test_joined_tensors_arrive_in_pieces_of_any_size(tiny_model: Open, size: int) -> None:
    fields = {**ODD["heads of 40"], "biases": True}
    data = memoryview(tiny_bytes(**fields, fused=FUSED))
    library = load()
    loading = Loader(library, "pieces", [len(data)])
    try:
        assert loading.header(0, data)
        loading.begin(1, None)
        for at in range(0, len(data), size):
            loading.take(at, data[at : at + size])
        with Model(library, loading.finish(), "pieces") as model:
            assert logits(model) == logits(tiny_model(**fields))
    finally:
        loading.close()


def changed(change: Callable[[list[tiny.Tensor]], list[tiny.Tensor]]) -> bytes:
    pairs, tensors = tiny.described(tiny.TinyModel(fused=FUSED, biases=True))
    return tiny.write_gguf(None, pairs, change(tensors))


def shortened(name: str) -> Callable[[list[tiny.Tensor]], list[tiny.Tensor]]:
    """Take the last row, or number, off a tensor."""

    def change(tensors: list[tiny.Tensor]) -> list[tiny.Tensor]:
        out = []
        for one in tensors:
            if one.name == name:
                rows = one.ne[-1]
                size = len(one.data) // rows
                one = tiny.Tensor(one.name, one.type, [*one.ne[:-1], rows - 1], one.data[:-size])
            out.append(one)
        return out

    return change


@pytest.mark.parametrize("name", ["blk.1.attn_qkv.weight", "blk.0.attn_qkv.bias", "blk.0.ffn_up.weight"])
def test_joined_tensors_of_other_sizes_are_named(name: str) -> None:
    with pytest.raises((gemel.FormatError, gemel.UnsupportedError), match=name.replace("ffn_up", "ffn_(up|gate)")):
        gemel.open(changed(shortened(name)))


@pytest.mark.parametrize("part", ["attn_q", "attn_k", "attn_v"])
def test_a_part_beside_the_whole_is_refused(part: str) -> None:
    (extra,) = [one for one in tiny.described(tiny.TinyModel())[1] if one.name == f"blk.1.{part}.weight"]
    # With q there, the parts are separate ones: k is missing.
    kind, said = (gemel.FormatError, "attn_k.weight is missing") if part == "attn_q" else (
        gemel.UnsupportedError, f"unexpected tensor blk.1.{part}.weight"
    )
    with pytest.raises(kind, match=said):
        gemel.open(changed(lambda tensors: [*tensors, extra]))


# ---- Layers with different sizes -------------------------------------------------------------------------------------

SIZES: dict[str, dict[str, Any]] = {
    "heads": {"n_layer": 3, "n_head": [4, 2, 3], "n_head_kv": [2, 2, 1], "head_dim": 32},
    "feed-forward": {"n_layer": 3, "n_ff": [96, 160, 64]},
    "all": ODD["layers with different sizes"],
    "all, K-quants": {
        "n_layer": 2, "n_embd": 256, "head_dim": 64, "n_head": [4, 8], "n_head_kv": [2, 1], "n_ff": [256, 512],
        "format": "Q4_K",
    },
    "an array of equals": {"n_head": [4, 4], "n_head_kv": [2, 2], "n_ff": [96, 96]},
}  # fmt: skip


@pytest.mark.parametrize(("name", "arch"), each_arch(SIZES))
def test_layers_of_their_own_sizes_give_the_references_bits(tiny_model: Open, name: str, arch: str) -> None:
    fields = {**SIZES[name], "arch": arch}
    model = tiny_model(**fields)
    reference = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx, kv_type=model.default_kv_type)
    assert logits(model, IDS[:30]) == reference.logits(IDS[:30])[-1].tobytes()
    wanted = logits(model)
    for isa in ROWS:
        model.set_isa(isa)
        model.set_threads(3)
        assert logits(model) == wanted, isa


@pytest.mark.parametrize("n_head", [[4, 8], [8, 4]])
def test_layers_that_rope_turns_by_other_widths_are_refused(n_head: list[int]) -> None:
    """Without a key for them, the lengths of heads follow from their number: the tables are those of layer 0."""
    data = tiny.tiny_llama(n_layer=2, n_embd=64, n_head=n_head, n_head_kv=[4, 4], head_dim=16, without=(
        "llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count",
    ))  # fmt: skip
    words = r"llama: RoPE rotates \d+ channels in layer 1, but \d+ in layer 0"
    with pytest.raises(gemel.UnsupportedError, match=words):
        gemel.open(data, threads=1)


def test_an_array_of_equals_is_one_number(tiny_model: Open) -> None:
    assert logits(tiny_model(**SIZES["an array of equals"])) == logits(tiny_model())


def test_pages_of_forks_hold_every_layers_own_heads(tiny_model: Open) -> None:
    model = tiny_model(**SIZES["all"])
    with model.session() as session:
        session.append(IDS[:100])
        with session.fork(70) as fork:
            fork.append(IDS[70:101])
            session.append(IDS[100:101])
            assert np.array_equal(fork.logits(), session.logits())
            assert fork.save() == session.save()


@pytest.mark.parametrize("key", ["attention.head_count", "attention.head_count_kv", "feed_forward_length"])
def test_an_array_of_another_length_is_named(key: str) -> None:
    metadata, _ = read_gguf(tiny_bytes())
    number = metadata[f"llama.{key}"]
    pairs, tensors = tiny.described(tiny.TinyModel(kv=[(f"llama.{key}", "i32[]", [number])]))
    with pytest.raises(gemel.FormatError, match=rf"llama\.{key}"):
        gemel.open(tiny.write_gguf(None, pairs, tensors))
