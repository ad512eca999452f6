"""Tools that are functions of a page: the model's calls run there, and its answer goes on with their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gemel
import pytest
import tiny
from browser.pages import THINKS, ApiPage, violations
from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
CITY = {
    "type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip
WEATHER = {"name": "weather", "description": "The weather in a city", "parameters": CITY}
ASKED = [{"role": "user", "content": "Hi"}]
OPTIONS: dict[str, Any] = {
    "tool_choice": "required", "parallel_tool_calls": False, "reasoning_budget": 8, "max_tokens": 120, "temperature": 0,
}  # fmt: skip
# Rounds with a model whose answers are those of v.script, each {text, calls: [[name, arguments]]}. asked: the messages
# and options of each round.
SCRIPTED = """
const { Rounds } = await import(v.base + "rounds.js");
const { Generation } = await import(v.base + "generation.js");
window.asked = [];
const ask = (messages, options, { part }) => {
    const { text = "", calls = [] } = v.script[asked.length];
    asked.push([structuredClone(messages), structuredClone(options)]);
    const round = asked.length;
    if (text) part({ kind: "text", text }, 2);
    calls.forEach(([name, given], index) => {
        const call = { index, id: `id${round}${index}`, name };
        part({ kind: "call", text: "", call }, 3);
        part({ kind: "call", text: given, call }, 4);
    });
    const called = calls.map(([, given]) => ({ arguments: given, is_complete: given.endsWith("}") }));
    const counts = { n_prompt: 9, n_cached: 3, n_evaluated: 6, n_decoded: 4 };
    const numbers = { ...counts, prompt_s: 1, decode_s: 2, first_token_s: 1 };
    const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
    const result = { text, reasoning: "", calls: called, stop_reason: "stop", seed: 5, usage, timings: numbers };
    return { answer: Promise.resolve(result), stop() {} };
};
const chat = (messages, options) => {
    const rounds = new Rounds(ask, messages, options);
    return new Generation((listener) => rounds.begin(listener));
};
const user = { role: "user", content: "Hi" };
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=THINKS)


@pytest.fixture
def page(api_page: OpenPage, file: Served) -> ApiPage:
    """A page with gemel-chat.js, and a model in window.gemel."""
    one = api_page(module="gemel-chat.js")
    if not one.js("return window.gemel?.info?.name === v.url", url=file.url):
        one.js("window.gemel ??= new api.Gemel(); await gemel.load(v.url)", url=file.url)
    return one


def scripted(page: ApiPage, script: list[dict[str, Any]], source: str) -> Any:  # noqa: ANN401
    return page.js(SCRIPTED + source, script=script, base=page.base)


def test_calls_are_run_and_the_answer_goes_on_with_natives_text(page: ApiPage, data: bytes) -> None:
    found = page.js(
        "const given = [], parts = [];"
        "const run = (args, { call }) => { given.push([args, call.id]); return { degrees: 21 }; };"
        "const generation = gemel.chat(v.asked, {...v.options, tools: [{...v.weather, run}]});"
        "for await (const part of generation.parts()) parts.push([part.kind, part.text, part.call?.name]);"
        "return {given, parts, result: await generation.result, text: generation.text, again: await read(generation)}",
        asked=ASKED, weather=WEATHER, options=OPTIONS,
    )  # fmt: skip
    result, parts = found["result"], found["parts"]
    with gemel.open(data) as model:
        chat = model.chat(tools=[{"type": "function", "function": WEATHER}])
        first = chat.send("Hi", seed=result["seed"], **OPTIONS)
        first.read()
        (call,) = first.calls
        chat.messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"degrees":21}'})
        second = chat.send(seed=result["seed"], **{**OPTIONS, "tool_choice": None})
        assert second.read()
        assert [first.reasoning, second.reasoning] == [one["reasoning_content"] for one in chat.messages[1::2]]
        assert result["messages"] == chat.messages[1:]
        assert result["usage"]["completion_tokens"] == len(first.ids) + len(second.ids)
    assert found["given"] == [[{"city": "Rome"}, call.id]]
    assert (result["calls"][0]["arguments"], result["calls"][0]["result"]) == (call.arguments, '{"degrees":21}')
    kinds = [kind for i, (kind, *_) in enumerate(parts) if i == 0 or parts[i - 1][0] != kind]
    assert kinds == ["reasoning", "call", "result", "reasoning", "text"]
    assert "".join(text for kind, text, _ in parts if kind == "text") == found["text"] == result["text"]
    assert "".join(found["again"]["pieces"]) == result["text"]
    assert "".join(text for kind, text, _ in parts if kind == "call") == call.arguments
    assert {name for kind, _, name in parts if kind in ("call", "result")} == {"weather"}


