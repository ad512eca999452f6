"""Mixtures of experts: the same bits however rows are batched, shared and split, and errors that name what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gemel
import numpy as np
import pytest
import tiny
from conftest import tiny_bytes
from reference import Reference
from splits import alone, bits
from tiny import Tensor

Open = Callable[..., gemel.Model]
MANY: dict[str, Any] = {"n_ff": 64, "n_ctx": 1024, "experts": {"n": 16, "n_used": 2, "n_groups": 4, "n_groups_used": 2}}
SHARED: dict[str, Any] = {
    "n_layer": 3, "n_ctx": 1024, "format": "Q6_K", "n_embd": 256, "n_ff": 256,
    "experts": {
        "n": 12, "n_used": 3, "shared_width": 512, "n_shared": 2, "n_dense": 1, "gating": 2,
        "scale": 1.5,
    },
}  # fmt: skip
MIXED: dict[str, Any] = {
    "n_ctx": 1024, "n_ff": 96, "experts": {"n": 9, "n_used": 4},
    "formats": {"ffn_up_exps": "F16", "ffn_gate_inp": "Q8_0", "ffn_down_exps": "MXFP4"},
}  # fmt: skip
ODD: dict[str, Any] = {
    "n_embd": 60, "n_head": 5, "n_head_kv": 1, "n_ff": 77, "n_ctx": 1024, "format": "F32",
    "experts": {
        "n": 5, "n_used": 3, "fused": True, "n_ff": 35, "shared_width": 41,
        "says_shared": True,
    },
}  # fmt: skip
BEFORE: dict[str, Any] = {
    "arch": "llama4", "n_layer": 3, "n_ctx": 1024, "window": 50, "experts": {"n": 12, "n_used": 3},
    "formats": {"ffn_gate_exps": "F16"},
}  # fmt: skip
MODELS = {"many": MANY, "shared": SHARED, "mixed formats": MIXED, "odd sizes": ODD, "weights before experts": BEFORE}
IDS = [(7 * i + i * i // 5) % 300 for i in range(700)]  # longer than a micro-batch of 512


@pytest.mark.parametrize("name", MODELS)
def test_any_split_and_number_of_threads_gives_the_same_logits(tiny_model: Open, name: str) -> None:
    model = tiny_model(**MODELS[name])
    expected = alone(model, IDS, 1)
    for threads in (1, 2, 3, 5, 8):
        model.set_threads(threads)
        for split in (len(IDS), 130, 511):
            assert alone(model, IDS, split) == expected, (threads, split)
        for split in (2, 3):   # many passes
            assert alone(model, IDS, split, start=540) == expected, (threads, split)


@pytest.mark.parametrize("name", MODELS)
def test_every_instruction_set_gives_the_references_bits(tiny_model: Open, name: str) -> None:
    model, ids = tiny_model(threads=3, **MODELS[name]), IDS[:150]
    expected = Reference(tiny_bytes(**MODELS[name]), n_ctx=1024, kv_type="q8_0").logits(ids)[-1].tobytes()
    for isa in (isa for isa, usable in gemel.isas().items() if usable):
        model.set_isa(isa)
        assert alone(model, ids, 150) == expected, isa


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_strangers_in_a_pass_change_nothing(tiny_model: Open, name: str, threads: int) -> None:
    model = tiny_model(threads=threads, **MODELS[name])
    prompts = [IDS[:3], IDS[90:91], IDS[200:330], IDS[400:405]]
    sessions = [model.session(512) for _ in prompts]
    for session, prompt in zip(sessions, prompts, strict=True):
        session.append(prompt)
    for id in (11, 12):
        assert model.decode(sessions, [id] * len(prompts)) == [None] * len(prompts)
    for session, prompt in zip(sessions, prompts, strict=True):
        assert bits(session) == alone(model, [*prompt, 11, 12], 1)


def test_forks_have_the_bits_of_sessions_alone(tiny_model: Open) -> None:
    model = tiny_model(threads=2, **SHARED)
    with model.session() as one:
        one.append(IDS[:100])
        with one.fork() as other:
            one.append([1, 2, 3])
            other.append([4])
            assert bits(one) == alone(model, [*IDS[:100], 1, 2, 3], 50)
            assert bits(other) == alone(model, [*IDS[:100], 4], 50)


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_that_is_evaluated_while_loading_gives_the_same_text(name: str) -> None:
    def text(model: gemel.Model) -> str:
        with model:
            return model.generate(IDS[:150], max_tokens=8, temperature=0).read()

    data = tiny_bytes(**MODELS[name])
    assert text(gemel.open(data, prompt=IDS[:150], threads=2)) == text(gemel.open(data, threads=2))


def test_a_joined_tensor_gives_the_bits_of_separate_ones(tiny_model: Open) -> None:
    plain, joined = ({**MANY, "experts": {**MANY["experts"], "fused": fused}} for fused in (False, True))
    models = [tiny_model(**fields) for fields in (plain, joined)]
    assert "blk.0.ffn_gate_up_exps.weight" in {tensor.name for tensor in models[1].tensors}
    assert alone(models[0], IDS[:50], 50) == alone(models[1], IDS[:50], 50)


@pytest.mark.parametrize(("n", "n_used", "n_batch"), [(4, 2, 128), (8, 2, 256), (16, 2, 512), (64, 8, 512)])
def test_a_micro_batch_is_large_enough_for_many_experts(tiny_model: Open, n: int, n_used: int, n_batch: int) -> None:
    fields = {"n_ff": 32, "experts": {"n": n, "n_used": n_used}}
    assert tiny_model(**fields).n_batch == n_batch
    small = gemel.plan(tiny_bytes(n_ff=32), n_ctx=100)
    assert gemel.plan(tiny_bytes(**fields), n_ctx=100).workspace > small.workspace * n_batch / 128


def test_decoding_counts_the_experts_of_one_token(tiny_model: Open) -> None:
    dense, few, many = (tiny_model(n_ff=64, experts=x) for x in (None, {"n": 2, "n_used": 2}, {"n": 40, "n_used": 2}))
    router = 2 * 64 * 38  # rows of both layers' routers
    assert many.decode_macs - few.decode_macs == router
    assert few.decode_macs - dense.decode_macs == 2 * (3 * 64 * 64 + 64 * 2)


def test_equal_logits_choose_the_lower_ids(tiny_model: Open) -> None:
    zeros = Tensor("blk.0.ffn_gate_inp.weight", "F32", [64, 8], bytes(4 * 64 * 8))
    fields: dict[str, Any] = {"n_layer": 1, "n_ff": 64, "format": "F32"}
    pairs, tensors = tiny.described(tiny.TinyModel(**fields, experts={"n": 8, "n_used": 2}))
    tensors = [zeros if tensor.name == zeros.name else tensor for tensor in tensors]
    first = {"gate": 4 * 64 * 64 * 2, "up": 4 * 64 * 64 * 2, "down": 4 * 64 * 64 * 2}
    others = [
        Tensor(t.name, t.type, t.ne, t.data[:size] + bytes(len(t.data) - size))
        if (size := first.get(str(t.name).removeprefix("blk.0.ffn_").removesuffix("_exps.weight"), 0)) else t
        for t in tensors
    ]
    found = []
    for one in (tensors, others):
        with gemel.open(tiny.write_gguf(None, pairs, one), threads=1) as model:
            found.append(alone(model, IDS[:9], 9))
    assert found[0] == found[1]


# ---- Errors ----------------------------------------------------------------------------------------------------------


def refused(match: str, fields: dict[str, Any], kind: type[Exception] = gemel.FormatError) -> None:
    with pytest.raises(kind, match=re.escape(match)):
        gemel.open(tiny_bytes(**fields))
    with pytest.raises(kind, match=re.escape(match)):
        gemel.plan(tiny_bytes(**fields), n_ctx=1)


X = {"n": 8, "n_used": 2}
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("llama.expert_count is 1025; it must be 0 to 1024", {"kv": [("llama.expert_count", "u32", 1025)]}),
    ("llama.expert_used_count is 0; it must be 1 to 8", {"kv": [("llama.expert_used_count", "u32", 0)]}),
    ("llama.expert_used_count is 9; it must be 1 to 8", {"kv": [("llama.expert_used_count", "u32", 9)]}),
    ("the metadata key llama.expert_used_count is missing", {"without": ("llama.expert_used_count",)}),
    ("expert_count is 8: it must be a multiple of expert_group_count, 3", {"experts": {**X, "n_groups": 3}}),
    (
        "expert_used_count is 3, but with expert_group_used_count 1 of 4 groups only 2 can be chosen",
        {"experts": {"n": 8, "n_used": 3, "n_groups": 4, "n_groups_used": 1}},
    ),
    ("expert_group_used_count is 5; it must be 0 to 4", {"experts": {**X, "n_groups": 4, "n_groups_used": 5}}),
    ("expert_shared_count is 1024: that many experts of length 4194304", {"kv": [
        ("llama.expert_shared_count", "u32", 1024), ("llama.expert_feed_forward_length", "u32", 1 << 22),
    ]}),
    ("\"llama.leading_dense_block_count\" is -128; it must be 0 to", {
        "kv": [("llama.leading_dense_block_count", "i8", -128)],
    }),
    ("the tensor blk.1.ffn_up_exps.weight is missing", {"without": ("blk.1.ffn_up_exps.weight",)}),
    ("the tensor blk.0.ffn_gate_inp.weight is missing", {"without": ("blk.0.ffn_gate_inp.weight",)}),
    ("the tensor blk.0.ffn_gate.weight is missing", {"kv": [("llama.leading_dense_block_count", "u32", 1)]}),
    ("the tensor blk.0.ffn_gate_shexp.weight is missing", {"kv": [("llama.expert_shared_count", "u32", 1)]}),
    (
        "blk.0.ffn_gate_inp.weight is [64, 8, 1, 1]; by the metadata it must be [64, 6]",
        {"kv": [("llama.expert_count", "u32", 6)]},
    ),
    (
        "blk.0.ffn_gate_exps.weight is [64, 96, 8, 1]; by the metadata it must be [64, 32, 8]",
        {"kv": [("llama.expert_feed_forward_length", "u32", 32)]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("match", "fields"), WRONG)
def test_what_a_file_contradicts_is_named(match: str, fields: dict[str, Any]) -> None:
    refused(match, {"experts": X, **fields})


def test_an_unknown_router_is_refused() -> None:
    match = "llama.expert_gating_func is 4, which is not supported (supported: 1, softmax; 2, sigmoid; 3, softmax of"
    refused(match, {"experts": {**X, "gating": 4}}, gemel.UnsupportedError)


def test_groups_of_a_router_that_has_none_are_refused() -> None:
    groups = [("phimoe.expert_group_count", "u32", 4), ("phimoe.expert_group_used_count", "u32", 1)]
    refused("phimoe.expert_group_count is 4: this router has no groups", {
        "arch": "phimoe", "experts": X, "kv": groups,
    }, gemel.UnsupportedError)  # fmt: skip


def test_a_bias_of_choice_whose_sums_could_overflow_is_refused() -> None:
    model = tiny.TinyModel(arch="glm4moe", experts={"n": 8, "n_used": 2})
    pairs, tensors = tiny.described(model)
    huge = np.full(8, -3e38, np.float32).tobytes()
    changed = [replace(t, data=huge) if str(t.name).endswith("exp_probs_b.bias") else t for t in tensors]
    with pytest.raises(gemel.FormatError, match=r"exp_probs_b\.bias: number 0 is .*must be below 2\^57"):
        gemel.open(tiny.write_gguf(None, pairs, changed))


def test_experts_of_an_architecture_that_has_none_are_refused() -> None:
    refused("qwen2.expert_count is 8: a mixture of experts is not supported", {
        "arch": "qwen2", "kv": [("qwen2.expert_count", "u32", 8)],
    }, gemel.UnsupportedError)  # fmt: skip


def test_files_with_a_tensor_for_each_expert_are_to_be_converted_again() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(experts=X))
    old = [Tensor(f"blk.0.{one}.0.weight", "F32", [64, 96], bytes(4 * 64 * 96)) for one in ("ffn_gate", "ffn_up")]
    kept = [tensor for tensor in tensors if "_exps." not in str(tensor.name)]
    match = r"has a tensor for each expert \(blk\.0\.ffn_gate\.0\.weight\).*convert the model again"
    with pytest.raises(gemel.UnsupportedError, match=match):
        gemel.open(tiny.write_gguf(None, pairs, [*kept, *old]))


def test_a_router_whose_logits_overflow_is_an_error_of_its_session(tiny_model: Open) -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(format="F32", experts=X))
    huge = np.full((8, 64), 3e38, np.float32).tobytes()
    name = "blk.1.ffn_gate_inp.weight"
    tensors = [Tensor(name, "F32", [64, 8], huge) if tensor.name == name else tensor for tensor in tensors]
    with gemel.open(tiny.write_gguf(None, pairs, tensors), threads=2) as model, model.session() as session:
        for ids in ([5], [1, 2, 3]):
            with pytest.raises(gemel.NumericError):
                session.append(ids)
