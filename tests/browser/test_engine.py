"""The threaded engine in Chromium: which engine is taken and why, threads, memory that ends, workers that die, cancel.

Its bits are those of the other hosts in test_bits.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import building
import gemel
import pytest
import tiny
from browser.hosts import RELAXED, HostError, Tab, raises

if TYPE_CHECKING:
    from browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]

FIELDS: list[dict[str, Any]] = [
    {"format": "Q4_1", "formats": {"token_embd": "Q8_0"}, "tied": True, "n_layer": 3},
    {"format": "Q4_K", "formats": {"attn_v": "Q6_K", "output": "F16"}, "n_embd": 256, "n_ff": 256, "seed": 4},
]
# The logits of a batch and of single ids.
DIGEST = """
import hashlib
def digest(model):
    found = hashlib.sha256()
    with model.session(n_ctx=128) as session:
        session.sync(list(range(3, 93)))
        found.update(memoryview(session.logits()).cast("B"))
        for one in range(93, 97):
            session.append([one])
            found.update(memoryview(session.logits()).cast("B"))
    return found.hexdigest()
"""


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [tiny.tiny_llama(**fields) for fields in FIELDS]


@pytest.fixture(scope="module")
def digests(files: list[bytes]) -> list[str]:
    space: dict[str, Any] = {"hashlib": hashlib}
    exec(DIGEST, space)
    found = []
    for data in files:
        with gemel.open(data, threads=1) as model:
            found.append(space["digest"](model))
    return found


@pytest.fixture
def engine(new_tab: OpenTab, files: list[bytes]) -> Tab:
    """A separate tab whose Python is in a worker of an isolated page; `data` and `other` are models."""
    one = new_tab(isolated=True, where="worker")
    imports = "import gemel, js, asyncio\nfrom gemel.tab import choice, engine\n"
    one.run(imports + DIGEST, data=files[0], other=files[1])
    return one


def test_threads_sessions_and_models_do_not_change_a_bit(engine: Tab, digests: list[str]) -> None:
    assert engine.run("first = await gemel.open_async(data, threads=2)\ndigest(first)") == digests[0]
    engine.run("second = await gemel.open_async(other, threads=5)")
    assert engine.run("[digest(first), digest(second)]") == digests
    assert engine.run("[first.threads, second.threads, len(first._library.workers)]") == [2, 5, 4]   # the largest's
    engine.run("second.close()")
    for threads in (1, 3, 5, 2):
        assert engine.run("first.set_threads(n)\n[digest(first), first.threads]", n=threads) == [digests[0], threads]
    with raises("ThreadError", r"threads=200.*use fewer threads"):
        engine.run("first.set_threads(200)")
    assert engine.run("digest(first)") == digests[0]
    engine.run("third = gemel.open(other, threads=2)")   # synchronously, since the engine runs
    assert engine.run("[digest(third), third.info.engine]") == [digests[1], "threads"]


def test_info_says_which_engine_and_why(engine: Tab, tab: OpenTab, files: list[bytes]) -> None:
    info = "import dataclasses\ndataclasses.asdict((await gemel.open_async(data, threads=threads)).info)"
    one_thread = engine.run(info, threads=1)   # none was needed so far
    assert (one_thread["engine"], one_thread["threads"]) == ("side module", 1)
    assert "one thread was asked for" in one_thread["why"]
    two = engine.run(info, threads=2)
    assert (two["engine"], two["isa"] in RELAXED, two["threads"]) == ("threads", True, 2)
    assert "cross-origin isolated" in two["why"]
    assert engine.run(info, threads=1)["engine"] == "threads"   # it runs already
    default = engine.run("m = await gemel.open_async(data)\n[m.threads, js.navigator.hardwareConcurrency]")
    assert default[0] == min(default[1], 8)
    for options, why in (({"where": "worker"}, "not cross-origin isolated"), ({"isolated": True}, "main thread")):
        plain = tab(**options).run("import gemel\n" + info, data=files[0], threads=None)
        assert (plain["engine"], plain["threads"]) == ("side module", 1)
        assert why in plain["why"]


def test_without_isolation_a_start_says_what_to_do(tab: OpenTab) -> None:
    one = tab(where="worker")
    with raises("LibraryError", "Cross-Origin-Opener-Policy: same-origin"):
        one.run("import gemel.browser\nawait gemel.browser.start()")
    assert "the side module: the page is not" in one.run("gemel.browser.engine_reason()")


def test_two_threads_without_isolation_say_why_there_is_one(tab: OpenTab, files: list[bytes]) -> None:
    with raises("ThreadError", r"threads=2: only one thread is available .*Cross-Origin-Opener-Policy"):
        tab(isolated=False, where="worker").run("import gemel\nawait gemel.open_async(data, threads=2)", data=files[0])


def test_a_page_without_blob_workers_names_a_folder(new_tab: OpenTab, server: Server, files: list[bytes]) -> None:
    server.folders["core"] = building.ROOT / "pyodide_pkg" / "engine"
    csp = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"
    one = new_tab(isolated=True, where="worker", csp=csp)
    one.expect("Content Security Policy", "violates the following")
    with raises("LibraryError", "worker-src blob:.*base_url"):
        one.run("import gemel, gemel.browser\nawait gemel.browser.start(2)")
    with raises("LibraryError", r"nowhere/worker\.js must be gemel's own file"):
        one.expect("404", "nowhere")
        one.run("gemel.browser.configure(base_url=url)\nawait gemel.browser.start(2)", url=f"{one.site.url}/nowhere")
    one.run("gemel.browser.configure(base_url=url)\nawait gemel.browser.start(2)", url=f"{one.site.url}/core/")
    assert one.run("m = gemel.open(data, threads=2)\n[m.info.engine, m.threads]", data=files[0]) == ["threads", 2]


def test_an_ended_worker_is_an_error_and_the_tab_lives_on(engine: Tab, digests: list[str]) -> None:
    engine.run("model = await gemel.open_async(data, threads=3)\nlibrary = model._library")
    engine.run("library.engine_call('gemel_engine_patience', 1.5)\nlibrary.workers[0].terminate()")
    engine.run("await asyncio.sleep(4)")   # what a browser gives a worker to end
    with raises("EngineError", "does not answer.*open the model again"):
        engine.run("for _ in range(5): digest(model)")
    with raises("EngineError", "open the model again"):
        engine.run("model.tokenize('a')")
    engine.run("model.close()")
    again = "model = await gemel.open_async(data, threads=3)\n[digest(model), model._library is library]"
    assert engine.run(again) == [digests[0], False]


def test_a_worker_that_fails_is_an_error_and_the_tab_lives_on(engine: Tab, digests: list[str]) -> None:
    engine.expect("a compute worker failed")
    engine.run("model = await gemel.open_async(data, threads=2)\nlibrary = model._library")
    # The lowest word of its stack is a mark that only an overflow writes, looked at when a pool gives a worker back.
    spoil = """
