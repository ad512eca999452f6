"""The page's panel that shows an object being filled: fields, a schema that can be edited, errors, a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import demo
from browser.demo import DemoPage

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., DemoPage]
VALUES: list[Any] = [
    {"a": 1, "b": [True, None, "x\\\"\n\u00e9\U0001f600"], "c": {"d": -1.5e3, "e": {}}, "__proto__": "p"}, [],
    [[], [[0]]], "text", -0.25, 17, False, None,
]  # fmt: skip
SCHEMA = {
    "type": "object", "properties": {"on": {"type": "boolean"}, "size": {"enum": ["S", "M"]}, "more": {
        "type": "array", "items": {"const": "x"}, "minItems": 2, "maxItems": 2}},
    "required": ["on", "size", "more"], "additionalProperties": False,
}  # fmt: skip
STOPS_AS_SOON_AS_IT_FILLS = """
new MutationObserver(([record], observer) => {
    if (!record.target.textContent.startsWith("Filling")) return;
    observer.disconnect();
    document.querySelector("#fill-stop").click();
}).observe(document.querySelector("#object-status"), { childList: true });
"""
COUNTS_STARTS_AND_HOLDS_FRAMES = """() => {
    const { charAt } = String.prototype;
    window.starts = 0;
    String.prototype.charAt = function (at) {   // the parser reads an array's first character by it
        if (at === 0 && this.startsWith("[")) starts++;
        return charAt.call(this, at);
    };
    window.kept = [];
    window.requestAnimationFrame = (act) => kept.push(act);
}"""
PARTS = """
async (texts) => {
    const { partial } = await import("/page/partial.js");
    return texts.map((text) => [...Array(text.length + 1).keys()].map((n) =>
        JSON.stringify(partial(text.slice(0, n))) ?? null));
}
"""
HELD = """
const held = new Promise((resolve) => (window.release = resolve)), now = window.fetch;
window.fetch = async (what, ...more) => (await (what === "config.json" && held), now(what, ...more));
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.tiny_site(tmp_path_factory.mktemp("object"), n_layer=2, n_ctx=2048) as url:
        yield url


@pytest.fixture
def visit(origin: str, profile: BrowserContext) -> Iterator[Open]:
    with demo.visits(profile, origin, ignored="status of 400") as open_:
        yield open_


def fill(one: DemoPage, schema: object, *, host: str = "Native server") -> str:
    """Fill an object by a schema; return what the panel says at the end."""
    page = one.page
    if not page.locator("#object").is_visible():
        one.choose(host)
        page.locator("#open-object").click()
    page.get_by_label("JSON schema").fill(schema if isinstance(schema, str) else json.dumps(schema))
    page.get_by_role("button", name="Fill", exact=True).click()
    page.locator("#fill-stop:disabled").wait_for(timeout=demo.ANSWER_MS)
    return page.locator("#object-status").inner_text()


@pytest.mark.parametrize("host", ["Native server", "This tab"])
def test_the_fields_of_a_schema_are_filled(visit: Open, host: str) -> None:
    one = visit()
    words = fill(one, SCHEMA, host=host)
    assert words.startswith("A valid object: ")
    assert one.page.locator("#object-fields dt").all_inner_texts() == ["on", "size", "more"]
    fields = one.page.locator("#object-fields > dl > div > dd")
    assert fields.nth(0).inner_text() in ("true", "false")
    assert fields.nth(1).inner_text() in ("S", "M")
    assert fields.nth(2).locator("li").all_inner_texts() == ["x", "x"]
    assert one.page.locator("#object-fields .open").count() == 0


def test_a_text_is_parsed_only_in_frames(visit: Open) -> None:
    one = visit()
    one.choose("Native server")
    one.page.evaluate(COUNTS_STARTS_AND_HOLDS_FRAMES)
    assert fill(one, {"type": "array", "minItems": 5000}).startswith("Cut after 400 tokens")
    assert one.page.evaluate("[starts, kept.length]") == [0, 2]   # the pieces, the end
    one.page.evaluate("kept.forEach((act) => act())")
    assert one.page.evaluate("starts") > 0


def test_a_schema_shows_its_empty_fields_at_once(visit: Open) -> None:
    one = visit()
    one.page.locator("#open-object").click()
    assert one.page.locator("#object-fields > dl > div > dt").first.inner_text() == "name"
    one.page.get_by_label("JSON schema").fill(json.dumps(SCHEMA))
    assert one.page.locator("#object-fields dt").all_inner_texts() == ["on", "size", "more"]
    assert one.page.locator("#object-fields .empty").count() == 3


def test_what_is_wrong_with_a_schema_is_said(visit: Open) -> None:
    one = visit()
    assert fill(one, "{").startswith("The schema is not JSON: ")
    assert "#/properties/a/pattern: " in fill(one, {"properties": {"a": {"pattern": "(?=x)"}}})
    assert fill(one, "null") == "The schema must be an object, true or false, not null."
    assert fill(one, {"const": 1}).startswith("A valid object: ")


def test_clicks_while_the_page_loads_start_one_answer(visit: Open) -> None:
    one = visit()
    one.choose("Native server")   # and so after the page is loaded again
    page = one.page
    page.add_init_script(HELD)
    page.goto(one.url)
    page.locator("#object-fields dt").first.wait_for(state="attached")
    page.locator("#open-object").click()
    page.get_by_label("JSON schema").fill(json.dumps(SCHEMA))
    for _ in range(3):
        page.get_by_role("button", name="Fill", exact=True).click()
    assert page.locator("html[data-ready]").count() == 0
    page.evaluate("release()")
    page.locator("#object-status", has_text="A valid object: ").wait_for(timeout=demo.ANSWER_MS)
    assert sum("/v1/chat/completions" in url for url in one.requests) == 1
    assert page.locator("#fill").is_enabled()


def test_an_object_can_be_stopped(visit: Open) -> None:
    one = visit()
    one.choose("Native server")
    one.page.locator("#open-object").click()
    one.page.get_by_label("JSON schema").fill(json.dumps({"type": "array", "minItems": 5000}))
    one.page.evaluate(f"() => {{ {STOPS_AS_SOON_AS_IT_FILLS} }}")
    one.page.get_by_role("button", name="Fill", exact=True).click()
    one.page.locator("#object-status", has_text="Stopped.").wait_for(timeout=demo.ANSWER_MS)
    assert one.page.locator("#fill").is_enabled()


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_each_beginning_of_a_text_has_a_value(visit: Open, value: Any) -> None:  # noqa: ANN401
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    texts = [json.dumps(value), compact, json.dumps(value, indent=1)]
    found = visit().page.evaluate(PARTS, texts)
    for text, parts in zip(texts, found, strict=True):
        assert len(parts) == len(text.encode("utf-16-le")) // 2 + 1
        assert json.loads(parts[-1]) == value
        assert parts[0] is None


def test_the_values_of_a_texts_beginnings_are_those_that_are_written_here(visit: Open) -> None:
    assert visit().page.evaluate(PARTS, ['{"a":[1,"x"]}']) == [[
        None, "{}", "{}", "{}", "{}", "{}", '{"a":[]}', '{"a":[1]}', '{"a":[1]}', '{"a":[1,""]}',
        *['{"a":[1,"x"]}'] * 4,
    ]]  # fmt: skip
