"""Logits of llama.cpp for tiny models of every architecture, and hidden states of encoders, kept in
tests/golden/llama_cpp: the core gives them, too.

golden/make_llama_cpp_rows.py wrote them, with F32 weights and an F32 cache; nothing of it is needed here. A table in
docs/models.md says where llama.cpp and transformers differ.
"""

from __future__ import annotations

from dataclasses import replace

import gemel
import golden_files
import mistakes
import numpy as np
import pytest
import reference_math
from archs import ARCHS
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


def test_golden_files_are_small() -> None:
    assert [path.name for path in FOLDER.glob("*.json") if path.stat().st_size > 8_000] == []
