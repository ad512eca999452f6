"""Where Python can run for a test: this process, Pyodide under node, a tab of Chromium. All have run() and put().

    host.run("model.n_vocab")                      the last expression's value: JSON, bytes included
    host.run("len(text)", text="abc")              values become globals, which stay
    host.run("await gemel.open_async(url)")        top-level await
    with raises("FormatError", "offset 4"): ...    what Python raised there
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import building
import pyodide_files
import pytest

if TYPE_CHECKING:
    from browser.server import Server, Site
    from playwright.sync_api import BrowserContext, Page

STATIC = Path(__file__).resolve().parent / "static"
TIMEOUT = 120.0   # seconds of one run()
THREADS = 2       # of the host "threads"
RELAXED = ("wasmpairs", "wasmrelaxed")   # a browser with relaxed SIMD takes the one that is faster on its CPU
ANSWERED = "answered"   # what tab.js says on the console when it has called answer()


class HostError(Exception):
    """An exception of the Python in a host: its type's name, its message, its traceback."""

    def __init__(self, kind: str, message: str, trace: str) -> None:
        super().__init__(f"{kind}: {message}\n{trace}")
        self.kind = kind
        self.message = message
        self.trace = trace


class HostHangError(Exception):
    """A run did not end in time, or the host died."""


@contextmanager
def raises(kind: str, match: str = "") -> Iterator[pytest.ExceptionInfo[HostError]]:
    """Expect an exception whose type's name and whose message match the patterns."""
    with pytest.raises(HostError) as info:
        yield info
    error = info.value
    assert re.fullmatch(kind, error.kind), str(error)
    assert re.search(match, error.message), str(error)


class Host(Protocol):
    """Something that runs Python with gemel installed."""

    name: str
    folder: str          # absolute; what put() writes to
    prepared: set[str]   # what tests have put there and want to keep

    def run(self, source: str, /, *, timeout: float = TIMEOUT, **values: object) -> Any:  # noqa: ANN401
        """Run Python source; return the value of its last expression. HostError when it raises."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file; relative paths are to the host's working folder."""

    def close(self) -> None:
        """End it."""

    def __hash__(self) -> int:
        """Two hosts are equal only if they are one object."""


def packed(values: Mapping[str, object]) -> str:
    return json.dumps(runner().pack(values))


def unpacked(text: str) -> Any:  # noqa: ANN401
    answer = json.loads(text)
    if "error" in answer:
        raise HostError(*answer["error"])
    return runner().unpack(answer["value"])


def runner() -> Any:  # noqa: ANN401
    """Return runner.py as a module of this process."""
    from browser.static import runner as module

    return module


