"""Latent attention in whole sessions: forks, strangers in a step, prompts that ride along; and what files may say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import gemel
import pytest
import tiny
import tiny_cases
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType

OpenTiny = Callable[..., gemel.Model]
CASES = tiny_cases.of("deepseek2")
IDS = [(11 * i + i * i // 7) % 300 for i in range(300)]


def logits_of(session: gemel.Session) -> bytes:
    return bytes(memoryview(session.logits()).cast("B"))


def alone(model: gemel.Model, ids: list[int], kv_type: KvType) -> bytes:
    with model.session(512, kv_type=kv_type) as session:
        session.append(ids)
        return logits_of(session)


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("name", CASES)
def test_forks_and_strangers_have_the_bits_of_a_session_alone(tiny_model: OpenTiny, name: str, kv_type: KvType) -> None:
    model = tiny_model(**CASES[name])
    for threads in (1, 3):
        model.set_threads(threads)
        with model.session(512, kv_type=kv_type) as one, model.session(512, kv_type=kv_type) as stranger:
            one.append(IDS[:100])
            stranger.append(IDS[200:207])
            with one.fork(70) as other:
                parts = [IDS[100:130], IDS[207:208], IDS[30:31]]
                drawn = model.step([one, stranger, other], parts, logits=True)
                assert [each.error for each in drawn] == [None] * 3
                assert logits_of(one) == alone(model, IDS[:130], kv_type)
                assert logits_of(stranger) == alone(model, IDS[200:208], kv_type)
                assert logits_of(other) == alone(model, IDS[:70] + IDS[30:31], kv_type)


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_evaluated_while_loading_gives_the_same_logits(name: str) -> None:
    data = tiny_bytes(**CASES[name])
    with gemel.open(data, threads=2) as model, model.session() as session:
        session.append(IDS)
        wanted = logits_of(session)
    with gemel.open(data, threads=2, prompt=IDS) as model:
        assert model._preloaded is not None
        assert bytes(model._preloaded.logits()) == wanted


@pytest.mark.parametrize("name", CASES)
def test_a_saved_session_goes_on_with_the_same_bits(tiny_model: OpenTiny, name: str) -> None:
    model = tiny_model(**CASES[name])
    with model.session() as one, model.session() as other:
        one.append(IDS[:100])
        other.restore(one.save())
        one.append(IDS[100:105])
        other.append(IDS[100:105])
        assert logits_of(one) == logits_of(other)


# ---- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_of_the_older_form_is_to_be_converted_again() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(arch="deepseek2"))
    renamed = [replace(one, name=str(one.name).replace("attn_k_b", "attn_kv_b")) for one in tensors]
    kept = [pair for pair in pairs if not str(pair[0]).endswith("_mla")]
    with pytest.raises(gemel.UnsupportedError, match="attn_kv_b instead of attn_k_b and attn_v_b.*convert the model"):
        gemel.open(tiny.write_gguf(None, kept, renamed))


WRONG = {
    "deepseek2.attention.head_count_kv": (4, "must be 1"),
    "deepseek2.attention.key_length": (81, "must be 80"),
    "deepseek2.attention.value_length": (80, "must be 64"),
    "deepseek2.attention.key_length_mla": (16, "must be over rope.dimension_count, 16"),
    "deepseek2.attention.value_length_mla": (1000, "4 heads of length 1000 are too large"),
    "deepseek2.attention.kv_lora_rank":
        (1020, "kv_lora_rank is 1020 and rope.dimension_count 16: together at most 1024"),
    "deepseek2.attention.q_lora_rank": (65, "q_lora_rank is 65"),
    "deepseek2.rope.dimension_count": (15, "must be 79|must be even"),
}


def test_a_clamp_is_refused_and_not_ignored() -> None:
    with pytest.raises(gemel.UnsupportedError, match=r"attention\.clamp_kqv is 0\.5: a clamp of latent attention"):
        gemel.open(tiny_bytes(arch="deepseek2", kv=(("deepseek2.attention.clamp_kqv", "f32", 0.5),)))


@pytest.mark.parametrize("key", WRONG)
def test_lengths_that_contradict_each_other_are_refused(key: str) -> None:
    value, message = WRONG[key]
    without = ("deepseek2.attention.key_length", "deepseek2.attention.value_length")
    data = tiny_bytes(arch="deepseek2", without=() if key in without else without, kv=((key, "u32", value),))
    with pytest.raises(gemel.FormatError, match=message):
        gemel.open(data)


def test_a_temperature_of_attention_is_refused() -> None:
    with pytest.raises(gemel.UnsupportedError, match="temperature of attention"):
        gemel.open(tiny_bytes(arch="deepseek2", kv=(("deepseek2.attention.temperature_scale", "f32", 0.1),)))


@pytest.mark.parametrize("part", ["attn_k_b", "attn_v_b", "attn_kv_a_mqa", "attn_kv_a_norm", "attn_q"])
def test_a_missing_tensor_is_named(part: str) -> None:
    name = f"blk.1.{part}.weight"
    with pytest.raises(gemel.FormatError, match=re.escape(name)):
        gemel.open(tiny_bytes(arch="deepseek2", without=(name,)))


def test_a_stack_of_another_number_of_matrices_is_refused() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(arch="deepseek2"))
    fewer = [replace(one, ne=[*one.ne[:2], 3]) if "attn_k_b." in str(one.name) else one for one in tensors]
    with pytest.raises(gemel.FormatError, match=r"attn_k_b\.weight is \[32, 64, 3, 1\].*must be \[32, 64, 4\]"):
        gemel.open(tiny.write_gguf(None, pairs, fewer))
