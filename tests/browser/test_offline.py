"""The site on a host of files alone: isolated after its first visit, whole without a network, replaced by a new one."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.sites import Host, SitePage, site
from conftest import CHATML

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WORDS = "(await gemel.generate('Once', {max_tokens: 20, temperature: 0}).result).text"
API = "await (await fetch('v1/models')).json()"


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture
def host(tmp_path: Path, data: bytes) -> Iterator[Host]:
    site(tmp_path, tiny=data)
    with Host(tmp_path) as made:
        yield made


@pytest.fixture
def profile(open_profile: Callable[[], BrowserContext]) -> Iterator[BrowserContext]:
    made = open_profile()
    yield made
    made.close()


def folder(host: Host) -> Path:
    return host.folder / "below" / "a path"


def write(file: Path, text: str, *, clock: Iterator[int] = itertools.count(100, 100)) -> None:   # noqa: B008
    """Write a file, later than any before: http.server tells versions apart by seconds."""
    file.write_text(text)
    then = time.time() + next(clock)
    os.utime(file, (then, then))


def copies(page: SitePage) -> list[set[str]]:
    """Return the files of each copy of the site, by their names."""
    found = page.js(
        "const found = [];"
        "for (const name of await caches.keys()) {"
        "    const files = await (await caches.open(name)).keys();"
        "    found.push(files.map(({url}) => url.slice(new URL('.', location.href).href.length)));"
        "}"
        "return found"
    )
    return [set(names) for names in found]


def listed(host: Host) -> set[str]:
    """Return what a copy must have."""
    assets = json.loads((folder(host) / "assets.json").read_text())
    own = json.loads((folder(host) / "site.json").read_text())["files"]
    named = [file["name"] for files in assets.values() for file in files]
    return {*own, *named, "site.json", "whole.json", "assets.json", "LICENCES.txt", "config.json"}


def visit(profile: BrowserContext, host: Host) -> SitePage:
    """Return a page after its first visit: the site is complete offline."""
    page = SitePage(profile, host.url)
    assert page.js("return await relay.offline") == {"complete": True, "why": None}
    return page


def test_a_host_of_files_becomes_isolated_by_one_reload(profile: BrowserContext, host: Host) -> None:
    page = profile.new_page()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.goto(f"{host.url}relay.html")
    page.wait_for_selector("main[data-ready]", state="attached")
    assert len(loads) == 2
    assert page.evaluate("crossOriginIsolated")
    page.reload()
    page.wait_for_selector("main[data-ready]", state="attached")
    assert len(loads) == 3
    assert page.evaluate("async () => (await gemel.load('./models/tiny.gguf')).engine") == "threads"
    other = SitePage(profile, host.url)
    assert other.js("return [crossOriginIsolated, sessionStorage.length]") == [True, 0]
    other.close()


def test_a_page_that_can_not_be_isolated_is_not_loaded_for_ever(profile: BrowserContext, host: Host) -> None:
    profile.add_init_script("Object.defineProperty(self, 'crossOriginIsolated', {value: false})")
    page = profile.new_page()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.goto(f"{host.url}relay.html")
    page.wait_for_selector("main[data-ready]", state="attached")
    page.wait_for_timeout(500)
    assert len(loads) == 2


def test_after_the_first_visit_it_works_offline(profile: BrowserContext, host: Host, data: bytes) -> None:
    page = visit(profile, host)
    page.js("await gemel.load('./models/tiny.gguf')")
    online = page.js(f"return [{WORDS}, {API}]")
    assert copies(page) == [listed(host)]
    host.stop()
    profile.set_offline(True)
    for again in (page, SitePage(profile, host.url)):
        again.reload()
        found = again.js(
            "const info = await gemel.load('./models/tiny.gguf');"
            f"const found = [info.engine, {WORDS}, {API}, await relay.offline, ready];"
            "gemel.close(); return found"
        )
        assert found[0] == "threads"
        assert found[1] == online[0]
        assert found[2]["data"][0]["id"] == "tiny"
        assert found[3:] == [{"complete": True, "why": None}, {"relays": True, "why": None}]
        assert again.said() == []
    with gemel.open(data) as model:
        assert online[0] == model.generate("Once", max_tokens=20, temperature=0).read()


def test_a_stopped_server_is_as_no_network(profile: BrowserContext, host: Host) -> None:
    """The address without a file's name, and one with a query, are the same page."""
    index = folder(host) / "index.html"
    index.write_bytes((folder(host) / "relay.html").read_bytes())
    names = json.loads((folder(host) / "site.json").read_text())["files"]
    (folder(host) / "site.json").write_text(json.dumps({"files": sorted({*names, "index.html"})}))
    page = visit(profile, host)
    host.stop()
    for address in (host.url, f"{host.url}?a=b", f"{host.url}index.html#c"):
        page.page.goto(address)
        page.wait()
        assert page.js("return [ready.relays, crossOriginIsolated]") == [True, True]
    assert page.said() == []


