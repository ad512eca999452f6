"""One pass for many sessions: answers and prompts together, drawn in the same crossing, each as it would be alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gemel.core import shared
from recording import RecordingLibrary

OpenTiny = Callable[..., gemel.Model]
IDS = [(11 * i + i * i // 7) % 300 for i in range(400)]
ROWS = [name for name, usable in gemel.isas().items() if usable]
# What each session holds before the step, and what it appends: next ids, first and later chunks of prompts.
PAST = (70, 0, 130, 5, 64, 1)
ADDED = (1, 33, 17, 1, 64, 1)


def logits_of(session: gemel.Session) -> bytes:
    return bytes(memoryview(session.logits()).cast("B"))


def part(i: int, n: int) -> list[int]:
    return IDS[13 * i : 13 * i + n]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> RecordingLibrary:
    """The process's library, which notes its calls."""
    library = RecordingLibrary(shared.load())
    monkeypatch.setattr(shared, "_loaded", library)
    return library


# ---- The bits -------------------------------------------------------------------------------------------------------


def stepped(model: gemel.Model, kv_type: KvType | None) -> list[bytes]:
    sessions = [model.session(256, kv_type=kv_type) for _ in PAST]
    for i, session in enumerate(sessions):
        session.append(part(i, PAST[i]))
    added = [part(i, PAST[i] + ADDED[i])[PAST[i] :] for i in range(len(PAST))]
    drawn = model.step(sessions, added, logits=True)
    assert [one.error for one in drawn] == [None] * len(sessions)
    assert [one.id for one in drawn] == [None] * len(sessions)
    assert [session.n_past for session in sessions] == [n + k for n, k in zip(PAST, ADDED, strict=True)]
    return [logits_of(session) for session in sessions]


def alone(model: gemel.Model, kv_type: KvType | None) -> list[bytes]:
    found = []
    for i in range(len(PAST)):
        with model.session(256, kv_type=kv_type) as session:
            session.append(part(i, PAST[i] + ADDED[i]))
            found.append(logits_of(session))
    return found


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize(
    "fields",
    [{"format": "Q4_1"}, {"format": "F16", "arch": "qwen2"}, {"format": "Q6_K", "n_embd": 256, "n_ff": 256}],
    ids=["llama Q4_1", "qwen2 F16", "llama Q6_K"],
)
def test_answers_and_prompts_in_one_step_have_the_bits_of_each_alone(
    tiny_model: OpenTiny, fields: dict[str, object], kv_type: KvType
) -> None:
    model = tiny_model(isa="scalar", **fields)
    wanted = alone(model, kv_type)
    assert len(set(wanted)) == len(wanted)
    for isa in ROWS:
        model.set_isa(isa)
        for threads in (1, 2, 3):
            model.set_threads(threads)
            assert stepped(model, kv_type) == wanted, (isa, threads)


