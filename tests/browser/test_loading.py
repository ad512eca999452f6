"""A model's bytes on their way into a tab: ranges, the cache, broken connections, other tabs, files of the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.hosts import Host, Tab, raises
from gemel.source.layer_order import block_size

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]
Serve = Callable[..., "Served"]
SHAPE: dict[str, Any] = {"n_layer": 8, "n_embd": 256, "n_ff": 768, "format": "Q8_0", "by_name": True}
IDS = [1, 2, 3, 4, 5, 6, 7]
OPEN = "import gemel\nmodel = await gemel.open_async(url, threads=1)\n"
LOGITS = """
with model, model.session() as session:
    session.sync(ids)
    logits = bytes(session.logits())
logits
"""
CACHED = """
import gemel
[[one.name, one.size, one.complete] for one in await gemel.cache.list_async() if one.name == url]
"""
# Of the cache, change the last byte of the block with this number, or of its hash in the table.
DAMAGE = """
import js
root = await js.navigator.storage.getDirectory()
folder = await (await root.getDirectoryHandle("gemel")).getDirectoryHandle(key)
ending, width = (".data", 2**18) if in_data else (".table", 48)
name = next(name for name in [name async for name in folder.keys()] if name.endswith(ending))
file = await (await folder.getFileHandle(name)).getFile()
raw = bytearray((await file.arrayBuffer()).to_bytes())
raw[(number + 1) * width - (1 if in_data else 17)] ^= 1
writing = await (await folder.getFileHandle(name)).createWritable()
await writing.write(js.Uint8Array.new(raw))
await writing.close()
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    """A model of some 28 blocks, its layers stored by name."""
    return tiny.tiny_llama(seed=7, **SHAPE)


@pytest.fixture(scope="module")
def logits(data: bytes) -> bytes:
    return logits_of(data)


def logits_of(data: bytes) -> bytes:
    with gemel.open(data, threads=1) as model, model.session() as session:
        session.sync(IDS)
        return bytes(session.logits())


def load(one: Tab, url: str) -> bytes:
    """Open a model in a tab and return its logits."""
    found: bytes = one.run(OPEN + LOGITS, url=url, ids=IDS)
    return found


def until(one: Tab, file: Served, size: int) -> None:
    """Wait until so many bytes have gone out."""
    while file.sent < size:
        one.page.wait_for_timeout(5)


def fail(file: Served) -> None:
    """Break what is being sent, and refuse what is asked for."""
    file.break_after, file.break_always, file.status = 0, True, 503


def heal(file: Served) -> None:
    file.break_after, file.break_always, file.status = None, False, None
    file.forget()


# ---- Addresses and the cache -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["main", "worker"])
def test_a_url_is_loaded_once_and_then_from_the_cache(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, where: str
) -> None:
    file, one = served(data), tab(where=where)
    assert load(one, file.url) == logits
    assert file.sent == len(data)
    assert one.run(CACHED, url=file.url) == [[file.url, len(data), True]]
    file.forget()
    assert load(one, file.url) == logits
    assert file.requests == []
    assert one.run("await gemel.cache.delete_async(url)", url=file.url) == len(data)
    assert one.run(CACHED, url=file.url) == []
    with raises("SourceError", "not in the cache"):
        one.run("await gemel.cache.delete_async(url)", url=file.url)


def test_what_can_not_be_fetched_leaves_no_entry(tab: OpenTab, served: Serve, data: bytes) -> None:
    file, one = served(data), tab(where="worker")
    file.status = 404
    one.expect("404")
    names = "import gemel\nsorted(one.name for one in await gemel.cache.list_async())"
    before = one.run(names)
    with raises("SourceError", "404"):
        one.run(OPEN, url=file.url)
    assert one.run(names) == before


