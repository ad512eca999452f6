"""No connection is opened, and no name looked up, unless it was asked for (SECURITY.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import tiny

PROGRAM = """
import json, sys
seen = []
NETWORK = ("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.")
def note(event, args):
    if event.startswith(NETWORK) and event != "socket.__new__":   # asyncio makes a pair, which talks to itself
        seen.append(event)
sys.addaudithook(note)
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


def events(folder: Path, told: str) -> list[str]:
    """Return the network events of Python's audit hooks in a process that opens a file and uses it in many ways."""
    path = folder / "tiny.gguf"
    tiny.tiny_llama(path)
    env = {**os.environ, "GEMEL_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), told], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_local_file_is_used_without_the_network(tmp_path: Path) -> None:
    assert events(tmp_path, "nothing") == []


def test_the_hook_sees_a_connection(tmp_path: Path) -> None:
    assert "socket.connect" in events(tmp_path, "asked")
