"""sw.js and relay.js: any client in the page, OpenAI's own for one, reaches the model in the tab by fetch("v1/...")."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.answers import ENDLESS, N_PAST, REQUEST_ID, native, plain
from browser.server import Server
from browser.server_app import CHAT, EMBED, GREEDY, HELLO, TEXT
from browser.sites import Host, SitePage, site
from conftest import CHATML

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenProfile = Callable[[], "BrowserContext"]
CREATE = "client.chat.completions.create({...v.greedy, messages: v.hello, ...v.more})"
POST = (
    "const post = (path, body, headers = {}) => fetch(path, {method: 'POST',"
    "    headers: {'content-type': 'application/json', ...headers}, body: JSON.stringify(body)});"
)
STREAM = (
    "window.stream = client.completions.create(v.body).then(async (stream) => {"
    "    for await (const chunk of stream) window.begun = true;"
    "});"
    "stream.catch(() => {});"
)


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, server: Server, data: bytes) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    site(folder, client=True, tiny=data, other=data)
    with Host(folder) as made:
        yield made


def opened(profile: BrowserContext, host: Host, model: str = "tiny", query: str = "?client") -> SitePage:
    """Return a page of the site that serves a model."""
    page = SitePage(profile, host.url, query)
    assert page.js("return [ready, crossOriginIsolated]") == [{"relays": True, "why": None}, True]
    page.js("await gemel.load(v.url)", url=f"./models/{model}.gguf")
    return page


@pytest.fixture(scope="module")
def shared(profile: BrowserContext, host: Host) -> SitePage:
    return opened(profile, host)


@pytest.fixture
def serving(shared: SitePage) -> Iterator[SitePage]:
    """A page that serves the tiny model; what it says on the console fails the test."""
    yield shared
    said = shared.said()
    shared.console.clear()
    assert said == []


def asked(page: SitePage, call: str, **more: Any) -> Any:  # noqa: ANN401
    return page.js(f"return await {call}", greedy=GREEDY, hello=HELLO, more=more)


# ---- OpenAI's client ------------------------------------------------------------------------------------------------


def test_the_same_request_has_the_native_servers_bytes(serving: SitePage, data: bytes) -> None:
    requests = [
        (CHAT, {**GREEDY, "messages": HELLO, "logprobs": True, "top_logprobs": 2}),
        (CHAT, {**GREEDY, "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}),
        (TEXT, {**GREEDY, "prompt": ["the", "a model"], "logprobs": 3}),
        (EMBED, {"model": "tiny", "input": ["the model", "another " * 20]}),
        (TEXT, {**GREEDY, "prompt": "a", "nonsense": 1}),
        ("/v1/models/other", None),
        ("/api/embed", {"model": "tiny", "input": ["the model", "another"]}),   # Ollama's
        ("/api/version", None),
    ]
    found = serving.js(
        POST + "const answers = [], headers = {'x-request-id': v.id};"
        "for (const [path, body] of v.requests) {"
        "    const to = path.slice(1);"
        "    const answer = await (body === null ? fetch(to, {headers}) : post(to, body, headers));"
        "    answers.push([answer.status, [...answer.headers].sort(), await answer.text()]);"
        "}"
        "return answers",
        requests=requests, id=REQUEST_ID,
    )
    assert len(serving.said()) == 2   # a browser's own words for 400 and 404
    serving.console.clear()
    for wanted, (status, headers, text) in zip(native(data, requests), found, strict=True):
        assert (status, plain(text)) == (wanted.status_code, plain(wanted.text)), wanted.request.url
        given = {name: value for name, value in headers if name != "content-length"}
        assert given == {name: value for name, value in wanted.headers.items() if name != "content-length"}
        assert given["gemel-host"] == "tab"


def test_models(serving: SitePage) -> None:
    found = serving.js("return [(await client.models.list()).data, await client.models.retrieve('tiny')]")
    assert [card["id"] for card in found[0]] == ["tiny"]
    assert found[1]["owned_by"] == "gemel"


def test_a_chat_and_its_stream(serving: SitePage, data: bytes) -> None:
    with gemel.open(data) as model, model.chat() as chat:
        ids = chat.send("Hello", max_tokens=12, temperature=0)
        ids.read()
        usage = {"prompt_tokens": len(ids.prompt_ids), "completion_tokens": 12}
    asked(serving, CREATE)   # from now on, as much of the prompt is cached each time
    whole = asked(serving, CREATE, user="u", store=False)
    assert {name: whole["usage"][name] for name in usage} == usage
    chunks = serving.js(
        "const chunks = [];"
        f"for await (const chunk of await {CREATE}) chunks.push(chunk);"
        "return chunks",
        greedy=GREEDY, hello=HELLO, more={"stream": True, "stream_options": {"include_usage": True}},
    )  # fmt: skip
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert (chunks[-2]["choices"][0]["finish_reason"], chunks[-1]["usage"]) == ("length", whole["usage"])
    lines = serving.js(   # Ollama's API
        POST + "return (await (await post('api/chat', v.body)).text()).trim().split('\\n').map(JSON.parse)",
        body={"model": "tiny", "messages": HELLO, "options": {"temperature": 0, "num_predict": 12, "num_ctx": 4096}},
    )
    assert "".join(line["message"]["content"] for line in lines) == text
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 12)


def test_calls_of_tools_and_their_stream(serving: SitePage) -> None:
    city = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {**city, "additionalProperties": False}}}
    more = {"tools": [tool], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 100}
    whole = asked(serving, CREATE, **more)["choices"][0]
    streamed = asked(
        serving, "client.chat.completions.stream({...v.greedy, messages: v.hello, ...v.more}).finalChatCompletion()",
        **more,
    )["choices"][0]   # fmt: skip
    for choice in (whole, streamed):
        (call,) = choice["message"]["tool_calls"]
        assert (choice["finish_reason"], call["function"]["name"]) == ("tool_calls", "weather")
        assert json.loads(call["function"]["arguments"])["city"] in ("Rome", "Oslo")
    assert whole["message"]["tool_calls"][0]["function"] == {
        name: streamed["message"]["tool_calls"][0]["function"][name] for name in ("name", "arguments")
    }


def test_stop_seed_and_n(serving: SitePage) -> None:
    create = "client.completions.create({...v.greedy, prompt: 'the model', ...v.more})"
    text = asked(serving, create)["choices"][0]["text"]
    cut = asked(serving, create, stop=text[3:5])["choices"][0]
    assert (cut["text"], cut["finish_reason"]) == (text[: text.index(text[3:5])], "stop")
    one, other = (asked(serving, create, temperature=1.5, n=3, seed=5)["choices"] for _ in range(2))
    assert one == other
    assert len({choice["text"] for choice in one}) == 3


def test_logprobs_and_embeddings(serving: SitePage, data: bytes) -> None:
    tokens = asked(serving, CREATE, logprobs=True, top_logprobs=3)["choices"][0]["logprobs"]["content"]
    assert len(tokens) == 12
    assert all(token["logprob"] == token["top_logprobs"][0]["logprob"] for token in tokens)
    texts = ["the model", "another"]
    packed, plain_ = serving.js(
        "const ask = (more) => client.embeddings.create({model: 'tiny', input: v.texts, ...more});"
        "return [(await ask()).data, (await ask({encoding_format: 'float'})).data]",
        texts=texts,
    )
    with gemel.open(data) as model:
        expected = model.embed(texts).tolist()
    assert [one["embedding"] for one in packed] == [one["embedding"] for one in plain_] == expected


def test_errors_are_the_clients_exceptions(serving: SitePage) -> None:
    long = [{"role": "user", "content": "the model " * 3000}]
    found = [
        asked(serving, f"caught({CREATE})", **more)
        for more in ({"model": "other"}, {"reasoning_effort": "low"}, {"messages": long})
    ]
    assert [(error["name"], error["status"]) for error in found] == [("Error", 404), ("Error", 400), ("Error", 400)]
    assert [error["code"] for error in found] == [
        "model_not_found", "unsupported_parameter", "context_length_exceeded",
    ]  # fmt: skip
    assert found[1]["param"] == "reasoning_effort"
    assert len(serving.said()) == 3   # a browser's own words for these statuses
    serving.console.clear()


def test_leaving_a_stream_ends_its_work(serving: SitePage) -> None:
    left, whole = serving.js(
        "for await (const chunk of await client.completions.create(v.body)) break;"
        "const left = Number(await gemel.run(v.program));"
        "const abort = new AbortController();"
        "const stream = await client.completions.create(v.body, {signal: abort.signal});"
        "for await (const chunk of stream) abort.abort();"
        "return [left, Number(await gemel.run(v.program))]",
        body=ENDLESS, program=N_PAST,
    )  # fmt: skip
    assert 0 < left < 1900
    assert 0 < whole < 1900


# ---- Who answers ----------------------------------------------------------------------------------------------------


def test_a_page_without_a_model_is_answered_by_another(profile: BrowserContext, host: Host, serving: SitePage) -> None:
    mute = SitePage(profile, host.url, "?client&mute")
    assert mute.js("return (await client.models.list()).data.map(({id}) => id)") == ["tiny"]
    idle = SitePage(profile, host.url, "?client")
    assert idle.js("return (await client.models.list()).data.map(({id}) => id)") == ["tiny"]
    idle.js("await gemel.load('./models/other.gguf')")
    for one, alias in ((idle, "other"), (serving, "tiny")):   # each is its own
        assert one.js("return (await client.models.list()).data.map(({id}) => id)") == [alias]
    assert [*mute.said(), *idle.said()] == []
    mute.close()
    idle.close()


def test_the_network_is_asked_where_it_should_be(profile: BrowserContext, host: Host, serving: SitePage) -> None:
    found = serving.js(
        POST + "const native = await post('v1/chat/completions', v.body, {'Gemel-Host': 'native'});"
        "return [native.status, native.headers.get('Gemel-Host')]",
        body={**GREEDY, "messages": HELLO},
    )
    assert found == [501, None]   # what http.server says to POST
    assert len(serving.said()) == 1
    serving.console.clear()


def test_where_no_page_serves_the_network_or_an_error_answers(open_profile: OpenProfile, host: Host) -> None:
    context = open_profile()
    page = SitePage(context, host.url)
    found = page.js(
        "const tell = async (headers) => {"
        "    const answer = await fetch('v1/models', {headers});"
        "    return [answer.status, answer.headers.get('Gemel-Host'), await answer.text()];"
        "};"
        "return [await tell({}), await tell({'Gemel-Host': 'tab'})]"
    )
    context.close()
    assert found[0][:2] == [404, None]   # of http.server
    assert found[1][:2] == [503, "tab"]
    error = json.loads(found[1][2])["error"]
    assert (error["code"], set(error)) == ("no_model", {"message", "type", "param", "code"})


def test_a_foreign_page_can_not_use_it(profile: BrowserContext, host: Host, server: Server, serving: SitePage) -> None:
    serving.js("window.real = gemel.fetch; window.seen = 0; gemel.fetch = (...all) => (seen++, real.apply(gemel, all))")
    foreign = profile.new_page()
    foreign.goto(f"{server.site().url}/tab/api.html?module={server.site().url}/tab/api.js")
    found = foreign.evaluate(
        "async ([url, body]) => {"
        "    const ask = (mode) => fetch(url, {method: 'POST', mode, body}).then(({type}) => type, ({name}) => name);"
        "    return [await ask('cors'), await ask('no-cors')];"
        "}",
        [f"{host.url}v1/chat/completions", json.dumps({**GREEDY, "messages": HELLO})],
    )
    foreign.close()
    own = serving.js("const status = (await fetch('v1/models')).status; gemel.fetch = real; return [status, seen]")
    assert (found, own) == (["TypeError", "opaque"], [200, 1])


def test_a_page_that_closes_breaks_its_answers(open_profile: OpenProfile, host: Host) -> None:
    context = open_profile()
    serves, asks = opened(context, host), SitePage(context, host.url, "?client&mute")
    asks.js(STREAM, body=ENDLESS)
    asks.page.wait_for_function("window.begun || null")
    serves.close()
    found = asks.js("return await caught(stream)")
    context.close()
    assert found["name"] != "no error"


# ---- The worker's life ----------------------------------------------------------------------------------------------


def stop_workers(page: SitePage) -> None:
    """End the service worker as the browser does when it is idle."""
    session = page.page.context.new_cdp_session(page.page)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")
    session.detach()


def test_a_worker_that_was_ended_is_started_again(serving: SitePage) -> None:
    before = asked(serving, CREATE)["choices"]
    stop_workers(serving)
    assert asked(serving, CREATE)["choices"] == before


def test_a_worker_that_ends_in_a_stream_ends_the_work(serving: SitePage) -> None:
    serving.js(STREAM, body=ENDLESS)
    serving.page.wait_for_function("window.begun || null")
    stop_workers(serving)
    assert serving.js("return await caught(stream)")["name"] != "no error"
    assert asked(serving, CREATE)["choices"]
    serving.console.clear()   # "net::ERR_FAILED", of the stream


def test_work_for_a_worker_that_ended_is_stopped(serving: SitePage) -> None:
    """Its own end of the answer is gone, so that nobody else can say that nobody waits."""
    serving.js(
        "window.real = gemel.fetch; window.stopped = false;"
        "gemel.fetch = async (path, {signal}) => {"
        "    signal.addEventListener('abort', () => (window.stopped = true));"
        "    return new Response(new ReadableStream({start: (body) => body.enqueue(new Uint8Array(1))}));"
        "};"
        "window.answer = await fetch('v1/models');"
        "await answer.body.getReader().read();"
    )
    stop_workers(serving)
    serving.page.wait_for_function("window.stopped || null")
    serving.js("gemel.fetch = real")
    assert serving.js("return (await fetch('v1/models')).status") == 200
    serving.console.clear()   # "net::ERR_FAILED", of the stream


def test_without_service_workers_the_page_says_why(open_profile: OpenProfile, host: Host) -> None:
    context = open_profile()
    context.add_init_script("Object.defineProperty(Navigator.prototype, 'serviceWorker', {value: undefined})")
    page = SitePage(context, host.url)
    ready = page.js("return [ready, await relay.offline, crossOriginIsolated]")
    assert ready[0]["relays"] is False
    assert "this page can't use service workers" in ready[0]["why"]
    assert ready[1]["complete"] is False
    page.js("await gemel.load('./models/tiny.gguf')")
    found = page.js("return [gemel.info.engine, (await (await gemel.fetch('v1/models')).json()).data.length]")
    said = page.said()
    context.close()
    assert (found, said) == (["side module", 1], [])


def test_connect_takes_no_unknown_option_and_is_called_once(serving: SitePage) -> None:
    found = serving.js(
        "const {connect} = await import('./relay.js');"
        "const caught = (options) => { try { connect(gemel, options) } catch (error) { return error.message } };"
        "return [caught({nonsense: 1}), caught({serve: 1}), caught(new Map()), caught({})]"
    )
    assert found == [
        "connect: unknown option nonsense", "connect: unknown option serve; did you mean 'serves'?",
        "connect: options must be an object such as {name: value}, not an object of class Map",
        "connect: this page is already connected",
    ]  # fmt: skip
