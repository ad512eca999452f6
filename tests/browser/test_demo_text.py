"""How gemel's own page shows what a model writes: safely, whole, the same however it comes, in its direction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import demo
from browser.demo import DemoPage

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("text"), n_layer=1) as url:
        yield url


@pytest.fixture
def one(origin: str, profile: BrowserContext) -> Iterator[DemoPage]:
    """The page, which must say nothing on its console, and ask nobody else."""
    page = DemoPage(profile, origin)
    yield page
    page.close()
    assert page.noise() == []
    assert page.foreign() == []


HOSTILE = [
    "<script>window.bad = 1</script>",
    "<img src=x onerror='window.bad = 1'>",
    "![a](javascript:window.bad=1) ![b](https://example.org/pixel.png)",
    "[click](javascript:window.bad=1) [c](JaVaScRiPt:window.bad=1) [d](data:text/html,<script>window.bad=1</script>)",
    "[e](vbscript:bad) [f](v1/models) [g](//example.org) [h](&#106;avascript:window.bad=1)",
    "<iframe srcdoc='<script>parent.bad = 1</script>'></iframe><form action=/v1><button>x</button></form>",
    "<style>body { display: none }</style><svg onload=window.bad=1><math><mtext><table><mglyph><style><!--</style>",
    "<a href='javascript:window.bad=1' id=log name=body style='position:fixed'>x</a>",
    "[x]: javascript:window.bad=1\n\n[x]\n\n<javascript:window.bad=1>",
    "```html\n<script>window.bad = 1</script>\n```",
    "# <img src=x onerror=window.bad=1>\n\n| a |\n|---|\n| <script>window.bad=1</script> |",
]
DEEP = [
    "> " * 3000, ">" * 20000, "- " * 3000, "1. " * 3000, "[" * 20000, "*a " * 9000, "`" * 9001, "|a" * 9000,
    "_a" * 9000,
]
DRAW = """async ([texts, size]) => {
    const { Markdown } = await import("./page/markdown.js");
    const place = document.querySelector("#turns");
    let longest = 0;
    for (const text of texts) {
        const markdown = new Markdown(place);
        for (let at = 0; at < text.length; at += size) {
            markdown.feed(text.slice(at, at + size));
            longest = Math.max(longest, markdown.render());
            await new Promise((go) => setTimeout(go));
        }
        markdown.end();
    }
    const elements = [...place.querySelectorAll("*")];
    const found = {
        tags: [...new Set(elements.map(({ localName }) => localName))],
        attributes: [...new Set(elements.flatMap((one) => one.getAttributeNames()))],
        links: [...place.querySelectorAll("a")].map((one) => [one.getAttribute("href"), one.target, one.rel]),
        text: place.textContent, bad: window.bad, longest,
    };
    place.replaceChildren();
    return found;
}"""
TAGS = {
    "div", "p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "del", "a", "table", "thead", "tbody", "tr", "th", "td",
}
OURS = {"button", "span", "svg", "path"}   # of a block of code


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_what_a_model_writes_runs_nothing_and_loads_nothing(one: DemoPage, size: int) -> None:
    found = one.page.evaluate(DRAW, [HOSTILE, size])
    assert found["bad"] is None
    assert set(found["tags"]) <= TAGS | OURS
    assert not [name for name in found["attributes"] if name.startswith("on") or name in ("style", "id", "src", "name")]
    assert all(href is not None and re.match("https?:|mailto:", href) for href, _, _ in found["links"])
    assert {(target, rel) for _, target, rel in found["links"]} == {("_blank", "noopener noreferrer nofollow")}
    assert "<script>window.bad = 1</script>" in found["text"]


def said(one: DemoPage, *texts: str) -> str:
    """Put texts in the place of what the native model would say, ask, and return what is shown."""
    events: list[object] = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    headers = {"Content-Type": "text/event-stream", "Gemel-Host": "native"}
    one.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body, headers=headers))
    one.choose("Native server")
    found = one.ask("Hello")
    one.page.unroute("**/v1/chat/completions")
    return found


def test_a_hostile_answer_is_only_text_in_the_conversation(one: DemoPage) -> None:
    said(one, *(f"{text}\n\n" for text in HOSTILE))
    assert one.page.evaluate("window.bad") is None
    assert one.last.locator(".text :is(script, img, iframe, form, style, svg[onload], math)").count() == 0
    assert one.page.locator("#welcome").is_hidden()


def test_an_answer_without_a_word_is_told_and_is_part_of_the_conversation(one: DemoPage) -> None:
    assert said(one) == "The model gave an empty answer."
    with one.page.expect_request("**/v1/chat/completions") as asked:
        said(one, "Hello.")
    messages = json.loads(asked.value.post_data or "")["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == ""


def test_no_nesting_and_no_length_stops_the_page(one: DemoPage) -> None:
    found = one.page.evaluate(DRAW, [DEEP, 500])
    assert set(found["tags"]) <= TAGS | OURS
    assert len(found["text"]) > sum(map(len, DEEP)) / 3   # shown, if only as it is


def test_markdown_is_the_same_however_it_comes(one: DemoPage) -> None:
    whole = one.page.evaluate(HTML_OF, [MIXED, 10**6])
    assert whole == one.page.evaluate(HTML_OF, [MIXED, 1]) == one.page.evaluate(HTML_OF, [MIXED, 3])
    for part in PARTS:
        assert part in whole


def test_html_is_text_in_its_own_lines(one: DemoPage) -> None:
    found = one.page.evaluate(HTML_OF, ["<ul>\n  <li>a &amp; b</li>\n</ul>\n\nEnd", 4])
    assert "<p>&lt;ul&gt;<br>  &lt;li&gt;a &amp;amp; b&lt;/li&gt;<br>&lt;/ul&gt;</p>" in found


def test_a_text_begins_where_its_script_does(one: DemoPage) -> None:
    said(one, "A word.\n\nمرحبا بالعالم.\n\n- قائمة\n- ثانية\n\n```\nشفرة\n```\n")
    shown = one.last.locator(".text :is(p, ul, pre)")
    assert [one.evaluate("(it) => getComputedStyle(it).direction") for one in shown.all()] == [
        "ltr", "rtl", "rtl", "ltr",
    ]


def test_the_plot_keeps_to_its_place_however_many_answers_there_were(one: DemoPage) -> None:
    starts = one.page.evaluate("""async () => {
        const { Plot } = await import("./page/plot.js");
        const place = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const plot = new Plot(place, document.createElement("p"));
        for (let i = 0; i < 100; i++) {
            plot.begin("tab");
            plot.end(5);
        }
        return place.querySelector(".tab").getAttribute("d").match(/M[-0-9.]+/g).map((one) => Number(one.slice(1)));
    }""")
    assert len(starts) > 30
    assert min(starts) >= 0


MIXED = """\
# Title

A *word* and `code`, [a link](https://example.org).

3. one

4. two
   ```py
   x = 1

   y = 2
   ```

- [ ] open
- [x] done

| a | b |
|---|--:|
| 1 | 2 |

```python
for i in x:

    pass
```
End
~~~
unclosed"""
PARTS = [
    "<h3>Title</h3>", "<em>word</em>", '<ol start="3">', "x = 1\n\ny = 2", "☑", '<td align="right">2</td>',
    "for i in x:\n\n    pass</code>", "unclosed</code>",
]
HTML_OF = """async ([text, size]) => {
    const { Markdown } = await import("./page/markdown.js");
    const place = document.createElement("div");
    const markdown = new Markdown(place);
    for (let at = 0; at < text.length; at += size) {
        markdown.feed(text.slice(at, at + size));
        markdown.render();
    }
    markdown.end();
    return place.innerHTML;
}"""
