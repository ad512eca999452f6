"""Metadata in place of the file's: the bits of a file that says the same, however it is opened; nothing is ignored."""

from __future__ import annotations

import asyncio
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gemel
import pytest
import tiny
from archs import ARCHS, DECODERS
from conftest import CHATML, tiny_bytes
from gemel.source import pieces
from hypothesis import given, settings
from hypothesis import strategies as st

IDS = [(7 * i + 3) % 300 for i in range(70)]
BASE = "llama.rope.freq_base"
Values = Mapping[str, bool | int | float | str]


def logits_of(model: gemel.Model) -> bytes:
    with model, model.session(min(model.n_ctx, 100)) as session:
        session.append(IDS)
        return bytes(memoryview(session.logits()).cast("B"))


def logits_with(overrides: Values | None, **fields: Any) -> bytes:  # noqa: ANN401
    return logits_of(gemel.open(tiny_bytes(**fields), threads=1, overrides=overrides))


def kind_of(value: object) -> str:
    return {bool: "bool", int: "u32", float: "f32", str: "string"}[type(value)]


# ---- The bits of a file that says the same ---------------------------------------------------------------------------

SAID: dict[str, Values] = {
    "RoPE base": {BASE: 500.0},
    "linear": {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
    "a factor alone": {"llama.rope.scaling.factor": 4.0},
    "the factor's older name": {"llama.rope.scale_linear": 4.0},
    "YaRN": {
        "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 32, "llama.rope.scaling.attn_factor": 1.25,
        "llama.rope.scaling.yarn_beta_fast": 16.0, "llama.rope.scaling.yarn_beta_slow": 2.0,
    },
    "norm": {"llama.attention.layer_norm_rms_epsilon": 0.25},
    "rotated dims": {"llama.rope.dimension_count": 8},
    "a longer context": {"llama.context_length": 1024},
    "scales": {"llama.attention.scale": 0.5, "llama.logit_scale": 2.0, "llama.residual_scale": 0.5},
    "soft caps": {"llama.attn_logit_softcapping": 5.0, "llama.final_logit_softcapping": 3.0},
}  # fmt: skip


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_an_override_gives_the_bits_of_a_file_that_says_so(said: Values) -> None:
    written = logits_with(None, kv=[(key, kind_of(value), value) for key, value in said.items()])
    assert logits_with(said) == written
    assert logits_with({key.removeprefix("llama"): value for key, value in said.items()}) == written
    if said != SAID["a longer context"]:
        assert written != logits_with(None)


@pytest.mark.parametrize("arch", DECODERS)
def test_a_files_own_values_change_nothing(arch: str) -> None:
    unread = {"general.name", "general.quantization_version", f"{arch}.vocab_size", "tokenizer.ggml.padding_token_id"}
    unread |= {"tokenizer.ggml.add_space_prefix", "stablelm.use_parallel_residual"}   # SentencePiece's; gptneox's
    if ARCHS[arch].mixer.startswith("MAMBA"):   # neither attention nor feed-forward: their sizes are 0
        unread |= {f"{arch}.attention.head_count", f"{arch}.feed_forward_length"}
    if ARCHS[arch].mixer == "RWKV":
        unread.add(f"{arch}.attention.head_count")
    with gemel.open(tiny_bytes(arch=arch), threads=1) as model:
        own = {key: value for key, value in model.metadata.items() if not isinstance(value, list)}
    own = {key: value for key, value in own.items() if key not in unread}
    assert {"general.architecture", f"{arch}.block_count", "tokenizer.ggml.model"} < set(own)
    assert logits_with(own, arch=arch) == logits_with(None, arch=arch)


def test_an_override_takes_the_files_scaling_away() -> None:
    plain = logits_with(None)
    for rope in ("linear", "yarn"):
        assert logits_with(None, rope=rope) != plain
        assert logits_with({".rope.scaling.type": "none"}, rope=rope) == plain


def test_the_architecture_is_overridden_and_a_dot_stands_for_it() -> None:
    strange = tiny_bytes(kv=[("general.architecture", "string", "mystery")])
    with pytest.raises(gemel.UnsupportedError, match="mystery"):
        gemel.open(strange)
    model = gemel.open(strange, threads=1, overrides={"general.architecture": "llama", ".rope.freq_base": 500})
    assert model.arch == "llama"
    assert logits_of(model) == logits_with({BASE: 500})


def test_a_longer_context_holds_more_tokens() -> None:
    with gemel.open(tiny_bytes(n_ctx=64), threads=1, overrides={".context_length": 256}) as model:
        assert (model.n_ctx, model.default_n_ctx) == (256, 256)
        with model.session(256) as session:
            session.append([5] * 256)
        with pytest.raises(gemel.ArgumentError, match="1 to 256"):
            model.session(257)


def test_positions_of_a_table_can_not_be_more() -> None:
    with pytest.raises(gemel.FormatError, match=r"position_embd.*read with the override gpt2.context_length=1024"):
        gemel.open(tiny_bytes(arch="gpt2"), overrides={".context_length": 1024})


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_flags_and_ids_of_the_tokenizer_are_overridden(tokenizer: str) -> None:
    data = tiny_bytes(tokenizer=tokenizer)
    with gemel.open(data) as model:
        assert model.bos_id is not None
        adds, bos, eos = model.adds_bos, model.bos_id, model.eos_id
    given = {
        "tokenizer.ggml.add_bos_token": not adds, "tokenizer.ggml.add_eos_token": True,
        "tokenizer.ggml.eos_token_id": 7, "tokenizer.ggml.bos_token_id": bos,
    }  # fmt: skip
    assert eos != 7
    with gemel.open(data, overrides=given) as model:
        ids = model.tokenize("the", bos_eos=True)
        assert (model.adds_bos, model.eos_id, model.is_eog(7), ids[-1]) == (not adds, 7, True, 7)
        assert (ids[0] == bos) is not adds


def test_the_rule_that_splits_text_is_overridden() -> None:
    data, other = tiny_bytes(pre="gpt-2"), {"tokenizer.ggml.pre": "smollm"}
    with gemel.open(data) as before, gemel.open(data, overrides=other) as after, gemel.open(
        tiny_bytes(pre="smollm")
    ) as written:
        assert after.tokenize("a 1234567 b") == written.tokenize("a 1234567 b") != before.tokenize("a 1234567 b")


def test_the_chat_template_is_overridden() -> None:
    template = "{% for message in messages %}{{ message['content'] }}!{% endfor %}"
    key = "tokenizer.chat_template"
    for fields in ({}, {"chat_template": CHATML}):
        with gemel.open(tiny_bytes(**fields), threads=1, overrides={key: template}) as model:
            assert model.chat_template == template
            assert model.metadata.get(key) == fields.get("chat_template")
            with model.chat() as chat:
                answer = chat.send("the fox", max_tokens=1)
                answer.read()
                assert model.detokenize(answer.prompt_ids) == "the fox!"
    with pytest.raises(gemel.ArgumentError, match=f"{key} is 3: must be a string"):
        gemel.open(tiny_bytes(), overrides={key: 3})


def test_the_model_tells_what_it_was_given_and_its_metadata_is_the_files() -> None:
    with gemel.open(tiny_bytes(), threads=1, overrides={".rope.freq_base": 500, "llama.context_length": 64}) as model:
        assert model.overrides == {BASE: 500, "llama.context_length": 64}
        assert model.metadata["llama.context_length"] == 512
        assert model.n_ctx == 64
        with pytest.raises(TypeError):
            model.overrides["x"] = 1   # type: ignore[index]
    with gemel.open(tiny_bytes()) as model:
        assert model.overrides == {}


# ---- Every way of opening --------------------------------------------------------------------------------------------

GIVEN: Values = {".rope.freq_base": 500.0, "llama.rope.scaling.factor": 2}


@pytest.fixture(scope="module")
def wanted() -> bytes:
    return logits_with({BASE: 500, "llama.rope.scaling.factor": 2.0})


def test_every_way_of_opening_takes_them(tmp_path: Path, wanted: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny_bytes())
    tiny.tiny_split(tmp_path)
    for source in (path, str(path), io.BytesIO(tiny_bytes()), tmp_path / "tiny-00002-of-00003.gguf"):
        assert logits_of(gemel.open(source, threads=1, overrides=GIVEN)) == wanted
    assert logits_of(asyncio.run(gemel.open_async(path, threads=2, overrides=GIVEN))) == wanted
    assert wanted != logits_with(None)


def test_a_prompt_is_evaluated_with_them_while_the_model_arrives(wanted: bytes) -> None:
    seen: list[str] = []
    model = gemel.open(
        tiny_bytes(), threads=1, overrides=GIVEN, prompt=IDS, on_progress=lambda stage, *_: seen.append(stage)
    )
    with model:
        assert "prefill" in seen
        ahead = model._preloaded
        assert ahead is not None
        assert bytes(memoryview(ahead.logits()).cast("B")) == wanted
        generation = model.generate(IDS, max_tokens=1, temperature=0)
        generation.read()
        assert generation.timings.n_evaluated == 0


def test_a_prompt_of_messages_takes_the_overridden_template() -> None:
    given = {"tokenizer.chat_template": CHATML}
    messages = [{"role": "user", "content": "the fox"}]
    with gemel.open(tiny_bytes(), threads=1, overrides=given, prompt=messages) as model, model.chat() as chat:
        answer = chat.send("the fox", max_tokens=1)
        answer.read()
        assert answer.timings.n_evaluated == 0


def test_a_download_takes_them(empty_cache: Path, monkeypatch: pytest.MonkeyPatch, wanted: bytes) -> None:
    from gemel.source import download

    class Fake(download.Download):
        def run(self, size: int | None) -> None:
            self.part.write_bytes(tiny_bytes())

    monkeypatch.setattr(download, "Download", Fake)
    for _ in range(2):   # and from the cache
        assert logits_of(gemel.open("https://example.org/x.gguf", threads=1, overrides=GIVEN)) == wanted


def test_plans_take_them_and_forget_them() -> None:
    data = tiny_bytes()
    longer = {".context_length": 4096}
    assert gemel.plan(data, n_ctx=4096, overrides=longer).n_ctx == 4096
    with gemel.inspect(data) as header:
        found = header.plan(n_ctx=4096, overrides=longer)
        assert found.cache == 8 * header.plan(n_ctx=512).cache
        with pytest.raises(gemel.ArgumentError, match="1 to 512"):
            header.plan(n_ctx=4096)
        with pytest.raises(gemel.ArgumentError, match=r"rope\.base=1 has no effect"):
            header.plan(n_ctx=512, overrides={".rope.base": 1})
        assert header.plan(n_ctx=512, overrides={"tokenizer.ggml.add_bos_token": True}).n_ctx == 512
        assert header.metadata["llama.context_length"] == 512


# ---- Refusing --------------------------------------------------------------------------------------------------------


def test_what_can_not_be_a_value_is_refused_before_anything_is_read() -> None:
    def refused(kind: type[Exception], words: str, overrides: Any) -> None:  # noqa: ANN401
        for call in (gemel.open, lambda *a, **k: asyncio.run(gemel.open_async(*a, **k))):
            with pytest.raises(kind, match=words):
                call("nowhere.gguf", overrides=overrides)
        with pytest.raises(kind, match=words):
            gemel.plan("nowhere.gguf", n_ctx=1, overrides=overrides)

    refused(TypeError, r"x is \[1\]: must be a bool, int, float or str", {"x": [1]})
    refused(TypeError, r"x is None: must be a bool", {"x": None})
    refused(TypeError, r"the key 3", {3: 1})
    refused(gemel.ArgumentError, "x is nan: must be a finite number", {"x": math.nan})
    refused(gemel.ArgumentError, "x is inf: must be a finite number", {"x": float("1e400")})
    refused(gemel.ArgumentError, r"x is 9007199254740993: must be an integer from -2\^53", {"x": 2**53 + 1})
    refused(gemel.ArgumentError, "an integer of 16610 bits", {"x": 10**5000})


@pytest.mark.parametrize(("overrides", "kind", "words"), [
    ({BASE: 0.5}, gemel.ArgumentError, r"freq_base is 0\.5; it must be 1 to 1e\+12 \(the value of .* is an override"),
    ({BASE: "x"}, gemel.ArgumentError, r'rope\.freq_base="x" is a string; it must be a number'),
    ({BASE: 1e300}, gemel.ArgumentError, "1e.300; it must be a finite 32-bit number.*is an override"),
    ({"llama.context_length": 4.0}, gemel.ArgumentError, "context_length=4 is a float; it must be an integer"),
    ({"llama.context_length": True}, gemel.ArgumentError, "context_length=true is true or false; it must be"),
    ({"llama.block_count": 3}, gemel.FormatError, r"blk\.2\..*read with the override llama\.block_count=3"),
    ({"llama.rope.scaling.type": "su"}, gemel.UnsupportedError, '"su" is not supported.*is an override'),
    ({"tokenizer.ggml.tokens": "x"}, gemel.ArgumentError, "tokenizer.ggml.tokens is an array"),
    ({"general.name": "x"}, gemel.ArgumentError, 'general.name="x" has no effect'),
    ({"qwen2.rope.freq_base": 5}, gemel.ArgumentError, "has no effect.*architecture llama"),
    ({"": 5}, gemel.ArgumentError, "key has 0 bytes"),
    ({"split.count": 5}, gemel.ArgumentError, "split.count can't be overridden"),
    ({".rope.freq_base": 5, BASE: 5}, gemel.ArgumentError, "freq_base is given twice"),
    ({"llama.rope.scaling.type": "x" * 70_000}, gemel.ArgumentError, "has 70000 bytes"),
    ({"k" * 70_000: 1}, gemel.ArgumentError, "70000 bytes"),
    ({"k\0": 1}, gemel.ArgumentError, "NUL"),
    ({"\ud800": 1}, gemel.ArgumentError, "half a surrogate"),
    ({f"key.{i}": i for i in range(1000)}, gemel.ArgumentError, "key.0=0 has no effect, nor do 999 other"),
    ({f"key.{i}": i for i in range(5000)}, gemel.ArgumentError, "at most 4096 are allowed"),
])  # fmt: skip
def test_an_error_names_the_override(overrides: Values, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        gemel.open(tiny_bytes(), overrides=overrides)


def test_an_array_of_the_file_is_not_replaced() -> None:
    data = tiny_bytes(n_layer=2, n_ff=(64, 96))
    with pytest.raises(gemel.ArgumentError, match="llama.feed_forward_length is an array"):
        gemel.open(data, overrides={"llama.feed_forward_length": 64})


@pytest.mark.parametrize("rope", ["none", "linear", "longrope"])
@pytest.mark.parametrize("key", ["yarn_beta_fast", "yarn_beta_slow", "factor", "original_context_length"])
def test_an_override_that_this_kind_of_scaling_does_not_use_has_no_effect(rope: str, key: str) -> None:
    used = {("linear", "factor"), ("longrope", "original_context_length")}
    given: Values = {f".rope.scaling.{key}": 64, ".rope.scaling.type": rope}
    if (rope, key) in used:
        gemel.open(tiny_bytes(rope=rope), overrides=given).close()
        return
    with pytest.raises(gemel.ArgumentError, match=f"{key}=64 has no effect"):
        gemel.open(tiny_bytes(rope=rope), overrides=given)


KEYS = st.sampled_from(
    [*(f".{key}" for key in (
        "context_length", "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv",
        "attention.key_length", "attention.value_length", "feed_forward_length", "rope.dimension_count",
        "rope.freq_base", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length",
        "attention.layer_norm_rms_epsilon", "attention.sliding_window", "attention.clamp_kqv", "expert_count",
        "expert_used_count", "expert_gating_func", "leading_dense_block_count",
    )), "general.architecture", "general.alignment", "split.count", "tokenizer.ggml.model", "tokenizer.ggml.pre",
     "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.merges"]
)  # fmt: skip
VALUES = st.one_of(
    st.booleans(), st.integers(-4, 600), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["llama", "qwen2", "gpt2", "yarn", "linear", "none", 2**32, 2**31, 1e-30]),
)  # fmt: skip


@settings(max_examples=300)
@given(overrides=st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
def test_any_overrides_are_an_error_of_gemels_or_a_model(overrides: Values) -> None:
    try:
        model = gemel.open(tiny_bytes(n_layer=1), threads=1, overrides=overrides)
    except gemel.GemelError as error:
        assert str(error)  # noqa: PT017
        return
    with model, model.session(1) as session:
        try:
            session.append([3])
        except gemel.NumericError:
            return


def test_a_refused_override_lets_go_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, closed = tmp_path / "x.gguf", []
    path.write_bytes(tiny_bytes())
    close = pieces.LocalPieces.close

    def watched(self: pieces.LocalPieces) -> None:
        closed.append(True)
        close(self)

    monkeypatch.setattr(pieces.LocalPieces, "close", watched)
    with pytest.raises(gemel.ArgumentError):
        gemel.open(os.fspath(path), overrides={"x": 1})
    assert closed


# ---- Saved sessions --------------------------------------------------------------------------------------------------


def saved(model: gemel.Model, n_ctx: int = 100) -> bytes:
    with model.session(n_ctx) as session:
        session.append(IDS)
        return session.save()


def test_a_saved_session_is_restored_with_the_same_overrides_alone() -> None:
    data = tiny_bytes()
    with gemel.open(data, threads=1, overrides={BASE: 500}) as first:
        state = saved(first)
    with gemel.open(data, threads=1, overrides={".rope.freq_base": 500.0}) as same, same.session() as session:
        session.restore(state)
        assert session.ids == IDS
    for other in ({}, {BASE: 501}, {BASE: 500, "llama.context_length": 500}, {"tokenizer.ggml.eos_token_id": 7}):
        with (
            gemel.open(data, threads=1, overrides=other) as model, model.session() as session,
            pytest.raises(gemel.StateError, match="different overrides"),
        ):   # fmt: skip
            session.restore(state)


def test_a_saved_session_is_restored_with_the_same_rope_table_alone() -> None:
    with gemel.open(tiny_bytes(rope="longrope", rope_n_ctx_orig=128), threads=1) as model:
        short, long = saved(model, 128), saved(model, 129)
        assert short[64:] != long[64:]
        for n_ctx, fits, other, words in ((100, short, long, "over 128"), (200, long, short, "of at most 128")):
            with model.session(n_ctx) as session:
                with pytest.raises(gemel.StateError, match=f"other RoPE table.*{words}"):
                    session.restore(other)
                session.restore(fits)
                assert session.ids == IDS


@pytest.mark.parametrize("name", ["tokenizer.ggml.pre", "general.name"])
def test_names_that_this_tokenizer_does_not_look_at_are_refused(name: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=f'{name}="x" has no effect'):
        gemel.open(tiny_bytes(tokenizer="spm"), overrides={name: "x"})
