"""gemel's own page: files of a question, presets of the system prompt, speech, and the column beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import demo
from browser.demo import DemoPage
from browser.pages import violations

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, FilePayload, Locator

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., DemoPage]
NOTES = "Tides\n```\nHigh water is at noon.\n```\n"
DROP = """(files) => {
    const data = new DataTransfer();
    for (const [name, text] of files) data.items.add(new File([text], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
VOICES = """
SpeechSynthesis.prototype.getVoices = () => ALL;
SpeechSynthesis.prototype.speak = (said) => (window.said = said.text);
Object.defineProperty(SpeechSynthesisUtterance.prototype, "voice", { set(voice) { window.voice = voice.name; } });
"""
LISTENS = """
window.SpeechRecognition = class extends EventTarget {
    static available = async ({ processLocally }) => (processLocally ? STATE : "available");
    start() {
        const result = Object.assign([{ transcript: " high water " }], { isFinal: true });
        this.dispatchEvent(Object.assign(new Event("result"), { results: [result], resultIndex: 0 }));
    }
    stop() { this.dispatchEvent(new Event("end")); }
};
window.webkitSpeechRecognition = undefined;
"""


def file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "", "buffer": data}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("files"), n_layer=1, n_ctx=2048) as url:
        yield url


@pytest.fixture
def visit(origin: str, profile: BrowserContext) -> Iterator[Open]:
    """Return pages on which the native server answers."""
    with demo.visits(profile, origin) as open_page:
        def at_server(**options: object) -> DemoPage:
            one = open_page(**options)
            one.choose("Native server")
            return one

        yield at_server


def bodies(one: DemoPage) -> list[Any]:
    """Return where the messages of requests to the server will be."""
    found: list[Any] = []
    one.page.on(
        "request",
        lambda request: found.append(json.loads(request.post_data or "")["messages"])
        if request.url.endswith("/v1/chat/completions") else None,
    )  # fmt: skip
    return found


def chip(one: DemoPage, name: str) -> Locator:
    return one.page.locator("#attachments .file", has_text=name)


# ---- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_folded_with_its_tokens_and_read_with_the_question(visit: Open) -> None:
    one = visit()
    one.set(max_tokens=4)
    asked = bodies(one)
    one.page.evaluate(DROP, [["notes.txt", NOTES], ["other.csv", "a,b"]])
    chip(one, "notes.txt").get_by_text("tokens").wait_for()
    assert not chip(one, "notes.txt").locator("pre").is_visible()
    one.page.get_by_role("button", name="Remove other.csv").click()
    assert one.page.locator("#attachments .file").count() == 1
    one.ask("When is high water?")
    wanted = f"When is high water?\n\nFile notes.txt:\n````\n{NOTES}````"
    assert asked[-1] == [{"role": "user", "content": wanted}]
    assert not one.page.locator("#attachments").is_visible()
    assert one.last.locator("h2").inner_text() == "When is high water?"
    one.open()   # again: it is kept
    one.last.locator(".file summary").click()
    assert one.last.locator(".file pre").text_content() == NOTES
    assert violations(one.page, "#turns") == []
    one.last.get_by_role("button", name="Regenerate").click()
    one.answered()
    assert asked[-1][0]["content"] == wanted


def test_texts_that_are_dropped_with_a_model_are_attached(visit: Open) -> None:
    one = visit()
    one.page.evaluate(DROP, [["notes.txt", NOTES], ["other.gguf", "GGUF"]])
    chip(one, "notes.txt").wait_for()
    assert one.page.locator("#model-name").inner_text() == "other"
    assert one.page.locator("#attachments .file").count() == 1


@pytest.mark.parametrize(("name", "data", "why"), [
    ("photo.png", b"\x89PNG\xff\x00", "photo.png is not a text file"),
    ("zero.txt", b"a\0b", "zero.txt is not a text file"),
    ("long.txt", b"a" * 256_001, "long.txt has 257 kB: at most 256 kB can be attached"),
    ("empty.txt", b" \n", "empty.txt is empty"),
])  # fmt: skip
def test_what_is_no_text_or_too_large_is_refused_with_a_reason(visit: Open, name: str, data: bytes, why: str) -> None:
    one = visit()
    one.page.locator("#attach-file").set_input_files([file(name, data), file("good.txt", b"good")])
    one.page.locator("#status", has_text=why).wait_for()
    assert one.page.locator("#attachments .file-name").all_inner_texts() == ["good.txt"]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (320, 640)], ids=["desktop", "phone"])
