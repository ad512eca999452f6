"""Answers outlive the time after which a browser ends an idle service worker. Nothing drives this browser: one that is
debugged lets its service workers live."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import assets
import pytest
from browser.conftest import FLAGS, chromium
from browser.hosts import STATIC

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAYS = ("stream", "silent", "whole")
FILES = ("sw.js", "relay.js", "offline.js", "options.js")
SECONDS = 45   # browsers wait for 30


class Reports(SimpleHTTPRequestHandler):
    """Files, and a place where pages say what came of them."""

    said: queue.Queue[tuple[str, str]] = queue.Queue()

    def do_POST(self) -> None:
        self.said.put(tuple(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """An origin with a folder for each way, and so a service worker for each; they must not keep each other alive."""
    frames = ""
    for way in WAYS:
        (tmp_path / way).mkdir()
        for name in FILES:
            shutil.copyfile(assets.STATIC / name, tmp_path / way / name)
        for name in ("long.html", "long.js"):
            shutil.copyfile(STATIC / name, tmp_path / way / name)
        (tmp_path / way / "site.json").write_text('{"files": []}')
        (tmp_path / way / "assets.json").write_text("{}")
        (tmp_path / way / "config.json").write_text("{}")
        (tmp_path / way / "LICENCES.txt").write_text("")
        frames += f'<iframe src="{way}/long.html?way={way}&seconds={SECONDS}"></iframe>'
    (tmp_path / "index.html").write_text(f"<!doctype html><title>Long answers</title>{frames}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Reports, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join(10)


def reports(origin: str, profile: Path, n: int, seconds: float) -> dict[str, Any]:
    """Let a separate browser load the page; return what its frames say."""
    words = [str(chromium()), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", origin]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        try:
            return dict(Reports.said.get(timeout=seconds) for _ in range(n))
        finally:
            one.kill()


def test_answers_outlive_the_browsers_patience(origin: str, tmp_path: Path) -> None:
    found = reports(origin, tmp_path / "profile", len(WAYS), SECONDS + 60)
    plus = "+" * (SECONDS - 1)
    assert found == {"stream": f"200 0{plus}1", "silent": "200 01", "whole": "200 whole"}
