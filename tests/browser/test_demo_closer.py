"""gemel's own page for those who look closer: probabilities of tokens, the seed, and an answer as a program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import building
import gemel
import pytest
import tiny
from browser import demo
from browser.demo import DemoPage
from browser.pages import static, violations
from conftest import CHATML
from gemel_web import ServedModel

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
QUESTION = "Why is the sky “blue”?\nIt's a 'test'."
KEY = "sesame"


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("closer") / "tiny.gguf"
    path.write_bytes(tiny.tiny_llama(n_layer=2, n_ctx=512, chat_template=CHATML))
    return path


@pytest.fixture(scope="module")
def model(tiny_path: Path) -> Iterator[gemel.Model]:
    with gemel.open(tiny_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def origin(tiny_path: Path, model: gemel.Model) -> Iterator[str]:
    with demo.listening(demo.site({"tiny": ServedModel(model, (tiny_path,))}, static())) as url:
        yield url


@pytest.fixture
def one(origin: str, profile: BrowserContext) -> Iterator[DemoPage]:
    profile.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
    page = DemoPage(profile, origin)
    yield page
    page.page.evaluate("localStorage.clear()")
    noise = page.noise()
    page.close()
    assert noise == []


def copied(one: DemoPage, name: str) -> str:
    """Press a button that copies; return what it copied."""
    act = one.last.get_by_role("button", name=name, exact=True)
    act.click()
    one.last.get_by_role("button", name="Copied").wait_for()
    act.wait_for()   # it has its name again
    return str(one.page.evaluate("navigator.clipboard.readText()"))


def copied_text(one: DemoPage) -> str:
    """Return the last answer as its button copies it."""
    act = one.last.locator(".foot").get_by_role("button", name="Copy", exact=True)
    act.click()
    one.last.locator(".foot").get_by_text("Copied").wait_for()
    act.wait_for()   # it has its name again
    return str(one.page.evaluate("navigator.clipboard.readText()"))


def as_program(one: DemoPage, language: str) -> str:
    """Return the last answer as a program."""
    row = one.last.get_by_role("group", name="Copy this answer as")
    if not row.is_visible():
        one.last.get_by_role("button", name="Copy as").click()
    return copied(one, language)


def output_of(program: str, folder: Path, **environment: str) -> str:
    """Run a program, with its cache in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "GEMEL_CACHE": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()   # as bytes, because an answer may have a "\r"


def seen(one: DemoPage) -> list[str]:
    """Choose each token of the last answer; return what is shown of each."""
    one.last.get_by_role("button", name="Probabilities").click()
    return [
        str(one.page.evaluate("(token) => (token.click(), document.querySelector('.token-more').innerText)", token))
        for token in one.last.locator(".token").element_handles()
    ]


def test_the_tokens_of_an_answer_have_the_same_alternatives_on_both_hosts(one: DemoPage, model: gemel.Model) -> None:
    one.set(seed=3, max_tokens=6)
    one.ask(QUESTION)
    in_tab = seen(one)
    assert len(in_tab) == 6
    one.page.get_by_title("New conversation").click()
    one.choose("Native server")
    one.ask(QUESTION)
    assert seen(one) == in_tab
    assert all("had" in text and "%" in text for text in in_tab)


def test_a_token_is_chosen_by_keys_and_colours_are_a_switch_that_is_kept(one: DemoPage) -> None:
    one.choose("Native server")
    one.set(seed=3, max_tokens=8)
    said = one.ask(QUESTION)
    one.last.get_by_role("button", name="Probabilities").click()
    assert not one.last.locator(".text").is_visible()
    tokens = one.last.get_by_role("option")
    tokens.first.focus()
    one.page.keyboard.press("ArrowRight")
    assert tokens.nth(1).get_attribute("aria-selected") == "true"
    one.page.keyboard.press("End")
    assert tokens.last.evaluate("(token) => token === document.activeElement")
    assert violations(one.page, "#turns") == []
    one.page.get_by_label("Colour by surprise").uncheck()
    assert one.last.locator(".coloured").count() == 0
    one.last.get_by_role("button", name="Probabilities").click()
    assert one.last.locator(".text").inner_text() == said
    one.open()   # again: the answer was kept, with its tokens
    one.last.get_by_role("button", name="Probabilities").click()
    assert one.last.get_by_role("option").count() == 8
    assert not one.page.get_by_label("Colour by surprise").is_checked()


def test_an_answer_of_the_tab_as_python_and_javascript_gives_its_text_again(
    one: DemoPage, origin: str, profile: BrowserContext, tmp_path: Path
) -> None:
    one.set(max_tokens=12, system="Be \"brief\".", top_k=7)
    one.ask(QUESTION)
    seed = copied(one, one.last.locator(".seed").inner_text())
    assert one.last.locator(".seed").inner_text() == f"Seed {seed}"
    answer = copied_text(one)
    program, script = as_program(one, "Python"), as_program(one, "JavaScript")
    assert f"seed={seed}" in program
    assert output_of(program, tmp_path) == f"{answer}\n"
    page = profile.new_page()
    page.goto(f"{origin}/LICENCES.txt")
    page.evaluate("document.body.replaceChildren()")
    page.add_script_tag(content=script, type="module")
    page.wait_for_function("(text) => document.body.textContent === text", arg=answer, timeout=demo.ANSWER_MS)
    page.close()


def test_an_answer_of_a_server_with_a_key_as_python_and_curl_gives_its_text_again(
    tiny_path: Path, model: gemel.Model, profile: BrowserContext, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        building.lacking("curl is not installed")
    site = demo.site({"tiny": ServedModel(model, (tiny_path,))}, static(), api_key=KEY)
    with demo.listening(site) as url:
        profile.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        one = DemoPage(profile, url)
        one.page.get_by_role("button", name="Settings").click()
        one.page.locator("#key").fill(KEY)
        one.page.keyboard.press("Escape")
        one.choose("Native server")
        one.set(max_tokens=12)
        one.ask(QUESTION)
        answer = copied_text(one)
        program, command = as_program(one, "Python"), as_program(one, "curl")
        assert KEY not in program + command
        assert output_of(program, tmp_path, GEMEL_KEY=KEY) == f"{answer}\n"
        made = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=True, env={**os.environ, "GEMEL_KEY": KEY},
            encoding="utf-8",
        )  # fmt: skip
        assert json.loads(made.stdout)["choices"][0]["message"]["content"] == answer
        one.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        one.close()
