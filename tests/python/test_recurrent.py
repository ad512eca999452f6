"""Recurrent layers: a state beside the KV cache. Cut, forked, saved, batched, drafted: the bits of a session alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gemel
import numpy as np
import pytest
from conftest import tiny_bytes
from gemel.core import abi
from saved_states import sealed

OpenTiny = Callable[..., gemel.Model]
MODELS: dict[str, dict[str, Any]] = {
    "lfm2": {"arch": "lfm2", "n_layer": 3},
    "lfm2moe": {"arch": "lfm2moe", "n_layer": 3},
    "qwen35": {"arch": "qwen35", "n_layer": 3},
    "qwen35moe": {"arch": "qwen35moe", "n_layer": 2},
    "qwen3next": {"arch": "qwen3next", "n_layer": 3, "delta_dims": (24, 40)},
    "mamba": {"arch": "mamba"},
    "mamba2": {"arch": "mamba2", "ssm_groups": 2},
    "falcon-h1": {"arch": "falcon-h1"},
    "granitehybrid": {"arch": "granitehybrid", "experts": {"n": 4}},
    "nemotron_h": {"arch": "nemotron_h", "n_layer": 4},
    "rwkv7": {"arch": "rwkv7", "n_layer": 3},
    "arwkv7": {"arch": "arwkv7"},
}  # fmt: skip
IDS = [(7 * i + i * i // 5) % 300 for i in range(330)]
ENDS = [0, 1, 63, 64, 65, 100, 127, 128, 129, 192, 259, 299, 300]   # of cuts, of a session that has 300 ids


def bits(session: gemel.Session) -> bytes:
    return bytes(memoryview(session.logits()).cast("B"))


@pytest.fixture(scope="module", params=MODELS)
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[gemel.Model, dict[int, bytes]]]:
    """Return a model, and the logits after so many of IDS, evaluated one by one."""
    with gemel.open(tiny_bytes(n_ctx=512, **MODELS[request.param]), threads=1) as model, model.session() as alone:
        expected = {}
        for i, id in enumerate(IDS):
            alone.append([id])
            expected[i + 1] = bits(alone)
        yield model, expected


@pytest.fixture
def model(opened: tuple[gemel.Model, dict[int, bytes]]) -> gemel.Model:
    return opened[0]


@pytest.fixture
def expected(opened: tuple[gemel.Model, dict[int, bytes]]) -> dict[int, bytes]:
    return opened[1]


@pytest.fixture
def session(model: gemel.Model) -> Iterator[gemel.Session]:
    """Return a session of 300 ids: a prompt, and some one by one."""
    with model.session() as session:
        session.append(IDS[:260])
        for id in IDS[260:300]:
            session.append([id])
        yield session


def test_it_is_cut_anywhere(session: gemel.Session, expected: dict[int, bytes]) -> None:
    assert bits(session) == expected[300]
    for n in reversed(ENDS):
        session.truncate(n)
        assert session.ids == IDS[:n]
        session.append(IDS[n : n + 3])
        assert bits(session) == expected[n + 3], n
        session.truncate(n)   # where it is not evaluated


def test_it_is_forked_anywhere(session: gemel.Session, expected: dict[int, bytes]) -> None:
    with ExitStack() as stack:
        forks = [(n, stack.enter_context(session.fork(n))) for n in ENDS]
        session.append(IDS[300:310])
        for n, fork in forks:
            fork.append(IDS[n : n + 20])
            assert bits(fork) == expected[n + 20], n
            with fork.fork() as again:   # two on one state
                again.append(IDS[n + 20 : n + 21])
                fork.append(IDS[n + 20 : n + 22])
                assert (bits(again), bits(fork)) == (expected[n + 21], expected[n + 22])
        assert bits(session) == expected[310]


def test_sync_evaluates_what_follows_a_state_that_was_kept(session: gemel.Session, expected: dict[int, bytes]) -> None:
    other = (IDS[299] + 1) % 300
    assert session.sync([*IDS[:299], other]) == 300 - 260   # the prompt's end
    assert session.sync(IDS[:260]) == 1                      # the last id has the logits
    assert bits(session) == expected[260]
    assert session.sync([*IDS[:200], other]) == 201 - 192
    assert session.sync(IDS[:300]) == 300 - 200   # before the last id of what was appended
    assert bits(session) == expected[300]


def test_saved_anywhere_it_goes_on(session: gemel.Session, model: gemel.Model, expected: dict[int, bytes]) -> None:
    for n in (300, 299, 190, 64, 1, 0):
        session.truncate(n)
        state = session.save()   # its state may be of fewer ids
        with model.session() as restored:
            restored.append(IDS[50:130])
            restored.restore(state)
            restored.append(IDS[n : n + 9])
            assert bits(restored) == expected[n + 9]
            restored.truncate(n)
            restored.append(IDS[n : n + 1])
            assert bits(restored) == expected[n + 1]


def test_a_changed_state_is_refused(model: gemel.Model) -> None:
    with model.session() as session:
        session.append(IDS[:70])
        state = bytearray(session.save())
        logits = (4 * model.n_vocab + 7) // 8 * 8
        for value in (float("inf"), float("nan")):
            changed = bytearray(state)
            at = len(state) - logits - 4 * ((model.state_size // 4 + 1) // 2 * 2)
            changed[at : at + 4] = struct.pack("<f", value)
            with pytest.raises(gemel.StateError, match="a number of the recurrent layers is Inf or NaN"):
                session.restore(bytes(sealed(changed)))
        for place in (-1, 71, 1 << 30):
            changed = bytearray(state)
            changed[60:64] = struct.pack("<i", place)
            with pytest.raises(gemel.StateError, match="impossible values"):
                session.restore(bytes(sealed(changed)))
        changed = bytearray(state)
        changed[60:64] = struct.pack("<i", 64)   # six ids are evaluated again
        changed[64 + 4 * 66 : 64 + 4 * 67] = struct.pack("<i", -1)
        with pytest.raises(gemel.StateError, match="id -1 at index 66"):
            session.restore(bytes(sealed(changed)))
        assert session.ids == IDS[:70]


def test_embeddings_can_not_be_evaluated_again(model: gemel.Model) -> None:
    with model.session() as session:
        session.append(IDS[:60])
        session.append_rows(np.ones((30, model.n_embd), np.float32))
        session.append(IDS[:1])
        for n in (70, 75, 88):
            places = rf"going back to {n} ids is not supported here: .*; 64 and 89 ids are possible"
            with pytest.raises(gemel.UnsupportedError, match=f"truncate: {places}"):
                session.truncate(n)
            with pytest.raises(gemel.UnsupportedError, match=f"fork: {places}"):
                session.fork(n)
        assert session.n_past == 91
        session.truncate(90)   # the end of what was appended
        session.truncate(89)
        session.truncate(64)
        session.truncate(59)
        assert session.ids == IDS[:59]


def test_strangers_and_parts_of_any_size(model: gemel.Model, expected: dict[int, bytes]) -> None:
    for split in (1, 2, 3, 31, 64, 127, 128, 300):
        with model.session() as session:
            for at in range(0, 130, split):
                session.append(IDS[at : min(at + split, 130)])
            assert bits(session) == expected[130], split


def test_a_batch_shares_what_prompts_begin_with(model: gemel.Model) -> None:
    prompts = [[*IDS[:200], *range(i, i + 5)] for i in range(1, 5)]
    alone = []
    for ids in prompts:
        with model.session() as session:
            alone.append("".join(session.generate(ids, max_tokens=9, seed=3)))
    with model.batch() as batch:
        answers = [batch.generate(ids, max_tokens=9, seed=3) for ids in prompts]
        assert ["".join(answer) for answer in answers] == alone
        assert [answer.timings.n_cached for answer in answers] == [0, 200, 200, 200]
        again = batch.generate([*IDS[:200], 7], max_tokens=9, seed=3)
        assert len("".join(again)) > 0
        assert again.timings.n_cached == 200


def test_a_cancelled_pass_leaves_the_state_as_it_was(model: gemel.Model, expected: dict[int, bytes]) -> None:
    with model.session() as session:
        session.append(IDS[:100])
        session.cancel()
        with pytest.raises(gemel.CancelledError):
            session.append(IDS[100:150])
        session.truncate(80)
        session.cancel()
        with pytest.raises(gemel.CancelledError):   # what is evaluated again first
            session.append(IDS[80:90])
        session.append(IDS[80:150])
        assert bits(session) == expected[150]


def test_memory_counts_states(model: gemel.Model) -> None:
    before = model.cache_size
    with model.session() as session:
        session.append(IDS[:10])
        held = model.cache_size
        assert held - before >= model.state_size > 0
        with session.fork():
            assert model.cache_size == held
        for id in IDS[10:60]:
            session.append([id])
        assert model.cache_size - held <= 3 * model.state_size
    assert model.cache_size == before


@pytest.mark.parametrize("name", MODELS)
def test_the_plan_counts_states(name: str) -> None:
    data = tiny_bytes(n_ctx=512, **MODELS[name])
    with gemel.open(data) as model:
        ids, logits = 512 * 4, 16 * (-(-model.n_vocab // 16)) * 4
        drafts = 15 * (4 * model.n_embd + logits)
        assert gemel.plan(data, n_ctx=512).session == (
            ids + logits + 4 * model.n_embd + drafts + (64 + 4 + 15) * model.state_size
        )
        assert model._get(abi.MODEL_STATE_SIZE) == model.state_size


def test_other_models_have_no_state(tiny_model: OpenTiny) -> None:
    assert tiny_model().state_size == 0


def test_the_sections_of_places_in_an_image_change_no_text() -> None:
    found = []
    for sections in ([2, 1, 1, 0], [0, 0, 4, 0], [4, 0, 0, 0]):
        pairs = [("qwen35.rope.dimension_sections", "i32[]", sections)]
        with gemel.open(tiny_bytes(arch="qwen35", kv=pairs), threads=1) as model, model.session() as session:
            session.append(IDS[:50])
            found.append(bits(session))
    assert len(set(found)) == 1


BIG = 1 << 20   # the largest embedding_length
TOO_LARGE: dict[str, tuple[dict[str, int], str]] = {   # products that exceed 32 bits
    "mamba2": ({"inner_size": 16 * BIG, "time_step_rank": 16 * BIG, "group_count": 16 * BIG, "state_size": 1024},
               r"mamba2\.ssm\.group_count 16777216 with ssm\.state_size 1024 is too large"),
    "mamba": ({"inner_size": 16 * BIG, "state_size": 256},
              "mamba: a session's state would have over 268435456 numbers"),
    "qwen35": ({"inner_size": 4 * BIG, "time_step_rank": 4096, "state_size": 1024, "group_count": 1},
               "qwen35: a session's state would have over 268435456 numbers"),
}  # fmt: skip


@pytest.mark.parametrize("arch", TOO_LARGE)
def test_a_state_that_is_too_large_is_refused_by_the_header(arch: str) -> None:
    sizes, said = TOO_LARGE[arch]
    kv = [(f"{arch}.embedding_length", "u32", BIG), *((f"{arch}.ssm.{key}", "u32", n) for key, n in sizes.items())]
    data = tiny_bytes(arch=arch, kv=kv)
    for call in (lambda: gemel.open(data, threads=1), lambda: gemel.plan(data, n_ctx=64)):
        with pytest.raises((gemel.FormatError, gemel.UnsupportedError), match=said):
            call()


RWKV_WRONG: dict[str, tuple[str, int, str]] = {
    "heads that don't divide": ("rwkv7.wkv.head_size", 24, "it must be a multiple of wkv.head_size, 24"),
    "heads that are too wide": ("rwkv7.wkv.head_size", 257, "rwkv7.wkv.head_size"),
    "no second shift": ("rwkv7.token_shift_count", 1, r"rwkv7\.token_shift_count is 1; it must be 2"),
    "no gate": ("rwkv7.attention.gate_lora_rank", 0, "gate_lora_rank"),
    "a rank that is too large": ("rwkv7.attention.decay_lora_rank", 1 << 31, "decay_lora_rank"),
    "another rank": ("rwkv7.attention.iclr_lora_rank", 9, r"time_mix_a1\.weight is \[64, 8, 1, 1\]"),
    "a state that is too large": ("rwkv7.embedding_length", BIG, "rwkv7: a session's state would have over 268435456"),
}


@pytest.mark.parametrize("name", RWKV_WRONG)
def test_a_wrong_number_of_rwkv_is_refused_by_the_header(name: str) -> None:
    key, value, said = RWKV_WRONG[name]
    size = [("rwkv7.wkv.head_size", "u32", 256)] if value == BIG else []
    data = tiny_bytes(arch="rwkv7", kv=[*size, (key, "u32", value)])
    for call in (lambda: gemel.open(data, threads=1), lambda: gemel.plan(data, n_ctx=64)):
        with pytest.raises((gemel.FormatError, gemel.UnsupportedError), match=said):
            call()


def test_what_rwkv_s_first_layer_does_not_read_may_be_absent() -> None:
    found = []
    for without in ((), [f"blk.0.time_mix_v{i}.weight" for i in range(3)]):
        with gemel.open(tiny_bytes(arch="rwkv7", without=without), threads=1) as model, model.session() as session:
            session.append(IDS[:20])
            found.append(bits(session))
    assert found[0] == found[1]
    with pytest.raises(gemel.FormatError, match=r"blk\.1\.time_mix_v1\.weight is missing"):
        gemel.open(tiny_bytes(arch="rwkv7", without=["blk.1.time_mix_v1.weight"]))
