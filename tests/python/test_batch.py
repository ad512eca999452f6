"""Many generations in one pass: each is what it is alone; what was evaluated is shared; memory has its limit."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gemel
import pytest
from browser.behaviour_many import LONG, interleaved
from conftest import CHATML, tiny_bytes
from gemel.model.batch.batch import MAX_TEXTS
from gemel.model.batch.costs import Costs
from gemel.model.batch.future import ReadRequest
from gemel.model.batch.waiting import Waiting

OpenTiny = Callable[..., gemel.Model]


@pytest.fixture(scope="module")
def long_model() -> Iterator[gemel.Model]:
    with gemel.open(tiny_bytes(n_ctx=2048), threads=2) as model:
        yield model


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def some_model(request: pytest.FixtureRequest) -> Iterator[gemel.Model]:
    """One whose layers see everything, and one with windows shorter than the prompts."""
    with gemel.open(tiny_bytes(arch=request.param, n_ctx=2048), threads=2) as model:
        yield model


@pytest.mark.parametrize("seed", range(8))
def test_every_answer_is_what_it_is_alone(some_model: gemel.Model, seed: int) -> None:
    """Whatever runs beside it, is cancelled, evicted or put back."""
    interleaved(some_model, seed)


def test_answers_are_read_in_any_order_and_by_any_thread(long_model: gemel.Model) -> None:
    prompts = [LONG[i : i + 20] for i in range(6)]
    expected = [long_model.generate(prompt, max_tokens=20, seed=3).read() for prompt in prompts]
    with long_model.batch() as batch:
        generations = [batch.generate(prompt, max_tokens=20, seed=3) for prompt in prompts]
        assert [generation.read() for generation in reversed(generations)] == expected[::-1]
        generations = [batch.generate(prompt, max_tokens=20, seed=3) for prompt in prompts]
        threads = [threading.Thread(target=generation.read) for generation in generations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [generation.text for generation in generations] == expected


def test_generate_many_returns_each_text(long_model: gemel.Model) -> None:
    texts = long_model.generate_many([LONG[:5], LONG[3:9], LONG[:5]], max_tokens=6, temperature=0)
    assert texts == [
        long_model.generate(ids, max_tokens=6, temperature=0).read() for ids in (LONG[:5], LONG[3:9], LONG[:5])
    ]
    assert long_model.generate_many([]) == []


# ---- What is shared -------------------------------------------------------------------------------------------------


def read(batch: gemel.Batch, ids: list[int], **options: Any) -> gemel.Timings:  # noqa: ANN401
    return ended(batch, ids, **options).timings


def ended(batch: gemel.Batch, ids: list[int], **options: Any) -> gemel.Generation:  # noqa: ANN401
    generation = batch.generate(ids, max_tokens=4, temperature=0, **options)
    generation.read()
    return generation


def test_what_was_evaluated_is_not_evaluated_again(long_model: gemel.Model) -> None:
    with long_model.batch() as batch:
        first = ended(batch, LONG[:300])
        assert (first.timings.n_cached, first.timings.n_evaluated) == (0, 300)
        again = read(batch, LONG[:300])
        assert (again.n_cached, again.n_evaluated) == (299, 1)   # its last id has the logits
        longer = read(batch, [*LONG[:300], *first.ids, 5, 6])
        assert longer.n_cached == 300 + 3                                       # the last id drawn was not evaluated
        other = read(batch, [*LONG[:170], 1, 2, 3])
        assert other.n_cached == 170
        assert read(batch, [9, *LONG[:300]]).n_cached == 0


def test_requests_with_another_salt_share_nothing(long_model: gemel.Model) -> None:
    with long_model.batch() as batch:
        read(batch, LONG[:200], cache_salt="mine")
        assert read(batch, LONG[:200]).n_cached == 0
        assert read(batch, LONG[:200], cache_salt="yours").n_cached == 0
        assert read(batch, LONG[:200], cache_salt="mine").n_cached == 199


def test_requests_that_come_together_evaluate_their_common_prompt_once(some_model: gemel.Model) -> None:
    with some_model.batch(2048) as batch:
        generations = [batch.generate([*LONG[:500], i], max_tokens=3, temperature=0) for i in range(5)]
        for generation in generations:
            generation.read()
        assert sum(generation.timings.n_evaluated for generation in generations) <= 501 + 4


def test_another_answer_to_a_long_chat_evaluates_one_id(some_model: gemel.Model) -> None:
    """Also where a window's pages behind the answer's end were given back."""
    with some_model.batch(2048) as batch:
        generation = batch.generate(LONG[:600], max_tokens=300, temperature=0, logit_bias=endless(some_model))
        generation.read()
        assert len(generation.ids) == 300
        assert read(batch, LONG[:600]).n_cached == 599


def endless(model: gemel.Model) -> dict[int, float]:
    return {id: float("-inf") for id in range(model.n_vocab) if model.is_eog(id)}


# ---- Memory ---------------------------------------------------------------------------------------------------------


def test_the_caches_stay_within_their_memory(long_model: gemel.Model) -> None:
    page = 64 * long_model.kv_size
    with long_model.batch(cache_memory=12 * page) as batch:
        for i in range(30):
            read(batch, [i, *LONG[:200]])
            assert long_model.cache_size <= 12 * page
        assert len(batch._prefixes) >= 1
    assert long_model.cache_size == 0


def test_without_memory_for_all_the_youngest_is_put_back_and_goes_on_later(long_model: gemel.Model) -> None:
    page = 64 * long_model.kv_size
    bias = endless(long_model)
    prompts = [[i, *LONG[:60]] for i in range(4)]
    expected = [
        long_model.generate(ids, max_tokens=200, seed=1, logit_bias=bias, repeat_penalty=1.2).read() for ids in prompts
    ]
    with long_model.batch(cache_memory=9 * page) as batch:
        generations = [
            batch.generate(ids, max_tokens=200, seed=1, logit_bias=bias, repeat_penalty=1.2) for ids in prompts
        ]
        most, seen = 0, []
        while batch.step():
            most = max(most, batch.n_running)
            seen.append(batch.n_running)
        assert [generation.read() for generation in generations] == expected
        assert most > 1
        assert any(b < a for a, b in itertools.pairwise(seen))
        evaluated = [run.n_evaluated for run in (generation._run for generation in generations)]   # type: ignore[attr-defined]
        assert max(evaluated) > 61 + 199   # one was put back, and evaluated again


def test_a_generation_that_is_closed_holds_nothing(long_model: gemel.Model) -> None:
    with long_model.batch(cache_memory=0) as batch:
        bias = endless(long_model)
        generations = [batch.generate(LONG[i : i + 100], max_tokens=50, logit_bias=bias) for i in range(20)]
        for _ in range(5):
            batch.step()
        for generation in generations:
            generation.close()
        batch.step()
        assert (batch.n_running, batch.n_waiting, long_model.cache_size) == (0, 0, 0)
        assert {generation.stop_reason for generation in generations} == {"cancelled"}


def test_a_deleted_generation_leaves(long_model: gemel.Model) -> None:
    with long_model.batch() as batch:
        generation = batch.generate(LONG[:100], max_tokens=50, logit_bias=endless(long_model))
        batch.step()
        del generation
        assert (batch.n_running, batch.n_waiting) == (0, 0)


def test_closing_the_batch_stops_its_generations(long_model: gemel.Model) -> None:
    batch = long_model.batch()
    bias = endless(long_model)
    begun, waiting = (batch.generate(LONG[:100], max_tokens=50, logit_bias=bias) for _ in range(2))
    next(begun)
    batch.close()
    assert (begun.stop_reason, waiting.stop_reason, batch.closed) == ("cancelled", "cancelled", True)
    assert long_model.cache_size == 0
    with pytest.raises(gemel.ArgumentError, match="this batch is closed"):
        batch.generate(LONG[:3])


def test_an_error_ends_one_generation_alone(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=256)
    with model.batch() as batch:
        with pytest.raises(gemel.ContextError, match="257 tokens"):
            batch.generate([1] * 257)
        forbidden = {id: float("-inf") for id in range(model.n_vocab)}
        bad, good = batch.generate([1, 2], logit_bias=forbidden), batch.generate([1, 2], max_tokens=3, temperature=0)
        assert good.read() == model.generate([1, 2], max_tokens=3, temperature=0).read()
        with pytest.raises(gemel.ArgumentError):
            bad.read()
        assert bad.stop_reason == "error"
    with pytest.raises(gemel.ArgumentError, match="max_running=0: must be an integer from 1 to 124"):
        model.batch(max_running=0)


def test_an_error_of_a_caller_ends_one_generation_alone(long_model: gemel.Model) -> None:
    def fail(session: gemel.Session, id: int) -> None:
        raise RuntimeError("mine")

    with long_model.batch() as batch:
        bad, good = batch.generate([1, 2], on_drawn=fail), batch.generate([1, 2], max_tokens=3, temperature=0)
        assert good.read() == long_model.generate([1, 2], max_tokens=3, temperature=0).read()
        with pytest.raises(RuntimeError, match="mine"):
            bad.read()


# ---- Embeddings and log-probabilities -------------------------------------------------------------------------------


def test_texts_are_embedded_and_scored_beside_answers(long_model: gemel.Model) -> None:
    answer = long_model.generate(LONG[:100], max_tokens=40, seed=1).read()
    with long_model.batch() as batch, long_model.session(300) as one, long_model.session(300) as other:
        generation = batch.generate(LONG[:100], max_tokens=40, seed=1)
        embedding, scores = batch.embed(LONG[:300]), batch.score(LONG[:300])
        assert not embedding.done()
        assert bytes(embedding.result()) == bytes(gemel.pooled(one.hidden(LONG[:300])))
        assert scores.result() == other.score(LONG[:300])[0][1:]
        assert embedding.done()
        assert scores.done()
        assert generation.read() == answer
    assert long_model.cache_size == 0   # what read them holds nothing


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_many_short_texts_share_passes_and_have_their_own_bits(long_model: gemel.Model, pooling: Any) -> None:  # noqa: ANN401
    texts = ["a", "the model", "another text", "b" * 40, "the model"] * 30
    rows = long_model.embed(texts, pooling, normalize=False)
    each = [bytes(long_model.embed(text, pooling, normalize=False)) for text in texts]
    assert bytes(rows) == b"".join(each)


def test_a_text_that_is_put_back_is_read_again(long_model: gemel.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    put_back, original = [], ReadRequest.put_back

    def noted(request: ReadRequest[Any]) -> None:
        put_back.append(request.n_past)
        original(request)

    monkeypatch.setattr(ReadRequest, "put_back", noted)
    monkeypatch.setattr(Costs, "ids", lambda *_: 4)
    wanted = long_model.score(LONG[:600])
    with long_model.batch() as batch:
        generation = batch.generate(LONG[:10], max_tokens=400, logit_bias={0: -100, 2: -100})
        for _ in range(3):
            batch.step()
        batch.cache_memory = long_model.cache_size + (602 + 2 * 64) * long_model.kv_size   # the answer outgrows it
        scores = batch.score(LONG[:600])
        generation.read()
        assert scores.result() == wanted
    assert any(put_back), "the text was half read when it was put back"


@pytest.mark.long
def test_texts_take_no_slot_of_an_answer_and_all_count_as_one_prompt(
    long_model: gemel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, original = [], Costs.ids

    def noted(costs: Costs, n_decoding: int, n_prompts: int = 1) -> int:
        asked.append((n_decoding, n_prompts))
        return original(costs, n_decoding, n_prompts)

    monkeypatch.setattr(Costs, "ids", noted)
    with long_model.batch(max_running=1) as batch:
        answer = batch.generate(LONG[:20], max_tokens=1900, logit_bias={0: -100, 2: -100})
        for _ in range(3):
            batch.step()
        futures = [batch.score(LONG[i : i + 100]) for i in range(40)]
        other = batch.generate(LONG[:5], max_tokens=2)
        batch.step()
        assert batch.n_running == 1 + MAX_TEXTS
        assert asked[-1] == (1, 1)
        assert futures[-1].result() == long_model.score(LONG[39:139])   # before the answer has ended
        assert answer.stop_reason is None
        assert other.read() == long_model.generate(LONG[:5], max_tokens=2, seed=other.seed).read()


def test_a_generation_may_have_a_context_of_another_size(long_model: gemel.Model) -> None:
    with long_model.batch(64) as batch:
        one = batch.generate(LONG[:60], n_ctx=100, logit_bias={0: -100, 2: -100})
        one.read()
        assert (len(one.ids), one.stop_reason) == (41, "length")
        with pytest.raises(gemel.ArgumentError, match="n_ctx=0: must be an integer from 1 to 2048"):
            batch.generate(LONG[:5], n_ctx=0)


@pytest.mark.parametrize("n_more", [0, 1, 100])
def test_a_prompt_of_the_time_of_loading_is_not_evaluated_again(long_model: gemel.Model, n_more: int) -> None:
    prompt = LONG[: 70 + n_more]
    wanted = long_model.generate(prompt, max_tokens=9, seed=4).read()
    with gemel.open(tiny_bytes(n_ctx=2048), prompt=LONG[:70]) as model, model.batch() as batch:
        generation = batch.generate(prompt, max_tokens=9, seed=4)
        other = batch.generate(prompt, max_tokens=9, seed=4)
        assert (generation.read(), other.read()) == (wanted, wanted)
        assert (generation.timings.n_cached, generation.timings.n_evaluated) == (70, n_more)


def test_a_batch_answers_messages_as_a_chat(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=CHATML, n_ctx=512)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with model.chat() as chat, model.batch() as batch:
        chat.messages[:] = messages
        wanted = chat.send(max_tokens=9, seed=3)
        answer = batch.answer(messages, max_tokens=9, seed=3)
        assert (wanted.read(), wanted.prompt_ids) == (answer.read(), answer.prompt_ids)
        begun = [*messages, {"role": "assistant", "content": "Hel"}]
        assert batch.answer(begun, max_tokens=1).prompt_ids == model.prompt_ids(begun)
        for wrong, words in (([], "no message to answer"), ("Hi", "messages='Hi'"), ([5], r"messages\[0\] is 5")):
            with pytest.raises(gemel.ArgumentError, match=words):
                batch.answer(wrong)   # type: ignore[arg-type]
        for name in ("tools", "special", "self", "continue_final"):
            with pytest.raises(gemel.ArgumentError, match=f"template_options: {name} is not an option of a template"):
                batch.answer(messages, template_options={name: True})
        with pytest.raises(TypeError, match="is_answer: the messages decide this"):
            batch.answer(messages, is_answer=True)   # type: ignore[call-arg]
        with pytest.raises(TypeError, match="there is no option 'templat'; did you mean 'template'"):
            batch.answer(messages, templat="x")   # type: ignore[call-arg]


def test_a_closed_future_is_evaluated_no_more(long_model: gemel.Model) -> None:
    with long_model.batch() as batch:
        future = batch.embed(LONG[:500])
        batch.step()
        future.close()
        assert (future.done(), batch.n_running, batch.n_waiting) == (True, 0, 0)
        with pytest.raises(gemel.CancelledError, match="the request was closed, or its batch was"):
            future.result()
        left = batch.score(LONG[:500])
        del left
        assert (batch.n_running, batch.n_waiting) == (0, 0)
        last = batch.score(LONG[:500])
    with pytest.raises(gemel.CancelledError):
        last.result()


def test_futures_are_awaited_together(long_model: gemel.Model) -> None:
    wanted = [long_model.score(LONG[i : i + 100]) for i in range(3)]

    async def scores() -> list[list[float]]:
        with long_model.batch() as batch:
            futures = [batch.score(LONG[i : i + 100]) for i in range(3)]
            return [await future for future in futures]

    assert asyncio.run(scores()) == wanted


def test_a_text_that_can_not_be_read_is_refused_immediately(long_model: gemel.Model) -> None:
    with long_model.batch(64) as batch:
        with pytest.raises(gemel.ContextError, match="n_ctx is 2048, but the prompt has 3000 tokens"):
            batch.score([1] * 3000)
        with pytest.raises(gemel.ArgumentError, match="the prompt is empty"):
            batch.score([])
        with pytest.raises(gemel.ArgumentError, match="an empty text has no tokens"):
            batch.embed("")
        with pytest.raises(gemel.ArgumentError, match="pooling='median'"):
            batch.embed("x", "median")   # type: ignore[arg-type]
        assert len(batch.score([1] * 100).result()) == 99   # longer than the answers of this batch may be


# ---- Order ----------------------------------------------------------------------------------------------------------


class Asked:
    def __init__(self, name: str, key: str = "", priority: int = 0, work: float = 10.0) -> None:
        self.name, self.key, self.priority, self.work = name, key, priority, work


def order(waiting: Waiting[Asked]) -> str:
    return "".join(waiting.take().name for _ in range(len(waiting)))


def test_requests_begin_in_order_of_arrival() -> None:
    waiting: Waiting[Asked] = Waiting()
    for name in "abc":
        waiting.add(Asked(name))
    assert order(waiting) == "abc"


def test_a_lower_priority_begins_first() -> None:
    waiting: Waiting[Asked] = Waiting()
    for name, priority in zip("abcd", (0, 1, -1, 0), strict=True):
        waiting.add(Asked(name, priority=priority))
    assert order(waiting) == "cadb"


def test_keys_take_turns_by_their_work() -> None:
    waiting: Waiting[Asked] = Waiting()
    for name in "abcd":
        waiting.add(Asked(name, "much"))
    waiting.add(Asked("x", "little", work=15))
    waiting.add(Asked("y", "little"))
    assert order(waiting) == "axbycd"


def test_a_key_has_no_credit_for_a_pause() -> None:
    waiting: Waiting[Asked] = Waiting()
    for i in range(9):
        waiting.add(Asked(str(i), "busy"))
    assert [waiting.take().name for _ in range(6)] == list("012345")
    for name in "pqr":
        waiting.add(Asked(name, "new"))
    assert order(waiting) in ("p6q7r8", "6p7q8r")


def test_what_was_put_back_begins_before_the_others() -> None:
    waiting: Waiting[Asked] = Waiting()
    for name in "ab":
        waiting.add(Asked(name))
    first = waiting.take()
    waiting.add(Asked("c"))
    waiting.put_back(first)
    assert order(waiting) == "abc"


def spent(costs: Costs, n_decoding: int, n: int, *, of_pass: float, of_id: float, of_answer: float = 0.0) -> float:
    """Let a step take what a machine with these costs takes; return its seconds."""
    seconds = of_pass + n_decoding * of_answer + n * of_id
    costs.note(n_decoding, n, seconds)
    return seconds


@pytest.mark.parametrize(("of_pass", "of_id"), [(0.01, 0.0025), (0.1, 0.02), (0.2, 0.04), (0.28, 0.09), (0.03, 0.006)])
def test_a_prompt_alone_is_evaluated_in_steps_that_are_long_enough(of_pass: float, of_id: float) -> None:
    """Reading the weights takes at most a quarter of their time, or the steps are as long as asked."""
    costs, left, total = Costs(128, 0.25), 2000, 0.0
    while left:
        n = min(left, costs.ids(0))
        total += spent(costs, 0, n, of_pass=of_pass, of_id=of_id)
        left -= n
    best = -(-2000 // 128) * of_pass + 2000 * of_id
    assert total <= 1.3 * best
    assert costs.ids(0) * of_id + of_pass <= max(0.3, 6 * of_pass)


def test_steps_beside_answers_take_at_most_about_twice_their_time() -> None:
    costs, machine = Costs(128, 0.25), {"of_pass": 0.02, "of_id": 0.004, "of_answer": 0.002}
    assert costs.ids(0) == Costs.FIRST
    for _ in range(5):
        spent(costs, 0, costs.ids(0), **machine)
        spent(costs, 8, 0, **machine)
    alone, steps = 0.02 + 8 * 0.002, []
    for i in range(60):
        n = costs.ids(8)
        steps.append(spent(costs, 8, n, **machine))
        if i == 20:   # one hiccup of the machine
            costs.note(8, 0, 1.0)
    assert max(steps) <= 2.2 * alone
    assert sum(seconds > 1.5 * alone for seconds in steps) > 40   # and prompts go on
    assert sum(seconds == alone for seconds in steps) <= 60 / Costs.LOOK


def test_prompts_go_on_beside_any_number_of_answers() -> None:
    costs = Costs(128, 0.25)
    for _ in range(10):
        costs.note(0, 64, 6.4)
        costs.note(120, 0, 0.1)
    assert costs.ids(120) == Costs.LEAST
    costs.note(0, 0, 1.0)                      # nothing was evaluated
    assert costs.ids(1) == Costs.LEAST
