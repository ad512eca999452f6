"""Tabs of a real browser for tests: Debian's Chromium, driven by Playwright, and nothing from the internet.

    def test_x(tab):                 # tabs are shared by all tests: Pyodide's start takes seconds
        assert tab(isolated=True, where="worker").run("1 + 1") == 2
    def test_y(new_tab):             # a tab of the test's own in the profile of all tests: its Python may be spoilt
        first, second = new_tab(), new_tab()
    def test_z(fresh_tab, server):   # a profile of the test's own, three CPU seconds more: OPFS and caches are empty
        first, second = fresh_tab(), fresh_tab()

A console error fails the test unless it was expected; what the tabs said is then kept in build/browser/failed.
Skipped by name where Chromium or Playwright is missing, unless GEMEL_REQUIRE_TOOLS is set.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import building
import pyodide_files
import pytest

if TYPE_CHECKING:
    from browser.hosts import Host, Tab, Watched
    from browser.pages import ApiPage
    from browser.server import Served, Server, Trap
    from playwright.sync_api import BrowserContext

FAILED = building.BUILD / "browser" / "failed"
# Functions of WebAssembly are compiled when they are first called: a start of Pyodide takes half the CPU time.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter,Translate,NetworkTimeServiceQuerying",
    "--js-flags=--expose-gc --wasm-lazy-compilation",
]  # fmt: skip
WAIT_MS = 180_000   # for what a page shall show: a slow machine may need a minute to start Python
OpenTab = Callable[..., "Tab"]
OpenPage = Callable[..., "ApiPage"]
OpenProfile = Callable[..., "BrowserContext"]
Shared = tuple[OpenProfile, dict[str, "Tab"]]


def chromium() -> Path:
    """Return the browser: GEMEL_CHROMIUM, or PATH's."""
    named = os.environ.get("GEMEL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not named or not Path(named).exists():
        building.lacking("Chromium is not installed (apt install chromium, or set GEMEL_CHROMIUM)")
    return Path(named)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The test server: sites, Pyodide's files, wheels, and files with switches."""
    for name in ("uvicorn", "starlette", "playwright", "pytest_playwright"):
        if importlib.util.find_spec(name) is None:
            building.lacking(f"{name} is not installed (pip install -e '.[dev]')")
    from browser.hosts import STATIC
    from browser.server import Server

    wheels = pyodide_files.wheels()[0].parent
    with Server({"tab": STATIC, "pyodide": pyodide_files.pyodide(), "wheels": wheels}) as made:
        yield made


@pytest.fixture(scope="session")
def trap() -> Iterator[Trap]:
    """A proxy that all but local addresses go to: it notes them and answers 502."""
    from browser.server import Trap

    with Trap() as made:
        yield made


@pytest.fixture(scope="session")
def open_profile(request: pytest.FixtureRequest, server: Server, trap: Trap) -> Iterator[OpenProfile]:
    """Start Chromium with a new user-data-dir, which goes when the next one is opened after it was closed.

    flags, preferences: of the browser, besides those of all tests.
    """
    program = chromium()
    playwright = request.getfixturevalue("playwright")
    closed: list[str] = []   # the folders of what was closed; Chromium may still be writing there for a moment

    def tidy() -> None:
        for folder in closed:
            shutil.rmtree(folder, ignore_errors=True)
        closed[:] = [folder for folder in closed if Path(folder).exists()]

    with tempfile.TemporaryDirectory(prefix="gemel-chromium-", ignore_cleanup_errors=True) as parent:

        def open_(*, flags: Sequence[str] = (), preferences: Mapping[str, object] | None = None) -> BrowserContext:
            tidy()
            folder = tempfile.mkdtemp(dir=parent)
            if preferences is not None:
                Path(folder, "Default").mkdir()
                Path(folder, "Default", "Preferences").write_text(json.dumps(preferences))
            context: BrowserContext = playwright.chromium.launch_persistent_context(
                folder, executable_path=program, args=[*FLAGS, *flags], headless=True,
                proxy={"server": f"http://{trap.address}", "bypass": "127.0.0.1,localhost"},
            )
            context.set_default_timeout(WAIT_MS)
            context.on("close", lambda _: closed.append(folder))
            return context

        yield open_


@pytest.fixture(scope="module")
def profile(open_profile: OpenProfile) -> Iterator[BrowserContext]:
    """A Chromium of the module's own."""
    made = open_profile()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _tabs(open_profile: OpenProfile) -> Iterator[Shared]:
    """What opens tabs of one profile, and the tabs that are open."""
    contexts: list[BrowserContext] = []

    def context() -> BrowserContext:
        if not contexts:
            contexts.append(open_profile())
        return contexts[0]

    yield context, {}
    for one in contexts:
        one.close()


def opener(server: Server, tabs: Shared, used: list[Tab]) -> OpenTab:
    """Return what opens a tab, or gives one that is open and has equal options."""
    from browser.hosts import Tab

    context, there = tabs

    def open_(**options: Any) -> Tab:  # noqa: ANN401
        key = repr(sorted({"isolated": False, "where": "main", **options}.items()))
        if key not in there or there[key].dead or there[key].page.is_closed():
            there[key] = Tab(context(), server, **options)
        used.append(there[key])
        return there[key]

    return open_


@pytest.fixture
def tab(request: pytest.FixtureRequest, server: Server, trap: Trap, _tabs: Shared) -> Iterator[OpenTab]:
    """Return tabs by isolated=, where=, csp=, env=, wheels=, jspi= (see Tab); equal ones are one tab of the session."""
    used: list[Tab] = []
    yield opener(server, _tabs, used)
    judge(request, used, trap)


@pytest.fixture
def new_tab(request: pytest.FixtureRequest, server: Server, trap: Trap, _tabs: Shared) -> Iterator[OpenTab]:
    """Open new tabs in the profile of all tests; they are closed after the test."""
    from browser.hosts import Tab

    context, _ = _tabs
    used: list[Tab] = []

    def open_(**options: Any) -> Tab:  # noqa: ANN401
        used.append(Tab(context(), server, **options))
        return used[-1]

    yield open_
    try:
        judge(request, used, trap)
    finally:
        for one in used:
            one.close()


@pytest.fixture
def fresh_tab(
    request: pytest.FixtureRequest, server: Server, trap: Trap, open_profile: OpenProfile
) -> Iterator[OpenTab]:
    """Open new tabs, all in a profile of this test's own."""
    from browser.hosts import Tab

    contexts: list[BrowserContext] = []
    used: list[Tab] = []

    def open_(**options: Any) -> Tab:  # noqa: ANN401
        if not contexts:
            contexts.append(open_profile())
        used.append(Tab(contexts[0], server, **options))
        return used[-1]

    yield open_
    try:
        judge(request, used, trap)
    finally:
        for context in contexts:
            context.close()


@pytest.fixture(scope="module")
def _modules_pages() -> Iterator[dict[str, ApiPage]]:
    pages: dict[str, ApiPage] = {}
    yield pages
    for page in pages.values():
        page.close()


@pytest.fixture
def api_page(
    request: pytest.FixtureRequest,
    server: Server,
    trap: Trap,
    _tabs: Shared,
    _modules_pages: dict[str, ApiPage],
) -> Iterator[OpenPage]:
    """Return pages with gemel's JavaScript API by the options of pages.ApiPage; equal ones are one page of the module.

    They are in the profile of all tests. new=True: a page of the test's own.
    """
    from browser.pages import ApiPage

    context, _ = _tabs
    used: list[ApiPage] = []
    own: list[ApiPage] = []

    def open_(*, new: bool = False, **options: Any) -> ApiPage:  # noqa: ANN401
        key = repr(sorted({"isolated": True, **options}.items()))
        there = _modules_pages.get(key)
        if new or there is None or there.dead or there.page.is_closed():
            there = ApiPage(context(), server, **options)
            if new:
                own.append(there)
            else:
                _modules_pages[key] = there
        used.append(there)
        return there

    yield open_
    try:
        judge(request, used, trap)
    finally:
        for page in own:
            page.close()


@pytest.fixture(scope="module")
def file(server: Server, data: bytes) -> Served:
    """The module's model, its fixture `data`, as the server has it."""
    return server.file(data)


@pytest.fixture
def loaded(api_page: OpenPage, file: Served) -> ApiPage:
    """A page with the module's model, without threads; one for all of its tests."""
    page = api_page(isolated=False)
    if not page.js("return window.gemel?.info?.name === v.url", url=file.url):
        page.js("window.gemel ??= new api.Gemel(); await gemel.load(v.url)", url=file.url)
    return page


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """This process as a host."""
    from browser.hosts import NativeHost

    made = NativeHost(tmp_path_factory.mktemp("native"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def node(server: Server) -> Iterator[Host]:
    """Pyodide under node."""
    from browser.hosts import NodeHost

    made = NodeHost(server)
    yield made
    made.close()


@pytest.fixture(params=["native", "node", "side module", "threads"])
def host(request: pytest.FixtureRequest) -> Host:
    """Each of the hosts; a test that takes it runs on all. They stay for the whole session."""
    name: str = request.param
    if name in ("native", "node"):
        made: Host = request.getfixturevalue(name)
        return made
    open_tab: OpenTab = request.getfixturevalue("tab")
    if name == "side module":
        return open_tab(name=name)
    from browser import hosts

    one = open_tab(name=name, isolated=True, where="worker")
    if "threads" not in one.prepared:
        one.run(f"import gemel.browser\nawait gemel.browser.start({hosts.THREADS})")
        one.prepared.add("threads")
    return one


@pytest.fixture
def served(server: Server) -> Callable[..., Served]:
    """Serve bytes: served(data, name="model.gguf", **switches), see browser.server.Served."""
    return server.file


def judge(request: pytest.FixtureRequest, tabs: Sequence[Watched], trap: Trap) -> None:
    """Fail the test for errors that it did not expect, and for calls to other machines; keep what was said and seen."""
    unexpected = [f"{one.name}: {error}" for one in dict.fromkeys(tabs) for error in one.unexpected()]
    unexpected += trap.outside()
    if unexpected or getattr(request.node, "failed", False):
        keep(request.node.nodeid, tabs)
    for one in tabs:
        one.console.clear()
    assert not unexpected, "console errors that the test did not expect:\n" + "\n".join(unexpected)


def keep(nodeid: str, tabs: Sequence[Watched]) -> None:
    """Write a failed test's console and screenshots."""
    FAILED.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "-", nodeid.rpartition("/")[2])[:150]
    for number, one in enumerate(dict.fromkeys(tabs)):
        (FAILED / f"{stem}-{number}.log").write_text("\n".join([one.name, *one.console, ""]), encoding="utf-8")
        if not one.dead and not one.page.is_closed():
            one.page.screenshot(path=FAILED / f"{stem}-{number}.png", timeout=5000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of tabs last: Playwright's event loop stays in the main thread, and others run their own there."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:  # noqa: ANN401
    """Let fixtures know, while they are torn down, that the test failed."""
    report = yield
    if report.failed:
        item.failed = True   # type: ignore[attr-defined]
    return report
