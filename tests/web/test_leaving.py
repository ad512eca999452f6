"""A client that leaves stops its answer, in each API, whether it is streamed or sent whole."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import CHATML, tiny_bytes
from serving import Asked, Connection, until

HELLO = [{"role": "user", "content": "Hello"}]
ENDLESS: dict[str, Any] = {"type": "string", "minLength": 5000}   # an answer fills the context
OF_OPENAI = {"temperature": 0, "json_schema": ENDLESS}
SCHEMA = {"type": "json_schema", "schema": ENDLESS}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {**OF_OPENAI, "messages": HELLO},
    "/v1/completions": {**OF_OPENAI, "prompt": "x", "max_tokens": -1},
    "/v1/responses": {"input": "x", "text": {"format": {**SCHEMA, "name": "s"}}},
    "/v1/messages": {"messages": HELLO, "max_tokens": 4000, "output_config": {"format": SCHEMA}},
    "/api/chat": {"messages": HELLO, "format": ENDLESS},
    "/api/generate": {"prompt": "x", "format": ENDLESS},
    "/completion": {**OF_OPENAI, "prompt": "x"},
}


@pytest.fixture(scope="module")
def app() -> Iterator[Asked]:
    with (
        gemel.open(tiny_bytes(chat_template=CHATML, n_ctx=2048), threads=1) as model,
        Asked({"tiny": gemel_web.ServedModel(model)}) as asked,
    ):
        yield asked


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", REQUESTS)
def test_a_client_that_leaves_stops_its_answer(
    app: Asked, path: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_steps, has_left, original = 0, threading.Event(), gemel.Batch.step

    def step(self: gemel.Batch) -> bool:
        nonlocal n_steps
        if n_steps == 20:
            assert has_left.wait(60)
        n_steps += 1
        return original(self)

    monkeypatch.setattr(gemel.Batch, "step", step)

    async def main() -> None:
        gone = Connection(app, path, {**REQUESTS[path], "stream": stream})
        going = asyncio.ensure_future(gone.go())
        await until(lambda: n_steps == 20)
        gone.leave()
        await going
        has_left.set()
        await until(lambda: not any(driver.n_jobs for driver in app.app.state.scheduler._drivers.values()))
        assert n_steps <= 21

    app.run(main())
