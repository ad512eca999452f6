"""Forks share the cache of what they have in common, and each of them has the bits of a session alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import gemel
import hypothesis
import pytest
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from hypothesis import strategies as st

OpenTiny = Callable[..., gemel.Model]
PAGE = 64
IDS = [(7 * i + i * i // 5) % 300 for i in range(1200)]


def logits_of(session: gemel.Session) -> bytes:
    return bytes(memoryview(session.logits()).cast("B"))


def pages(n: int) -> int:
    return -(-n // PAGE)


@pytest.fixture(scope="module")
def long_model() -> Iterator[gemel.Model]:
    """Two layers of one size: a page of its cache is 64 positions of both."""
    with gemel.open(tiny_bytes(n_ctx=2048), threads=1) as model:
        yield model


_alone: dict[tuple[object, ...], bytes] = {}


def alone(model: gemel.Model, ids: list[int], kv_type: KvType | None = None) -> bytes:
    """Return the logits of a session that evaluates ids from scratch."""
    key = (id(model), kv_type, *ids)
    if key not in _alone:
        with model.session(kv_type=kv_type) as session:
            session.append(ids)
            _alone[key] = logits_of(session)
    return _alone[key]


# ---- Pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_prefix_of_1024_tokens_is_held_once(long_model: gemel.Model, kv_type: KvType) -> None:
    with long_model.session(kv_type=kv_type) as one:
        one.append(IDS[:1024])
        assert one.kv_pages == (16, 0)
        with one.fork() as other:
            assert one.kv_pages == other.kv_pages == (16, 16)
            one.append([1])
            other.append([2])
            assert one.kv_pages == other.kv_pages == (17, 16)
            assert logits_of(one) == alone(long_model, [*IDS[:1024], 1], kv_type)
            assert logits_of(other) == alone(long_model, [*IDS[:1024], 2], kv_type)
        assert one.kv_pages == (17, 0)


def test_only_the_last_page_is_copied_and_only_when_it_is_written_to(long_model: gemel.Model) -> None:
    with long_model.session() as one:
        one.append(IDS[:1000])
        with one.fork() as other:
            assert other.kv_pages == (16, 16)
            assert logits_of(other) == logits_of(one)
            assert other.kv_pages == (16, 16)   # reading copies nothing
            other.append([5])
            assert one.kv_pages == other.kv_pages == (16, 15)
            one.append([6])
            assert one.kv_pages == other.kv_pages == (16, 15)


def test_a_page_that_a_third_session_shares_stays_shared(long_model: gemel.Model) -> None:
    with long_model.session() as one, ExitStack() as stack:
        one.append(IDS[:100])
        forks = [stack.enter_context(one.fork()) for _ in range(3)]
        forks[0].append([1])
        assert [session.kv_pages for session in (one, *forks)] == [(2, 2), (2, 1), (2, 2), (2, 2)]
        assert logits_of(one) == alone(long_model, IDS[:100])


def test_cutting_back_gives_a_share_back(long_model: gemel.Model) -> None:
    with long_model.session() as one, one.fork() as empty:
        one.append(IDS[:300])
        with one.fork() as other:
            other.truncate(130)
            assert (one.kv_pages, other.kv_pages) == ((5, 3), (3, 3))
            other.append([9])   # in the middle of what `one` still holds
            assert (one.kv_pages, other.kv_pages) == ((5, 2), (3, 2))
            assert logits_of(other) == alone(long_model, [*IDS[:130], 9])
            one.append([9])
            assert logits_of(one) == alone(long_model, [*IDS[:300], 9])
        assert (one.kv_pages, empty.kv_pages) == ((5, 0), (0, 0))


# ---- What a fork is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 127, 128, 200])
def test_a_fork_holds_the_ids_asked_for(long_model: gemel.Model, n: int) -> None:
    with long_model.session(n_ctx=512) as one:
        one.append(IDS[:200])
        with one.fork(n) as other:
            assert (other.ids, other.n_past, other.n_ctx, other.model) == (IDS[:n], n, 512, long_model)
            assert other.kv_pages == (pages(n), pages(n))
            if n < 200:
                with pytest.raises(gemel.ArgumentError, match="sync or append"):
                    other.logits()
            else:
                assert logits_of(other) == logits_of(one)
            other.append([7, 8])
            assert logits_of(other) == alone(long_model, [*IDS[:n], 7, 8])
        assert one.ids == IDS[:200]


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_fork_has_its_parents_kv_type(long_model: gemel.Model, kv_type: KvType) -> None:
    with long_model.session(kv_type=kv_type) as one, one.fork() as other, other.fork() as third:
        third.append(IDS[:70])
        assert (other.kv_type, third.kv_type) == (kv_type, kv_type)
        assert logits_of(third) == alone(long_model, IDS[:70], kv_type)


@pytest.mark.parametrize("wrong", [-1, 4, True, 1.0, "2"])
def test_a_fork_of_ids_that_are_not_there_is_refused(long_model: gemel.Model, wrong: int) -> None:
    with long_model.session() as one:
        one.append([1, 2, 3])
        with pytest.raises(gemel.ArgumentError, match="from 0 to 3, the number of ids evaluated"):
            one.fork(wrong)
        assert one.kv_pages == (1, 0)


def test_closing_the_parent_leaves_its_forks_intact(long_model: gemel.Model) -> None:
    one = long_model.session()
    one.append(IDS[:150])
    forks = [one.fork(n) for n in (150, 140, 64)]
    one.close()
    with pytest.raises(gemel.ArgumentError, match="closed"):
        one.fork()
    for fork, n in zip(forks, (150, 140, 64), strict=True):
        fork.append(IDS[n:160])
        assert logits_of(fork) == alone(long_model, IDS[:160])
        fork.close()


def test_closing_the_model_closes_forks(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    session = model.session()
    session.append([1, 2, 3])
    fork = session.fork()
    model.close()
    assert fork.closed


def test_a_fork_is_cancelled_alone(long_model: gemel.Model) -> None:
    with long_model.session() as one, one.fork() as other:
        other.cancel()
        one.append([1, 2])
        with pytest.raises(gemel.CancelledError):
            other.append([1, 2])
        with other.fork() as third:
            third.append([1, 2])
            assert logits_of(third) == logits_of(one)


def test_a_fork_saves_the_bytes_of_a_session_alone(long_model: gemel.Model) -> None:
    with long_model.session() as straight, long_model.session() as longer:
        straight.append(IDS[:90])
        longer.append(IDS[:180])
        with longer.fork(70) as fork:
            fork.append(IDS[70:90])
            assert fork.save() == straight.save()


def test_generations_of_forks_go_on_from_the_shared_prompt(long_model: gemel.Model) -> None:
    prompt = IDS[:130]
    with long_model.session() as one:
        one.append(prompt)
        for seed in (1, 2):
            wanted = long_model.generate(prompt, max_tokens=12, seed=seed)
            with one.fork() as fork:
                generation = fork.generate(prompt, max_tokens=12, seed=seed)
                assert (generation.read(), generation.ids) == (wanted.read(), wanted.ids)
                assert generation.timings.n_evaluated == 0


# ---- Any of these, in any order -------------------------------------------------------------------------------------

KINDS = ("append", "truncate", "fork", "carry over", "sync", "close")
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 3), st.integers(0, 200)),
    min_size=3,
    max_size=12,
)


class Family:
    """Sessions that fork from each other, and beside each the ids that it must hold."""

    def __init__(self, model: gemel.Model, kv_type: KvType) -> None:
        self.model, self.kv_type = model, kv_type
        self.members: list[tuple[gemel.Session, list[int]]] = [(model.session(512, kv_type=kv_type), [])]

    def take(self, kind: str, which: int, other: int, n: int) -> None:
        i, k = which % len(self.members), other % len(self.members)
        session, ids = self.members[i]
        if kind == "append" and len(ids) + n <= 512:
            added = IDS[3 * n : 4 * n]
            session.append(added)
            ids.extend(added)
        elif kind == "truncate":
            del ids[min(n, len(ids)) :]
            session.truncate(len(ids))
        elif kind == "fork" and len(self.members) < 5:
            kept = ids[: len(ids) if n % 3 == 0 else n]
            self.members.append((session.fork(len(kept)), kept.copy()))
        elif kind == "carry over":   # by saved bytes
            self.members[k][0].restore(session.save())
            self.members[k][1][:] = ids
        elif kind == "sync":
            wanted = [*self.members[k][1][:n], 1, 2, 3][:512]
            session.sync(wanted)
            ids[:] = wanted
        elif kind == "close" and len(self.members) > 1:
            session.close()
            del self.members[i]

    def check(self) -> None:
        alone_in_it = len(self.members) == 1
        for session, ids in self.members:
            assert session.ids == ids
            held, shared = session.kv_pages
            assert held == pages(len(ids))
            assert 0 <= shared <= (0 if alone_in_it else held)

    def check_bits(self) -> None:
        for session, ids in self.members:
            if len(ids) == 512:
                session.truncate(511)
            session.append([11])
            assert logits_of(session) == alone(self.model, session.ids, self.kv_type)

    def close(self) -> None:
        for session, _ in self.members:
            session.close()


@pytest.mark.parametrize("kv_type", KV_TYPES)
@hypothesis.given(steps=STEPS)
@hypothesis.settings(max_examples=40)
def test_whatever_a_family_of_forks_does_each_has_the_bits_of_a_session_alone(
    long_model: gemel.Model, kv_type: KvType, steps: list[tuple[str, int, int, int]]
) -> None:
    family = Family(long_model, kv_type)
    try:
        for step in steps:
            family.take(*step)
            family.check()
        family.check_bits()
    finally:
        family.close()
