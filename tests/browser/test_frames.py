"""Frames that may store nothing: in a page of another site, or sandboxed; and each storage API that refuses by itself.

The page around a frame is on localhost, the frame on 127.0.0.1: two sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gemel
import pytest
import tiny
from browser.hosts import Watched
from browser.pages import SOURCE_MS, ApiPage, static
from conftest import CHATML

if TYPE_CHECKING:
    from browser.server import Served, Server
    from playwright.sync_api import BrowserContext, Route

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Serve = Callable[..., "Served"]
OpenPage = Callable[..., ApiPage]
BLOCKED = {"cookie_controls_mode": 1, "block_third_party_cookies": True}
COOKIES: Mapping[str, Any] = {   # whether frames of other sites have storage, by Chromium's settings
    "partitioned": {},
    "blocked for other sites": {
        "preferences": {"profile": BLOCKED}, "flags": ["--disable-features=ThirdPartyStoragePartitioning"],
    },
    "blocked for all sites": {"preferences": {"profile": {"default_content_setting_values": {"cookies": 2}}}},
}  # fmt: skip
EMBED = """([src, sandbox]) => new Promise((loaded) => {
    const frame = Object.assign(document.createElement("iframe"), { src, width: 900, height: 600, onload: loaded });
    if (sandbox !== null) frame.sandbox = sandbox;
    document.body.replaceChildren(frame);
})"""
ASK = "return await gemel.generate('Once', {max_tokens: 8, temperature: 0}).result"
DENIED = "new DOMException('no', 'SecurityError')"
REFUSALS = {   # one API at a time, in the page and in all of its workers
    "locks": f"Object.defineProperty(Navigator.prototype, 'locks', {{ get() {{ throw {DENIED}; }} }});",
    "a lock": f"LockManager.prototype.request = () => Promise.reject({DENIED});",
    "storage": f"Object.defineProperty(Navigator.prototype, 'storage', {{ get() {{ throw {DENIED}; }} }});",
    "the file system": f"StorageManager.prototype.getDirectory = () => Promise.reject({DENIED});",
    "the file system, at once": f"StorageManager.prototype.getDirectory = () => {{ throw {DENIED}; }};",
    "a folder": f"FileSystemDirectoryHandle.prototype.getDirectoryHandle = () => Promise.reject({DENIED});",
    "a file": f"FileSystemDirectoryHandle.prototype.getFileHandle = () => Promise.reject({DENIED});",
    "an open file": f"FileSystemFileHandle.prototype.createSyncAccessHandle = () => Promise.reject({DENIED});",
    "the folder's names": f"FileSystemDirectoryHandle.prototype.keys = () => {{ throw {DENIED}; }};",
}
HARMLESS = {   # what loading a model does not need
    "an estimate": f"StorageManager.prototype.estimate = () => Promise.reject({DENIED});",
    "caches": f"Object.defineProperty(globalThis, 'caches', {{ get() {{ throw {DENIED}; }} }});",
    "databases": f"IDBFactory.prototype.open = () => {{ throw {DENIED}; }};",
    "settings": f"Object.defineProperty(globalThis, 'localStorage', {{ get() {{ throw {DENIED}; }} }});",
}
IN_WORKERS = """
{
    const deny = (self) => { const Navigator = self.WorkerNavigator ?? self.Navigator; %s };
    deny(self);
    const Plain = self.Blob;
    self.Blob = class extends Plain {
        constructor(parts, options) {
            super(options?.type === "text/javascript" ? [`(${deny})(self);`, ...parts] : parts, options);
        }
    };
}
"""


class Framed(Watched):
    """A page of another site around a frame with one of gemel's modules as window.api."""

    def __init__(
        self, context: BrowserContext, server: Server, *, module: str = "gemel.js", sandbox: str | None = None
    ) -> None:
        server.folders.setdefault("gemel", static())
        site = server.site().url
        super().__init__(context, f"framed {module}")
        self.base = f"{site}/gemel/"
        around = site.replace("127.0.0.1", "localhost")
        self.page.goto(f"{around}/tab/api.html?module=data:text/javascript,")
        self.page.evaluate(EMBED, [f"{site}/tab/api.html?module={quote(self.base + module)}", sandbox])
        self.frame = self.page.frames[1]
        self.frame.wait_for_selector("main[data-ready]", state="attached")

    def js(self, source: str, **values: Any) -> Any:  # noqa: ANN401
        """Run an async function's body in the frame; values are in `v`."""
        late = f"new Promise((_, no) => setTimeout(no, {SOURCE_MS}, new Error('no end in {SOURCE_MS} ms')))"
        return self.frame.evaluate(f"(v) => Promise.race([(async () => {{ {source} }})(), {late}])", values)


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def native(data: bytes) -> gemel.Model:
    return gemel.open(data)


