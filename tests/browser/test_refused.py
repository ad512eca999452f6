"""In a tab as on a desktop: what is not GGUF is refused as it arrives and not kept; hf:owner/repo finds its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import hub as local
import pytest
import tiny
from browser.hosts import Host, Tab, raises
from browser.test_loading import CACHED, IDS, LOGITS, NOT_WAITING, OPEN, SHAPE, load, logits_of
from gemel.source.repository import size_text

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]
Serve = Callable[..., "Served"]
PAGE = b"<!DOCTYPE html>\n<html><head><title>Down for\n maintenance</title></head>" + b"<p>later</p>" * 1000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
NAMES = "import gemel\nsorted(one.name for one in await gemel.cache.list_async())"


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(seed=9, **SHAPE)


@pytest.fixture(scope="module")
def logits(data: bytes) -> bytes:
    return logits_of(data)


# ---- Not GGUF --------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[bytes, dict[str, Any], str]] = [
    (PAGE, {}, r"the server sent a web page \('Down for maintenance'\), not a GGUF file: .*; open the address in a"),
    (PAGE, {"ranges": False}, r"a web page \('Down for maintenance'\)"),
    (PAGE, {"ranges": False, "length": False}, r"a web page \('Down for maintenance'\)"),
    (PAGE, {"etag": None}, r"a web page \('Down for maintenance'\)"),
    (PAGE, {"name": "blob/main/m.gguf"}, "a web page .*: write /resolve/ in place of /blob/ in the address"),
    (POINTER, {}, "a pointer of Git LFS, not a GGUF file: use the address from which the hub sends the file itself"),
    (b'{"error": "log in"}', {"ranges": False}, r"""JSON \('{"error": "log in"}'\), not a GGUF file: check the"""),
    (b"PK\x03\x04" + bytes(5000), {}, "a zip archive, not a GGUF file: unpack it"),
    (b"GGML" + bytes(300), {}, r"a file that begins with b'GGML.*', not a GGUF file"),
    (b"GG", {}, "a file that begins with b'GG', not a GGUF file"),
]


@pytest.mark.parametrize(("answer", "switches", "words"), ANSWERS)
def test_what_is_not_gguf_is_refused_and_not_kept_and_the_next_try_downloads(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes, answer: bytes, switches: dict[str, Any], words: str
) -> None:
    file, one = served(answer, **switches), tab(where="worker")
    before = one.run(NAMES)
    for _ in range(2):
        with raises("SourceError", words):
            one.run(OPEN, url=file.url)
    assert one.run(NAMES) == before
    file.data, file.etag = data, ""
    file.forget()
    if file.length:
        assert load(one, file.url) == logits
        assert file.sent == len(data)
        assert one.run(CACHED, url=file.url) == [[file.url, len(data), True]]


def test_a_page_in_place_of_the_rest_keeps_what_is_there(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    file, one = served(data, mb_s=20, break_after=len(data) // 2, break_status=503), tab(where="worker")
    one.expect("503", "ERR_")
    with raises("SourceError", "HTTP 503"):
        load(one, file.url)
    ((_, cached, _),) = one.run(CACHED, url=file.url)
    file.break_after, file.status = None, None
    file.data, file.ranges, etag = PAGE, False, file.etag
    with raises("SourceError", r"a web page \('Down for maintenance'\)"):
        load(one, file.url)
    assert one.run(CACHED, url=file.url) == [[file.url, cached, False]]
    file.data, file.ranges, file.etag = data, True, etag
    file.forget()
    assert load(one, file.url) == logits
    assert file.sent == len(data) - cached


def test_what_an_earlier_version_cached_is_downloaded_again(
    tab: OpenTab, served: Serve, data: bytes, logits: bytes
) -> None:
    """It had a file for each block; one of them is a page, which the first versions did not refuse."""
    file, one = served(data), tab(where="worker")
    script = """
import hashlib, json, js
from pyodide.ffi import to_js
from gemel.tab.opening import key_of
root = await js.navigator.storage.getDirectory()
folder = await (await root.getDirectoryHandle("gemel", create=True)).getDirectoryHandle(key_of(url), create=True)
meta = {"url": url, "name": url, "size": len(page), "validators": {"etag": '"1"', "date": ""}, "ranges": True,
        "block": 2**18, "tree": None, "version": "0123456789abcdef"}
block = page + hashlib.sha256(page).digest()
for name, content in {"meta.json": json.dumps(meta).encode(), f"{meta['version']}.0": block}.items():
    writing = await (await folder.getFileHandle(name, create=True)).createWritable()
    await writing.write(to_js(content))
    await writing.close()
