"""Draw the demo page as it is: python docs/make_screenshots.py [FILE.gguf] writes docs/page/*.webp.

Needs `make assets`, Chromium and playwright (the extra `dev`). What is drawn is what a visitor sees: the real page,
served as `gemel demo` does, with SmolLM2-135M-Instruct or the file that is named.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import gemel

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "page"
NAME = "smollm2-135m-instruct"
QUALITY = 82
FIRST, SECOND, SEED = "What is a tide?", "Write a Python function that reverses a string.", 5
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
NO_MEMORY = (
    "const Plain = Blob; Blob = function (parts, how) {"
    "    const no = 'WebAssembly.Memory = function () { throw new RangeError(`could not allocate memory`); };';"
    "    return new Plain([no, ...parts], how);"
    "};"
)

sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "pyodide_pkg/build", "web/build")]

from browser import demo  # noqa: E402
from browser.demo import DemoPage  # noqa: E402
from gemel_web import ServedModel  # noqa: E402
from playwright.sync_api import BrowserContext, sync_playwright  # noqa: E402


def draw(page: DemoPage, name: str) -> None:
    """Write what is seen as OUT/name.webp, and say how large it is."""
    page.page.wait_for_timeout(200)
    session = page.page.context.new_cdp_session(page.page)
    picture = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    data = base64.b64decode(picture["data"])
    (OUT / f"{name}.webp").write_bytes(data)
    print(f"{len(data):8,} {name}.webp")


def desktop(context: BrowserContext, url: str) -> None:
    """Draw a visit from the first look on."""
    one = DemoPage(context, url)
    one.page.emulate_media(color_scheme="light")
    one.page.get_by_text("works offline").wait_for(timeout=60_000)
    draw(one, "empty")
    one.set(seed=SEED, max_tokens=72)
    one.say(FIRST)
    one.page.locator(".words", has_text="Downloading").wait_for(timeout=60_000)
    one.page.wait_for_timeout(600)
    draw(one, "loading")
    one.answered()
    one.say(SECOND)
    one.page.locator(".turn >> nth=1").locator(".code").wait_for(timeout=demo.ANSWER_MS)
    draw(one, "answering")
    one.answered()
    one.last.get_by_role("button", name="Compare with the server").click()
    one.page.locator(".remark.same").wait_for(timeout=demo.ANSWER_MS)
    one.page.get_by_role("button", name="Run").click()
    one.page.locator("#cell-status", has_text="Done").wait_for(timeout=demo.ANSWER_MS)
    one.page.locator("#question").focus()
    draw(one, "page")   # the README's
    one.page.locator("#open-settings").click()
    draw(one, "settings")
    one.page.keyboard.press("Escape")
    one.page.locator("#open-models").click()
    one.page.locator("#cached li").first.wait_for()
    draw(one, "models")
    one.page.keyboard.press("Escape")
    one.page.emulate_media(color_scheme="dark")
    draw(one, "dark")
    one.close()


def cell(context: BrowserContext, url: str) -> None:
    """Draw the Python cell with its most telling program."""
    one = DemoPage(context, url)
    one.page.locator("#example").select_option(label="What comes next")
    one.page.get_by_role("button", name="Run").click()
    one.page.locator("#cell-status", has_text="Done").wait_for(timeout=demo.ANSWER_MS)
    draw(one, "python")
    one.close()


def fallback(context: BrowserContext, url: str) -> None:
    """Draw a tab that has no memory for the model."""
    one = DemoPage(context, url, init=NO_MEMORY)
    one.set(temperature=0, max_tokens=60)
    one.ask("What is the capital of Norway?")
    draw(one, "fallback")
    one.close()


def phone(context: BrowserContext, url: str) -> None:
    """Draw what a phone shows."""
    one = DemoPage(context, url, width=390, height=844)
    one.set(seed=SEED, max_tokens=72)
    draw(one, "phone-empty")
    one.ask(FIRST)
    one.ask(SECOND)
    draw(one, "phone")
    one.page.locator("#open-figures").click()
    draw(one, "phone-figures")
    one.close()


def main() -> None:
    """Draw every state, each in a separate browser profile."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else gemel.pull(NAME)
    browser = os.environ.get("GEMEL_CHROMIUM") or shutil.which("chromium")
    OUT.mkdir(exist_ok=True)
    static = ROOT / "web" / "gemel_web" / "static"
    visits: list[Callable[[BrowserContext, str], None]] = [desktop, cell, fallback, phone]
    with (
        gemel.open(file) as model,
        demo.listening(demo.site({NAME: ServedModel(model, (file,))}, static)) as url,
        sync_playwright() as playwright,
    ):
        for visit in visits:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                context = playwright.chromium.launch_persistent_context(folder, executable_path=browser, args=FLAGS)
                visit(context, url)
                context.close()


if __name__ == "__main__":
    main()
