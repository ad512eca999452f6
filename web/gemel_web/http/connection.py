"""The client's side of a request: whether it is still connected, and responses sent as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from .body import ClientGoneError

T = TypeVar("T")
PING = b": waiting\n\n"   # a comment of a stream of events
EVENTS = "text/event-stream; charset=utf-8"


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`. If the client leaves meanwhile, cancel it and raise ClientGoneError.

    The request's body must have been read: after that, `receive` waits until the client leaves.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():   # the disconnect is reported only once
            raise ClientGoneError
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream:
    """A response of the pieces of an async iterator, until the client leaves. stop: stops the iterator's source.

    While no piece comes for ping_seconds, `ping` is sent, which clients ignore; b"": nothing is.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], *, stop: Callable[[], None], ping_seconds: float,
        media: str = EVENTS, ping: bytes = PING,
    ) -> None:  # fmt: skip
        self._pieces = pieces if not ping else with_pings(pieces, ping_seconds, ping)
        self._stop = stop
        self._media = media

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        headers = [(b"content-type", self._media.encode()), (b"cache-control", b"no-store")]
        try:
            async with aclosing(self._pieces):
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await while_connected(receive, self._send(send))
        finally:
            self._stop()

    async def _send(self, send: Send) -> None:
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)   # many pieces may be ready: let other tasks run
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def with_pings(
    pieces: AsyncGenerator[bytes, None], seconds: float, ping: bytes = PING
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, and a ping whenever none came for `seconds`."""
    async with aclosing(pieces):
        while True:
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                while not (await asyncio.wait({coming}, timeout=seconds))[0]:
                    yield ping
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)
            piece = coming.result()
            if piece is None:
                return
            yield piece
