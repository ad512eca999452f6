"""SmolLM2 against llama.cpp, where llama-cpp-python is installed: likelihood, top-1 choice, tokens.

With 8-bit activations two implementations part company at near ties: llama.cpp agrees with itself, flash attention on
and off, on about 96 % of first choices in prose. So the same quantised file is held to llama.cpp's own agreement with
itself, and the same weights in F16, where no activation is quantised, to 99.5 %.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gemel
import numpy as np
import pytest
import tiny
from gguf_file import read_gguf

llama_cpp: Any = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
pytestmark = [pytest.mark.peer, pytest.mark.model, pytest.mark.slow]
TEXT = Path(__file__).parents[1] / "text" / "english.txt"
N_CHUNK = 256


class Scores(NamedTuple):
    nll: list[float]
    top: list[int]


def chunks_of(ids: list[int]) -> list[list[int]]:
    return [ids[at : at + N_CHUNK] for at in range(0, len(ids), N_CHUNK)]


def ours(model: gemel.Model, chunks: Sequence[list[int]]) -> Scores:
    nll, top = [], []
    for chunk in chunks:
        with model.session(kv_type="f16") as session:   # as llama.cpp has it
            log_probs, best = session.score(chunk)
        nll += [-p for p in log_probs[1:]]
        top += best[1:]
    return Scores(nll, top)


def theirs(path: Path, chunks: Sequence[list[int]], *, flash: bool = False) -> Scores:
    llama = llama_cpp.Llama(str(path), n_ctx=N_CHUNK, n_batch=N_CHUNK, logits_all=True, flash_attn=flash, verbose=False)
    nll, top = [], []
    for chunk in chunks:
        llama.reset()
        llama.eval(chunk)
        logits = np.array(llama.scores[: len(chunk) - 1], dtype=np.float64)
        shifted = logits - logits.max(-1, keepdims=True)
        log_probs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        nll += [-float(log_probs[i, id_]) for i, id_ in enumerate(chunk[1:])]
        top += [int(id_) for id_ in logits.argmax(-1)]
    llama.close()
    return Scores(nll, top)


def agreement(a: Scores, b: Scores) -> float:
    return float(np.mean(np.array(a.top) == np.array(b.top)))


def kind_of(value: object) -> str:
    """Return the GGUF type under which tiny.write_gguf writes a value that reference.read_gguf read."""
    if isinstance(value, list):
        return f"{kind_of(value[0]).replace('u32', 'i32')}[]"
    return {bool: "bool", int: "u32", float: "f32", str: "string"}[type(value)]


@cache
def scored(path: Path) -> tuple[Scores, Scores, Scores]:
    with gemel.open(path) as model:
        chunks = chunks_of(model.tokenize(TEXT.read_text()))
        own = ours(model, chunks)
    return own, theirs(path, chunks), theirs(path, chunks, flash=True)


def test_likelihood_is_within_three_thousandths_of_llama_cpp(real_path: Path) -> None:
    own, plain, _ = scored(real_path)
    assert math.isclose(np.mean(own.nll), np.mean(plain.nll), rel_tol=0.003)


def test_first_choices_agree_as_often_as_llama_cpp_does_with_itself(real_path: Path) -> None:
    own, plain, flash = scored(real_path)
    floor = agreement(plain, flash) - 0.01
    assert agreement(own, plain) >= floor
    assert agreement(own, flash) >= floor


def test_first_choices_agree_on_unquantised_weights(real_path: Path, tmp_path: Path) -> None:
    metadata, tensors = read_gguf(real_path.read_bytes())
    path = tmp_path / "f16.gguf"
    rows = []
    for name, tensor in tensors.items():
        values = tensor.floats()
        type_ = "F32" if values.ndim == 1 else "F16"
        rows.append(tiny.Tensor(name, type_, list(values.shape[::-1]), tiny.float_bytes(type_, values)))
    tiny.write_gguf(path, [(key, kind_of(value), value) for key, value in metadata.items()], rows)
    own, plain, _ = scored(path)
    assert agreement(own, plain) >= 0.995
    assert math.isclose(np.mean(own.nll), np.mean(plain.nll), rel_tol=0.001)


def held_out_strings() -> list[str]:
    rng = random.Random(5)
    text = TEXT.read_text()
    starts = [rng.randrange(len(text) - 200) for _ in range(25)]
    prose = [text[at : at + rng.randrange(1, 200)] for at in starts]
    blocks = [(32, 127), (160, 592), (880, 4352), (0x4E00, 0x9000), (0x1F600, 0x1F640), (10, 11), (48, 58), (32, 33)]
    return prose + ["".join(chr(rng.randrange(*rng.choice(blocks))) for _ in range(40)) for _ in range(25)]


def test_tokens_are_llama_cpps(real_path: Path) -> None:
    llama = llama_cpp.Llama(str(real_path), vocab_only=True, verbose=False)
    with gemel.open(real_path) as model:
        for text in held_out_strings():
            assert model.tokenize(text) == llama.tokenize(text.encode(), add_bos=False, special=False)
    llama.close()
