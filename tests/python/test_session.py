"""A session evaluates only what its cache lacks, with the same bits however ids come; stopping and closing are safe."""

from __future__ import annotations

import gc
import math
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
import numpy as np
import pytest
from gemel import KvType

OpenTiny = Callable[..., gemel.Model]
IDS = [(7 * i) % 300 for i in range(300)]   # longer than a micro-batch
LONG = [(3 * i) % 300 for i in range(4000)]


def logits_of(session: gemel.Session) -> bytes:
    return bytes(memoryview(session.logits()).cast("B"))


def forever(session: gemel.Session, ids: list[int]) -> None:
    while True:
        session.sync(ids)
        session.truncate(0)


def fresh_logits(model: gemel.Model, ids: list[int]) -> bytes:
    with model.session() as session:
        session.sync(ids)
        return logits_of(session)


# ---- Evaluating -----------------------------------------------------------------------------------------------------


def test_sync_evaluates_only_the_new_suffix(model: gemel.Model) -> None:
    with model.session() as session:
        assert session.sync(IDS[:20]) == 20
        assert session.sync(IDS[:25]) == 5
        assert session.sync(IDS[:25]) == 0
        assert session.ids == IDS[:25]
        assert session.n_past == 25


def test_sync_drops_what_differs_and_gives_the_bits_of_a_fresh_session(model: gemel.Model) -> None:
    other = [*IDS[:10], 5, 6, 7]
    with model.session() as session:
        session.sync(IDS[:40])
        assert session.sync(other) == 3
        assert session.ids == other
        assert logits_of(session) == fresh_logits(model, other)
        assert session.sync(other[:5]) == 1   # the last id's logits were not at hand
        assert logits_of(session) == fresh_logits(model, other[:5])


@pytest.mark.parametrize("split", [1, 7, 64, 300])
def test_any_split_gives_the_same_bits(model: gemel.Model, split: int) -> None:
    with model.session() as session:
        for start in range(0, len(IDS), split):
            session.append(IDS[start : start + split])
        assert logits_of(session) == fresh_logits(model, IDS)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_kernels_can_change_between_calls_without_changing_a_bit(
    model: gemel.Model, threads: int
) -> None:
    expected = fresh_logits(model, IDS)
    model.set_threads(threads)
    assert model.threads == threads
    for isa, usable in gemel.isas().items():
        if usable:
            model.set_isa(isa)
            assert model.isa == isa
            assert fresh_logits(model, IDS) == expected


def test_logits_are_a_copy_of_float32(model: gemel.Model) -> None:
    with model.session() as session:
        session.sync([1, 2])
        first = session.logits()
        assert first.shape == (model.n_vocab,)
        assert first.dtype == np.float32
        kept = first.copy()
        session.append([3])
        assert np.array_equal(first, kept)
        first[0] = 0.0   # it is the caller's


def test_logits_before_anything_is_evaluated_are_an_error(model: gemel.Model) -> None:
    with model.session() as session, pytest.raises(gemel.ArgumentError, match="sync or append"):
        session.logits()


def test_truncate_forgets_and_checks_its_range(model: gemel.Model) -> None:
    with model.session() as session:
        session.sync(IDS[:10])
        session.truncate(4)
        assert session.ids == IDS[:4]
        for wrong in (5, -1, True, 2.0):
            with pytest.raises(gemel.ArgumentError, match="from 0 to 4"):
                session.truncate(wrong)   # type: ignore[arg-type]
        session.append(IDS[4:10])
        assert logits_of(session) == fresh_logits(model, IDS[:10])


def test_going_past_n_ctx_is_an_error_that_changes_nothing(model: gemel.Model) -> None:
    with model.session(n_ctx=16) as session:
        session.sync(IDS[:10])
        with pytest.raises(gemel.ContextError, match=r"n_ctx is 16, but the prompt has 17 tokens: .* n_ctx=17"):
            session.sync(IDS[:17])
        with pytest.raises(gemel.ContextError, match="7 tokens would follow the 10.* at most 6, or .*n_ctx=17"):
            session.append(IDS[:7])
        assert session.ids == IDS[:10]
        session.append(IDS[10:16])
        assert session.n_past == 16


