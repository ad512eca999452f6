"""How soon the page answers when it is opened again: from navigation to the first text of an answer, model cached.

    make assets && python tests/bench/page_opening.py [MODEL] [--rounds 5] [--restart]

The first visit downloads the model, asks, and waits until the site is saved for offline use. Each later visit opens
the page again, types a question as soon as the field is there, and sends it. --restart starts the browser again before
each visit. All times are milliseconds since the navigation began, as the page sees them; medians of the rounds.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser_tab import FLAGS
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

QUESTION = "Write one sentence about rivers."
TIMEOUT = 240_000   # milliseconds
# Notes when the worker reports, and when an answer's first text is shown.
WATCH = """
globalThis.marks = {};
globalThis.firstText = new Promise((resolve) => (globalThis.gotText = resolve));
const mark = (name) => (marks[name] ??= Math.round(performance.now()));
const Plain = Worker;
globalThis.Worker = class extends Plain {
    constructor(...given) {
        super(...given);
        mark("worker starts");
        this.addEventListener("message", ({ data }) => {
            if (data.kind === "there") mark("worker runs");
            if (data.kind === "ready") mark("Python runs");
            if (data.kind === "progress") mark(`load: ${data.progress.stage}`);
            if (data.kind === "value" && data.value?.isa) mark("model is loaded");
        });
    }
};
new MutationObserver(() => {
    if (document.documentElement.dataset.ready !== undefined) mark("page is ready");
    const text = document.querySelector(".turn:last-of-type .text");
    if (globalThis.asked && text?.textContent.trim()) gotText(mark("first text"));
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
"""


@contextmanager
def serving(model: str) -> Iterator[str]:
    """Run `gemel demo`; yield its address."""
    command = [str(Path(sys.executable).with_name("gemel")), "demo", model, "--no-open", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                yield found[0]
                return
        raise SystemExit("gemel demo has not started")
    finally:
        server.terminate()
        server.wait()


def launch(playwright: Playwright, profile: str) -> BrowserContext:
    """Start Chromium with a profile on disk."""
    program = shutil.which("chromium")
    return playwright.chromium.launch_persistent_context(profile, executable_path=program, args=list(FLAGS))


def visit(context: BrowserContext, address: str) -> Page:
    """Open the page in a new tab, ask when it is ready, and wait for the first text."""
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.add_init_script(WATCH)
    page.goto(address, wait_until="commit")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.get_by_label("Your message").fill(QUESTION)
    page.evaluate("marks['asked'] = Math.round(performance.now()); globalThis.asked = true")
    page.get_by_label("Your message").press("Enter")
    page.evaluate("firstText")
    return page


def close(page: Page, pause: float = 500) -> None:
    """Wait until the answer is whole, forget it, and close the page some milliseconds later."""
    page.locator("#stop").wait_for(state="hidden")
    page.get_by_role("button", name="New", exact=True).click()
    page.wait_for_timeout(pause)
    page.close()


def main() -> None:
    """Measure, and print each visit and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2-135m-instruct")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--restart", action="store_true", help="start the browser again before each visit")
    options = parser.parse_args()
    seen: list[dict[str, int]] = []
    with (
        serving(options.model) as address, sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):  # fmt: skip
        context = launch(playwright, profile)
        first = visit(context, address)
        first.get_by_text("The site works offline.").wait_for(state="attached")
        print("first visit:", first.evaluate("marks"), flush=True)
        close(first, 12_000)   # what a first visit keeps for the next is made when nothing runs
        for _ in range(options.rounds):
            if options.restart:
                context.close()
                context = launch(playwright, profile)
            page = visit(context, address)
            seen.append(page.evaluate("marks"))
            print(seen[-1], flush=True)
            close(page)
        context.close()
    print("medians:")
    for name in seen[-1]:
        times = [one[name] for one in seen if name in one]
        print(f"{statistics.median(times):8.0f} ms  {name}")


if __name__ == "__main__":
    main()