def test_files_and_presets_are_accessible_and_fit(visit: Open, width: int, height: int) -> None:
    one = visit(width=width, height=height)
    one.page.locator("#attach-file").set_input_files([file("a" * 80 + ".txt", b"good"), file("b.md", b"# b")])
    chip(one, "b.md").locator("summary").click()
    one.page.get_by_role("button", name="Settings").click()
    one.page.get_by_label("Preset of the system prompt").select_option("Brief")
    assert violations(one.page) == []
    one.page.keyboard.press("Escape")
    assert violations(one.page) == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_system_prompt_is_a_preset_or_the_visitors_own_and_has_a_sign(visit: Open) -> None:
    one = visit()
    asked = bodies(one)
    sign = one.page.locator("#system-sign")
    assert not sign.is_visible()
    one.page.get_by_role("button", name="Settings").click()
    one.page.get_by_label("Preset of the system prompt").select_option("Brief")
    one.page.keyboard.press("Escape")
    assert sign.inner_text() == "System: brief"
    one.set(max_tokens=3)
    one.ask("Hello")
    assert asked[-1][0] == {"role": "system", "content": "Answer in one or two short sentences."}
    sign.click()
    one.page.locator("#system").fill("Be odd.")
    assert one.page.get_by_label("Preset of the system prompt").input_value() == ""
    one.page.keyboard.press("Escape")
    assert sign.inner_text() == "System prompt set"


# ---- Speech ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_local", [True, False])
def test_only_a_voice_of_this_device_reads_aloud(visit: Open, is_local: bool) -> None:
    voices = [{"name": "far", "lang": "en", "localService": False}]
    voices += [{"name": "near", "lang": "en-GB", "localService": True}] * is_local
    one = visit(init=VOICES.replace("ALL", json.dumps(voices)))
    one.set(max_tokens=4)
    one.ask("Hello")
    one.last.get_by_role("button", name="Regenerate").wait_for()
    act = one.last.get_by_role("button", name="Read aloud")
    if not is_local:
        assert act.count() == 0
    else:
        act.click()
        assert one.page.evaluate("window.voice") == "near"
        assert act.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("state", ["available", "downloadable"])
def test_voice_input_exists_only_where_the_device_recognises_speech_itself(visit: Open, state: str) -> None:
    one = visit(init=LISTENS.replace("STATE", json.dumps(state)))
    act = one.page.get_by_role("button", name="Speak")
    if state == "available":
        act.click()
        assert one.page.get_by_label("Your message").input_value() == "high water"
    else:
        assert act.count() == 0


# ---- The column beside -----------------------------------------------------------------------------------------------


def test_the_column_is_closed_for_newcomers_and_as_it_was_left_afterwards(visit: Open) -> None:
    one = visit(drawer=False)
    act = one.page.get_by_role("button", name="Panel")
    assert act.get_attribute("aria-expanded") == "false"
    assert not one.page.locator("#figures").is_visible()
    act.click()
    assert one.page.locator("#figures").is_visible()
    one.open()
    assert one.page.locator("#figures").is_visible()
    assert max((size for size, *_ in one.page.evaluate("seen.shifts")), default=0) < 0.001
    one.page.get_by_role("button", name="Panel").click()
    one.open()
    assert not one.page.locator("#figures").is_visible()


def test_each_example_keeps_the_visitors_program(visit: Open) -> None:
    one = visit()
    code, example = one.page.locator("#code"), one.page.locator("#example")
    original = code.input_value()
    one.page.locator(".editor .hljs-keyword").first.wait_for()
    assert one.page.locator(".editor pre").text_content() == original + "\n"
    code.fill("print('mine')")
    example.select_option(label="A chat")
    assert "model.chat(" in code.input_value()
    one.open()
    assert code.input_value() == "print('mine')"
    assert violations(one.page, "#cell") == []
    one.page.get_by_role("button", name="Original").click()
    assert code.input_value() == original
    assert not one.page.get_by_role("button", name="Original").is_visible()


def test_a_program_that_is_too_long_to_be_kept_stays_until_the_page_is_closed(visit: Open) -> None:
    one = visit()
    code, example = one.page.locator("#code"), one.page.locator("#example")
    code.fill("#" * 100_001)
    assert one.page.locator("#cell-status").inner_text().startswith("Over 100000 characters: kept only until")
    example.select_option(label="A chat")
    example.select_option(index=0)
    assert len(code.input_value()) == 100_001
    one.open()
    assert "import gemel" in code.input_value()


def test_tab_indents_while_one_types_and_catches_nobody(visit: Open) -> None:
    one = visit()
    code, keys = one.page.locator("#code"), one.page.keyboard
    code.fill("")
    one.page.locator("#example").focus()
    keys.press("Tab")
    keys.press("Tab")   # nothing was typed: on to the next control
    assert one.page.evaluate("document.activeElement.id") == "run"
    code.focus()
    keys.type("if x:\nprint(1)")
    assert code.input_value() == "if x:\n    print(1)"
    keys.press("Shift+Tab")
    assert code.input_value() == "if x:\nprint(1)"
    code.evaluate("(field) => field.setSelectionRange(0, field.value.length)")
    keys.press("Tab")
    assert code.input_value() == "    if x:\n    print(1)"
    keys.press("Shift+Tab")
    assert code.input_value() == "if x:\nprint(1)"
    keys.press("Control+z")
    assert code.input_value() == "    if x:\n    print(1)"
    keys.press("Escape")
    keys.press("Tab")
    assert one.page.evaluate("document.activeElement.id") == "run"
