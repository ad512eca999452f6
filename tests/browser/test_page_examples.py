"""The documentation's pages with JavaScript run unchanged, each in a separate tab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import building
import gemel
import pytest
import tiny
from browser.hosts import Watched
from browser.pages import TOOLS, static

if TYPE_CHECKING:
    from browser.server import Served, Server, Trap
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EXAMPLES = building.ROOT / "docs" / "examples"
Open = Callable[[str], Watched]


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, chat_template=TOOLS)


@pytest.fixture
def model(data: bytes) -> Iterator[gemel.Model]:
    with gemel.open(data) as opened:
        yield opened


@pytest.fixture
def example(
    server: Server, trap: Trap, served: Callable[..., Served], profile: BrowserContext, data: bytes
) -> Iterator[Open]:
    """Open an example with the test server's addresses in the place of those on the internet."""
    opened: list[Watched] = []
    server.folders.setdefault("gemel", static())

    def open_(name: str) -> Watched:
        html = (EXAMPLES / name).read_text(encoding="utf-8")
        assert "https://example.org/gemel/" in html
        html = html.replace("https://example.org/gemel/", f"{server.site().url}/gemel/")
        html = html.replace("https://example.org/model.gguf", served(data).url)
        assert "https:" not in html
        opened.append(Watched(profile, name))
        opened[-1].page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        opened[-1].page.goto(served(html.encode(), name, headers={"Content-Type": "text/html"}).url)
        return opened[-1]

    yield open_
    unexpected = [error for one in opened for error in one.unexpected()]
    for one in opened:
        one.close()
    assert unexpected == []
    assert trap.outside() == []


def test_the_element_answers(example: Open) -> None:
    page = example("embed.html").page
    page.evaluate("document.querySelector('gemel-chat').options = {max_tokens: 8, seed: 1}")
    page.get_by_role("textbox").fill("Why is the sky blue?")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("text=8 tokens in this tab")


def test_a_text_comes_in_pieces(example: Open, model: gemel.Model) -> None:
    page = example("generate.html").page
    page.wait_for_selector("text=/60 tokens, [0-9.]+ per second/")
    wanted = model.generate("Once upon a time", max_tokens=60, temperature=0.7, seed=1).read()
    assert (page.text_content("#out") or "").rpartition("\n\n")[0] == wanted


def test_a_tool_of_the_page_is_called(example: Open) -> None:
    page = example("tools.html").page
    page.wait_for_selector("text=/[0-9]+ messages/")
    state = (page.text_content("#lamp") or "").split()[-1].strip(".")
    assert state in ("on", "off")
    said = (page.text_content("#out") or "").split("\n")
    assert f'[switch_lamp {{"state": "{state}"}} gives {{"lamp":"{state}"}}]' in said
    assert int(said[-1].split()[0]) >= 4


def test_vectors_rank_sentences(example: Open, model: gemel.Model) -> None:
    page = example("vectors.html").page
    page.wait_for_selector("li >> nth=2")
    lines = page.locator("li").all_text_contents()
    asked, leaves = model.embed(["How do plants eat?", "Leaves turn light into sugar."])
    values = [float(line.rpartition(" ")[2]) for line in lines]
    assert values == sorted(values, reverse=True)
    found = next(value for line, value in zip(lines, values, strict=True) if line.startswith("Leaves"))
    assert found == pytest.approx(float(asked @ leaves), abs=1e-3)


def test_a_cell_runs_and_says_what_went_wrong(example: Open, model: gemel.Model) -> None:
    page = example("cell.html").page
    page.get_by_role("button", name="Run").click()
    page.get_by_text("'side module'").wait_for()
    wanted = model.generate("Once upon a time", max_tokens=40, temperature=0).read()
    assert page.text_content("#out") == f"{wanted}\n'side module'"
    page.get_by_role("textbox", name="Python").fill("model.generate('a', nonsense=1)")
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector("#out >> text=/there is no option 'nonsense'/")
