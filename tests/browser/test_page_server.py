"""gemel_web's app serves the page's files and a model's, and the tab computes what the server would have."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gemel
import pytest
import tiny
import uvicorn
from browser import demo
from browser.hosts import STATIC, Watched
from browser.pages import static
from browser.sites import SitePage
from conftest import CHATML
from gemel_web import Config, ServedModel, create_app

if TYPE_CHECKING:
    from browser.server import Server
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[gemel.Model]:
    (tmp_path / "tiny.gguf").write_bytes(tiny.tiny_llama(n_layer=2, chat_template=CHATML))
    with gemel.open(tmp_path / "tiny.gguf") as opened:
        yield opened


@pytest.fixture
def origin(tmp_path: Path, model: gemel.Model) -> Iterator[str]:
    """The address of an app with the model "tiny" and a page."""
    folder = shutil.copytree(static(), tmp_path / "static")
    for name in ("api.html", "api.js", "relay.html", "relay_page.js"):
        shutil.copyfile(STATIC / name, folder / name)
    models = {"tiny": ServedModel(model, files=(tmp_path / "tiny.gguf",))}
    app = create_app(Config(where="native"), models, static=folder)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_the_servers_page_runs_the_servers_model(
    origin: str, model: gemel.Model, open_profile: Callable[[], BrowserContext]
) -> None:
    profile = open_profile()
    one = Watched(profile, "the server's page")
    try:
        one.page.goto(f"{origin}/api.html?module={origin}/gemel.js")
        one.page.wait_for_selector("main[data-ready]", state="attached")
        found = one.page.evaluate(
            "async () => {"
            "    const gemel = new api.Gemel();"
            "    await gemel.load('/models/tiny.gguf');"
            "    return (await gemel.generate('Once', {max_tokens: 30, temperature: 0}).result).text;"
            "}"
        )
    finally:
        profile.close()
    assert found == model.generate("Once", max_tokens=30, temperature=0).read()
    assert one.unexpected() == []


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "refused"])
def test_a_page_of_an_allowed_origin_loads_gemel_and_the_model_from_the_server(
    tmp_path: Path, model: gemel.Model, server: Server, open_profile: Callable[[], BrowserContext], allowed: bool
) -> None:
    """The page is isolated, so all that it loads must allow it."""
    site = server.site(isolated=True).url
    models = {"tiny": ServedModel(model, files=(tmp_path / "tiny.gguf",))}
    app = demo.site(models, static(), allowed_origins=(server.origin,) if allowed else ("https://example.org",))
    profile = open_profile()
    one = Watched(profile, "a page of another origin")
    one.expect(*[] if allowed else ["403", "blocked by CORS policy"])
    try:
        with demo.listening(app) as origin:
            one.page.goto(f"{site}/tab/api.html?module={origin}/gemel.js")
            one.page.wait_for_selector("main[data-ready]", state="attached")
            found = one.page.evaluate(
                "async (url) => {"
                "    const gemel = new api.Gemel();"
                "    try { await gemel.load(url); } catch ({name, message}) { return [name, message]; }"
                "    const {text} = await gemel.generate('Once', {max_tokens: 30, temperature: 0}).result;"
                "    return [gemel.info.engine, text];"
                "}",
                f"{origin}/models/tiny.gguf",
            )
    finally:
        profile.close()
    if allowed:
        assert found == ["threads", model.generate("Once", max_tokens=30, temperature=0).read()]
    else:
        assert found[0] == "SourceError"
        assert f"gemel serve: --allowed-origin {server.origin}" in found[1]
    assert one.unexpected() == []


def test_one_address_is_answered_by_the_tab_or_the_server_as_asked(
    origin: str, tmp_path: Path, open_profile: Callable[[], BrowserContext]
) -> None:
    profile = open_profile()
    try:
        one = SitePage(profile, f"{origin}/")
        found = one.js(
            "const body = JSON.stringify({model: 'tiny', messages: [{role: 'user', content: 'Hello'}], temperature: 0,"
            "    max_tokens: 12});"
            "const ask = async (more) => {"
            "    const headers = {'content-type': 'application/json', ...more};"
            "    const answer = await fetch('v1/chat/completions', {method: 'POST', headers, body});"
            "    return [answer.headers.get('Gemel-Host'), (await answer.json()).choices];"
            "};"
            "const before = await ask({});"
            "await gemel.load('./models/tiny.gguf');"
            "return [ready.relays, before, await ask({}), await ask({'Gemel-Host': 'native'})]"
        )
        script = tmp_path / "static" / "relay_page.js"
        script.write_text(script.read_text() + "\nwindow.version = 2;\n")
        assert one.js("return (await relay.offline).complete")
        one.reload()   # what is being written is seen at once
        version = one.js("return window.version")
        said = one.said()
    finally:
        profile.close()
    relays, before, tab, native = found
    assert (relays, before[0], tab[0], native[0]) == (True, "native", "tab", "native")
    assert before[1] == tab[1] == native[1]
    assert (version, said) == (2, [])
