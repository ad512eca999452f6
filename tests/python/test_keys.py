"""Metadata keys that a file lacks: what llama.cpp requires is an error; the others have the defaults of the docs."""

from __future__ import annotations

import re
from typing import Any

import building
import gemel
import numpy as np
import pytest
import reference
import tiny
from archs import ARCHS, DECODERS
from conftest import tiny_bytes

IDS = [(7 * i + 3) % 300 for i in range(70)]
PAGE = (building.ROOT / "docs" / "models.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Metadata keys")[2].partition("\n## ")[0]

ALWAYS = ("context_length", "embedding_length", "block_count")
HALVES = ("feed_forward_length", "attention.head_count")
RWKV = ("wkv.head_size", *(f"attention.{name}_lora_rank" for name in ("decay", "iclr", "value_residual_mix")))
SSM = ("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank")
EPSILON = {"RMS": "attention.layer_norm_rms_epsilon", "LAYER": "attention.layer_norm_epsilon"}
OWN = {
    "gptneox": ("use_parallel_residual",),
    "mpnet": ("attention.relative_buckets_count",),
    "mpt": ("attention.max_alibi_bias",),
    "gemma4": ("attention.sliding_window", "attention.key_length_swa", "attention.value_length_swa"),
    "cohere2": ("attention.sliding_window", "logit_scale"),
    "gemma-embedding": ("attention.sliding_window",),
    "gpt-oss": ("attention.sliding_window", "expert_count", "expert_used_count"),
    "deepseek2": (
        "attention.kv_lora_rank", "attention.key_length_mla", "attention.value_length_mla", "rope.dimension_count",
    ),
    **dict.fromkeys(("lfm2", "lfm2moe"), ("shortconv.l_cache",)),
    **dict.fromkeys(("qwen35", "qwen35moe", "qwen3next"), (
        "ssm.conv_kernel", "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size",
    )),
    "rwkv7": (*RWKV, "attention.gate_lora_rank"),
    "arwkv7": RWKV,
    "mamba": SSM,
    **dict.fromkeys(("mamba2", "falcon-h1", "granitehybrid", "nemotron_h"), (*SSM, "ssm.group_count")),
    "llama4": ("expert_feed_forward_length", "interleave_moe_layer_step"),
    **dict.fromkeys(
        ("granite", "granitemoe"), ("embedding_scale", "residual_scale", "attention.scale", "logit_scale")
    ),
}
OPTIONAL = [(arch, "feed_forward_length") for arch in ("qwen35moe", "qwen3next")]   # all layers have experts
OPTIONAL += [(arch, "attention.head_count") for arch in ("rwkv7", "arwkv7")]
EXPERTS = ("expert_count", "expert_used_count")
NEEDED = [
    (arch, key)
    for arch, row in DECODERS.items()
    for key in (
        *(key for key in ALWAYS + HALVES if (arch, key) not in OPTIONAL and (row.ffn != "NONE" or key not in HALVES)),
        *(() if row.has("LAYER_EPSILON") else (EPSILON["RMS" if row.has("RMS_EPSILON") else row.norm],)),
        *(EXPERTS if row.has("EXPERTS") else ()),
        *OWN.get(arch, ()),
    )
]  # fmt: skip

