"""The bed itself: tabs run Python and give back what it made, errors are seen, and nothing leaves this machine."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser.hosts import RELAXED, HostHangError, Tab, raises

if TYPE_CHECKING:
    from browser.server import Served, Server, Trap

pytestmark = [pytest.mark.browser, pytest.mark.slow]
KINDS = [
    pytest.param(isolated, where, id=f"{'isolated' if isolated else 'plain'}-{where}")
    for isolated in (False, True) for where in ("main", "worker")
]
OpenTab = Callable[..., Tab]
Serve = Callable[..., "Served"]


@pytest.mark.parametrize(("isolated", "where"), KINDS)
def test_a_tab_runs_python(tab: OpenTab, isolated: bool, where: str) -> None:
    one = tab(isolated=isolated, where=where)
    assert one.run("import js; [bool(js.crossOriginIsolated), hasattr(js, 'document')]") == [isolated, where == "main"]
    one.run("kept = text + '!'", text="é")
    assert one.run("import asyncio\nawait asyncio.sleep(0)\n[kept, data[::-1]]", data=b"\0\xff") == ["é!", b"\xff\0"]
    with raises("ZeroDivisionError", "division") as caught:
        one.run("def f():\n    return 1 / 0\nf()")
    assert "return 1 / 0" in caught.value.trace
    one.put("x.bin", bytes(range(256)) * 4096)
    assert one.run("open('x.bin', 'rb').read()") == bytes(range(256)) * 4096
    assert one.run("import gemel; list(gemel.isas())")[-1] in RELAXED


def test_a_tab_may_lack_jspi(tab: OpenTab) -> None:
    source = "from pyodide.ffi import can_run_sync\ncan_run_sync()"
    assert [tab(jspi=jspi, wheels=False).run(source) for jspi in (True, False)] == [True, False]


def test_a_console_error_is_seen_and_a_hang_ends(fresh_tab: OpenTab) -> None:
    one = fresh_tab(wheels=False)
    one.run("import js; js.console.error('the first'); js.console.error('the second')")
    one.expect("^the sec")
    assert [error.split(" (")[0] for error in one.unexpected()] == ["the first"]
    with pytest.raises(HostHangError, match="no answer in 1 s"):
        one.run("while True:\n    pass", timeout=1)
    assert one.dead


def test_two_fresh_tabs_share_a_profile_that_begins_empty(fresh_tab: OpenTab) -> None:
    names = """
import js
root = await js.navigator.storage.getDirectory()
[name async for name in root.keys()]
"""
    first, second = fresh_tab(wheels=False), fresh_tab(wheels=False, where="worker")
    assert first.run(names) == []
    first.run("from pyodide.ffi import to_js\nawait root.getFileHandle('x', to_js({'create': True}, "
              "dict_converter=js.Object.fromEntries))\nNone")
    assert second.run(names) == ["x"]
    first.reload()
    assert first.run(names) == ["x"]


def test_a_strict_csp_holds(new_tab: OpenTab) -> None:
    one = new_tab(wheels=False, csp="script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'")
    one.expect("Content Security Policy")
    refused = """
import asyncio, js
from pyodide.ffi import create_once_callable, to_js
worker = js.Worker.new(js.URL.createObjectURL(js.Blob.new(to_js(["postMessage(1)"]))))
said = asyncio.Future()
worker.onerror, worker.onmessage = lambda event: said.set_result("refused"), lambda event: said.set_result("started")
await said
"""
    assert one.run(refused) == "refused"


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Fetch without a browser: (status, as much of the body as came, headers)."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            try:
                return answer.status, answer.read(), dict(answer.headers)
            except http.client.IncompleteRead as error:
                return answer.status, error.partial, dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


DATA = bytes(range(251)) * 1000


@pytest.mark.parametrize(
    ("asked", "status", "got"),
    [
        ("bytes=0-9", 206, DATA[:10]), ("bytes=100-", 206, DATA[100:]), ("bytes=-7", 206, DATA[-7:]),
        ("bytes=250990-999999", 206, DATA[250990:]), ("bytes=251000-", 416, b""), ("items=0-9", 200, DATA),
    ],
)  # fmt: skip
def test_ranges_are_served(served: Serve, asked: str, status: int, got: bytes) -> None:
    file = served(DATA)
    code, body, headers = get(file.url, Range=asked)
    assert (code, body, file.sent) == (status, got, len(got))
    if status == 206:
        first = DATA.index(got[:200]) if len(got) < 300 or got == DATA[100:] else 0
        assert headers["content-range"].endswith(f"-{first + len(got) - 1}/{len(DATA)}") or len(got) < 300
    assert file.requests[0].range == asked


def test_a_file_has_the_habits_of_a_bad_network(served: Serve) -> None:
    file = served(DATA, ranges=False)
    assert get(file.url, Range="bytes=5-9")[:2] == (200, DATA)
    file.ranges = True
    assert get(file.url, Range="bytes=5-9", If_Range='"other"')[0] == 200
    etag = get(file.other_url)[2]["etag"]
    assert get(file.url, Range="bytes=5-9", If_Range=etag)[:2] == (206, DATA[5:10])
    file.etag = None
    assert "etag" not in get(file.url)[2]
    file.etag_counter = True
    assert get(file.url)[2]["etag"] != get(file.url)[2]["etag"]
    file.status = 403
    assert get(file.url)[0] == 403
    assert [seen.status for seen in file.requests] == [200, 200, 200, 206, 200, 200, 200, 403]


def test_a_connection_breaks_and_heals(served: Serve) -> None:
    file = served(DATA, break_after=100_000)
    assert get(file.url)[1] == DATA[:100_000]
    assert file.requests[0].broken
    assert get(file.url, Range="bytes=100000-")[1] == DATA[100_000:]
    file.break_after, file.break_always = 1000, True
    assert get(file.url)[1] == get(file.url)[1] == DATA[:1000]


def test_a_slow_file_takes_its_time(served: Serve) -> None:
    began = time.monotonic()
    assert get(served(DATA, mb_s=1).url)[1] == DATA
    assert time.monotonic() - began > 0.25   # no less than the switch says, however fast the machine


def test_nothing_outside_is_served(server: Server) -> None:
    site = server.site()
    for path in ("tab/../../../pyproject.toml", "tab/%2e%2e/hosts.py", "tab/", "tab/none.js", "other/tab.js"):
        assert get(f"{site.url}/{path}")[0] == 404
    assert get(f"{site.url}/tab/tab.js")[0] == 200


def test_nobody_is_called_but_the_test_server(new_tab: OpenTab, trap: Trap) -> None:
    """What a tab asks of the internet ends in the trap, and every test that has a tab fails for it."""
    assert trap.outside() == []
    one = new_tab(wheels=False)
    one.expect("Failed to load resource|ERR_")
    with raises("JsException|OSError|AbortError"):
        one.run("import js\nawait js.fetch('https://elsewhere.example/x')")
    assert trap.outside() == ["CONNECT elsewhere.example:443"]
