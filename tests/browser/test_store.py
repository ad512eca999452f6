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
const N = 20;
async function work() {
    const found = [];
    for (let i = 0; i < N; i++) {
        const store = await Store.open(`collected${i}`), bytes = new Uint8Array(1000);
        await store.writeMeta({ size: 5 });
        store.version = "v";
        await store.write(i, 1000 * i, bytes, await sha256(bytes));
        await store.rest();
        found.push([(await store.meta()).size, (await store.read(i, 1000 * i, bytes)) !== null, store.lost].join());
        await store.wipe();
    }
    return [...new Set(found)];
}
self.collecting = setInterval(gc, 0);
"""
SHARED = """
async function work() {
    const store = await Store.open("shared"), bytes = new Uint8Array(1000).fill(7);
    store.version = "v";
    await store.write(1, 1000, bytes, await sha256(bytes));
    await store.rest();
    const alone = async (name) => (await store.folder.getFileHandle(name)).createSyncAccessHandle();
    const open = await Promise.all([alone("v.data"), alone("v.table")]);
    await store.write(2, 2000, bytes, await sha256(bytes)); // it is not cached
    const found = await store.read(1, 1000, new Uint8Array(1000));
    const others = [await store.read(1, 1000, new Uint8Array(900)), await store.read(2, 2000, new Uint8Array(1000))];
    for (const one of open) one.close();
    return [found?.data.every((byte) => byte === 7), ...others, store.lost];
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
    assert run(shown, WORK) == ["5,true,"]


def test_a_block_that_another_page_has_open_is_read(shown: Page) -> None:
    """So it is in Firefox whenever two pages load a model at once: handles know no mode for readers there."""
    assert run(shown, SHARED) == [True, None, None, ""]
