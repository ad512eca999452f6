"""The queue: one job at a time, in order; a full queue is a 429; no answers for clients that leave; no leaks."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import math
import threading
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import pytest
from gemel.model.batch.batch import MAX_TEXTS
from gemel_web.http.errors import ApiError
from gemel_web.jobs.answer import GenerateRequest
from gemel_web.jobs.events import Began, Steps
from gemel_web.jobs.scheduler import Limits, Scheduler
from gemel_web.jobs.work import Completion, Embeddings, ModelSlot
from gemel_web.openai.prompts import of_inputs
from serving import Asked, Connection, counted, error_of, until

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HELLO = [{"role": "user", "content": "Hello"}]


def open_sessions(model: gemel.Model) -> list[gemel.Session]:
    gc.collect()
    return [session for session in model._sessions if not session.closed]


# ---- Leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_answer(
    asked: Asked, model: gemel.Model, long: dict[str, Any], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = counted(monkeypatch)

    async def main() -> None:
        connection = Connection(asked, CHAT, {**long, "messages": HELLO, "stream": stream, "n": 16})
        going = asyncio.create_task(connection.go())
        await until(lambda: len(drawn) > 20)
        connection.leave()
        await going
        seen = len(drawn)
        answer = await asked.asking("POST", TEXT, json={"model": "tiny", "prompt": "the", "max_tokens": 1})
        assert answer.status_code == 200
        assert seen <= len(drawn) <= seen + 5   # a step that ran, and those of the new answer

    asked.run(main())
    assert 1 <= len(open_sessions(model)) < 20   # those from which later requests go on
    asked.run(asked.app.state.scheduler.close())
    assert open_sessions(model) == []


@pytest.mark.long
def test_a_client_that_leaves_stops_its_embeddings(asked: Asked, model: gemel.Model) -> None:
    async def main() -> None:
        connection = Connection(asked, EMBED, {"model": "tiny", "input": ["the model " * 50] * 200})
        going = asyncio.create_task(connection.go())
        await until(lambda: open_sessions(model))
        assert len(open_sessions(model)) <= MAX_TEXTS   # of the 200, those that are evaluated together
        connection.leave()
        await going
        assert connection.sent == []
        answer = await asked.asking("POST", EMBED, json={"model": "tiny", "input": "a"})
        assert answer.status_code == 200

    asked.run(main())
    assert open_sessions(model) == []


def test_a_client_that_leaves_the_queue_is_never_evaluated(
    serve: Any, long: dict[str, Any], monkeypatch: pytest.MonkeyPatch  # noqa: ANN401
) -> None:
    app, made = serve(parallel=1), list[gemel.Generation]()
    original = gemel.Batch.generate

    def noted(self: gemel.Batch, ids: Any, **options: Any) -> gemel.Generation:  # noqa: ANN401
        made.append(original(self, ids, **options))
        return made[-1]

    monkeypatch.setattr(gemel.Batch, "generate", noted)

    async def main() -> None:
        first = Connection(app, TEXT, {**long, "prompt": "the first"})
        second = Connection(app, TEXT, {**long, "prompt": "the second"})
        going = [asyncio.create_task(one.go()) for one in (first, second)]
        await until(lambda: len(made) == 2)
        second.leave()
        await going[1]
        await going[0]
        assert (first.status, second.sent) == (200, [])

    app.run(main())
    assert [generation.stop_reason for generation in made] == ["length", "cancelled"]
    assert made[1].timings.n_evaluated == 0


def test_requests_do_not_wait_while_a_form_is_compiled(app: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, going_on = gemel.Batch.generate, threading.Event()

    def slow(self: gemel.Batch, ids: Any, **options: Any) -> gemel.Generation:  # noqa: ANN401
        if options["max_tokens"] == 3:
            assert going_on.wait(60)
        return compiled(self, ids, **options)

    monkeypatch.setattr(gemel.Batch, "generate", slow)

    async def main() -> None:
        body = {"model": "tiny", "prompt": "the"}
        first = asyncio.create_task(app.asking("POST", TEXT, json={**body, "max_tokens": 3}))
        for _ in range(2):
            assert (await app.asking("POST", TEXT, json={**body, "max_tokens": 1})).status_code == 200
        assert not first.done()
        going_on.set()
        assert (await first).status_code == 200

    app.run(main())


def test_a_client_that_leaves_while_sending_is_not_answered(app: Asked) -> None:
    async def main() -> None:
        connection = Connection(app, TEXT)
        connection.give(b'{"model": ', more=True)
        connection.leave()
        await connection.go()
        assert connection.sent == []

    app.run(main())


class Deaf(Connection):
    """A client that takes so many messages and no more."""

    takes = 3

    async def _send(self, message: Any) -> None:  # noqa: ANN401
        await super()._send(message)
        if len(self.sent) > self.takes:
            await asyncio.sleep(60)


@pytest.mark.parametrize("takes", [0, 1, 3])
def test_a_client_that_does_not_read_is_dropped(
    serve: Any, model: gemel.Model, long: dict[str, Any], takes: int  # noqa: ANN401
) -> None:
    app = serve(write_seconds=0.05)

    async def main() -> None:
        connection = Deaf(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
        connection.takes = takes
        await connection.go()
        assert len(connection.sent) == takes + 1
        answer = await app.asking("POST", TEXT, json={"model": "tiny", "prompt": "the", "max_tokens": 1})
        assert answer.status_code == 200
        assert not any(driver._jobs for driver in app.app.state.scheduler._drivers.values())

    app.run(main())


def test_a_client_that_does_not_read_a_file_or_an_answer_is_dropped(model: gemel.Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    (tmp_path / "index.html").write_bytes(bytes(1 << 20))
    models = {"tiny": gemel_web.ServedModel(model, (tmp_path / "file",))}
    with Asked(models, static=tmp_path, write_seconds=0.05) as app:

        async def main() -> None:
            for path in ("/models/tiny.gguf", "/"):
                connection = Deaf(app, path, b"", method="GET")
                await connection.go()
                assert connection.status == 200
                assert 0 < len(connection.body) < 1 << 20
            connection = Deaf(app, EMBED, {"model": "tiny", "input": ["a"] * 256})
            connection.takes = 2
            await connection.go()
            assert connection.status == 200
            assert 0 < len(connection.body) < int(connection.headers[b"content-length"])

        app.run(main())


def test_a_stream_that_cannot_begin_stops_its_job(
    serve: Any, long: dict[str, Any], monkeypatch: pytest.MonkeyPatch  # noqa: ANN401
) -> None:
    app = serve()
    drawn = counted(monkeypatch)

    class Broken(Connection):
        async def _send(self, message: Any) -> None:  # noqa: ANN401
            raise OSError("the connection is broken")

    async def main() -> None:
        connection = Broken(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
        with contextlib.suppress(OSError):
            await connection.go()
        await until(lambda: not any(driver._tasks for driver in app.app.state.scheduler._drivers.values()))
        assert len(drawn) < 2000   # of 80,000

    app.run(main())


# ---- Slow senders ----------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_slow_is_a_408(serve: Any) -> None:  # noqa: ANN401
    app = serve(body_seconds=0.05)

    async def main() -> None:
        connection = Connection(app, TEXT)

        async def drip() -> None:
            while True:
                connection.give(b" ", more=True)
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        await connection.go()
        dripping.cancel()
        assert connection.status == 408
        assert b'"code":"timeout"' in connection.body
        assert connection.headers[b"connection"] == b"close"

    app.run(main())


def test_a_body_over_the_limit_is_a_413_before_it_ends(serve: Any) -> None:  # noqa: ANN401
    app = serve(max_body=1000)

    async def main() -> None:
        connection = Connection(app, TEXT)
        for _ in range(11):
            connection.give(b" " * 100, more=True)
        await connection.go()
        assert connection.status == 413

    app.run(main())


# ---- Waiting ---------------------------------------------------------------------------------------------------------


def test_a_full_queue_is_a_429_with_retry_after(serve: Any, long: dict[str, Any]) -> None:  # noqa: ANN401
    app = serve(queue=1, parallel=1)

    async def main() -> None:
        body = {**long, "prompt": "a", "max_tokens": 1}
        running = Connection(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})   # 80,000 tokens
        going = [asyncio.create_task(running.go())]
        await until(lambda: running.sent)
        waiting = Connection(app, TEXT, body)
        going.append(asyncio.create_task(waiting.go()))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        response = await app.asking("POST", TEXT, json=body)
        error = error_of(response, 429)
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
        assert int(response.headers["retry-after"]) >= 1
        assert (await app.asking("GET", "/v1/models")).status_code == 200
        running.leave()
        await asyncio.gather(*going)
        assert waiting.status == 200
        assert (await app.asking("POST", TEXT, json=body)).status_code == 200

    app.run(main())


def test_requests_are_answered_in_order_of_arrival(serve: Any) -> None:  # noqa: ANN401
    asked = serve(parallel=1)
    ended: list[int] = []

    async def one(i: int) -> None:
        body = {"model": "tiny", "prompt": "the model", "max_tokens": 40 - 5 * i, "temperature": 0}
        response = await asked.asking("POST", TEXT, json=body)
        assert response.status_code == 200
        ended.append(i)

    async def main() -> None:
        tasks = []
        for i in range(6):
            tasks.append(asyncio.create_task(one(i)))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)

    asked.run(main())
    assert ended == sorted(ended)


def test_models_do_not_wait_for_each_other(model: gemel.Model, tiny_model: Any, long: dict[str, Any]) -> None:  # noqa: ANN401
    models = {"tiny": gemel_web.ServedModel(model), "other": gemel_web.ServedModel(tiny_model(seed=2))}
    with Asked(models, queue=1, parallel=1) as app:

        async def main() -> None:
            running = Connection(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
            going = asyncio.create_task(running.go())
            await until(lambda: running.sent)
            other = await app.asking("POST", TEXT, json={"model": "other", "prompt": "a", "max_tokens": 1})
            assert other.status_code == 200
            assert not going.done()
            running.leave()
            await going

        app.run(main())


def test_the_loop_is_free_while_a_thread_evaluates(serve: Any, model: gemel.Model) -> None:  # noqa: ANN401
    app = serve()
    turned = threading.Event()
    original = gemel.Batch.step

    def patient(self: gemel.Batch) -> bool:
        assert turned.wait(10)
        return original(self)

    async def main() -> None:
        asking = asyncio.create_task(
            app.asking("POST", TEXT, json={"model": "tiny", "prompt": "a", "max_tokens": 1})
        )
        await asyncio.sleep(0.05)
        assert (await app.asking("GET", "/healthz")).status_code == 200
        turned.set()
        assert (await asking).status_code == 200

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemel.Batch, "step", patient)
        app.run(main())


# ---- Going on from what is there -------------------------------------------------------------------------------------


def test_a_conversation_evaluates_only_what_is_new(asked: Asked, model: gemel.Model) -> None:
    evaluated: list[int] = []
    original = gemel.Generation.close

    def noted(self: gemel.Generation) -> None:
        if self.ids:
            evaluated.append(self.timings.n_evaluated)
        original(self)

    body: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "temperature": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemel.Generation, "close", noted)
        first = asked.good(CHAT, **body, messages=HELLO)
        history = [*HELLO, first["choices"][0]["message"], {"role": "user", "content": "More"}]
        second = asked.good(CHAT, **body, messages=history)
    n_first, n_second = (answer["usage"]["prompt_tokens"] for answer in (first, second))
    assert evaluated[0] == n_first
    assert n_second - n_first > evaluated[-1]


# ---- How a model is served ------------------------------------------------------------------------------------------


def test_each_alias_of_a_model_has_its_own_context_and_cache(model: gemel.Model) -> None:
    models = {
        "small": gemel_web.ServedModel(model, n_ctx=32, kv_type="f16"),
        "large": gemel_web.ServedModel(model, n_ctx=256, kv_type="q8_0"),
        "same": gemel_web.ServedModel(model, n_ctx=256, kv_type="q8_0"),
    }
    with Asked(models) as app:
        for _ in range(2):
            app.bad(TEXT, model="small", prompt=[5] * 33)
            for alias, tokens in (("small", 20), ("large", 100), ("same", 100)):
                app.good(TEXT, model=alias, prompt="a", max_tokens=tokens, temperature=0)
        found = sorted((session.n_ctx, session.kv_type) for session in open_sessions(model))
        assert found == [(32, "f16"), (256, "q8_0")]
    assert open_sessions(model) == []


def test_aliases_of_one_model_share_its_queue(model: gemel.Model, long: dict[str, Any]) -> None:
    models = {"tiny": gemel_web.ServedModel(model), "other": gemel_web.ServedModel(model, n_ctx=128)}
    with Asked(models, queue=1, parallel=1) as app:

        async def main() -> None:
            running = Connection(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
            going = asyncio.create_task(running.go())
            await until(lambda: running.sent)
            other = Connection(app, TEXT, {**long, "model": "other", "prompt": ["a"] * 200, "stream": True})
            waiting = asyncio.create_task(other.go())
            await until(lambda: other.sent)
            error_of(await app.asking("POST", TEXT, json={"model": "other", "prompt": "a", "max_tokens": 1}), 429)
            for one in (running, other):
                one.leave()
            await asyncio.gather(going, waiting)

        app.run(main())


def test_embeddings_use_the_context_and_cache_type_of_the_alias(model: gemel.Model) -> None:
    text = "the model " * 20
    ids = model.tokenize(text, bos_eos=True)
    models = {
        "small": gemel_web.ServedModel(model, n_ctx=len(ids) - 1),
        "f16": gemel_web.ServedModel(model, kv_type="f16"),
        "q8_0": gemel_web.ServedModel(model, kv_type="q8_0"),
    }
    with Asked(models) as app:
        error = app.bad(EMBED, model="small", input=text)
        assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
        assert f"{len(ids) - 1} fit" in error["message"]
        app.good(EMBED, model="small", input=ids[:-1])
        vectors = {alias: app.good(EMBED, model=alias, input=text)["data"][0]["embedding"] for alias in ("f16", "q8_0")}
    for kv_type, vector in vectors.items():
        with model.session(len(ids), kv_type=kv_type) as session:   # type: ignore[arg-type]
            rows = session.hidden(ids)
        total = sum(row.astype("float64") for row in rows) / len(ids)
        assert vector == pytest.approx((total / math.sqrt(sum(total * total))).tolist(), rel=1e-6, abs=1e-7)
    assert vectors["f16"] != vectors["q8_0"]


def test_each_text_is_tokenized_in_its_own_step(model: gemel.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others have their turn in between, in a tab the page."""
    original, seen = model.tokenize, 0

    def noted(text: str, **more: bool) -> list[int]:
        nonlocal seen
        seen += 1
        return original(text, **more)

    monkeypatch.setattr(model, "tokenize", noted)
    slot = ModelSlot(model, n_ctx=None)
    texts: list[Any] = [f"text {i}" for i in range(64)]
    request = GenerateRequest(
        n=1, max_tokens=1, stops=(), sampling=gemel.Sampling(), n_top=None, echo=False, param="prompt"
    )
    for work in (
        Completion(of_inputs(texts, "prompt", gemel_web.Config(), bos_eos=False), request),
        Embeddings(of_inputs(texts, "input", gemel_web.Config(), bos_eos=True), param="input"),
    ):
        seen = 0
        for before, event in enumerate(work.steps(slot)):
            assert seen <= before + 1
            if event is not None:
                assert isinstance(event, Began)
                break
        assert seen == 64
    slot.drop()


