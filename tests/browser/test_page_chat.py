"""<gemel-chat>: a conversation by keyboard and mouse on any page, its events, and what a screen reader says."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import building
import gemel
import pyodide_files
import pytest
import tiny
from browser.pages import CSP, ApiPage, violations
from browser.server import Served
from conftest import CHATML

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
Serve = Callable[..., Served]
CONSOLE = "<gemel-chat>"   # of errors, which are for the page's author
BROKEN = "This chat can’t answer at the moment: something on the page has to be corrected first."
TYPES = building.ROOT / "tests" / "browser" / "types"
# An element with the attributes v.set; what it tells is window.told: [[type, detail], ...].
PLACE = """
document.querySelector("main").replaceChildren();
window.chat = document.createElement("gemel-chat");
for (const [name, value] of Object.entries(v.set)) chat.setAttribute(name, value);
chat.options = { max_tokens: 12, temperature: 0, ...v.options };
window.told = [];
for (const type of ["ready", "progress", "piece", "done", "error"])
    chat.addEventListener(type, ({ detail }) => told.push([type, detail]));
chat.addEventListener("progress", () => (window.live = chat.shadowRoot.querySelector(".status").ariaLive));
document.querySelector("main").append(chat);
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


def answers(data: bytes, system: str | None, *texts: str) -> list[str]:
    """Return what a native chat answers."""
    with gemel.open(data) as model:
        chat = model.chat(system)
        return [chat.send(text, max_tokens=12, temperature=0).read() for text in texts]


def letters(text: str) -> str:
    """Return a text's letters alone: Markdown changes spaces and marks."""
    return "".join(letter for letter in text if letter.isalnum())


def place(page: ApiPage, options: dict[str, object] | None = None, **attributes: str) -> None:
    page.js(PLACE, set=attributes, options=options or {})


@pytest.mark.parametrize(("isolated", "foreign"), [(False, True), (True, False)], ids=["foreign", "strict"])
def test_a_visitor_talks_with_the_model(
    api_page: OpenPage, file: Served, data: bytes, isolated: bool, foreign: bool
) -> None:
    one = api_page(new=True, module="gemel-chat.js", isolated=isolated, foreign=foreign, csp=None if foreign else CSP)
    place(one, model=file.url, system="Be brief.", placeholder="Say something")
    page = one.page
    wanted = answers(data, "Be brief.", "Why is the sky blue?", "And at night?")
    box = page.get_by_role("textbox", name="Your message")
    assert box.get_attribute("placeholder") == "Say something"
    box.fill("Why is the sky blue?")
    box.press("Enter")
    page.wait_for_selector("text=6 tokens in this tab")
    box.fill("And at night?")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector(".message >> nth=3")
    assert one.js(
        "while (told.filter(([type]) => type === 'done').length < 2) await new Promise((go) => setTimeout(go, 10));"
        "return chat.messages.map(({role, content}) => [role, content])"
    ) == [
        ["user", "Why is the sky blue?"], ["assistant", wanted[0]], ["user", "And at night?"], ["assistant", wanted[1]],
    ]  # fmt: skip
    told = one.js("return told.map(([type]) => type)")
    assert told[0] == "progress"
    assert told.count("ready") == 1
    assert told[-1] == "done"
    pieces, results = one.js(
        "const texts = (kind) => told.filter(([type]) => type === kind).map(([, detail]) => detail.text);"
        "return [texts('piece'), texts('done')]"
    )
    assert ("".join(pieces), results) == ("".join(wanted), wanted)
    log = page.get_by_role("log", name="Conversation")
    assert log.get_attribute("aria-live") == "polite"
    assert log.get_attribute("aria-busy") == "false"
    assert (one.js("return live"), page.get_by_role("status").get_attribute("aria-live")) == ("off", "polite")
    assert letters(page.locator(".assistant .text").last.inner_text()) == letters(wanted[1])
    one.close()


