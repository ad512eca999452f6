"""tiny.py is where other tests' files come from: held here against the reference, and against itself."""

import dataclasses
from pathlib import Path
from typing import Any

import gguf_file
import numpy as np
import pytest
import reference
import tiny
import tiny_cases
import vocabulary

SHAPES: list[dict[str, Any]] = [
    {},
    {"tied": True, "tokenizer": "spm"},
    {"n_head": 3, "n_head_kv": 1, "head_dim": 32, "n_rot": 16, "n_ff": 160},
    {"rope": "linear"},
    {"rope": "yarn"},
    {"rope": "longrope", "rope_attn_factor": 1.2},
    {"rope": "llama3"},
    {"n_embd": 256, "n_ff": 256, "format": "Q4_K", "formats": {"attn_v": "Q6_K", "blk.0.ffn_up": "F16"}},
    {"n_layer": 12, "by_name": True, "n_vocab": 400},
    *tiny_cases.CASES.values(),
]


@pytest.mark.parametrize("type_", tiny.COMPUTED)
def test_random_blocks_are_about_as_large_as_asked(type_: str) -> None:
    n = 256 * 300
    data = tiny.random_blocks(type_, n, np.random.default_rng(1), 0.05)
    weights = gguf_file.dequantise(tiny.TYPES[type_], data, n)
    assert np.isfinite(weights).all()
    assert 0.8 < weights.std() / 0.05 < 1.3
    assert abs(weights.mean()) < 0.005


@pytest.mark.parametrize("fields", SHAPES, ids=str)
def test_tiny_models_compute_tame_logits_that_depend_on_the_ids(fields: dict[str, Any]) -> None:
    data = tiny.tiny_llama(seed=3, **fields)
    assert data == tiny.tiny_llama(seed=3, **fields)
    assert data != tiny.tiny_llama(seed=4, **fields)
    first, second = (reference.Reference(data).logits(ids)[-1] for ids in ([1, 5, 9, 40], [1, 6, 9, 40]))
    assert np.isfinite(first).all()
    assert 0.5 < first.std() < 5
    assert np.abs(first - second).max() > 1e-3


def test_windows_of_tiny_models_are_shorter_than_their_prompts_and_caps_below_their_scores() -> None:
    model = reference.Reference(tiny.tiny_llama(arch="gemma3"))
    assert [spec.window for spec in model.scores] == [20, 0]
    bases = [spec.base for spec in model.ropes if spec is not None]
    assert bases == [500, 10000]
    model = reference.Reference(tiny.tiny_llama(arch="gemma2"))
    assert [spec.window for spec in model.scores] == [20, 0]
    ids = range(3, 51)
    capped = model.logits(ids)
    model.scores = [dataclasses.replace(spec, cap=0.0) for spec in model.scores]
    assert np.abs(model.logits(ids) - capped).max() > 0.1


def test_formats_are_chosen_by_name_and_by_part_of_a_name() -> None:
    formats = {"attn_v": "Q8_0", "blk.1.attn_v": "F16", "token_embd": "BF16"}
    _, tensors = gguf_file.read_gguf(tiny.tiny_llama(format="Q5_1", formats=formats))
    names = {name: gguf_file.FORMATS[tensor.type].name for name, tensor in tensors.items()}
    assert names["blk.0.attn_v.weight"] == "Q8_0"
    assert names["blk.1.attn_v.weight"] == "F16"
    assert names["token_embd.weight"] == "BF16"
    assert names["blk.0.ffn_up.weight"] == "Q5_1"
    assert names["output_norm.weight"] == "F32"


def test_blocks_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="n_in 64 is not a multiple of Q4_K's block, 256"):
        tiny.tiny_llama(format="Q4_K")


def test_pairs_are_replaced_added_and_left_out() -> None:
    metadata, tensors = gguf_file.read_gguf(
        tiny.tiny_llama(
            kv=[("llama.context_length", "u64", 99), ("new", "bool", True)],
            without={"general.name", "output_norm.weight"},
        )
    )
    assert metadata["llama.context_length"] == 99
    assert metadata["new"] is True
    assert "general.name" not in metadata
    assert "output_norm.weight" not in tensors


@pytest.mark.parametrize("n_vocab", [None, 259, 300, 500])
@pytest.mark.parametrize("kind", ["bpe", "spm"])
def test_vocabularies_are_consistent(kind: str, n_vocab: int | None) -> None:
    pairs = vocabulary.bpe_vocabulary(n_vocab) if kind == "bpe" else vocabulary.spm_vocabulary(n_vocab)
    values = {key: value for key, _, value in pairs}
    tokens = values["tokenizer.ggml.tokens"]
    assert len(set(tokens)) == len(tokens) == len(values["tokenizer.ggml.token_type"])
    assert n_vocab is None or len(tokens) == n_vocab
    for merge in values.get("tokenizer.ggml.merges", []):
        left, right = merge.split(" ")
        assert {left, right, left + right} <= set(tokens)
    with pytest.raises(ValueError, match="258 is below the 259"):
        vocabulary.spm_vocabulary(258)


def test_files_are_written_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    assert tiny.tiny_llama(path, n_layer=1) == path.read_bytes()
