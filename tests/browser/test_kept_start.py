"""A start of Python is kept for later ones, and used only as it was written, by the files and browser that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import tiny
from browser.pages import ApiPage
from conftest import CHATML

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
# What later starts find: files() -> {name: size}.
FILES = """
const root = await navigator.storage.getDirectory();
const folder = () => root.getDirectoryHandle("gemel-start", { create: true });
const files = async () => {
    const found = {};
    for await (const [name, one] of (await folder()).entries()) found[name] = (await one.getFile()).size;
    return found;
};
const whole = async () => {   // the file that a start kept, when it is written
    for (;;) {
        const [[name, size] = []] = Object.entries(await files());
        if (size > 30e6) return navigator.locks.request("gemel-start", () => name);   // it is no longer written
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
};
const change = async (name, data, position, keepExistingData = true) => {
    const handle = await (await folder()).getFileHandle(name, { create: true });
    const stream = await handle.createWritable({ keepExistingData });
    await stream.write({ type: "write", position, data });
    await stream.close();
};
const write = (name, data) => change(name, data, 0, false);
"""
# start() -> [whether Python's memory was kept, what an answer is, a random number]
START = """
const start = async () => {
    const gemel = new api.Gemel();
    const found = JSON.parse((await gemel.run(`
import json, random, sys
json.dumps(["gemel.model.generation" in sys.modules, random.random()])`)).slice(1, -1));
    await gemel.load(v.url);
    const { text } = await gemel.chat([{ role: "user", content: "Hello" }], { max_tokens: 12, seed: 5 }).result;
    return { gemel, kept: found[0], random: found[1], text };
};
const again = async () => {
    const { gemel, ...found } = await start();
    gemel.close();
    return found;
};
"""
KEEP = """
await root.removeEntry("gemel-start", { recursive: true }).catch(() => {});
const first = await start();
const name = await whole();
first.gemel.close();
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=512, chat_template=CHATML)


@pytest.mark.parametrize("isolated", [True, False], ids=["threads", "side module"])
def test_a_later_start_has_what_the_first_imported_and_gives_the_same_answers(
    api_page: OpenPage, file: Served, isolated: bool
) -> None:
    page = api_page(isolated=isolated)
    found = page.js(
        FILES + START + KEEP + "return [first.kept, first.text, await again(), await again(), await files(), name]",
        url=file.url,
    )
    first, text, second, third, files, name = found
    assert not first
    assert second["kept"]
    assert third["kept"]
    assert text == second["text"] == third["text"]
    assert second["random"] != third["random"]
    assert list(files) == [name]


def test_a_start_that_is_damaged_or_refused_is_not_used_and_one_of_another_version_goes(
    api_page: OpenPage, file: Served
) -> None:
    found = api_page().js(
        FILES + START + KEEP
        + "await change(name, Uint8Array.of(1), 20e6);"
        "await write('0123', new Uint8Array(9));"
        "const second = await start();"
        "const remade = await whole();"
        "second.gemel.close();"
        "const names = Object.keys(await files());"
        "const bytes = new Uint8Array(1e6);"   # another memory, with its right hash
        "const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));"
        "await write(name, new Uint8Array([...hash, ...bytes]));"
        "const third = await start();"
        "third.gemel.close();"
        "return [[first, second, third].map(({kept, text}) => [kept, text]), name, remade, names, await files()]",
        url=file.url,
    )   # fmt: skip
    starts, name, remade, names, left = found
    assert starts == [[False, starts[0][1]]] * 3
    assert name == remade
    assert names == [name]
    assert left == {}


def test_other_files_of_gemel_or_python_another_browser_and_other_rights_have_another_version(
    api_page: OpenPage,
) -> None:
    source = """
        const { versionOf } = await import(v.base + "kept_start.js");
        const site = { assets: await (await fetch(v.base + "assets.json")).json(), program: ["a", "b"] };
        const changed = (change) => {
            const other = structuredClone(site);
            change(other);
            return versionOf(other);
        };
        return Promise.all([
            versionOf(site), changed(() => {}),
            ...site.assets.pyodide.map((_, i) => changed(({ assets }) => (assets.pyodide[i].sha256 = "0"))),
            ...site.assets.wheels.map((_, i) => changed(({ assets }) => (assets.wheels[i].sha256 = "0"))),
            changed(({ program }) => (program[1] = "c")),
        ])"""
    own, same, *others = page_versions = _versions(api_page(), source)
    assert own == same
    assert len({own, *others}) == len(page_versions) - 1
    assert _versions(api_page(isolated=False), source)[0] != own


def _versions(page: ApiPage, source: str) -> list[str]:
    found: list[str] = page.js(source, base=page.base)
    return found


def test_no_start_is_kept_without_room_memory_or_a_private_file_system(api_page: OpenPage) -> None:
    page = api_page()
    found: dict[str, Any] = page.js(
        """
        const { keptStart, wantsStart } = await import(v.base + "kept_start.js");
        const set = (object, name, get) => Object.defineProperty(object, name, { get, configurable: true });
        const found = { usual: await wantsStart("0") };
        set(navigator.storage, "estimate", () => async () => ({ quota: 300e6, usage: 150e6 }));
        found.full = await wantsStart("0");
        delete navigator.storage.estimate;
        set(navigator, "deviceMemory", () => 2);
        found.small = await wantsStart("0");
        delete navigator.deviceMemory;
        set(navigator.storage, "getDirectory", () => async () => { throw new DOMException("no", "SecurityError"); });
        found.refused = await keptStart("0");
        delete navigator.storage.getDirectory;
        return found;
        """,
        base=page.base,
    )
    assert found == {"usual": True, "full": False, "small": False, "refused": None}
