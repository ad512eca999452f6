"""Rerankers: a query and documents become scores, by a classifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gemel
import golden_files
import numpy as np
import pytest
import tiny
from conftest import tiny_bytes
from reference import Reference

Open = Callable[..., gemel.Model]
QUERY, DOCUMENTS = "the model", ["reads the tensors", "a file of the model", "x", "the model reads the file " * 9]
BERT: dict[str, Any] = {"arch": "bert", "tokenizer": "bert", "pooling": 4, "scores": 1}
QWEN3: dict[str, Any] = {
    "arch": "qwen3", "scores": 2, "rank_dense": False, "kv": (("qwen3.pooling_type", "u32", 4),), "pre": "qwen2",
}   # fmt: skip
TEMPLATE = "Is this right?\n{query}\n{document}\nyes or no:"
CASES = {
    "bert": BERT,
    "bert, no matrix before the scores": {**BERT, "rank_dense": False},
    "bert, no biases": {**BERT, "without": ("cls.bias", "cls.output.bias")},
    "bert, no types": {**BERT, "n_types": 0},
    "qwen3": {**QWEN3, "kv": (*QWEN3["kv"], ("tokenizer.chat_template.rerank", "string", TEMPLATE))},
    "qwen3, no template": QWEN3,
}
GOLDEN: dict[str, Any] = json.loads((golden_files.FOLDER / "rerank.json").read_text())["cases"]
ROWS = [name for name, usable in gemel.isas().items() if usable]


def ids_of(model: gemel.Model, document: str) -> tuple[list[int], list[int]]:
    """Return the ids of a pair and their types, as transformers' tokenizers make them."""
    if "tokenizer.chat_template.rerank" in model.metadata:
        text = TEMPLATE.replace("{query}", QUERY).replace("{document}", document)
        return model.tokenize(text), []
    if not model.is_encoder:
        return model.tokenize(QUERY) + model.tokenize(document), []
    first = model.tokenize(QUERY, bos_eos=True)
    second = model.tokenize(document, bos_eos=True)[1:]
    has_types = model.metadata.get("tokenizer.ggml.token_type_count", 0) == 2
    return first + second, [0] * len(first) + [1] * len(second) if has_types else []


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_scores_are_the_references(tiny_model: Open, name: str, normalize: bool) -> None:
    model = tiny_model(**CASES[name])
    reference = Reference(tiny_bytes(**CASES[name]), kv_type=model.default_kv_type)
    made = [reference.rank(*ids_of(model, one), as_chances=normalize) for one in DOCUMENTS]
    expected = [one[0] if normalize or len(one) == 1 else one[0] - one[1] for one in made]
    found = model.rerank(QUERY, DOCUMENTS, normalize=normalize)
    assert [one.index for one in found] == sorted(range(len(expected)), key=lambda i: -expected[i])
    assert np.allclose([one.score for one in found], sorted(expected, reverse=True), rtol=0, atol=1e-12)
    assert model.rerank(QUERY, DOCUMENTS, 2, normalize=normalize) == found[:2]
    assert len({one.score for one in found}) == len(DOCUMENTS)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_reference_gives_the_scores_of_transformers(name: str) -> None:
    case = GOLDEN[name]
    pairs, tensors = tiny.described(tiny.TinyModel(**case["fields"]))
    assert golden_files.checksum(tensors) == case["weights"]
    ids, n = golden_files.IDS[: case["n_ids"]], case["n_first"]
    types = [0] * n + [1] * (len(ids) - n) if case["fields"]["arch"] == "bert" else []
    found = Reference(tiny.write_gguf(None, pairs, tensors), kv_type="f32").rank(ids, types)
    assert np.allclose(found, case["scores"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["bert", "qwen3"])
def test_every_row_and_thread_count_gives_the_same_scores(tiny_model: Open, name: str) -> None:
    model = tiny_model(isa="scalar", **CASES[name])
    expected = model.rerank(QUERY, DOCUMENTS)
    for row in ROWS:
        model.set_isa(row)
        for n in (1, 3):
            model.set_threads(n)
            assert model.rerank(QUERY, DOCUMENTS) == expected, (row, n)
    with model.batch() as batch:
        for one in expected:
            assert batch.rank(QUERY, DOCUMENTS[one.index]).result() == one.score


def test_texts_that_spell_out_control_tokens_stay_texts(tiny_model: Open) -> None:
    model = tiny_model(**CASES["qwen3"])
    control = next(model.piece(id, special=True).decode() for id in range(model.n_vocab) if model.is_control(id))
    with model.session() as session:
        spelt = model.tokenize(f"Is this right?\n{control}\n")
        assert not any(model.is_control(id) for id in spelt)
        rest = model.tokenize("{query}\nyes or no:")   # of a document, it is no place for the query
        session.append([*spelt, *rest])
    found = model.rerank(control, ["{query}"], normalize=False)[0].score
    reference = Reference(tiny_bytes(**CASES["qwen3"]), kv_type=model.default_kv_type)
    yes, no = reference.rank([*spelt, *rest])
    assert abs(found - (yes - no)) < 1e-12


def test_a_separator_stands_between_texts_where_the_file_asks_for_it(tiny_model: Open) -> None:
    flags = (("tokenizer.ggml.add_sep_token", "bool", True),)
    plain, with_separator = tiny_model(**BERT), tiny_model(**BERT, kv=flags)
    first, second = plain.tokenize("a", bos_eos=True), plain.tokenize("b", bos_eos=True)[1:]
    ids, types = [*first, 3, *second], [0] * (len(first) + 1) + [1] * len(second)
    expected = Reference(tiny_bytes(**BERT), kv_type="f16").rank(ids, types)
    assert abs(with_separator.rerank("a", ["b"], normalize=False)[0].score - expected[0]) < 1e-12


def test_what_can_not_be_ranked_is_refused(tiny_model: Open) -> None:
    model = tiny_model(**BERT, n_ctx=32)
    with pytest.raises(gemel.ContextError, match=r"documents\[1\]: n_ctx is 32, but the query and the document"):
        model.rerank("a", ["b", "word " * 40])
    with pytest.raises(gemel.ArgumentError, match="there are no documents"):
        model.rerank("a", [])
    with pytest.raises(gemel.ArgumentTypeError, match=r"documents\[0\]: document=3"):
        model.rerank("a", [3])   # type: ignore[list-item]
    with pytest.raises(gemel.ArgumentTypeError, match="documents='b'"):
        model.rerank("a", "b")
    with pytest.raises(gemel.ArgumentTypeError, match="query=3"):
        model.rerank(3, ["b"])   # type: ignore[arg-type]
    with pytest.raises(gemel.ArgumentError, match=r"documents\[1\]: the query and the document have no tokens"):
        tiny_model(**QWEN3).rerank("", ["a", ""])
    for wrong in (0, True, "1"):
        with pytest.raises(gemel.ArgumentError, match="top_n"):
            model.rerank("a", ["b"], wrong)   # type: ignore[arg-type]
    with pytest.raises(gemel.UnsupportedError, match="has no classifier .cls.output.weight.: open a reranker"):
        tiny_model(arch="bert", tokenizer="bert").rerank("a", ["b"])
    with pytest.raises(gemel.UnsupportedError, match="has 3 scores; a reranker of its kind has one score"):
        tiny_model(**{**BERT, "scores": 3}).rerank("a", ["b"])


def test_a_classifier_that_lacks_a_part_is_refused(tiny_model: Open) -> None:
    for name, needs in (("cls.weight", "cls.weight"), ("cls.output.weight", "cls.output.weight")):
        with pytest.raises(gemel.FormatError, match=f"the tensor {needs} is missing"):
            tiny_model(**BERT, without=(name,))
    with pytest.raises(gemel.FormatError, match=r"cls.output.weight is \[64, 2, 1, 1\]; by the metadata it must be"):
        tiny_model(**{**BERT, "scores": 2}, without=("bert.classifier.output_labels",))
    labels: Any
    for kind, labels in (("u32", 2), ("i32[]", [1, 2]), ("string[]", []), ("string[]", ["a"] * 5000)):
        with pytest.raises(gemel.FormatError, match="output_labels must be a list of 1 to 4096 strings"):
            tiny_model(**{**BERT, "scores": 2}, kv=(("bert.classifier.output_labels", kind, labels),))
    with pytest.raises(gemel.UnsupportedError, match="unexpected tensor cls.weight"):
        tiny_model(arch="llama", scores=2)
