"""The comparison of tabs takes models of any family: their own words, their weights in other formats, no ONNX."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import browser_models
import browser_words
import gemel
import numpy as np
import parts
import pytest
from conftest import tiny_bytes
from parts import PartModel


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    path = tmp_path / "gemma-q4.gguf"
    kv = [("general.file_type", "u32", 2)]
    path.write_bytes(tiny_bytes(arch="gemma3", tokenizer="spm", format="Q4_1", kv=kv))
    return path


def test_a_requantised_file_is_the_same_model_of_the_same_family(gemma: Path, tmp_path: Path) -> None:
    made = browser_models.make("Q8_0", gemma, tmp_path / "made")
    assert made.name == "gemma.Q8_0.gguf"
    with gemel.inspect(made) as gguf:
        assert {tensor.format for tensor in gguf.tensors if len(tensor.shape) == 2} == {"Q8_0"}
    found = []
    for path in (gemma, made):
        with gemel.open(path, threads=1) as model, model.session(n_ctx=16) as session:
            assert (model.arch, model.adds_bos) == ("gemma3", True)
            session.append(model.tokenize("the model", bos_eos=True))
            found.append(np.array(session.logits()))
    np.testing.assert_allclose(found[1], found[0], atol=0.2 * np.abs(found[0]).max())


def test_a_file_is_called_by_its_mix_of_formats_and_is_its_own_kind(gemma: Path, tmp_path: Path) -> None:
    assert browser_models.name_of(gemma) == "Q4_0"   # what it says itself
    assert browser_models.make("Q4_0", gemma, tmp_path / "made") == gemma
    plain = tmp_path / "plain.gguf"
    plain.write_bytes(tiny_bytes(format="Q5_K", n_embd=256, n_ff=256))
    assert browser_models.name_of(plain) == "Q5_K"


def test_other_families_have_no_onnx_and_say_why(gemma: Path, tmp_path: Path) -> None:
    assert browser_models.no_onnx(gemma) == "its architecture is gemma3, the graph that is written here is llama's"
    llama = tmp_path / "llama.gguf"
    llama.write_bytes(tiny_bytes())
    assert browser_models.no_onnx(llama) == "its tokenizer is gpt2 (gpt-2)"
    with pytest.raises(SystemExit, match="no ONNX of gemma-q4.gguf: its architecture is gemma3"):
        browser_models.make("q8", gemma, tmp_path)


def test_a_vocabulary_without_common_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.gguf"
    path.write_bytes(tiny_bytes(tokenizer="spm", n_vocab=260))
    with pytest.raises(SystemExit, match="bytes.gguf: its vocabulary has too few words of one token"):
        browser_words.words_of(path)


@pytest.mark.model
@pytest.mark.slow
def test_prompts_have_the_length_that_was_meant_in_each_vocabulary(
    real_path: Path, part_path: Callable[[PartModel], Path]
) -> None:
    for path, n_added, n_story in ((real_path, 0, 8), (part_path(parts.GEMMA), 1, 9)):
        words = browser_words.words_of(path)
        assert (words.n_added, words.n_story) == (n_added, n_story)
        with gemel.open(path, threads=1) as model:
            assert words.ends == tuple(id for id in range(model.n_vocab) if model.is_eog(id))
            for n in (8, 64, 300):
                prompt = words.prompt(n, random.Random(n))
                assert len(model.tokenize(prompt, bos_eos=True)) == n
