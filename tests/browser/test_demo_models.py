"""gemel's own page offers models: what they are, whether they fit this device, what a repository of the hub has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gemel
import hub as local
import pytest
import tiny
from browser import demo
from browser.demo import DemoPage
from browser.pages import static, violations
from conftest import CHATML
from gemel.source.hub import HUB

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Route

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LARGE = {"alias": "large", "url": "models/large.gguf", "size": 700_000_000}
OF_DEVICE = """
Object.defineProperty(navigator, "deviceMemory", { value: 4, configurable: true });
"""
FITS = """async ([memory, free, kept]) => {
    const { fit } = await import("./page/device.js");
    return [1e8, 2e9, 3e9, 5e9, 0].map((size) => fit(size, { memory, free }, kept).level);
}"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def hub(data: bytes) -> Iterator[local.Hub]:
    with local.serving() as made:
        made.files["owner/repo@main"] = {"m-Q8_0.gguf": data, "m-Q4_0.gguf": data, "mmproj-Q8_0.gguf": b"no"}
        yield made


@pytest.fixture(scope="module")
def one(profile: BrowserContext, hub: local.Hub) -> Iterator[DemoPage]:
    """A page of a site that offers a large model; the hub is the one on this machine."""

    def redirected(route: Route) -> None:
        answer = route.fetch(url=route.request.url.replace(HUB, hub.url))
        route.fulfill(response=answer)

    profile.route(f"{HUB}/**", redirected)
    with demo.listening(demo.as_static_site(static(), LARGE)) as url:
        page = DemoPage(profile, url, init=OF_DEVICE)
        yield page
        page.close()
        assert [line for line in page.noise() if "404" not in line] == []


def models(one: DemoPage) -> Locator:
    """Open the dialog, and wait until the device's facts are there."""
    if not one.page.locator("#models[open]").count():
        one.page.locator("#open-models").click()
    one.page.locator("#cached-help", has_text=re.compile("Nothing yet|in total|was deleted")).wait_for()
    one.page.locator("#known [data-fit]").first.wait_for()
    return one.page.locator("#models")


def test_the_page_knows_the_short_names(one: DemoPage) -> None:
    source = "async () => (await import('./page/catalog.js')).KNOWN"
    known: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in one.page.evaluate(source)}
    assert set(known) == set(gemel.NAMES)
    for name, entry in gemel.NAMES.items():
        assert (known[name]["address"], known[name]["licence"]) == (entry.url, entry.licence)
        assert entry.size in (None, known[name]["size"])


def test_a_table_says_what_each_model_is_and_how_it_fits(one: DemoPage) -> None:
    sheet = models(one)
    row = sheet.locator("tr", has_text="qwen3-0.6b")
    assert [text for text in row.locator("td").all_inner_texts() if "speed" not in text] == [
        "639 MB", f"about {rate(row)} tokens/s\nrough guess", "fits", "Apache-2.0",
    ]
    assert "Reasons before it answers" in row.inner_text()
    assert "may be too large" in sheet.locator("tr", has_text="phi-4-mini").inner_text()
    assert sheet.locator("#offered tr", has_text="large").inner_text().startswith("large\nNo description")
    assert violations(one.page, "#models") == []
    one.page.keyboard.press("Escape")


def rate(row: Locator) -> str:
    found = re.search(r"about ([\d.]+) tokens/s", row.inner_text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("memory", "free", "kept", "levels"), [
    (8, 1e12, False, ["fits", "fits", "fits", "no", "unknown"]),
    (4, 1e12, False, ["fits", "tight", "tight", "no", "unknown"]),
    (2, 1e12, False, ["fits", "no", "no", "no", "unknown"]),
    (None, 1e12, False, ["unknown", "unknown", "unknown", "no", "unknown"]),
    (8, 1e9, False, ["fits", "tight", "tight", "no", "unknown"]),
    (8, 1e9, True, ["fits", "fits", "fits", "no", "unknown"]),
])  # fmt: skip
def test_what_fits_depends_on_memory_and_storage(
    one: DemoPage, memory: int | None, free: float, kept: bool, levels: list[str]
) -> None:
    assert one.page.evaluate(FITS, [memory, free, kept]) == levels


def test_speeds_are_measured_and_others_follow_from_them(one: DemoPage) -> None:
    assert one.page.evaluate("""async () => {
        const { Speeds } = await import("./page/device.js");
        const stored = new Map();
        const storage = () => ({ getItem: (key) => stored.get(key) ?? null, setItem: (...it) => stored.set(...it) });
        const speeds = new Speeds(storage);
        const guess = speeds.of("a", 1e9, { threads: 2 });
        speeds.note("b", 50, 2e8);
        const again = new Speeds(storage);
        stored.set("gemel-speeds", '[["a", "x"], 5]');
        return [guess, again.of("b", 2e8, {}), again.of("a", 1e9, {}), new Speeds(storage).of("a", 0, {})];
    }""") == [{"rate": 4, "from": "guess"}, {"rate": 50, "from": "measured"}, {"rate": 10, "from": "other"}, None]


def test_a_large_download_is_asked_for_first(one: DemoPage) -> None:
    one.say("Hello")
    ask = one.page.get_by_role("dialog", name="Download 700 MB?")
    ask.wait_for()
    assert violations(one.page, ".ask") == []
    ask.get_by_role("button", name="Not now").click()
    assert one.page.locator(".error").inner_text() == "The model was not downloaded."
    one.page.get_by_role("button", name="Try again").click()
    ask.wait_for()
    one.page.keyboard.press("Escape")
    one.page.locator(".error").wait_for()
    one.page.locator("#new").click()
    assert [url for url in one.requests if "large.gguf" in url] == []


def find(one: DemoPage, address: str) -> Locator:
    models(one).get_by_label("Another model").fill(address)
    one.page.get_by_role("button", name="Find").click()
    return one.page.locator("#hub-list li")


def test_a_repositorys_models_are_listed_and_one_is_loaded(one: DemoPage) -> None:
    rows = find(one, f"{HUB}/owner/repo/tree/main")
    one.page.get_by_text("2 models: choose one.").wait_for()
    assert [text.split("\n")[0] for text in rows.all_inner_texts()] == ["m-Q4_0.gguf", "m-Q8_0.gguf"]
    assert ["suggested" in text for text in rows.all_inner_texts()] == [False, True]
    assert violations(one.page, "#models") == []
    rows.nth(1).get_by_role("button").click()
    one.page.locator(".note", has_text="m-Q8_0 runs in this tab").wait_for(timeout=demo.ANSWER_MS)
    kept = models(one).locator("#cached li", has_text="m-Q8_0")
    assert kept.locator(".pick").get_attribute("aria-pressed") == "true"
    kept.get_by_role("button", name="Delete m-Q8_0").click()
    one.page.get_by_text(re.compile("m-Q8_0 was deleted: .* freed")).wait_for()


@pytest.mark.parametrize(("address", "said"), [
    ("hf:owner/none", "hf:owner/none: the hub does not list its files: HTTP 404"),
    ("hf:owner", "an address of the hub looks like hf:owner/repo/file.gguf"),
    ("https://example.org/a/b", "is neither hf:owner/repo nor the address of a page of the hub"),
])  # fmt: skip
def test_what_is_no_repository_is_said(one: DemoPage, address: str, said: str) -> None:
    find(one, address)
    one.page.locator("#hub-help", has_text=said).wait_for()
