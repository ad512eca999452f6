"""gemel.js: the JavaScript API of a page is Python's, in a worker; the same words, errors and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemel
import numpy as np
import pytest
import tiny
from browser.pages import CSP, ApiPage
from browser.server import Served
from conftest import CHATML

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
Serve = Callable[..., Served]
LOAD = "window.gemel ??= new api.Gemel(); return await gemel.load(v.url, v.options ?? {});"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML)


@pytest.fixture(scope="module")
def native(data: bytes) -> gemel.Model:
    return gemel.open(data)


@pytest.fixture
def threaded(api_page: OpenPage, file: Served) -> ApiPage:
    """An isolated page with the tiny model, and threads."""
    page = api_page()
    if not page.js("return window.gemel?.info?.name === v.url", url=file.url):
        page.js(LOAD, url=file.url)
    return page


def test_a_text_is_the_native_one(threaded: ApiPage, native: gemel.Model) -> None:
    wanted = native.generate("Once upon a time", max_tokens=80, temperature=0)
    text = wanted.read()
    found = threaded.js("return await read(gemel.generate('Once upon a time', {max_tokens: 80, temperature: 0}))")
    result = found["result"]
    assert "".join(found["pieces"]) == text == result["text"]
    assert result["stop_reason"] == wanted.stop_reason
    assert result["usage"] == {
        "prompt_tokens": len(wanted.prompt_ids), "completion_tokens": 80, "total_tokens": len(wanted.prompt_ids) + 80
    }  # fmt: skip
    assert result["timings"]["n_evaluated"] == len(wanted.prompt_ids)
    assert result["timings"]["decode_tok_s"] > 0


def test_a_generation_counts_its_tokens(threaded: ApiPage) -> None:
    counts = threaded.js(
        "const counts = [], generation = gemel.generate('Once', {max_tokens: 80, temperature: 0, special: true});"
        "for await (const piece of generation) counts.push(generation.count);"
        "return [...counts, (await generation.result).usage.completion_tokens]"
    )
    assert counts == sorted(counts)
    assert counts[0] > 0
    assert counts[-2:] == [80, 80]


def test_options_are_pythons_by_name(threaded: ApiPage, native: gemel.Model) -> None:
    banned = {id: float("-inf") for id in range(300)}
    wanted = native.generate(
        [5, 6, 7], max_tokens=12, temperature=0.9, seed=11, top_k=0, stop=("\x00",), logit_bias=banned
    )
    found = threaded.js(
        "const logit_bias = new Map(Array.from({length: 300}, (_, id) => [id, -Infinity]));"
        "const options = {max_tokens: 12, temperature: 0.9, seed: 11, top_k: 0, stop: ['\\0'], logit_bias};"
        "const more = {n_ctx: undefined, sampling: null};"
        "return await gemel.generate(Int32Array.of(5, 6, 7), {...options, ...more}).result"
    )
    assert (found["text"], found["seed"]) == (wanted.read(), 11)


def test_answers_keep_a_schema_and_have_natives_text(threaded: ApiPage, native: gemel.Model) -> None:
    schema = {
        "type": "object", "properties": {"on": {"type": "boolean"}, "n": {"type": "integer", "maximum": 99}},
        "required": ["on", "n"], "additionalProperties": False,
    }  # fmt: skip
    asked: dict[str, Any] = {"json_schema": schema, "max_tokens": 60, "temperature": 0}
    text = threaded.js("return (await gemel.generate('A lamp:', v.options).result).text", options=asked)
    assert text == native.generate("A lamp:", **asked).read()
    assert set(json.loads(text)) == {"on", "n"}
    error = threaded.js("return await caught(gemel.generate('a', {json_schema: {pattern: '(?=x)'}}).result)")
    assert "#/pattern" in error[1]


def test_what_a_schema_could_not_enforce_is_checked(threaded: ApiPage, native: gemel.Model) -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    twice, once, long = {**schema, "const": ["a", "a"]}, {**schema, "const": ["a", "b"]}, {**schema, "minItems": 500}
    found = threaded.js(
        "const both = async (json_schema, max_tokens) => {"
        "    const options = {json_schema, strict: false, max_tokens, temperature: 0};"
        "    const two = [gemel.generate('Words:', options), gemel.chat(v.messages, options)];"
        "    return Promise.all(two.map(({ result }) => result)); };"
        "const stopped = gemel.generate('Words:', {json_schema: v.long, strict: false});"
        "await stopped.next(); stopped.stop();"
        "const ended = [...await both(v.twice, 60), ...await both(v.once, 60), ...await both(v.twice, 2)];"
        "return [...ended, await stopped.result]",
        twice=twice, once=once, long=long, messages=MESSAGES,
    )  # fmt: skip
    wanted = native.generate("Words:", json_schema=twice, strict=False, max_tokens=60)
    with pytest.raises(gemel.AnswerError) as error:
        _ = (wanted.read(), wanted.parsed)
    assert [one["text"] for one in found[:4]] == ['["a","a"]'] * 2 + ['["a","b"]'] * 2
    assert [one.get("invalid", "") for one in found] == [str(error.value)] * 2 + [""] * 5
    assert [one["stop_reason"] for one in found[4:]] == ["length", "length", "cancelled"]


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        ("gemel.generate('a', {nonsense: 3}).result", "TypeError", "there is no option 'nonsense'"),
        ("gemel.generate('a', {top_p: 1.5}).result", "ArgumentError", "top_p=1.5: must be from 0 to 1"),
        ("gemel.generate('').result", "ArgumentError", "the prompt is empty"),
        ("gemel.generate(new Int32Array(3000).fill(5)).result", "ContextError", "n_ctx is 2048"),
        ("gemel.chat('hello').result", "ArgumentTypeError", "must be a list"),
        ("gemel.chat([]).result", "ArgumentError", "there is no message to answer"),
        ("gemel.embed([])", "ArgumentError", "there are no texts to embed"),
        ("gemel.embed('a', {pooling: 'most'})", "ArgumentError", "pooling"),
        ("gemel.cache.delete('nothing')", "SourceError", "is not in the cache"),
        ("gemel.generate('a', {stop: () => 1}).result", "TypeError", "generate: stop is a function: pass"),
    ],
)
def test_errors_are_pythons_and_the_next_call_works(threaded: ApiPage, call: str, name: str, message: str) -> None:
    found = threaded.js(f"return await caught({call})")
    assert found[0] == name
    assert message in found[1]
    assert threaded.js("return (await gemel.generate('a', {max_tokens: 1}).result).usage.completion_tokens") == 1


def test_a_chat_keeps_what_was_evaluated(threaded: ApiPage, native: gemel.Model) -> None:
    chat = native.chat(system="Be brief.")
    options = {"max_tokens": 16, "temperature": 0}
    first = chat.send("Why is the sky blue?", max_tokens=16, temperature=0)
    answer = first.read()
    found = threaded.js("return await read(gemel.chat(v.messages, v.options))", messages=MESSAGES, options=options)
    assert found["result"]["text"] == "".join(found["pieces"]) == answer
    second = chat.send("And at night?", max_tokens=16, temperature=0)
    more = [*MESSAGES, {"role": "assistant", "content": answer}, {"role": "user", "content": "And at night?"}]
    found = threaded.js("return await gemel.chat(v.messages, v.options).result", messages=more, options=options)
    assert found["text"] == second.read()
    assert found["timings"]["n_evaluated"] == second.timings.n_evaluated < len(second.prompt_ids)


COUNTED = """
import gemel
from gemel.model.step import Pass
passes, original = [], Pass.__init__
def noted(self, model, sessions, samplers, counts, **options):
    passes.append((len(sessions), sum(map(bool, samplers or ())), sum(map(bool, options.get("wants", ())))))
    original(self, model, sessions, samplers, counts, **options)