def test_calls_that_the_page_does_not_run_come_back(page: ApiPage) -> None:
    found = page.js(
        "const tools = [{type: 'function', function: v.weather}];"
        "const first = await gemel.chat(v.asked, {...v.options, tools}).result;"
        "const results = first.calls.map(({id}) => ({role: 'tool', tool_call_id: id, content: '21'}));"
        "const messages = [...v.asked, ...first.messages, ...results];"
        "const second = await gemel.chat(messages, {...v.options, tools: [v.weather], tool_choice: 'none'}).result;"
        "return [first, second]",
        asked=ASKED, weather=WEATHER, options=OPTIONS,
    )  # fmt: skip
    assert [(one["name"], one["arguments"], one["result"]) for one in found[0]["calls"]] == [
        ("weather", '{"city": "Rome"}', None)
    ]
    assert [one["role"] for one in found[0]["messages"]] == ["assistant"]
    assert (found[1]["calls"], len(found[1]["messages"])) == ([], 1)


def test_errors_and_refusals_go_back_to_the_model(page: ApiPage) -> None:
    calls: list[object] = [["a", "{}"], ["b", '{"x": 1}'], ["c", "{}"], ["d", "{}"], ["f", "{}"], ["e", ""]]
    found = scripted(
        page, [{"text": "Wait.", "calls": calls}, {"text": "Done."}],
        """
        const ran = [], run = (args, { call }) => { ran.push([call.name, args]); throw new RangeError("too far"); };
        const onCall = async ({ name }) => {
            if (name === "c") throw new Error("not today");
            if (name === "d") return { result: [1] };
            return name !== "f";
        };
        const tools = ["a", "b", "c", "d", "e", "f"].map((name) => ({ name, run: name === "a" ? () => {} : run }));
        const result = await chat([user], { tools, onCall, seed: 1, tool_choice: "a" }).result;
        return { ran, result, asked };
        """,
    )  # fmt: skip
    texts = ["null", "error: RangeError: too far", "error: not today", "[1]", "error: the user refused this call"]
    assert found["ran"] == [["b", {"x": 1}]]
    assert [one["result"] for one in found["result"]["calls"]] == [*texts, None]   # the last one was cut
    assert [one["is_error"] for one in found["result"]["calls"]] == [False, True, True, False, True, False]
    (_, first), (messages, second) = found["asked"]
    assert [one["content"] for one in messages] == ["Hi", "Wait.", *texts]
    assert [one["id"] for one in messages[1]["tool_calls"]] == [one["tool_call_id"] for one in messages[2:]]
    assert (first["tool_choice"], second.get("tool_choice"), second["seed"]) == ("a", None, 5)
    assert found["result"]["text"] == "Wait.\n\nDone."
    timings = found["result"]["timings"]
    assert (found["result"]["usage"]["total_tokens"], timings["n_cached"], timings["decode_tok_s"]) == (26, 6, 2)


def test_the_last_round_must_end_in_words(page: ApiPage) -> None:
    script: list[dict[str, Any]] = [*[{"calls": [["a", "{}"]]}] * 2, {"text": "Enough."}]
    found = scripted(
        page, script,
        "const {messages} = await chat([user], {tools: [{name: 'a', run: () => 'x'}], max_rounds: 2}).result;"
        "return [messages, asked.map(([, {tool_choice}]) => tool_choice ?? null)]",
    )  # fmt: skip
    assert [one["role"] for one in found[0]] == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert found[1] == [None, None, "none"]


def test_stop_ends_a_tool_that_runs(page: ApiPage) -> None:
    found = scripted(
        page, [{"calls": [["a", "{}"]] * 2}],
        """
        let late = null;
        const run = (_, { signal }) => new Promise((done) => { late = signal; });
        const generation = chat([user], { tools: [{ name: "a", run }] });
        while (late === null) await new Promise((go) => setTimeout(go, 1));
        generation.stop();
        const result = await generation.result;
        return [late.aborted, result.stop_reason, result.messages.map(({ content }) => content)];
        """,
    )  # fmt: skip
    assert found == [True, "cancelled", ["", *["error: the call was stopped"] * 2]]


