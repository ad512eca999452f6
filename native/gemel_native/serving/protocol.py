"""uvicorn with time limits, errors in the API's format, and an orderly stop.

A connection without a complete head within the limit gets a 408 and is closed; between two requests, uvicorn's
keep-alive limit applies. A connection whose client does not read is aborted, also after the app has sent its response.
A connection that is answered before its request has ended is closed once the client stops sending: closing with unread
bytes resets the connection, which can destroy the response on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from gemel_web.http.errors import ApiError, response_of
from gemel_web.jobs.scheduler import Scheduler
from uvicorn.protocols.http.h11_impl import H11Protocol

LEAST = 1024    # bytes that a client must take within write_seconds
LINGER = 5.0    # seconds without a byte after which a client has stopped sending
LINGERS = 6     # times LINGER: a client that is still sending after that is cut off
MOST_CHUNK = 1 << 30   # bytes: the largest max_body
TOO_LATE = ApiError(408, "the request's head did not arrive in time: send it faster", code="timeout")
MALFORMED = ApiError(400, "not an HTTP request, or its head is too long", code="malformed_request")
OVERFLOW = ApiError(400, "a chunk of the body is larger than any body may be", code="malformed_request")


class Transport:
    """A connection's transport as uvicorn sees it: `close` is Protocol.end."""

    def __init__(self, transport: asyncio.Transport, protocol: Protocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close the connection in order."""
        self._protocol.end()

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._protocol.lingers or self._transport.is_closing()


class Protocol(H11Protocol):
    """One connection."""

    head_seconds = 10.0
    write_seconds = 60.0
    lingers = False   # it was answered early: further bytes are discarded
    _raw: asyncio.Transport
    _heard = False    # bytes arrived since the last check
    _stops = False
    _deadline: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:   # type: ignore[override]
        """Start waiting for the first head."""
        self._raw = transport
        super().connection_made(Transport(transport, self))   # type: ignore[arg-type]
        least = int(transport.get_extra_info("sslcontext") is not None)   # with TLS, 0 would pause without a byte
        transport.set_write_buffer_limits(high=least, low=0)   # pause_writing is called as soon as anything is buffered
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Receive bytes; a head that has begun must end in time."""
        if self.lingers:
            self._heard = True
            return
        super().data_received(data)
        self._check_chunk()
        if self._waits_for_head():
            if self._deadline is None:
                self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._stop_watching()
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End with the server: no longer wait for the client."""
        self._stops = True
        if self.lingers:
            self._raw.close()
        else:
            super().shutdown()

    def end(self) -> None:
        """Close; if the request has not ended, close only our direction until the client stops sending."""
        is_sending = self.conn.their_state in (h11.SEND_BODY, h11.ERROR)
        if not is_sending or self._stops or not self._raw.can_write_eof():
            self._raw.close()
        elif not self.lingers and not self._raw.is_closing():
            self.lingers = True
            self._linger(LINGERS)
            self._raw.resume_reading()
            with contextlib.suppress(OSError):   # the client has reset the connection
                self._raw.write_eof()

    def _linger(self, left: int) -> None:
        if not left:
            self._raw.close()
            return
        self._heard = False
        self._lingering = self.loop.call_later(LINGER, self._look_for_more, left - 1)

    def _look_for_more(self, left: int) -> None:
        self._linger(left if self._heard else 0)

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

    def _check_chunk(self) -> None:
        """Refuse a chunk whose size is over any body's limit at once, before any of it arrives."""
        if getattr(self.conn._reader, "_bytes_in_chunk", 0) > MOST_CHUNK and not self.transport.is_closing():
            self._refuse(OVERFLOW)

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
        if self.cycle is not None:   # the running request gets no answer: its app can stop
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


class Server(uvicorn.Server):
    """A server that, when asked to stop, gives requests some seconds to finish and then ends them with an API error.

    reload: is called in the event loop at SIGHUP, where there is such a signal.
    """

    def __init__(
        self, config: uvicorn.Config, scheduler: Scheduler, *, stop_seconds: float,
        reload: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config)
        self._reload = reload
        self._scheduler = scheduler
        self._stop_seconds = stop_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        if self._reload is not None and hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        ending = asyncio.create_task(self._end_requests())
        await super().shutdown(sockets)
        ending.cancel()

    async def _end_requests(self) -> None:
        await asyncio.sleep(self._stop_seconds)
        await self._scheduler.close()