YARN = {"rope": "yarn", "rope_n_ctx_orig": 512}
OLMO = {"n_layer": 4, "window": 20}
# architecture, key, what it means when it is missing, another value (None: no file could have it), fields of the model
DEFAULTS: list[tuple[str, str, Any, Any, dict[str, Any]]] = [
    ("llama", "attention.head_count_kv", 4, None, {"n_head_kv": 4}),
    ("llama", "attention.key_length", 16, None, {"head_dim": 16}),
    ("llama", "attention.value_length", 16, None, {"head_dim": 16}),
    ("llama", "rope.dimension_count", 16, 8, {}),
    ("qwen3", "rope.dimension_count", 24, 8, {"head_dim": 24}),
    ("llama", "rope.freq_base", 10000.0, 500.0, {}),
    ("llama", "rope.scaling.type", "linear", "none", {"rope": "linear"}),
    ("phi3", "rope.scaling.type", "longrope", "none", {"rope": "longrope"}),
    ("llama", "rope.scaling.factor", 1.0, 2.0, {"rope": "linear"}),
    ("llama", "rope.scaling.attn_factor", 1.0, 1.5, {}),
    ("llama", "rope.scaling.original_context_length", 512, 64, YARN),
    ("llama", "rope.scaling.yarn_beta_fast", 32.0, 4.0, YARN),
    ("llama", "rope.scaling.yarn_beta_slow", 1.0, 8.0, YARN),
    ("llama", "attention.scale", 0.25, 0.5, {}),
    ("llama", "attention.clamp_kqv", 0.0, 0.5, {}),
    ("llama", "embedding_scale", 1.0, 2.0, {}),
    ("gemma", "embedding_scale", 8.0, 2.0, {}),
    ("llama", "residual_scale", 1.0, 2.0, {}),
    ("llama", "logit_scale", 1.0, 2.0, {}),
    ("llama", "attn_logit_softcapping", 0.0, 2.0, {}),
    ("llama", "final_logit_softcapping", 0.0, 2.0, {}),
    ("minicpm", "embedding_scale", 12.0, 2.0, {}),
    ("minicpm", "residual_scale", float(np.float32(1.4 / 2**0.5)), 2.0, {}),
    ("minicpm", "logit_scale", 0.25, 2.0, {}),
    ("mistral3", "attention.temperature_scale", 0.0, 0.5, {"rope_n_ctx_orig": 16}),
    ("mistral3", "rope.scaling.yarn_log_multiplier", 0.0, 1.0, {**YARN, "heat": 0.1}),
    ("llama4", "attention.temperature_scale", float(np.float32(0.1)), 0.5, {}),
    ("llama4", "attention.temperature_length", 8192, 7, {}),
    ("llama4", "attention.sliding_window", 8192, 0, {}),
    ("llama4", "attention.sliding_window", 8192, 20, {}),
    ("llama4", "attention.sliding_window_pattern", 4, 2, {"n_layer": 4}),
    ("llama4", "expert_gating_func", 2, 1, {}),
    ("llama4", "expert_weights_norm", False, True, {}),
    ("llama4", "expert_shared_feed_forward_length", 96, None, {}),
    ("hunyuan-dense", "rope.scaling.alpha", 0.0, 100.0, {}),
    ("gemma2", "attn_logit_softcapping", 50.0, 2.0, {}),
    ("gemma2", "final_logit_softcapping", 30.0, 2.0, {}),
    ("gemma3", "attention.sliding_window", 0, 17, {}),
    ("phi3", "attention.sliding_window", 0, 17, {}),
    ("gemma4", "rope.dimension_count_swa", 16, 8, {}),
    ("gemma4", "rope.freq_base_swa", 10000.0, 500.0, {}),
    ("gemma4", "attention.sliding_window_pattern", 6, 2, {"n_layer": 7}),
    ("gemma4", "attention.shared_kv_layers", 0, 1, {"n_layer": 3}),
    ("gemma4", "embedding_length_per_layer_input", 0, None, {}),
    ("olmo2", "attention.sliding_window", 0, 17, OLMO),
    ("exaone4", "attention.sliding_window", 0, 17, {}),
    ("gemma2", "attention.sliding_window_pattern", 2, 0, {}),
    ("gemma3", "attention.sliding_window_pattern", 6, 2, {"n_layer": 7}),
    ("olmo2", "attention.sliding_window_pattern", 4, 2, OLMO),
    ("exaone4", "attention.sliding_window_pattern", 4, 2, OLMO),
    ("cohere2", "attention.sliding_window_pattern", 4, 2, OLMO),
    ("command-r", "logit_scale", 1.0, 2.0, {}),
    ("phi3", "attention.sliding_window_pattern", 0, 2, {}),
    ("gemma3", "rope.freq_base_swa", 10000.0, 500.0, {}),
    ("olmo2", "rope.freq_base_swa", 500.0, 10000.0, {**OLMO, "rope_base": 500.0}),
    ("gpt-oss", "expert_gating_func", 3, 1, {}),
    ("gpt-oss", "attention.sliding_window_pattern", 2, 0, {}),
    ("deepseek2", "attention.head_count_kv", 1, None, {}),
    ("deepseek2", "attention.key_length", 80, None, {}),
    ("deepseek2", "attention.value_length", 64, None, {}),
    ("deepseek2", "attention.q_lora_rank", 0, None, {}),
    ("deepseek2", "rope.scaling.yarn_log_multiplier", 0.0, 0.1, YARN),
    ("qwen35", "full_attention_interval", 4, None, {"n_layer": 5, "recurrent": (True, True, True, False, True)}),
    ("qwen35moe", "feed_forward_length", 1, None, {}),   # every layer has experts
    ("bloom", "attention.max_alibi_bias", 8.0, 4.0, {}),
    ("mamba", "ssm.dt_b_c_rms", False, True, {}),
    ("rwkv7", "token_shift_count", 2, None, {}),
    ("arwkv7", "attention.gate_lora_rank", 0, None, {"ranks": (16, 8, 12, 0)}),
    ("granitehybrid", "rope.scaling.finetuned", True, False, {}),
    ("granitehybrid", "logit_scale", 1.0, 2.0, {}),
    ("llama", "expert_count", 0, None, {}),
    ("olmoe", "expert_feed_forward_length", 96, None, {}),
    ("qwen3moe", "expert_feed_forward_length", 48, None, {"experts": {"n_ff": 48}, "format": "F32"}),
    ("dots1", "expert_shared_feed_forward_length", 96, None, {}),
    ("qwen2moe", "expert_shared_feed_forward_length", 96, None, {}),
    ("dots1", "expert_shared_count", 0, None, {"experts": {"shared": False}}),
    ("llama", "expert_group_count", 1, 4, {"experts": {"n_groups_used": 1}}),
    ("glm4moe", "expert_group_used_count", 2, 1, {"experts": {"n_groups": 2}}),
    ("olmoe", "expert_gating_func", 1, 2, {}),
    ("dots1", "expert_gating_func", 2, 1, {}),
    ("phimoe", "expert_gating_func", 0, 1, {}),
    ("llama", "expert_weights_norm", True, False, {"experts": {}}),
    ("olmoe", "expert_weights_norm", False, True, {}),
    ("gemma4", "expert_weights_norm", True, False, {"experts": {}}),
    ("gemma4", "expert_feed_forward_length", 96, None, {"experts": {}}),
    ("minimax-m2", "expert_weights_scale", 1.0, 2.0, {}),
    ("bailingmoe", "leading_dense_block_count", 0, None, {}),
    ("ernie4_5-moe", "interleave_moe_layer_step", 1, None, {}),
    ("glm4moe", "nextn_predict_layers", 0, None, {}),
]


