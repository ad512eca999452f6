"""gemel.js and <gemel-chat> refuse what would be dropped or misread, and say what to do; a later load wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.pages import ApiPage

if TYPE_CHECKING:
    from browser.server import Served, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if enable_thinking %}Hm{% endif %}{% if add_generation_prompt %}assistant: {% endif %}"
)
SHORT: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
SYSTEM = 'put a message of role "system" first'
BYTES = "new Uint8Array([1, 2])"
SENT = "pass strings, numbers, booleans, arrays and plain objects"


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=512, chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def native(data: bytes) -> gemel.Model:
    return gemel.open(data)


def told(page: ApiPage, calls: dict[str, Any], **values: object) -> dict[str, tuple[str, str]]:
    """Return the name and message of each call's error."""
    source = "".join(f"told.push(await caught((async () => {call})()));" for call in calls)
    found = page.js(f"const told = []; {source} return told", hi=HI, **values)
    return {call: tuple(one[:2]) for call, one in zip(calls, found, strict=True)}


# ---- Loads -----------------------------------------------------------------------------------------------------------


def test_the_last_of_several_loads_wins(loaded: ApiPage, server: Server, file: Served, data: bytes) -> None:
    other = server.file(data)
    found = loaded.js(
        "const last = [];"
        "for (const urls of [[v.one, v.other], [v.other, v.one], [v.one, v.one, v.other]]) {"
        "    const ends = await Promise.allSettled(urls.map((url) => gemel.load(url)));"
        "    const {usage} = await gemel.generate('a', {max_tokens: 1}).result;"
        "    const why = ends.slice(0, -1).map(({reason}) => reason?.name);"
        "    last.push([why, ends.at(-1).value?.name, gemel.info.name, usage.completion_tokens]);"
        "}"
        "await gemel.load(v.one); return last",
        one=file.url, other=other.url,
    )  # fmt: skip
    stopped = "CancelledError"
    assert found == [
        [[stopped], other.url, other.url, 1], [[stopped], file.url, file.url, 1],
        [[stopped, stopped], other.url, other.url, 1],
    ]  # fmt: skip


def test_a_load_stops_only_calls_that_came_before(loaded: ApiPage, file: Served) -> None:
    found = loaded.js(
        "const before = gemel.generate('a', {max_tokens: 400, logit_bias: {0: -100, 2: -100}});"
        "const load = gemel.load(v.url), after = gemel.generate('a', {max_tokens: 4});"
        "const asked = gemel.fetch('/v1/models').then((answer) => answer.json());"
        "const ended = [(await before.result).stop_reason, (await caught(after.result))[0], (await load).name];"
        "await asked; return ended",
        url=file.url,
    )  # fmt: skip
    assert found == ["cancelled", "StateError", file.url]


MISSPELT = {
    "gemel.load(v.url, {onprogress: () => 1})": "load: unknown option onprogress; did you mean 'onProgress'?",
    "gemel.load(v.url, {on_progress: () => 1})": "load: unknown option on_progress; did you mean 'onProgress'?",
    "gemel.load(v.url, {Signal: new AbortController().signal})":
        "load: unknown option Signal; did you mean 'signal'?",
    "gemel.load(v.url, {n_ctx: 64})": "load: there is no option 'n_ctx': it is an option of generate and chat",
    "gemel.load(v.url, {thread: 1})": "load: there is no option 'thread'; did you mean 'threads'?",
    "gemel.load(v.url, {model: 1})": "load: there is no option 'model'",
}  # fmt: skip


def test_a_misspelt_option_of_load_says_what_was_meant(loaded: ApiPage, file: Served) -> None:
    found = told(loaded, MISSPELT, url=file.url)
    loaded.js("await gemel.load(v.url)", url=file.url)
    assert found == {call: ("TypeError", words) for call, words in MISSPELT.items()}


