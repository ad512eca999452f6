"""The npm package in pages of docs/examples/npm: by a plain import, bundled by vite, and by webpack."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import building
import gemel
import npm_package
import pyodide_files
import pytest
import tiny
from browser.hosts import Watched
from browser.pages import TOOLS, static

if TYPE_CHECKING:
    from browser.server import Server, Trap
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BUNDLERS = Path(__file__).resolve().parent / "bundlers"
EXAMPLES = building.ROOT / "docs" / "examples" / "npm"
IN_FOLDER = "process.chdir(process.argv[1]); process.argv.splice(1, 1); import(process.argv[1]);"
Open = Callable[[str, Path, str], Watched]


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, chat_template=TOOLS)


@pytest.fixture(scope="module")
def project(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the examples and the package, as npm installs it, and what gemel-files and a user put into it."""
    made = shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("npm") / "project")
    with tarfile.open(npm_package.write(static(), made.parent)) as packed:
        packed.extractall(made / "node_modules")
    package = (made / "node_modules" / "package").rename(made / "node_modules" / "gemel")
    (made / "package.json").write_text('{"private": true, "type": "module"}')
    done = building.execute([building.node(), package / "files.mjs", made / "public" / "gemel"])
    assert done.stdout == f"gemel's files are in {made / 'public' / 'gemel'}\n"
    for folder in (made, made / "public"):
        (folder / "model.gguf").write_bytes(data)
    return made


def bundle(project: Path, program: str, *options: str | Path) -> None:
    modules = pyodide_files.npm(BUNDLERS, building.BUILD / "bundlers")
    command: list[str | Path] = [building.node(), "-e", IN_FOLDER, project, modules / program, *options]
    done = building.execute(command)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def open_page(server: Server, trap: Trap, profile: BrowserContext) -> Iterator[Open]:
    opened: list[Watched] = []

    def open_(name: str, folder: Path, page: str) -> Watched:
        server.folders[name] = folder
        opened.append(Watched(profile, name))
        opened[-1].page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        opened[-1].page.goto(f"{server.site().url}/{name}/{page}")
        return opened[-1]

    yield open_
    unexpected = [error for one in opened for error in one.unexpected()]
    for one in opened:
        one.close()
    assert unexpected == []
    assert trap.outside() == []


def check(one: Watched, data: bytes) -> None:
    """Wait for the page's text, which has native's bits."""
    one.page.wait_for_selector("text=/40 tokens/")
    with gemel.open(data) as model:
        wanted = model.generate("Once upon a time", max_tokens=40, temperature=0.7, seed=1).read()
    assert (one.page.text_content("#out") or "").rpartition("\n\n")[0] == wanted


def check_element(one: Watched) -> None:
    one.page.evaluate("document.querySelector('gemel-chat').options = {max_tokens: 8, seed: 1}")
    one.page.get_by_role("textbox").fill("Why is the sky blue?")
    one.page.get_by_role("button", name="Send").click()
    one.page.wait_for_selector("text=8 tokens in this tab")


def test_a_plain_import(open_page: Open, project: Path, data: bytes) -> None:
    check(open_page("npm-plain", project, "plain.html"), data)


def test_vite(open_page: Open, project: Path, data: bytes) -> None:
    bundle(project, "vite/bin/vite.js", "build", "--base", "./", "--logLevel", "error")
    one = open_page("npm-vite", project / "dist", "index.html")
    check(one, data)
    check_element(one)


def test_webpack(open_page: Open, project: Path, data: bytes) -> None:
    bundle(project, "webpack-cli/bin/cli.js", "--output-path", project / "packed")
    shutil.copytree(project / "public", project / "packed", dirs_exist_ok=True)
    shutil.copyfile(project / "index.html", project / "packed" / "index.html")
    one = open_page("npm-webpack", project / "packed", "index.html")
    check(one, data)
    check_element(one)


def test_gemel_files_says_how_it_is_called(project: Path) -> None:
    done = building.execute([building.node(), project / "node_modules" / "gemel" / "files.mjs"])
    assert done.returncode == 2
    assert done.stdout.startswith("usage: gemel-files FOLDER\n")