def test_a_new_version_takes_the_old_ones_place(profile: BrowserContext, host: Host) -> None:
    page = visit(profile, host)
    script, worker = folder(host) / "relay_page.js", folder(host) / "sw.js"
    write(script, script.read_text() + "\nwindow.version = 2;\n")
    write(worker, worker.read_text() + "\n// 2\n")
    page.reload()   # what is seen is never an old file
    assert page.js("return [window.version, (await relay.offline).complete]") == [2, True]
    assert copies(page) == [listed(host)]
    page.page.wait_for_function(
        "async () => { const all = await navigator.serviceWorker.getRegistration();"
        " return !all.waiting && !all.installing && all.active.state === 'activated'; }"
    )
    host.stop()
    page.reload()
    assert page.js("return [window.version, ready.relays, (await relay.offline).complete]") == [2, True, True]
    assert page.said() == []


def test_what_can_not_be_copied_leaves_the_old_copy_in_use(profile: BrowserContext, host: Host) -> None:
    page = visit(profile, host)
    before = page.js("return (await caches.keys())[0]")
    script = folder(host) / "relay_page.js"
    write(script, script.read_text() + "\nwindow.version = 2;\n")
    assets = json.loads((folder(host) / "assets.json").read_text())
    entry = next(one for one in assets["wheels"] if "jinja2" in one["name"])
    sha256, entry["sha256"] = entry["sha256"], "00" * 32
    write(folder(host) / "assets.json", json.dumps(assets))
    page.reload()
    found = page.js("return await relay.offline")
    assert found["complete"] is True
    assert "is not the file that assets.json names" in found["why"]
    assert before in page.js("return await caches.keys()")
    host.stop()
    page.reload()
    assert page.js("return [window.version ?? 1, (await relay.offline).complete]") == [1, True]
    host.start()
    entry["sha256"] = sha256
    write(folder(host) / "assets.json", json.dumps(assets))
    page.reload()
    assert page.js("return [window.version, await relay.offline]") == [2, {"complete": True, "why": None}]
    assert len(copies(page)) == 1
    assert page.said() == []


def test_a_first_copy_that_breaks_off_goes_on_at_the_next_visit(profile: BrowserContext, host: Host) -> None:
    wheel = next((folder(host) / "wheels").glob("jinja2*"))
    away = wheel.rename(host.folder / wheel.name)
    page = SitePage(profile, host.url)
    found = page.js("return await relay.offline")
    assert (found["complete"], "the server answers 404" in found["why"]) == (False, True)
    page.console.clear()
    begun: Any = copies(page)[0]
    assert 0 < len(begun) < len(listed(host))
    assert "whole.json" not in begun
    away.rename(wheel)
    page.reload()
    assert page.js("return (await relay.offline).complete")
    assert copies(page) == [listed(host)]
    assert page.said() == []


def test_models_and_answers_are_not_copied(profile: BrowserContext, host: Host) -> None:
    page = visit(profile, host)
    page.js("await gemel.load('./models/tiny.gguf'); await (await fetch('v1/models')).text()")
    page.js("await (await fetch('models/tiny.gguf')).arrayBuffer()")
    assert copies(page) == [listed(host)]
    assert not any(name.startswith(("models/", "v1/")) for name in copies(page)[0])


def test_garbage_that_is_collected_takes_nothing_along(profile: BrowserContext, host: Host) -> None:
    """A browser may forget to answer an object that nobody holds."""
    collect = "\nsetInterval(() => gc(), 5);\n"
    script, worker = folder(host) / "relay_page.js", folder(host) / "sw.js"
    write(script, collect + script.read_text())
    write(worker, worker.read_text() + collect)
    page = visit(profile, host)
    page.js("await gemel.load('./models/tiny.gguf')")
    assert page.js(f"return {API}")["data"][0]["id"] == "tiny"
    host.stop()
    page.reload()
    assert page.js("return [ready.relays, (await relay.offline).complete]") == [True, True]
    assert page.said() == []
