"""`gemel serve` as an operator runs it: HTTPS, a settings file, reloading, stopping, and requests meant to harm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import pytest
from conftest import CHATML, tiny_bytes
from gemel_native.serving.config_file import Settings as File
from gemel_native.serving.lines import lines_of
from gemel_native.serving.settings import settings_of
from gemel_web.keys import file as keys_file
from web_server import Server, received

POSIX = pytest.mark.skipif(os.name != "posix", reason="has no SIGHUP")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("operating") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


def key_of(path: Path, name: str, *scopes: Any, **more: Any) -> str:  # noqa: ANN401
    return keys_file.add(path, lambda hashed: keys_file.Record(name=name, sha256=hashed, scopes=scopes, **more))


def said(server: Server, words: str) -> str:
    while words not in (line := server.stderr.readline()):
        assert line, f"it ended without {words!r}"
    return line


# ---- HTTPS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


def test_https_with_a_certificate(file: Path, certificate: tuple[Path, Path]) -> None:
    made, key = certificate
    trusted = ssl.create_default_context(cafile=made)
    with Server(file, "--ssl-certfile", made, "--ssl-keyfile", key) as server:
        assert server.url == f"https://127.0.0.1:{server.port}/v1"
        body = json.dumps({"prompt": "a", "max_tokens": 3, "stream": True}).encode()
        origin = {"origin": f"https://127.0.0.1:{server.port}", "content-type": "application/json"}
        request = urllib.request.Request(f"{server.url}/completions", body, origin)
        with urllib.request.urlopen(request, context=trusted, timeout=30) as response:
            assert response.read().endswith(b"data: [DONE]\n\n")
        with urllib.request.urlopen(f"{server.url[:-3]}/models/model.gguf", context=trusted, timeout=30) as response:
            assert response.read() == file.read_bytes()
        assert b"HTTP/1.1 200" not in server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_certificates_that_cant_be_used_are_errors_of_one_line(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    made, key = certificate
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked], check=True,
                   capture_output=True)  # fmt: skip
    for options, words in [
        ({"ssl_keyfile": key}, "--ssl-keyfile or GEMEL_SERVE_SSL_KEYFILE: it needs a certificate"),
        ({"ssl_certfile": tmp_path / "no.pem"}, "--ssl-certfile or GEMEL_SERVE_SSL_CERTFILE: no certificate"),
        ({"ssl_certfile": made}, "no certificate with its key can be read"),
        ({"ssl_certfile": made, "ssl_keyfile": locked}, "the private key has a password"),
    ]:
        with pytest.raises(gemel.ArgumentError, match=words):
            settings_of(options)


# ---- The settings file -----------------------------------------------------------------------------------------------


def test_the_table_of_the_server_comes_after_options_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}', encoding="utf-8")
    path = tmp_path / "gemel.toml"
    path.write_text(
        '[server]\nport = 1\nqueue = 2\nparallel = 3\nkeys = "keys.json"\n'
        'allowed_hosts = ["box.lan"]\nmodels = ["a.gguf"]',
        encoding="utf-8",
    )
    monkeypatch.setenv("GEMEL_SERVE_QUEUE", "20")
    table = File(path).server
    found = settings_of({"parallel": 30, "host": None}, table)
    assert (found.port, found.queue, found.parallel, found.host) == (1, 20, 30, "127.0.0.1")
    assert (found.keys, found.allowed_hosts) == (tmp_path / "keys.json", ("box.lan",))
    assert table.under({"models": None, "page": False}) == {"models": [str(tmp_path / "a.gguf")], "page": False}


@pytest.mark.parametrize(("text", "words"), [
    ("[server]\n\nprot = 1", "line 3: server.prot: there is no such key; did you mean port?"),
    ("[server]\ncolour = 1", "line 2: server.colour: there is no such key; known: "),
    ("[server]\nhost = 'a'\nport = 'x'", "line 3: server.port: "),
    ("[server]\nport = 70000", "line 2: server.port: "), ("[server]\nkeys = 'no.json'", "line 2: server.keys: "),
    ("[server]\nallowed_origins = ['example.org']", "line 2: server.allowed_origins: 'example.org' is not an origin"),
    ("[server]\nmodels = 'x'", "line 2: server.models: 'x' is not a list of paths"),
    ("[server]\npage = 1", "line 2: server.page: 1 is not true or false"),
    ("[server]\nssl_keyfile = 'x'", "line 2: server.ssl_keyfile: it needs a certificate"),
    ("[serve]", "line 1: serve: write a table per model, such as [models.tiny], and [server]; did you mean server?"),
    ("server = 1", "line 1: server: write a table: [server]"),
    ("[models.a]\n# x\nsampling = { temprature = 1 }", "line 3: models.a.sampling.temprature: there is no such key"),
    ('[models."x.y"]\nctx = """\nport = 1\n"""', "line 2: models.x.y.ctx: "),
    ("[server]\nport = = 1", "(at line 2, column 8)"),
])  # fmt: skip
def test_an_invalid_file_names_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "gemel.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(gemel.ArgumentError) as caught:
        read(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"--config {path}")


def read(path: Path) -> None:
    """Read all of a file, as `gemel serve` does."""
    found = File(path)
    settings_of({}, found.server)
    for table in found.tables.values():
        table._defaults()


def test_lines_of_tables_keys_and_texts() -> None:
    text = 'a = 1\n[b."c.d"]\ne.f = 2\ng = { h = 1, i.j = 2 }\nk = """\nl = 1\n"""\n[[m]]\nn = [\n 1,\n]\n'
    assert lines_of(text) == {
        ("a",): 1, ("b", "c.d"): 2, ("b", "c.d", "e", "f"): 3, ("b", "c.d", "g"): 4, ("b", "c.d", "g", "h"): 4,
        ("b", "c.d", "g", "i", "j"): 4, ("b", "c.d", "k"): 5, ("m",): 8, ("m", "n"): 9,
    }  # fmt: skip


@POSIX
def test_sighup_reads_the_file_again_and_sigterm_stops(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "gemel.toml"
    path.write_text("[server]\nport = 0\n[models.model]\nmax_tokens = 2\n", encoding="utf-8")
    with Server(file, "--config", path, port="") as server:
        address = server.url

        def n_tokens() -> int:
            body = json.dumps({"messages": [{"role": "user", "content": "a"}], "logit_bias": {"2": -100}}).encode()
            sent = urllib.request.Request(f"{address}/chat/completions", body, {"content-type": "application/json"})
            with urllib.request.urlopen(sent, timeout=30) as response:
                return int(json.load(response)["usage"]["completion_tokens"])

        def reload(text: str, words: str) -> str:
            path.write_text(text, encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            return said(server, words)

        assert n_tokens() == 2
        reload("[server]\nport = 1\n[models.model]\nmax_tokens = 3\n", "port of [server] changed")
        said(server, "reload: done")
        assert n_tokens() == 3
        assert "line 2: models.model.max: there is no such key" in reload("[models.model]\nmax = 3", "nothing has")
        assert n_tokens() == 3
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == -signal.SIGTERM


# ---- Requests meant to harm ------------------------------------------------------------------------------------------

TARGETS = [
    (b"POST", b"/models/load"), (b"POST", b"/models/unload"), (b"PATCH", b"/manage/models/model"),
    (b"GET", b"/manage/models"), (b"POST", b"/api/pull"), (b"DELETE", b"/api/delete"),
]
BOMB = b"[" * 100_000


def hostile(user: bytes, owner: bytes) -> Iterator[tuple[bytes, set[int]]]:
    """Yield requests, and the statuses that are right."""

    def request(
        method: bytes, path: bytes, *head: bytes, body: bytes = b'{"model": "model"}', host: bytes = b"localhost"
    ) -> bytes:
        lines = [
            method + b" " + path + b" HTTP/1.1", b"Host: " + host, b"Connection: close",
            b"Content-Type: application/json", b"Content-Length: %d" % len(body), *head, b"", b"",
        ]
        return b"\r\n".join(lines) + body

    key = b"Authorization: Bearer " + owner
    for method, path in TARGETS:
        yield request(method, path), {401}
        yield request(method, path, b"Authorization: Bearer " + user), {403}
        yield request(method, path, key, b"Origin: https://evil.example"), {403}
        yield request(method, path, key, b"Origin: null"), {403}
        yield request(method, path, key, host=b"evil.example"), {403}
        yield request(method, path, key, host=b""), {400, 403}
        yield request(b"BREW", path, key), {405}
        yield request(method, path, b"Authorization: Basic " + owner), {401}
        yield request(method, path, b"Authorization: " + owner), {401}
        yield request(method, path, b"Authorization: Bearer " + owner[:-1]), {401}
        yield request(method, path, b"Authorization: Bearer " + b"x" * 9000), {401}
        yield request(method, path, b"Authorization: Bearer " + "ключ".encode()), {401}
        yield request(method, path, b"Authorization: Bearer \x00" + owner), {400, 401}
        yield request(method, path, b"Authorization: Bearer a", key), {401}   # the first one counts
        yield request(b"OPTIONS", path, b"Origin: https://evil.example", b"Access-Control-Request-Method: POST"), {403}
        if method != b"GET":
            yield request(method, path, key, body=BOMB), {400, 415}
            yield request(method, path, key, body=b'{"model": "\\u0000", "x": 1}'), {400, 404}
            yield request(method, path, key, body=b"\xff\xfe\x00"), {400}
            yield request(method, path, key, body=b'{"model": "' + b"m" * 100_000 + b'"}'), {400, 404}
            yield request(method, path, key, body=b""), {400}
            yield request(method, path, key, b"Transfer-Encoding: chunked"), {400}
    for path in (b"/models/load%00", b"/models//load", b"/MODELS/LOAD", b"/models/load/../load", b"/models/lo%61d"):
        yield request(b"POST", path), {401, 404}   # 404: not of the API
        yield request(b"POST", path, b"X-Api-Key: " + user), {400, 403, 404, 405}


def test_hostile_requests_at_keys_and_management_get_the_right_status(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    user, owner = key_of(path, "user", "use").encode(), key_of(path, "owner", "manage").encode()
    with Server(file, "--keys", path, "--allowed-host", "box.lan") as server:
        requests = list(hostile(user, owner))
        assert len(requests) >= 100
        for sent, right in requests:
            with server.connect() as connection:
                connection.sendall(sent)
                answer = received(connection)
            assert answer.startswith(b"HTTP/1.1 4"), (sent[:200], answer[:300])
            assert int(answer.split()[1]) in right, (sent[:200], answer[:600])
        assert server.stop() == (130 if os.name == "posix" else server.process.returncode)
    log = "".join(server.said)
    assert "Traceback" not in log
    assert user.decode() not in log
    assert owner.decode() not in log
