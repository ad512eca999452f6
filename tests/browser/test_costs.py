"""The page "What it costs": its sum, its policy, its accessibility on a phone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import building
import pytest
from browser.conftest import FLAGS, chromium
from browser.pages import violations
from playwright.sync_api import Page, Playwright

FOLDER = building.ROOT / "docs" / "deploy"


@pytest.fixture(scope="module")
def browser_page(playwright: Playwright) -> Iterator[Page]:
    browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
    yield browser.new_page(viewport={"width": 390, "height": 844})
    browser.close()


@pytest.fixture
def sheet(browser_page: Page) -> Page:
    page, said = browser_page, list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((FOLDER / "costs.html").as_uri())
    page.wait_for_function("document.querySelector('#rows').children.length === 4")
    assert said == []   # the policy refuses nothing
    return page


def rows(page: Page) -> dict[str, list[str]]:
    found: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#rows tr')].map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return {name: values for name, *values in found}


def test_the_sum_is_right(sheet: Page) -> None:
    assert set(map(tuple, rows(sheet).values())) == {("–", "–", "–")}   # no price is made up
    given = {
        "prompt": 7_200_000, "cached": 50, "answer": 3_600_000, "prefill": 1000, "decode": 500, "price": 1461,
        "years": 4, "busy": 100, "idle": 20, "power": 0.5, "rent": 0.25, "in": 1, "out": 2,
    }
    for name, value in given.items():
        sheet.fill(f"#{name}", str(value))
    # 1 h of prompts and 2 h of answers, so 3 h of 24: 0.3 + 0.42 kWh; the machine costs 1 a day
    assert sheet.text_content("#said") == "1 machine, 3 hours of work a day, 0.72 kWh."
    assert {name: values[0] for name, values in rows(sheet).items()} == {
        "Your machine": "1.36", "Of it, power": "0.36", "A rented machine": "6", "An API": "14.4",
    }
    assert rows(sheet)["An API"] == ["14.4", "437.76", "1.33"]
    sheet.fill("#decode", "20")
    assert str(sheet.text_content("#said")).startswith("3 machines, 51 hours of work")
    assert sheet.input_value("#preset") == ""
    sheet.select_option("#preset", "762 80")
    assert (sheet.input_value("#prefill"), sheet.input_value("#decode")) == ("762", "80")


@pytest.mark.parametrize(("name", "value"), [("answer", ""), ("decode", "0"), ("cached", "101"), ("price", "-1")])
def test_what_is_impossible_is_said(sheet: Page, name: str, value: str) -> None:
    sheet.fill(f"#{name}", value)
    assert "missing or not possible" in str(sheet.text_content("#said"))
    assert rows(sheet) == {}


def test_axe_finds_nothing_and_nothing_is_cut_off_on_a_phone(sheet: Page) -> None:
    schemes: list[Any] = ["light", "dark"]
    for scheme in schemes:
        sheet.emulate_media(color_scheme=scheme)
        assert violations(sheet) == []
    assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_its_policy_has_the_hashes_of_its_contents() -> None:
    spec = importlib.util.spec_from_file_location("make_costs", FOLDER / "make_costs.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    text = (FOLDER / "costs.html").read_text(encoding="utf-8")
    assert made.hashed(text) == text, "run python docs/deploy/make_costs.py"
    assert "http" not in text.replace("http-equiv", "")   # it asks no other server
