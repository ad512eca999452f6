"""Logits of llama.cpp for tiny models of every architecture, hidden states of encoders and scores of rerankers, kept
in tests/golden/llama_cpp: the core gives them, too.

golden/make_llama_cpp_rows.py and make_llama_cpp_rerank.py wrote them, with F32 weights and an F32 cache; nothing of
them is needed here. A table in docs/models.md says where llama.cpp and transformers differ.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import gemel
import golden_files
import mistakes
import numpy as np
import pytest
import reference_math
import tiny
from archs import ARCHS
from gemel.model.rank import rank_pooling
from gguf_file import F32
from golden_files import IDS, Case
from mistakes import Mistake
from reference import Reference

FOLDER = golden_files.FOLDER / "llama_cpp"
# Largest difference, in parts of the largest logit. Both compute in F32, and only the order of sums differs: 8.4e-6 is
# reached in up to four layers. MISTAKES of test_golden.py move logits by over 1e-3.
BOUND = 1e-5
# GELU is a table in llama.cpp, of F16 numbers by F16 numbers. The core, which has no table, is 1e-4 to 9.6e-4 away.
GELU_BOUND = 1e-3
CASES = {
    f"{arch}, {name}": case
    for arch in ARCHS
    if (path := FOLDER / f"{arch}.json").is_file()
    for name, case in golden_files.read(path).items()
}
RANKS: dict[str, dict[str, Any]] = json.loads((FOLDER / "rerank.json").read_text())["cases"]


def table(x: F32) -> F32:
    """GELU as llama.cpp has it: by tanh, from a table of F16; beyond 10 without it."""
    known = reference_math.gelu_tanh(x.astype(np.float16).astype(np.float32)).astype(np.float16).astype(np.float32)
    return np.where(x <= -10, np.float32(0), np.where(x >= 10, x, known))


# Where llama.cpp differs from transformers: what makes a reference compute as it does.
NO_WINDOW = mistakes.scores(lambda spec: replace(spec, window=0))
SOFTMAX = mistakes.experts(route="SOFTMAX", normed=True)
DIFFERS: dict[str, Mistake] = {
    "phi3, plain": NO_WINDOW,
    "exaone4, plain": mistakes.all_of(NO_WINDOW, mistakes.rope_of(1, 0)),
    "minicpm, default scales": mistakes.number("logit_scale", 64 / 256),
    "gemma4, plain": mistakes.all_of(mistakes.act(table), mistakes.number("final_cap", 30.0)),
    "deepseek2, groups of experts": mistakes.experts(group_top=2),
    "gpt-oss, yarn": mistakes.ropes(whole_bounds=True),
    "phimoe, plain": mistakes.all_of(NO_WINDOW, SOFTMAX, mistakes.rms_for_layer),
    "phimoe, many experts": mistakes.rms_for_layer,
}
UNKNOWN = ["mpnet"]   # to llama.cpp
TABLED = [name for name in CASES if name not in DIFFERS and ARCHS[name.split(",")[0]].act.startswith("GELU")]


def distances(got: F32, case: Case) -> F32:
    """Return the distance of each row."""
    out: F32 = np.abs(got - case.logits).max(axis=-1) / np.abs(case.logits).max()
    return out


def core_distance(case: Case) -> float:
    rows = []
    with gemel.open(case.model(), threads=1) as model, model.session(n_ctx=case.n_ctx, kv_type="f32") as session:
        for at in () if model.is_encoder else case.rows:
            session.append(IDS[session.n_past : at + 1])
            rows.append(np.asarray(session.logits())[case.columns])
        if model.is_encoder:
            rows += list(np.asarray(session.hidden(IDS[: case.n_ids]))[np.ix_(case.rows, case.columns)])
    return float(distances(np.stack(rows), case).max())


def reference_distances(case: Case, change: Mistake) -> F32:
    model = Reference(case.model(), n_ctx=case.n_ctx, kv_type="f32")
    change(model)
    return distances(model.outputs(IDS[: case.n_ids])[np.ix_(case.rows, case.columns)], case)


@pytest.mark.parametrize("name", [name for name in CASES if name not in DIFFERS])
def test_the_core_gives_the_logits_of_llama_cpp(name: str) -> None:
    bound = GELU_BOUND if name in TABLED else BOUND * max(1, CASES[name].fields["n_layer"] / 4)
    assert core_distance(CASES[name]) <= bound


@pytest.mark.parametrize("name", TABLED)
def test_with_llama_cpps_table_of_gelu_the_reference_gives_its_logits(name: str) -> None:
    rows = np.sort(reference_distances(CASES[name], mistakes.act(table)))
    assert rows[1] <= BOUND   # a number that falls on another step of the table moves its row further
    assert rows[-1] <= GELU_BOUND / 2


@pytest.mark.parametrize("name", DIFFERS)
def test_where_llama_cpp_differs_nothing_else_does(name: str) -> None:
    assert core_distance(CASES[name]) > 100 * BOUND
    assert reference_distances(CASES[name], DIFFERS[name]).max() <= BOUND


@pytest.mark.parametrize("name", [name for name in ARCHS if name not in UNKNOWN])
def test_each_architecture_has_logits_of_llama_cpp(name: str) -> None:
    assert (FOLDER / f"{name}.json").is_file(), f"run tests/golden/make_llama_cpp_rows.py {name}"


def reranker(name: str) -> bytes:
    """Return a reranker's file, with the weights that llama.cpp had."""
    pairs, tensors = tiny.described(tiny.TinyModel(**RANKS[name]["fields"]))
    assert golden_files.checksum(tensors) == RANKS[name]["weights"]
    return tiny.write_gguf(None, pairs, tensors)


