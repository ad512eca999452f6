"""gemel's own page with the limits of a phone: a small screen with touch, 2 GB of memory, and four slow processors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import demo
from browser.demo import DemoPage

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MEMORY = 2   # GB
CPUS = 4
SLOWER = 4   # the page's own thread; workers are not slowed down
SCREEN = {"width": 412, "height": 839, "deviceScaleFactor": 2.625, "mobile": True}
AGENT = "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Mobile Safari/537.36"
LIMITS = "".join(
    f'Object.defineProperty(Object.getPrototypeOf(navigator), "{name}", {{ get: () => {value} }});'
    for name, value in {"deviceMemory": MEMORY, "hardwareConcurrency": CPUS}.items()
)
# The page and the worker that it starts from a Blob read them.
INIT = f"""{LIMITS}
const Plain = Blob;
window.Blob = class extends Plain {{
    constructor(parts, options) {{
        super(options?.type === "text/javascript" ? [{LIMITS!r}, ...parts] : parts, options);
    }}
}};"""


def as_phone(one: DemoPage) -> None:
    """Give a page a phone's limits, and load it again."""
    chrome = one.page.context.browser
    session = one.page.context.new_cdp_session(one.page)
    session.send("Emulation.setDeviceMetricsOverride", SCREEN)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    session.send("Emulation.setUserAgentOverride", {"userAgent": AGENT.format(chrome.version if chrome else "156")})
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    one.open()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("phone"), n_layer=2, n_ctx=2048) as url:
        yield url


def test_a_phone_answers_in_the_tab_and_knows_what_is_too_large(origin: str, profile: BrowserContext) -> None:
    with demo.visits(profile, origin) as visit:
        one = visit(init=INIT, width=SCREEN["width"], height=SCREEN["height"], drawer=False)
        as_phone(one)
        one.set(max_tokens=8)
        one.page.get_by_label("Your message").fill("Hello")
        one.page.locator("#send").click()   # by touch, Enter is a new line
        one.last.locator(".text").wait_for()
        one.answered()
        assert one.page.locator("#fact-threads").text_content() == str(CPUS)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= SCREEN["width"]
        found = one.page.evaluate("""async () => {
            const { device, fit } = await import("./page/device.js");
            const limits = await device();
            return [limits.memory, limits.threads, ...[98e6, 1e9, 1.7e9].map((size) => fit(size, limits).level)];
        }""")
        assert found == [MEMORY, CPUS, "fits", "tight", "no"]
