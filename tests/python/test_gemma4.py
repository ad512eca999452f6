"""Layers of Gemma 4 that read the keys of earlier ones, that have embeddings of ids, or experts: the same bits."""

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

Open = Callable[..., gemel.Model]
SHARED: dict[str, Any] = {
    "arch": "gemma4", "n_layer": 6, "shared_kv": 3, "wide_shared": True, "window": 50, "n_ctx": 1024, "head_dim": 32,
    "head_dim_swa": 16,
}  # fmt: skip
OWN: dict[str, Any] = {**SHARED, "per_layer": 64}
ODD: dict[str, Any] = {
    "arch": "gemma4", "n_embd": 60, "n_head": 5, "n_head_kv": 1, "n_ff": 77, "format": "F32", "n_layer": 3,
    "per_layer": 13, "head_dim": 24, "head_dim_swa": 12, "tied": True, "n_ctx": 1024,
}  # fmt: skip
EXPERTS: dict[str, Any] = {
    "arch": "gemma4", "n_layer": 3, "window": 50, "window_pattern": [True, False, True], "k_is_v": True,
    "n_head_kv": [2, 1, 2], "head_dim": 32, "head_dim_swa": 16, "n_ctx": 1024, "n_ff": 160,
    "experts": {"n": 24, "n_used": 4, "n_ff": 64}, "formats": {"ffn_up_exps": "F16", "ffn_gate_inp": "Q8_0"},
}  # fmt: skip
WIDE: dict[str, Any] = {
    "arch": "gemma4", "n_ff": 512, "n_ctx": 1024, "experts": {"n": 4, "n_used": 1, "n_ff": 32, "fused": True},
}  # fmt: skip
LONG: dict[str, Any] = {**EXPERTS, "n_ff": 32, "experts": {"n": 6, "n_used": 6, "n_ff": 96, "scales": False}}
ALL: dict[str, Any] = {**ODD, "n_layer": 4, "shared_kv": 2, "experts": {"n": 7, "n_used": 3, "n_ff": 35}}
MODELS = {
    "shared keys": SHARED, "embeddings of layers": OWN, "odd sizes": ODD, "experts": EXPERTS,
    "experts shorter than the dense one": WIDE, "experts longer than the dense one": LONG,
    "experts, shared keys, embeddings of layers, odd sizes": ALL,
}  # fmt: skip
IDS = [(7 * i + i * i // 5) % 300 for i in range(300)]  # longer than two micro-batches


@pytest.mark.parametrize("name", MODELS)
def test_any_split_and_number_of_threads_gives_the_same_logits(tiny_model: Open, name: str) -> None:
    model = tiny_model(**MODELS[name])
    expected = alone(model, IDS, 1)
    for threads in (1, 2, 3, 5, 8):
        model.set_threads(threads)
        for split in (len(IDS), 130):
            assert alone(model, IDS, split) == expected, (threads, split)
        for split in (2, 3):   # many passes
            assert alone(model, IDS, split, start=220) == expected, (threads, split)


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
    prompts = [IDS[:3], IDS[90:91], IDS[:130], IDS[200:205]]
    sessions = [model.session(512) for _ in prompts]
    for session, prompt in zip(sessions, prompts, strict=True):
        session.append(prompt)
    for id in (11, 12):
        assert model.decode(sessions, [id] * len(prompts)) == [None] * len(prompts)
    for session, prompt in zip(sessions, prompts, strict=True):
        assert bits(session) == alone(model, [*prompt, 11, 12], 1)


@pytest.mark.parametrize("name", MODELS)
def test_forks_scores_and_hidden_states_are_those_of_a_session_alone(tiny_model: Open, name: str) -> None:
    model = tiny_model(threads=2, **MODELS[name])
    with model.session() as one:
        one.append(IDS[:100])
        with one.fork() as other:
            one.append([1, 2, 3])
            other.append([4])
            assert bits(one) == alone(model, [*IDS[:100], 1, 2, 3], 50)
            assert bits(other) == alone(model, [*IDS[:100], 4], 50)
    with model.session() as one, model.session() as other:
        assert one.score(IDS[:140])[0] == [p for at in range(0, 140, 7) for p in other.score(IDS[at : at + 7])[0]]


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_that_is_evaluated_while_loading_gives_the_same_text(name: str) -> None:
    def text(model: gemel.Model) -> str:
        with model:
            return model.generate(IDS[:150], max_tokens=8, temperature=0).read()

    data = tiny_bytes(**MODELS[name])
    assert text(gemel.open(data, prompt=IDS[:150], threads=2)) == text(gemel.open(data, threads=2))


def test_experts_without_scales_are_those_whose_scales_are_1() -> None:
    fields = {**EXPERTS, "format": "F32", "formats": None, "hashed": True}
    pairs, tensors = tiny.described(tiny.TinyModel(**fields))
    kept = [t for t in tensors if not str(t.name).endswith("ffn_down_exps.scale")]
    ones = [tiny.vector(str(t.name), np.ones(24)) if t not in kept else t for t in tensors]
    found = []
    for one in (kept, ones, tensors):
        with gemel.open(tiny.write_gguf(None, pairs, one), threads=1) as model:
            found.append(alone(model, IDS[:40], 40))
    assert found[0] == found[1] != found[2]


def test_layers_that_share_keys_take_no_memory_for_them() -> None:
    alone, shared = (gemel.plan(tiny_bytes(**{**SHARED, "shared_kv": n, "wide_shared": False}), n_ctx=512)
                     for n in (0, 2))   # fmt: skip
    assert 3 * shared.cache == 2 * alone.cache
    assert shared.weights < alone.weights


def test_keys_of_a_layer_that_shares_them_are_not_read() -> None:
    fields = {**SHARED, "format": "F32", "hashed": True, "wide_shared": False}
    pairs, tensors = tiny.described(tiny.TinyModel(**fields))
    _, every = tiny.described(tiny.TinyModel(**{**fields, "shared_kv": 0}))
    assert len(every) == len(tensors) + 9
    found = []
    for one in (tensors, every):
        with gemel.open(tiny.write_gguf(None, pairs, one), threads=1) as model:
            found.append(alone(model, IDS[:40], 40))
    assert found[0] == found[1]


# ---- Errors ----------------------------------------------------------------------------------------------------------


BESIDE: dict[str, Any] = {**EXPERTS, "shared_kv": 0, "wide_shared": False}


def u32(key: str, value: int) -> dict[str, Any]:
    return {"kv": ((f"gemma4.{key}", "u32", value),)}


@pytest.mark.parametrize(("match", "fields"), [
    ("gemma4.attention.shared_kv_layers is 6; it must be 0 to 5", u32("attention.shared_kv_layers", 6)),
    # Under the sanitizers: nothing is computed with a number that is refused.
    ("gemma4.attention.shared_kv_layers is 2147483648; it must be 0 to 5", u32("attention.shared_kv_layers", 1 << 31)),
    ("gemma4.attention.shared_kv_layers: layer 1 reads keys of the last layer before 1 that is without a window, but "
     "there is none", {"shared_kv": 5}),
    ("gemma4.attention.head_count_kv: layer 5 has 1 heads, but it reads those of layer 1, which has 2",
     {"n_head_kv": [2] * 5 + [1]}),
    ("gemma4.embedding_length_per_layer_input is 65537; it must be 0 to 65536",
     u32("embedding_length_per_layer_input", 65537)),
    ("the tensor per_layer_token_embd.weight is missing", u32("embedding_length_per_layer_input", 64)),
    ("the tensor blk.2.inp_gate.weight is missing", {"per_layer": 64, "without": ("blk.2.inp_gate.weight",)}),
    ("the tensor blk.0.post_norm.weight is missing", {"per_layer": 64, "without": ("blk.0.post_norm.weight",)}),
    *((f"the tensor blk.1.{name} is missing", {**BESIDE, "without": (f"blk.1.{name}",)}) for name in (
        "ffn_gate_inp.scale", "pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight",
        "ffn_gate.weight", "ffn_down_exps.weight",
    )),
    ("the tensor blk.0.ffn_gate_inp.weight is missing", {**SHARED, "kv": (
        ("gemma4.expert_count", "u32", 8), ("gemma4.expert_used_count", "u32", 2),
    )}),
    ("blk.0.ffn_gate_inp.weight is [64, 24, 1, 1]; by the metadata it must be [64, 12]",
     {**BESIDE, **u32("expert_count", 12)}),
    ("the metadata key gemma4.expert_used_count is missing",
     {**BESIDE, "without": ("gemma4.expert_used_count",)}),
])
def test_what_a_file_contradicts_is_named(match: str, fields: dict[str, Any]) -> None:
    data = tiny_bytes(**{**SHARED, **fields})
    for take in (gemel.open, lambda data: gemel.plan(data, n_ctx=1)):
        with pytest.raises(gemel.FormatError, match=re.escape(match)):
            take(data)


def test_embeddings_of_layers_without_their_key_are_refused() -> None:
    data = tiny_bytes(**OWN, kv=(("gemma4.embedding_length_per_layer_input", "u32", 0),))
    with pytest.raises(gemel.UnsupportedError, match=r"unexpected tensor per_layer_token_embd\.weight"):
        gemel.open(data)


def test_experts_without_their_key_are_refused() -> None:
    data = tiny_bytes(**EXPERTS, without=("gemma4.expert_count",))
    with pytest.raises(gemel.UnsupportedError, match=r"unexpected tensor blk\.0\.ffn_gate_inp\.weight"):
        gemel.open(data)


@pytest.mark.parametrize("name", ["ffn_down_exps.scale", "ffn_gate_inp.scale", "post_ffw_norm_1.weight"])
def test_scales_that_overflow_are_an_error_of_their_session(name: str) -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(**{**EXPERTS, "format": "F32", "formats": None}))
    huge = [replace(t, data=np.full(len(t.data) // 4, 3e38, np.float32).tobytes())
            if str(t.name) == f"blk.1.{name}" else t for t in tensors]   # fmt: skip
    with gemel.open(tiny.write_gguf(None, pairs, huge), threads=2) as model, model.session() as session:
        for ids in ([5], [1, 2, 3]):
            with pytest.raises(gemel.NumericError):
                session.append(ids)


def test_embeddings_in_place_of_ids_are_refused_where_layers_need_ids(tiny_model: Open) -> None:
    model = tiny_model(**OWN)
    rows = np.zeros((2, model.n_embd), np.float32)
    with model.session() as session:
        with pytest.raises(gemel.UnsupportedError, match="evaluating 2 rows: this is not supported"):
            session.append_rows(rows)
        with pytest.raises(gemel.UnsupportedError, match="evaluating layers 0 to 6: this is not supported"):
            session.layers(rows, 0, 6)
        assert session.n_past == 0
        session.append(IDS[:5])


def test_a_layer_without_the_one_whose_keys_it_reads_is_refused(tiny_model: Open) -> None:
    model = tiny_model(**SHARED)
    rows = np.ones((2, model.n_embd), np.float32)
    with model.session() as session:
        with pytest.raises(gemel.UnsupportedError, match="evaluating layers 3 to 6: this is not supported"):
            session.layers(rows, 3, 6)
        assert session.n_past == 0
        assert session.layers(rows, 1, 6).shape == rows.shape


def test_a_table_whose_numbers_overflow_is_an_error_of_its_session() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(**{**OWN, "format": "F32"}))
    name = "per_layer_token_embd.weight"
    huge = [replace(t, data=np.full(len(t.data) // 4, 3e38, np.float32).tobytes()) if t.name == name else t
            for t in tensors]   # fmt: skip
    with gemel.open(tiny.write_gguf(None, pairs, huge), threads=2) as model, model.session() as session:
        for ids in ([5], [1, 2, 3]):
            with pytest.raises(gemel.NumericError):
                session.append(ids)