def test_answers_are_valid_by_the_schema_of_the_attribute(api_page: OpenPage, file: Served) -> None:
    one = api_page(module="gemel-chat.js")
    ask = "await chat.load(v.url); return (await chat.ask('Which?'))?.text ?? told.at(-1)[1].message;"
    place(one, None, **{"json-schema": '{"enum": ["S", "M"]}'})
    assert one.js(ask, url=file.url) in ('"S"', '"M"')
    one.expect(CONSOLE)
    place(one, None, **{"json-schema": " "})
    assert one.js(ask, url=file.url) == '<gemel-chat>: json-schema="" is neither JSON nor the id of an element'
    place(one, None, **{"json-schema": "shirt"})
    script = "const one = document.createElement('script'); one.type = 'application/json'; one.id = 'shirt';"
    assert one.js(ask, url=file.url) == "<gemel-chat>: json-schema=\"shirt\" is neither JSON nor the id of an element"
    one.js(script + "one.textContent = '{\"const\": [\"x\"]}'; document.querySelector('main').append(one);")
    assert one.js(ask, url=file.url) == '["x"]'
    one.js("chat.options.json_schema = true;")
    assert "are both set" in one.js(ask, url=file.url)


def test_the_element_has_the_api_of_the_module(api_page: OpenPage, file: Served, data: bytes) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, threads="1")
    found = one.js(
        "const info = await chat.load(v.url);"
        "const text = (await chat.generate('Once', {max_tokens: 5, temperature: 0}).result).text;"
        "const pieces = []; for await (const piece of chat.chat([{role: 'user', content: 'Hi'}], {max_tokens: 5}))"
        "    pieces.push(piece);"
        "const listed = (await chat.cache.list()).some(({name}) => name === v.url);"
        "const n_embd = (await chat.embed('a')).length;"
        "return [info.threads, text, pieces.length > 0, n_embd, listed, await chat.run('1 + 1')]",
        url=file.url,
    )
    with gemel.open(data) as model:
        text = model.generate("Once", max_tokens=5, temperature=0).read()
        assert found == [1, text, True, model.n_embd, True, "2"]
    assert one.js("return (await chat.ask('Hello')).stop_reason") in ("length", "eos")
    one.js("chat.remove(); await null;")
    assert one.js("return [chat.info, (await caught(chat.embed('a')))[0]]") == [None, "StateError"]


def focused(one: ApiPage, what: str) -> None:
    """Wait for the focus; a page in the background matches no :focus."""
    wait = "await new Promise((go) => setTimeout(go, 5));"
    one.js(f"while (!chat.shadowRoot.activeElement?.matches(v.what)) {wait}", what=what)


def test_escape_and_the_button_stop(api_page: OpenPage, served: Serve) -> None:
    one = api_page(module="gemel-chat.js")
    slow = served(tiny.tiny_llama(n_layer=6, n_embd=384, n_ff=1536, n_ctx=4096, chat_template=CHATML))
    place(one, {"max_tokens": 1900}, model=slow.url, **{"ask-above": "none"})   # two answers go into the context
    one.js("chat.options = { ...chat.options, logit_bias: new Map([[0, -100], [2, -100]]) }")   # they do not end before
    page = one.page
    for stop in ("Escape", "Stop"):
        page.get_by_role("textbox").fill("Tell me everything")
        page.get_by_role("button", name="Send").click()
        focused(one, ".stop")
        one.js("while (told.at(-1)?.[0] !== 'piece') await new Promise((go) => setTimeout(go, 1));")
        page.keyboard.press("Escape") if stop == "Escape" else page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Stopped after")
        focused(one, "textarea")
        assert one.js("return told.at(-1)[1].stop_reason") == "cancelled"
        assert one.js("return chat.messages.length") == (2 if stop == "Escape" else 4)
        one.js("told.length = 0")


def test_what_is_typed_is_text_and_not_markup(api_page: OpenPage, file: Served) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, model=file.url)
    markup = "<img src=x onerror='window.broken = true'><b>bold</b>\nsecond line"
    box = one.page.get_by_role("textbox")
    box.fill("first")
    box.press("Shift+Enter")
    assert box.input_value() == "first\n"
    one.js("await chat.ask(v.markup)", markup=markup)
    assert one.page.locator(".user").first.inner_text().removeprefix("You:").strip() == markup
    assert one.js("return [window.broken, chat.shadowRoot.querySelectorAll('img, b').length]") == [None, 0]