# ---- Failing and stopping --------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let each batch fail in its fifth step."""
    original, steps = gemel.Batch.step, collections.Counter[int]()

    def step(self: gemel.Batch) -> bool:
        steps[id(self)] += 1
        if steps[id(self)] == 5:
            raise error
        return original(self)

    monkeypatch.setattr(gemel.Batch, "step", step)


def test_an_error_ends_a_stream_as_an_event_and_the_next_answer_is_right(
    asked: Asked, model: gemel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: dict[str, Any] = {"model": "tiny", "prompt": "the model", "max_tokens": 9, "temperature": 0}
    sound = asked.good(TEXT, **body)["choices"]
    failing(monkeypatch, gemel.NumericError("NaN"))
    text = asked.post(TEXT, **body, stream=True).text
    assert '"error":{"message":"NaN","type":"server_error","param":null,"code":"internal_error"}' in text
    assert text.endswith("data: [DONE]\n\n")
    assert asked.bad(TEXT, 500, **body)["message"] == "NaN"
    assert open_sessions(model) == []
    monkeypatch.undo()
    assert asked.good(TEXT, **body)["choices"] == sound


def test_an_error_in_a_stream_is_logged_without_its_text(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch, RuntimeError("a private thing"))
    body = {"model": "tiny", "prompt": "my secret", "max_tokens": 9, "temperature": 0}
    text = asked.post(TEXT, **body, stream=True).text
    assert "internal error: see the server's log" in text
    assert "private" not in text + caplog.text
    assert "secret" not in caplog.text
    (record,) = caplog.records
    assert record.getMessage().startswith("RuntimeError in step, line ")


def test_stopping_ends_running_and_waiting_jobs(asked: Asked, model: gemel.Model, long: dict[str, Any]) -> None:
    async def main() -> None:
        running = Connection(asked, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
        waiting = Connection(asked, TEXT, {**long, "prompt": "a"})
        going = [asyncio.create_task(one.go()) for one in (running, waiting)]
        await until(lambda: len(running.sent) > 5)
        await asked.app.state.scheduler.close()
        await asyncio.gather(*going)
        assert b'"code":"stopped"' in running.body
        assert waiting.status == 503
        late = await asked.asking("POST", TEXT, json={"model": "tiny", "prompt": "a"})
        error_of(late, 503)

    asked.run(main())
    assert open_sessions(model) == []


def test_the_scheduler_runs_any_kind_of_work(model: gemel.Model) -> None:
    class Counting:
        stopped = False

        def steps(self, slot: ModelSlot) -> Steps:
            assert slot.model is model
            yield Began(1)
            yield None
            raise ApiError(400, "no")

        def stop(self) -> None:
            self.stopped = True

        def n_tokens(self) -> int:
            return 1

    async def main() -> None:
        scheduler = Scheduler(Limits(parallel=1, queue=1, threads=True, cache_memory=None))
        job = scheduler.submit(gemel_web.ServedModel(model), Counting())
        assert await anext(job) == Began(1)
        with pytest.raises(ApiError, match="no"):
            await anext(job)
        await scheduler.close()

    asyncio.run(main())


def test_a_client_that_leaves_at_once_is_noticed(app: Asked, long: dict[str, Any], model: gemel.Model) -> None:
    async def main() -> None:
        connection = Connection(app, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
        connection.leave()   # at once: work and departure may be seen in one turn
        await connection.go()
        assert connection.sent == []
        answer = await app.asking("POST", TEXT, json={"model": "tiny", "prompt": "the", "max_tokens": 1})
        assert answer.status_code == 200

    app.run(main())