def test_blocks_come_in_the_order_of_the_layers(tab: OpenTab, served: Serve) -> None:
    data = tiny.tiny_llama(seed=3, **{**SHAPE, "n_layer": 12})
    file, one = served(data), tab(where="worker")
    assert load(one, file.url) == logits_of(data)
    starts = [seen.start for seen in file.requests]
    assert starts != sorted(starts)   # blk.10 lies before blk.2 in the file
    assert file.sent == len(data)


def test_progress_is_whole_and_never_goes_back(tab: OpenTab, served: Serve, data: bytes) -> None:
    file, one = served(data), tab(where="worker")
    script = """
import gemel
seen = []
model = await gemel.open_async(url, threads=1, prompt=[1, 2, 3], on_progress=lambda *step: seen.append(step))
model.close()
seen
"""
    for stages in ({"download", "load", "prefill"}, {"load", "prefill"}):   # the second time it is cached
        seen = one.run(script, url=file.url)
        assert {stage for stage, _, _ in seen} == stages
        for stage in stages:
            done = [done for name, done, _ in seen if name == stage]
            assert done == sorted(done)
            assert done[-1] == (8 if stage == "prefill" else len(data))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_the_next_load_goes_on_where_a_broken_one_ended(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, share: float
) -> None:
    file, one = served(data, mb_s=20, break_after=int(share * len(data)), break_status=503), tab(where="worker")
    one.expect("503", "ERR_")
    with raises("SourceError", "HTTP 503"):
        load(one, file.url)
    ((_, cached, complete),) = one.run(CACHED, url=file.url)
    assert 0 < cached < len(data)
    assert not complete
    heal(file)
    assert load(one, file.url) == logits
    assert file.sent == len(data) - cached


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_broken_connection_is_taken_up_again(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, share: float
) -> None:
    file, one = served(data, mb_s=20, break_after=int(share * len(data))), tab(where="worker")
    one.expect("ERR_")
    assert load(one, file.url) == logits
    broken = next(i for i, seen in enumerate(file.requests) if seen.broken)
    before, after = file.requests[broken : broken + 2]
    assert before.start < after.start <= before.start + before.sent
    assert file.sent == len(data) + before.start + before.sent - after.start   # what was lost on the way


@pytest.mark.parametrize("in_data", [True, False])
def test_a_damaged_block_of_the_cache_is_fetched_again(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, in_data: bool
) -> None:
    file, one = served(data), tab(where="main")
    assert load(one, file.url) == logits
    file.forget()
    key = one.run("from gemel.tab.opening import key_of\nkey_of(url)", url=file.url)
    one.run(DAMAGE, key=key, number=5, in_data=in_data)
    assert load(one, file.url) == logits
    assert [seen.range for seen in file.requests] == ["bytes=1310720-1572863"]
    file.forget()
    assert load(one, file.url) == logits
    assert file.requests == []


