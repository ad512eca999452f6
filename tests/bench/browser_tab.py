"""One Chromium with a separate profile: pages, what its tab weighs, and a clean end."""

from __future__ import annotations

import json
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-blink-features=ForceEagerMeasureMemory",   # measureUserAgentSpecificMemory answers at once
)   # fmt: skip
TIMEOUT = 900_000   # milliseconds that a page may take for anything


@dataclass(frozen=True)
class Weight:
    """In bytes."""

    memory: int # of the page's renderer process: what is resident and no file's (Chromium's own code is)
    pss: int    # of that process: pages shared with others, another Chromium perhaps, count in part
    peak: int   # its largest resident set so far
    tree: int   # pss of all the browser's processes
    ua: int     # performance.measureUserAgentSpecificMemory()


class Browser:
    """A fresh profile, on disk as a person's is. A context manager."""

    def __init__(self, playwright: Playwright, executable: str, work: Path) -> None:
        self._playwright = playwright
        self._executable = executable
        self._work = work
        self._context: BrowserContext | None = None
        self._page: Page | None = None

    def __enter__(self) -> Browser:
        self._work.mkdir(parents=True, exist_ok=True)
        self._profile = tempfile.TemporaryDirectory(prefix="profile-", dir=self._work, ignore_cleanup_errors=True)
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile.name, executable_path=self._executable, args=list(FLAGS)
        )
        self._context.set_default_timeout(TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._context is not None:
            self._context.close()
        self._profile.cleanup()

    def visit(self, server: str, engine: str, options: dict[str, Any], **query: str) -> Page:
        """Open the engine's page in place of the one before."""
        assert self._context is not None
        before = self._context.pages
        page = self._context.new_page()
        for other in before:
            other.close()
        page.on("console", lambda message: print(f"  [{engine}] {message.text}") if message.type == "error" else None)
        words = urllib.parse.urlencode({"engine": engine, "options": json.dumps(options), **query})
        page.goto(f"{server}/page/page.html?{words}")
        page.wait_for_function("globalThis.bench")
        self._page = page
        return page

    def forget_models(self, server: str) -> None:
        """Delete what the site has stored (OPFS, IndexedDB, Cache API), not the HTTP cache."""
        assert self._context is not None
        assert self._page is not None
        session = self._context.new_cdp_session(self._page)
        session.send("Storage.clearDataForOrigin", {"origin": server, "storageTypes": "all"})
        session.detach()

    def weight(self) -> Weight:
        """Weigh the tab as it is."""
        assert self._page is not None
        used = int(self._page.evaluate("bench.memory()"))
        processes = self._processes()
        weights = {pid: _pss(pid) for pid in processes}
        page = max((pid for pid, line in processes.items() if "--type=renderer" in line), key=weights.__getitem__)
        status = _status(page)
        memory = status["RssAnon"] + status["RssShmem"]
        return Weight(memory, weights[page], status["VmHWM"], sum(weights.values()), used)

    def _processes(self) -> dict[int, str]:
        """Return the processes of this profile's browser: id -> command line."""
        parents: dict[int, int] = {}
        commands: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
        roots = {pid for pid, line in commands.items() if f"--user-data-dir={self._profile.name}" in line}
        found = {}
        for pid, line in commands.items():
            above = pid
            while above in parents and above not in roots:
                above = parents[above]
            if above in roots:
                found[pid] = line
        return found


def _status(pid: int) -> dict[str, int]:
    """Return the sizes of /proc/PID/status in bytes."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def _pss(pid: int) -> int:
    """Return 0 for a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