class NativeHost:
    """This process; its own event loop runs in a thread, since Playwright's is in the main one."""

    name = "native"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.prepared: set[str] = set()

    def run(self, source: str, /, *, timeout: float = TIMEOUT, **values: object) -> Any:  # noqa: ANN401
        answers: queue.Queue[str] = queue.Queue()
        thread = threading.Thread(
            target=lambda: answers.put(asyncio.run(runner().run(source, packed(values)))), daemon=True
        )
        thread.start()
        try:
            return unpacked(answers.get(timeout=timeout))
        except queue.Empty:
            raise HostHangError(f"native: no answer in {timeout:.0f} s:\n{source}") from None

    def put(self, path: str, data: bytes) -> None:
        target = Path(self.folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def close(self) -> None:
        runner().namespace.clear()


def start_options(
    site: Site, *, where: str, wheels: bool = True, env: Mapping[str, str] | None = None, jspi: bool = True
) -> dict[str, object]:
    """Return what host.js's start() takes."""
    pyodide = f"{site.url}/pyodide" if where == "tab" else str(pyodide_files.pyodide())
    return {
        "pyodide": pyodide,
        "wheels": [f"{site.url}/wheels/{path.name}" for path in pyodide_files.wheels()] if wheels else [],
        "runner": (STATIC / "runner.py").read_text(encoding="utf-8"),
        "env": dict(env or {}),
        "jspi": jspi,
    }


class NodeHost:
    """Pyodide under node, in a separate process."""

    name = "node"
    folder = "/work"

    def __init__(self, server: Server, *, env: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.prepared: set[str] = set()
        self.output: list[str] = []   # lines that Python printed
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [building.node(), STATIC / "node.mjs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._call("start", start_options(server.site(), where="node", env=env), timeout=TIMEOUT)

    def run(self, source: str, /, *, timeout: float = TIMEOUT, **values: object) -> Any:  # noqa: ANN401
        return unpacked(self._call("run", source, packed(values), timeout=timeout))

    def put(self, path: str, data: bytes) -> None:
        self._call("put", path, self.server.file(data).url, timeout=TIMEOUT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _call(self, call: str, *args: object, timeout: float) -> Any:  # noqa: ANN401
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": call, "args": args}) + "\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            line = None
        if line is None:
            self.close()
            raise HostHangError("node: no answer, or it died:\n" + "\n".join(self.output[-30:]))
        answer = json.loads(line)
        if "error" in answer:
            raise HostHangError(f"node: {answer['error']}")
        return answer["value"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            before, mark, answer = line.rstrip("\n").partition("\x1e")
            if before:
                self.output.append(before)
            if mark:
                self._answers.put(answer)
        self._answers.put(None)


class Watched:
    """A page of Chromium; what it says on its console is kept."""

    def __init__(self, context: BrowserContext, name: str) -> None:
        self.name = name
        self.page: Page = context.new_page()
        self.console: list[str] = []    # "error: ...", "log: ...", in order
        self.errors: list[str] = []     # of which errors, those of the page and a crash included
        self.expected: list[str] = []   # patterns of errors that a test wants
        self.dead = False
        self.page.on(
            "console", lambda message: self._note(message.type, f"{message.text} ({message.location.get('url')})")
        )
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("crash", self._crashed)

    def expect(self, *patterns: str) -> None:
        """Let console errors that match one of these pass."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """Return the errors that no test expected, and forget all."""
        found = [error for error in self.errors if not any(re.search(one, error) for one in self.expected)]
        self.errors.clear()
        self.expected.clear()
        return found

    def close(self) -> None:
        if not self.page.is_closed():
            self.page.close()

    def _note(self, kind: str, text: str) -> None:
        if kind == "debug" and text.startswith(f"{ANSWERED} ("):
            return
        self.console.append(f"{kind}: {text}")
        if kind in ("error", "crash"):
            self.errors.append(text)

    def _crashed(self, page: Page) -> None:
        self.dead = True
        self._note("crash", "the page crashed")


class Tab(Watched):
    """A page with Pyodide in its own thread ("main") or in a dedicated worker ("worker")."""

    folder = "/work"

    def __init__(
        self,
        context: BrowserContext,
        server: Server,
        *,
        name: str = "",
        isolated: bool = False,
        where: str = "main",
        csp: str | None = None,
        wheels: bool = True,
        env: Mapping[str, str] | None = None,
        jspi: bool = True,
    ) -> None:
        self.server = server
        self.site = server.site(isolated=isolated, csp=csp)
        super().__init__(context, name or f"{'isolated' if isolated else 'plain'} {where}")
        self.prepared: set[str] = set()
        # From one address for all sites: the browser keeps what it compiled by address.
        self._options = start_options(server.site(), where="tab", wheels=wheels, env=env, jspi=jspi)
        self._where = where
        self._count = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.page.expose_function("answer", lambda one: self._answers.update({one["id"]: one}))
        self.reload()

    def reload(self) -> None:
        """Load the page again and start Pyodide in it."""
        self.prepared.clear()
        self._answers.clear()
        self.page.goto(f"{self.site.url}/tab/tab.html?where={self._where}")
        self._call("start", self._options, timeout=TIMEOUT)

    def run(self, source: str, /, *, timeout: float = TIMEOUT, **values: object) -> Any:  # noqa: ANN401
        return unpacked(self._call("run", source, packed(values), timeout=timeout))

    def begin(self, source: str, /, **values: object) -> int:
        """Start a run and come back at once; finish() waits for it. A worker takes one run at a time, a page many."""
        return self._begin("run", source, packed(values))

    def finish(self, id: int, *, timeout: float = TIMEOUT) -> Any:  # noqa: ANN401
        """Return the value of a run that begin() started."""
        return unpacked(self._finish(id, timeout))

    def put(self, path: str, data: bytes) -> None:
        self._call("put", path, self.server.file(data).url, timeout=TIMEOUT)

    def _begin(self, call: str, *args: object) -> int:
        self._within(TIMEOUT, lambda: self.page.wait_for_function("true", timeout=1000 * TIMEOUT))
        self._count += 1
        self.page.evaluate("([id, call, args]) => begin(id, call, args)", [self._count, call, args])
        return self._count

    def _finish(self, id: int, timeout: float) -> Any:  # noqa: ANN401
        """Wait for the page to say that it called answer(), rather than ask it: one that hangs answers no question."""
        due = time.monotonic() + timeout
        while id not in self._answers:
            left = due - time.monotonic()
            if self.dead or left <= 0:
                raise self._hang(f"no answer in {timeout:.0f} s")
            self._within(timeout, partial(self._wait, 1000 * left))
        answer = self._answers.pop(id)
        if "error" in answer:
            raise HostHangError(f"{self.name}: {answer['error']}")
        return answer["value"]

    def _wait(self, ms: float) -> None:
        self.page.wait_for_event("console", predicate=lambda message: message.text == ANSWERED, timeout=ms)

    def _within(self, timeout: float, act: Callable[[], object]) -> None:
        from playwright.sync_api import Error

        try:
            act()
        except Error as error:
            raise self._hang(f"no answer in {timeout:.0f} s ({error})") from None

    def _hang(self, what: str) -> HostHangError:
        self.dead = True
        return HostHangError("\n".join([f"{self.name}: {what}", *self.console[-30:]]))

    def _call(self, call: str, *args: object, timeout: float) -> Any:  # noqa: ANN401
        return self._finish(self._begin(call, *args), timeout)
