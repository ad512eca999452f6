"""gemel's own page under a real server, for tests and for the pictures of the documentation."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemel
import tiny
import uvicorn
from browser.hosts import Watched
from browser.pages import static
from browser.server import ISOLATED
from conftest import CHATML
from gemel_web import Config, ServedModel, create_app
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

ANSWER_MS = 180_000   # a first answer starts Python and loads a model
OBSERVE = """
window.seen = { shifts: [] };
new PerformanceObserver((list) => list.getEntries().forEach(({ value, hadRecentInput, sources }) => {
    if (!hadRecentInput) seen.shifts.push([value, ...sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? "")]);
})).observe({ type: "layout-shift" });
"""


OPENED = """
try { if (localStorage.getItem("gemel-page") === null) localStorage.setItem("gemel-page", '{"drawer":true}'); } catch {}
"""


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve an app in a thread; yield its origin."""
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[opened])), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def site(models: Mapping[str, ServedModel], folder: Path, **config: Any) -> ASGIApp:  # noqa: ANN401
    """Return what `gemel demo` serves."""
    return create_app(Config(where="native", **config), models, static=folder)


@contextmanager
def tiny_site(folder: Path, **fields: Any) -> Iterator[str]:  # noqa: ANN401
    """Serve the page and a tiny chat model, as `gemel demo` does; yield the origin. fields: as tiny.tiny_llama's."""
    path = folder / "tiny.gguf"
    path.write_bytes(tiny.tiny_llama(chat_template=CHATML, **fields))
    with gemel.open(path) as model, listening(site({"tiny": ServedModel(model, (path,))}, static())) as url:
        yield url


def as_static_site(folder: Path, *models: Mapping[str, object]) -> ASGIApp:
    """Return a site without a server of gemel's behind it: files, with the headers that isolate a page."""
    files = StaticFiles(directory=folder, html=True)
    config = JSONResponse({"native": False, "models": list(models)})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (config if scope["path"] == "/config.json" else files)(scope, receive, isolating(send))

    return app


def isolating(send: Send) -> Send:
    """Add the headers that isolate a page."""
    more = [(name.lower().encode(), value.encode()) for name, value in ISOLATED.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


class DemoPage(Watched):
    """The page, as a visitor uses it."""

    def __init__(
        self, context: BrowserContext, url: str, *, init: str = "", width: int = 1440, height: int = 900,
        drawer: bool = True,
    ) -> None:  # fmt: skip
        """drawer: the visitor has opened it before."""
        super().__init__(context, "the demo page")
        self.url = url
        self.requests: list[str] = []
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.add_init_script(OBSERVE + init + (OPENED if drawer else ""))
        self.open()

    def open(self) -> None:
        """Load it, again if it is loaded."""
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def say(self, text: str) -> None:
        """Type a question and send it."""
        self.page.get_by_label("Your message").fill(text)
        self.page.get_by_label("Your message").press("Enter")

    def ask(self, text: str) -> str:
        """Ask, and return the answer's text when it is whole."""
        self.say(text)
        return self.answered()

    def answered(self, *, timeout: float = ANSWER_MS) -> str:
        """Wait for the end of what is under way, and return the last answer's text."""
        self.page.locator("#stop").wait_for(state="hidden", timeout=timeout)
        return self.last.locator(".text").inner_text()

    @property
    def last(self) -> Locator:
        """The last question and its answer."""
        return self.page.locator(".turn").last

    def set(self, **fields: object) -> None:
        """Type settings, by Python's names."""
        self.page.get_by_role("button", name="Settings").click()
        for name, value in fields.items():
            self.page.locator(f"#set-{name}" if name != "system" else "#system").fill(str(value))
        self.page.keyboard.press("Escape")

    def choose(self, host: str) -> None:
        """Take a host by the switch: "This tab" or "Native server"."""
        self.page.get_by_label(host, exact=True).check()

    def noise(self) -> list[str]:
        """Return what the page said on its console and should not have."""
        return [line for line in self.console if line.split(":")[0] in ("error", "warning", "crash")]

    def foreign(self) -> list[str]:
        """Return requests that left the page's origin."""
        return [url for url in self.requests if not url.startswith((self.url, "blob:", "data:"))]


@contextmanager
def visits(profile: BrowserContext, url: str, *, ignored: str = "") -> Iterator[Callable[..., DemoPage]]:
    """Open pages for the length of a test. Their consoles must say nothing, except lines with `ignored`."""
    opened: list[DemoPage] = []

    def open_(**options: Any) -> DemoPage:  # noqa: ANN401
        opened.append(DemoPage(profile, url, **options))
        return opened[-1]

    yield open_
    noise = [line for one in opened for line in one.noise() if not ignored or ignored not in line]
    for one in opened:
        one.page.evaluate("localStorage.clear()")
        one.close()
    assert noise == []
