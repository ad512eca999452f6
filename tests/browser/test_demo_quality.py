"""gemel's own page for everybody: axe-core finds nothing, it stays quick while an answer streams, nothing moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser import demo
from browser.demo import DemoPage
from browser.pages import static, violations
from conftest import CHATML
from gemel_web import ServedModel
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = 50.0   # milliseconds from which a browser calls a task long
ANSWER = """\
## Why the sky is blue

Light from the sun is **scattered** by molecules of the air, and *blue* light more than red: see
[Rayleigh scattering](https://example.org/rayleigh). In short:

1. sunlight has all colours,
2. short waves are scattered more,
3. so blue comes from everywhere.

| colour | wavelength |
|---|---:|
| blue | 450 nm |
| red | 700 nm |

> It is a matter of the fourth power.

```python
for colour, wavelength in {"blue": 450, "red": 700}.items():
    print(colour, (700 / wavelength) ** 4)
```

"""


def streaming(app: ASGIApp, *, times: int, pause: float) -> ASGIApp:
    """Put ANSWER, so many times, in the place of what the model would say natively."""
    text = ANSWER * times
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]

    async def body() -> Any:  # noqa: ANN401
        for piece in pieces:
            yield f"data: {json.dumps({'choices': [{'delta': {'content': piece}, 'finish_reason': None}]})}\n\n"
            await asyncio.sleep(pause)
        usage = {"prompt_tokens": 9, "completion_tokens": len(pieces), "total_tokens": 9 + len(pieces)}
        yield f"data: {json.dumps({'choices': [{'delta': {}, 'finish_reason': 'length'}]})}\n\n"
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/v1/chat/completions":
            headers = {"Gemel-Host": "native"}
            await StreamingResponse(body(), media_type="text/event-stream", headers=headers)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("quality") / "tiny.gguf"
    path.write_bytes(tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML))
    with gemel.open(path) as model:
        app = streaming(demo.site({"tiny": ServedModel(model, (path,))}, static()), times=6, pause=0.004)
        with demo.listening(app) as url:
            yield url


@pytest.fixture
def visit(origin: str, profile: BrowserContext) -> Iterator[Callable[..., DemoPage]]:
    with demo.visits(profile, origin) as open_:
        yield open_


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_nothing(visit: Callable[..., DemoPage], width: int, height: int) -> None:
    one = visit(width=width, height=height)
    page = one.page

    def found() -> list[str]:
        both: list[str] = []
        schemes: list[Any] = ["light", "dark"]
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            both += violations(page)
        return both

    assert found() == []
    one.choose("Native server")
    one.ask("Why is the sky blue?")
    page.locator(".turn").get_by_role("button", name="Edit").click()
    assert found() == []
    narrow = ("#open-figures", "#open-cell") if width < 1000 else ()
    for opener in ("#open-settings", "#open-models", "#open-object", *narrow):
        page.locator(opener).click()
        if opener == "#open-models":
            page.get_by_text("Nothing yet").wait_for()
        assert found() == []
        page.keyboard.press("Escape")


@contextmanager
def traced(page: Page) -> Iterator[list[float]]:
    """Collect how many milliseconds of CPU each task of a page's main thread takes.

    The browser's own list of long tasks has their duration, in which the machine may do other things.
    """
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    ended: list[bool] = []
    session.on("Tracing.dataCollected", lambda message: events.extend(message["value"]))
    session.on("Tracing.tracingComplete", lambda message: ended.append(message["dataLossOccurred"]))
    session.send("Tracing.start", {"traceConfig": {"includedCategories": ["toplevel"]}})
    found: list[float] = []
    try:
        yield found
    finally:
        session.send("Tracing.end")
        while not ended:
            page.wait_for_timeout(20)
        session.detach()
    assert ended == [False]
    main = {(one["pid"], one["tid"]) for one in events if one.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [one for one in events if one["name"].endswith("RunTask") and (one["pid"], one["tid"]) in main]
    found += [one["tdur"] / 1000 for one in tasks if "tdur" in one]


def test_a_long_task_is_noticed(visit: Callable[..., DemoPage]) -> None:
    one = visit()
    with traced(one.page) as tasks:
        one.page.evaluate("for (const end = performance.now() + 400; performance.now() < end; );")
    assert max(tasks) > LONG
    assert len(tasks) > 1


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_no_task_is_long_and_nothing_shifts_while_an_answer_streams(
    visit: Callable[..., DemoPage], width: int, height: int
) -> None:
    one = visit(width=width, height=height)
    one.choose("Native server")
    with traced(one.page) as tasks:
        one.say("Why is the sky blue?")
        one.answered()
    assert max(tasks) <= LONG
    assert one.page.evaluate("seen.shifts") == []
    assert len(one.last.locator(".text").inner_text()) > 5 * len(ANSWER) / 2


@pytest.mark.model
def test_the_tabs_own_answers_leave_the_page_free(
    profile: BrowserContext, real_model: gemel.Model, real_path: Path
) -> None:
    with demo.listening(demo.site({"smollm2": ServedModel(real_model, (real_path,))}, static())) as url:
        one = DemoPage(profile, url)
        one.set(max_tokens=100)
        one.ask("Why is the sky blue?")
        with traced(one.page) as tasks:
            one.ask("Tell me more, as a list.")
        shifts, noise = one.page.evaluate("seen.shifts"), one.noise()
        one.page.evaluate("localStorage.clear()")
        one.close()
    assert max(tasks) <= LONG
    assert shifts == []
    assert noise == []


def test_the_end_is_followed_only_by_who_looks_at_it(visit: Callable[..., DemoPage]) -> None:
    one = visit()
    one.choose("Native server")
    one.ask("first")
    left = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"
    assert one.page.locator("#log").evaluate(left) < 2
    one.say("second")
    one.page.locator(".live", has_text="tokens/s").nth(0).wait_for()
    # The event comes with the scrolling, as after a wheel; a script's would come a frame later, behind more text.
    one.page.locator("#log").evaluate("(log) => { log.scrollTop = 40; log.dispatchEvent(new Event('scroll')); }")
    one.answered()
    assert one.page.evaluate("document.querySelector('#log').scrollTop") == 40


def test_an_answer_that_shrinks_and_grows_between_two_frames_is_followed(visit: Callable[..., DemoPage]) -> None:
    one = visit()
    one.choose("Native server")
    one.ask("first")
    assert one.page.evaluate("""async () => {
        const log = document.querySelector("#log"), place = document.querySelector("#turns");
        const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
        const high = document.createElement("div");
        high.style.height = "1000px";
        place.append(high);
        await frame();
        await frame();
        high.style.height = "500px";
        await null;
        log.getBoundingClientRect(); // a layout: the log can't be scrolled as far as it was
        high.style.height = "4000px";
        await frame();
        await frame();
        return log.scrollHeight - log.scrollTop - log.clientHeight;
    }""") < 2


def test_on_a_low_page_all_scrolls_but_the_field_and_the_end_is_followed(visit: Callable[..., DemoPage]) -> None:
    one = visit(width=844, height=390)
    one.choose("Native server")
    one.say("first")
    one.page.locator(".code").nth(2).wait_for()   # far more than a screen
    box = one.page.locator("#question").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 390   # in sight, while the answer grows below
    one.answered()
    left = "document.scrollingElement.scrollHeight - innerHeight - scrollY"
    assert one.page.evaluate(left) < 2
    one.say("second")
    one.page.locator(".live", has_text="tokens/s").nth(0).wait_for()
    one.page.evaluate("scrollTo(0, 40)")
    box = one.page.locator("#stop").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 390
    one.answered()
    assert one.page.evaluate("scrollY") == 40


def test_all_can_be_done_by_keyboard(visit: Callable[..., DemoPage]) -> None:
    one = visit()
    page = one.page
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the message field"
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("id") == "question"
    page.locator("#open-settings").focus()
    page.keyboard.press("Enter")
    page.locator("#settings[open]").wait_for()
    page.keyboard.press("Escape")
    assert page.locator(":focus").get_attribute("id") == "open-settings"
    page.locator("input[name=host]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Native server").is_checked()
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {"open-models", "open-settings", "log", "question", "send", "example", "code", "run", "output"} <= seen


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (720, 450)], ids=["phone", "small", "200 %"])
def test_a_narrow_page_needs_no_sideways_scrolling(visit: Callable[..., DemoPage], width: int, height: int) -> None:
    one = visit(width=width, height=height)
    one.choose("Native server")
    one.ask("Why is the sky blue?")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#question", "#stop", "#send", "#open-models", "#open-object", "#open-settings"):
        box = one.page.locator(selector).bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width), selector


def test_the_first_paint_comes_within_a_second(visit: Callable[..., DemoPage]) -> None:
    one = visit()
    times = []
    for _ in range(3):
        one.open()
        times.append(one.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    assert min(times) < 1000, times
