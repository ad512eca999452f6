"""A saved session that was changed is refused by name, or gives the same on every instruction set."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator

import gemel
import pytest
from conftest import tiny_bytes
from gemel import KvType
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_states import sealed
from splits import bits

Saved = tuple[gemel.Model, KvType, bytes]
IDS = [(7 * i) % 300 for i in range(70)]
MORE = [3, 1, 4, 1, 5]
ROWS = [name for name, usable in gemel.isas().items() if usable]


@pytest.fixture(scope="module", params=["q8_0", "f16"])
def saved(request: pytest.FixtureRequest) -> Iterator[Saved]:
    with gemel.open(tiny_bytes(n_embd=64, n_head=2, n_head_kv=1, n_ff=64), threads=1) as model:
        with model.session(kv_type=request.param) as session:
            session.sync(IDS)
            state = session.save()
        assert bytes(sealed(bytearray(state))) == state
        yield model, request.param, state


def outcome(model: gemel.Model, kv_type: KvType, state: bytearray) -> str | bytes:
    """Say what comes of restoring and going on: an error's name, or the logits' bytes."""
    with model.session(kv_type=kv_type) as session:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gemel.StateWarning)   # the mark of its layout or bits was changed
                session.restore(state)
        except gemel.GemelError as error:
            assert session.n_past == 0
            session.sync(MORE)   # still usable
            return f"{type(error).__name__}: {error}"
        try:
            session.append(MORE)
        except gemel.GemelError as error:
            return type(error).__name__
        return bits(session)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_refused_or_give_the_same_on_every_row(saved: Saved, data: st.DataObject) -> None:
    model, kv_type, state = saved
    changed = bytearray(state)
    places = st.one_of(st.integers(0, len(state) - 1), st.integers(0, 63))
    for at, change in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4)):
        changed[at] ^= change
    sealed(changed)
    outcomes = set()
    for row in ROWS:
        model.set_isa(row)
        outcomes.add(outcome(model, kv_type, changed))
    assert len(outcomes) == 1


def test_what_no_session_writes_is_a_state_error_that_says_so(saved: Saved) -> None:
    model, kv_type, state = saved
    changed = bytearray(state)
    changed[-8:-4] = struct.pack("<f", float("nan"))   # what may follow fills up 8 bytes
    assert "a logit is Inf or NaN" in str(outcome(model, kv_type, sealed(changed)))
    changed = bytearray(state)
    start = 64 + 4 * len(IDS)
    changed[start : start + 2] = b"\x80\x7c"
    why = "a code is -128" if kv_type == "q8_0" else "a number is Inf or NaN"
    assert f"layer 0, head 0, positions 0 to 63: {why}" in str(outcome(model, kv_type, sealed(changed)))


@pytest.mark.parametrize("at", [7, 52], ids=["another layout", "other bits"])
def test_the_ids_of_a_session_that_another_version_saved_are_evaluated_again(saved: Saved, at: int) -> None:
    model, kv_type, state = saved
    changed = bytearray(state)
    changed[at] += 1
    with model.session(kv_type=kv_type) as session, model.session(kv_type=kv_type) as fresh:
        fresh.append(IDS)
        with pytest.warns(gemel.StateWarning, match="its 70 tokens are evaluated again"):
            session.restore(sealed(changed))
        assert session.ids == IDS
        assert bits(session) == bits(fresh)
        changed[64] ^= 1
        with pytest.raises(gemel.StateError, match="damaged: its checksum differs"):
            session.restore(changed)
        assert session.ids == IDS


def test_an_empty_session_that_another_version_saved_is_empty(saved: Saved) -> None:
    model, kv_type, _ = saved
    with model.session(kv_type=kv_type) as session:
        state = bytearray(session.save())
        state[52] += 1
        session.append([1, 2])
        with pytest.warns(gemel.StateWarning, match="its 0 tokens"):
            session.restore(sealed(state))
        assert session.ids == []


# ---- Cutting back after restoring -----------------------------------------------------------------------------------

WINDOWED = {
    "window": {"arch": "gemma3", "window": 100},
    "chunks": {"arch": "llama4", "window": 200},
    "chunks of whole pages": {"arch": "llama4", "window": 128},
}
# Of all places to cut back to, by the length at which a session was saved.
REFUSED = {
    "window": {390: 354, 384: 354, 400: 354}, "chunks": {390: 199, 384: 199, 400: 399},
    "chunks of whole pages": {390: 381, 384: 381, 400: 381},
}
LONG = [(7 * i + i * i // 5) % 300 for i in range(401)]


@pytest.mark.parametrize("n", [390, 384, 400])   # 384 and 400: a chunk's end
@pytest.mark.parametrize("name", WINDOWED)
def test_a_restored_session_cuts_back_to_fresh_bits_or_not_at_all(name: str, n: int) -> None:
    refused = {"fork": 0, "truncate": 0}
    with gemel.open(tiny_bytes(n_ctx=512, **WINDOWED[name]), threads=1) as model, model.session() as fresh:
        with model.session() as session:
            session.append(LONG[:n])
            state = session.save()
        expected = []
        for id in LONG[: n + 1]:
            fresh.append([id])
            expected.append(bits(fresh))
        for to in range(n):
            with model.session() as session:
                if to % 2:
                    session.append(LONG[::-1][:70])   # pages that hold something else
                session.restore(state)
                assert bits(session) == expected[n - 1]
                try:
                    session.fork(to).close()
                except gemel.UnsupportedError:
                    refused["fork"] += 1
                try:
                    session.truncate(to)
                except gemel.UnsupportedError:
                    refused["truncate"] += 1
                    if to % 40 == 1:
                        session.sync(LONG[:to])   # starts over
                        assert bits(session) == expected[to - 1], to
                    continue
                session.append(LONG[to : to + 1])
                assert bits(session) == expected[to], to
            with model.session() as session:
                session.restore(state)
                session.append(LONG[n : n + 1])
                assert bits(session) == expected[n]
    assert refused == dict.fromkeys(refused, REFUSED[name][n])
