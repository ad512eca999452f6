"""`gemel demo`: the server with its page, the browser it opens, the port it takes; and `gemel serve` with the page."""

from __future__ import annotations

import json
import socket
import sys
import time
import webbrowser
from pathlib import Path

import gemel
import httpx
import pytest
from command import assert_error, gemel_
from conftest import CHATML, tiny_bytes
from gemel_native.serving import demo, page
from web_server import Server


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page's folder that is whole."""
    made = tmp_path / "static"
    made.mkdir()
    (made / "index.html").write_text("the page")
    (made / "a.js").write_text("export {}")
    files = [{"name": "a.js", "size": 9, "sha256": ""}]
    (made / "assets.json").write_text(json.dumps({"pyodide": files, "wheels": [], "vendor": []}))
    return made


@pytest.fixture
def env(folder: Path, tmp_path: Path) -> dict[str, str]:
    """An environment with that page, and a browser that writes down what it was to open."""
    program = tmp_path / "browser.py"
    program.write_text(f"import sys, pathlib\npathlib.Path({str(tmp_path / 'opened')!r}).write_text(sys.argv[1])\n")
    return {"GEMEL_TEST_STATIC": str(folder), "BROWSER": f"{sys.executable} {program} %s"}


def opened(tmp_path: Path) -> str:
    """Wait for the browser and return the address that it was given."""
    file = tmp_path / "opened"
    while not file.exists() or not file.read_text():
        time.sleep(0.01)
    return file.read_text()


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_page_is_served_and_opened(file: Path, env: dict[str, str], tmp_path: Path) -> None:
    with Server(file, command="demo", **env) as running:
        base = f"http://127.0.0.1:{running.port}/"
        assert opened(tmp_path) == base
        assert httpx.get(base).text == "the page"
        told = httpx.get(f"{base}config.json").json()
        size = file.stat().st_size
        assert told["models"] == [{"alias": "model", "url": "models/model.gguf", "size": size}]
        assert httpx.get(base + told["models"][0]["url"]).content == file.read_bytes()
        body = {"model": "model", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        answer = httpx.post(f"{base}v1/chat/completions", json=body, headers={"origin": base.removesuffix("/")})
        assert (answer.status_code, answer.headers["gemel-host"]) == (200, "native")
    assert f"the page at {base};" in running.said[-1]


@pytest.mark.long
def test_demo_reports_a_port_in_use_and_takes_another(file: Path, env: dict[str, str], tmp_path: Path) -> None:
    words = "port 8090 is in use; using a free one\n"
    with Server(file, "--no-open", command="demo", port="", **env) as first:
        assert (first.port == 8090) == (first.said[0] != words)   # another program may use it
        with Server(file, "--no-open", command="demo", port="", **env) as second:
            assert second.port not in (8090, first.port)
            assert second.said[0] == words
    assert not (tmp_path / "opened").exists()


@pytest.fixture
def with_page(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """gemel with that page."""
    monkeypatch.setattr(page, "STATIC", folder)


@pytest.mark.usefixtures("with_page")
def test_demo_does_not_replace_an_explicit_port(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_error(gemel_("demo", file, "--port", port), 1, f"can't listen on 127.0.0.1, port {port}: ")
        monkeypatch.setenv("GEMEL_SERVE_PORT", str(port))
        assert_error(gemel_("demo", file), 1, f"can't listen on 127.0.0.1, port {port}: ")


@pytest.mark.usefixtures("with_page")
def test_missing_page_files_are_an_error_with_advice(file: Path, folder: Path) -> None:
    (folder / "a.js").write_text("another one")
    for command in ("serve", "demo"):
        assert_error(gemel_(command, file), 1, "a.js is missing, or is not the file", "make assets", "--no-page")
    (folder / "assets.json").unlink()
    for options in (["demo", file], ["serve", file, "--page"]):
        assert_error(gemel_(*options), 1, f"{folder / 'assets.json'} is missing", "make assets", "wheel")


@pytest.mark.long
def test_serve_serves_the_page_if_it_is_installed(file: Path, env: dict[str, str], folder: Path) -> None:
    for options, status in (([], 200), (["--page"], 200), (["--no-page"], 404)):
        with Server(file, *options, **env) as running:
            assert httpx.get(f"http://127.0.0.1:{running.port}/").status_code == status
            assert ("the page at" in running.said[-1]) == (status == 200)
    (folder / "assets.json").unlink()
    with Server(file, **env) as running:
        assert httpx.get(f"http://127.0.0.1:{running.port}/").status_code == 404
        assert "the page at" not in running.said[-1]


def test_the_demos_model_is_a_short_name() -> None:
    assert demo.MODEL in gemel.NAMES


# ---- The browser -----------------------------------------------------------------------------------------------------


class Failing(webbrowser.BaseBrowser):
    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        return False


def none() -> webbrowser.BaseBrowser:
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("get", [none, Failing, lambda: webbrowser.GenericBrowser(["/nonexistent/lynx", "%s"])])
def test_demo_prints_the_address_without_a_browser(
    get: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setattr(webbrowser, "get", get)
    demo._show("http://127.0.0.1:1/")
    assert capfd.readouterr().err == "no browser was found: open http://127.0.0.1:1/ yourself\n"
