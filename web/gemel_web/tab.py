"""The app in a tab, without a network: takes a request's fields, returns a response's head and pieces.

Belongs to one event loop and serves at most one model, the tab's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gemel
from starlette.types import Message, Scope

from .app import create_app
from .config import Config
from .models import ServedModel, alias_of

HOST = b"localhost"
APIS = ("openai", "ollama", "rerank")   # those that its wheel has


@dataclass(frozen=True)
class TabRequest:
    """A request. Its path and query are percent-encoded, as in a URL."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class BrokenError(Exception):
    """A response ended before it was complete; the app has logged why."""


class TabApp:
    """The app of a tab."""

    def __init__(self) -> None:
        self._models: dict[str, ServedModel] = {}
        self._app = create_app(Config(threads=False, where="tab"), self._models, apis=APIS)

    def serve(self, model: gemel.Model) -> None:
        """Serve a model under the alias of its URL. No other may be served."""
        self._models[alias_of(model.name)] = ServedModel(model, created=int(time.time()))

    async def drop(self) -> None:
        """Stop serving. Running requests end with an error of the API; afterwards nothing uses the model."""
        gone = list(self._models.values())
        self._models.clear()
        for served in gone:
            await self._app.state.scheduler.drop(served.model)

    async def ask(
        self,
        asked: TabRequest,
        *,
        gone: asyncio.Event,
        head: Callable[[int, list[tuple[str, str]]], None],
        piece: Callable[[bytes], None],
    ) -> None:
        """Answer a request: call `head` once with status and headers, then `piece` with parts of the body.

        Setting `gone` says that the client has left: the work is stopped, and CancelledError is raised.
        """
        coming: list[Message] = [{"type": "http.request", "body": asked.body, "more_body": False}]
        whole = False

        async def receive() -> Message:
            if coming:
                return coming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal whole
            if message["type"] == "http.response.start":
                head(message["status"], [(name.decode("latin-1"), value.decode("latin-1"))
                                         for name, value in message["headers"]])
                return
            if message.get("body"):
                piece(message["body"])
            whole = not message.get("more_body", False)

        await self._app(scope_of(asked), receive, send)
        if gone.is_set():
            raise asyncio.CancelledError
        if not whole:
            raise BrokenError("the response ended early: an error occurred while it was made")


def scope_of(asked: TabRequest) -> Scope:
    """Return the ASGI scope of a request."""
    from urllib.parse import unquote

    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in asked.headers]
    headers = [(name, value) for name, value in headers if name not in (b"host", b"content-length")]
    headers += [(b"host", HOST), (b"content-length", b"%d" % len(asked.body))]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": asked.method, "path": unquote(asked.path), "raw_path": asked.path.encode("latin-1", "replace"),
        "query_string": asked.query.encode("latin-1", "replace"), "root_path": "", "client": None,
        "server": (HOST.decode(), 80), "headers": headers,
    }  # fmt: skip
