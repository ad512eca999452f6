"""Logits of transformers, kept in tests/golden: the reference and the core give them for the same weights.

golden/make_transformers.py wrote them; nothing of it is needed here.
"""

from __future__ import annotations

import gemel
import golden_files
import mistakes
import numpy as np
import pytest
from archs import ARCHS
from gemel._session import KV_TYPES, KvType
from gguf_file import F32
from golden_files import IDS, Case
from mistakes import Mistake
from reference import Reference

# Largest difference, in parts of the largest logit. Without rounding of keys and values 3e-6 is reached, in F16 1.3e-3.
BOUNDS: dict[str, float] = {"f32": 1e-5, "f16": 2.5e-3}
CASES = {
    f"{arch}, {name}": case
    for arch in ARCHS
    if (path := golden_files.FOLDER / f"{arch}.json").is_file()  # one that is missing: test_archs.py
    for name, case in golden_files.read(path).items()
}


def distance(got: F32, case: Case) -> float:
    return float(np.abs(got - case.logits).max() / np.abs(case.logits).max())


def reference_logits(case: Case, mistake: Mistake | None = None) -> F32:
    model = Reference(case.model(), n_ctx=case.n_ctx, kv_type="f32")
    if mistake:
        mistake(model)
    return model.logits(IDS[: case.n_ids])[np.ix_(case.rows, case.columns)]


@pytest.mark.parametrize("name", CASES)
def test_the_reference_gives_the_logits_of_transformers(name: str) -> None:
    assert distance(reference_logits(CASES[name]), CASES[name]) <= BOUNDS["f32"]


@pytest.mark.parametrize("kv_type", [kv_type for kv_type in KV_TYPES if kv_type in BOUNDS])
@pytest.mark.parametrize("name", CASES)
def test_the_core_gives_the_logits_of_transformers(name: str, kv_type: KvType) -> None:
    case, rows = CASES[name], []
    with gemel.open(case.model(), threads=1) as model, model.session(n_ctx=case.n_ctx, kv_type=kv_type) as session:
        for at in case.rows:
            session.append(IDS[session.n_past : at + 1])
            rows.append(np.asarray(session.logits())[case.columns])
    assert distance(np.stack(rows), case) <= BOUNDS[kv_type]


MISTAKES: list[tuple[str, str, Mistake]] = [
    *(("llama, plain", name, mistake) for name, mistake in mistakes.EVERYWHERE.items()),
    *((f"llama, {kind}", "RoPE", mistakes.rope_scaling) for kind in ("linear", "yarn", "llama3", "longrope")),
    *(("llama, biases", name, mistake) for name, mistake in mistakes.BIASES.items()),
    *(("qwen2, plain", name, mistake) for name, mistake in mistakes.EVERYWHERE.items()),
    *(("qwen2, plain", name, mistakes.BIASES[name]) for name in mistakes.BIASES if name[-2:] in ("_q", "_k", "_v")),
]


@pytest.mark.parametrize(("case", "mistake"), [pytest.param(at, one, id=f"{at}, {name}") for at, name, one in MISTAKES])
def test_a_mistake_is_far_from_the_logits_of_transformers(case: str, mistake: Mistake) -> None:
    assert distance(reference_logits(CASES[case], mistake), CASES[case]) > 100 * BOUNDS["f32"]


def test_golden_files_are_small() -> None:
    assert [path.name for path in golden_files.FOLDER.glob("*.json") if path.stat().st_size > 12_000] == []
