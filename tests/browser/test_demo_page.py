"""gemel's own page: what a visitor does with it, in the tab and by the native server."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gemel
import pytest
import tiny
from browser import demo
from browser.demo import DemoPage
from browser.pages import static
from conftest import CHATML
from gemel_web import ServedModel

if TYPE_CHECKING:
    from browser.server import Trap
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., DemoPage]
NO_SIMD = "WebAssembly.validate = () => false;"
SYSTEM = [{"role": "system", "content": "Be brief."}]


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def tiny_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "tiny.gguf"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def model(tiny_file: Path) -> Iterator[gemel.Model]:
    with gemel.open(tiny_file) as opened:
        yield opened


@pytest.fixture(scope="module")
def origin(tiny_file: Path, model: gemel.Model) -> Iterator[str]:
    with demo.listening(demo.site({"tiny": ServedModel(model, (tiny_file,))}, static())) as url:
        yield url


@pytest.fixture
def visit(origin: str, profile: BrowserContext, trap: Trap) -> Iterator[Open]:
    """Open the page; it must say nothing on its console, and ask nobody else."""
    opened: list[DemoPage] = []

    def open_(url: str = origin, **options: object) -> DemoPage:
        opened.append(DemoPage(profile, url, **options))   # type: ignore[arg-type]
        return opened[-1]

    yield open_
    noise = [line for one in opened for line in one.noise() if not any(re.search(e, line) for e in one.expected)]
    foreign = [url for one in opened for url in one.foreign()]
    for one in opened:
        one.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        one.close()
    assert noise == []
    assert foreign == []
    assert trap.outside() == []


def answer(model: gemel.Model, *texts: str, system: str | None = None, **options: object) -> str:
    """Return what a native chat answers last."""
    chat = model.chat(system)
    for text in texts:
        said = chat.send(text, **options).read()   # type: ignore[arg-type]
    return said


def words(text: str) -> str:
    """Return a text as its letters alone: markdown changes spaces and marks."""
    return "".join(letter for letter in text if letter.isalnum())


# ---- Chat ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def real_origin(real_model: gemel.Model, real_path: Path) -> Iterator[str]:
    with demo.listening(demo.site({"smollm2": ServedModel(real_model, (real_path,))}, static())) as url:
        yield url


@pytest.mark.model
def test_the_real_model_answers_in_the_tab_and_natively_alike(
    real_origin: str, visit: Open, real_model: gemel.Model
) -> None:
    one = visit(real_origin)
    one.set(max_tokens=24, temperature=0)
    found = one.ask("Why is the sky blue?")
    assert words(found) == words(answer(real_model, "Why is the sky blue?", max_tokens=24, temperature=0))
    assert one.last.locator(".badge").inner_text() == "This tab"
    assert "24 tokens" in one.last.locator(".live").inner_text()
    assert one.page.locator(".facts").inner_text().count("–") == 1   # the prompt was evaluated while the model came
    one.last.get_by_role("button", name="Compare with the server").click()
    one.page.locator(".remark.same").wait_for()
    assert one.page.locator(".remark").inner_text().startswith("Same bits: the native server gives the same answer")
    one.choose("Native server")
    one.ask("And at night?")
    assert one.last.locator(".badge").inner_text() == "Native server"
    assert one.page.locator("#where").inner_text() == "Native server"


def test_a_conversation_goes_on_and_is_the_native_one(visit: Open, model: gemel.Model) -> None:
    one = visit()
    one.set(max_tokens=12, temperature=0, system="Be brief.")
    one.ask("Why is the sky blue?")
    found = one.ask("And at night?")
    wanted = answer(model, "Why is the sky blue?", "And at night?", system="Be brief.", max_tokens=12, temperature=0)
    assert words(found) == words(wanted)
    assert "Nothing you type leaves this device." in (one.page.locator("#lead").text_content() or "")
    one.choose("Native server")
    assert "What you type is sent to 127.0.0.1:" in (one.page.locator("#lead").text_content() or "")
    again = one.ask("And then?")
    wanted = answer(
        model, "Why is the sky blue?", "And at night?", "And then?", system="Be brief.", max_tokens=12, temperature=0
    )
    assert words(again) == words(wanted)
    assert one.page.locator(".badge").all_inner_texts() == ["This tab", "This tab", "Native server"]
    assert "Answer:" in one.page.locator("#announcer").inner_text()


def test_half_a_character_at_the_end_is_no_difference(visit: Open, model: gemel.Model) -> None:
    ends = (seed for seed in range(100) if answer(model, "Hello", max_tokens=4, seed=seed).endswith("\ufffd"))
    one = visit()
    one.set(max_tokens=4, seed=next(ends))
    one.ask("Hello")
    one.last.get_by_role("button", name="Compare with the server").click()
    one.page.locator(".remark.same").wait_for()


@pytest.mark.model
@pytest.mark.parametrize("host", ["This tab", "Native server"])
def test_an_answer_can_be_stopped_and_asked_for_again(real_origin: str, visit: Open, host: str) -> None:
    one = visit(real_origin)
    one.choose(host)
    one.say("Write a very long story about the sea, in many chapters.")
    one.page.locator(".live", has_text="tokens/s").wait_for(timeout=demo.ANSWER_MS)
    one.page.keyboard.press("Escape")
    one.answered()
    assert "stopped" in one.last.locator(".live").inner_text()
    one.last.locator(".twin").click()   # the other host is asked for no more than there is
    one.page.locator(".remark.same", has_text="as far as this one goes").wait_for()
    one.set(max_tokens=5, temperature=0)
    one.last.get_by_role("button", name="Regenerate").click()
    one.page.locator(".live", has_text="5 tokens").wait_for()
    assert one.page.locator(".turn").count() == 1


def test_an_earlier_question_is_edited_and_the_version_before_is_kept(visit: Open, model: gemel.Model) -> None:
    one = visit()
    one.set(max_tokens=8, temperature=0)
    for text in ("one", "two", "three"):
        one.ask(text)
    one.page.locator(".turn").nth(1).get_by_role("button", name="Edit").click()
    one.page.get_by_label("Edit the question").fill("four")
    one.page.get_by_role("button", name="Ask again").click()
    one.page.locator(".which", has_text="2/2").wait_for()
    found = one.answered()
    assert one.page.locator(".question").all_inner_texts() == ["one", "four"]
    assert words(found) == words(answer(model, "one", "four", max_tokens=8, temperature=0))
    one.page.get_by_role("button", name="New").click()
    one.page.locator("#welcome").wait_for()
    assert one.page.locator(".turn").count() == 0


# ---- Settings --------------------------------------------------------------------------------------------------------


def test_who_types_is_not_lost_when_a_question_is_asked_again(visit: Open) -> None:
    one = visit()
    one.set(max_tokens=4)
    one.ask("Hello")
    focus = "document.activeElement.closest('.turn')?.getAttribute('aria-label') ?? document.activeElement.localName"
    one.last.get_by_role("button", name="Edit").press("Enter")
    one.page.keyboard.type(" you")
    one.page.keyboard.press("Enter")
    one.page.locator(".question", has_text="Hello you").wait_for()
    one.answered()
    assert one.page.evaluate(focus) == "Question: Hello you"
    one.last.get_by_role("button", name="Compare with the server").press("Enter")
    one.page.locator(".remark.same").wait_for()
    assert one.page.evaluate("document.activeElement.textContent") == "Compare with the server"
    one.last.get_by_role("button", name="Regenerate").press("Enter")
    one.page.locator(".remark").wait_for(state="detached")
    one.answered()
    assert one.page.evaluate(focus) == "Question: Hello you"


def test_settings_survive_a_reload_and_reach_python(visit: Open, model: gemel.Model) -> None:
    one = visit()
    one.set(max_tokens=10, temperature=1.5, seed=7, top_k=3, system="Be odd.")
    one.open()
    found = one.ask("Hello")
    wanted = answer(model, "Hello", system="Be odd.", max_tokens=10, temperature=1.5, seed=7, top_k=3)
    assert words(found) == words(wanted)
    one.page.get_by_role("button", name="Settings").click()
    assert one.page.locator("#set-top_k").input_value() == "3"
    one.page.get_by_role("button", name="Reset to defaults").click()
    kept = json.loads(one.page.evaluate("localStorage.getItem('gemel-page')"))
    assert kept == {"system": "Be odd.", "drawer": True}


def test_a_wrong_setting_is_said_and_not_kept(visit: Open) -> None:
    one = visit()
    one.page.get_by_role("button", name="Settings").click()
    one.page.locator("#set-top_p").fill("1.5")
    assert one.page.locator("#settings-status").inner_text() == "Top p: must be over 0 and at most 1"
    assert one.page.locator("#help-top_p").inner_text() == "must be over 0 and at most 1"
    one.page.locator("#set-top_p").blur()
    help_ = "the smallest set of top tokens whose probabilities sum to p; 1 is off"
    assert one.page.locator("#help-top_p").inner_text() == help_
    assert one.page.locator("#set-top_p").input_value() == "0.95"
    one.page.locator("#set-temperature").fill("0")
    assert one.page.locator("#set-top_p").is_disabled()


# ---- Models ----------------------------------------------------------------------------------------------------------


def test_a_file_is_dropped_and_answers(visit: Open, data: bytes, model: gemel.Model) -> None:
    one = visit()
    one.set(max_tokens=8, temperature=0)
    one.page.evaluate(
        "([bytes, name]) => {"
        "    const files = new DataTransfer();"
        "    const data = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0));"
        "    files.items.add(new File([data], name));"
        "    for (const type of ['dragover', 'drop'])"
        "    {"
        "        const init = {bubbles: true, cancelable: true, dataTransfer: files};"
        "        document.body.dispatchEvent(new DragEvent(type, init));"
        "    }"
        "}",
        [encoded(data), "dropped.gguf"],
    )
    one.page.get_by_text("dropped runs in this tab").first.wait_for(timeout=demo.ANSWER_MS)
    assert words(one.ask("Hello")) == words(answer(model, "Hello", max_tokens=8, temperature=0))
    assert one.page.locator("#model-name").inner_text() == "dropped"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_file_that_is_no_model_is_an_error_in_the_conversation(visit: Open, tmp_path: Path) -> None:
    one = visit()
    one.set(max_tokens=4)
    one.ask("Hello")
    (tmp_path / "no.gguf").write_bytes(b"GGUF but not really" * 9)
    one.page.locator("#open-models").click()
    one.page.locator("#file").set_input_files(tmp_path / "no.gguf")
    said = "no could not be loaded in this tab. This file is damaged, or is not a model."
    one.page.get_by_text(said).first.wait_for(timeout=demo.ANSWER_MS)
    assert one.page.locator("#model-state").inner_text() == "loaded"   # the model before is where it was
    assert "/tiny.gguf" in one.page.locator("#code").input_value()
    one.page.get_by_role("button", name="Go on with tiny").click()
    one.ask("Hello")
    assert one.last.locator(".badge").inner_text() == "This tab"


def test_a_base_model_of_another_family_runs_and_says_that_it_does_not_chat(visit: Open, tmp_path: Path) -> None:
    path = tmp_path / "base.gguf"
    path.write_bytes(tiny.tiny_llama(arch="gemma3", tokenizer="spm"))
    one = visit()
    one.page.locator("#file").set_input_files(path)
    note = one.page.locator(".note", has_text="base runs in this tab")
    note.wait_for(timeout=demo.ANSWER_MS)
    assert "It has no chat template: it can continue a text in a Python cell, but not chat." in note.inner_text()
    one.ask("Hello")
    assert "It may be a model that continues texts, not one for chat." in one.last.inner_text()
    assert "has no chat template (tokenizer.chat_template)" in (one.last.locator(".details").text_content() or "")


def test_what_a_file_says_wrongly_is_listed_with_the_figures(visit: Open, tmp_path: Path) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(tiny.tiny_llama(chat_template=CHATML, kv=(("tokenizer.ggml.eos_token_id", "u32", 0xFFFFFFFF),)))
    one = visit()
    one.expected += ["ModelWarning", "await gemel.open_async"]   # and the line of Python that gave it
    assert one.page.locator("#warnings").is_hidden()
    one.page.locator("#file").set_input_files(path)
    one.page.locator(".note", has_text="wrong runs in this tab").wait_for(timeout=demo.ANSWER_MS)
    assert "eos_token_id is 4294967295, but ids are 0 to" in one.page.locator("#warnings li").inner_text()


def test_a_percent_sign_in_a_name_is_only_a_sign(visit: Open, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "50% of it.gguf"
    path.write_bytes(data)
    one = visit()
    one.page.locator("#file").set_input_files(path)
    one.page.locator(".note", has_text="50% of it runs in this tab").wait_for(timeout=demo.ANSWER_MS)
    load(one, "50%")
    one.page.locator(".note", has_text="50% could not be loaded").wait_for()
    one.set(max_tokens=4)
    one.page.locator("#open-models").click()
    one.page.locator("#offered button").click()
    one.page.locator(".note", has_text="tiny runs in this tab").wait_for()
    one.ask("Hello")
    assert one.last.locator(".badge").inner_text() == "This tab"


def test_a_model_that_could_not_be_loaded_is_not_there_the_next_time(visit: Open) -> None:
    one = visit()
    load(one, "no-such-model")
    note = one.page.locator(".note", has_text="no-such-model could not be loaded")
    note.wait_for(timeout=demo.ANSWER_MS)
    said = note.locator("p").first.inner_text()
    assert said.endswith("Check its address and your network connection. You can choose the native server above.")
    assert "smollm2-135m-instruct, smollm3-3b." in (note.locator("details p").text_content() or "")
    assert one.page.locator("#model-name").inner_text() == "tiny"
    one.open()
    assert one.page.locator("#model-name").inner_text() == "tiny"


def load(one: DemoPage, name: str) -> None:
    """Load a model by its name or address."""
    one.page.locator("#open-models").click()
    one.page.locator("#name").fill(name)
    one.page.locator("#name").press("Enter")


@pytest.mark.model
def test_a_load_is_stopped_and_goes_on_with_the_next_question(real_origin: str, visit: Open) -> None:
    one = visit(real_origin)
    one.set(max_tokens=3, temperature=0)
    one.page.locator("#open-models").click()
    one.page.locator("#offered button").click()
    one.page.locator(".words", has_text=re.compile("Downloading.*once, kept in this browser")).wait_for()
    one.page.locator("#stop").click()
    one.page.get_by_text("was stopped. Your next question resumes it").first.wait_for()
    one.ask("Hello")
    assert "3 tokens" in one.last.locator(".live").inner_text()


def fills(model: gemel.Model, seed: int) -> bool:
    """Return whether the answer to "Hello" fills a context of 160 tokens."""
    with model.chat(n_ctx=160) as chat, chat.send("Hello", max_tokens=500, temperature=1, seed=seed) as generation:
        generation.read()
        return generation.stop_reason == "length"


def test_a_context_of_ones_own_counts_and_a_full_one_is_no_end(visit: Open, model: gemel.Model) -> None:
    one = visit()
    one.set(n_ctx=160, max_tokens=20, temperature=1, seed=next(seed for seed in range(100) if fills(model, seed)))
    one.ask("Hello")
    assert "20 tokens" in one.last.locator(".live").inner_text()
    one.page.locator("#question").fill("word " * 160)
    one.page.locator("#count", has_text="tokens: more than the context’s 160").wait_for()
    one.ask("word " * 160)
    assert "tokens" in one.last.locator(".error").inner_text()
    assert "not part of the conversation" in one.last.locator(".live").inner_text()
    one.last.get_by_role("button", name="Forget the oldest turns").click()
    one.page.get_by_text("The model no longer reads what is above.").wait_for()
    one.answered()
    one.page.get_by_role("button", name="New").click()
    one.set(max_tokens=500)
    one.ask("Hello")
    assert one.last.locator(".live").inner_text().endswith("the context is full")
    one.last.get_by_role("button", name="Raise the context to 320 (").click()
    one.page.locator("#fact-tokens", has_text="of 320").wait_for()


def test_kept_models_are_listed_and_deleted(visit: Open) -> None:
    one = visit()
    one.set(max_tokens=2)
    one.ask("Hello")
    one.page.locator("#open-models").click()
    row = one.page.locator("#cached li", has_text="tiny")
    row.wait_for()
    assert "incomplete" not in row.inner_text()
    row.get_by_role("button", name="Delete tiny").click()
    one.page.get_by_text(re.compile("tiny was deleted: .* freed")).wait_for()
    row.wait_for(state="detached")
    one.page.keyboard.press("Escape")
    one.page.locator("#open-models").click()
    one.page.get_by_text("Nothing yet").wait_for()


# ---- The Python cell -------------------------------------------------------------------------------------------------


def test_the_cell_runs_the_program_of_a_desktop(visit: Open, model: gemel.Model) -> None:
    one = visit()
    assert '/models/tiny.gguf"' in one.page.locator("#code").input_value()
    one.page.locator("#code").press("Control+Enter")
    one.page.locator("#cell-status", has_text="Done").wait_for(timeout=demo.ANSWER_MS)
    wanted = model.generate("Once upon a time", max_tokens=48, seed=1).read()
    output = one.page.locator("#output").inner_text()
    assert words(output).startswith(words(wanted))
    assert "engine='threads'" in output


def test_the_cells_errors_have_a_traceback_and_a_loop_is_stopped(visit: Open) -> None:
    one = visit()
    code, output, status = (one.page.locator(name) for name in ("#code", "#output", "#cell-status"))
    code.fill("def f():\n    return 1 / 0\n\nprint('before')\nf()")
    code.press("Control+Enter")
    status.get_by_text("ZeroDivisionError").wait_for(timeout=demo.ANSWER_MS)
    found = output.inner_text()
    assert found.startswith("before\n")
    assert "line 2, in f" in found
    code.fill("print('begun')\nwhile True:\n    pass")
    one.page.get_by_role("button", name="Run").click()
    output.get_by_text("begun").wait_for()
    one.page.locator("#halt").click()
    status.get_by_text("Stopped").wait_for()
    code.fill("1 + 1")
    code.press("Control+Enter")
    status.get_by_text("Done").wait_for()
    assert output.inner_text().strip() == "2"


FLOOD = "for i in range(12_000): print('line', i, end='\\n' * (1 + i % 3 // 2))"
GROWTH = """
const output = document.querySelector("#output")
window.sizes = [0]
window.growing = new MutationObserver(() => sizes.push(output.textContent.length))
growing.observe(output, { childList: true, characterData: true, subtree: true })
"""


def test_a_flood_of_output_is_kept_whole_to_a_limit_and_comes_in_small_steps(visit: Open) -> None:
    """Each task shows 10,000 characters at most, so that none holds up the page."""
    one = visit()
    output, status = one.page.locator("#output"), one.page.locator("#cell-status")
    one.page.locator("#code").fill("1")
    one.page.locator("#run").click()
    status.get_by_text("Done").wait_for(timeout=demo.ANSWER_MS)
    one.page.locator("#code").fill(FLOOD)
    one.page.evaluate(GROWTH)
    one.page.locator("#run").click()
    one.page.locator("#halt[disabled]").wait_for()
    wanted = "".join(f"line {i}\n" + "\n" * (i % 3 // 2) for i in range(12_000))
    assert output.inner_text().rstrip() == wanted.rstrip()
    sizes = one.page.evaluate("growing.disconnect(), sizes")
    assert 0 < max(now - before for before, now in itertools.pairwise(sizes)) <= 10_000, sizes
    assert len(sizes) - 1 >= len(wanted) / 10_000, sizes
    one.page.locator("#code").fill("print('a' * 150_000)\nprint('b' * 150_000)")
    one.page.locator("#run").click()
    output.get_by_text("output is limited to 200000 characters").wait_for()
    assert len(output.inner_text()) < 200_200


def test_a_cell_reads_the_end_of_its_input(visit: Open) -> None:
    one = visit()
    one.page.locator("#code").fill("input('name? ')")
    one.page.locator("#run").click()
    one.page.locator("#cell-status").get_by_text("EOFError").wait_for(timeout=demo.ANSWER_MS)


def test_every_example_runs(visit: Open) -> None:
    """The last one first: none needs the names of one before it."""
    one = visit()
    status = one.page.locator("#cell-status")
    for index in reversed(range(6)):
        one.page.locator("#example").select_option(index=index)
        one.page.get_by_role("button", name="Run").click()   # which empties the status of the one before
        status.filter(has_text=re.compile("Done|Error")).wait_for(timeout=demo.ANSWER_MS)
        assert "Done" in status.inner_text(), one.page.locator("#output").inner_text()
    assert one.page.locator("#example option").count() == 6


# ---- Where the tab can't ---------------------------------------------------------------------------------------------


def test_without_simd_the_native_server_answers_and_the_page_says_so(visit: Open, model: gemel.Model) -> None:
    one = visit(init=NO_SIMD)
    assert "this browser has no WebAssembly SIMD" in one.page.locator(".note").inner_text().replace("This", "this")
    assert one.page.get_by_label("This tab").is_disabled()
    one.set(max_tokens=6, temperature=0)
    assert words(one.ask("Hello")) == words(answer(model, "Hello", max_tokens=6, temperature=0))
    assert one.last.locator(".badge").inner_text() == "Native server"
    facts = {name: one.page.locator(f"#fact-{name}").inner_text() for name in ("threads", "engine", "isa", "memory")}
    assert (facts["threads"], facts["engine"]) == (str(model.threads), "native")
    assert "–" not in (facts["isa"], facts["memory"])


def test_a_tab_without_memory_hands_the_question_to_the_native_server_in_sight(visit: Open) -> None:
    init = "WebAssembly.Memory = function () { throw new RangeError('could not allocate memory'); };"
    worker = f"const Plain = Blob; Blob = function (parts, how) {{ return new Plain([`{init}`, ...parts], how); }};"
    one = visit(init=worker)
    one.expect("_importhook")   # Pyodide's own end, which it tells the console as well
    one.set(max_tokens=6)
    one.ask("Hello")
    note = one.page.locator(".note").inner_text()
    assert note.startswith("This tab can’t run the model. This device doesn’t have enough free memory")
    assert "The native server answers instead, with tiny." in note
    assert one.last.locator(".badge").inner_text() == "Native server"
    one.choose("This tab")
    assert one.page.get_by_label("This tab").is_checked()


def test_without_either_host_the_page_says_why(visit: Open, tiny_file: Path, model: gemel.Model) -> None:
    with demo.listening(demo.as_static_site(static())) as url:
        one = visit(url, init=NO_SIMD)
        note = one.page.locator(".note").inner_text()
        assert "no WebAssembly SIMD" in note
        assert "this page has no native server" in note
        assert one.page.get_by_role("radio", name="Native server").is_disabled()
        one.say("Hello")
        one.page.locator("#models[open]").wait_for()   # this site offers no model either


def test_a_static_site_answers_and_goes_on_when_it_is_gone(
    visit: Open, data: bytes, model: gemel.Model, tmp_path: Path
) -> None:
    folder = shutil.copytree(static(), tmp_path / "site")
    (folder / "models").mkdir()
    (folder / "models" / "tiny.gguf").write_bytes(data)
    card = {"alias": "tiny", "url": "models/tiny.gguf", "size": len(data)}
    with demo.listening(demo.as_static_site(folder, card)) as url:
        one = visit(url)
        one.set(max_tokens=8, temperature=0)
        wanted = words(answer(model, "Hello", max_tokens=8, temperature=0))
        assert words(one.ask("Hello")) == wanted
        one.page.get_by_text("The site works offline.").wait_for()
    one.open()
    one.page.locator(".question", has_text="Hello").wait_for()   # the conversation is still there
    one.page.get_by_role("button", name="New").click()
    assert words(one.ask("Hello")) == wanted
    assert one.last.locator(".badge").inner_text() == "This tab"


def test_a_browser_that_keeps_no_models_is_not_said_to_work_offline(visit: Open) -> None:
    card = {"alias": "gone", "url": "models/gone.gguf", "size": 1}
    with demo.listening(demo.as_static_site(static(), card)) as url:
        one = visit(url, init="delete StorageManager.prototype.getDirectory;")
        one.expect("500")   # starlette's files under no app
        one.page.get_by_text("The site works offline, but this browser can’t store models").wait_for()
        one.say("Hello")
        one.answered()
        assert one.last.locator(".error").inner_text().startswith("The model could not be downloaded.")
        detail = one.last.locator("details p").text_content() or ""
        assert detail.startswith(f"{url}/models/gone.gguf: the download failed")


def test_the_page_of_a_server_that_is_gone_answers_from_the_tab(
    visit: Open, tiny_file: Path, model: gemel.Model
) -> None:
    with demo.listening(demo.site({"tiny": ServedModel(model, (tiny_file,))}, static())) as url:
        one = visit(url)
        one.set(max_tokens=4, temperature=0)
        one.ask("Hello")
        one.page.get_by_text("The site works offline.").wait_for()
    one.open()
    assert one.page.get_by_role("radio", name="Native server").is_disabled()
    assert "the server is out of reach" in one.page.locator("#ready-why").inner_text()
    one.ask("Hello")
    assert one.last.locator(".badge").inner_text() == "This tab"


def test_figures_are_of_the_host_that_they_name(visit: Open) -> None:
    one = visit()
    one.set(max_tokens=4)
    one.ask("Hello")
    assert "SIMD" in one.page.locator("#fact-isa").inner_text()
    one.page.route("**/v1/chat/completions", lambda route: route.fulfill(status=500, body="no"))
    one.expect("500")
    one.choose("Native server")
    one.ask("Hello")
    assert one.page.locator("#where").inner_text() == "Native server"
    assert "SIMD" not in one.page.locator("#fact-isa").inner_text()


def test_a_servers_key_is_asked_for(tiny_file: Path, model: gemel.Model, visit: Open) -> None:
    app = demo.site({"tiny": ServedModel(model, (tiny_file,))}, static(), api_key="secret")
    with demo.listening(app) as url:
        one = visit(url)
        one.choose("Native server")
        one.set(max_tokens=4, temperature=0)
        one.ask("Hello")
        assert "requires an API key" in one.page.locator(".error").inner_text()
        one.page.get_by_role("button", name="Enter the key").click()
        one.page.locator("#key").fill("wrong")
        one.page.keyboard.press("Escape")
        one.expect("401")
        one.page.get_by_role("button", name="Try again").click()
        one.page.locator(".error", has_text="rejects this API key").wait_for()
        one.page.get_by_role("button", name="Enter the key").click()
        one.page.locator("#key").fill("secret")
        one.page.keyboard.press("Escape")
        one.page.get_by_role("button", name="Try again").click()
        one.page.locator(".live", has_text="4 tokens").wait_for()
