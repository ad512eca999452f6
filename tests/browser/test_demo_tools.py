"""gemel's own page runs example tools for either host, and shows calls and reasoning folded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser import demo
from browser.demo import DemoPage
from browser.pages import TOOLS, static, violations
from gemel_web import ServedModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Models must read the notes first.
FORCED = """
const post = Worker.prototype.postMessage;
const ask = window.fetch;
const forced = (messages, options, tool_choice = "list_notes") =>
    messages.at(-1).role === "user" ? { ...options, tool_choice } : options;
const named = { type: "function", function: { name: "list_notes" } };
Worker.prototype.postMessage = function (message, ...rest) {
    const { name, subject, options } = message;
    post.call(this, name === "chat" ? { ...message, options: forced(subject, options) } : message, ...rest);
};
window.fetch = (address, init) => {
    const body = address === "v1/chat/completions" ? JSON.parse(init.body) : null;
    return ask(address, body === null ? init : { ...init, body: JSON.stringify(forced(body.messages, body, named)) });
};
"""
CALL = {"index": 0, "id": "abcdefghi", "type": "function", "function": {"name": "add_note", "arguments": ""}}
ROUNDS: list[list[dict[str, Any]]] = [   # deltas of the native server's answers
    [{"reasoning_content": "A note "}, {"reasoning_content": "it is."}, {"tool_calls": [CALL]},
     *[{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in ('{"te', 'xt": "eggs"}')]],
    [{"content": "It is "}, {"content": "noted."}],
]  # fmt: skip


def scripted(app: ASGIApp, asked: list[dict[str, Any]]) -> ASGIApp:
    """Answer the first requests with ROUNDS in the place of what the model would say natively; note the requests."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/chat/completions" or len(asked) == len(ROUNDS):
            await app(scope, receive, send)
            return
        asked.append(await Request(scope, receive).json())
        deltas = ROUNDS[len(asked) - 1]
        reason = "tool_calls" if "tool_calls" in deltas[-1] else "stop"
        choices = [{"delta": delta, "finish_reason": None} for delta in deltas]
        lines = [json.dumps({"choices": [one]}) for one in (*choices, {"delta": {}, "finish_reason": reason})]
        usage = {"prompt_tokens": 9, "completion_tokens": len(deltas), "total_tokens": 9 + len(deltas)}
        body = "".join(f"data: {line}\n\n" for line in (*lines, json.dumps({"choices": [], "usage": usage}), "[DONE]"))
        headers = {"Gemel-Host": "native"}
        answer = StreamingResponse(iter([body]), media_type="text/event-stream", headers=headers)
        await answer(scope, receive, send)

    return wrapped


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def one(tmp_path: Path, profile: BrowserContext, asked: list[dict[str, Any]]) -> Iterator[DemoPage]:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=TOOLS))
    with gemel.open(path) as model:
        app = scripted(demo.site({"tiny": ServedModel(model, (path,))}, static()), asked)
        with demo.listening(app) as url:
            opened = DemoPage(profile, url, init=FORCED, width=390, height=844)
            yield opened
            noise = opened.noise()
            opened.close()
    assert noise == []


def test_the_page_runs_tools_for_either_host(one: DemoPage, asked: list[dict[str, Any]]) -> None:
    page = one.page
    page.get_by_role("button", name="Tools: none").click()
    page.get_by_role("checkbox", name="Notes").check()
    assert violations(page) == []
    page.keyboard.press("Escape")
    one.choose("Native server")
    assert one.ask("Note eggs") == "It is noted."
    assert [[message["role"] for message in each["messages"]] for each in asked] == [
        ["user"], ["user", "assistant", "tool"],
    ]  # fmt: skip
    assert [tool["function"]["name"] for tool in asked[0]["tools"]] == ["add_note", "list_notes"]
    assert asked[1]["messages"][1]["reasoning_content"] == "A note it is."
    assert asked[1]["messages"][2] == {"role": "tool", "tool_call_id": "abcdefghi", "content": '{"notes":1}'}
    assert asked[0]["seed"] == asked[1]["seed"]
    call = one.last.locator(".call")
    assert call.locator("summary").inner_text().split() == ["add_note", '{"text":', '"eggs"}', "done"]
    one.last.locator(".thought summary").click()
    call.locator("summary").press("Enter")
    assert one.last.locator(".thought .inside").inner_text() == "A note it is."
    assert '{"notes":1}' in call.inner_text()
    assert "7 tokens" in one.last.locator(".live").inner_text()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert violations(page) == []
    one.choose("This tab")
    one.set(max_tokens=80)
    assert one.ask("What is noted?")
    assert one.last.locator(".call pre").all_text_contents() == ["{}", '["eggs"]']
    assert one.last.locator(".badge").inner_text() == "This tab"
    one.last.get_by_role("button", name="Compare with the server").click()
    page.locator(".remark.same").wait_for()
    page.get_by_role("button", name="Tools: notes").click()
    assert page.locator("#note-list").inner_text() == "eggs"
    page.get_by_role("button", name="Clear").click()
    assert not page.locator("#notes").is_visible()


def test_the_calculator_reads_arithmetic_and_runs_nothing(one: DemoPage) -> None:
    right = {
        "2 * (3 + 4) ^ 2 / sqrt(9)": 98 / 3, "-2^2": -4, "2^3^2": 512, "2**-1": 0.5, "0.1 + 0.2": 0.3, "7 % 4 × 2": 6,
        "max(1, 2, pi)": 3.141592653589793, "1e3 - .5": 999.5, "2^53": 2**53,
    }  # fmt: skip
    wrong = {
        "": "it ends too early", "1 +": "it ends too early", "(1": "a ) is missing", "1 2": "there is a 2 too many",
        "alert(1)": "alert is not known", "constructor": "constructor is not known", "1/0": "it has no finite value",
        "a['b']": "\"[\" is not arithmetic", "(" * 200: "nested more than 100 deep", "sqrt(1, 2)": "sqrt takes one",
        "-" * 200: "nested more than 100 deep", "*": "a number is missing before *",
    }  # fmt: skip
    found = one.page.evaluate(
        "async (all) => { const { calculate } = await import('./page/calculator.js');"
        "    return all.map((one) => { try { return calculate(one); } catch (error) { return error.message; } }); }",
        [*right, *wrong],
    )
    assert found[: len(right)] == pytest.approx(list(right.values()), rel=1e-14)
    assert [said for said, part in zip(found[len(right) :], wrong.values(), strict=True) if part not in said] == []
