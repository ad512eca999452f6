"""gemel.fetch: the server's app in a page's worker answers as it does natively; a client that leaves ends its work."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import tiny
from browser.answers import ENDLESS, N_PAST, REQUEST_ID, native, plain
from browser.pages import ApiPage
from browser.server import Served, Server
from browser.server_app import CHAT, HELLO, REQUESTS, TEXT
from conftest import CHATML

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
Serve = Callable[..., Served]
LOAD = "window.gemel ??= new api.Gemel(); return await gemel.load(v.url);"
ASK = (
    "const headers = {'content-type': 'application/json'};"
    "const ask = (path, body, init = {}) => gemel.fetch(path,"
    "    body ? {method: 'POST', headers, body: JSON.stringify(body), ...init} : init);"
)


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def file(server: Server, data: bytes) -> Served:
    return server.file(data, "tiny.gguf")


@pytest.fixture
def threaded(api_page: OpenPage, file: Served) -> ApiPage:
    """An isolated page with the tiny model, and threads; Python and the model stay."""
    page = api_page()
    if not page.js("return window.gemel?.info?.name === v.url", url=file.url):
        page.js(LOAD, url=file.url)
    return page


@pytest.mark.parametrize("isolated", [True, False], ids=["threads", "side module"])
def test_it_answers_with_the_servers_bytes(api_page: OpenPage, file: Served, isolated: bool) -> None:
    page = api_page(isolated=isolated)
    page.js(LOAD, url=file.url)
    found = page.js(
        ASK + "const answers = [], id = {'x-request-id': v.id};"
        "for (const [path, body] of v.requests) {"
        "    const post = {method: 'POST', headers: {...headers, ...id}, body};"
        "    const answer = await gemel.fetch(path, body === null ? {headers: id} : post);"
        "    answers.push([answer.status, [...answer.headers].sort(), await answer.text()]);"
        "}"
        "return answers",
        requests=[[path, None if body is None else json.dumps(body)] for path, body in REQUESTS], id=REQUEST_ID,
    )
    for wanted, (status, headers, text) in zip(native(file.data, REQUESTS), found, strict=True):
        assert (status, plain(text)) == (wanted.status_code, plain(wanted.text)), wanted.request.url
        given = {name: value for name, value in headers if name != "content-length"}
        assert given == {name: value for name, value in wanted.headers.items() if name != "content-length"}
        assert given["gemel-host"] == "tab"


def test_without_a_model_there_is_none(api_page: OpenPage) -> None:
    page = api_page(new=True)
    found = page.js(
        "window.gemel = new api.Gemel();" + ASK + "const list = await ask('v1/models');"
        "const chat = await ask('/v1/chat/completions', v.body);"
        "const found = [await list.json(), chat.status, await chat.json()];"
        "gemel.close();"
        "return found",
        body={"model": "tiny", "messages": HELLO},
    )
    assert found[0] == {"object": "list", "data": []}
    assert (found[1], found[2]["error"]["code"]) == (404, "model_not_found")


def test_methods_headers_and_addresses_reach_the_app(threaded: ApiPage) -> None:
    found = threaded.js(
        "const tell = async (answer) => [answer.status, answer.headers.get('allow'), await answer.text()];"
        "return ["
        "    await tell(await gemel.fetch('/v1/models', {method: 'HEAD'})),"
        "    await tell(await gemel.fetch('/v1/models', {method: 'DELETE'})),"
        "    await tell(await gemel.fetch('/v1/chat/completions', {method: 'POST', body: '{}'})),"
        "    await tell(await gemel.fetch(new Request('https://example.org/v1/models/t%69ny?a=b#c'))),"
        "    await tell(await gemel.fetch(new URL('http://tab/v1/models/t%69ny'), {headers: {Origin: 'http://evil'}})),"
        "    await tell(await gemel.fetch('/models/tiny.gguf')),"
        "    await tell(await gemel.fetch('/v1/embeddings', {method: 'POST', headers:"
        "        {'content-type': 'application/json'}, body: new Uint8Array(5 << 20)})),"
        "]"
    )
    assert found[0] == [200, None, ""]
    assert (found[1][0], set(found[1][1].split(", "))) == (405, {"GET", "HEAD"})
    assert [status for status, *_ in found[2:]] == [415, 200, 200, 404, 413]
    assert json.loads(found[3][2])["id"] == "tiny"


@pytest.mark.parametrize("way", ["abort", "cancel", "stop", "leave"])
def test_who_leaves_a_stream_ends_its_work(threaded: ApiPage, way: str) -> None:
    leave = {
        "abort": "abort.abort(new Error('enough'))",
        "cancel": "await reader.cancel()",
        "stop": "gemel.stop()",
        "leave": "abort.abort()",
    }[way]
    found = threaded.js(
        ASK + "const abort = new AbortController();"
        "const answer = await ask('/v1/completions', v.body, {signal: abort.signal});"
        "const reader = answer.body.getReader(); let n = 0;"
        "while (n < 2000) n += (await reader.read()).value.length;"
        f"{leave};"
        "const after = await caught((async () => { for (;;) if ((await reader.read()).done) return; })());"
        "return [after, Number(await gemel.run(v.program)), (await ask('/v1/models')).status]",
        body=ENDLESS, program=N_PAST,
    )  # fmt: skip
    wanted = {"abort": "Error", "cancel": "no error", "stop": "CancelledError", "leave": "AbortError"}[way]
    assert found[0][0] == wanted
    assert 0 < found[1] < 1900
    assert found[2] == 200


def test_who_leaves_before_the_answer_ends_its_work_as_well(threaded: ApiPage) -> None:
    found = threaded.js(
        ASK + "const abort = new AbortController();"
        "const answer = caught(ask('/v1/completions', {...v.body, stream: false}, {signal: abort.signal}));"
        "setTimeout(() => abort.abort(), 50);"
        "return [(await answer)[0], Number(await gemel.run(v.program)),"
        "    (await caught(ask('/v1/models', null, {signal: abort.signal})))[0]]",
        body=ENDLESS, program=N_PAST,
    )  # fmt: skip
    assert (found[0], found[2]) == ("AbortError", "AbortError")
    assert found[1] < 1900


def test_another_model_ends_requests_with_the_apis_error(threaded: ApiPage, served: Serve, data: bytes) -> None:
    found = threaded.js(
        ASK + "const stream = await ask('/v1/completions', v.body);"
        "const whole = ask('/v1/completions', {...v.body, stream: false});"
        "const reading = stream.text();"
        "await new Promise((resolve) => setTimeout(resolve, 100));"
        "await gemel.load(v.url);"
        "const models = await (await ask('/v1/models')).json(), late = await whole;"
        "const chat = await ask('/v1/completions', {...v.body, model: 'other', stream: false, max_tokens: 3});"
        "return [await reading, late.status, await late.json(), models, chat.status]",
        body=ENDLESS, url=served(data, "other.gguf").url,
    )  # fmt: skip
    *_, error, done, rest = found[0].split("\n\n")
    assert (json.loads(error.removeprefix("data: "))["error"]["code"], done, rest) == ("stopped", "data: [DONE]", "")
    assert (found[1], found[2]["error"]["code"]) == (503, "stopped")
    assert [card["id"] for card in found[3]["data"]] == ["other"]
    assert found[4] == 200


def test_it_answers_while_the_pages_own_calls_run(threaded: ApiPage, file: Served) -> None:
    body = {"model": "tiny", "messages": HELLO, "temperature": 0, "max_tokens": 12}
    found = threaded.js(
        "await gemel.load(v.url);" + ASK + "const own = gemel.generate('Once', {max_tokens: 60, temperature: 0});"
        "const answer = await (await ask('/v1/chat/completions', v.body)).json();"
        "return [(await own.result).usage.completion_tokens, answer.choices[0].message.content]",
        url=file.url, body=body,
    )  # fmt: skip
    (wanted,) = native(file.data, [(CHAT, body)])
    assert found == [60, wanted.json()["choices"][0]["message"]["content"]]


def test_a_worker_that_is_closed_breaks_the_answer(api_page: OpenPage, file: Served) -> None:
    page = api_page(new=True)
    page.js(LOAD, url=file.url)
    found = page.js(
        ASK + "const answer = await ask(v.path, v.body), coming = caught(ask(v.path, {...v.body, stream: false}));"
        "await new Promise((resolve) => setTimeout(resolve, 100)); gemel.close();"
        "const reader = answer.body.getReader(), read = async () => { while (!(await reader.read()).done) {} };"
        "return [(await caught(read()))[0], (await coming)[0]]",
        path=TEXT, body=ENDLESS,
    )  # fmt: skip
    assert found == ["CancelledError", "CancelledError"]