@pytest.mark.parametrize("bad", [-1, 323, 2**31, 2**80, "a", 1.5])
def test_what_is_no_id_of_the_model_is_named_and_changes_nothing(model: gemel.Model, bad: Any) -> None:  # noqa: ANN401
    session, rest = model.session(), [4] * (2 * model.n_batch)
    session.append([1, 2])
    for call in (session.append, session.sync, session.score, session.hidden, session.log_probs, model.detokenize):
        with pytest.raises(gemel.ArgumentError, match=f"ids are integers from 0 to {model.n_vocab - 1}"):
            call([4, *rest, bad])
    assert session.ids == [1, 2]


def test_the_first_foreign_id_is_named_by_its_place(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match=r"ids\[2\] is 323: ids are integers from 0 to 322"):
        model.session().append([1, 2, 323, -1])


def test_kv_type_is_chosen_at_opening(model: gemel.Model) -> None:
    found = {}
    kinds: list[KvType | None] = [None, "f16", "q8_0"]
    for kv_type in kinds:
        with model.session(kv_type=kv_type) as session:
            session.append(list(range(3, 40)))
            found[session.kv_type] = bytes(np.asarray(session.logits()))
            assert session.kv_type == (kv_type or model.default_kv_type)
            state = session.save()
        other: KvType = "f16" if kv_type_in(state) == "q8_0" else "q8_0"
        refused = pytest.raises(gemel.StateError, match="KV cache is .*open it with kv_type")
        with model.session(kv_type=other) as session, refused:
            session.restore(state)
    assert found["f16"] != found["q8_0"]
    for wrong in ("q4_0", "F16", 1, ""):
        with pytest.raises(gemel.ArgumentError, match="must be one of 'f32', 'f16', 'q8_0', or None"):
            model.session(kv_type=wrong)   # type: ignore[arg-type]


def kv_type_in(state: bytes) -> str:
    return {1: "f16", 8: "q8_0"}[int.from_bytes(state[48:52], "little")]


def test_generations_and_chats_take_a_kv_type(model: gemel.Model) -> None:
    kinds: list[KvType] = ["f16", "q8_0"]
    for kv_type in kinds:
        with model.session(kv_type=kv_type) as session:
            expected = session.generate([1, 5, 9], max_tokens=4, temperature=0).read()
        generation = model.generate([1, 5, 9], max_tokens=4, temperature=0, kv_type=kv_type)
        assert generation.read() == expected
        with model.chat(template="{{ messages[0].content }}", kv_type=kv_type) as chat:
            assert chat.session.kv_type == kv_type


def test_n_ctx_is_checked_against_the_file(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=64)
    assert model.default_n_ctx == 64
    assert tiny_model(n_ctx=9000).default_n_ctx == 4096
    for wrong in (0, -1, 65, 1.5, True):
        with pytest.raises(gemel.ArgumentError, match="from 1 to 64"):
            model.session(n_ctx=wrong)   # type: ignore[arg-type]


def test_empty_sync_is_an_error(model: gemel.Model) -> None:
    with model.session() as session, pytest.raises(gemel.ArgumentError, match="no ids"):
        session.sync([])


def test_score_is_the_log_softmax_of_the_logits(model: gemel.Model) -> None:
    with model.session() as session:
        log_probs, top = session.score(IDS)
    assert (log_probs[0], top[0]) == (0.0, -1)
    with model.session() as session:
        for i in (1, 2, 5, 150, 299):
            session.sync(IDS[:i])
            logits = session.logits().astype(np.float64)
            expected = logits[IDS[i]] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
            assert log_probs[i] == pytest.approx(expected, abs=1e-5)
            assert top[i] == int(logits.argmax())


def test_hidden_rows_are_the_same_however_ids_are_split(model: gemel.Model) -> None:
    with model.session() as one, model.session() as two:
        rows = one.hidden(IDS)
        parts = np.concatenate([two.hidden(IDS[:3]), two.hidden(IDS[3:])])
    assert rows.shape == (len(IDS), model.n_embd)
    assert np.array_equal(rows, parts)


# ---- Saving ---------------------------------------------------------------------------------------------------------


def test_saved_state_goes_on_with_the_same_bits(model: gemel.Model, tmp_path: Path) -> None:
    with model.session() as session:
        session.sync(IDS[:50])
        saved = session.save()
        session.save(tmp_path / "state")
        session.append(IDS[50:60])
        expected = logits_of(session)
    assert (tmp_path / "state").read_bytes() == saved
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    for state in (saved, bytearray(saved), tmp_path / "state", str(tmp_path / "state")):
        with model.session() as other:
            other.restore(state)
            assert other.ids == IDS[:50]
            assert other.sync(IDS[:60]) == 10
            assert logits_of(other) == expected


