"""gemel's own page for those who come for the first time, by touch, or with a screen reader; and in two tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browser import demo
from browser.demo import DemoPage
from browser.pages import violations

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., DemoPage]
TOUCH = """
const plain = matchMedia;
window.matchMedia = (query) => query.includes("coarse") ? { matches: true, addEventListener() {} } : plain(query);
"""
TYPED = """
addEventListener("DOMContentLoaded", () => (document.querySelector("#question").value = "What is a tide?"));
"""
HEARD = """
window.heard = [];
addEventListener("DOMContentLoaded", () => {
    const place = document.querySelector("#announcer");
    new MutationObserver(() => heard.push(place.textContent)).observe(place, { childList: true });
});
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("first"), n_layer=2, n_ctx=2048) as url:
        yield url


@pytest.fixture
def visit(origin: str, profile: BrowserContext) -> Iterator[Open]:
    with demo.visits(profile, origin) as open_:
        yield open_


# ---- The first minute ------------------------------------------------------------------------------------------------


def test_help_opens_by_its_key_where_nobody_types(visit: Open) -> None:
    one = visit()
    page = one.page
    assert page.locator("#welcome").get_by_role("link", name="Licences").get_attribute("href") == "LICENCES.txt"
    page.locator("#question").focus()
    page.keyboard.type("what?")
    assert page.locator("#question").input_value() == "what?"
    page.locator("#log").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Help").wait_for()
    assert violations(page, "#help") == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help", exact=True).click()
    page.get_by_role("dialog", name="Help").get_by_role("button", name="Close").click()
    assert page.locator("dialog[open]").count() == 0


def test_what_is_typed_while_the_page_starts_is_there_when_it_can_be_sent(visit: Open) -> None:
    one = visit(init=TYPED)
    field = one.page.locator("#question")
    assert field.input_value() == "What is a tide?"
    one.open()   # the draft, and what is typed again
    assert field.input_value() == "What is a tide?\nWhat is a tide?"
    one.choose("Native server")
    field.press("Enter")
    one.answered()
    assert field.input_value() == ""
    one.open()
    one.page.locator(".turn").wait_for()
    assert field.input_value() == "What is a tide?"


def test_the_page_can_be_installed(visit: Open) -> None:
    found = visit().page.evaluate("""async () => {
        const address = document.querySelector("link[rel=manifest]").href;
        const manifest = await (await fetch(address)).json();
        const sizes = {};
        for (const { src } of manifest.icons) {
            const image = new Image();
            image.src = new URL(src, address);
            await image.decode();
            sizes[src] = [image.naturalWidth, image.naturalHeight];
        }
        return { ...manifest, sizes, start: new URL(manifest.start_url, address).href };
    }""")
    for icon in found["icons"]:
        if icon["sizes"] != "any":
            assert found["sizes"][icon["src"]] == [int(number) for number in icon["sizes"].split("x")]
    assert {icon["purpose"] for icon in found["icons"]} == {"any", "maskable"}
    assert (found["display"], found["start"]) == ("standalone", visit().url + "/")


def test_the_start_of_python_is_said_with_sizes_and_time(visit: Open) -> None:
    said = visit().page.evaluate("""async () => {
        const { words } = await import("./words.js");
        const start = (done, total, speed, left) => words({ stage: "start", done, total, speed, left });
        return [start(0, 0, 0, null), start(1.3e6, 14e6, 2e6, 6.2), start(14e6, 14e6, 0, null)];
    }""")
    assert said == ["Starting", "Starting Python: 1.3 of 14.0 MB · 2.0 MB/s · 7 s left", "Starting Python"]


