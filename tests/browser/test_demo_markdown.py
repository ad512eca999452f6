"""Formulas, colours of code and task lists in answers: drawn by libraries that come when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import demo
from browser.demo import DemoPage
from browser.pages import violations

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FORMULAS = r"""
Inline $E = mc^2$ and \(a_1\), display $$\int_0^1 x\,dx$$ and

\[ A = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \]

$$
\sum_{i=1}^n i
$$
"""
NO_FORMULAS = "It costs $5 or $10, not $ 7 $, and `$x$` is code; \\( has no end."
HOSTILE = r"""
$\href{javascript:window.bad=1}{x}$ $\htmlStyle{color:red}{x}$ $\includegraphics{https://example.org/x.png}$
$\text{<img src=x onerror=window.bad=1>}$ $\def\a{\a\a}\a$ $\rule{9999em}{9999em}$ $\unknown{$
"""
CODE = 'def twice(x: int) -> str:\n    return f"<b>{2 * x}</b>"  # no markup'
BLOCKS = f"```python\n{CODE}\n```\n\n```nosuchlanguage\na < b\n```\n\n1. one\n   ```js\n   let a = 1;\n   ```\n"
TASKS = "- [x] done\n- [ ] open\n- plain\n"
# Which libraries the page has imported: the copy for offline use fetches them, too.
IMPORTED = """performance.getEntriesByType("resource").filter(({ name, initiatorType }) =>
    initiatorType !== "fetch" && /katex|highlight/.test(name)).map(({ name }) => name)"""
DRAW = """async ([text, size]) => {
    const { Markdown } = await import("./page/markdown.js");
    const place = document.querySelector("#turns");
    place.replaceChildren();
    place.className = "turns text";
    document.querySelector("#welcome").hidden = true;
    const markdown = new Markdown(place);
    for (let at = 0; at < text.length; at += size) {
        markdown.feed(text.slice(at, at + size));
        markdown.render();
        await new Promise((go) => setTimeout(go));
    }
    markdown.end();
}"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("markdown"), n_layer=1) as url:
        yield url


@pytest.fixture
def one(origin: str, profile: BrowserContext) -> Iterator[DemoPage]:
    page = DemoPage(profile, origin, drawer=False)
    assert page.page.evaluate(IMPORTED) == []   # before they are needed
    yield page
    page.close()
    assert page.noise() == []
    assert page.foreign() == []


@pytest.mark.parametrize("size", [3, 10**6])
def test_formulas_become_mathml_and_prices_stay_text(one: DemoPage, size: int) -> None:
    one.page.evaluate(DRAW, [FORMULAS, size])
    one.page.locator("#turns math").nth(4).wait_for()
    assert one.page.locator("#turns math").count() == 5
    assert one.page.locator("#turns .display").count() == 3
    assert "\\" not in one.page.locator("#turns").inner_text()
    assert violations(one.page, "#turns") == []
    one.page.evaluate(DRAW, [NO_FORMULAS, size])
    assert one.page.locator("#turns .math").count() == 0
    assert "$5 or $10, not $ 7 $" in one.page.locator("#turns").inner_text()


def test_a_formula_runs_nothing_loads_nothing_and_what_is_none_stays_text(one: DemoPage) -> None:
    one.page.evaluate(DRAW, [f"$x$ {HOSTILE} $y$", 10**6])
    one.page.locator("#turns math").first.wait_for()
    found = one.page.evaluate(
        "[window.bad ?? null, document.querySelectorAll('#turns :is(a, img, [style], [href])').length,"
        " document.querySelector('#turns').scrollHeight < 3000]"
    )
    assert found == [None, 0, True]
    assert "\\def\\a{\\a\\a}\\a" in one.page.locator("#turns").inner_text()


@pytest.mark.parametrize("size", [3, 10**6])
def test_code_has_colours_once_it_is_whole_and_stays_the_same_text(one: DemoPage, size: int) -> None:
    one.page.evaluate(DRAW, [BLOCKS, size])
    codes = one.page.locator("#turns .code code")
    codes.nth(2).locator(".hljs-keyword").wait_for()
    codes.nth(0).locator(".hljs-keyword").first.wait_for()
    assert codes.all_text_contents() == [CODE, "a < b", "let a = 1;"]
    assert codes.nth(1).locator("span").count() == 0
    assert violations(one.page, "#turns") == []
    one.page.emulate_media(color_scheme="dark")
    assert violations(one.page, "#turns") == []


def test_the_button_that_copies_long_code_stays_in_sight(one: DemoPage) -> None:
    one.page.evaluate(DRAW, ["```\n" + "line\n" * 200 + "```\n", 10**6])
    one.page.locator("#log").evaluate("(log) => { log.scrollTop = 900; }")
    log, act = one.page.locator("#log").bounding_box(), one.page.locator("#turns .copy").bounding_box()
    assert log is not None
    assert act is not None
    assert log["y"] <= act["y"] < log["y"] + 60


def test_a_task_has_a_box_instead_of_a_mark(one: DemoPage) -> None:
    one.page.evaluate(DRAW, [TASKS, 10**6])
    items = one.page.locator("#turns li")
    assert items.all_inner_texts() == ["☑ done", "☐ open", "plain"]
    assert [items.nth(i).evaluate("(item) => getComputedStyle(item).listStyleType") for i in range(3)] == [
        "none", "none", '"–  "'
    ]
