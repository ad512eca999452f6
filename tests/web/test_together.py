"""Requests that are evaluated together: each is answered as alone, prompts are shared, priorities count."""

from __future__ import annotations

import asyncio
import json
import threading
from random import Random
from statistics import fmean
from typing import Any

import gemel
import pytest
from serving import Asked, Connection, Serve, counted, error_of, until

TEXT, EMBED = "/v1/completions", "/v1/embeddings"


def test_requests_are_evaluated_together_and_answered_as_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, long: dict[str, Any]
) -> None:
    bodies = [{**long, "prompt": f"the model {i}", "max_tokens": 60, "logprobs": 2} for i in range(8)]
    alone = serve(parallel=1)
    expected = [alone.good(TEXT, **body)["choices"] for body in bodies]
    app, steps = serve(), counted(monkeypatch)

    async def main() -> None:
        answers = await asyncio.gather(*(app.asking("POST", TEXT, json=body) for body in bodies))
        assert [answer.json()["choices"] for answer in answers] == expected

    app.run(main())
    assert len(steps) < 8 * 60 / 2


def test_answers_to_one_prompt_share_its_evaluation(app: Asked) -> None:
    prompt = [5] * 200
    usage = app.good(TEXT, model="tiny", prompt=prompt, n=4, max_tokens=2, seed=1)["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    usage = app.good(TEXT, model="tiny", prompt=[*prompt, 6, 7], max_tokens=2)["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 200
    usage = app.good(TEXT, model="tiny", prompt=[*prompt, 6, 7], max_tokens=2, cache_salt="mine")["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_the_best_answers_are_returned(app: Asked) -> None:
    body = {"model": "tiny", "prompt": ["the", "a model"], "seed": 3, "max_tokens": 6, "temperature": 1.5}
    all = app.good(TEXT, **body, n=4, logprobs=0)
    means = [fmean(one["logprobs"]["token_logprobs"]) for one in all["choices"]]
    ranked = sorted(range(8), key=lambda i: (i // 4, -means[i]))
    for n in (1, 3):
        best = app.good(TEXT, **body, n=n, best_of=4)
        wanted = [i for at, i in enumerate(ranked) if at % 4 < n]
        assert [one["text"] for one in best["choices"]] == [all["choices"][i]["text"] for i in wanted]
        assert [one["index"] for one in best["choices"]] == list(range(2 * n))
        assert [one["logprobs"] for one in best["choices"]] == [None] * 2 * n
        assert best["usage"]["completion_tokens"] == all["usage"]["completion_tokens"]


def test_the_answers_of_a_step_are_written_together(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, long: dict[str, Any]
) -> None:
    app, steps = serve(), counted(monkeypatch)
    running = Connection(app, TEXT, {**long, "prompt": "a", "n": 4, "max_tokens": 40, "stream": True})
    app.run(running.go())
    events = running.body.count(b"data: ")
    assert events > 4 * 20
    assert len(running.sent) < len(steps) + 6 < events / 2


def test_a_lower_priority_is_answered_first(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, long: dict[str, Any]
) -> None:
    app, ended, all_wait = serve(parallel=1), list[int](), threading.Event()
    running = Connection(app, TEXT, {**long, "prompt": "a", "max_tokens": 200, "stream": True, "priority": -9})
    steps, original = list[None](), gemel.Batch.step

    def patient(batch: gemel.Batch) -> bool:
        steps.append(None)
        assert len(steps) < 9 or all_wait.wait(60)   # the stream goes on when the others wait behind it
        return original(batch)

    def ready() -> int:
        return sum(len(driver._active) for driver in app.app.state.scheduler._drivers.values())

    async def one(priority: int) -> None:
        response = await app.asking("POST", TEXT, json={**long, "prompt": "a", "max_tokens": 9, "priority": priority})
        assert response.status_code == 200
        ended.append(priority)

    async def main() -> None:
        going = [asyncio.create_task(running.go())]
        await until(lambda: running.sent)
        going += [asyncio.create_task(one(priority)) for priority in (2, 0, 1)]
        await until(lambda: ready() == len(going))
        all_wait.set()
        await asyncio.gather(*going)

    monkeypatch.setattr(gemel.Batch, "step", patient)
    app.run(main())
    assert ended == [0, 1, 2]


def test_clients_take_turns(serve: Serve, long: dict[str, Any]) -> None:
    app, ended = serve(parallel=1), list[str]()

    async def one(key: str) -> None:
        body, headers = {**long, "prompt": "a"}, {"Authorization": f"Bearer {key}"}
        response = await app.asking("POST", TEXT, json=body, headers=headers)
        assert response.status_code == 200
        ended.append(key)

    async def main() -> None:
        tasks = []
        for key in "aaaab":
            tasks.append(asyncio.create_task(one(key)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    app.run(main())
    assert "".join(ended) in ("abaaa", "aabaa")   # the second one may begin before b has come


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long_ends_with_an_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, long: dict[str, Any], stream: bool
) -> None:
    app, steps = serve(answer_seconds=0.05), counted(monkeypatch)
    response = app.post(TEXT, **{**long, "prompt": "a", "n": 16, "stream": stream})
    began = response.status_code == 200   # a stream that has not begun in time is an error as a whole
    assert stream or not began
    error = json.loads(response.text.split("data: ")[-2])["error"] if began else error_of(response, 503)
    assert error["code"] == "deadline_exceeded"
    assert "0.05 seconds" in error["message"]
    assert len(steps) < 400


@pytest.mark.long
@pytest.mark.parametrize("threads", [True, False])
def test_a_thousand_clients_that_leave_leave_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, long: dict[str, Any], model: gemel.Model, threads: bool
) -> None:
    app, steps, draw = serve(threads=threads, cache_memory=0, queue=1000, parallel=12), counted(monkeypatch), Random(1)

    async def one(i: int) -> None:
        prompt = [3 + i % 200] * draw.choice([1, 70, 100])
        running = Connection(app, TEXT, {**long, "prompt": prompt, "stream": True, "n": draw.choice([1, 1, 3])})
        going = asyncio.create_task(running.go())
        for _ in range(draw.choice([0, 1, 9])):   # while it waits or prepares
            await asyncio.sleep(0)
        n = draw.choice([0, 0, 1, 3, 8])   # pieces of its answer
        await until(lambda: len(running.sent) >= n or going.done())   # a busy machine writes many pieces at once
        running.leave()
        await going

    async def main() -> None:
        for at in range(0, 1000, 40):
            await asyncio.gather(*(one(at + i) for i in range(40)))
        await until(lambda: not model.cache_size)
        n = len(steps)
        await asyncio.sleep(0.1)
        assert len(steps) == n > 100

    app.run(main())
    assert model.cache_size == 0
    assert app.post(TEXT, **{**long, "prompt": "a", "max_tokens": 2}).status_code == 200


def test_embeddings_are_made_while_a_chat_is_answered(asked: Asked, long: dict[str, Any]) -> None:
    async def main() -> None:
        running = Connection(asked, TEXT, {**long, "prompt": ["a"] * 200, "stream": True})
        going = asyncio.create_task(running.go())
        await until(lambda: running.sent)
        answer = await asked.asking("POST", EMBED, json={"model": "tiny", "input": "the model " * 20})
        assert answer.status_code == 200
        assert not going.done()
        running.leave()
        await going

    asked.run(main())