def test_damaged_state_and_that_of_another_model_are_state_errors(model: gemel.Model, tiny_model: OpenTiny) -> None:
    with model.session() as session:
        session.sync(IDS[:20])
        saved = session.save()
        damaged = bytearray(saved)
        damaged[len(damaged) // 2] ^= 1
        for wrong in (b"", b"x", saved[:-1], saved[: len(saved) // 2], bytes(damaged)):
            with pytest.raises(gemel.StateError):
                session.restore(wrong)
        assert session.sync(IDS[:21]) >= 1   # still usable
    with tiny_model(seed=9).session() as other, pytest.raises(gemel.StateError):
        other.restore(saved)


def test_state_that_needs_a_longer_session_is_a_context_error(model: gemel.Model) -> None:
    with model.session(n_ctx=64) as session:
        session.sync(IDS[:50])
        saved = session.save()
    with model.session(n_ctx=32) as small, pytest.raises(gemel.ContextError):
        small.restore(saved)


# ---- Stopping -------------------------------------------------------------------------------------------------------


def test_cancel_stops_the_next_call_once(model: gemel.Model) -> None:
    with model.session() as session:
        session.cancel()
        with pytest.raises(gemel.CancelledError):
            session.sync(IDS)
        assert session.sync(IDS) == len(IDS)


def test_cancel_from_another_thread_keeps_what_was_evaluated(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=4096, n_layer=4)
    with model.session(n_ctx=4096) as session:
        started = threading.Event()

        def cancel() -> None:
            started.wait()
            while session._revision < 2:
                time.sleep(0.001)
            session.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        started.set()
        with pytest.raises(gemel.CancelledError):
            forever(session, LONG)
        thread.join()
        kept = session.n_past
        assert kept % model.n_batch == 0
        session.sync(LONG[: kept + 1])
        assert logits_of(session) == fresh_logits(model, LONG[: kept + 1])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_ctrl_c_works_between_micro_batches(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=4096, n_layer=4)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with model.session(n_ctx=4096) as session:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                forever(session, LONG)
            assert session.sync(IDS) >= 1
            assert logits_of(session) == fresh_logits(model, IDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- Life -----------------------------------------------------------------------------------------------------------


def test_closing_a_model_closes_its_sessions(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    session = model.session()
    session.sync([1, 2])
    generation = session.generate([1, 2, 3])
    next(generation, None)
    model.close()
    assert session.closed
    for call in (lambda: session.sync([1]), session.logits, lambda: session.ids, lambda: model.generate("x")):
        with pytest.raises(gemel.ArgumentError, match="closed"):
            call()
    generation.close()
    session.close()
    assert "closed" in repr(session)


def test_closing_while_another_thread_computes_is_safe(tiny_model: OpenTiny) -> None:
    for _ in range(5):
        model = tiny_model(n_ctx=4096, n_layer=4)
        session = model.session(n_ctx=4096)
        ended: list[type[BaseException]] = []

        def compute(session: gemel.Session = session, ended: list[type[BaseException]] = ended) -> None:
            try:
                forever(session, LONG)
            except gemel.GemelError as error:
                ended.append(type(error))

        thread = threading.Thread(target=compute)
        thread.start()
        while session._revision < 2:
            time.sleep(0.001)
        model.close()
        thread.join(60)
        assert not thread.is_alive()
        assert ended[0] in (gemel.CancelledError, gemel.ArgumentError)


def test_dropped_objects_free_what_they_hold(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    session = model.session()
    generation = model.generate("ab", max_tokens=5)
    next(generation)
    inner = generation._run.session._handle
    handle, parent = session._handle, model._handle
    gc.disable()
    try:
        del session, generation   # by counting alone: there are no cycles
        assert handle.closed
        assert inner.closed
        assert parent._users == 0
    finally:
        gc.enable()


def test_session_keeps_its_model_alive() -> None:
    from conftest import tiny_bytes

    model = gemel.open(tiny_bytes(), threads=1)
    alive = weakref.ref(model)
    session = model.session()
    del model
    assert session.sync([1, 2, 3]) == 3
    assert alive() is not None
    del session
    assert alive() is None


def test_calls_of_two_threads_take_turns(model: gemel.Model) -> None:
    with model.session() as session:
        errors: list[BaseException] = []

        def work(seed: int) -> None:
            try:
                for i in range(20):
                    session.sync([seed, *IDS[: 5 + i]])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        ids = session.ids
        session.truncate(len(ids) - 1)
        session.append(ids[-1:])
        assert logits_of(session) == fresh_logits(model, ids)


def test_many_threads_may_use_one_model(model: gemel.Model) -> None:
    expected = {n: fresh_logits(model, IDS[:n]) for n in (3, 50, 300)}
    found: list[bool] = []

    def work(n: int) -> None:
        found.append(fresh_logits(model, IDS[:n]) == expected[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 50, 300) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 9


def test_threads_and_kernels_can_change_while_another_thread_computes(model: gemel.Model) -> None:
    expected = fresh_logits(model, IDS)
    found: list[bool] = []
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            found.append(fresh_logits(model, IDS) == expected)

    thread = threading.Thread(target=compute)
    thread.start()
    rows = [isa for isa, usable in gemel.isas().items() if usable]
    for i in range(30):
        model.set_threads(1 + i % 4)
        model.set_isa(rows[i % len(rows)])
    stop.set()
    thread.join()
    assert all(found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 3])
def test_forked_child_computes_the_same_bits(tiny_model: OpenTiny, threads: int) -> None:
    model = tiny_model(threads=threads)
    expected = fresh_logits(model, IDS)   # the pool exists
    session = model.session()
    session.sync(IDS[:100])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            session.sync(IDS)
            os.write(writing, logits_of(session)[:4096])
            same = fresh_logits(model, IDS) == expected
            model.close()
        finally:
            os._exit(0 if same else 1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        from_child = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert expected.startswith(from_child)
    assert from_child
    assert fresh_logits(model, IDS) == expected   # and the parent goes on


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_session_that_computed_while_the_process_forked_says_so_in_the_child(model: gemel.Model) -> None:
    session = model.session()
    session.sync([1])
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with session._using():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            session.sync([2])
        except gemel.StateError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    thread.join()
    assert session.sync([2]) == 1


# ---- What might come next --------------------------------------------------------------------------------------------


def test_likeliest_ids_and_their_log_probabilities_are_those_of_the_logits(model: gemel.Model) -> None:
    with model.session() as session:
        for call in (lambda: session.likeliest(1), lambda: session.log_probs([1])):
            with pytest.raises(gemel.ArgumentError, match="no logits yet"):
                call()
        session.sync([5, 6, 7])
        logits = session.logits().tolist()
        ranked = sorted(range(model.n_vocab), key=lambda id: (-logits[id], id))
        assert session.likeliest(20) == ranked[:20]
        found = session.log_probs(ranked)
        assert found == sorted(found, reverse=True)
        assert math.fsum(map(math.exp, found)) == pytest.approx(1, abs=1e-5)
        assert session.log_probs([]) == []
        log_probs, top = session.score([9])
        assert (log_probs, top) == ([found[ranked.index(9)]], ranked[:1])


@pytest.mark.parametrize("n", [0, 257, True, 1.0])
def test_an_impossible_number_of_likeliest_ids_is_refused(model: gemel.Model, n: Any) -> None:  # noqa: ANN401
    with model.session() as session, pytest.raises(gemel.ArgumentError, match="must be an integer from 1 to 256"):
        session.likeliest(n)


def test_log_probabilities_of_foreign_ids_are_refused(model: gemel.Model) -> None:
    with model.session() as session:
        session.sync([5])
        with pytest.raises(gemel.ArgumentError):
            session.log_probs([model.n_vocab])


def test_a_cancellation_can_be_taken_back(model: gemel.Model) -> None:
    with model.session() as session:
        session.cancel()
        session.cancel(False)
        assert session.sync([5, 6]) == 2


def test_steps_give_the_text_of_an_iteration(model: gemel.Model) -> None:
    whole = model.generate([*range(1, 40)], max_tokens=8, temperature=0)
    text = whole.read()
    stepped = model.generate([*range(1, 40)], max_tokens=8, temperature=0)
    pieces = []
    while (piece := stepped.step()) is not None:
        pieces.append(piece)
    assert ("".join(pieces), stepped.ids) == (text, whole.ids)
    assert "" in pieces   # evaluating the prompt


def test_a_step_may_end_while_another_thread_stops_it(model: gemel.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = gemel.Session.cancel

    def cancel_late(session: gemel.Session, on: bool = True) -> None:
        monkeypatch.undo()
        session.close()   # as the other thread does when its step has ended
        cancel(session, on)

    generation = model.generate([1, 2, 3], max_tokens=4)
    next(generation)
    monkeypatch.setattr(gemel.Session, "cancel", cancel_late)
    generation._run.interrupt()