def test_an_error_is_shown_and_the_question_stays(api_page: OpenPage, file: Served, served: Serve) -> None:
    one = api_page(module="gemel-chat.js")
    one.expect("404", "Failed to load resource", CONSOLE)
    gone = served(b"", status=404)
    place(one, model=gone.url)
    box = one.page.get_by_role("textbox")
    box.fill("Hello")
    box.press("Enter")
    alert = one.page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith("The model could not be downloaded.")
    assert gone.url in one.js("return told.at(-1)[1].message")
    assert one.js("return told.at(-1)[0] + ' ' + told.at(-1)[1].name") == "error SourceError"
    assert (box.input_value(), one.js("return chat.messages.length")) == ("Hello", 0)
    one.js("chat.setAttribute('model', v.url)", url=file.url)
    box.press("Enter")
    one.page.wait_for_selector("text=12 tokens in this tab")
    assert not alert.is_visible()
    one.js("chat.options = {nonsense: 1}")
    box.fill("More")
    box.press("Enter")
    alert.wait_for()
    assert alert.inner_text() == BROKEN
    assert "there is no option 'nonsense'" in one.js("return told.at(-1)[1].message")
    assert one.js("return chat.messages.length") == 2


@pytest.mark.parametrize("how", ["visitor", "autoload"])
def test_an_element_without_a_model_says_so(api_page: OpenPage, how: str) -> None:
    one = api_page(module="gemel-chat.js")
    one.expect(CONSOLE)
    if how == "autoload":
        place(one, autoload="")
    else:
        place(one)
        one.page.get_by_role("textbox").fill("Hello")
        one.page.get_by_role("button", name="Send").click()
    alert = one.page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == BROKEN
    words = "<gemel-chat> has no model: set its model attribute, or call load(model)"
    assert one.js("return told.map(([type, { name, message }]) => [type, name, message])") == [
        ["error", "TypeError", words]
    ]
    assert one.page.get_by_role("textbox").input_value() == ("Hello" if how == "visitor" else "")
    assert one.page.get_by_role("button", name="Send").is_visible()


def test_after_close_the_next_message_loads_the_model_again(api_page: OpenPage, file: Served, data: bytes) -> None:
    one = api_page(module="gemel-chat.js")
    one.expect(CONSOLE)
    place(one, threads="1")
    wanted = answers(data, None, "Hello")[0]
    raw = "await (await fetch(v.url)).arrayBuffer()"
    for model in (f"new File([{raw}], 'chosen.gguf')", "v.url", raw):
        one.js(f"await chat.load({model}); chat.close(); chat.messages = []; told.length = 0", url=file.url)
        result = one.js("return await chat.ask('Hello')")
        types = set(one.js("return told.map(([type]) => type)"))
        if model != raw:
            assert result["text"] == wanted
            assert {"ready", "piece", "done"} <= types
            assert "error" not in types
        else:
            assert (result, types) == (None, {"error"})
            said = one.js("return told.at(-1)[1].message")
            assert one.page.get_by_role("alert").inner_text() == BROKEN
            assert "given as bytes, which are not kept: call load(model) again" in said


def test_a_model_given_by_hand_stays_until_the_attribute_changes(
    api_page: OpenPage, file: Served, served: Serve
) -> None:
    one = api_page(module="gemel-chat.js")
    other = served(tiny.tiny_llama(n_layer=1, chat_template=CHATML), name="other.gguf")
    place(one, model=file.url)
    one.js("await chat.load(v.url); await chat.ask('Hello')", url=other.url)
    assert one.js("return chat.info.name").endswith("other.gguf")
    one.js("chat.close(); await chat.ask('Hello')")
    assert one.js("return chat.info.name").endswith("other.gguf")
    one.js("chat.setAttribute('model', v.url + '?2'); await chat.ask('Hello')", url=file.url)
    assert one.js("return chat.info.name").endswith("model.gguf?2")
    # An attribute that changes while a model is loaded counts from then on.
    one.js(
        "const loading = chat.load(v.other); chat.setAttribute('model', v.url); await loading; await chat.ask('Hello')",
        url=file.url, other=other.url,
    )
    assert one.js("return chat.info.name").endswith("model.gguf")


def test_it_loads_by_itself_when_told_so(api_page: OpenPage, file: Served) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, model=file.url, autoload="")
    one.page.wait_for_selector("text=model.gguf runs in this tab")
    assert one.js("return told.at(-1)[0]") == "ready"


SLOTS = """
chat.innerHTML = "<h3 slot=greeting>Ask the shop</h3><button slot=examples>Do you deliver?</button>"
    + "<button slot=examples data-question='Is it open on Sundays?'>Sundays</button>";
"""