def test_an_answer_that_continues_a_message_gives_it_whole(page: ApiPage) -> None:
    found = scripted(
        page, [{"text": " is blue."}] * 3,
        """
        const last = { role: "assistant", content: [{ type: "text", text: "The sky" }], prefix: true };
        const whole = await chat([user, last], {}).result;
        const fresh = await chat([user, { ...last, prefix: false }], {}).result;
        const same = await chat([user, last], { continue_final_message: false }).result;
        return [whole, fresh, same].map(({ messages }) => messages);
        """,
    )  # fmt: skip
    assert found[0] == [{"role": "assistant", "content": "The sky is blue."}]
    assert found[1] == found[2] == [{"role": "assistant", "content": " is blue."}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{tools: {}}", "chat: tools must be an array of {name, description, parameters, run}, not an object of class"),
        ("{tools: ['a']}", "chat: tools[0] must be an object like {name, description, parameters, run}, not \"a\""),
        ("{tools: [{name: 'a', run: 1}]}", "chat: tools[0].run must be a function, not 1"),
        ("{tools: [{name: 'a'}], max_rounds: 2}", "chat: max_rounds has no effect: no tool has run, and there is no"),
        ("{tools: [{name: 'a', run() {}}], max_rounds: 0}", "chat: max_rounds must be an integer of at least 1, not 0"),
        ("{onCall() {}}", "chat: onCall has no effect: there are no tools"),
        ("{tools: [{name: 'a'}], onCall: 3}", "chat: onCall must be a function, not 3"),
        ("{tools: [{name: 'a', parameters: {}}], tool_choice: 'b'}", "tool_choice='b': must be \"auto\", "),
        ("{tools: [{name: 'a', run() {}, inputs: {}}]}", "tools[0].inputs: unknown field of a tool"),
        ("{toolChoice: 'a'}", "chat: there is no option 'toolChoice'; did you mean 'tool_choice'?"),
        ("{reasoning_budget: -1}", "reasoning_budget"),
    ],
)
def test_options_that_are_wrong_are_errors(page: ApiPage, options: str, message: str) -> None:
    found = page.js(f"return await caught((async () => gemel.chat(v.asked, {options}).result)())", asked=ASKED)
    assert message in found[1]


ELEMENT = """
window.chat = document.createElement("gemel-chat");
chat.setAttribute("model", v.url);
chat.options = v.options;
window.left = [];
chat.tools = [{ ...v.weather, run: (args, { signal }) => new Promise((done) => left.push(done)) }];
window.kinds = new Set();
chat.addEventListener("part", ({ detail }) => kinds.add(detail.kind));
document.querySelector("main").replaceChildren(chat);
window.answer = chat.ask("Hi");
"""


def test_the_element_shows_calls_and_reasoning_folded(page: ApiPage, file: Served) -> None:
    page.js(ELEMENT, url=file.url, options=OPTIONS, weather=WEATHER)
    view, call = page.page, page.page.locator(".call")
    call.get_by_text("running …").wait_for()
    assert view.locator(".thought").first.get_attribute("open") is None
    view.get_by_text("Thought for").first.wait_for()
    page.js("left[0](['<b>21</b>'])")
    kinds, messages = page.js("await answer; return [[...kinds], chat.messages]")
    assert kinds == ["reasoning", "call", "result", "text"]
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[2]["content"] == '["<b>21</b>"]'
    assert (view.locator(".call").count(), view.locator(".thought").count()) == (1, 2)
    call.locator("summary").focus()
    view.keyboard.press("Enter")
    inside = call.locator(".inside").inner_text().split("\n")
    assert [line for line in inside if line] == ["Arguments", '{"city": "Rome"}', "Result", '["<b>21</b>"]']
    assert call.locator("summary").inner_text().split() == ["weather", "done"]
    for scheme in ("light", "dark"):
        view.emulate_media(color_scheme=scheme)
        assert violations(view, "gemel-chat") == []
    view.set_viewport_size({"width": 320, "height": 700})
    assert page.js("const log = chat.shadowRoot.querySelector('.log'); return log.scrollWidth - log.clientWidth") == 0
    page.js("const asked = chat.ask('And now?'); while (left.length < 2) await new Promise((go) => setTimeout(go, 5));"
            "chat.stop(); return (await asked).stop_reason")   # fmt: skip
    assert "failed" in view.locator(".call").last.inner_text()
    assert page.js("return chat.messages.at(-1).content") == "error: the call was stopped"
    page.expect("<gemel-chat>")
    words = page.js(
        "let said; chat.addEventListener('error', ({ detail }) => (said = detail.message));"
        "chat.options = {...chat.options, tools: []}; await chat.ask('Why?'); return said"
    )
    assert "tools and options.tools are both set" in words
