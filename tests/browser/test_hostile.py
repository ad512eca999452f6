"""What a server, a page or another tab may do to a load: impossible sizes, caches that vanish, strange files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import tiny
from browser.hosts import TIMEOUT, Host, Tab, raises

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]
Serve = Callable[..., "Served"]
SHAPE: dict[str, Any] = {"n_layer": 8, "n_embd": 256, "n_ff": 768, "format": "Q8_0"}
OPEN = """
import gemel
with await gemel.open_async(url, threads=1, cache=cache) as model, model.session() as session:
    session.sync([1, 2, 3])
    logits = bytes(session.logits())
logits
"""
# Keep deleting: while a block is being written, that is refused.
DELETE = """
import asyncio, gemel
while True:
    try:
        await gemel.cache.delete_async(url)
        break
    except gemel.SourceError:
        await asyncio.sleep(0.01)
True
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(seed=7, **SHAPE)


def logits_of(data: bytes) -> bytes:
    import gemel

    with gemel.open(data, threads=1) as model, model.session() as session:
        session.sync([1, 2, 3])
        return bytes(session.logits())


@pytest.mark.parametrize("size", ["9" * 400, "9007199254740993", "1" + "0" * 25], ids=len)
def test_a_size_that_no_file_has_is_an_error(tab: OpenTab, served: Serve, data: bytes, size: str) -> None:
    file = served(data, headers={"Content-Range": f"bytes 0-{min(len(data), 2**22) - 1}/{size}"})
    with raises("SourceError", "size"):
        tab(where="worker").run(OPEN, url=file.url, cache=False)


def test_what_follows_the_tensors_is_passed_over(tab: OpenTab, served: Serve, data: bytes) -> None:
    file = served(data + bytes(40 << 20))
    assert tab(where="worker").run(OPEN, url=file.url, cache=False) == logits_of(data)


def test_a_warning_that_is_made_an_error_ends_the_load(node: Host, served: Serve, data: bytes) -> None:
    script = "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('error')\n"
    script += "    await gemel.open_async(url, threads=1)\n"
    with raises("RuntimeWarning", "is not kept"):
        node.run("import gemel\n" + script, url=served(data).url)


def test_a_cache_entry_may_vanish_while_it_is_loaded(tab: OpenTab, served: Serve, data: bytes) -> None:
    file, one = served(data, hold_from=1), tab(where="worker")
    started = begin_and_delete(one, file)
    file.hold_from = None
    assert one.finish(started) == logits_of(data)
    assert file.sent == len(data)


def test_a_file_that_changes_after_its_cache_entry_vanished_is_fetched_anew(
    tab: OpenTab, served: Serve, data: bytes
) -> None:
    other = tiny.tiny_llama(seed=9, **SHAPE)
    file, one = served(data, hold_from=1), tab(where="worker")
    one.expect("ERR_")
    started = begin_and_delete(one, file)
    held = file.requests[-1]
    file.break_after, file.data, file.hold_from = 1, other, None   # break off first
    assert one.finish(started) == logits_of(other)
    assert held.broken
    assert held.sent == 0
    assert file.sent > len(other)


def begin_and_delete(one: Tab, file: Served) -> int:
    """Begin a load and delete what it has cached while it waits for the second answer: then it has no file open."""
    started = one.begin(OPEN, url=file.url, cache=True)
    due = time.monotonic() + TIMEOUT
    while len(file.requests) < 2:
        assert time.monotonic() < due, "no second request"
        one.page.wait_for_timeout(5)
    assert one.run(DELETE, url=file.url)
    assert 0 < file.sent < len(file.data)
    return started