ADDRESSES = {
    "gemel.load('//[/x.gguf')": ("TypeError", 'load: "//[/x.gguf" is not a valid address'),
    "new api.Gemel({base: 5})": ("TypeError", "new Gemel: base must be the address of a folder, not 5"),
    "new api.Gemel({models: ['a']})":
        ("TypeError", "new Gemel: models must be the address of a folder, not an object of class Array"),
    "new api.Gemel({models: 'http://['})": ("TypeError", 'new Gemel: models: "http://[" is not a valid address'),
    "new api.Gemel({threads: 'auto'})":
        ("TypeError", 'new Gemel: threads must be an integer from 1 to 256, not "auto"'),
}  # fmt: skip


def test_an_invalid_address_is_named(loaded: ApiPage) -> None:
    assert told(loaded, ADDRESSES) == ADDRESSES
    name, message, _ = loaded.js(
        "const one = new api.Gemel();"
        "try { return await caught(one.load('http://a b/x.gguf')) } finally { one.close() }"
    )
    assert name == "SourceError"
    assert "'http://a b/x.gguf' is not a URL: its host name contains ' '" in message


def test_a_short_name_that_is_not_there_names_its_address_and_option(loaded: ApiPage) -> None:
    name, message, _ = loaded.js(
        "const one = new api.Gemel({models: 'nowhere'});"
        "try { return await caught(one.load('smollm2-135m-instruct')) } finally { one.close() }"
    )
    assert name == "SourceError"
    assert "smollm2-135m-instruct (http" in message
    assert "/nowhere/SmolLM2-135M-Instruct.Q4_1.gguf): HTTP 404" in message
    assert "models_url (in JavaScript, models)" in message


# ---- Options ---------------------------------------------------------------------------------------------------------


CHATS = {
    "kvType: 'f16'": "; did you mean 'kv_type'?", "nCtx: 64": "; did you mean 'n_ctx'?",
    "tmplate: 'x'": "; did you mean 'template'?", "templateOptions: {}": "; did you mean 'template_options'?",
    "addGenerationPrompt: true": "; did you mean 'add_generation_prompt'?",
    "maxTokens: 1": "; did you mean 'max_tokens'?",
    "enable_thinking: true": "; the chat template reads it: pass template_options: {enable_thinking: ...}",
    "chat_template_kwargs: {}": "; did you mean 'template_options'?", "system: 'x'": f"; {SYSTEM}",
    "sampling: {}": "; its fields are options themselves, such as temperature", "content: 'x'": "", "colour: 1": "",
    "special: true": ": it is an option of generate", "pooling: 'mean'": ": it is an option of embed",
}  # fmt: skip
OTHERS = {
    "gemel.generate('a', {prompt: 'b'}).result": ("generate", "prompt", ": it is an option of load and embed"),
    "gemel.generate('a', {tools: []}).result": ("generate", "tools", ": it is an option of chat and count"),
    "gemel.generate('a', {kvType: 'f16'}).result": ("generate", "kvType", "; did you mean 'kv_type'?"),
    "gemel.embed('a', {texts: 'b'})": ("embed", "texts", ""),
    "gemel.embed('a', {normalise: true})": ("embed", "normalise", "; did you mean 'normalize'?"),
    "gemel.embed('a', {max_tokens: 1})": ("embed", "max_tokens", ": it is an option of generate and chat"),
}  # fmt: skip


def test_an_unknown_option_says_what_was_meant(loaded: ApiPage) -> None:
    wanted = {call: ("TypeError", f"{name}: there is no option {option!r}{hint}")
              for call, (name, option, hint) in OTHERS.items()}
    for option, hint in CHATS.items():
        words = f"chat: there is no option {option.partition(':')[0]!r}{hint}"
        wanted[f"gemel.chat(v.hi, {{{option}}}).result"] = ("TypeError", words)
    assert told(loaded, wanted) == wanted


def test_more_alternatives_of_a_token_than_the_server_gives_are_refused(loaded: ApiPage) -> None:
    words = "must be an integer from 0 to 20"
    wanted = {
        f"gemel.{call}, {{top_logprobs: {value}}}).result": ("ArgumentTypeError", f"top_logprobs={shown}: {words}")
        for call in ("generate('a'", "chat(v.hi")
        for value, shown in {"21": "21", "-1": "-1", "true": "True", "0.5": "0.5"}.items()
    }
    assert told(loaded, wanted) == wanted