def rank_distances(name: str, found: list[list[float]]) -> F32:
    """Return the distance of each text's scores, in parts of the largest."""
    wanted = np.array(RANKS[name]["scores"])
    out: F32 = np.abs(np.array(found) - wanted).max(axis=-1) / np.abs(wanted).max()
    return out


def reference_ranks(name: str, change: Mistake) -> F32:
    model = Reference(reranker(name), kv_type="f32")
    change(model)
    as_chances = not model.row.has("ENCODER")
    return rank_distances(name, [model.rank(IDS[:n], as_chances=as_chances) for n in RANKS[name]["lengths"]])


def without(tensor: str) -> Mistake:
    """Forget a tensor of the classifier."""

    def forget(model: Reference) -> None:
        del model.tensors[tensor]

    return forget


def first_for_last(model: Reference) -> None:
    """Pool the row at the other end of the text."""
    hidden = model.hidden
    mistakes.number("hidden", lambda ids: hidden(ids)[::-1])(model)


def raw_for_chances(model: Reference) -> None:
    """Leave out the softmax of yes and no, or add the logistic function of a single score."""
    rank = model.rank
    mistakes.number("rank", lambda ids, *, as_chances: rank(ids, as_chances=not as_chances))(model)


def second_types(model: Reference) -> None:
    """Give half of the text type 1, as transformers does for a document."""
    rank = model.rank

    def halves(ids: list[int], *, as_chances: bool) -> list[float]:
        return rank(ids, [int(i >= len(ids) // 2) for i in range(len(ids))], as_chances=as_chances)

    mistakes.number("rank", halves)(model)


BERTS = [name for name in RANKS if name.startswith("bert")]
WRONG: dict[str, Mistake] = {
    "the row at the other end": first_for_last, "raw scores for chances": raw_for_chances, "two types": second_types,
    "no matrix before the score": without("cls.weight"), "no bias of that matrix": without("cls.bias"),
    "no bias of the score": without("cls.output.bias"),
}   # fmt: skip
WRONG_OF = {   # mistake -> rerankers that it changes
    "the row at the other end": [*RANKS], "raw scores for chances": [*RANKS], "two types": ["bert"],
    "no matrix before the score": [name for name in BERTS if "no matrix" not in name],
    "no bias of that matrix": BERTS[:2], "no bias of the score": BERTS[:3],
}   # fmt: skip


@pytest.mark.parametrize("name", RANKS)
def test_the_core_gives_the_scores_of_llama_cpp(name: str) -> None:
    found = []
    with gemel.open(reranker(name), threads=1) as model, model.session(kv_type="f32") as session:
        is_encoder = model.is_encoder
        for n in RANKS[name]["lengths"]:
            session.truncate(0)
            row = gemel.pooled(session.hidden(IDS[:n]), rank_pooling(model), normalize=False)
            found.append(model._rank(np.asarray(row).tolist(), as_chances=not is_encoder))
    assert rank_distances(name, found).max() <= (GELU_BOUND if is_encoder else BOUND)


@pytest.mark.parametrize("name", BERTS)
def test_with_llama_cpps_table_of_gelu_the_reference_gives_its_scores(name: str) -> None:
    rows = np.sort(reference_ranks(name, mistakes.act(table)))
    assert rows[-2] <= BOUND   # a number that falls on another step of the table moves its text further
    assert rows[-1] <= GELU_BOUND / 2


@pytest.mark.parametrize(("what", "name"), [(what, name) for what, names in WRONG_OF.items() for name in names])
def test_a_wrong_classifier_is_seen(what: str, name: str) -> None:
    assert np.median(reference_ranks(name, WRONG[what])) > 10 * GELU_BOUND


def test_golden_files_are_small() -> None:
    assert [path.name for path in FOLDER.glob("*.json") if path.stat().st_size > 8_000] == []
