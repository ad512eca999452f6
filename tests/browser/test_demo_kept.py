"""gemel's own page loses nothing: conversations are kept in the browser, and an answer that ends early can go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import demo
from browser.demo import DemoPage
from browser.pages import violations
from gemel_native.chat import read_conversation

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def one(profile: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoPage]:
    """One page for all tests: the native server answers, in four tokens."""
    with demo.tiny_site(tmp_path_factory.mktemp("kept"), n_layer=2, n_ctx=2048) as url:
        page = DemoPage(profile, url)
        page.set(max_tokens=4, temperature=0)
        page.choose("Native server")
        yield page
        page.close()
        assert page.noise() == []
        assert page.foreign() == []


def chats(one: DemoPage) -> Locator:
    """Open the list of conversations."""
    if not one.page.locator("#chats[open]").count():
        one.page.locator("#open-chats").click()
    one.page.locator("#chat-help", has_text="kept only in this browser").wait_for()
    return one.page.locator("#chat-list li")


def reload(one: DemoPage) -> list[str]:
    """Load the page again; return the questions that it shows."""
    one.page.reload()
    one.page.wait_for_selector("html[data-ready]", state="attached")
    return questions(one)


def questions(one: DemoPage) -> list[str]:
    return one.page.locator(".question").all_inner_texts()


def test_a_conversation_its_versions_and_the_draft_survive_a_reload(one: DemoPage) -> None:
    for text in ("first", "second"):
        one.ask(text)
    one.page.locator(".turn").first.get_by_role("button", name="Edit").click()
    assert one.page.locator(".editing .help").inner_text() == (
        "The version before is kept, with the question after it."
    )
    one.page.get_by_label("Edit the question").fill("changed")
    one.page.get_by_role("button", name="Ask again").click()
    one.page.locator(".which", has_text="2/2").wait_for()
    one.answered()
    one.last.get_by_role("button", name="Regenerate").click()
    one.page.locator(".which", has_text="3/3").wait_for()
    one.answered()
    one.page.locator("#question").fill("a draft")
    answer = one.last.locator(".text").inner_text()
    assert reload(one) == ["changed"]
    assert one.last.locator(".text").inner_text() == answer
    assert one.page.locator("#question").input_value() == "a draft"
    for _ in range(2):
        one.page.get_by_role("button", name="Version before").click()
    assert questions(one) == ["first", "second"]
    assert reload(one) == ["first", "second"]
    with one.page.expect_request("**/v1/chat/completions") as asked:
        one.ask("third")
    said = [message["content"] for message in json.loads(asked.value.post_data or "")["messages"]]
    assert said[::2] == ["first", "second", "third"]


def test_conversations_are_found_renamed_deleted_and_brought_back(one: DemoPage) -> None:
    one.page.locator("#new").click()
    assert one.page.locator("#question").input_value() == ""
    one.ask("What is a tide?")
    rows = chats(one)
    assert rows.count() == 2
    assert violations(one.page, "#chats") == []
    one.page.get_by_label("Search").fill("TIDE what")
    one.page.get_by_text("1 conversation found.").wait_for()
    rows.get_by_role("button", name="More").click()
    rows.get_by_role("button", name="Rename").click()
    one.page.get_by_label("Title").fill("About the sea")
    one.page.get_by_label("Title").press("Enter")
    rows.get_by_role("button", name="About the sea").first.wait_for()
    rows.get_by_role("button", name="More").click()
    rows.get_by_role("button", name="Delete").click()
    one.page.get_by_text("“About the sea” was deleted.").wait_for()
    assert questions(one) == []   # it was open
    rows.get_by_role("button", name="Undo").click()
    one.page.locator(".question", has_text="What is a tide?").wait_for()
    assert rows.get_by_role("button", name="About the sea").count() == 2   # to open it, and more
    one.page.keyboard.press("Escape")


def test_conversations_are_exported_and_imported(one: DemoPage, tmp_path: Path) -> None:
    row = chats(one).filter(has_text="first")
    row.get_by_role("button", name="More").click()
    files = {}
    for name in ("Markdown", "JSON"):
        with one.page.expect_download() as got:
            row.get_by_role("button", name=name).click()
        files[name] = tmp_path / got.value.suggested_filename
        got.value.save_as(files[name])
    assert [path.name for path in files.values()] == ["first.md", "first.json"]
    assert [message["role"] for message in read_conversation(files["JSON"])] == ["user", "assistant"] * 3
    (tmp_path / "no.json").write_text('{"messages": 5}', encoding="utf-8")
    one.page.locator("#chat-file").set_input_files([*files.values(), tmp_path / "no.json"])
    words = "2 conversations imported. no.json is not a conversation: it has no list of messages"
    one.page.get_by_text(words).wait_for()
    for imported in range(2):
        if imported:
            one.page.locator("#open-chats").click()
        one.page.locator("#chat-list li").nth(imported).locator(".pick").click()
        one.page.locator(".question", has_text="third").wait_for()
        assert questions(one) == ["first", "second", "third"]
    one.page.locator("#new").click()


def test_a_private_conversation_is_not_kept(one: DemoPage) -> None:
    many = chats(one).count()
    one.page.get_by_role("button", name="New private conversation").click()
    one.page.get_by_text("This conversation is private").first.wait_for()
    one.ask("secret")
    one.page.locator("#question").fill("a secret draft")
    assert one.page.get_by_text("Private: not kept").is_visible()
    assert "secret" not in one.page.evaluate("JSON.stringify(localStorage)")
    assert reload(one) == []
    assert one.page.locator("#question").input_value() == ""
    assert chats(one).count() == many
    one.page.keyboard.press("Escape")


AWAY = """
const fetch_ = window.fetch;
window.fetch = (address, ...rest) =>
    address.includes("v1/") ? Promise.reject(new TypeError("no")) : fetch_(address, ...rest);
