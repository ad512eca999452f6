"""What JavaScript passes by habit crosses to Python: null, undefined, NaN, BigInt, names and addresses, histories.

No value and no message that comes back shows a type of the bridge between the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.pages import ApiPage
from conftest import CHATML

if TYPE_CHECKING:
    from browser.server import Served, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
Serve = Callable[..., "Served"]
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
SHORT: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
SENT = "pass strings, numbers, booleans, arrays and plain objects"
BRIDGE = re.compile(r"Js[A-Z]\w+|NoneType|\[object Object\]|pyodide", re.IGNORECASE)
KINDS = (
    "no error", "TypeError", "ArgumentError", "ArgumentTypeError", "TemplateError", "DataCloneError", "ContextError",
)
SAMPLING = tuple(gemel.Sampling.__dataclass_fields__)
OF_CALLS = {
    "generate('a', %s).result": (*SAMPLING, "max_tokens", "stop", "special", "n_ctx"),
    "chat([{role: 'user', content: 'Hi'}], %s).result":
        (*SAMPLING, "max_tokens", "stop", "n_ctx", "template", "tools", "template_options"),
    "embed('a', %s)": ("pooling", "normalize"),
    "run('1', %s)": ("onOutput",),
}  # fmt: skip
ODD = "[NaN, 5n, 2n ** 70n, -1n, Infinity, 'x', '', {}, [], [null], [undefined], new Date(0), /x/, Symbol.iterator]"
CALLED = """
const odd = %s, found = [];
for (const value of odd) {
    let said;
    try { said = ['no error', JSON.stringify(await %s, (_, one) => typeof one === 'bigint' ? `${one}` : one)]; }
    catch (error) { said = [error.name, error.message]; }
    found.push(said);
}
return found;
"""   # fmt: skip


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=512, chat_template=CHATML)


@pytest.fixture(scope="module")
def native(data: bytes) -> gemel.Model:
    return gemel.open(data)


# ---- null, undefined, NaN, BigInt ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", OF_CALLS)
def test_null_and_undefined_are_left_out(loaded: ApiPage, call: str) -> None:
    plain = "{}" if call.startswith(("run", "embed")) else "{max_tokens: 6, temperature: 0}"
    all_ = ", ".join(f"{name}: {{}}" for name in OF_CALLS[call])
    source = "const one = async (options) => { const told = await gemel.%s; return told.text ?? told; };" % (
        call % "options"
    )
    source += "return [await one(v.plain), await one({...v.nulls, ...v.plain}), await one({...v.none, ...v.plain})]"
    source = source.replace("v.plain", plain).replace("v.nulls", f"{{{all_.replace('{}', 'null')}}}")
    plain_one, nulls, none = loaded.js(source.replace("v.none", f"{{{all_.replace('{}', 'undefined')}}}"))
    assert plain_one == nulls == none


@pytest.mark.parametrize("options", ["null", "undefined"])
def test_options_may_be_null(api_page: OpenPage, file: Served, options: str) -> None:
    page = api_page(isolated=False)
    found = page.js(
        f"const gemel = new api.Gemel({options});"
        f"await gemel.load(v.url, {options});"
        f"const texts = [await gemel.run('1 + 1', {options}), (await gemel.embed('a', {options})).length];"
        f"const first = gemel.generate('a', {options}); gemel.stop(); await first.result;"
        f"const second = gemel.chat(v.messages, {options}); gemel.stop(); await second.result;"
        f"const empty = new api.Gemel({{base: {options}, threads: {options}, models: {options}}});"
        f"const answer = await gemel.fetch('/v1/models', {options});"
        "gemel.close(); return [...texts, answer.status]",
        url=file.url, messages=HI,
    )  # fmt: skip
    assert found == ["2", 64, 200]


@pytest.mark.parametrize(("call", "name"), [(call, name) for call in OF_CALLS for name in OF_CALLS[call]])
def test_odd_values_are_taken_or_refused_in_words(loaded: ApiPage, call: str, name: str) -> None:
    short = "" if call.startswith(("run", "embed")) else "max_tokens: 1, "
    source = CALLED % (ODD, "gemel." + call % f"{{{short}{name}: value}}")
    for kind, message in loaded.js(source):
        assert kind in KINDS
        assert not BRIDGE.search(str(message)), message


@pytest.mark.parametrize("call", [
    "gemel.generate(value).result", "gemel.chat(value).result", "gemel.embed(value)", "gemel.run(value)",
    "gemel.cache.delete(value)", "gemel.load(value)", "gemel.load(v.url, {threads: value})",
    "gemel.load(v.url, {isa: value})", "gemel.load(v.url, {prompt: value})", "gemel.load(v.url, {onProgress: value})",
    "new api.Gemel({threads: value}).run('1')", "gemel.chat([value]).result",
    "gemel.chat([{role: 'user', content: value}]).result", "gemel.chat([{role: value, content: 'a'}]).result",
    "gemel.generate([value]).result",
])  # fmt: skip
def test_odd_subjects_are_refused_in_words(loaded: ApiPage, file: Served, call: str) -> None:
    odd = ODD.replace("'x', ", "").replace("[NaN", "[null, undefined, NaN").replace("{}, [], ", "{}, ")
    if "threads" in call or "content: value" in call or "role: value" in call or "[value]" in call or "isa" in call:
        odd = odd.replace("null, undefined, ", "").replace("5n, ", "").replace("'', ", "")
    if "prompt" in call or "onProgress" in call:
        odd = odd.replace("null, undefined, ", "")
    found = loaded.js((CALLED % (odd, call)).replace("const odd", "await gemel.load(v.url); const odd"), url=file.url)
    for kind, message in found:
        assert kind != "no error" or "run" in call or "[undefined]" in odd, (kind, message)
        assert not BRIDGE.search(str(message)), message
    again = "await gemel.load(v.url); return (await gemel.generate('a', {max_tokens: 1}).result).usage"
    assert loaded.js(again, url=file.url)["completion_tokens"] == 1


def test_the_element_takes_null_and_names_its_attributes(api_page: OpenPage, file: Served) -> None:
    page = api_page(isolated=False, module="gemel-chat.js")
    page.expect("<gemel-chat>")
    found = page.js(
        "const make = (set) => { const chat = document.createElement('gemel-chat');"
        "    for (const [name, value] of Object.entries(set)) chat.setAttribute(name, value);"
        "    document.body.append(chat); return chat; };"
        "const good = make({model: v.url}); good.options = null; good.messages = null;"
        "const info = await good.load(null, null); const generation = good.generate('a', null); good.stop();"
        "await generation.result; const bad = make({model: v.url, threads: 'many'});"
        "const none = make({}), said = [];"
        "for (const call of [() => bad.load(), () => bad.ask(null), () => none.load()])"
        "    said.push((await caught(call()))[1]);"
        "good.options = {max_tokens: 3, temperature: 0, stop: null};"
        "return [info.name, (await good.ask('Hi')).usage.completion_tokens, ...said]",
        url=file.url,
    )  # fmt: skip
    assert found[:2] == [file.url, 3]
    assert found[2] == 'new Gemel: threads must be an integer from 1 to 256, not "many"'
    assert found[3] == "<gemel-chat>: ask(text) takes a string"
    assert found[4] == "<gemel-chat> has no model: set its model attribute, or call load(model)"


def test_results_have_null_where_python_has_none(loaded: ApiPage) -> None:
    found = loaded.js("const {info} = gemel; return [info.why_uncached === null, await gemel.run('None')]")
    assert found == [True, None]


@pytest.mark.parametrize("call", [
    "gemel.generate('a', value).result", "gemel.chat(v.hi, value).result", "gemel.embed('a', value)",
    "gemel.run('1', value)", "gemel.load('nobody', value)", "new api.Gemel(value)",
])  # fmt: skip
def test_options_are_plain_objects(loaded: ApiPage, call: str) -> None:
    odd = {
        "5": "5", "'x'": '"x"', "[1]": "an object of class Array", "new Map([['a', 9]])": "an object of class Map",
        "new Date(5)": "an object of class Date", "new Set(['x'])": "an object of class Set",
        "new URLSearchParams('a=2')": "an object of class URLSearchParams", "() => 1": "() => 1",
        "new (class Mine { max_tokens = 2 })()": "an object of class Mine",
    }  # fmt: skip
    found = loaded.js(CALLED % (f"[{', '.join(odd)}]", call), hi=HI)
    for (kind, message), words in zip(found, odd.values(), strict=True):
        assert kind == "TypeError"
        assert f": options must be an object such as {{name: value}}, not {words}" in message


def test_options_may_be_of_another_window_or_have_no_class(loaded: ApiPage) -> None:
    told = loaded.js(
        "const frame = document.body.appendChild(document.createElement('iframe')), told = [];"
        "const options = [Object.create(null), {}, frame.contentWindow.eval('({})')];"
        "for (const one of options) told.push(await gemel.run('1 + 1', one)); frame.remove(); return told"
    )
    assert told == ["2"] * 3


WRONG = {   # a load that fails leaves no model: what a model has to say comes first
    "gemel.generate('a', {top_k: 2 ** 53}).result":
        ("ArgumentError", "top_k=9007199254740992: must be an integer under 2**31 (0 or less is off)"),
    "gemel.generate('a', {top_k: 2n ** 31n}).result":
        ("ArgumentError", "top_k=2147483648: must be an integer under 2**31 (0 or less is off)"),
    "gemel.load(v.url, {cache: 'no'})": ("ArgumentTypeError", "cache='no' (str): must be True or False"),
    "gemel.load(v.url, {cache: 0})": ("ArgumentTypeError", "cache=0 (int): must be True or False"),
    "gemel.load(v.url, {cache: []})": ("ArgumentTypeError", "cache=[] (list): must be True or False"),
    "gemel.load(v.url, {signal: 5})": ("TypeError", "load: signal must be an AbortSignal, not 5"),
    "new api.Gemel({thread: 2})": ("TypeError", "new Gemel: unknown option thread; did you mean 'threads'?"),
    "new api.Gemel({Model: 2})": ("TypeError", "new Gemel: unknown option Model; did you mean 'models'?"),
    "new api.Gemel({colour: 2})": ("TypeError", "new Gemel: unknown option colour"),
    "gemel.run('1', {on_output: 2})": ("TypeError", "run: unknown option on_output; did you mean 'onOutput'?"),
    "gemel.generate('a', {max_tokens: Infinity}).result":
        ("ArgumentTypeError", "max_tokens=Infinity: must be an integer; leave it out for no limit"),
    "gemel.generate('a', {top_k: Infinity}).result":
        ("ArgumentTypeError", "top_k=Infinity: must be an integer; pass 0 for no limit"),
    "gemel.generate(() => 1).result": ("TypeError", f"generate: prompt is a function: {SENT}"),
    "gemel.generate('a', {signal: new AbortController().signal}).result":
        ("TypeError", f"generate: signal is an object of class AbortSignal: {SENT}"),
    "gemel.generate('a', {stop: Promise.resolve('x')}).result":
        ("TypeError", f"generate: stop is an object of class Promise: {SENT}"),
    "gemel.chat(v.hi, {template_options: {a: [1, Symbol('x')]}}).result":
        ("TypeError", f"chat: template_options.a[1] is a symbol: {SENT}"),
    "gemel.chat([new Proxy({role: 'user', content: 'Hi'}, {})]).result":
        ("TypeError", "chat: messages[0] is a Proxy, or holds one: pass a plain copy"),
    "gemel.embed(['a', document])": ("TypeError", f"embed: texts[1] is an object of class HTMLDocument: {SENT}"),
    "new api.Gemel().load('a.gguf', {prompt: () => 1})": ("TypeError", f"load: prompt is a function: {SENT}"),
    "gemel.chat('Hi').result": ("ArgumentTypeError", "messages='Hi': must be a list of {role, content}"),
}  # fmt: skip


def test_a_wrong_value_is_named(loaded: ApiPage, file: Served) -> None:
    calls = "".join(f"told.push(await caught((async () => {call})()));" for call in WRONG)
    found = loaded.js(f"const told = []; {calls} return told", url=file.url, hi=HI)
    assert {call: tuple(one[:2]) for call, one in zip(WRONG, found, strict=True)} == WRONG


# ---- Names and addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["model.gguf", " model.gguf ", "./model.gguf", "model.GGUF?a=1#b", "models/tiny"])
def test_a_model_beside_the_page_is_an_address(api_page: OpenPage, server: Server, data: bytes, address: str) -> None:
    name = address.strip().removeprefix("./").partition("?")[0]
    served = server.file(data, name)
    page = api_page(isolated=False)
    page.js(
        "const base = document.createElement('base'); base.href = v.base; document.head.append(base);"
        "const gemel = new api.Gemel();"
        "try { await gemel.load(v.address, {cache: false}); } finally { base.remove(); gemel.close(); }",
        address=address, base=served.url.removesuffix(name),
    )  # fmt: skip
    assert {seen.path for seen in served.requests} == {served.path}


def test_an_unknown_short_name_is_refused_with_all_names_and_their_option(loaded: ApiPage) -> None:
    name, message, _ = loaded.js("return await caught(gemel.load('smollm'))")
    assert name == "SourceError"
    assert all(known in message for known in gemel.NAMES)
    assert "'smollm' is not a short name" in message
    assert '"./smollm"' in message
    assert "new Gemel({models})" in message


def test_a_short_name_that_nobody_serves_names_the_option(loaded: ApiPage) -> None:
    _, message, _ = loaded.js("return await caught(gemel.load('smollm2-135m-instruct'))")
    assert "new Gemel({models: ...})" in message


HERE = "a tab can't read this machine's files: pass a File that the user chose"
OUTSIDE = {
    "blob:http://127.0.0.1/5": "a tab does not load from blob: addresses: pass the Blob or File itself",
    "data:;base64,R0dVRg==": "data: is not supported; use https:",
    "javascript:1//x.gguf": "javascript: is not supported; use https:",
    "about:blank": "about: is not supported; use https:",
    "ftp://x/y.gguf": "ftp: is not supported; use https:",
    r"C:\models\x.gguf": HERE, "c:/models/x.gguf": HERE, r"\\host\share\x.gguf": HERE, "file:///home/x.gguf": HERE,
}  # fmt: skip


def test_what_is_outside_the_tab_is_refused_in_words(loaded: ApiPage) -> None:
    found = loaded.js(
        "const told = []; for (const one of v.names) told.push(await caught(gemel.load(one))); return told",
        names=list(OUTSIDE),
    )  # fmt: skip
    for (name, words), (kind, message, _) in zip(OUTSIDE.items(), found, strict=True):
        assert (kind, message.startswith(f"{name!r}: {words}")) == ("SourceError", True), message


# ---- What clients of other engines send ------------------------------------------------------------------------------


def test_seeds_are_64_bits(loaded: ApiPage, native: gemel.Model) -> None:
    found = loaded.js(
        "const run = async (seed) => {"
        "    const {text, seed: said} = await gemel.generate('Once', {max_tokens: 12, temperature: 2, seed}).result;"
        "    return [text, `${said}`]; };"
        "return [await run(2n ** 64n - 3n), await run(-3), await run(-3n), await run(-1), await run(7)]"
    )
    for (text, said), seed in zip(found, (2**64 - 3, -3, -3, None, 7), strict=True):
        wanted = native.generate("Once", max_tokens=12, temperature=2, seed=int(said) if seed is None else seed)
        assert (text, said) == (wanted.read(), str(wanted.seed))
    name, message, _ = loaded.js("return await caught(gemel.generate('a', {seed: 2 ** 60}).result)")
    assert (name, "pass a BigInt, 1152921504606846976n" in message) == ("TypeError", True)
    name, message, _ = loaded.js("return await caught(gemel.chat([], {seed: -(2 ** 53)}).result)")
    assert (name, "pass a BigInt, -9007199254740992n" in message) == ("TypeError", True)


@pytest.mark.parametrize("limit", ["null", "-1", "-1n", "1e6", "2 ** 53", "1e20", "Number.MAX_VALUE", "undefined"])
def test_no_limit_and_a_large_one_mean_until_the_context_is_full(loaded: ApiPage, limit: str) -> None:
    found = loaded.js(
        f"const options = {{max_tokens: {limit}, temperature: 0, logit_bias: {{0: -100, 2: -100}}, n_ctx: 32}};"
        "const {stop_reason, usage} = await gemel.generate('a', options).result; return [stop_reason, usage]"
    )
    assert (found[0], found[1]["total_tokens"]) == ("length", 33)


@pytest.mark.parametrize("content", ["null", "''", "[]", "undefined"])
def test_an_assistants_message_may_lack_a_text(loaded: ApiPage, native: gemel.Model, content: str) -> None:
    found = loaded.js(
        f"const history = [...v.hi, {{role: 'assistant', content: {content}}}, ...v.hi];"
        "return await gemel.chat(history, v.options).result",
        hi=HI, options=SHORT,
    )  # fmt: skip
    chat = native.chat()
    chat.messages[:] = [*HI, {"role": "assistant", "content": ""}, *HI]
    assert found["text"] == chat.send(**SHORT).read()


def test_a_last_message_of_the_assistants_is_continued(loaded: ApiPage, native: gemel.Model) -> None:
    begun = [*HI, {"role": "assistant", "content": "The sky"}]
    found = loaded.js("return await gemel.chat(v.begun, v.options).result", begun=begun, options=SHORT)
    chat = native.chat()
    chat.messages[:] = [dict(message) for message in begun]
    assert found["text"] == chat.send(**SHORT).read()
    asked = loaded.js(
        "const ask = async (more) => {"
        "    const body = JSON.stringify({messages: v.begun, ...v.options, ...more});"
        "    const answer = await gemel.fetch('/v1/chat/completions', {method: 'POST', body,"
        "        headers: {'content-type': 'application/json'}});"
        "    return await answer.json(); };"
        "return [await ask({}), await ask({continue_final_message: true}), await ask({continue_final_message: false})]",
        begun=begun, options=SHORT,
    )  # fmt: skip
    texts = [one["choices"][0]["message"]["content"] for one in asked]
    counts = [one["usage"]["prompt_tokens"] for one in asked]
    assert texts[0] == texts[1] == found["text"].rstrip("\ufffd")   # the server leaves half a character out
    assert counts[0] == counts[1] == found["usage"]["prompt_tokens"] < counts[2]
    fresh = loaded.js(
        "return await gemel.chat(v.begun, {...v.options, continue_final_message: false}).result",
        begun=begun, options=SHORT,
    )  # fmt: skip
    assert fresh["usage"]["prompt_tokens"] == counts[2]


@pytest.mark.parametrize(("sent", "meant"), [
    ("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("temprature", "temperature"),
])  # fmt: skip
def test_a_misspelt_option_suggests_the_one_that_was_meant(loaded: ApiPage, sent: str, meant: str) -> None:
    name, message, _ = loaded.js(f"return await caught(gemel.generate('a', {{{sent}: 1}}).result)")
    assert (name, f"did you mean '{meant}'?" in message) == ("TypeError", True)
    answer = loaded.js(
        f"const body = JSON.stringify({{prompt: 'a', {sent}: 1}});"
        "const answer = await gemel.fetch('/v1/completions', {method: 'POST', body,"
        "    headers: {'content-type': 'application/json'}}); return await answer.json()"
    )
    assert f"did you mean {meant}?" in answer["error"]["message"]