"""
    names = script.partition("meta =")[0] + "sorted([name.rpartition('.')[2] async for name in folder.keys()])"
    one.run(script, url=file.url, page=PAGE)
    assert one.run(CACHED, url=file.url) == [[file.url, 0, False]]
    assert load(one, file.url) == logits
    assert one.run(CACHED, url=file.url) == [[file.url, len(data), True]]
    assert one.run(names, url=file.url) == ["data", "json", "table"]


def test_a_page_in_place_of_a_part_names_the_part(tab: OpenTab, served: Serve) -> None:
    first, _ = tiny.tiny_split(n_parts=2)
    file, one = served(first, name="m-00001-of-00002.gguf"), tab(where="worker")
    served(PAGE, name="m-00002-of-00002.gguf", beside=file)
    with raises("SourceError", "m-00002-of-00002.gguf: the server sent a web page"):
        one.run(OPEN, url=file.url)


@pytest.mark.parametrize("ranges", [True, False])
def test_synchronous_code_refuses_it_too(tab: OpenTab, served: Serve, ranges: bool) -> None:
    file, one = served(PAGE, ranges=ranges), tab(where="worker")
    with raises("SourceError", r"the server sent a web page \('Down for maintenance'\)"):
        one.run("import gemel\nf = lambda: gemel.open(url, cache=False)\n" + NOT_WAITING, url=file.url)


def test_synchronous_code_refuses_what_is_outside_the_tab_and_takes_a_file_of_that_name(
    tab: OpenTab, data: bytes
) -> None:
    one = tab(where="worker")
    with raises("SourceError", "'data:x': data: is not supported; use https:"):
        one.run("import gemel\nf = lambda: gemel.open('data:x')\n" + NOT_WAITING)
    with raises("SourceError", "pass a File that the user chose"):
        one.run("import gemel\nf = lambda: gemel.inspect('C:/x.gguf')\n" + NOT_WAITING)
    with raises("ArgumentTypeError", "cache='no' .*: must be True or False"):
        one.run("import gemel\nf = lambda: gemel.open('data:x', cache='no')\n" + NOT_WAITING)
    one.put("data:x", data)
    assert one.run("import gemel\ngemel.open('data:x', threads=1).name") == "data:x"


def test_node_refuses_it_too(node: Host, served: Serve) -> None:
    with raises("SourceError", r"the server sent a web page \('Down for maintenance'\)"):
        node.run("import gemel\nawait gemel.open_async(url, cache=False)", url=served(PAGE).url)


# ---- hf:owner/repo ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(data: bytes) -> Iterator[local.Hub]:
    with local.serving() as made:
        made.files["owner/repo@main"] = {"a/m-Q8_0.gguf": data, "m-Q4_0.gguf": data, "mmproj-Q8_0.gguf": PAGE}
        yield made


ENDPOINT = "import os\nos.environ['HF_ENDPOINT'] = hub\n"
LOGGED = """
import logging
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger("gemel").handlers = [handler]
logging.getLogger("gemel").setLevel(logging.INFO)
"""


def test_a_repository_of_the_hub_finds_its_file(fresh_tab: OpenTab, hub: local.Hub, data: bytes, logits: bytes) -> None:
    one, size = fresh_tab(where="worker"), size_text(len(data))
    script = ENDPOINT + LOGGED + OPEN + "name = model.name\n" + LOGITS
    taken = f"hf:owner/repo:q8_0: using a/m-Q8_0.gguf ({size}); also there: m-Q4_0.gguf ({size})"
    assert one.run(script, hub=hub.url, url="hf:owner/repo:q8_0", ids=IDS) == logits
    assert one.run("[name, said]") == ["hf:owner/repo/a/m-Q8_0.gguf", [taken]]
    assert one.run(CACHED, url="hf:owner/repo/a/m-Q8_0.gguf") == [["hf:owner/repo/a/m-Q8_0.gguf", len(data), True]]
    hub.requests.clear()
    for name in ("hf:owner/repo", "hf:owner/repo/a/m-Q8_0.gguf", "hf:owner/repo@main:Q8_0"):
        assert one.run(script, hub=hub.url, url=name, ids=IDS) == logits
    assert [path for path, _ in hub.requests if "/resolve/" in path] == []
    with raises("SourceError", "no file has the quantisation Q6_K; there are a/m-Q8_0.gguf .*, m-Q4_0.gguf"):
        one.run(OPEN, url="hf:owner/repo:Q6_K")
    hub.status = 404
    one.expect("404")
    assert one.run(script, hub=hub.url, url="hf:owner/repo", ids=IDS) == logits
    (sentence,) = one.run("said")
    assert f"HTTP 404 Not Found; check owner, repository and revision; a/m-Q8_0.gguf ({size}) is used" in sentence
    with raises("SourceError", "hf:owner/other: the hub does not list its files: HTTP 404"):
        one.run(OPEN, url="hf:owner/other")
    assert one.run("await gemel.cache.delete_async('hf:owner/repo:q8_0')") == len(data)
    hub.status = 401
    one.expect("401")
    with raises("SourceError", "HTTP 401 .*private, gated or misspelt, and a tab sends no token: download the file"):
        one.run(OPEN, url="hf:owner/repo")


def test_synchronous_code_finds_it_too(new_tab: OpenTab, hub: local.Hub, logits: bytes) -> None:
    one = new_tab(where="worker")
    script = ENDPOINT + "import gemel\nf = lambda: gemel.open(url, threads=1, cache=False)\n" + NOT_WAITING + LOGITS
    assert one.run(script, hub=hub.url, url="hf:owner/repo", ids=IDS) == logits
    with raises("SourceError", "no file has the quantisation Q6_K"):
        one.run(script, hub=hub.url, url="hf:owner/repo:Q6_K", ids=IDS)


def test_node_finds_it_too(node: Host, hub: local.Hub, logits: bytes) -> None:
    script = ENDPOINT + "import gemel\nmodel = await gemel.open_async(url, threads=1, cache=False)\n" + LOGITS
    assert node.run(script, hub=hub.url, url="hf:owner/repo", ids=IDS) == logits
    with raises("SourceError", "hf:owner/none: the hub does not list its files: HTTP 404"):
        node.run(script, hub=hub.url, url="hf:owner/none", ids=IDS)
    node.run("del os.environ['HF_ENDPOINT']")