BESIDE = "is an option of chat: pass it beside template_options"
VALUES = {
    "system: 'x'": f"system: chat does not set it: {SYSTEM}", "n_ctx: 64": f"n_ctx: n_ctx {BESIDE}",
    "kv_type: 'f16'": f"kv_type: kv_type {BESIDE}", "template: 'x'": f"template: template {BESIDE}",
    "tools: []": f"tools: tools {BESIDE}", "max_tokens: 3": f"max_tokens: max_tokens {BESIDE}",
    "temperature: 3": f"temperature: temperature {BESIDE}",
    "add_generation_prompt: true": f"add_generation_prompt: add_generation_prompt {BESIDE}",
    "self: 1": "self: no template can get a value of this name: leave it out",
}  # fmt: skip


def test_options_of_a_template_are_not_those_of_the_call(loaded: ApiPage, native: gemel.Model) -> None:
    wanted = {
        f"gemel.chat(v.hi, {{template_options: {{{value}}}}}).result": ("TypeError", f"template_options.{words}")
        for value, words in VALUES.items()
    }
    assert told(loaded, wanted) == wanted
    found = loaded.js(
        "const options = {...v.options, template_options: {enable_thinking: true}, n_ctx: 64};"
        "return (await gemel.chat(v.hi, options).result).usage.prompt_tokens",
        hi=HI, options=SHORT,
    )  # fmt: skip
    assert found == len(native.prompt_ids(HI, enable_thinking=True))


BUFFERS = {
    f"gemel.chat({BYTES}).result": "messages is a Uint8Array: must be a list of {role, content}",
    f"gemel.chat([{{role: 'user', content: {BYTES}}}]).result": f"messages[0].content is a Uint8Array: {SENT}",
    f"gemel.generate({BYTES}).result": "prompt is a Uint8Array: pass a string, or ids as an array of integers",
    "gemel.embed(new ArrayBuffer(2))": "texts is an ArrayBuffer: must be a string or an array of strings",
    "gemel.embed(['a', new Float32Array(2)])": f"texts[1] is a Float32Array: {SENT}",
    f"gemel.run({BYTES})": "code is a Uint8Array: a program must be a string",
    f"gemel.cache.delete({BYTES})": "name is a Uint8Array: pass a model's name",
    f"gemel.generate('a', {{stop: {BYTES}}}).result": f"stop is a Uint8Array: {SENT}",
}  # fmt: skip


def test_an_array_of_bytes_is_named_by_its_kind(loaded: ApiPage) -> None:
    assert told(loaded, BUFFERS) == {call: ("TypeError", words) for call, words in BUFFERS.items()}
    ids = loaded.js("return (await gemel.generate(new Int32Array([3, 4]), {max_tokens: 1}).result).usage.prompt_tokens")
    assert ids == 2


# ---- Messages --------------------------------------------------------------------------------------------------------


MESSAGES = {
    "[{content: 'x'}]": ("ArgumentError", "messages[0].role: it is missing: say who speaks, such as 'user' or "
                                          "'assistant'"),
    "[{role: '', content: 'x'}]": ("ArgumentError", "messages[0].role: it is empty: say who speaks, such as 'user' or "
                                                    "'assistant'"),
    "[{...v.hi[0], name: 5}]": ("ArgumentTypeError", "messages[0].name: must be a string, not 5"),
    "[...v.hi, {role: 'assistant', content: '', tool_calls: [{id: 1}]}, ...v.hi]":
        ("ArgumentTypeError", "messages[1].tool_calls[0].function: must be like "
                              '{"name": ..., "arguments": ...}, not None'),
    "[{...v.hi[0], prefix: true}]":
        ("ArgumentError", "messages[0].prefix: only the assistant's last message can be continued"),
    "[{...v.hi[0], prefix: 'yes'}]": ("ArgumentTypeError", "messages[0].prefix: must be true or false, not 'yes'"),
}  # fmt: skip


def test_messages_of_another_shape_are_refused(loaded: ApiPage) -> None:
    wanted = {f"gemel.chat({messages}).result": error for messages, error in MESSAGES.items()}
    assert told(loaded, wanted) == wanted