window.back = () => { window.fetch = fetch_; dispatchEvent(new Event("online")); };
null
"""


def test_a_server_that_is_away_is_noticed_when_it_is_back(one: DemoPage) -> None:
    one.page.evaluate(AWAY)
    one.ask("Hello")
    assert one.page.locator(".error").inner_text() == (
        "The native server does not answer: it is off, or the network is."
    )
    assert one.last.locator(".foot").inner_text().split("\n")[:2] == ["Try again", "Answer in this tab instead"]
    assert one.page.get_by_role("radio", name="Native server").is_disabled()
    one.page.evaluate("back()")
    one.page.locator(".note", has_text="The native server is back.").wait_for()
    one.page.get_by_role("button", name="Try again").click()
    one.page.locator(".live", has_text="4 tokens").wait_for()
    assert one.page.get_by_role("radio", name="Native server").is_checked()


OFFLINE = """async () => {
    const { TabHost } = await import("./page/tab.js");
    const [host, said] = [new TabHost(), []];
    let calls = 0;
    const load = async () => {
        if (++calls === 1) throw Object.assign(new Error("the download failed"), { name: "SourceError" });
        return {};
    };
    Object.assign(host, { source: "a.gguf", gemel: { info: null, load } });
    Object.defineProperty(navigator, "onLine", { get: () => false, configurable: true });
    const loading = host.load({ onProgress: ({ stage }) => said.push(stage) });
    while (!said.includes("offline")) await new Promise((next) => setTimeout(next));
    dispatchEvent(new Event("online"));
    await loading;
    delete navigator.onLine;
    return [calls, said];
}"""


def test_a_download_waits_for_the_network_and_goes_on(one: DemoPage) -> None:
    assert one.page.evaluate(OFFLINE) == [2, ["start", "offline"]]


def streaming(one: DemoPage, text: str, times: int = 1) -> None:
    """Put a text, so many times, in the place of the native model's answers, which have no end."""
    body = f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n" * times
    headers = {"Content-Type": "text/event-stream", "Gemel-Host": "native"}
    one.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body, headers=headers))


def test_an_answer_that_breaks_off_stays_and_goes_on(one: DemoPage) -> None:
    streaming(one, "As far as ")
    found = one.ask("Hello")
    assert "As far as" in found
    assert "The native server's answer ended early." in found
    foot = one.last.locator(".foot").inner_text().split("\n")
    assert foot == [
        "Continue", "Copy", "Regenerate", "Compare with this tab", "Copy as …", "Answer in this tab instead"
    ]  # fmt: skip
    one.page.unroute("**/v1/chat/completions")
    with one.page.expect_request("**/v1/chat/completions") as asked:
        one.page.get_by_role("button", name="Continue").click()
    assert json.loads(asked.value.post_data or "")["messages"][-1] == {"role": "assistant", "content": "As far as "}
    assert one.answered().startswith("As far as ")
    assert one.page.locator(".error").count() == 0


def test_an_answer_that_repeats_itself_is_stopped(one: DemoPage) -> None:
    streaming(one, "And so on, and on. ", 200)
    one.ask("Loop")
    one.page.unroute("**/v1/chat/completions")
    assert one.last.locator(".live").inner_text().endswith("stopped: it repeated itself")
    assert one.last.get_by_role("button", name="Continue").is_visible()
    found = one.page.evaluate(
        "async (texts) => { const {repeats} = await import('./page/repeats.js'); return texts.map(repeats); }",
        ["ab c " * 200, "x" * 500, "-" * 300, "| a | b |\n" * 5, "".join(f"{i}. one\n" for i in range(400))],
    )
    assert found == [True, True, False, False, False]


FULL = """
IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); }; null
"""


def test_a_full_disk_is_said_once_and_the_conversation_goes_on(one: DemoPage) -> None:
    one.page.locator("#new").click()
    one.page.evaluate(FULL)
    one.ask("one")
    one.page.locator(".note", has_text="This browser’s storage is full, so this conversation is not kept.").wait_for()
    one.ask("two")
    assert questions(one) == ["one", "two"]
    assert one.page.locator(".note").count() == 1
    assert reload(one) == []


def test_a_message_that_is_sent_at_once_belongs_to_the_new_conversation(one: DemoPage) -> None:
    one.ask("before")
    one.page.evaluate("""() => {
        document.querySelector("#new").click();
        document.querySelector("#question").value = "at once";
        document.querySelector("#send").click();
    }""")
    one.page.locator(".question", has_text="at once").wait_for()
    one.answered()
    assert questions(one) == ["at once"]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ('{"top_k": -1, "seed": 5, "nonsense": 1, "theme": "pink"}', "discarded: top_k, nonsense, theme."),
        ('{"__proto__": {"temperature": 1}, "system": 3, "model": ""}', "discarded: __proto__, system, model."),
        ("[1, 2]", "were damaged"),
        ("{", "could not be read"),
    ],
)
def test_stored_nonsense_is_dropped_with_a_note(one: DemoPage, stored: str, said: str) -> None:
    one.page.evaluate("text => localStorage.setItem('gemel-page', text)", stored)
    one.open()
    assert said in one.page.locator(".note").inner_text()
    one.page.get_by_role("button", name="Settings").click()
    assert one.page.locator("#set-top_k").input_value() == "40"
    assert one.page.locator("#set-seed").input_value() == ("5" if "seed" in stored else "")
