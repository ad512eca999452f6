"""Pages that use gemel's modules for pages (web/gemel_web/static), and the folder that a server needs for that."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import assets
import building
import pyodide_files
from browser.hosts import Watched

if TYPE_CHECKING:
    from browser.server import Server
    from playwright.sync_api import BrowserContext, Page

FOLDER = building.BUILD / "browser" / "static"
SOURCE_MS = 180_000
TOOLS = (   # a template that shows tools, in a dialect
    "{# <tool_call> \"arguments\" #}{% for t in tools or [] %}{{ t.function.name }}\n{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = TOOLS + "{# </think> #}{% if add_generation_prompt %}<think>\n{% endif %}"   # answers begin with reasoning
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; connect-src 'self' data:; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@functools.cache
def static() -> Path:
    """Return a folder as `make assets` leaves it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(assets.STATIC, FOLDER, ignore=shutil.ignore_patterns(*assets.MADE))
    wheels = [assets.Wheel(wheel, "tab") for wheel in pyodide_files.wheels()]
    wheels += [assets.Wheel(wheel, "server") for wheel in pyodide_files.server_wheels()]
    assets.gather(FOLDER, pyodide_files.pyodide(), wheels, pyodide_files.vendor())
    return FOLDER


def violations(page: Page, within: str = "html") -> list[str]:
    """Return what axe-core finds within an element, best practices included."""
    folder = pyodide_files.npm(building.ROOT / "tests" / "browser" / "axe", building.BUILD / "axe")
    page.evaluate((folder / "axe-core" / "axe.min.js").read_text(encoding="utf-8") + "; null")
    found = page.evaluate(
        "async (within) => (await axe.run(within === 'html' ? document : within)).violations.map(({id, help, nodes}) =>"
        "    [id, help, ...nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`)].join('\\n'))",
        within,
    )
    return [str(one) for one in found]


class ApiPage(Watched):
    """A page with one of gemel's modules as window.api."""

    def __init__(
        self,
        context: BrowserContext,
        server: Server,
        *,
        module: str = "gemel.js",
        isolated: bool = True,
        foreign: bool = False,
        csp: str | None = None,
    ) -> None:
        """foreign: the page is of another origin than gemel's files and models."""
        server.folders.setdefault("gemel", static())
        site = server.site(isolated=isolated, csp=csp)
        kind = f"{'isolated' if isolated else 'plain'}{' foreign' * foreign}{' strict' * (csp is not None)}"
        super().__init__(context, f"{kind} {module}")
        self.base = f"{site.url}/gemel/"
        where = site.other_url if foreign else site.url
        self.page.goto(f"{where}/tab/api.html?module={quote(self.base + module)}")
        self.page.wait_for_selector("main[data-ready]", state="attached")   # what polls a function may be forbidden

    def js(self, source: str, **values: Any) -> Any:  # noqa: ANN401
        """Run an async function's body; values are in `v`. Playwright's Error when it does not end in SOURCE_MS."""
        late = f"new Promise((_, no) => setTimeout(no, {SOURCE_MS}, new Error('no end in {SOURCE_MS} ms')))"
        return self.page.evaluate(f"(v) => Promise.race([(async () => {{ {source} }})(), {late}])", values)
