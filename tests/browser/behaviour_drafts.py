"""Drafts of a model, of a file and of repeats change no answer. Like behaviour.py, it runs unchanged on every host."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gemel
from gemel.core import abi

FOLDER = Path(__file__).resolve().parent
Result = Any
N_PROMPTS = 36
TEXT = "Once the other there, once the other was there and once the other "
FEW = {97: 9.0, 101: 9.5, 116: 9.0}   # ids that an answer then repeats
SAMPLINGS: tuple[dict[str, Any], ...] = (
    {},
    {"repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.1},
    {"dry_multiplier": 0.8, "dry_breakers": [" "]},
    {"mirostat": 2, "mirostat_tau": 1},
    {"grammar": 'root ::= ("te" [at] "e" | [a-z])*'},
    {"json_schema": {"type": "array", "minItems": 3, "items": {"enum": ["ta", "te", "eat"]}}},
)


async def a_draft_model_changes_no_answer() -> Result:
    """Greedy and at temperature 1, alone; some also in a batch."""
    with gemel.open(FOLDER / "chat.gguf", draft=(FOLDER / "chat.gguf").read_bytes()) as model:
        return same_answers(model, "model")


async def a_draft_file_changes_no_answer() -> Result:
    """As with a model."""
    with gemel.open(FOLDER / "chat.gguf") as model:
        texts = [TEXT + model.generate(TEXT, seed=i, max_tokens=40, logit_bias=FEW).read() for i in range(3)]
        model.draft = model.draft_cache([*texts, '["te","eat","te","ta"]'], least=1)
        return same_answers(model, "file")


def same_answers(model: gemel.Model, kind: str) -> Result:
    """Return a hash of the answers, which must be the same without drafts, and how many drafts were right."""
    with drafting(model, abi.DRAFT_NONE):
        wanted, none = answers(model, kind)
    with drafting(model, abi.DRAFT_ALWAYS):
        found, (drafted, accepted) = answers(model, kind)
        batched = in_a_batch(model)
    assert found == wanted
    assert batched == wanted[: len(batched)]
    assert none == (0, 0)
    assert 0 < accepted <= drafted
    return hashlib.sha256(repr(wanted).encode()).hexdigest(), drafted, accepted


def answers(model: gemel.Model, kind: str) -> tuple[list[list[int]], tuple[int, int]]:
    found, counts = [], [0, 0]
    with model.session(128) as session:
        for prompt, options in asked():
            answer = session.generate(prompt, **options)
            answer.read()
            found.append(answer.ids)
            for i, n in enumerate(answer.timings.drafts.get(kind, (0, 0))):
                counts[i] += n
    return found, (counts[0], counts[1])


def in_a_batch(model: gemel.Model) -> list[list[int]]:
    with model.batch(128) as batch:
        begun = [batch.generate(prompt, **options) for prompt, options in list(asked())[:24]]
        for one in begun:
            one.read()
        return [one.ids for one in begun]


def asked() -> Iterator[tuple[str, dict[str, Any]]]:
    for i in range(N_PROMPTS):
        prompt = TEXT[: 20 + i * 7 % 40] + TEXT[i % 30 :][: 5 + i % 11]
        options = SAMPLINGS[i % len(SAMPLINGS)]
        for temperature in (0.5, 1) if "mirostat" in options else (0, 1):
            yield prompt, {"temperature": temperature, "seed": i, "max_tokens": 8, "logit_bias": FEW, **options}


def cases() -> list[str]:
    """Return the names of the cases, in order."""
    return [name for name, value in list(globals().items()) if asyncio.iscoroutinefunction(value)]


@contextmanager
def drafting(model: gemel.Model, mode: int) -> Iterator[None]:
    with model._handle as address:
        assert model._library.call("gemel_model_set_draft", address, mode) == 0
    yield