Pass.__init__ = noted
"""


def test_chats_and_embeddings_go_through_the_same_passes(threaded: ApiPage, native: gemel.Model) -> None:
    asked = [[{"role": "user", "content": text}] for text in ("Hi", "Why is the sky blue?", "Count")]
    texts = ["one", "two words"]
    answers, text, row, rows, passes = threaded.js(
        "await gemel.run(v.counted); const generations = v.asked.map((one) => gemel.chat(one, v.options));"
        "const text = gemel.generate('Once', v.options);"
        "const row = gemel.embed(v.texts[0]), rows = gemel.embed(v.texts);"
        "const answers = await Promise.all(generations.map(({ result }) => result));"
        "const told = [answers, await text.result, [...await row], (await rows).map((one) => [...one])];"
        "told.push(JSON.parse(JSON.parse(await gemel.run('import json; json.dumps(json.dumps(passes))').then("
        "    (repr) => repr.slice(1, -1)))));"
        "await gemel.run('Pass.__init__ = original'); return told",
        asked=asked, texts=texts, counted=COUNTED, options={"max_tokens": 30, "temperature": 1.2, "seed": 5},
    )  # fmt: skip
    for messages, answer in zip(asked, answers, strict=True):
        chat = native.chat()
        chat.messages[:] = messages
        assert answer["text"] == chat.send(max_tokens=30, temperature=1.2, seed=5).read()
    assert text["text"] == native.generate("Once", max_tokens=30, temperature=1.2, seed=5).read()
    assert np.array_equal(np.asarray(row, np.float32), native.embed("one"))
    assert np.array_equal(np.asarray(rows, np.float32), native.embed(texts))
    assert any(n_drawn >= 4 for _, n_drawn, _ in passes)          # the chats and the text
    assert any(n_drawn and n_read for _, n_drawn, n_read in passes)   # and an embedding beside answers


def test_conversations_that_take_turns_are_not_evaluated_again(threaded: ApiPage) -> None:
    begun = [[{"role": "user", "content": f"{name} asks {'why ' * 40}"}] for name in ("Ann", "Bob")]
    first, second = threaded.js(
        "const S = {max_tokens: 4, temperature: 0}, found = [];"
        "for (const messages of v.begun) found.push(await gemel.chat(messages, S).result);"
        "const next = v.begun.map((one, i) => [...one, {role: 'assistant', content: found[i].text}, ...v.more]);"
        "for (const messages of next) found.push(await gemel.chat(messages, S).result);"
        "return [found.slice(0, 2), found.slice(2)].map((two) => two.map(({ timings }) => timings))",
        begun=begun, more=[{"role": "user", "content": "And you?"}],
    )  # fmt: skip
    for once, again in zip(first, second, strict=True):
        assert again["n_cached"] >= once["n_prompt"]
        assert again["n_evaluated"] < 64


def test_a_chats_own_options_reach_the_template(threaded: ApiPage, native: gemel.Model) -> None:
    template = "{{ greeting }}{{ messages[0]['content'] }}"
    options = {"template": template, "template_options": {"greeting": "Ahoy! "}, "max_tokens": 4, "temperature": 0}
    found = threaded.js(
        "return await gemel.chat([{role: 'user', content: 'You'}], v.options).result", options=options
    )
    chat = native.chat(template=template, greeting="Ahoy! ")
    assert found["text"] == chat.send("You", max_tokens=4, temperature=0).read()


def test_vectors_are_the_native_ones(threaded: ApiPage, native: gemel.Model) -> None:
    texts = ["one", "two words", "three"]
    long = "word " * 3000   # of more tokens than n_ctx
    one, many, chunks = threaded.js(
        "const one = await gemel.embed('one'), many = await gemel.embed(v.texts, {pooling: 'last'});"
        "const options = {truncate_dim: 5, prompt: 'a: ', overflow: 'chunk'};"
        "const long = await gemel.embed([v.long, 'short'], options);"
        "return [[...one], [one instanceof Float32Array, ...many.map((row) => [...row])], long.map((row) => [...row])]",
        texts=texts, long=long,
    )   # fmt: skip
    wanted = native.embed([long, "short"], truncate_dim=5, prompt="a: ", overflow="chunk")
    assert np.array_equal(np.asarray(chunks, np.float32), wanted)
    assert np.array_equal(np.asarray(one, np.float32), native.embed("one"))
    assert many[0] is True
    assert np.array_equal(np.asarray(many[1:], np.float32), native.embed(texts, "last"))


@pytest.mark.parametrize("isolated", [True, False])
def test_a_stop_ends_a_generation(api_page: OpenPage, file: Served, isolated: bool) -> None:
    page = api_page(isolated=isolated)
    page.js(LOAD, url=file.url)
    assert page.js("return gemel.info.engine") == ("threads" if isolated else "side module")
    pieces, result, after = page.js(
        "const generation = gemel.generate('Once', {temperature: 0}), pieces = [];"
        "for await (const piece of generation) { pieces.push(piece); gemel.stop(); }"
        "const again = await gemel.generate('Once', {max_tokens: 3, temperature: 0}).result;"
        "return [pieces, await generation.result, again.usage.completion_tokens]"
    )
    assert (result["stop_reason"], after) == ("cancelled", 3)
    assert "".join(pieces) == result["text"]
    assert 0 < result["usage"]["completion_tokens"] < 2000


def test_leaving_the_loop_stops_that_generation_only(threaded: ApiPage) -> None:
    left, other = threaded.js(
        "const left = gemel.generate('Once', {temperature: 0});"
        "const other = gemel.generate('Twice', {max_tokens: 40, temperature: 0});"
        "for await (const piece of left) break;"
        "return [await left.result, await other.result]"
    )
    assert left["stop_reason"] == "cancelled"
    assert (other["stop_reason"], other["usage"]["completion_tokens"]) == ("length", 40)


def test_a_stop_ends_a_prefill_and_a_load(api_page: OpenPage, data: bytes, served: Serve) -> None:
    page = api_page(new=True)   # no model is loaded, which a load that is stopped would leave in place
    slow = served(tiny.tiny_llama(n_layer=2, n_embd=256, n_ff=1024), mb_s=0.2)
    found = page.js(
        "window.gemel ??= new api.Gemel();"
        "const errors = [];"
        "errors.push(await caught(gemel.load(v.url, {onProgress: ({stage}) => stage === 'download' && gemel.stop()})));"
        "const abort = new AbortController();"
        "const onProgress = ({stage}) => stage === 'download' && abort.abort();"
        "errors.push(await caught(gemel.load(v.url, {onProgress, signal: abort.signal})));"
        "errors.push(await caught(gemel.load(v.url, {signal: abort.signal})));"
        "errors.push(await caught(gemel.generate('a').result));"
        "return errors",
        url=slow.url,
    )
    assert [name for name, *_ in found] == ["CancelledError", "AbortError", "AbortError", "StateError"]
    assert slow.sent < len(slow.data)
    long = page.js(
        "await gemel.load(v.url); const generation = gemel.generate(new Int32Array(2000).fill(5));"
        "gemel.stop(); return await generation.result",
        url=served(data).url,
    )
    assert (long["text"], long["stop_reason"], long["timings"]["n_decoded"]) == ("", "cancelled", 0)
    assert long["timings"]["n_evaluated"] < 2000


def test_a_prompt_rides_on_the_load(api_page: OpenPage, data: bytes, served: Serve, native: gemel.Model) -> None:
    page = api_page()
    found = page.js(
        "window.gemel ??= new api.Gemel(); const stages = new Set();"
        "const onProgress = (told) => stages.add(told.stage);"
        "const info = await gemel.load(v.url, {prompt: v.messages, cache: false, onProgress});"
        "const result = await gemel.chat(v.messages, {max_tokens: 8, temperature: 0}).result;"
        "return [[...stages], info, gemel.info, result]",
        url=served(data).url, messages=MESSAGES,
    )  # fmt: skip
    stages, info, later, result = found
    assert {"load", "prefill"} <= set(stages)
    chat = native.chat()
    chat.messages[:] = MESSAGES
    assert result["text"] == chat.send(max_tokens=8, temperature=0).read()
    assert result["timings"]["n_evaluated"] <= 1
    assert (info["arch"], info["n_ctx"], info["engine"]) == ("llama", 2048, "threads")
    assert later["memory"] >= info["memory"] > info["weight_size"]


def test_files_that_a_user_chose_load(api_page: OpenPage, data: bytes, served: Serve) -> None:
    page = api_page()
    found = page.js(
        "window.gemel ??= new api.Gemel(); const bytes = await (await fetch(v.url)).arrayBuffer(), names = [];"
        "for (const one of [new File([bytes], 'mine.gguf'), new Blob([bytes]), new Uint8Array(bytes), new URL(v.url)])"
        "    names.push((await gemel.load(one)).name);"
        "return names",
        url=served(data).url,
    )
    assert found[0] == "mine.gguf"
    assert len(found) == 4


def test_the_cache_is_listed_and_emptied(api_page: OpenPage, data: bytes, served: Serve) -> None:
    page = api_page()
    found = page.js(
        "window.gemel ??= new api.Gemel(); await gemel.load(v.url);"
        "const mine = async () => (await gemel.cache.list()).filter(({name}) => name === v.url);"
        "const before = await mine(), freed = await gemel.cache.delete(v.url); return [before, freed, await mine()]",
        url=served(data).url,
    )
    assert found == [[{"name": found[0][0]["name"], "size": len(data), "complete": True}], len(data), []]


def test_a_python_cell_runs_the_desktops_program(threaded: ApiPage, file: Served, native: gemel.Model) -> None:
    program = (
        "import gemel, sys\n"
        f"model = gemel.open({file.url!r})\n"
        "for piece in model.generate('Once', max_tokens=20, temperature=0):\n    print(piece, end='')\n"
        "print('done', file=sys.stderr)\n"
        "model.n_layer"
    )
    value, written = threaded.js(
        "const written = {stdout: '', stderr: ''};"
        "const value = await gemel.run(v.program, {onOutput: (text, stream) => { written[stream] += text; }});"
        "return [value, written]",
        program=program,
    )
    assert value == "2"
    assert written == {"stdout": native.generate("Once", max_tokens=20, temperature=0).read(), "stderr": "done\n"}
    assert threaded.js("return [await gemel.run('x = 6; model.close()'), await gemel.run('x * 7')]") == [None, "42"]
    assert threaded.js("return await gemel.run('import asyncio\\nawait asyncio.sleep(0, \"late\")')") == "'late'"


def test_a_cells_error_is_a_traceback_of_the_cell(threaded: ApiPage) -> None:
    name, message, trace = threaded.js("return await caught(gemel.run('def f():\\n    return 1 / 0\\nf()'))")
    assert (name, message) == ("ZeroDivisionError", "division by zero")
    assert trace.splitlines()[1].strip() == 'File "<cell>", line 3, in <module>'
    name, _, trace = threaded.js("return await caught(gemel.run('1 +'))")
    assert name == "SyntaxError"
    assert "1 +" in trace
    assert threaded.js("return (await caught(gemel.run('raise SystemExit(3)')))[0]") == "SystemExit"


@pytest.mark.parametrize("program", ["while True: pass", "import asyncio\nawait asyncio.sleep(60)"])
def test_a_stop_ends_a_cell(threaded: ApiPage, program: str) -> None:
    found = threaded.js(
        "const running = caught(gemel.run(v.program)); setTimeout(() => gemel.stop(), 100);"
        "const [name] = await running; return [name, await gemel.run('1 + 1')]",
        program=program,
    )
    assert found == ["KeyboardInterrupt" if "while" in program else "CancelledError", "2"]


def test_a_dead_worker_is_an_error_and_the_next_load_starts_another(
    api_page: OpenPage, file: Served, native: gemel.Model
) -> None:
    page = api_page(new=True)
    page.js(LOAD, url=file.url)
    found = page.js(
        "const answer = caught(gemel.generate('Once', {temperature: 0}).result);"
        "const cell = caught(gemel.run('import asyncio, js\\njs.close()\\nawait asyncio.sleep(600)'));"
        "return [await answer, await cell]"
    )
    assert [error[:2] for error in found] == [["WorkerError", "gemel's worker has ended: load the model again"]] * 2
    assert page.js("return [gemel.info, (await caught(gemel.embed('a')))[0]]") == [None, "StateError"]
    page.js(LOAD, url=file.url)
    found = page.js("return await gemel.generate('Once', {max_tokens: 8, temperature: 0}).result")
    assert found["text"] == native.generate("Once", max_tokens=8, temperature=0).read()
    found = page.js(
        "const pending = caught(gemel.generate('a', {temperature: 0}).result); gemel.close();"
        "return [(await pending)[0], (await caught(gemel.generate('a').result))[0]]"
    )
    assert found == ["CancelledError", "StateError"]


def test_what_can_not_be_had_is_an_error(
    api_page: OpenPage, file: Served, data: bytes, served: Serve
) -> None:
    page = api_page(new=True)
    page.expect("404", "Failed to load resource")
    gone = served(b"", status=404)
    assert page.js("window.gemel = new api.Gemel(); return await caught(gemel.load(v.url))", url=gone.url)[0] == (
        "SourceError"
    )
    assert page.js("return gemel.info") is None
    page.js("await gemel.load(v.url)", url=file.url)
    bad = page.js("return await caught(gemel.load(v.url))", url=served(b"no model" * 100).url)
    assert bad[0] == "SourceError"
    assert "not a GGUF file" in bad[1]
    assert page.js("return (await caught(gemel.load(v.url, {nonsense: 1})))[0]", url=gone.url) == "TypeError"
    cut = served(data[:-1000], name="cut.gguf").url
    found = page.js(   # the loaded model goes on, until the header of another is found good
        "const said = [];"
        "for (const source of [v.url, 'typo', v.cut]) {"
        "    await gemel.load(source).catch(() => {});"
        "    const {usage} = await gemel.generate('a', {max_tokens: 1}).result;"
        "    said.push([gemel.info?.name, usage.completion_tokens]);"
        "}"
        "return said",
        url=file.url, cut=cut,
    )  # fmt: skip
    assert found == [[file.url, 1]] * 3
    name, message, _ = page.js(
        "return await caught(new api.Gemel({base: v.base}).load('a'))", base=page.base.replace("gemel", "nowhere")
    )
    assert name == "WorkerError"
    assert "nowhere/worker.js" in message
    assert page.js("try { new api.Gemel({nonsense: 1}) } catch (error) { return error.message }") == (
        "new Gemel: unknown option nonsense"
    )


def test_a_stop_before_python_runs(api_page: OpenPage, file: Served) -> None:
    page = api_page(new=True)
    found = page.js(
        "window.gemel = new api.Gemel({threads: 1});"
        "const first = caught(gemel.load(v.url)); gemel.stop();"
        "return [(await first)[0], (await gemel.load(v.url)).threads]",
        url=file.url,
    )
    assert found == ["CancelledError", 1]


@pytest.mark.parametrize(("isolated", "foreign"), [(True, True), (False, False)], ids=["foreign", "strict"])
def test_any_page_can_use_it(
    api_page: OpenPage, file: Served, native: gemel.Model, isolated: bool, foreign: bool
) -> None:
    """Where gemel's files are on the page's own origin, under a strict Content-Security-Policy; test_page_chat.py has
    the other two."""
    page = api_page(new=True, isolated=isolated, foreign=foreign, csp=None if foreign else CSP)
    info = page.js(LOAD, url=file.url)
    assert info["engine"] == ("threads" if isolated else "side module")
    found = page.js("return await gemel.generate('Once', {max_tokens: 8, temperature: 0}).result")
    assert found["text"] == native.generate("Once", max_tokens=8, temperature=0).read()
    page.close()


def test_an_isolated_page_without_shared_memory_computes_on_one_thread(
    api_page: OpenPage, file: Served, native: gemel.Model
) -> None:
    page = api_page(new=True)

    def bare(route: Route) -> None:   # a worker as WebKitGTK's are
        answer = route.fetch()
        route.fulfill(response=answer, body=f"delete self.SharedArrayBuffer;\n{answer.text()}")

    page.page.context.route("**/gemel/worker.js", bare)
    try:
        info = page.js(LOAD, url=file.url)
        found = page.js("return await gemel.generate('Once', {max_tokens: 20, temperature: 0}).result")
    finally:
        page.page.context.unroute("**/gemel/worker.js")
        page.close()
    assert (info["engine"], info["threads"]) == ("side module", 1)
    assert "no SharedArrayBuffer" in info["why"]
    assert found["text"] == native.generate("Once", max_tokens=20, temperature=0).read()


@pytest.mark.model
def test_smollm2_says_what_it_says_natively(api_page: OpenPage, served: Serve, real_path: Path) -> None:
    page = api_page()
    model = served(real_path.read_bytes())
    found = page.js(
        "window.gemel ??= new api.Gemel();"
        "const info = await gemel.load(v.url, {prompt: v.messages});"
        "const {pieces, result} = await read(gemel.chat(v.messages, {max_tokens: 24, temperature: 0}));"
        "gemel.close(); return [info, pieces, result]",
        url=model.url, messages=MESSAGES,
    )  # fmt: skip
    with gemel.open(real_path) as native:
        chat = native.chat()
        chat.messages[:] = MESSAGES
        assert found[2]["text"] == "".join(found[1]) == chat.send(max_tokens=24, temperature=0).read()
    assert found[0]["has_chat"] is True