def logits(data: bytes, overrides: dict[str, Any] | None = None, ids: list[int] = IDS) -> bytes:
    with gemel.open(data, threads=1, overrides=overrides) as model, model.session(model.n_ctx) as session:
        session.append(ids)
        return bytes(np.asarray(session.logits()).tobytes())


# ---- Required --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arch", "key"), NEEDED)
def test_a_missing_key_that_is_required_is_named(arch: str, key: str) -> None:
    data = tiny_bytes(arch=arch, without=(f"{arch}.{key}",))
    with pytest.raises(gemel.FormatError, match=re.escape(f"the metadata key {arch}.{key} is missing")):
        gemel.open(data)


# Overrides have no arrays.
@pytest.mark.parametrize(("arch", "key"), [one for one in NEEDED if one != ("nemotron_h", "feed_forward_length")])
def test_an_override_stands_in_for_a_missing_key(arch: str, key: str) -> None:
    pairs = {pair[0]: pair[2] for pair in tiny.described(tiny.TinyModel(arch=arch))[0]}
    name = f"{arch}.{key}"
    assert logits(tiny_bytes(arch=arch, without=(name,)), {name: pairs[name]}) == logits(tiny_bytes(arch=arch))


def test_the_architecture_is_required() -> None:
    with pytest.raises(gemel.FormatError, match=r"the metadata key general\.architecture is missing"):
        gemel.open(tiny_bytes(without=("general.architecture",)))


# ---- The others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arch", "key", "absent", "other", "fields"), DEFAULTS)
def test_a_missing_key_means_its_default(
    arch: str, key: str, absent: object, other: object, fields: dict[str, Any]
) -> None:
    name = f"{arch}.{key}"
    data = tiny_bytes(**{"arch": arch, **fields, "without": (name,)})
    without = logits(data)
    assert logits(data, {name: absent}) == without
    if other is not None:
        assert logits(data, {name: other}) != without


