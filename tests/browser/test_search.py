"""Search by meaning in a tab, with an embedding model: the page's example cell, and the recipe for a folder."""

from __future__ import annotations

import doctest
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import assets
import building
import gemel
import pytest
import tiny
from browser import demo
from browser.hosts import Tab
from browser.pages import static
from gemel_web import ServedModel

if TYPE_CHECKING:
    from browser.server import Served, Trap
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "Search by meaning"
QUESTION = "How do plants eat?"
EMBED = """
import gemel, shutil
with gemel.open(address) as model:
    rows = model.embed([part for _, part in found], overflow="chunk")
    asked = model.embed(question)
shutil.rmtree(notes)
[[list(one) for one in found], bytes(rows), bytes(asked)]
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "encoder.gguf"
    path.write_bytes(tiny.tiny_llama(arch="bert", tokenizer="bert"))
    return path


@pytest.fixture
def visit(encoder: Path, profile: BrowserContext, trap: Trap) -> Iterator[Callable[..., demo.DemoPage]]:
    with gemel.open(encoder) as model:
        app = demo.site({"encoder": ServedModel(model, (encoder,))}, static())
        with demo.listening(app) as url, demo.visits(profile, url) as open_:
            yield open_
    assert trap.outside() == []


def test_the_pages_example_ranks_notes_as_python_does(visit: Callable[..., demo.DemoPage], encoder: Path) -> None:
    source = (assets.STATIC / "page" / "examples.js").read_text(encoding="utf-8")
    (program,) = re.findall(rf'name: "{NAME}",\s+code: `(.*?)`', source, re.DOTALL)
    with redirect_stdout(StringIO()) as printed:
        exec(program.replace("ADDRESS", str(encoder)), {"__name__": "__main__"})
    wanted = printed.getvalue()
    assert len(set(re.findall(r"^ *(-?\d\.\d{3}) \w", wanted, re.MULTILINE))) == 3
    one = visit()
    one.page.locator("#example").select_option(label=NAME)
    one.page.get_by_role("button", name="Run").click()
    status = one.page.locator("#cell-status")
    status.filter(has_text=re.compile("Done|Error")).wait_for(timeout=demo.ANSWER_MS)
    assert "Done" in status.inner_text(), one.page.locator("#output").inner_text()
    assert (one.page.locator("#output").text_content() or "").strip() == wanted.strip()


def recipe() -> list[str]:
    """Return the statements of docs/recipes.md's search over a folder."""
    page = (building.ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Search a folder by meaning\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    return [one.source for one in doctest.DocTestParser().get_examples(section)]


def test_the_recipes_folder_has_the_same_rows_in_a_tab(
    tab: Callable[..., Tab], served: Callable[..., Served], encoder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In the tab without numpy, which the tests' Pyodide lacks: the statements before the first one that uses it."""
    monkeypatch.chdir(tmp_path)
    with gemel.open(encoder) as model:
        native: dict[str, Any] = {"model": model}
        exec("".join(recipe()), native)
        asked, best = model.embed(QUESTION), native["search"](QUESTION, 1)
    assert best[0][:2] in native["found"]
    statements = [one for one in recipe() if one != "import numpy\n"]
    first = "".join(itertools.takewhile(lambda one: "numpy" not in one, statements))
    address = served(encoder.read_bytes()).url
    found, rows, question = tab().run(first + EMBED, address=address, question=QUESTION)
    assert [tuple(one) for one in found] == native["found"]
    assert rows == native["index"].tobytes()
    assert question == bytes(asked)
