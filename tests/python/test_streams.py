"""Processes whose stdin, stdout or stderr is closed, full, or a pipe that nobody reads: one line or nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
import pytest
from command import PROGRAM, environment
from conftest import tiny_bytes
from gemel_native import cli

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the shell's redirections are POSIX's"),
    pytest.mark.long,   # many processes
]

CLOSED, FULL, GONE = "closed", "full", "gone"   # GONE: a pipe without a reader
SHELL = {CLOSED: "{}>&-", FULL: "{}>/dev/full", "unreadable": "{}>/dev/null"}   # redirections
ANSWER = ("run", "{file}", "hello", "--raw", "--max-tokens", "3", "--temperature", "0")
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ANSWER,
    "run --json": (*ANSWER, "--json"),
    "chat": ("chat", "{file}", "--max-tokens", "3", "--temperature", "0"),
    "bench": ("bench", "{file}", "--prefill", "8", "--decode", "4", "--reps", "1"),
    "inspect": ("inspect", "{file}"),
    "tokenize": ("tokenize", "{file}", "hello"),
    "score": ("score", "{file}", "{text}"),
    "doctor": ("doctor",),
    "list": ("list", "--json"),
    "pull": ("pull", "nonsense"),
    "rm": ("rm", "nonsense"),
    "serve": ("serve", "{file}", "--port", "nonsense"),
    "demo": ("demo", "{file}", "--port", "nonsense"),
    "plugin": ("nonsense",),
    "nothing": (),
    "--help": ("--help",),
    "--version": ("--version",),
    "run --help": ("run", "--help"),
}
FAIL = {"pull": 1, "rm": 1, "serve": 2, "demo": 2, "plugin": 2}   # commands that fail anyway, and print only that
USAGE = {"nothing": 2}   # what they end with after their output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template="{% for m in messages %}{{ m.content }}{% endfor %}"))
    (tmp_path / "text.txt").write_text("hello there, hello again")
    return path


class Run:
    """A command whose streams are spoilt: stdin, out, err say how. It runs until `end`."""

    def __init__(
        self, file: Path, arguments: tuple[str, ...], out: str | None = None, err: str | None = None, *,
        stdin: str | None = None, given: str = "",
    ) -> None:
        words = [word.format(file=file, text=file.with_name("text.txt")) for word in arguments]
        spoilt = [SHELL[how].format(n) for n, how in enumerate((stdin, out, err)) if how in SHELL]
        reading, gone = os.pipe()
        os.close(reading)
        self._given = given
        self.process = subprocess.Popen(
            ["sh", "-c", " ".join(['exec "$@"', *spoilt]), "sh", *PROGRAM, *words],
            env=environment(GEMEL_CACHE=str(file.parent / "cache")), cwd=file.parent, text=True, stdin=subprocess.PIPE,
            stdout=gone if out == GONE else subprocess.PIPE, stderr=gone if err == GONE else subprocess.PIPE,
        )
        os.close(gone)

    def end(self) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        out, err = self.process.communicate(self._given, timeout=120)
        return self.process.returncode, out or "", err or ""


@pytest.mark.parametrize("command", COMMANDS)
def test_stdout_that_fails_is_one_line_or_nothing(file: Path, command: str) -> None:
    """And with a stderr that fails too, the exit code alone tells."""
    cases = [(CLOSED, None), (FULL, CLOSED), (GONE, None)]
    runs = [(out, err, Run(file, COMMANDS[command], out, err, given="hi\n")) for out, err in cases]
    why = {CLOSED: "it is not open", FULL: "No space left on device"}
    for out, err, run in runs:
        code, printed, said = run.end()
        assert printed == ""
        if command in FAIL:
            assert code == FAIL[command]
            assert (said.startswith("error: "), said.count("\n")) == ((True, 1) if err is None else (False, 0))
            continue
        assert code == (cli.READER_GONE if out == GONE else 1)
        if err is None:
            said = "".join(line for line in said.splitlines(True) if not line.startswith("note"))
            assert said == (f"error: stdout can't be written: {why[out]}\n" if out in why else "")


@pytest.mark.parametrize("command", ["run", "chat", "score", "--version", "inspect", "nothing", "plugin"])
def test_what_cannot_be_said_on_stderr_keeps_nothing_from_stdout(file: Path, command: str) -> None:
    plain, *spoilt = (Run(file, COMMANDS[command], err=how, given="hi\n") for how in (None, CLOSED, FULL, GONE))
    code, out, _ = plain.end()
    assert [run.end() for run in spoilt] == [(code, out, "")] * 3


@pytest.mark.parametrize("out", [None, CLOSED, FULL, GONE])
def test_all_combinations(file: Path, out: str | None) -> None:
    """Of the three streams of `gemel run`: the answer where stdout takes it, one line where only stderr can."""
    code, answer, _ = Run(file, ANSWER).end()
    assert (code, answer[-1]) == (0, "\n")
    errs = (None, CLOSED, FULL, GONE)
    runs = [Run(file, ANSWER, out, err, stdin=CLOSED) for err in errs]
    for err, run in zip(errs, runs, strict=True):
        code, printed, said = run.end()
        assert code == (0 if out is None else cli.READER_GONE if out == GONE else 1)
        assert printed == (answer if out is None else "")
        assert said.count("\n") == (err is None and out != GONE)


@pytest.mark.parametrize("command", [
    ("run", "{file}"), ("run", "{file}", "-"), ("score", "{file}", "-"), ("chat", "{file}"),
    ("tokenize", "{file}", "-"),
])
def test_a_closed_stdin_is_an_empty_one(file: Path, command: tuple[str, ...]) -> None:
    empty, closed = Run(file, command), Run(file, command, stdin=CLOSED)
    code, out, err = closed.end()
    assert (code, out, err) == empty.end()
    assert "Traceback" not in err
    assert err.count("\n") <= 1


@pytest.mark.parametrize("err", [CLOSED, GONE])
def test_a_server_without_streams_serves(file: Path, err: str) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = Run(file, ("serve", "{file}", "--port", str(port), "--access-log", "--no-page"), CLOSED, err, stdin=CLOSED)
    try:
        answer = patiently(lambda: httpx.get(f"http://127.0.0.1:{port}/v1/models"), httpx.TransportError)
        assert answer.status_code == 200
        body = {"prompt": "a", "max_tokens": 2}
        assert httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60).status_code == 200
    finally:
        run.process.send_signal(signal.SIGINT)
        code, out, said = run.end()
    assert (code, out, said) == (cli.INTERRUPTED, "", "")


def patiently(ask: Callable[[], Any], error: type[Exception]) -> Any:  # noqa: ANN401
    """Return what a call returns, once it no longer raises `error`."""
    for _ in range(300):
        try:
            return ask()
        except error:
            time.sleep(0.2)
    return ask()


def test_a_stdin_that_cannot_be_read_is_one_line(file: Path) -> None:
    code, out, err = Run(file, ("run", "{file}"), stdin="unreadable").end()
    assert (code, out, err) == (1, "", "error: stdin can't be read: Bad file descriptor\n")
    code, out, err = Run(file, ("chat", "{file}"), stdin="unreadable").end()
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_non_blocking_stdout_gets_everything(file: Path) -> None:
    """Programs such as node leave their pipes non-blocking: a writer that is faster than the reader waits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [*PROGRAM, "tokenize", str(file), "a b " * 20_000, "--json"]
    with subprocess.Popen(command, env=environment(), stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            got = pipe.read()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert len(got) > 1 << 17
    assert got.endswith(b"]}\n")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-"])
def test_no_file_is_opened_as_a_standard_stream(file: Path, closed: str) -> None:
    """A model, or a download, whose number is 1 or 2 would get what is printed."""
    before = hashlib.sha256(file.read_bytes()).digest()
    program = "; ".join([
        "import os, sys", "from gemel_native import cli, run", "cli.prepare_streams()",
        "f = open(sys.argv[1], 'r+b')", "sys.stderr.write('spoilt'); sys.stderr.flush()",
        "os.write(2, b'spoilt')", "sys.exit(0 if f.fileno() > 2 else 3)",
    ])
    shell = f'exec "$@" {closed}'
    done = subprocess.run(["sh", "-c", shell, "sh", sys.executable, "-c", program, str(file)], env=environment(),
                          check=False, capture_output=True)   # fmt: skip
    assert done.returncode == 0
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_the_api_in_a_process_without_streams_leaves_the_file_as_it_was(file: Path) -> None:
    before = file.read_bytes()
    program = (
        "import gemel, sys, warnings\nm = gemel.open(sys.argv[1])\nprint('spoilt')\nwarnings.warn('spoilt')\n"
        "open(sys.argv[1] + '.txt', 'w').write(m.generate('a', max_tokens=3, temperature=0).read())"
    )
    shell = 'exec "$@" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", shell, "sh", sys.executable, "-c", program, str(file)], env=environment(), check=True)
    assert file.read_bytes() == before
    with gemel.open(file) as model:
        answer = model.generate("a", max_tokens=3, temperature=0).read()
    assert Path(f"{file}.txt").read_text() == answer