def test_the_tab_is_ready_before_the_question_if_the_model_is_kept(visit: Open) -> None:
    one = visit(init=HEARD)
    one.set(max_tokens=3)
    one.ask("Hello")
    heard = one.page.evaluate("heard")
    assert any(line.startswith("Starting Python: 1") for line in heard)
    assert "This tab answers." in heard
    assert heard[-1].startswith("Stopped at the answer limit. Answer: ")
    one.page.evaluate("localStorage.removeItem('gemel-speeds')")
    one.open()
    assert one.page.locator("#model-state").inner_text() != "loaded"
    one.page.locator("#question").focus()
    one.page.locator("#model-state", has_text="loaded").wait_for()
    one.ask("Hello again")
    one.open()   # it has answered here before
    one.page.locator("#model-state", has_text="loaded").wait_for()


def test_errors_are_in_a_visitors_words_with_the_developers_behind(visit: Open) -> None:
    found = visit().page.evaluate("""async () => {
        const { explained } = await import("./page/errors.js");
        const named = (name) => explained(Object.assign(new Error("row 3: no such thing"), { name }));
        return [named("OutOfMemoryError"), named("ContextError"), explained(new Error(""))];
    }""")
    assert found[0]["words"].startswith("This device doesn’t have enough free memory")
    assert found[0]["detail"] == "Row 3: no such thing."
    assert found[1:] == [{"words": "Row 3: no such thing.", "detail": ""}, {"words": "Error.", "detail": ""}]


def test_the_quarters_of_a_download_are_announced_once(visit: Open) -> None:
    heard = visit().page.evaluate("""async () => {
        const { Quarters } = await import("./page/announce.js");
        const [quarters, place, heard] = [new Quarters(), document.querySelector("#announcer"), []];
        for (const done of [0, 1e6, 3e6, 3.1e6, 5e6, 8e6, 9e6, 1e7, 1e7]) {
            place.replaceChildren();
            quarters.take({ stage: "download", done, total: 1e7 });
            heard.push(place.textContent);
        }
        return heard.filter(Boolean);
    }""")
    assert heard == [
        "Downloading the model: 10.0 MB, once.", "25 percent downloaded.", "50 percent downloaded.",
        "75 percent downloaded.", "The model is downloaded.",
    ]


def test_partial_answers_are_read_on_demand(visit: Open) -> None:
    one = visit()
    one.page.evaluate("""() => {
        const plain = fetch;
        const line = (content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\\n\\n`;
        const bytes = new TextEncoder().encode(line("Once upon"));
        const stream = new ReadableStream({
            start: (body) => {
                body.enqueue(bytes);
                window.finish = () => body.close();
            },
        });
        window.fetch = (address, ...rest) => String(address).includes("v1/chat")
            ? Promise.resolve(new Response(stream, { headers: { "Content-Type": "text/event-stream" } }))
            : plain(address, ...rest);
    }""")
    one.choose("Native server")
    one.say("Hello")
    one.page.locator(".text", has_text="Once upon").wait_for()
    one.page.get_by_role("button", name="Read the answer so far").press("Enter")
    assert one.page.locator("#announcer").inner_text() == "So far: Once upon"
    one.page.evaluate("finish()")
    one.answered()


# ---- Phones ----------------------------------------------------------------------------------------------------------


def test_on_touch_enter_makes_a_line_and_nothing_raises_the_keyboard(visit: Open) -> None:
    one = visit(width=390, height=844, init=TOUCH)
    one.choose("Native server")
    one.set(max_tokens=2)
    field = one.page.locator("#question")
    assert field.get_attribute("enterkeyhint") == "enter"
    field.fill("one")
    field.press("Enter")
    assert field.input_value() == "one\n"
    one.page.locator("#send").click()
    one.answered()
    one.page.locator("#new").click()
    assert one.page.evaluate("document.activeElement.tagName") != "TEXTAREA"