def test_a_prefix_continues_the_last_message(loaded: ApiPage, native: gemel.Model) -> None:
    found = loaded.js(
        "const count = async (prefix, more) => {"
        "    const said = {role: 'assistant', content: 'The sky', prefix};"
        "    const {usage} = await gemel.chat([...v.hi, said], {...v.options, ...more}).result;"
        "    return usage.prompt_tokens; };"
        "const [yes, no] = [true, false].map((goes_on) => ({continue_final_message: goes_on}));"
        "return [await count(true), await count(null), await count(false), await count(false, yes),"
        "        await count(true, no)]",
        hi=HI, options=SHORT,
    )  # fmt: skip
    said = [*HI, {"role": "assistant", "content": "The sky"}]
    goes_on, fresh = len(native.prompt_ids(said)), len(native.prompt_ids(said, continue_final=False))
    assert found == [goes_on, goes_on, fresh, goes_on, fresh]


# ---- The element and the API -----------------------------------------------------------------------------------------


def test_the_element_checks_what_load_takes(api_page: OpenPage, file: Served) -> None:
    page = api_page(isolated=False, module="gemel-chat.js")
    page.expect("<gemel-chat>")
    calls = {
        "chat.load(v.url, 5)": "load: options must be an object such as {name: value}, not 5",
        "chat.load(v.url, {onProgress: 5})": "load: onProgress must be a function, not 5",
        "chat.load(v.url, {onprogress: () => 1})": "load: unknown option onprogress; did you mean 'onProgress'?",
        "chat.load(v.url, {signal: 5})": "load: signal must be an AbortSignal, not 5",
        "odd({threads: 'auto'})": 'new Gemel: threads must be an integer from 1 to 256, not "auto"',
        "odd({models: 'http://['})": 'new Gemel: models: "http://[" is not a valid address',
        "odd({base: 'http://['})": 'new Gemel: base: "http://[" is not a valid address',
    }  # fmt: skip
    make = (
        "const make = (set) => { const made = document.createElement('gemel-chat');"
        "    for (const [name, value] of Object.entries(set)) made.setAttribute(name, value);"
        "    document.body.append(made); return made; };"
        "const odd = async (set) => { const one = make(set);"
        "    try { await one.load(v.url); } finally { one.remove(); } };"
        "const chat = make({}); const told = [];"
    )
    source = "".join(f"told.push(await caught((async () => {call})()));" for call in calls)
    found = page.js(f"{make} {source} chat.remove(); return told", url=file.url)
    assert {call: tuple(one[:2]) for call, one in zip(calls, found, strict=True)} == {
        call: ("TypeError", words) for call, words in calls.items()
    }


def test_messages_of_another_type_return_the_question(api_page: OpenPage, file: Served) -> None:
    page = api_page(isolated=False, module="gemel-chat.js")
    page.expect("<gemel-chat>")
    found = page.js(
        "const chat = document.createElement('gemel-chat'); chat.setAttribute('model', v.url);"
        "document.body.append(chat); const told = [];"
        "const field = chat.shadowRoot.querySelector('textarea');"
        "for (const messages of ['Hi', {role: 'user'}, 5]) {"
        "    field.value = ''; chat.messages = messages;"
        "    told.push([...(await caught(chat.ask('Why?'))).slice(0, 2), field.value]);"
        "}"
        "field.value = 'How?'; chat.shadowRoot.querySelector('button').click();"
        "await new Promise((go) => setTimeout(go, 20)); told.push(field.value);"
        "told.push(chat.shadowRoot.querySelectorAll('.message').length); chat.remove(); return told",
        url=file.url,
    )  # fmt: skip
    said = ('"Hi"', "an object of class Object", "5")
    words = [f"messages must be a list of {{role, content}}, not {one}" for one in said]
    assert found == [*(["TypeError", one, "Why?"] for one in words), "How?", 0]


def test_a_path_may_begin_with_two_slashes(loaded: ApiPage) -> None:
    assert loaded.js("return (await gemel.fetch('//v1/models')).status") == 200
