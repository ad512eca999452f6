"""The outermost middleware: gives each request an id, logs it if asked, and tells who watches what became of it.

A client may send the id (X-Request-Id); the response has it, and so has each line of the log that concerns the request.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .apis import Apis
from .errors import log

ID = "X-Request-Id"
VALID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
KEY = "gemel.exchange"   # of the scope
request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(eq=False)
class Exchange:
    """A request and what became of it. began: seconds, monotonic. status: 0: the client left before it was known."""

    method: str
    path: str
    api: str        # the name of the API, or "server", "page"
    id: str
    headers: Headers
    began: float = field(default_factory=time.monotonic)
    status: int = 0

    @property
    def seconds(self) -> float:
        """How long ago it arrived."""
        return time.monotonic() - self.began


class Exchanges:
    """The middleware of one app. ended: is called at the end of each request."""

    def __init__(self, app: ASGIApp, *, apis: Apis, access_log: bool, ended: Callable[[Exchange], None]) -> None:
        self._app = app
        self._apis = apis
        self._access_log = access_log
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = get_route_path(scope)
        exchange = Exchange(scope["method"], path, self._apis.name(path), id_of(headers.get(ID)), headers)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                with_id = MutableHeaders(raw=list(message["headers"]))
                with_id[ID] = exchange.id
                message = {**message, "headers": with_id.raw}
            await send(message)

        token = request_id.set(exchange.id)
        try:
            await self._app({**scope, KEY: exchange}, receive, sent)
        finally:
            self._ended(exchange)
            if self._access_log:
                self._log(exchange)
            request_id.reset(token)

    def _log(self, exchange: Exchange) -> None:
        path = exchange.path[:200].encode("unicode_escape").decode()
        fields = {
            "method": exchange.method, "path": path, "status": exchange.status or "gone",
            "seconds": round(exchange.seconds, 3), "api": exchange.api,
        }  # fmt: skip
        words = f"{exchange.method} {path} {exchange.status or 'gone'} {exchange.seconds:.3f} s"
        log.info("%s", words, extra={"fields": fields})


def id_of(given: str | None) -> str:
    """Return the id that a client sent, if it is one, or a new one."""
    return given if given is not None and VALID.fullmatch(given) else uuid.uuid4().hex
