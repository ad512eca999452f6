"""`make site` under Python's own http.server, which knows no ranges and sends no headers of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gemel
import pytest
import static_site
import tiny
from browser.demo import DemoPage
from browser.hosts import STATIC, Watched
from browser.pages import static
from conftest import CHATML
from gemel_native.serving import page as site_page

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

WHOLE = """
async () => {
    const copies = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
    const whole = await Promise.all(copies.map((copy) => copy.keys()));
    return whole.some((requests) => requests.some(({ url }) => url.endsWith("/whole.json")));
}
"""
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    path.write_bytes(tiny.tiny_llama(chat_template=CHATML, n_layer=6, n_embd=256, n_ff=1024))   # several blocks
    return path


@pytest.fixture(scope="module")
def site(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a site that has the model, and its server."""
    out = tmp_path_factory.mktemp("site") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_page, "STATIC", static())
        static_site.write(out, [str(model)])
    for name in ("api.html", "api.js"):
        shutil.copyfile(STATIC / name, out / name)
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(out), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found
        yield found[0], process
        process.terminate()


def test_the_sites_model_runs_in_the_tab(
    site: tuple[str, subprocess.Popen[str]], model: Path, open_profile: Callable[[], BrowserContext]
) -> None:
    profile, url = open_profile(), site[0]
    one = Watched(profile, "the site's page")
    try:
        one.page.goto(f"{url}/api.html?module={url}/gemel.js")
        one.page.wait_for_selector("main[data-ready]", state="attached")
        config, text, cached = one.page.evaluate(
            "async () => {"
            "    const config = await (await fetch('config.json')).json();"
            "    const gemel = new api.Gemel();"
            "    await gemel.load(new URL(config.models[0].url, document.baseURI).href);"
            "    const text = (await gemel.generate('Once', {max_tokens: 30, temperature: 0}).result).text;"
            "    return [config, text, await gemel.cache.list()];"
            "}"
        )
    finally:
        profile.close()
    size = model.stat().st_size
    assert config["models"] == [{"alias": "tiny", "url": "models/tiny.gguf", "size": size}]
    with gemel.open(model) as opened:
        assert text == opened.generate("Once", max_tokens=30, temperature=0).read()
    assert cached == [{"name": f"{url}/models/tiny.gguf", "size": size, "complete": True}]
    assert one.unexpected() == []


def test_the_sites_page_answers_and_goes_on_to_when_its_server_is_gone(
    site: tuple[str, subprocess.Popen[str]], model: Path, open_profile: Callable[[], BrowserContext]
) -> None:
    """Runs last: it ends the server."""
    profile, (url, process) = open_profile(), site
    with gemel.open(model) as opened:
        chat = opened.chat()
        wanted = [chat.send(text, max_tokens=12, temperature=0).read() for text in ("Hello", "More")]
    try:
        page = DemoPage(profile, f"{url}/")
        page.set(max_tokens=12, temperature=0, system="")
        assert page.page.evaluate("crossOriginIsolated")   # by its service worker
        assert page.page.get_by_label("Native server", exact=True).is_disabled()
        assert page.ask("Hello").split() == wanted[0].split()
        assert page.last.locator(".foot").inner_text().split()[:3] == ["Continue", "Copy", "Regenerate"]
        page.page.wait_for_function(WHOLE)
        process.terminate()
        process.wait()
        page.open()
        page.page.locator("#new").click()   # the conversation is still there
        assert page.ask("Hello").split() == wanted[0].split()
        assert page.ask("More").split() == wanted[1].split()
        assert (page.noise(), page.foreign()) == ([], [])
    finally:
        profile.close()
