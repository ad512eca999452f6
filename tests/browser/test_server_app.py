"""The server's app answers with the same bytes on every host, evaluated in a thread here and in a tab's event loop."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pyodide_files
import pytest
import tiny
from browser import server_app
from browser.answers import plain
from browser.hosts import Host
from browser.server import Server
from conftest import CHATML

pytestmark = [pytest.mark.browser, pytest.mark.slow]
INSTALL = """
import sys
if sys.platform == "emscripten":
    import pyodide_js
    await pyodide_js.loadPackage(wheels, checkIntegrity=False)
sys.path.insert(0, folder)
import server_app
"""


@cache
def data() -> bytes:
    return tiny.tiny_llama(chat_template=CHATML)


def prepare(host: Host, server: Server) -> None:
    """Give a host the app's packages and the program, once."""
    if "server_app" not in host.prepared:
        host.put("server_app.py", Path(server_app.__file__).read_bytes())
        wheels = [f"{server.site().url}/wheels/{path.name}" for path in pyodide_files.server_wheels()]
        host.run(INSTALL, wheels=wheels, folder=host.folder)
        host.prepared.add("server_app")


@cache
def native_answers(native: Host) -> Any:  # noqa: ANN401
    return native.run("await server_app.answers(data)", data=data())


def alike(answers: list[Any]) -> list[Any]:
    """Return answers without what a host says of itself, and without how long that is."""
    return [
        [status, [header for header in headers if header[0] != "content-length"], plain(body)]
        for status, headers, body in answers
    ]


def test_every_host_answers_with_the_same_bytes(host: Host, native: Host, server: Server) -> None:
    prepare(native, server)
    wanted = native_answers(native)
    assert [status for status, _, _ in wanted] == [200] * 6 + [400] * 3 + [200, 200, 404]
    if host is not native:
        prepare(host, server)
        assert alike(host.run("await server_app.answers(data)", data=data())) == alike(wanted)


def test_every_host_says_what_computes(host: Host, server: Server) -> None:
    prepare(host, server)
    meta, info = host.run("await server_app.says(data)", data=data())
    assert {name: meta.get(name, "") for name in info} == info   # what is empty is left out


def test_a_client_that_leaves_stops_its_answer_on_every_host(host: Host, server: Server) -> None:
    prepare(host, server)
    left, whole = host.run("await server_app.leave(data)", data=data())
    assert 10 <= left < 40
    assert 4 <= whole <= 9   # the head, up to five pieces, the last chunk, [DONE], the end