def test_greeting_and_examples_are_the_pages_own_until_the_first_question(
    api_page: OpenPage, file: Served
) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, model=file.url)
    one.js(SLOTS)
    page = one.page
    assert page.get_by_role("heading", name="Ask the shop").is_visible()
    page.get_by_role("button", name="Sundays").click()
    page.locator(".assistant .foot").wait_for()
    assert one.js("return chat.messages[0].content") == "Is it open on Sundays?"
    assert not page.get_by_role("heading", name="Ask the shop").is_visible()


def test_an_answer_is_markdown_and_can_be_copied(api_page: OpenPage, file: Served) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, model=file.url)
    answer = "# Tides\n\n- **high**\n- [low](https://example.org/)\n\n```python\nprint(1)\n```\n<b>no markup</b>"
    one.js(
        "await chat.load(); const whole = { text: v.answer, reasoning: '', calls: [], stop_reason: 'stop',"
        "    messages: [{ role: 'assistant', content: v.answer }], usage: { completion_tokens: 9 }, timings: {} };"
        "chat.gemel.chat = () => ({ result: Promise.resolve(whole),"
        "    parts: async function* () { for (const one of v.answer) yield { kind: 'text', text: one }; } });"
        "await chat.ask('What is a tide?')",
        answer=answer,
    )
    text = one.page.locator(".assistant .text")
    assert [text.locator(name).count() for name in ("h3", "li", "strong", "a", ".code pre", "b")] == [1, 2, 1, 1, 1, 0]
    one.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    one.page.bring_to_front()
    one.page.locator(".assistant .foot").get_by_role("button", name="Copy").click()
    one.page.get_by_text("Copied").wait_for()
    assert one.js("return navigator.clipboard.readText()") == answer


def test_a_large_download_is_said_and_begins_only_when_the_visitor_agrees(
    api_page: OpenPage, file: Served, data: bytes
) -> None:
    one = api_page(module="gemel-chat.js")
    place(one, None, model=file.url + "?asked", **{"ask-above": "0"})
    page = one.page
    box = page.get_by_role("textbox", name="Your message")
    box.fill("Hello")
    box.press("Enter")
    offer = page.get_by_role("group", name="Download")
    words = offer.inner_text()
    assert f"the model model ({len(data) / 1e6:.1f} MB)" in words
    assert "and the program that runs it (1" in words
    assert violations(page, "gemel-chat") == []
    page.get_by_role("button", name="Not now").click()
    assert (box.input_value(), one.js("return [told.length, chat.messages.length]")) == ("Hello", [0, 0])
    box.press("Enter")
    page.get_by_role("button", name="Download and answer").click()
    page.locator(".assistant .foot").wait_for()
    assert not offer.is_visible()
    place(one, None, model=file.url + "?asked", **{"ask-above": "0"})   # a later visit: the model is kept here
    box.fill("Again")
    box.press("Enter")
    page.locator(".assistant .foot").wait_for()


def test_progress_in_words(api_page: OpenPage) -> None:
    one = api_page(module="gemel-chat.js")
    download = {"stage": "download", "done": 34_100_000, "total": 98_400_000, "speed": 12e6, "left": 5.4}
    steps = [
        download,
        {**download, "left": 200.0},
        {**download, "total": 0, "left": None, "speed": 0},
        {"stage": "prefill", "done": 3, "total": 30, "speed": 9, "left": 3},
    ]
    assert one.js("return v.steps.map(api.words)", steps=steps) == [
        "Downloading 34.1 of 98.4 MB · 12.0 MB/s · 6 s left",
        "Downloading 34.1 of 98.4 MB · 12.0 MB/s · 4 min left",
        "Downloading 34.1 MB",
        "Reading the prompt: layer 3 of 30",
    ]


def test_the_types_fit_a_program() -> None:
    """tsc accepts what the API takes and refuses what it does not."""
    modules = pyodide_files.npm(TYPES, building.BUILD / "types")
    folder = building.BUILD / "types"
    for source in (TYPES / "use.ts", *(building.ROOT / "web" / "gemel_web" / "static").glob("*.d.ts")):
        shutil.copyfile(source, folder / source.name)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    tsc = modules / "typescript" / "bin" / "tsc"
    done = building.execute(
        [building.node(), tsc, *options, "--lib", "es2022,dom,dom.iterable", folder / "use.ts", folder / "gemel.d.ts",
         folder / "gemel-chat.d.ts"],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
