"""The site on a host that can serve only files, below a path: python -m http.server, which may be stopped."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import building
import pyodide_files
from browser.hosts import STATIC, Watched
from browser.pages import static

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

OPENAI = Path(__file__).resolve().parent / "openai"
PAGES = ("relay.html", "relay_page.js")


def site(folder: Path, *, client: bool = False, **models: bytes) -> Path:
    """Write the site with the tests' pages, and models by their names, into a new folder below `folder`; return it.

    client: with OpenAI's client for JavaScript as openai/.
    """
    made = folder / "below" / "a path"
    shutil.copytree(static(), made)
    for name in PAGES:
        shutil.copyfile(STATIC / name, made / name)
    listed = json.loads((made / "site.json").read_text())
    (made / "site.json").write_text(json.dumps({"files": [*listed["files"], *PAGES]}))
    (made / "config.json").write_text('{"native": false, "models": []}')
    (made / "models").mkdir()
    for name, data in models.items():
        (made / "models" / f"{name}.gguf").write_bytes(data)
    if client:
        package = pyodide_files.npm(OPENAI, building.BUILD / "openai") / "openai"
        shutil.copytree(package, made / "openai", ignore=shutil.ignore_patterns("*.map", "*.ts", "*.mts"))
    return made


class Host:
    """A process that serves a folder; its port stays the same when it is started again. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/below/a%20path/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(words, cwd=self.folder, stdin=quiet, stdout=quiet, stderr=quiet)
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"http.server ended with {self.process.returncode}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Host:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class SitePage(Watched):
    """A page of the site."""

    def __init__(self, context: BrowserContext, url: str, query: str = "") -> None:
        super().__init__(context, f"site {query}")
        self.page.goto(f"{url}relay.html{query}")
        self.wait()

    def wait(self) -> None:
        self.page.wait_for_selector("main[data-ready]", state="attached")

    def reload(self) -> None:
        self.page.reload()
        self.wait()

    def js(self, source: str, **values: Any) -> Any:  # noqa: ANN401
        """Run an async function's body; values are in `v`."""
        return self.page.evaluate(f"async (v) => {{ {source} }}", values)

    def said(self) -> list[str]:
        """Return errors and warnings of the console so far."""
        return [line for line in self.console if line.startswith(("error", "warning", "crash"))]