@pytest.fixture(scope="module", params=list(COOKIES))
def cookies(request: pytest.FixtureRequest, open_profile: Any) -> Iterator[tuple[str, BrowserContext]]:  # noqa: ANN401
    """A browser with one of the settings, by its name."""
    made = open_profile(**COOKIES[request.param])
    yield request.param, made
    made.close()


def test_a_frame_of_another_site_loads_a_model_and_says_whether_it_is_kept(
    cookies: tuple[str, BrowserContext], server: Server, served: Serve, data: bytes, native: gemel.Model
) -> None:
    setting, context = cookies
    framed, file = Framed(context, server), served(data)
    info = framed.js("window.gemel = new api.Gemel(); return await gemel.load(v.url)", url=file.url)
    assert framed.js(ASK)["text"] == native.generate("Once", max_tokens=8, temperature=0).read()
    framed.js("return await gemel.load(v.url)", url=file.url)
    listed = framed.js("return await gemel.cache.list().catch(({name, message}) => `${name}: ${message}`)")
    if setting == "partitioned":
        assert (info["why_uncached"], file.sent, len(listed)) == (None, len(data), 1)
    else:
        assert info["why_uncached"].startswith("the browser denies this page storage (")
        assert file.sent == 2 * len(data)
        assert listed.startswith("SourceError: the browser refuses its private file system")
    assert framed.unexpected() == []
    framed.close()


def test_the_element_in_a_frame_of_another_site_says_so_in_its_status(
    cookies: tuple[str, BrowserContext], server: Server, served: Serve, data: bytes
) -> None:
    setting, context = cookies
    framed = Framed(context, server, module="gemel-chat.js")
    status = framed.js(
        "const chat = document.createElement('gemel-chat'); document.body.append(chat);"
        "await chat.load(v.url); return chat.shadowRoot.querySelector('.status').textContent",
        url=served(data).url,
    )
    assert ("Each visit downloads it: the browser denies this page storage" in status) == (setting != "partitioned")
    assert framed.unexpected() == []
    framed.close()


def test_gemels_page_works_in_a_frame_of_another_site(
    cookies: tuple[str, BrowserContext], server: Server, served: Serve, data: bytes
) -> None:
    setting, context = cookies
    framed = Framed(context, server)
    framed.expect("404", "config.json")
    answer_with(framed, served(data).url, sandbox=None)
    help_ = framed.frame.locator("#cached-help")
    framed.frame.locator("#open-models").click()
    framed.frame.wait_for_selector("#cached-help:not(:has-text('Reading'))")
    assert ("can’t be read" in help_.inner_text()) == (setting != "partitioned")
    stored = framed.frame.locator("#model-state").inner_text()
    assert stored == ("loaded" if setting == "partitioned" else "loaded, not stored")
    said = framed.frame.locator("#turns").inner_text()
    assert ("Each visit downloads it: the browser denies this page storage" in said) == (setting != "partitioned")
    assert framed.unexpected() == []
    framed.close()


def answer_with(framed: Framed, model: str, *, sandbox: str | None) -> None:
    """Ask gemel's own page something, in the frame; returns when it has answered."""
    framed.page.evaluate(EMBED, [f"{framed.base}index.html", sandbox])
    framed.frame = frame = framed.page.frames[1]
    frame.wait_for_selector("#question")
    frame.locator("#open-models").click()
    frame.locator("#name").fill(model)
    frame.locator("#by-name button").click()
    frame.wait_for_selector("#turns >> text=runs in this tab:", timeout=SOURCE_MS)
    frame.locator("#question").fill("Hello")
    frame.locator("#send").click()
    frame.wait_for_selector("text=Regenerate", timeout=SOURCE_MS)


