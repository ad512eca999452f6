"""The real server and requests that are made to hurt it: each gets its 4xx at once, and the connection is not reset."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from conftest import CHATML, tiny_bytes
from gemel_native.serving import protocol
from gemel_native.serving.protocol import Protocol
from web_server import Server, received

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
MILLION = 10**6
NESTED = b'{"a":' * MILLION + b"1" + b"}" * MILLION
AT_ONCE = 9.0   # seconds, on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("hostile") / "tiny.gguf"
    file.write_bytes(tiny_bytes(chat_template=CHATML))
    with Server(file) as server:
        yield server


def sized(body: bytes, start: bytes = POST) -> bytes:
    return start + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def refusal(server: Server, sent: bytes) -> tuple[int, str]:
    """Send all of it, then read all of the answer: return its status and its error's code."""
    began = time.monotonic()
    with server.connect() as connection:
        connection.sendall(sent)   # a reset would raise here, or when the answer is read
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert time.monotonic() - began < AT_ONCE
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


# ---- Bodies ----------------------------------------------------------------------------------------------------------

DEEP = {
    "over the limit": sized(NESTED),
    "never closed": sized(b'{"a":' * MILLION),
    "within the limit": sized(NESTED[2 * MILLION : -400_000]),
    "arrays": sized(b"[" * MILLION + b"]" * MILLION),
    "only brackets": sized(b"{" * MILLION),
    "in a parameter": sized(b'{"model": "model", "prompt": ' + NESTED + b"}"),
    "in small chunks": in_chunks(NESTED, 10_000),
    "in one chunk": in_chunks(NESTED, len(NESTED)),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_million_nested_objects_are_a_400(server: Server, name: str) -> None:
    assert refusal(server, DEEP[name]) == (400, "invalid_value")


EARLY = {   # answered before all has come
    "no such address": (sized(bytes(20 * MILLION), POST.replace(b"/v1/completions", b"/nothing")), 404),
    "not JSON by its header": (sized(bytes(3 * MILLION), POST.replace(b"json", b"text")), 415),
    "too long": (sized(b'"' + b"a" * 20 * MILLION), 413),
    "too long, in chunks": (in_chunks(b'"' + b"a" * 20 * MILLION, 100_000), 413),
    "an endless header": (GET + b"X: " + b"a" * 20 * MILLION, 400),
    "a million headers": (GET + b"X: a\r\n" * MILLION, 400),
    "an endless address": (b"GET /" + b"a" * 20 * MILLION, 400),
    "an endless chunk header": (CHUNKED + b"5;" + b"x" * 20 * MILLION, 400),
    "endless trailers": (CHUNKED + b"0\r\n" + b"x: y\r\n" * MILLION, 400),
}


@pytest.mark.parametrize("name", EARLY)
def test_an_early_answer_reaches_a_client_that_is_still_sending(server: Server, name: str) -> None:
    sent, status = EARLY[name]
    assert refusal(server, sent)[0] == status


def test_a_request_that_needs_no_body_is_answered_when_it_has_one(server: Server) -> None:
    assert server.raw(sized(bytes(3 * MILLION), GET)).endswith(b'{"status":"ok"}')


# ---- Lengths ---------------------------------------------------------------------------------------------------------

OVERFLOWS = [b"FFFFFFFFFFFFFFFFF", b"F" * 20, b"10000000000000000", b"7fffffffffffffff", b"4000ffff"]


@pytest.mark.parametrize("size", OVERFLOWS)
@pytest.mark.parametrize("more", [b"", b"{"])
def test_a_chunk_size_that_overflows_is_refused_at_once(server: Server, size: bytes, more: bytes) -> None:
    assert refusal(server, CHUNKED + size + b"\r\n" + more) == (400, "malformed_request")


def test_a_later_chunk_size_that_overflows_is_refused_at_once(server: Server) -> None:
    assert refusal(server, CHUNKED + b"1\r\n{\r\nFFFFFFFFFFFFFFFFF;x=y\r\n") == (400, "malformed_request")


@pytest.mark.parametrize("sent", [
    CHUNKED + b"F" * 21 + b"\r\n", CHUNKED + b"-5\r\nabc", CHUNKED + b"0x5\r\nabcde\r\n", CHUNKED + b"\r\n",
    CHUNKED + b"1\r\nabc\r\n",
    POST + b"Content-Length: -1\r\n\r\n", POST + b"Content-Length: +1\r\n\r\n1",
    POST + b"Content-Length: 0x2\r\n\r\n{}",
    POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", POST + b"Content-Length: 2, 3\r\n\r\n{} ",
    POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    GET + b"a header without a colon\r\n\r\n", GET + b"X : y\r\n\r\n", GET + b"X: \0\r\n\r\n",
], ids=range(16))  # fmt: skip
def test_a_malformed_length_or_head_is_a_400(server: Server, sent: bytes) -> None:
    assert refusal(server, sent) == (400, "malformed_request")


@pytest.mark.parametrize("length", [b"4194305", b"9" * 20])
@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"])
def test_a_length_over_the_limit_is_a_413_before_anything_comes(server: Server, length: bytes, more: bytes) -> None:
    assert refusal(server, POST + more + b"Content-Length: " + length + b"\r\n\r\n") == (413, "too_large")


def test_after_all_that_the_server_answers_and_stops(server: Server) -> None:
    assert server.raw(GET + b"Connection: close\r\n\r\n").endswith(b'{"status":"ok"}')


# ---- The end of a connection that was answered early -----------------------------------------------------------------


def with_early_answer(monkeypatch: pytest.MonkeyPatch, client: Any) -> Protocol:  # noqa: ANN401
    """Let a client talk to a server that answers without reading; return the server's end."""
    made: list[Protocol] = []
    monkeypatch.setattr(protocol, "LINGER", 0.1)
    monkeypatch.setattr(protocol, "LINGERS", 3)

    async def early(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    async def main() -> None:
        config = uvicorn.Config(early, http=Protocol, ws="none", log_config=None, lifespan="off")
        config.load()

        def connected() -> Protocol:
            made.append(Protocol(config=config, server_state=uvicorn.server.ServerState(), app_state={}))
            return made[-1]

        loop = asyncio.get_running_loop()
        listening = await loop.create_server(connected, "127.0.0.1", 0)
        with socket.create_connection(listening.sockets[0].getsockname()[:2]) as connection:
            await loop.run_in_executor(None, client, connection, made)
        listening.close()

    asyncio.run(main())
    return made[0]


def ended(made: list[Protocol]) -> bool:
    return made[0] not in made[0].connections


def test_a_client_that_stops_sending_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(connection: socket.socket, made: list[Protocol]) -> None:
        connection.sendall(POST + b"Content-Length: 99\r\n\r\n{")
        assert received(connection).endswith(b"ok")
        assert made[0].lingers   # it did not close with its answer
        while not ended(made):
            time.sleep(0.01)

    with_early_answer(monkeypatch, client)


def test_a_client_that_never_stops_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(connection: socket.socket, made: list[Protocol]) -> None:
        connection.sendall(POST + b"Content-Length: 99999999\r\n\r\n{")
        assert received(connection).endswith(b"ok")
        with contextlib.suppress(OSError):
            while not ended(made):
                connection.sendall(b" ")
                time.sleep(0.01)

    with_early_answer(monkeypatch, client)


def test_a_stopping_server_does_not_wait_for_such_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(connection: socket.socket, made: list[Protocol]) -> None:
        monkeypatch.setattr(protocol, "LINGER", 60.0)
        connection.sendall(POST + b"Content-Length: 99\r\n\r\n{")
        assert received(connection).endswith(b"ok")
        made[0].loop.call_soon_threadsafe(made[0].shutdown)
        while not ended(made):
            time.sleep(0.01)

    with_early_answer(monkeypatch, client)
