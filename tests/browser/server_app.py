"""The server's app, asked as a server's protocol asks it: the same program on a desktop, in Pyodide and in tabs."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from typing import Any

import gemel
import gemel_web

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_tokens": 12}
CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
REQUESTS: list[tuple[str, dict[str, Any] | None]] = [
    (CHAT, {**GREEDY, "messages": HELLO, "logprobs": True, "top_logprobs": 5}),
    (CHAT, {**GREEDY, "messages": HELLO, "n": 2, "stream": True, "stream_options": {"include_usage": True}}),
    (TEXT, {"model": "tiny", "prompt": ["the", "a model"], "seed": 4, "logprobs": 3}),
    (TEXT, {"model": "tiny", "prompt": "the model " * 30, "seed": 4, "echo": True, "stream": True}),
    (EMBED, {"model": "tiny", "input": ["the model", "another " * 20]}),
    (EMBED, {"model": "tiny", "input": [[5, 6, 7]], "encoding_format": "base64"}),
    (TEXT, {"model": "tiny", "prompt": "a", "nonsense": 1}),
    (TEXT, {"model": "tiny", "prompt": "a\ud800"}),
    (TEXT, {"model": "tiny", "prompt": "the model " * 3000}),
    (TEXT, {"model": "tiny", "prompt": "a", "max_tokens": 5000, "temperature": 0}),
    ("/v1/models", None),
    ("/nowhere", None),
]


async def ask(app: Any, path: str, body: dict[str, Any] | None) -> list[Any]:  # noqa: ANN401
    """Return status, headers and body."""
    raw = b"" if body is None else json.dumps(body).encode()
    headers = [
        (b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw)),
        (b"x-request-id", b"one"),   # else the response has a new one
    ]  # fmt: skip
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": "GET" if body is None else "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": None, "server": ("localhost", 80), "headers": headers,
    }
    coming = [{"type": "http.request", "body": raw, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()   # the client stays
        return coming.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    given = [[name.decode(), value.decode()] for name, value in sent[0]["headers"]]
    return [sent[0]["status"], given, b"".join(message.get("body", b"") for message in sent[1:])]


async def answers(data: bytes) -> list[Any]:
    """Return what the app answers to REQUESTS, in order."""
    ids = itertools.count()
    config = gemel_web.Config(clock=lambda: 0.0, new_id=lambda: str(next(ids)))
    with await gemel.open_async(data) as model:
        app = gemel_web.create_app(config, {"tiny": gemel_web.ServedModel(model)})
        async with app.router.lifespan_context(app):
            return [await ask(app, path, body) for path, body in REQUESTS]


async def says(data: bytes) -> list[dict[str, Any]]:
    """Return what /v1/models says of a model, and what the model says computes it."""
    with await gemel.open_async(data) as model:
        app = gemel_web.create_app(gemel_web.Config(), {"tiny": gemel_web.ServedModel(model)})
        async with app.router.lifespan_context(app):
            body = json.loads((await ask(app, "/v1/models/tiny", None))[2])
        return [body["meta"], dataclasses.asdict(model.info)]


async def leave(data: bytes) -> list[int]:
    """Return how many messages came of a long answer whose client left after ten, and events of the next, whole one."""
    with await gemel.open_async(data) as model:
        app = gemel_web.create_app(gemel_web.Config(), {"tiny": gemel_web.ServedModel(model)})
        body = {**GREEDY, "prompt": "a", "max_tokens": 400, "logit_bias": {"2": -100, "0": -100}, "stream": True}
        counted = []
        async with app.router.lifespan_context(app):
            counted.append((await count(app, body, 10))[0])
            counted.append((await count(app, {**body, "max_tokens": 5}, 1000))[1])
        return counted


async def count(app: Any, body: dict[str, Any], most: int) -> tuple[int, int]:  # noqa: ANN401
    """Return how many messages are sent to a client that leaves after `most`, and events in them, head and end too."""
    gone = asyncio.Event()
    coming = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    n = events = 0

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal n, events
        n += 1
        events += message.get("body", b"").count(b"data: ") or 1
        if n >= most:
            gone.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST",
        "path": TEXT, "raw_path": TEXT.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return n, events