@pytest.mark.parametrize("refusal", [*REFUSALS, *HARMLESS])
def test_any_storage_that_refuses_is_done_without(
    api_page: OpenPage, served: Serve, data: bytes, native: gemel.Model, refusal: str
) -> None:
    page, denial = api_page(new=True, isolated=False), {**REFUSALS, **HARMLESS}[refusal]
    script = IN_WORKERS % denial

    def denied(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=script + answer.text())

    page.page.context.route("**/gemel/worker.js", denied)
    try:
        page.page.add_init_script(denial)
        page.page.reload()
        page.page.wait_for_selector("main[data-ready]", state="attached")
        info = page.js("window.gemel = new api.Gemel(); return await gemel.load(v.url)", url=served(data).url)
        text = page.js(ASK)["text"]
    finally:
        page.page.context.unroute("**/gemel/worker.js")
        page.close()
    assert text == native.generate("Once", max_tokens=8, temperature=0).read()
    assert (info["why_uncached"] is None) == (refusal in HARMLESS)


# ---- Sandboxed frames ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandboxing(open_profile: Any) -> Iterator[BrowserContext]:  # noqa: ANN401
    made = open_profile()
    yield made
    made.close()


def test_a_sandboxed_frame_loads_a_model(
    sandboxing: BrowserContext, server: Server, served: Serve, data: bytes, native: gemel.Model
) -> None:
    framed = Framed(sandboxing, server, sandbox="allow-scripts")
    assert framed.js("return self.origin") == "null"
    info = framed.js("window.gemel = new api.Gemel(); return await gemel.load(v.url)", url=served(data).url)
    assert info["why_uncached"] == "a sandboxed frame without allow-same-origin may not store anything"
    assert framed.js(ASK)["text"] == native.generate("Once", max_tokens=8, temperature=0).read()
    name, message, _ = framed.js("return await caught(gemel.cache.list())")
    assert (name, "sandboxed frame" in message) == ("SourceError", True)
    assert framed.js("return await gemel.run('1 + 1')") == "2"
    answer = framed.js("return await (await gemel.fetch('/v1/models')).json()")
    assert len(answer["data"]) == 1
    framed.js("gemel.close()")
    assert framed.unexpected() == []
    framed.close()


def test_the_element_answers_in_a_sandboxed_frame(
    sandboxing: BrowserContext, server: Server, served: Serve, data: bytes
) -> None:
    """Its button works, though the frame may submit no forms."""
    framed = Framed(sandboxing, server, module="gemel-chat.js", sandbox="allow-scripts")
    framed.js(
        "const chat = document.createElement('gemel-chat'); chat.setAttribute('model', v.url);"
        "chat.options = {max_tokens: 4, temperature: 0}; document.body.append(chat)",
        url=served(data).url,
    )
    framed.frame.get_by_role("textbox", name="Your message").fill("Hello")
    framed.frame.get_by_role("button", name="Send").click()
    framed.frame.wait_for_selector("text=tokens in this tab", timeout=SOURCE_MS)
    assert framed.unexpected() == []
    framed.close()


def test_the_relay_says_what_a_sandboxed_frame_lacks(sandboxing: BrowserContext, server: Server) -> None:
    framed = Framed(sandboxing, server, module="relay.js", sandbox="allow-scripts")
    ready, offline = framed.js(
        "const relay = api.connect({info: null}, null); return [await relay.ready, await relay.offline]"
    )
    assert (ready["relays"], offline["complete"]) == (False, False)
    assert "sandboxed" in ready["why"]
    assert framed.unexpected() == []
    framed.close()


def test_gemels_page_answers_in_a_sandboxed_frame(
    sandboxing: BrowserContext, server: Server, served: Serve, data: bytes
) -> None:
    framed = Framed(sandboxing, server)
    framed.expect("404", "config.json")
    answer_with(framed, served(data).url, sandbox="allow-scripts")
    assert framed.unexpected() == []
    framed.close()
