"""The tab's cache while the browser collects garbage all the time, in a worker with only store.js."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import building
import pytest
from browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SOURCE = building.ROOT / "pyodide_pkg" / "engine" / "fetch" / "store.js"
WORK = """
const N = 20, bytes = new Uint8Array(1000 + 32);
async function work() {
    const store = await Store.open("collected");
    await store.writeMeta({ size: 5 });
    store.version = "v";
    bytes.set(await sha256(bytes.subarray(0, 1000)), 1000);
    for (let i = 0; i < N; i++) store.prepare(i);
    for (let i = 0; i < N; i++) (await store.write(i, bytes))();
    const read = (i) => store.read(i, 1000, () => new ArrayBuffer(1032), i % 2 === 0);
    const found = await Promise.all(Array.from({ length: N }, (_, i) => read(i)));
    return [(await store.meta()).size, found.filter((one) => one !== null).length, store.lost];
}
self.collecting = setInterval(gc, 0);
"""
SHARED = """
async function work() {
    const store = await Store.open("shared"), bytes = new Uint8Array(1000 + 32).fill(7);
    store.version = "v";
    bytes.set(await sha256(bytes.subarray(0, 1000)), 1000);
    (await store.write(0, bytes))();
    const open = await (await store.folder.getFileHandle("v.0")).createSyncAccessHandle();
    const found = await store.read(0, 1000, () => new ArrayBuffer(1032), true);
    const short = await store.read(0, 900, () => new ArrayBuffer(1032), true);
    open.close();
    return [found?.data.every((byte) => byte === 7), short];
}
"""
ANSWER = """
work().then(postMessage, (error) => postMessage(String(error))).finally(() => clearInterval(self.collecting));
"""


@pytest.fixture
def shown(open_profile: Callable[[], BrowserContext], server: Server) -> Iterator[Page]:
    profile = open_profile()
    page = profile.new_page()
    page.goto(f"{server.site().url}/tab/tab.html")
    yield page
    profile.close()


def run(shown: Page, work: str) -> object:
    """Run work() in a worker with store.js, and return what it does."""
    found: object = shown.evaluate(
        "(source) => new Promise((resolve) => {"
        "    const worker = new Worker(URL.createObjectURL(new Blob([source])));"
        "    worker.onmessage = ({data}) => resolve(data);"
        "    worker.onerror = ({message}) => resolve(message);"
        "    setTimeout(resolve, 120_000, 'it hangs');"
        "})",
        SOURCE.read_text(encoding="utf-8") + work + ANSWER,
    )
    return found


def test_files_are_answered_for_while_garbage_is_collected(shown: Page) -> None:
    assert run(shown, WORK) == [5, 20, ""]


def test_a_block_that_another_page_has_open_is_read(shown: Page) -> None:
    """So it is in Firefox whenever two pages load a model at once: handles know no mode for readers there."""
    assert run(shown, SHARED) == [True, None]