def test_blocks_that_the_table_lacks_are_not_there(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    """As a tab leaves them that is ended in the middle of a download."""
    file, one = served(data), tab(where="main")
    assert load(one, file.url) == logits
    file.forget()
    one.run(
        """
import js
from gemel.tab.cache import _folder
from gemel.tab.opening import key_of
folder = await (await _folder()).getDirectoryHandle(key_of(url))
name = next(name for name in [name async for name in folder.keys()] if name.endswith(".table"))
raw = bytearray((await (await (await folder.getFileHandle(name)).getFile()).arrayBuffer()).to_bytes())
raw[3 * 48 : 6 * 48] = bytes(3 * 48)
writing = await (await folder.getFileHandle(name)).createWritable()
await writing.write(js.Uint8Array.new(raw))
await writing.close()
""",
        url=file.url,
    )
    left = len(data) - 3 * (1 << 18)
    assert one.run(CACHED, url=file.url) == [[file.url, left, False]]
    script = """
seen = []
model = await gemel.open_async(url, threads=1, on_progress=lambda *step: seen.append(step))
model.close()
[step for step in seen if step[0] == "download"][-1][1]
"""
    assert one.run(script, url=file.url) == len(data)   # what is fetched is reported
    assert file.sent == 3 << 18
    assert one.run(CACHED, url=file.url) == [[file.url, len(data), True]]


def test_two_tabs_download_a_model_once(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file = served(data, mb_s=10)
    tabs = [tab(where="worker"), tab(where="main")]
    started = [one.begin(OPEN + LOGITS, url=file.url, ids=IDS) for one in tabs]
    assert [one.finish(number) for one, number in zip(tabs, started, strict=True)] == [logits, logits]
    assert file.sent == len(data)


def test_a_tab_whose_turn_comes_while_it_reads_sees_what_is_there_by_then(
    tab: OpenTab, new_tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    """A download ends, and its lock with it, while another tab still looks for a block that was not there yet."""
    file, first, second = served(data, mb_s=10), tab(where="worker"), new_tab(where="worker")
    second.run("""
from gemel.tab import assets
text = assets.text
slow = (
    "const { read } = Store.prototype; let missed = 0;"
    "Store.prototype.read = async function (...all) {"
    "    const found = await read.apply(this, all);"
    "    if (!found && missed++) await sleep(2000);"   # since the first one it waits for its turn
    "    return found;"
    "};"
)
assets.text = lambda name: text(name).replace("new Load(", slow + "new Load(")
""")
    started = first.begin(OPEN + LOGITS, url=file.url, ids=IDS)
    until(first, file, len(data) // 10)
    waiting = second.begin(OPEN + LOGITS, url=file.url, ids=IDS)
    assert [first.finish(started), second.finish(waiting)] == [logits, logits]
    assert file.sent == len(data)


def test_a_tab_that_is_closed_leaves_its_download_to_the_other(
    tab: OpenTab, new_tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    file = served(data, mb_s=5)
    first, second = new_tab(where="worker"), tab(where="worker")
    first.begin(OPEN, url=file.url)
    until(second, file, len(data) // 3)
    started = second.begin(OPEN + LOGITS, url=file.url, ids=IDS)
    second.page.wait_for_timeout(300)
    first.close()
    assert second.finish(started) == logits
    assert file.sent < 1.7 * len(data)   # what the first had got was not asked for again


def test_a_full_disk_is_an_error_with_figures(fresh_tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file, one = served(data), fresh_tab(where="worker")
    quota = {"origin": one.site.url.rsplit("/", 1)[0], "quotaSize": 2_000_000}
    one.page.context.new_cdp_session(one.page).send("Storage.overrideQuotaForOrigin", quota)
    with raises("SourceError", r"needs \d\.\d MB more than the browser lets .*gemel.cache.*cache=False"):
        load(one, file.url)
    uncached = OPEN.replace("threads=1", "threads=1, cache=False")
    assert one.run(uncached + LOGITS, url=file.url, ids=IDS) == logits
    assert [one[2] for one in one.run(CACHED, url=file.url)] == [False]


def test_a_browser_that_does_not_tell_its_space_caches_all_the_same(
    new_tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    file, one = served(data), new_tab(where="worker")
    one.run("""
from gemel.tab import assets
text = assets.text
assets.text = lambda name: "delete StorageManager.prototype.estimate;" + text(name)
""")
    assert load(one, file.url) == logits
    assert one.run(CACHED, url=file.url) == [[file.url, len(data), True]]


def test_a_browser_without_a_private_file_system_loads_and_says_so(
    new_tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    """As WebKitGTK."""
    file, one = served(data), new_tab(where="worker")
    one.run("""
import pyodide
from gemel.tab import assets
text, without = assets.text, "delete StorageManager.prototype.getDirectory;"
assets.text = lambda name: without + text(name)
pyodide.code.run_js(without)
""")
    assert load(one, file.url) == logits
    for call in ("list_async()", "persist_async()"):
        with raises("SourceError", r"nothing is cached: this browser has none \(OPFS\)"):
            one.run(f"await gemel.cache.{call}")


# ---- Servers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ["", None])
def test_a_server_without_ranges_sends_one_stream(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, etag: str | None
) -> None:
    file, one = served(data, ranges=False, etag=etag), tab(where="worker")
    assert load(one, file.url) == logits
    assert [seen.status for seen in file.requests] == [200]
    file.forget()
    assert load(one, file.url) == logits
    assert file.requests == []
    one.run("await gemel.cache.delete_async(url)", url=file.url)
    file.break_after = len(data) // 2
    one.expect("ERR_")
    assert load(one, file.url) == logits
    assert [seen.broken for seen in file.requests] == [True, False]


def test_ranges_without_a_version_are_not_trusted(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file, one = served(data, etag=None), tab(where="worker")
    assert load(one, file.url) == logits
    assert [seen.range is None for seen in file.requests] == [False, True]


def test_a_stream_that_comes_again_as_another_file_is_not_mixed(tab: OpenTab, served: Serve, data: bytes) -> None:
    other = tiny.tiny_llama(seed=8, **SHAPE)
    file, one = served(data, ranges=False, etag=None, mb_s=20), tab(where="worker")
    one.expect("ERR_")
    started = one.begin(OPEN + LOGITS, url=file.url, ids=IDS)
    until(one, file, len(data) // 2)
    file.break_after, file.data = 1, other
    assert one.finish(started) == logits_of(other)


@pytest.mark.parametrize("cached", [True, False])
def test_a_file_that_changed_is_fetched_anew(tab: OpenTab, served: Serve, data: bytes, cached: bool) -> None:
    other = tiny.tiny_llama(seed=9, **SHAPE)
    file, one = served(data, mb_s=20), tab(where="worker")
    one.expect("503", "ERR_")
    started = one.begin(OPEN + LOGITS, url=file.url, ids=IDS)
    until(one, file, len(data) // 2)
    if cached:   # between two loads
        fail(file)
        with raises("SourceError", "503"):
            one.finish(started)
        heal(file)
        file.data = other
        assert load(one, file.url) == logits_of(other)
    else:        # within one
        file.break_after, file.data = 1, other
        assert one.finish(started) == logits_of(other)
    assert one.run(CACHED, url=file.url) == [[file.url, len(other), True]]


def test_a_file_of_another_origin_needs_no_more_than_cors(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    file, one = served(data), tab(where="worker")
    assert load(one, file.other_url) == logits
    assert {seen.method for seen in file.requests} == {"GET"}   # no preflight
    file.cors = False
    one.expect("CORS", "ERR_FAILED")
    with raises("SourceError", "CORS: Access-Control-Allow-Origin"):
        load(one, f"{file.other_url}?2")


@pytest.mark.parametrize(
    ("switches", "sentence"),
    [
        ({"status": 404}, "HTTP 404 .*check the address"),
        ({"status": 403}, "HTTP 403 .*login"),
        ({"ranges": False, "length": False}, "does not report the file's size"),
    ],
)
def test_what_a_server_refuses_is_said(
    tab: OpenTab, served: Serve, data: bytes, switches: dict[str, Any], sentence: str
) -> None:
    file, one = served(data, **switches), tab(where="worker")
    one.expect("404", "403")
    with raises("SourceError", sentence):
        load(one, file.url)


def test_a_file_that_is_no_model_is_a_format_error(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    one = tab(where="worker")
    file = served(b"GGUFhtml" * 100_000)
    with raises("FormatError", "offset 4.*; if the server sent a wrong file: await gemel.cache.delete_async"):
        load(one, file.url)
    file.data = data
    one.run("await gemel.cache.delete_async(url)", url=file.url)
    assert load(one, file.url) == logits
    with raises("FormatError", "empty"):
        load(one, served(b"", ranges=False).url)


def test_the_parts_of_a_split_model_are_loaded_and_cached_as_one(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    names = [f"x-{no:05}-of-00003.gguf" for no in (1, 2, 3)]
    files: list[Served] = []
    for name, part in zip(names, tiny.tiny_split(n_parts=3, seed=7, **SHAPE), strict=True):
        files.append(served(part, name=name, beside=files[0] if files else None))
    one, size = tab(where="worker"), sum(len(file.data) for file in files)
    assert load(one, files[1].url) == logits
    assert sum(file.sent for file in files) == size
    assert one.run(CACHED, url=files[1].url) == [[files[1].url, size, True]]
    for file in files:
        file.forget()
    ride = OPEN.replace("threads=1", "threads=1, prompt=ids")
    assert one.run(ride + LOGITS, url=files[0].url, ids=IDS) == logits
    assert [file.requests for file in files] == [[], [], []]
    assert one.run("await gemel.cache.delete_async(url)", url=files[1].url) == size
    files[2].status = 404
    one.expect("404")
    with raises("SourceError", "HTTP 404"):
        load(one, files[0].url)


# ---- Other ways in ---------------------------------------------------------------------------------------------------


def test_a_file_that_the_user_chose(tab: OpenTab, data: bytes, logits: bytes) -> None:
    one = tab(where="main")
    one.page.evaluate("document.body.append(Object.assign(document.createElement('input'), {type: 'file', id: 'f'}))")
    one.page.set_input_files("#f", {"name": "mine.gguf", "mimeType": "application/octet-stream", "buffer": data})
    chosen = "import js\nchosen = js.document.getElementById('f').files.item(0)\n"
    assert one.run(chosen + OPEN.replace("url", "chosen") + LOGITS, ids=IDS) == logits
    assert one.run(chosen + "with gemel.inspect(chosen) as gguf: n = [gguf.name, len(gguf.tensors)]\nn") == [
        "mine.gguf", len(gemel.inspect(data).tensors),
    ]


def test_arrays_and_paths_are_models(tab: OpenTab, data: bytes, logits: bytes) -> None:
    one = tab(where="worker")
    one.put("here.gguf", data)
    for model in ("array", "array.buffer", "js.DataView.new(array.buffer)", "js.Blob.new([array])", "'here.gguf'"):
        for call in ("await gemel.open_async", "gemel.open"):
            script = "import gemel, js\narray = js.Uint8Array.new(open('here.gguf', 'rb').read())\n"
            script += f"model = {call}({model})\n"
            assert one.run(script + LOGITS, ids=IDS) == logits, (model, call)


# Call f() where Python can't wait for promises: from a timer.
NOT_WAITING = """
import asyncio, gemel, js
from pyodide.ffi import can_run_sync, create_proxy
ended = asyncio.get_running_loop().create_future()
def call():
    try:
        assert not can_run_sync()
        ended.set_result(f())
    except Exception as error:
        ended.set_exception(error)
proxy = create_proxy(call)
js.setTimeout(proxy, 0)
model = await ended
"""


def test_open_waits_where_it_can(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file, one = served(data), tab(where="main")
    assert one.run("import gemel\nmodel = gemel.open(url, threads=1)\n" + LOGITS, url=file.url, ids=IDS) == logits
    assert one.run("[one.name for one in gemel.cache.list() if one.name == url]") == [file.url]
    assert one.run("str(gemel.cache.path(url))").startswith("gemel/model.gguf-")
    assert one.run("gemel.cache.delete(url)") == len(data)
    with raises("SourceError", "await gemel.open_async"):
        one.run("f = lambda: gemel.open(url)\n" + NOT_WAITING, url=file.url)
    with raises("SourceError", "list_async"):
        one.run("f = gemel.cache.list\n" + NOT_WAITING)


@pytest.mark.parametrize("ranges", [True, False])
def test_open_in_a_worker_makes_synchronous_requests(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, ranges: bool
) -> None:
    file, one = served(data, ranges=ranges), tab(where="worker")
    script = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    f = lambda: gemel.open(url, threads=1)
"""
    assert one.run(script + NOT_WAITING.replace("\n", "\n    ") + LOGITS, url=file.url, ids=IDS) == logits
    assert "is not kept: synchronous code" in one.run("str(said[0].message)")
    blob = "import js\nf = lambda: gemel.open(js.Blob.new([js.Uint8Array.new(data)]))\n"
    assert one.run(blob + NOT_WAITING + LOGITS, data=data, ids=IDS) == logits


def test_short_names_come_from_the_folder_that_the_page_names(tab: OpenTab, served: Serve, data: bytes) -> None:
    one = tab(where="worker")
    with raises("SourceError", "is inside a Python package.*models_url"):
        load(one, "smollm2-135m-instruct")
    file = served(data, name="SmolLM2-135M-Instruct.Q4_1.gguf")
    one.run("gemel.browser.configure(models_url=folder)", folder=file.url.rsplit("/", 1)[0])
    with raises("SourceError", f"has {len(data)} bytes, expected 98362432"):
        load(one, "smollm2-135m-instruct")
    one.run("gemel.browser.configure(models_url=None)")


@pytest.mark.parametrize("right", [True, False])
def test_a_known_hash_is_checked_and_a_wrong_file_is_not_kept(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, right: bool
) -> None:
    import hashlib

    block = block_size(len(data))
    sums = [hashlib.sha256(data[at : at + block]).digest() for at in range(0, len(data), block)]
    file, one = served(data, name=f"known{right}.gguf"), tab(where="worker")
    known = """
import gemel
gemel.NAMES[name] = gemel.Name(file=file, licence="MIT", url=url, size=size, tree_sha256=tree)
"""
    tree = hashlib.sha256(b"".join(sums)).hexdigest() if right else "0" * 64
    name = f"known{right}"
    one.run(known, name=name, url=file.url, size=len(data), tree=tree, file=name)
    if right:
        assert load(one, name) == logits
        return
    with raises("SourceError", "expected 0000"):
        load(one, name)
    assert one.run(CACHED, url=name) == []


def test_prompt_rides_the_download_with_the_same_bits(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file, one = served(data), tab(where="worker")
    script = """
import gemel
model = await gemel.open_async(url, threads=1, prompt=ids)
logits, held = bytes(model._preloaded.logits()), model._preloaded.ids
model.close()
[logits, held]
"""
    for _ in range(2):   # downloaded, and cached
        assert one.run(script, url=file.url, ids=IDS) == [logits, IDS]


def test_node_downloads_without_a_cache_and_says_so(
    node: Host, served: Serve, data: bytes, logits: bytes
) -> None:
    script = """
import warnings, gemel
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    model = await gemel.open_async(url, threads=1, prompt=ids)
said = [str(one.message) for one in said]
"""
    file = served(data, mb_s=20, break_after=len(data) // 2)
    assert node.run(script + LOGITS, url=file.url, ids=IDS) == logits
    (sentence,) = node.run("said")
    assert "is not kept: this host has no private file system" in sentence
    with raises("SourceError", "HTTP 404"):
        node.run(script, url=served(data, status=404).url, ids=IDS)
    assert node.run(script.replace("threads=1", "threads=1, cache=False") + LOGITS, url=file.url, ids=IDS) == logits
    assert node.run("said") == []


def test_a_cancelled_load_lets_go_of_everything(tab: OpenTab, served: Serve, data: bytes, logits: bytes) -> None:
    file, one = served(data, mb_s=5), tab(where="worker")
    script = """
import asyncio, gemel, js
task = asyncio.create_task(gemel.open_async(url, threads=1, prompt=ids, on_progress=lambda *step: begun.set()))
begun = asyncio.Event()
await begun.wait()
task.cancel()
try:
    await task
except asyncio.CancelledError:
    pass
for _ in range(100):
    held = [lock.name for lock in (await js.navigator.locks.query()).held]
    if not held:
        break
    await asyncio.sleep(0.01)
[task.cancelled(), held]
"""
    assert one.run(script, url=file.url, ids=IDS) == [True, []]
    file.mb_s = None
    assert load(one, file.url) == logits