@pytest.mark.long
def test_the_reference_has_the_same_defaults() -> None:
    for arch, key, _, _, fields in DEFAULTS:
        data = tiny_bytes(**{"arch": arch, **fields, "format": "F32", "without": (f"{arch}.{key}",)})
        with gemel.open(data, threads=1) as model, model.session(model.n_ctx, kv_type="f32") as session:
            session.append(IDS)
            core = np.asarray(session.logits())
        ours = reference.Reference(data, n_ctx=512, kv_type="f32").logits(IDS)[-1]
        assert np.abs(core - ours).max() < 1e-4 * np.abs(ours).max(), (arch, key)


@pytest.mark.parametrize(("arch", "key", "absent", "other", "n_layer"), [
    ("gemma2", "attention.sliding_window", 4096, 0, 2), ("exaone4", "attention.sliding_window", 4096, 0, 64),
    ("llama4", "attention.sliding_window", 8192, 0, 4), ("llama4", "attention.sliding_window", 8192, 8191, 4),
    ("llama4", "attention.temperature_length", 8192, 8191, 4),
])  # fmt: skip
def test_a_default_of_thousands_of_positions_shows_after_them(
    arch: str, key: str, absent: int, other: int, n_layer: int
) -> None:
    ids, name = [(7 * i + 3) % 300 for i in range(absent + 104)], f"{arch}.{key}"
    size = {"n_embd": 32, "n_head": 2, "n_head_kv": 1, "n_ff": 32, "n_ctx": 2 * absent, "n_layer": n_layer}
    data = tiny_bytes(arch=arch, **size, without=(name,))
    without = logits(data, ids=ids)
    assert logits(data, {name: absent}, ids) == without
    assert logits(data, {name: other}, ids) != without


def test_a_glm4_that_turns_channels_by_places_in_an_image_is_refused() -> None:
    data = tiny_bytes(arch="glm4", kv=(("glm4.rope.dimension_sections", "i32[]", [4, 2, 2, 0]),))
    with pytest.raises(gemel.UnsupportedError, match=r"the file has the key glm4\.rope\.dimension_sections: RoPE by"):
        gemel.open(data)


def test_an_unknown_architecture_is_refused_with_what_is_supported_and_what_it_needs() -> None:
    for arch, lacks in (("mystery", ""), ("gemma3n", ": gemel has no layers with four residual streams per token")):
        with pytest.raises(gemel.UnsupportedError) as caught:
            gemel.open(tiny_bytes(kv=(("general.architecture", "string", arch),)))
        assert f'the architecture "{arch}" (general.architecture) is not supported{lacks}' in str(caught.value)
        assert str(caught.value).endswith(f"(supported: {', '.join(ARCHS)})")


def test_a_gemma4_whose_values_are_keys_of_another_length_is_refused() -> None:
    data = tiny_bytes(arch="gemma4", k_is_v=True, kv=(("gemma4.attention.value_length", "u32", 8),))
    with pytest.raises(gemel.FormatError, match="layer 1 has no attn_v, so that its values are its keys; but values"):
        gemel.open(data)


def test_a_gemma4_must_have_values_in_layers_with_a_window() -> None:
    with pytest.raises(gemel.FormatError, match=r"the tensor blk\.0\.attn_v\.weight is missing"):
        gemel.open(tiny_bytes(arch="gemma4", without=("blk.0.attn_v.weight",)))


# ---- Docs ------------------------------------------------------------------------------------------------------------


def test_docs_name_every_key() -> None:
    named = set(re.findall(r"`([a-z0-9_.]+)`", SECTION))
    keys = {key for _, key in NEEDED} | {key for _, key, *_ in DEFAULTS} | {"general.architecture"}
    assert keys - named == set()


def test_the_core_looks_up_no_other_key() -> None:
    source = "".join(path.read_text() for path in (building.ROOT / "core_c" / "src" / "arch").glob("*.c"))
    found = set(re.findall(r'keys_\w+\(r, "([a-z0-9_.]+)"', source))
    assert found
    assert found - set(re.findall(r"`([a-z0-9_.]+)`", SECTION)) == set()
