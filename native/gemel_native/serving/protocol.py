"""uvicorn with time limits, errors in the API's format, and an orderly stop.

A connection on which nothing, or only a piece of a head, has come within the limit gets a 408 and is closed; the time
between two requests is uvicorn's own keep-alive limit. One whose client takes nothing of what is there for it is ended,
also when the answer has left the app.
"""

from __future__ import annotations

import asyncio
import socket

import h11
import uvicorn
from gemel_web.http.errors import ApiError, response_of
from gemel_web.jobs.scheduler import Scheduler
from uvicorn.protocols.http.h11_impl import H11Protocol

LEAST = 1024   # bytes that a client must take within write_seconds
TOO_LATE = ApiError(408, "the request's head did not arrive in time: send it faster", code="timeout")
MALFORMED = ApiError(400, "not an HTTP request, or its head is too long", code="malformed_request")


class Protocol(H11Protocol):
    """One connection."""

    head_seconds = 10.0
    write_seconds = 60.0
    _deadline: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:   # type: ignore[override]
        """Start waiting for the first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)   # pause_writing is called as soon as anything is buffered
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Receive bytes; a head that has begun must end in time."""
        super().data_received(data)
        if self._waits_for_head():
            if self._deadline is None:
                self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the app wait, and check that the client keeps reading."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Continue: the client has read everything."""
        self._stop_watching()
        super().resume_writing()

    def _watch(self, size: int) -> None:
        self._taking = self.loop.call_later(self.write_seconds, self._look, size)

    def _look(self, before: int) -> None:
        size = self.transport.get_write_buffer_size()
        if before - size < LEAST:
            self.transport.abort()
        else:
            self._watch(size)

    def _stop_watching(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 could not parse."""
        self._refuse(MALFORMED)

    def _waits_for_head(self) -> bool:
        return bool(self.conn.their_state is h11.IDLE)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self._waits_for_head() and self.conn.our_state is h11.IDLE and not self.transport.is_closing():
            self._refuse(TOO_LATE)

    def _refuse(self, error: ApiError) -> None:
        """Answer outside any request, and close. If a response has begun, only close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            raw = bytes(response_of(error).body)
            headers = [
                ("content-type", "application/json"), ("content-length", str(len(raw))),
                ("x-content-type-options", "nosniff"), ("connection", "close"),
            ]
            response = h11.Response(status_code=error.status, headers=headers)
            for event in (response, h11.Data(data=raw), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """A server that, when asked to stop, gives requests some seconds to finish and then ends them with an API error."""

    def __init__(self, config: uvicorn.Config, scheduler: Scheduler, *, stop_seconds: float) -> None:
        super().__init__(config)
        self._scheduler = scheduler
        self._stop_seconds = stop_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        ending = asyncio.create_task(self._end_requests())
        await super().shutdown(sockets)
        ending.cancel()

    async def _end_requests(self) -> None:
        await asyncio.sleep(self._stop_seconds)
        await self._scheduler.close()
