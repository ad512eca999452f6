"""No connection is opened, and no name looked up, unless it was asked for (SECURITY.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny

HOOK = """
import json, sys
seen = []
NETWORK = ("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.")
SILENT = ("socket.__new__", "socket.gethostname")   # asyncio makes a pair, which talks to itself
def note(event, args):
    if event.startswith(NETWORK) and event not in SILENT:
        seen.append([event, [one for one in args if isinstance(one, (str, int, bytes, tuple))]])
sys.addaudithook(note)
"""
USE = """
import gemel
from gemel_native import cli
path, told = sys.argv[1:]
with gemel.open(path) as model, model.session() as session:
    model.chat(template="{{ messages[0]['content'] }}").send("a b", max_tokens=2).text
    session.append(model.tokenize("a b c"))
for command in (["doctor", "--json"], ["inspect", path], ["list"], ["run", path, "a", "-n", "2", "--raw"]):
    try:
        cli.app(command, standalone_mode=False)
    except SystemExit:
        pass
if told == "asked":
    import contextlib, socket
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 1), timeout=1)
print(json.dumps(seen))
"""
# Everything that the packages have is imported, except what the tab's interpreter alone can import.
IMPORT = """
import importlib, pkgutil, gemel, gemel_native, gemel_web
n = 0
for package in (gemel, gemel_native, gemel_web):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".static" in found.name or found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
            n += 1
        except ImportError as error:
            if (error.name or "").split(".")[0] not in ("js", "pyodide", "pyodide_js", "_pyodide_core"):
                raise
print(json.dumps([n, seen]))
"""
SERVE = """
import os, signal, threading
from gemel_native import cli
from gemel_native.serving import server
given = server.listen
def listen(*arguments):
    made = given(*arguments)
    threading.Thread(target=ask, args=(made.getsockname()[1],)).start()
    return made
def ask(port):   # another process, whose connection is not among what the server opens
    import subprocess
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    program = f"import sys, httpx; print(httpx.post(sys.argv[1], json={body}, timeout=60).status_code)"
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True)
    print(json.dumps([port, done.stdout.strip(), seen]), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
server.listen = listen
cli.app(["serve", sys.argv[1], "--port", "0", "--threads", "1"], standalone_mode=False)
"""


def run(program: str, folder: Path, *arguments: object) -> Any:  # noqa: ANN401
    """Return what a process prints last, whose audit hook notes what Python does with the network."""
    env = {**os.environ, "GEMEL_CACHE": str(folder / "cache")}
    command = [sys.executable, "-W", "ignore", "-c", HOOK + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert lines, done.stderr
    return json.loads(lines[-1])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tiny.tiny_llama(path, chat_template=template)
    return path


def test_a_local_file_is_used_without_the_network(file: Path, tmp_path: Path) -> None:
    assert run(USE, tmp_path, file, "nothing") == []


def test_the_hook_sees_a_connection(file: Path, tmp_path: Path) -> None:
    assert "socket.connect" in [event for event, _ in run(USE, tmp_path, file, "asked")]


def test_importing_every_module_opens_nothing(tmp_path: Path) -> None:
    n, seen = run(IMPORT, tmp_path)
    assert n > 150
    assert seen == []


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't send itself Ctrl-C there")
def test_a_server_opens_only_the_socket_that_it_listens_on(file: Path, tmp_path: Path) -> None:
    port, status, seen = run(SERVE, tmp_path, file)
    assert status == "200"
    assert {event for event, _ in seen} <= {"socket.bind", "socket.getaddrinfo", "socket.getnameinfo"}
    bound = [arguments for event, arguments in seen if event == "socket.bind"]
    assert bound == [[["127.0.0.1", 0]]]
    assert [arguments for event, arguments in seen if event != "socket.bind" and arguments[0] != "127.0.0.1"] == []
    assert port > 0
