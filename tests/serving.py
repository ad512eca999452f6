"""The server's app as tests use it: asked through ASGI, in a separate event loop that pauses in between."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import gemel
import gemel_web
import httpx
import pytest
from gemel_web.app import Observer
from gemel_web.registry import Registry
from starlette.types import ASGIApp, Message

BASE = "http://localhost:8090"


class Asked:
    """An app with its lifespan. A context manager; `config` are fields of gemel_web.Config."""

    def __init__(
        self,
        models: Mapping[str, gemel_web.ServedModel] | Registry,
        *,
        static: Path | ASGIApp | None = None,
        observer: Observer | None = None,
        **config: Any,  # noqa: ANN401
    ) -> None:
        ids = iter(range(1_000_000))
        self.config = gemel_web.Config(**{"clock": lambda: 0.0, "new_id": lambda: str(next(ids)), **config})
        self.app = gemel_web.create_app(self.config, models, static=static, observer=observer)
        self._runner = asyncio.Runner()
        self._lifespan = self.app.router.lifespan_context(self.app)

    def __enter__(self) -> Asked:
        self.run(self._lifespan.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        return self._runner.run(work)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        answer = self.run(self.asking(method, path, **more))
        assert isinstance(answer, httpx.Response)
        return answer

    async def asking(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30) as client:
            return await client.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        return self.ask("GET", path, **more)

    def post(self, path: str, **body: Any) -> httpx.Response:  # noqa: ANN401
        return self.ask("POST", path, json=body)

    def good(self, path: str, **body: Any) -> Any:  # noqa: ANN401
        """Return the JSON of a request that is answered."""
        response = self.post(path, **body)
        assert response.status_code == 200, response.text
        return response.json()

    def bad(self, path: str, status: int = 400, **body: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the error object of one that is not."""
        return error_of(self.post(path, **body), status)


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the error object of a response, which must have the API's shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    return dict(error)


def events_of(response: httpx.Response) -> list[Any]:
    """Return the JSON objects of a stream of events, which must have ended as it should."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: ") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def text_of(model: gemel.Model, ids: Sequence[int]) -> str:
    """Return the text of ids as an answer has it: without a character at its end that is not whole."""
    raw = b"".join(model.piece(id) for id in ids)
    return codecs.getincrementaldecoder("utf-8")("replace").decode(raw)


Serve = Callable[..., Asked]   # takes fields of gemel_web.Config


class Connection:
    """One request as a server's protocol makes it: body and departure come when a test says so."""

    def __init__(self, asked: Asked, path: str, body: Any = None, *, method: str = "POST") -> None:  # noqa: ANN401
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._asked = asked
        self._scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8090),
            "headers": [
                (b"host", b"localhost"), (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked"),
            ],
        }
        if body is not None:
            self.give(body if isinstance(body, bytes) else json.dumps(body).encode(), more=False)

    def give(self, part: bytes, *, more: bool) -> None:
        self.incoming.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def go(self) -> None:
        await self._asked.app(self._scope, self.incoming.get, self._send)

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows with every step of a batch."""
    steps: list[None] = []
    original = gemel.Batch.step

    def step(self: gemel.Batch) -> bool:
        steps.append(None)
        return original(self)

    monkeypatch.setattr(gemel.Batch, "step", step)
    return steps


async def until(fact: Callable[[], object]) -> None:
    while not fact():
        await asyncio.sleep(0.001)