@pytest.mark.parametrize("width", [320, 390, 432])
def test_on_a_phone_each_icon_has_a_word_and_the_model_its_name(visit: Open, width: int) -> None:
    one = visit(width=width, height=700)
    for tool in one.page.locator(".tool:visible").all():
        label = tool.locator(".label").bounding_box()
        assert label is not None
        assert label["width"] > 10
        assert label["x"] >= 0
        assert label["x"] + label["width"] <= width
    name = one.page.locator("#model-name").bounding_box()
    assert name is not None
    assert name["width"] > 20
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), [(844, 390), (720, 450)], ids=["landscape", "200 %"])
def test_a_low_page_begins_at_the_top(visit: Open, width: int, height: int) -> None:
    one = visit(width=width, height=height)
    assert one.page.evaluate("scrollY") == 0
    one.choose("Native server")
    one.set(max_tokens=200)
    one.ask("Hello")
    one.page.reload()
    one.page.locator(".question").wait_for()
    assert one.page.evaluate("scrollY") == 0


# ---- Two tabs, and answers that are only reasoning -------------------------------------------------------------------


def test_two_tabs_with_one_conversation_lose_nothing(visit: Open) -> None:
    one = visit()
    one.choose("Native server")
    one.set(max_tokens=2)
    one.ask("first")
    one.page.locator("#open-chats").click()
    other = visit()
    other.choose("Native server")
    other.page.locator("#open-chats").click()
    other.page.locator("#chat-list .pick", has_text="first").first.click()
    other.page.locator(".question", has_text="first").wait_for()
    other.ask("from the other tab")
    one.page.keyboard.press("Escape")
    one.page.locator(".note", has_text="Another tab has changed this conversation.").wait_for()
    one.ask("from this tab")
    one.page.get_by_text("What you have here is kept as a separate one").first.wait_for()
    for page, wanted in ((one, "from this tab"), (other, "from the other tab")):
        page.page.reload()
        page.page.locator(".question", has_text=wanted).wait_for()
        assert page.page.locator(".question").all_inner_texts() == ["first", wanted]


def test_a_new_title_is_seen_in_another_tab_and_stays(visit: Open) -> None:
    one = visit()
    one.choose("Native server")
    one.set(max_tokens=2)
    one.ask("What is a tide?")
    other = visit()
    for page in (one, other):
        page.page.locator("#open-chats").click()
    rows = [page.page.locator("#chat-list li") for page in (one, other)]
    rows[1].first.locator(".pick").click()   # both have it open
    other.page.locator(".question", has_text="What is a tide?").wait_for()
    other.page.locator("#open-chats").click()
    rows[0].first.get_by_role("button", name="More").click()
    rows[0].first.get_by_role("button", name="Rename").click()
    one.page.get_by_label("Title").fill("About the sea")
    one.page.get_by_label("Title").press("Enter")
    rows[1].get_by_role("button", name="About the sea").first.wait_for()
    other.page.keyboard.press("Escape")
    other.choose("Native server")
    other.ask("And a wave?")   # it saves the conversation, with the title
    detail = rows[0].first.locator(".row-detail")
    for _ in range(20):   # it is stored soon after its answer, and a list has what is stored when it opens
        one.page.keyboard.press("Escape")
        one.page.locator("#open-chats").click()
        rows[0].first.locator(".row-name", has_text="About the sea").wait_for()
        if detail.inner_text().startswith("2 questions"):
            break
        one.page.wait_for_timeout(250)
    assert detail.inner_text().startswith("2 questions")


def test_an_answer_that_is_all_reasoning_can_have_a_higher_limit(visit: Open) -> None:
    assert visit().page.evaluate("""async () => {
        const { remedies } = await import("./page/remedies.js");
        const usage = { completion_tokens: 50 };
        const answer = { why: "stopped at the answer limit", text: "", messages: [], reasoning: "hm", usage };
        const [done, turn] = [[], { node: { answer } }];
        const talk = { limit: (n) => done.push(n), again: () => done.push("again") };
        const [button, ...more] = remedies(talk, turn, null);
        button.click();
        return [button.textContent, more.length, ...done];
    }""") == ["Ask again with up to 100 tokens", 0, 100, "again"]
