"""What goes wrong in a batch ends what it concerns, and nothing else: errors, interruptions, forks, want of memory."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel.core.errors import OutOfMemoryError
from gemel.model.batch import batch as module
from gemel.model.batch.prefixes import prefixes_of
from gemel.model.step import Drawn, Pass

LONG = [(7 * i + i * i // 5) % 290 for i in range(1900)]


@pytest.fixture
def model() -> Iterator[gemel.Model]:
    with gemel.open(tiny_bytes(n_ctx=2048), threads=1) as model:
        yield model


def alone(model: gemel.Model, ids: list[int], **options: Any) -> str:  # noqa: ANN401
    return model.generate(ids, **options).read()


GREEDY: dict[str, Any] = {"max_tokens": 20, "temperature": 0}


def once(patch: pytest.MonkeyPatch, error: BaseException, *, after: bool) -> None:
    """Let the batches' third pass raise an error, before or after the core has evaluated it."""
    original, passes = Pass.run, [0]

    def run(taken: Pass, parts: Sequence[array[int]]) -> list[Drawn]:
        passes[0] += 1
        if passes[0] != 3:
            return original(taken, parts)
        if after:
            original(taken, parts)
        raise error

    patch.setattr(Pass, "run", run)


def test_a_session_that_is_held_has_no_logits(model: gemel.Model) -> None:
    seen: list[gemel.Session] = []
    with model.batch() as batch:
        batch.generate(LONG[:200], **GREEDY, on_drawn=lambda session, id: seen.append(session)).read()
        assert all(session.closed for session in seen)
        generation = batch.generate([*LONG[:200], 3], **GREEDY)
        generation.read()
        assert generation.timings.n_cached == 200


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("x")])
def test_an_interrupted_step_gives_no_wrong_text(
    model: gemel.Model, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with model.batch() as batch:
        generations = [batch.generate(LONG[i : i + 9], **GREEDY) for i in range(3)]
        once(monkeypatch, error, after=True)
        with pytest.raises(type(error)):
            generations[0].read()
        assert generations[0].stop_reason == "error"
        for generation in generations[1:]:
            with pytest.raises(gemel.StateError, match="interrupted: what it did is unknown"):
                generation.read()
        assert batch.generate(LONG[:9], **GREEDY).read() == alone(model, LONG[:9], **GREEDY)


def test_a_pass_without_memory_is_tried_again_with_one_fewer(
    model: gemel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [alone(model, LONG[i : i + 9], **GREEDY) for i in range(3)]
    with model.batch() as batch:
        generations = [batch.generate(LONG[i : i + 9], **GREEDY) for i in range(3)]
        once(monkeypatch, OutOfMemoryError("x"), after=False)
        assert [generation.read() for generation in generations] == expected


def test_without_memory_to_begin_the_youngest_is_put_back_and_nothing_is_lost(
    model: gemel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put back after the step's answers were chosen, of which it was one."""
    expected = [alone(model, LONG[i : i + 9], **GREEDY) for i in range(3)]
    opened: list[object] = []

    class Scarce(gemel.Session):
        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401
            opened.append(self)
            if len(opened) == 3:
                raise OutOfMemoryError("x")
            super().__init__(*arguments)

    with model.batch() as batch:
        monkeypatch.setattr(module, "Session", Scarce)
        first = [batch.generate(LONG[i : i + 9], **GREEDY) for i in range(2)]
        for _ in range(4):
            batch.step()
        prefixes_of(model).close(batch)   # nothing is held that could be freed instead
        last = batch.generate(LONG[2:11], **GREEDY)
        assert [generation.read() for generation in [*first, last]] == expected
    assert len(opened) > 3


def test_bad_ids_and_options_are_refused_and_hold_nothing(model: gemel.Model) -> None:
    with model.batch() as batch:
        good: Any = batch.generate
        users = model._handle._users
        for ids in ([10**6, 1], [2**40], [-1]):
            with pytest.raises(gemel.ArgumentError):
                good(ids, penalty_last_n=0)
        for options in ({"is_answer": 5}, {"on_drawn": 5}, {"temperature": -1}, {"cache_salt": 5}):
            with pytest.raises((gemel.ArgumentError, TypeError)):
                good([1], **options)
        assert model._handle._users == users
        assert batch.n_waiting == 0


def test_a_callback_that_closes_its_session_ends_its_generation_alone(model: gemel.Model) -> None:
    def close(session: gemel.Session, id: int) -> None:
        session.close()

    with model.batch() as batch:
        bad, good = batch.generate([1, 2], on_drawn=close, **GREEDY), batch.generate([3, 4], **GREEDY)
        assert good.read() == alone(model, [3, 4], **GREEDY)
        with pytest.raises(gemel.GemelError, match="closed"):
            bad.read()


def test_a_callback_can_not_take_a_step(model: gemel.Model) -> None:
    with model.batch() as batch:
        other = batch.generate([3, 4], **GREEDY)
        for act in (batch.step, batch.close, other.read):
            generation = batch.generate([1, 2], on_drawn=lambda session, id, act=act: act(), **GREEDY)   # type: ignore[misc]
            with pytest.raises(gemel.StateError, match="can't start another step"):
                generation.read()
        other.close()


def test_a_generation_may_be_deleted_or_closed_in_the_middle_of_a_step(model: gemel.Model) -> None:
    with model.batch() as batch:
        held = [batch.generate(LONG[:50], max_tokens=300) for _ in range(3)]

        def drop(session: gemel.Session, id: int) -> None:
            if held:
                held.pop().close()
            held.clear()
            gc.collect()

        generation = batch.generate([1, 2], on_drawn=drop, **GREEDY)
        assert generation.read() == alone(model, [1, 2], **GREEDY)
        assert (batch.n_running, batch.n_waiting) == (0, 0)


def test_what_waits_has_no_cached_ids_and_another_batch_does_not_know_it(model: gemel.Model) -> None:
    with model.batch() as one, model.batch() as other:
        generation = one.generate(LONG[:10])
        assert (generation.timings.n_cached, generation.timings.n_evaluated) == (0, 0)
        for asked in (other.ready, lambda one: other.ready(model.generate("a"))):
            with pytest.raises(gemel.ArgumentError, match="does not belong to this batch"):
                asked(generation)


def test_salts_leave_nothing_behind(model: gemel.Model) -> None:
    with model.batch(cache_memory=0) as batch:
        for i in range(30):
            batch.generate([1, 2, 3], max_tokens=1, cache_salt=str(i)).read()
        batch.generate([1], max_tokens=1).read()
    assert prefixes_of(model)._roots == {}


def test_an_idle_batch_gives_way_to_another_of_its_model(model: gemel.Model) -> None:
    memory = 30 * 64 * model.kv_size
    with model.batch(cache_memory=memory) as idle, model.batch(1024, cache_memory=memory) as busy:
        idle.generate(LONG[:1700], max_tokens=1).read()
        generations = [busy.generate(LONG[i : i + 100], max_tokens=60, seed=1) for i in range(8)]
        most = 0
        while busy.step():
            most = max(most, busy.n_running)
        assert most > 4
        texts = [alone(model, LONG[i : i + 100], max_tokens=60, seed=1) for i in range(8)]
        assert [generation.read() for generation in generations] == texts


def test_a_prefix_that_the_next_request_needs_is_not_freed_for_it(model: gemel.Model) -> None:
    memory = 50 * 64 * model.kv_size
    with model.batch(cache_memory=memory) as batch:
        batch.generate(LONG[:1500], max_tokens=1).read()
        runs = batch.generate([1, 2], max_tokens=500, logit_bias={id: -1e9 for id in range(300) if model.is_eog(id)})
        batch.step()
        again = batch.generate(LONG[:1500], max_tokens=1)
        again.read()
        assert again.timings.n_cached == 1499
        runs.close()


def test_a_short_prompt_does_not_wait_for_a_long_one(model: gemel.Model) -> None:
    with model.batch(2048) as batch:
        runs = batch.generate([1, 2], max_tokens=2000, logit_bias={id: -1e9 for id in range(300) if model.is_eog(id)})
        for _ in range(5):
            batch.step()
        long, short = batch.generate(LONG[:1800], max_tokens=1), batch.generate(LONG[100:140], max_tokens=1)
        while short.stop_reason is None:
            batch.step()
        assert long.stop_reason is None
        runs.close()
        long.close()


def test_a_batch_that_closes_while_others_add_to_it_holds_nothing(model: gemel.Model) -> None:
    for _ in range(20):
        batch = model.batch()
        begin = threading.Barrier(3)

        def add(batch: gemel.Batch = batch, begin: threading.Barrier = begin) -> None:
            begin.wait()
            for _ in range(50):
                try:
                    batch.generate([1, 2, 3], max_tokens=1)
                except gemel.ArgumentError:
                    return

        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        begin.wait()
        batch.close()
        for thread in threads:
            thread.join()
        gc.collect()
        assert (batch.n_waiting, batch.n_running, batch.step(), model.cache_size) == (0, 0, False, 0)


def in_a_child(act: Callable[[], bool]) -> bool:
    """Return what a forked child returns."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = os.fork()
    if not child:
        try:
            theirs.send(act())
        finally:
            os._exit(0)
    done = ours.poll(20) and ours.recv()
    os.waitpid(child, 0)
    return bool(done)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_the_batch(model: gemel.Model) -> None:
    with model.batch() as batch:
        generation = batch.generate(LONG[:20], **GREEDY)
        batch.step()
        wanted = alone(model, LONG[:20], **GREEDY)
        assert in_a_child(lambda: generation.read() == wanted)
        assert generation.read() == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_was_forked_during_a_step_says_what_is_lost(model: gemel.Model) -> None:
    seen: list[bool] = []
    with model.batch() as batch:

        def fork(session: gemel.Session, id: int) -> None:
            if not seen:
                thread = threading.Thread(target=lambda: seen.append(in_a_child(is_lost)))
                thread.start()
                thread.join()

        def is_lost() -> bool:
            with pytest.raises(gemel.StateError, match=r"when the process forked"):
                other.read()
            batch.close()
            return True

        other = batch.generate([5, 6], **GREEDY)
        generation = batch.generate([1, 2], on_drawn=fork, **GREEDY)
        assert generation.read() == alone(model, [1, 2], **GREEDY)
    assert seen == [True]
