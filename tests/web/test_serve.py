"""`gemel serve`: its options, the environment, what is in its way; and the real server under hostile connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import pytest
import typer
import uvicorn
from command import assert_error, environment, gemel_
from conftest import CHATML, tiny_bytes
from gemel_native import cli
from gemel_native.serving import server as servers
from gemel_native.serving.entries import aliases_of, entries_of
from gemel_native.serving.entry import ModelOptions
from gemel_native.serving.protocol import Protocol
from gemel_native.serving.settings import settings_of
from gemel_web import models
from serving import Asked
from web_server import COMMAND, Server, received

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


@pytest.fixture(scope="module")
def server(file: Path) -> Iterator[Server]:
    with Server(file, GEMEL_SERVE_HEAD_SECONDS="0.3", GEMEL_SERVE_BODY_SECONDS="0.3") as server:
        yield server


def post(body: dict[str, Any], *more: bytes) -> bytes:
    raw = json.dumps(body).encode()
    head = [
        b"POST /v1/completions HTTP/1.1", b"Host: localhost", b"Content-Type: application/json",
        b"Content-Length: %d" % len(raw), *more, b"", b"",
    ]
    return b"\r\n".join(head) + raw


def status_and_error(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status of a raw response and its error object; the connection must have been closed."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_commands_explain_each_option() -> None:
    commands: Any = typer.main.get_command(cli.app)
    for name, words in (("serve", "OpenAI's API"), ("demo", "a page that chats")):
        command = commands.get_command(None, name)
        assert words in command.help
        assert [one.name for one in command.params if not getattr(one, "help", "")] == []


@pytest.mark.parametrize(("options", "env", "words"), [
    (["--port", "70000"], {}, "--port or GEMEL_SERVE_PORT"),
    ([], {"GEMEL_SERVE_PORT": "x"}, "--port or GEMEL_SERVE_PORT"),
    ([], {"GEMEL_SERVE_ALLOWED_HOSTS": "x"}, "GEMEL_SERVE_"),
    (["--queue", "-1"], {}, "--queue or GEMEL_SERVE_QUEUE"),
    (["--api-key", ""], {}, "--api-key or GEMEL_SERVE_API_KEY: a key must be"),
    (["--api-key", "sec ret"], {}, "--api-key or GEMEL_SERVE_API_KEY: a key must be"),
    ([], {"GEMEL_SERVE_API_KEY": "s\u00ebcret"}, "--api-key or GEMEL_SERVE_API_KEY: a key must be"),
    (["--allowed-host", "http://box.lan"], {}, "--allowed-host or GEMEL_SERVE_ALLOWED_HOSTS: 'http://box.lan'"),
    (["--allowed-host", "box.lan:80"], {}, "'box.lan:80' is not a host name: write it without scheme, port or path"),
    (["--allowed-host", "a", "--allowed-host", ""], {}, "'' is not a host name"),
    (
        ["--allowed-origin", "example.org"],
        {},
        "GEMEL_SERVE_ALLOWED_ORIGINS: 'example.org' is not an origin: write scheme, host and port",
    ),
    (["--allowed-origin", "https://example.org/"], {}, "'https://example.org/' is not an origin"),
    (["--allowed-origin", "https://example.org/page"], {}, "is not an origin"),
    (["--allowed-origin", "https://me@example.org"], {}, "is not an origin"),
    (["--allowed-origin", "https://*.example.org"], {}, "is not an origin"),
    (["--allowed-origin", "null"], {}, "'null' is not an origin"),
    ([], {"GEMEL_SERVE_ALLOWED_ORIGINS": '["https://b\u00fccher.example"]'}, "is not an origin"),
    ([], {"GEMEL_SERVE_WRITE_SECONDS": "0"}, "error: GEMEL_SERVE_WRITE_SECONDS: "),
    (["--host", "nowhere.invalid"], {}, "nowhere.invalid"),
])
def test_an_invalid_setting_is_an_error_of_one_line(
    file: Path, options: list[str], env: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert_error(gemel_("serve", file, *options), 1, words)


def test_a_context_over_the_models_is_a_usage_error(file: Path) -> None:
    assert_error(gemel_("serve", file, "--port", 0, "--ctx", 513), 2, "--ctx 513", "512")


def test_several_models_have_an_alias_each(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(file.read_bytes())
    how = ModelOptions(threads=1, ctx=64)
    named = aliases_of([str(file), str(other)], None, {})
    assert list(named) == ["tiny", "other"]
    opening = servers.models_of(entries_of(named, how), max_memory=None, cache_memory=None, at_once=False)
    with opening as served, Asked(served) as app:
        for alias in named:
            body = {"model": alias, "prompt": "a", "max_tokens": 2}
            assert app.good("/v1/completions", **body)["model"] == alias
        assert app.bad("/v1/completions", prompt="a")["code"] == "missing_parameter"


@pytest.mark.parametrize("at_once", [True, False])
def test_drafts_are_off_if_the_options_say_so(file: Path, *, at_once: bool) -> None:
    entries = entries_of({"tiny": str(file)}, ModelOptions(threads=1, ctx=64, draft=False))
    opening = servers.models_of(entries, max_memory=None, cache_memory=None, at_once=at_once)
    with opening as served, Asked(served) as app:
        app.good("/v1/completions", prompt="a", max_tokens=2)
        assert [model.draft for model in served.open_models().values()] == [False]


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["{file}", "{file}"], 2, "is also the alias of"), (["{file}", "x", "--alias", "a"], 2, "--alias: only for one"),
    (["{file}", "x", "--override", "llama.context_length=64"], 2, "--override and the options for RoPE: only for"),
    (["{file}", "--max-memory", "0"], 1, "the models may take 0 MB"), (["{file}", "missing.gguf"], 1, "missing.gguf"),
    (["{file}", "--max-memory", "much"], 2, "write a size such as 12GB"),
    (["{file}", "--keep-alive", "soon"], 2, "write a number of seconds"),
    (["--models-dir", "nowhere"], 1, "no such folder"),
])
def test_models_that_cant_be_served_together_are_an_error(
    file: Path, arguments: list[str], code: int, words: str
) -> None:
    done = gemel_("serve", "--port", "0", *(one.format(file=file) for one in arguments))
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_serve_applies_overrides(file: Path) -> None:
    refused = gemel_("serve", file, "--port", 0, "--override", ".rope.freqbase=1")
    assert_error(refused, 1, "llama.rope.freqbase=1 has no effect")
    longer = ["--override", ".context_length=1024", "--rope-freq-base", "500"]
    assert_error(gemel_("serve", file, "--port", 0, "--ctx", 1025, *longer), 2, "--ctx 1025", "1024")


def test_a_port_in_use_is_an_error(server: Server, file: Path) -> None:
    done = gemel_("serve", file, "--port", server.port)
    assert_error(done, 1, f"can't listen on 127.0.0.1, port {server.port}: ", "--port 0")


def test_help_names_the_environment_variables() -> None:
    shown = gemel_("serve", "--help")
    assert shown.code == 0
    assert "GEMEL_SERVE_API_KEY" in shown.out


def test_missing_packages_are_an_error_that_says_what_to_install(file: Path) -> None:
    program = "import sys; sys.modules['pydantic_settings'] = None\n" + COMMAND[2]
    for name in ("serve", "demo"):
        command = [COMMAND[0], "-c", program, name, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        assert done.returncode == 1
        assert f"gemel {name} needs more packages" in done.stderr
        assert "pip install 'gemel[serve]'" in done.stderr


def test_options_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMEL_SERVE_PORT", "1234")
    monkeypatch.setenv("GEMEL_SERVE_API_KEY", "secret")
    monkeypatch.setenv("GEMEL_SERVE_ALLOWED_HOSTS", '["a", "b"]')
    settings = settings_of({"host": "here.lan", "port": None})
    assert (settings.port, settings.host) == (1234, "here.lan")
    assert settings_of({"port": 5}).port == 5
    assert settings.config().api_key == "secret"
    assert settings.config().allowed_hosts == ("here.lan", "a", "b")
    assert "secret" not in repr(settings)
    assert settings_of({"allowed_hosts": ("*",)}).config().allowed_hosts is None


def test_origins_and_hosts_are_compared_as_clients_write_them() -> None:
    origins = ("https://Example.org:443", "http://a:80", "http://a:443", "http://[::1]:8080", "app-x://id", "*")
    wanted = ("https://example.org", "http://a", "http://a:443", "http://[::1]:8080", "app-x://id", "*")
    assert settings_of({"allowed_origins": origins}).config().allowed_origins == wanted
    hosts = settings_of({"allowed_hosts": ("Box.LAN", "[::1]", "_a")}).config().allowed_hosts
    assert hosts == ("127.0.0.1", "box.lan", "[::1]", "_a")


@pytest.mark.parametrize(("model", "alias"), [
    ("smollm2-135m-instruct", "smollm2-135m-instruct"), ("a/Tiny.GGUF", "Tiny"), ("x-00001-of-00002.gguf", "x"),
    ("https://example.org/a/b.gguf?x=/y.gguf#z", "b"), ("hf:o/r/f-Q4.gguf", "f-Q4"), (".gguf", "model"),
])
def test_the_default_alias_is_the_files_name(model: str, alias: str) -> None:
    assert models.alias_of(model) == alias


# ---- The server ------------------------------------------------------------------------------------------------------


def test_the_models_file_can_be_downloaded(server: Server, file: Path) -> None:
    got = server.raw(GET.replace(b"/healthz", b"/models/model.gguf"))
    assert b"\r\ngemel-host: native\r\n" in got
    assert got.partition(b"\r\n\r\n")[2] == file.read_bytes()


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01\x00\xa5\x01\x00", b"GET\r\n\r\n", b"\r\n\x00\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000,
])
def test_a_malformed_request_is_an_error_of_the_api(server: Server, sent: bytes) -> None:
    status, error = status_and_error(server.raw(sent))
    assert status in (400, 404)
    assert error["type"] in ("invalid_request_error", "not_found_error")


def test_a_slow_head_is_a_408(server: Server) -> None:
    for start in (b"", b"GET /healthz HT"):
        with server.connect() as connection:
            connection.sendall(start)
            status, error = status_and_error(received(connection))
        assert (status, error["code"]) == (408, "timeout")


def test_a_slow_body_is_a_408(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(post({"model": "model", "prompt": "a"})[:-5])
        status, error = status_and_error(received(connection))
    assert (status, error["code"]) == (408, "timeout")


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "big.gguf"
    file.write_bytes(tiny_bytes() + bytes(32 << 20))   # more than the system's own buffers hold
    with Server(file, "--access-log", GEMEL_SERVE_WRITE_SECONDS="0.2") as server, server.connect() as connection:
        connection.sendall(GET.replace(b"/healthz", b"/models/model.gguf"))
        assert server.stderr.readline().startswith("GET /models/model.gguf 200 ")   # nobody goes on sending
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 16):
                got += len(part)
        assert 0 < got < 32 << 20
        assert server.raw(GET).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read_a_buffered_answer_is_cut_off() -> None:
    """The app has handed all of it over, and knows of nothing."""

    async def main() -> None:
        made: list[Protocol] = []
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(big, http=Protocol, ws="none", log_config=None, lifespan="off")
        config.load()
        state = uvicorn.server.ServerState()

        def protocol() -> Protocol:
            made.append(Protocol(config=config, server_state=state, app_state={}))
            made[-1].write_seconds = 0.1
            return made[-1]

        listening = await loop.create_server(protocol, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            await loop.run_in_executor(None, client.sendall, GET)
            while not (made and is_cut_off(made[0].transport)):
                await asyncio.sleep(0.01)
            assert done == [True]
        listening.close()

    def is_cut_off(transport: asyncio.Transport | None) -> bool:   # none until the connection is made
        return transport is not None and transport.is_closing() and not transport.get_write_buffer_size()

    done: list[bool] = []

    async def big(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(32 << 20), "more_body": False})
        done.append(True)

    asyncio.run(main())


def test_a_dripped_head_is_a_408(server: Server) -> None:
    with server.connect() as connection:
        start = time.monotonic()
        try:
            while time.monotonic() - start < 20:
                connection.sendall(b"G")
                time.sleep(0.02)
        except OSError:
            return   # closed while we were still sending
    pytest.fail("the server listened on")


def test_connections_are_kept_between_requests(server: Server) -> None:
    request = GET.replace(b"Connection: close\r\n", b"")
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request)
            got = b""
            while not got.endswith(b'{"status":"ok"}'):
                got += connection.recv(1 << 16)
            assert got.startswith(b"HTTP/1.1 200 ")
        connection.sendall(GET)
        assert received(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_hangs_up_does_not_delay_others(server: Server) -> None:
    body = {"model": "model", "prompt": "a", "max_tokens": 500, "stream": True, "n": 16, "logit_bias": {"2": -100}}
    for _ in range(3):
        with server.connect() as connection:
            connection.sendall(post(body))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    answer = server.raw(post({"model": "model", "prompt": "a", "max_tokens": 1}, b"Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_server_logs_little_and_stops_when_asked(file: Path) -> None:
    with Server(file, "--access-log") as server:
        server.raw(post({"model": "model", "prompt": "my secret", "max_tokens": 1}, b"Connection: close"))
        server.raw(b"nonsense\r\n\r\n")
        code = server.stop()
    assert code == (130 if os.name == "posix" else code)
    first, *log = server.said
    assert first.startswith(f"model is served at http://127.0.0.1:{server.port}/v1 (")
    assert log[0].startswith("POST /v1/completions 200 ")
    assert "secret" not in "".join(log)
    assert len(log) <= 3


def test_a_stop_ends_running_requests_after_its_time(file: Path) -> None:
    body = {"model": "model", "prompt": "a", "max_tokens": 500, "stream": True, "n": 16, "logit_bias": {"2": -100}}
    slow = {"GEMEL_SERVE_STOP_SECONDS": "0.1"}
    with Server(file, **slow) as server, server.connect() as connection:
        big = {**body, "prompt": ["a"] * 200, "n": 1}   # minutes of work
        connection.sendall(post(big))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        server.process.send_signal(2)
        assert b'"code":"stopped"' in received(connection)
        assert server.process.wait(30) == 130


def test_a_public_server_without_a_key_warns(file: Path) -> None:
    with Server(file, "--host", "0.0.0.0") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/v1"
        assert "API key" in server.stderr.readline()


def test_listening_twice_is_refused_with_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(gemel.GemelError, match=rf"port {port}"):
            servers.listen("127.0.0.1", port)


# ---- The command line and a server that runs -------------------------------------------------------------------------


def test_the_command_line_asks_a_running_server(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(file.read_bytes())
    with Server(file, "--models-dir", tmp_path, "--ctx", 128, GEMEL_CACHE=str(tmp_path / "cache")) as server:
        here = ["--server", server.url]
        nothing = gemel_("ps", *here)
        assert (nothing.code, nothing.out) == (0, "")
        assert "has no model loaded" in nothing.err
        assert server.raw(post({"model": "other", "prompt": "x", "max_tokens": 2}, b"Connection: close"))
        (running,) = gemel_("ps", "--json", *here).json["models"]
        assert (running["name"], running["state"], running["context"]) == ("other", "loaded", 128)
        assert running["memory"] > 0
        assert "its memory is needed" in gemel_("ps", *here).out
        states = {one["name"]: one["state"] for one in gemel_("list", "--json", *here).json["models"]}
        assert states == {"model": "unloaded", "other": "loaded"}
        stopped = gemel_("stop", "other", *here)
        assert (stopped.code, stopped.err) == (0, "")
        while gemel_("ps", "--json", *here).json["models"]:
            time.sleep(0.01)
        assert_error(gemel_("stop", "none", *here), 1, "there is no model 'none' here; available: ", "model", "other")
        assert_error(gemel_("rm", "other", *here), 1, "other was neither pulled nor created")
        assert (tmp_path / "other.gguf").exists()
    assert_error(gemel_("ps", *here), 1, "no server of gemel answers there")
    assert_error(gemel_("ps", "--server", "ftp://x"), 1, "write an address such as http://127.0.0.1:8090")
