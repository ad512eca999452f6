"""Many at once: models, and generations of a batch. Like behaviour.py, a program that runs unchanged on every host."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
from gemel.core import abi

FOLDER = Path(__file__).resolve().parent
Result = Any
SEEDS = range(5)   # of random interleavings


async def many_models_open_and_close() -> Result:
    found = set()
    for _ in range(40):
        with gemel.open(FOLDER / "long.gguf") as model, model.session(n_ctx=256) as session:
            session.sync([5, 6, 7])
            found.add(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
    assert len(found) == 1
    return found.pop()


async def generations_of_a_batch_are_what_they_are_alone() -> Result:
    """Also where they share a prompt, are put back for want of memory, or one beside them is closed."""
    with gemel.open(FOLDER / "long.gguf") as model:
        page = 64 * model.kv_size
        prompts = [[5 + i % 3, *range(3, 200)] for i in range(6)] + [list(range(3, 203 + i)) for i in range(3)]
        alone = [model.generate(ids, max_tokens=30, seed=i) for i, ids in enumerate(prompts)]
        wanted = [generation.read() for generation in alone]
        for memory in (None, 0, 9 * page):
            with model.batch(1024, cache_memory=memory) as batch:
                generations = [batch.generate(ids, max_tokens=30, seed=i) for i, ids in enumerate(prompts)]
                left = batch.generate([9] * 100, max_tokens=30)
                for _ in range(10):
                    batch.step()
                left.close()
                assert [generation.read() for generation in generations] == wanted
                assert [generation.ids for generation in generations] == [generation.ids for generation in alone]
        assert model.cache_size == 0
        return wanted


Case = tuple[list[int], dict[str, Any]]                # a prompt, and how it is answered
Told = tuple[list[int], str, str | None, list[float]]   # ids, text, why it ended, log-probabilities
LONG = [(7 * i + i * i // 5) % 290 for i in range(900)]


async def random_interleavings_are_what_they_are_alone() -> Result:
    with gemel.open(FOLDER / "long.gguf") as model:
        return [[told[:3] for told in interleaved(model, seed)] for seed in SEEDS]


async def drafts_change_no_answer() -> Result:
    """Also not where they are evaluated without regard to the time."""
    found, few = [], {97: 9.0, 101: 9.5, 116: 9.0}   # ids that are then repeated
    with gemel.open(FOLDER / "chat.gguf") as model:
        for draft in (abi.DRAFT_NONE, abi.DRAFT_ALWAYS):
            with model._handle as address:
                assert model._library.call("gemel_model_set_draft", address, draft) == 0
            answer = model.generate("the quick brown fox" * 2, max_tokens=60, temperature=0.3, seed=2, logit_bias=few)
            found.append([answer.read(), answer.ids])
        assert found[0] == found[1]
        assert 0 < answer.timings.n_accepted < answer.timings.n_drafted
        return [*found[0], answer.timings.n_accepted, answer.timings.n_drafted]


def interleaved(model: gemel.Model, seed: int) -> list[Told]:
    """Answer 12 requests of chance in a batch, as they come; return what each is alone, to which it must be equal.

    Prompts, lengths, samplers, cancellations, evictions and requests that are put back are of chance, and so are texts
    that are embedded or scored beside the answers.
    """
    draw = random.Random(seed)
    memory = draw.choice([None, 0, 200_000, 1_000_000])
    cases = [_drawn(draw, i) for i in range(12)]
    wanted = [_alone(model, case) for case in cases]
    texts = [prompt for prompt, _ in draw.sample(cases, 4)]
    read = [(_embedding(model, ids), model.score(ids)) for ids in texts]
    with model.batch(1024, cache_memory=memory, max_running=draw.choice([1, 3, 64])) as batch:
        begun: list[tuple[int, gemel.Generation, list[float]]] = []
        left, queue = set[int](), list(range(len(cases)))
        readings: list[tuple[gemel.BatchFuture[Any], gemel.BatchFuture[list[float]]]] = []
        while queue or batch.n_running or batch.n_waiting:
            while queue and draw.random() < 0.5:
                i, logs = queue.pop(), list[float]()
                prompt, options = cases[i]
                begun.append((i, batch.generate(prompt, **options, on_drawn=_noting(logs)), logs))
            if len(readings) < len(texts) and draw.random() < 0.2:
                ids = texts[len(readings)]
                readings.append((batch.embed(ids), batch.score(ids)))
            batch.step()
            if begun and draw.random() < 0.05:
                i, generation, _ = draw.choice(begun)
                if generation.stop_reason is None:
                    left.add(i)
                    generation.close()
        assert batch.n_running == batch.n_waiting == 0
        for (embedding, scores), wanted_of_it in zip(readings, read, strict=False):   # those that there was time for
            assert (bytes(embedding.result()), scores.result()) == wanted_of_it, f"a text of seed {seed}"
        for i, generation, logs in begun:
            generation.read()
            ids, reason = generation.ids, generation.stop_reason
            if i in left:
                assert (reason, ids) == ("cancelled", wanted[i][0][: len(ids)]), f"case {i} of seed {seed}"
            else:
                assert (ids, generation.text, reason, logs[: len(ids)]) == wanted[i], f"case {i} of seed {seed}"
    assert model.cache_size == 0
    return wanted


def _embedding(model: gemel.Model, ids: list[int]) -> bytes:
    with model.session(len(ids)) as session:
        return bytes(gemel.pooled(session.hidden(ids)))


def _drawn(draw: random.Random, i: int) -> Case:
    """Return a prompt, maybe with the beginning of another one, and how it is answered."""
    start, n = draw.choice([0, 0, 0, 13, 200]), draw.choice([1, 2, 63, 64, 65, 150, 400])
    prompt = LONG[start : start + n] + [draw.randrange(290) for _ in range(draw.choice([0, 0, 1, 40]))]
    options: dict[str, Any] = {"max_tokens": draw.choice([1, 2, 9, 30]), "seed": i}
    options |= draw.choice([{"temperature": 0}, {"temperature": 1.1}, {"mirostat": 2}, {"xtc_probability": 0.5}])
    options |= draw.choice([{}, {}, {"repeat_penalty": 1.3, "dry_multiplier": 0.8}, {"stop": ["the", "a"]}])
    return prompt, options


def _noting(logs: list[float]) -> Callable[[gemel.Session, int], None]:
    """Add the log-probabilities of the ids that a batch draws, as they come."""

    def note(session: gemel.Session, id: int) -> None:
        logs.extend(session.log_probs([id]))

    return note


def _alone(model: gemel.Model, case: Case) -> Told:
    prompt, options = case
    with model.session(1024) as session:
        generation, logs = session.generate(prompt, **options), list[float]()
        while generation.step() is not None:
            if len(generation.ids) > len(logs):
                logs += session.log_probs(generation.ids[-1:])
        return generation.ids, generation.text, generation.stop_reason, logs


def cases() -> list[str]:
    """Return the names of the cases, in order."""
    return [
        name
        for name, value in list(globals().items())
        if asyncio.iscoroutinefunction(value) and value.__module__ == __name__ and not name.startswith("_")
    ]
