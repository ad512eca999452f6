"""Qwen2.5-Coder 0.5B computes the hash and the answer of qwen.py, whatever instruction set and threads compute it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gemel
import pytest
import qwen

pytestmark = [pytest.mark.model, pytest.mark.slow]
ROWS = [name for name, usable in gemel.isas().items() if usable]


@pytest.fixture(scope="module")
def model(qwen_path: Path) -> Iterator[gemel.Model]:
    with gemel.open(qwen_path, threads=2) as model:
        yield model


def logits_of(model: gemel.Model) -> str:
    space = {"model": model, "text": qwen.TEXT}
    before, last = qwen.LOGITS.rstrip().rsplit("\n", 1)
    exec(before, space)
    return str(eval(last, space))


@pytest.mark.parametrize("isa", ROWS)
def test_every_instruction_set_and_thread_count_gives_one_hash_of_logits(model: gemel.Model, isa: str) -> None:
    model.set_isa(isa)
    for threads in (1, 2, 3) if isa != "scalar" else (2,):
        model.set_threads(threads)
        assert logits_of(model) == qwen.LOGITS_SHA256, threads


def test_a_greedy_answer_is_that_of_every_host(model: gemel.Model) -> None:
    model.set_isa(ROWS[-1])
    generation = model.generate(qwen.PROMPT, max_tokens=qwen.ANSWER_TOKENS, temperature=0)
    assert generation.read() == qwen.ANSWER
