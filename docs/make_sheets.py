"""Draw all states of the demo page at four widths, light and dark: python docs/make_sheets.py [FILE.gguf].

Writes docs/page/sheet-light.webp and docs/page/sheet-dark.webp, for a look at everything after a change. The pictures
in the text are make_screenshots.py's.
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
from make_screenshots import FLAGS, NAME, OUT, ROOT, SEED  # which also finds what follows

from browser import demo  # isort: skip
from gemel_web import ServedModel  # isort: skip
from playwright.sync_api import BrowserContext, Page, sync_playwright  # isort: skip

SIZES = ((1440, 900), (1024, 768), (390, 844), (320, 640))
SCHEMES = ("light", "dark")
SCALE = 0.27   # of a picture in a sheet
QUALITY = 55
QUESTION = "Write a Python function that reverses a string, and say in a list how it works."
DIALOGS = ("chats", "models", "settings", "object", "tools", "help")


def states(page: demo.DemoPage) -> dict[str, Callable[[], None]]:
    """Return how each state is reached; Escape, or a reload, leaves it."""
    inner = page.page

    def dialog(name: str) -> Callable[[], None]:
        return lambda: inner.locator(f"#open-{name}").click()

    def tokens() -> None:
        inner.locator(".turn").last.get_by_role("button", name="Probabilities").click()
        inner.get_by_role("option").nth(4).click()

    def copies() -> None:
        inner.locator(".turn").last.get_by_role("button", name="Copy as").click()

    return {"answer": lambda: None, "tokens": tokens, "copies": copies, **{name: dialog(name) for name in DIALOGS}}


def shot(page: Page) -> str:
    """Return what is seen, as the address of a small picture."""
    page.wait_for_timeout(250)
    data = page.screenshot(type="jpeg", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def rows(context: BrowserContext, url: str) -> dict[str, list[list[str]]]:
    """Return pictures by scheme, size and state."""
    context.set_default_timeout(120_000)
    page = demo.DemoPage(context, url, drawer=False)
    found: dict[str, list[list[str]]] = {scheme: [[] for _ in SIZES] for scheme in SCHEMES}

    def take(act: Callable[[], None]) -> None:
        for i, (width, height) in enumerate(SIZES):
            page.page.set_viewport_size({"width": width, "height": height})
            act()
            for scheme in SCHEMES:
                page.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                found[scheme][i].append(shot(page.page))
            page.page.keyboard.press("Escape")
            page.open()

    take(lambda: None)
    page.choose("Native server")
    page.set(seed=SEED, max_tokens=160)
    page.ask(QUESTION)
    for act in states(page).values():
        take(act)
    page.close()
    return found


def sheet(context: BrowserContext, pictures: list[list[str]], name: str) -> None:
    """Draw pictures of one scheme: a row for each size."""
    page = context.new_page()
    boxes = "".join(
        "<p>" + "".join(f'<img src="{one}" width="{round(width * SCALE)}">' for one in row) + "</p>"
        for (width, _), row in zip(SIZES, pictures, strict=True)
    )
    width = round(SIZES[0][0] * SCALE + 8) * ((len(pictures[0]) + 1) // 2) + 16
    page.set_viewport_size({"width": width, "height": 400})
    page.set_content(
        "<style>body{margin:8px;background:#888}p{display:flex;flex-wrap:wrap;gap:8px;margin:0 0 8px}</style>" + boxes
    )
    page.wait_for_timeout(300)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})
    session = context.new_cdp_session(page)
    picture = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    data = base64.b64decode(picture["data"])
    (OUT / f"{name}.webp").write_bytes(data)
    print(f"{len(data):8,} {name}.webp")
    page.close()


def main() -> None:
    """Draw the sheets."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else gemel.pull(NAME)
    browser = os.environ.get("GEMEL_CHROMIUM") or shutil.which("chromium")
    app = demo.site({NAME: ServedModel(gemel.open(file), (file,))}, ROOT / "web" / "gemel_web" / "static")
    with (
        demo.listening(app) as url,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    ):
        context = playwright.chromium.launch_persistent_context(folder, executable_path=browser, args=FLAGS)
        for scheme, pictures in rows(context, url).items():
            sheet(context, pictures, f"sheet-{scheme}")
        context.close()


if __name__ == "__main__":
    main()