def test_logits_made_later_are_those_of_the_pass(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    pairs = [(model.session(), model.session()) for _ in range(3)]
    model.step([one for one, _ in pairs], [IDS[:9], [4], IDS[:20]], logits=True)
    model.step([other for _, other in pairs], [IDS[:9], [4], IDS[:20]])
    for one, other in pairs:
        assert logits_of(one) == logits_of(other)
        assert one.likeliest(5) == other.likeliest(5)


def test_forks_of_one_prompt_step_together(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    with model.session() as prompt:
        prompt.append(IDS[:100])
        forks = [prompt.fork() for _ in range(4)]
        model.step(forks, [[i] for i in range(4)])
        for i, fork in enumerate(forks):
            with model.session() as session:
                session.append([*IDS[:100], i])
                assert logits_of(fork) == logits_of(session)
        assert logits_of(prompt) != logits_of(forks[0])


def test_a_step_is_as_wide_as_a_micro_batch(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    n = model.n_batch
    sessions = [model.session(8) for _ in range(n + 1)]
    drawn = model.step(sessions[:n], [[i + 1] for i in range(n)])
    assert [one.error for one in drawn] == [None] * n
    for i in (0, 15, 16, 17, n - 1):
        with model.session(8) as one:
            one.append([i + 1])
            assert logits_of(one) == logits_of(sessions[i])
    with pytest.raises(gemel.ArgumentError, match=rf"{n} \(model.n_batch\) are allowed"):
        model.step(sessions, [[1]] * (n + 1))
    with pytest.raises(gemel.ArgumentError, match=f"{n + 1} ids in one step"):
        model.step(sessions[:2], [[1] * n, [1]])
    assert sessions[n].n_past == 0


# ---- Drawing --------------------------------------------------------------------------------------------------------

FIELDS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"seed": 1},
    {"seed": 2},
    {"seed": 2**63 + 5, "temperature": 2.0, "top_k": 0, "top_p": 1.0},
    {"seed": 3, "repeat_penalty": 1.3, "penalty_last_n": 16},
    {"seed": 4, "mirostat": 2},
]


def generated(model: gemel.Model, prompts: Sequence[list[int]], n: int) -> list[tuple[list[int], str]]:
    found = []
    for prompt, fields in zip(prompts, FIELDS, strict=True):
        with model.session() as session:
            generation = session.generate(prompt, max_tokens=n, **fields)
            text = generation.read()
            found.append((generation.ids, text))
    return found


@pytest.mark.parametrize("threads", [1, 3])
def test_ids_and_text_drawn_in_steps_are_those_of_generations(tiny_model: OpenTiny, threads: int) -> None:
    eogs = tiny_model(seed=5)
    never = {id: float("-inf") for id in range(eogs.n_vocab) if eogs.is_eog(id)}
    for fields in FIELDS:
        fields["logit_bias"] = never
    model = tiny_model(seed=5, threads=threads)
    prompts = [part(i, 10 + 3 * i) for i in range(len(FIELDS))]
    wanted = generated(model, prompts, 20)
    sessions = [model.session() for _ in FIELDS]
    samplers = [model.sampler(**fields) for fields in FIELDS]
    for sampler, prompt in zip(samplers, prompts, strict=True):
        sampler.accept(prompt)
    ids: list[list[int]] = [[] for _ in FIELDS]
    texts = [b""] * len(FIELDS)
    following: list[list[int]] = prompts
    for _ in range(20):
        drawn = model.step(sessions, following, samplers)
        assert [one.error for one in drawn] == [None] * len(FIELDS)
        following = []
        for i, one in enumerate(drawn):
            assert one.id is not None
            ids[i].append(one.id)
            texts[i] += one.text
            following.append([one.id])
    assert ids == [row for row, _ in wanted]
    assert [session.ids for session in sessions] == [a + b[:-1] for a, b in zip(prompts, ids, strict=True)]
    for text, (_, whole) in zip(texts, wanted, strict=True):
        assert whole.startswith(text.decode("utf-8", "replace"))
    for sampler in samplers:
        sampler.close()


def test_a_step_with_drawing_is_one_crossing(recorded: RecordingLibrary) -> None:
    with gemel.open(tiny_bytes(), threads=1) as model:
        sessions = [model.session() for _ in range(5)]
        samplers = [model.sampler(seed=i) for i in range(5)]
        following = [[1, 2, 3], [4], [5, 6], [7], [8]]
        for _ in range(3):
            recorded.calls.clear()
            drawn = model.step(sessions, following, samplers)
            assert recorded.calls == ["gemel_model_step"]
            following = [[one.id] for one in drawn if one.id is not None]
        recorded.calls.clear()
        model.step(sessions, following, logits=True)
        assert recorded.calls == ["gemel_model_step"]
        for sampler in samplers:
            sampler.close()
        for session in sessions:
            session.close()


def test_some_sessions_draw_and_others_only_append(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    one, other = model.session(), model.session()
    with model.sampler(temperature=0) as greedy:
        drawn = model.step([one, other], [[1, 2, 3], [1, 2, 3]], [None, greedy])
    assert (drawn[0].id, drawn[0].text) == (None, b"")
    assert drawn[1].id == one.likeliest(1)[0] == other.likeliest(1)[0]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_greedy_step_draws_the_first_largest_logit_after_biases(tiny_model: OpenTiny, threads: int) -> None:
    """What the pass saw while it made the logits is used only where no bias can change the result."""
    minus = float("-inf")
    with tiny_model(threads=threads) as model, model.session(32) as session:
        session.append(IDS[:5])
        logits = list(session.logits())
        best, second = sorted(range(model.n_vocab), key=lambda id: (-logits[id], id))[:2]
        gap = logits[best] - logits[second]
        raised, lowered = {second: 2 * gap}, ({best: -gap / 2}, {best: -2 * gap}, {7: -1.0})
        for bias in ({}, {best: minus}, {second: minus}, raised, *lowered):
            changed = [logit + bias.get(id, 0.0) for id, logit in enumerate(logits)]
            with model.sampler(gemel.Sampling(temperature=0, logit_bias=bias)) as sampler:
                session.truncate(4)
                assert model.step([session], [IDS[4:5]], [sampler])[0].id == changed.index(max(changed)), bias


def test_no_ids_draw_from_the_logits_at_hand(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    with model.session() as session, model.session() as other, model.session() as empty, model.sampler(seed=3) as first:
        session.append(IDS[:10])
        with model.sampler(seed=3) as second:
            here = model.step([session, other], [[], IDS[:10]], [first, second])
        assert here[0].id == here[1].id is not None
        assert session.n_past == 10
        with model.sampler(seed=3) as third:
            drawn = model.step([empty, session, other], [[], [], [3]], [third, None, None])
        assert [type(one.error) for one in drawn] == [gemel.ArgumentError, gemel.ArgumentError, type(None)]
        assert [one.id for one in drawn] == [None] * 3
        assert other.n_past == 11


def test_characters_are_whole_in_each_sessions_text(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    bias = dict.fromkeys((id for text in "é🙂" for id in model.tokenize(text)), 100.0)
    sessions = [model.session() for _ in range(4)]
    samplers = [model.sampler(seed=i, temperature=5.0, logit_bias=bias) for i in range(4)]
    ids: list[list[int]] = [[] for _ in range(4)]
    texts = [b""] * 4
    following = [[1]] * 4
    for _ in range(40):
        drawn = model.step(sessions, following, samplers)
        following = [[one.id] for one in drawn if one.id is not None]
        for i, one in enumerate(drawn):
            ids[i] += following[i]
            texts[i] += one.text
            raw = b"".join(map(model.piece, ids[i]))
            assert raw.startswith(texts[i])
            assert 0 <= len(raw) - len(texts[i]) <= 3
            waiting = raw[len(texts[i]) :]
            assert waiting == b"" or waiting[0] in b"\xc3\xf0"   # begins a character of two or four bytes
    assert any("é".encode() in text for text in texts)
    for sampler in samplers:
        sampler.close()


def test_a_fork_takes_along_the_character_that_waits(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    emoji = model.tokenize("🙂")
    assert len(emoji) > 1
    with model.session() as session:
        for i, id in enumerate(emoji[:-1]):
            with model.sampler(temperature=0, logit_bias={id: 1000.0}) as forced:
                (drawn,) = model.step([session], [[1]], [forced])
            assert (drawn.id, drawn.text) == (id, b""), i
        with session.fork() as fork, model.sampler(temperature=0, logit_bias={emoji[-1]: 1000.0}) as forced:
            both = model.step([session, fork], [[1], [1]], [forced, None])
            assert both[0].text.decode() == "🙂"
            (there,) = model.step([fork], [[]], [forced])
            assert there.text.decode() == "🙂"


# ---- Errors ---------------------------------------------------------------------------------------------------------


def test_what_stops_one_session_stops_no_other(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    full, cancelled, well, forbidden = model.session(3), model.session(8), model.session(8), model.session(8)
    sessions = [full, cancelled, well, forbidden]
    for session in sessions:
        session.append([1, 2, 3])
    before = [logits_of(session) for session in sessions]
    cancelled.cancel()
    greedy = [model.sampler(temperature=0) for _ in range(3)]
    nothing = model.sampler(logit_bias=dict.fromkeys(range(model.n_vocab), float("-inf")))
    drawn = model.step(sessions, [[4]] * 4, [*greedy, nothing])
    kinds = [type(one.error) for one in drawn]
    assert kinds == [gemel.ContextError, gemel.CancelledError, type(None), gemel.ArgumentError]
    assert [one.id is None for one in drawn] == [True, True, False, True]
    assert [one.text for one in drawn if one.id is None] == [b""] * 3
    assert [session.n_past for session in sessions] == [3, 3, 4, 4]   # the sampler's error comes after its ids
    assert (logits_of(full), logits_of(cancelled)) == (before[0], before[1])
    assert logits_of(well) == logits_of(forbidden)
    assert [one.error for one in model.step([cancelled], [[4]])] == [None]   # a cancellation stops one step
    assert logits_of(cancelled) == logits_of(well)
    for sampler in (*greedy, nothing):
        sampler.close()


def test_what_is_no_step_is_refused_and_changes_nothing(tiny_model: OpenTiny) -> None:
    model, other = tiny_model(), tiny_model()
    session, twin, stranger = model.session(8), model.session(8), other.session(8)
    with model.sampler() as sampler:
        steps: list[tuple[list[gemel.Session], list[list[int]], list[object] | None]] = [
            ([], [], None),
            ([session], [[1], [2]], None),
            ([session, twin], [[1]], None),
            ([session, session], [[1], [2]], None),
            ([session, stranger], [[1], [2]], None),
            ([session], [[1]], []),
            ([session], [[1]], [sampler, None]),
            ([session], [[-1]], None),
            ([session], [[model.n_vocab]], None),
        ]
        for sessions, ids, samplers in steps:
            with pytest.raises(gemel.ArgumentError):
                model.step(sessions, ids, samplers)   # type: ignore[arg-type]
    assert (session.n_past, twin.n_past, stranger.n_past) == (0, 0, 0)


def test_closed_sessions_and_samplers_are_refused(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    session, gone, sampler = model.session(), model.session(), model.sampler()
    gone.close()
    sampler.close()
    with pytest.raises(gemel.ArgumentError, match="this session is closed"):
        model.step([session, gone], [[1], [2]])
    with pytest.raises(gemel.ArgumentError, match="this sampler is closed"):
        model.step([session], [[1]], [sampler])
    assert session.n_past == 0
    session.append([1])   # nothing is held any more


def test_a_sampler_of_another_vocabulary_is_refused(tiny_model: OpenTiny) -> None:
    model, wider = tiny_model(), tiny_model(n_vocab=400)
    assert wider.n_vocab > model.n_vocab
    with model.session() as session, wider.sampler(temperature=0) as sampler:
        with pytest.raises(gemel.ArgumentError, match="samplers: each must be of this model, and none may appear"):
            model.step([session], [[1]], [sampler])
        assert session.n_past == 0


def test_one_sampler_cannot_draw_for_two_sessions_of_a_step(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    with model.session() as one, model.session() as other, model.sampler() as sampler:
        with pytest.raises(gemel.ArgumentError, match="samplers: each must be of this model, and none may appear"):
            model.step([one, other], [[1], [2]], [sampler, sampler])
        assert (one.n_past, other.n_past) == (0, 0)


# ---- Threads --------------------------------------------------------------------------------------------------------


def test_steps_of_two_threads_over_the_same_sessions_take_turns(tiny_model: OpenTiny) -> None:
    model = tiny_model(threads=2)
    sessions = [model.session() for _ in range(4)]
    errors: list[BaseException] = []

    def work(order: int) -> None:
        try:
            for _ in range(20):
                model.step(sessions[::order], [[5]] * 4)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [session.ids for session in sessions] == [[5] * 40] * 4
    assert len({logits_of(session) for session in sessions}) == 1


def test_closing_a_session_while_another_thread_steps_is_safe(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_layer=4)
    for _ in range(5):
        staying, leaving = model.session(), model.session()
        ended: list[str] = []

        def work(pair: list[gemel.Session], ended: list[str]) -> None:
            try:
                for _ in range(400):
                    drawn = model.step(pair, [[5], [6]])
                    if any(one.error for one in drawn):
                        ended.append("cancelled")
                        return
            except gemel.ArgumentError:
                ended.append("closed")

        thread = threading.Thread(target=work, args=([staying, leaving], ended))
        thread.start()
        while not leaving._revision:
            pass
        leaving.close()
        thread.join(60)
        assert not thread.is_alive()
        assert ended
        assert set(staying.ids) == {5}
        staying.close()
