"""What servers answer in place of a model: pages, pointers, logins, redirects. Nothing of it is kept."""

from __future__ import annotations

import doctest
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import command
import gemel
import pytest
from conftest import tiny_bytes
from gemel.source import not_gguf

PAGE = b"<!DOCTYPE html>\n<html><head><title>Down for\n maintenance</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
ANSWERS = {"/page.gguf": PAGE, "/pointer.gguf": POINTER, "/json.gguf": b'{"error": "Invalid username"}',
           "/o/r/blob/main/m.gguf": PAGE, "/zip.gguf": b"PK\x03\x04....", "/other.gguf": b"GGML....",
           "/empty.gguf": b"", "/part-00002-of-00002.gguf": PAGE}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """Sends ANSWERS, and a model to who has the token; notes the tokens that arrive."""

    tokens: ClassVar[list[tuple[int, str | None]]] = []
    target = ""   # where /moved sends

    def do_GET(self) -> None:
        self.tokens.append((int(self.connection.getsockname()[1]), self.headers.get("Authorization")))
        if self.path.startswith("/gated/") and self.headers.get("Authorization") != "Bearer right":
            self.answer(403 if self.headers.get("Authorization") else 401, b"")
        elif self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", f"{self.target}/file.gguf")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer(200, ANSWERS.get(self.path, tiny_bytes()))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


hub = pytest.fixture(served)
elsewhere = pytest.fixture(served)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub.tokens.clear()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HOME", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(not_gguf) == (0, 1)


@pytest.mark.parametrize(("path", "words"), [
    ("/page.gguf", "a web page ('Down for maintenance'), not a GGUF file: the server or a proxy may ask for a login"),
    ("/pointer.gguf", "a pointer of Git LFS, not a GGUF file"),
    ("/json.gguf", "JSON ('{\"error\": \"Invalid username\"}'), not a GGUF file"),
    ("/o/r/blob/main/m.gguf", "write /resolve/ in place of /blob/"),
    ("/zip.gguf", "a zip archive, not a GGUF file: unpack it"),
    ("/other.gguf", "a file that begins with b'GGML....', not a GGUF file: check the address"),
    ("/empty.gguf", "the server sent an empty file: check the address"),
    ("/part-00001-of-00002.gguf", "a web page"),
])
def test_what_is_not_gguf_is_refused_by_what_it_is_and_not_kept(
    hub: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(gemel.SourceError) as raised:
        gemel.open(hub + path)
    assert words in str(raised.value)
    assert not [file for file in gemel.cache.folder().rglob("*.part*") if "00001" not in file.name]
    monkeypatch.setitem(ANSWERS, path.replace("00001", "00002"), tiny_bytes())
    assert gemel.pull(hub + path).is_file()


def test_a_gated_repository_says_what_to_do(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    with pytest.raises(gemel.SourceError, match=rf"401.*accept the model's terms on {hub}/gated/r and set HF_TOKEN"):
        gemel.pull("hf:gated/r/m.gguf")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(gemel.SourceError, match="403.*the token that was sent gives no access"):
        gemel.pull("hf:gated/r/m.gguf")
    monkeypatch.setenv("HF_TOKEN", "right")
    assert gemel.pull("hf:gated/r/m.gguf").is_file()


def test_the_hubs_token_file_is_read(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("right\n")
    assert gemel.pull("hf:gated/r/m.gguf").is_file()


def test_the_token_goes_to_the_hubs_host_alone(hub: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.setattr(Hub, "target", elsewhere)
    assert gemel.pull("hf:moved/r/m.gguf").is_file()
    assert gemel.pull(f"{elsewhere}/file.gguf").is_file()
    ports = [int(url.rpartition(":")[2]) for url in (hub, elsewhere)]
    assert Hub.tokens == [(ports[0], "Bearer right"), (ports[1], None), (ports[1], None)]


def test_another_hosts_login_is_not_the_hubs(hub: str) -> None:
    with pytest.raises(gemel.SourceError, match="401.*download it with your account and pass its path"):
        gemel.pull(f"{hub}/gated/m.gguf")


# ---- Paths and commands ----------------------------------------------------------------------------------------------


def test_home_and_variables_in_a_path_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").write_bytes(tiny_bytes())
    (tmp_path / "$HERE.gguf").write_bytes(tiny_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/m.gguf", "$HERE/m.gguf", "${HERE}/m.gguf", Path("~/m.gguf"), "$HERE.gguf"):
        gemel.open(path).close()
    monkeypatch.setenv("GEMEL_CACHE", "~/kept")
    assert gemel.cache.folder() == tmp_path / "kept" / "models"


def test_models_in_the_cache_are_listed_and_removed(hub: str) -> None:
    name = f"{hub}/file.gguf"
    assert "holds no model" in command.gemel_("list").err
    path = gemel.pull(name)
    assert str(path) in command.gemel_("list").out
    (listed,) = command.gemel_("list", "--json").json["models"]
    assert (listed["name"], listed["path"]) == (name, str(path))
    removed = command.gemel_("rm", name)
    assert (removed.code, path.exists()) == (0, False)
    missing = command.gemel_("rm", name)
    assert (missing.code, "is not in the cache" in missing.err) == (1, True)


def test_python_m_gemel_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gemel", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"gemel {gemel.__version__}\n"