from gemel.core.pool import at_least
ints = js.Int32Array.new(library.memory.buffer)
ints[(library.engine_call("gemel_engine_stack", 0) - (128 << 10)) // 4] = 12345
with at_least(library, 1) as pool:
    library.call("gemel_threads_resize", pool.address, 1)
"""
    with raises("EngineError", "a worker's stack overflowed"):
        engine.run(spoil)
    with raises("EngineError", "open the model again"):
        engine.run("model.session()")
    assert engine.run("digest(await gemel.open_async(data, threads=2))") == digests[0]


def test_memory_that_ends_is_an_error_and_the_engine_works_on(engine: Tab, digests: list[str]) -> None:
    engine.run("engine.MAX_PAGES = {**engine.MAX_PAGES, 'threads': (70000, 1024)}")   # refused, then 64 MiB
    engine.run("model = await gemel.open_async(data, threads=2)\nlibrary = model._library")
    assert engine.run("library.memory.buffer.byteLength") <= 1024 << 16
    with raises("OutOfMemoryError", "no memory for 100000000 more bytes: close other models"):
        engine.run("library.alloc(100_000_000)")
    assert engine.run("blocks = [library.alloc(4_000_000) for _ in range(12)]\nlen(blocks)") == 12
    with raises("OutOfMemoryError", "not enough memory|no memory"):
        engine.run(
            "kept = []\nfor _ in range(1000):\n"
            "    kept.append(model.session(n_ctx=512))\n    kept[-1].append([1] * 300)"
        )
    assert engine.run("import gc\nblocks = kept = None\ngc.collect()\ndigest(model)") == digests[0]
    assert engine.run("library.alloc(40_000_000).size") == 40_000_000   # what was freed is one piece again


def test_what_is_given_back_is_used_again(engine: Tab) -> None:
    engine.run("model = await gemel.open_async(data, threads=2)\nlibrary = model._library")
    run = """
for _ in range(5):
    digest(model)
    gemel.open(other, threads=1).close()
library.memory.buffer.byteLength
"""
    assert engine.run(run) == engine.run(run)


def test_64_bit_addresses_give_the_same_bits(engine: Tab, digests: list[str]) -> None:
    engine.run("engine.WIDE_SIZE = 0")   # as if the file were large
    source = "model = await gemel.open_async(given, threads=n)\n[digest(model), model.info.engine, model.isa]"
    names = {0: "data", 1: "other"}
    for number, threads in ((0, 3), (0, 1), (1, 2)):
        engine.run(f"given = {names[number]}")
        assert engine.run(source, n=threads) == [digests[number], "threads64", "wasmrelaxed"]
    assert engine.run("model.generate('a', max_tokens=3).read() != ''\nmodel.arch") == "llama"
    assert engine.run("len(bytes(model.session().save())) > 0")


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_large_file_gets_one_engine(engine: Tab, served: Any, files: list[bytes], known: bool) -> None:  # noqa: ANN401
    """The engine that is started while the size is on its way may be the wrong one; then it goes."""
    engine.run("engine.WIDE_SIZE = 0\nbooted, boot = [], engine._boot\n"
               "async def noted(name):\n    booted.append(name)\n    return await boot(name)\nengine._boot = noted")
    given = "data" if known else repr(served(files[0]).url)
    assert engine.run(f"model = await gemel.open_async({given}, threads=3)\nmodel.info.engine") == "threads64"
    assert engine.run("booted") == (["threads64"] if known else ["threads", "threads64"])
    assert engine.run("list(engine._engines)") == ["threads64"]
    assert engine.run("len(model._library.workers)") == 2
    engine.run("engine.WIDE_SIZE = 1 << 40\nsmall = await gemel.open_async(other, threads=2)")   # both are used now
    assert engine.run("sorted(engine._engines)") == ["threads", "threads64"]
    assert engine.run("'' not in [one.generate('a', max_tokens=3).read() for one in (model, small)]")


def test_bytes_cross_whole(engine: Tab) -> None:
    engine.run("await gemel.browser.start(1)\nlibrary = choice.load()")
    there_and_back = """
def there_and_back(given, n):
    block = library.lend(given)
    assert block.size == n, (block.size, n)
    return hashlib.sha256(library.read(block.address, n)).hexdigest()
sizes = (0, 1, 15, 16, 17, 64, 511, 512, 513, 70_000, 3_000_000)
wanted, found = [], []
for n in sizes:
    raw = bytes(i * 37 % 251 for i in range(n))
    wanted += 4 * [hashlib.sha256(raw).hexdigest()]
    array = js.Uint8Array.new(n)
    array.assign(raw)
    found += [there_and_back(one, n) for one in (raw, bytearray(raw), memoryview(b"-" + raw)[1:], array)]
    assert library.read(library.alloc(n).address, n) == bytes(n)
found == wanted
"""
    assert engine.run(there_and_back) is True
    assert engine.run("import array\nb = library.lend(array.array('i', [1, -2]))\nlibrary.read(b.address, 8)") == (
        b"\x01\0\0\0\xfe\xff\xff\xff"
    )
    assert engine.run("library.call('gemel_version')") == gemel.__version__
    name, nothing = engine.run("[library.call('gemel_isa_name', row) for row in (0, 99)]")
    assert (name in RELAXED, nothing) == (True, None)


def test_addresses_past_two_gigabytes_are_addresses(engine: Tab, digests: list[str]) -> None:
    engine.run("await gemel.browser.start(2)\nlibrary = choice.load()")
    engine.run("low = [library.alloc(1 << 29) for _ in range(4)]")   # untouched, so that no memory is spent
    for n in (100, 70_000):
        given = bytes(range(100)) * (n // 100)
        source = "high = library.lend(given)\n[high.address > 2**31, library.read(high.address, len(given))]"
        assert engine.run(source, given=given) == [True, given]
    engine.run("model = gemel.open(data, threads=2)")
    assert engine.run("[model._handle._address > 2**31, digest(model), model.arch]") == [True, digests[0], "llama"]


def test_another_thread_cancels_by_the_shared_flag(engine: Tab) -> None:
    engine.page.evaluate(
        "() => { window.flag = new Promise((resolve) => worker.addEventListener('message', ({ data }) => {"
        " if (data.flag) resolve(data.flag); })); }"
    )
    engine.run("""
from pyodide.ffi import to_js
model = await gemel.open_async(data, threads=2)
session = model.session()
flag = gemel.browser.cancel_flag(session)
js.postMessage(to_js({"flag": flag}, dict_converter=js.Object.fromEntries))
""")
    running = engine.begin("while True:\n    session.truncate(0)\n    session.sync(list(range(3, 99)))")
    engine.page.evaluate(
        "async () => { await new Promise((done) => setTimeout(done, 300)); Atomics.store(await flag, 0, 1); }"
    )
    with raises("CancelledError"):
        engine.finish(running)
    assert engine.run("[flag[0], session.sync(list(range(3, 99))) > 0]") == [0, True]   # it stopped one call


def test_a_relaxed_dot_that_is_wrong_is_not_taken(new_tab: OpenTab, files: list[bytes]) -> None:
    one = new_tab(isolated=True, where="worker")
    wrong = """
from gemel.tab import features
right = features.dot_cases()
features.dot_cases = lambda: [*right[:-1], (right[-1][0], bytes(16))]   # as if the engine gave something else
features.has_relaxed_simd.cache_clear()
import gemel
m = await gemel.open_async(data, threads=2)
[features.flavour(), m.isa, m.info.engine]
"""
    assert one.run(wrong, data=files[0]) == ["simd128", "wasm128", "threads"]


def test_a_hostile_file_leaves_the_engine_well(engine: Tab, digests: list[str], files: list[bytes]) -> None:
    engine.run("model = await gemel.open_async(data, threads=2)")
    for cut in (10, 1000, len(files[0]) - 100):
        with pytest.raises(HostError, match="FormatError"):
            engine.run("await gemel.open_async(data[:cut], threads=2)", cut=cut)
    assert engine.run("digest(model)") == digests[0]
    assert engine.run("len(model._library.workers)") == 1   # the refused models used the same
    engine.run("model.close()")
    assert engine.run("model._library.engine_call('gemel_engine_parked')") == 1   # and the last model gives it back
