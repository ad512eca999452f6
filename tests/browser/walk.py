"""A walk through gemel's page in any browser that opens an address: static/walk.js takes it, and reports here."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from browser import demo
from browser.hosts import STATIC
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

WALK = ("/walk.html", "/walk.js")


class Report:
    """An app that takes the walk's reports, and answers each when the test goes on."""

    def __init__(self) -> None:
        self._said: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._on = threading.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        what, value = json.loads(await Request(scope, receive).body())
        self._said.put((what, value))
        await anyio.to_thread.run_sync(self._on.acquire)
        await Response("on", headers={"Access-Control-Allow-Origin": "*"})(scope, receive, send)

    def next(self, what: str, *, timeout: float = 90) -> Any:  # noqa: ANN401
        """Wait for the next report, which must be this one, and return its value."""
        try:
            said, value = self._said.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"the walk did not report {what!r} in {timeout:.0f} s") from None
        assert said == what, value
        return value

    def go_on(self) -> None:
        """Answer the report that was taken last."""
        self._on.release()


def with_walk(app: ASGIApp) -> ASGIApp:
    """Put the walk beside the page, isolated as the page is."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in WALK:
            file = FileResponse(STATIC / scope["path"].lstrip("/"), headers={"Cache-Control": "no-cache"})
            await file(scope, receive, demo.isolating(send))
        else:
            await app(scope, receive, send)

    return served


@contextmanager
def walking(browser: Sequence[str | Path], app: ASGIApp) -> Iterator[tuple[Report, ExitStack]]:
    """Let a browser take the walk; yield its reports, and what ends the page's server when it is closed."""
    report = Report()
    with demo.listening(report) as reports, ExitStack() as server:
        site = server.enter_context(demo.listening(with_walk(app)))
        words = [str(word) for word in browser]
        quiet = subprocess.DEVNULL
        address = f"{site}/walk.html?report={reports}/"
        process = subprocess.Popen([*words, address], stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            yield report, server
        finally:
            report.go_on()   # nobody may wait for it any more
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