def test_strange_files_in_the_cache_are_passed_over(tab: OpenTab, served: Serve, data: bytes) -> None:
    file, one = served(data), tab(where="worker")
    assert one.run(OPEN, url=file.url, cache=True) == logits_of(data)
    one.run(
        """
import js
from gemel.tab.cache import _files, _folder
from gemel.tab.opening import key_of
folder = await (await _folder()).getDirectoryHandle(key_of(url))
names = [name async for name in folder.keys()]
version = next(name for name in names if name.endswith(".data")).removesuffix(".data")
for name in ("stray", f"{version}.new", f"{version}.0"):
    await folder.getFileHandle(name, create=True)
None
""",
        url=file.url,
    )
    listed = "[[one.size, one.complete] for one in await gemel.cache.list_async() if one.name == url]"
    assert one.run("import gemel\n" + listed, url=file.url) == [[len(data), True]]
    file.forget()
    assert one.run(OPEN, url=file.url, cache=True) == logits_of(data)
    assert file.requests == []
    assert one.run("await gemel.cache.delete_async(url)", url=file.url) == len(data)


def test_synchronous_ranges_without_a_version_are_not_trusted(tab: OpenTab, served: Serve, data: bytes) -> None:
    file = served(data, etag=None)
    script = """
from gemel.tab.xhr import XhrSource
source = XhrSource("it", [url], None)
source.sizes, bytes(source.read(1000, 5).to_bytes())
"""
    assert tab(where="worker").run(script, url=file.url) == [[len(data)], data[1000:1005]]
    assert [seen.range is None for seen in file.requests] == [False, True]


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("breaks", [True, False])
def test_parts_that_name_no_version_are_not_another_version(
    tab: OpenTab, served: Serve, data: bytes, cache: bool, breaks: bool
) -> None:
    most = 3 * len(data) // 4   # the first request is for less
    file, one = served(data, part_etag=False, break_after=most if breaks else None), tab(where="worker")
    one.expect("ERR_")
    assert one.run(OPEN, url=file.url, cache=cache) == logits_of(data)
    assert [(seen.range is None, seen.status) for seen in file.requests] == [
        (False, 206), *[(True, 200)] * (1 + breaks)
    ]   # fmt: skip


@pytest.mark.parametrize("changes", [True, False])
def test_a_version_that_is_learnt_after_the_first_answer_is_kept(
    tab: OpenTab, served: Serve, data: bytes, changes: bool
) -> None:
    file, one = served(data, part_etag=False, break_after=3 * len(data) // 4, break_always=True), tab(where="worker")
    one.expect("ERR_")
    with raises("SourceError", "lost at"):
        one.run(OPEN, url=file.url, cache=True)
    file.forget()
    file.break_after, file.break_always, file.data = None, False, tiny.tiny_llama(seed=23, **SHAPE) if changes else data
    assert one.run(OPEN, url=file.url, cache=True) == logits_of(file.data)
    assert [seen.range is None for seen in file.requests] == ([True, False, True] if changes else [True])


def test_synchronous_ranges_that_stop_naming_their_version_end_in_one_answer(
    tab: OpenTab, served: Serve, data: bytes
) -> None:
    file, one = served(data), tab(where="worker")
    script = """
from gemel.tab.xhr import XhrSource
source = XhrSource("it", [url], None)
bytes(source.read(1000, 5).to_bytes())
"""
    assert one.run(script, url=file.url) == data[1000:1005]
    file.part_etag = False
    assert one.run("bytes(source.read(2000, 5).to_bytes()) + bytes(source.read(9, 5).to_bytes())") == (
        data[2000:2005] + data[9:14]
    )
    assert [seen.range is None for seen in file.requests] == [False, False, False, True]


def test_a_known_hash_that_cannot_be_checked_is_said(tab: OpenTab, served: Serve, data: bytes) -> None:
    script = """
import gemel, js, warnings
from pyodide.ffi import to_js
gemel.NAMES["known"] = gemel.Name(file="known", licence="MIT", url=url, size=size, tree_sha256="0" * 64)
insecure = to_js({"value": None, "configurable": True}, dict_converter=js.Object.fromEntries)
js.Object.defineProperty(js.crypto, "subtle", insecure)
try:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await gemel.open_async("known", threads=1)
finally:
    js.Reflect.deleteProperty(js.crypto, "subtle")
    del gemel.NAMES["known"]
"""
    with raises("RuntimeWarning", "known is not checked against its SHA-256"):
        tab(where="worker").run(script, url=served(data).url, size=len(data))
