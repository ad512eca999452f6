"""The documentation's examples run unchanged: a page that runs a model, and one program by python and by a tab."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import building
import command
import gemel
import pyodide_files
import pytest
import tiny
from browser.hosts import Tab
from conftest import CHATML

if TYPE_CHECKING:
    from browser.server import Served, Server, Trap
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EXAMPLES = building.ROOT / "docs" / "examples"
PAGE, PROGRAM = EXAMPLES / "tab.html", EXAMPLES / "hello.py"
RUN = """
import contextlib, io, sys
sys.argv = ["hello.py", address]
with contextlib.redirect_stdout(io.StringIO()) as printed:
    exec(compile(program, "hello.py", "exec"), {"__name__": "__main__"})
printed.getvalue()
"""


def templated(server: Server, model: Served) -> str:
    """Return the page with the test server's addresses, each in the place of one on the internet."""
    gemel_wheel = pyodide_files.wheels()[0].name
    page, site = PAGE.read_text(encoding="utf-8"), server.site().url
    assert gemel_wheel in page
    assert len(page.splitlines()) < 20
    for pattern, address in {
        r"https://cdn\.[^\"]*/pyodide\.mjs": f"{site}/pyodide/pyodide.mjs",
        r"https://example\.org/[^\"]*\.whl": f"{site}/wheels/{gemel_wheel}",
        r"https://example\.org/[^\"]*\.gguf": model.url,
    }.items():
        page, count = re.subn(pattern, address, page)
        assert count == 1, pattern
    assert "https:" not in page
    return page


def test_the_page_runs_a_model(
    server: Server, trap: Trap, served: Callable[..., Served], open_profile: Callable[[], BrowserContext]
) -> None:
    data = tiny.tiny_llama(n_layer=3)
    with gemel.open(data) as model:
        wanted = model.generate("Once upon a time", max_tokens=60, temperature=0.7, seed=1).read()
    html = templated(server, served(data)).encode()
    context = open_profile()
    try:
        page, errors = context.new_page(), []
        page.on("console", lambda one: errors.append(one) if one.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(error))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(served(html, "tab.html", headers={"Content-Type": "text/html"}).url)
        page.wait_for_function("text => document.getElementById('out').textContent.endsWith(text)", arg=wanted)
        shown = page.text_content("#out") or ""
    finally:
        context.close()
    assert re.fullmatch(r"load \d+ of \d+ MB\n", shown.removesuffix(wanted))
    assert errors == []
    assert trap.outside() == []


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Run hello.py by this machine's python, with an empty cache."""

    def run(address: str) -> str:
        cache = str(tmp_path_factory.mktemp("cache"))
        environment = command.environment(GEMEL_CACHE=cache, PYTHONIOENCODING="utf-8")
        done = building.execute([sys.executable, PROGRAM, address], env=environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="page"),
        pytest.param({"where": "worker", "jspi": False}, id="worker without JSPI"),
        pytest.param({"where": "worker", "isolated": True}, id="isolated worker"),
    ],
)
def test_one_program_prints_the_same_by_python_and_in_a_tab(
    tab: Callable[..., Tab], served: Callable[..., Served], printed: Callable[[str], str], options: dict[str, object]
) -> None:
    model = served(tiny.tiny_llama(chat_template=CHATML))
    wanted = printed(model.url)
    assert wanted.startswith("> Why is the sky blue?\n")
    assert "\n> And at night?\n" in wanted
    assert tab(**options).run(RUN, program=PROGRAM.read_text(encoding="utf-8"), address=model.url) == wanted


@pytest.mark.model
def test_the_program_talks_to_smollm2_alike(
    tab: Callable[..., Tab], served: Callable[..., Served], printed: Callable[[str], str], real_path: Path
) -> None:
    wanted = printed(str(real_path))
    assert len(wanted) > 100
    one = tab(isolated=True, where="worker")
    model = served(real_path.read_bytes())
    assert one.run(RUN, program=PROGRAM.read_text(encoding="utf-8"), address=model.url) == wanted
