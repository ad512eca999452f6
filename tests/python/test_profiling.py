"""Events of a session and the machine's limits, through Python."""

from __future__ import annotations

from collections.abc import Callable

import gemel
import pytest
from gemel.profiling import Limits, Profile, limits


def test_a_threads_operations_fill_its_passes(tiny_model: Callable[..., gemel.Model]) -> None:
    model = tiny_model(threads=2, n_layer=3)
    with model.session() as session, Profile(session) as profile:
        session.append(list(range(3, 50)))
    assert (len(profile), profile.lost) == (profile.count, 0)
    for thread in (0, 1):
        events = [event for event in profile if event.thread == thread]
        whole = [event for event in events if event.operation == "pass"]
        parts = [event for event in events if event.operation not in ("pass",)]
        assert len(whole) == 1
        assert whole[0].tokens == 47
        total = sum(event.end - event.start for event in parts)
        assert 0 < total <= (whole[0].end - whole[0].start) * (1 + 1e-9)
        assert {event.layer for event in parts} == {None, 0, 1, 2}


def test_a_profile_ends_with_its_block_and_changes_no_logits(model: gemel.Model) -> None:
    ids = [3, 4, 5]
    with model.session() as plain, model.session() as session:
        plain.sync(ids)
        with Profile(session) as profile:
            session.append(ids)
        count = profile.count
        session.append([6])
        assert profile.count == count
        session.truncate(3)
        session.sync(ids)
        assert bytes(memoryview(session.logits())) == bytes(memoryview(plain.logits()))


def test_of_sessions_that_decode_together_the_first_has_the_pass(model: gemel.Model) -> None:
    with model.session() as one, model.session() as two:
        one.append([3])
        two.append([4])
        with Profile(one) as first, Profile(two) as second:
            assert model.decode([one, two], [5, 6]) == [None, None]
    assert {event.tokens for event in first} >= {2}
    assert second.count == 0


def test_generation_has_sampling_apart(model: gemel.Model) -> None:
    with model.session() as session, Profile(session) as profile:
        session.generate("the model", max_tokens=4, temperature=0).read()
    samples = [event for event in profile if event.operation == "sample, detokenise"]
    assert len(samples) >= 1
    assert {(event.thread, event.layer) for event in samples} == {(0, None)}


def test_what_does_not_fit_is_counted(model: gemel.Model) -> None:
    with model.session() as session, Profile(session, capacity=10) as profile:
        session.append([3, 4])
    assert len(profile) == len(list(profile)) == 10
    assert profile.lost == profile.count - 10 > 0


@pytest.mark.parametrize("capacity", [0, -1, 2.5, True, 10**9])
def test_capacity_is_a_number_of_events(model: gemel.Model, capacity: int) -> None:
    with model.session() as session, pytest.raises(gemel.ArgumentError, match="capacity="):
        Profile(session, capacity)


def test_limits_are_speeds_of_each_row(model: gemel.Model) -> None:
    for isa in (name for name, is_usable in gemel.isas().items() if is_usable):
        model.set_isa(isa)
        found = limits(model, 0.002)
        assert isinstance(found, Limits)
        assert 1e6 < found.read < 1e12   # no core reads a terabyte a second, or makes 10^13 products
        assert 1e6 < found.dot < 1e13
    for seconds in (0, -1, 100, float("nan")):
        with pytest.raises(gemel.ArgumentError, match="measuring"):
            limits(model, seconds)
