"""What a person at a terminal sees: lines end at words, a table fits 80 columns, Tab completes, Ctrl-C stops."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from gemel_native import bench, line_editor
from gemel_native.line_editor import LineEditor, completions
from gemel_native.stopping import stoppable
from gemel_native.wrap import Wrap

COMMANDS = ["/help", "/load", "/save"]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="readline, and signals to a process")


def wrapped(text: str, width: int, size: int) -> str:
    wrap = Wrap(lambda: width)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return "".join(map(wrap.feed, pieces)) + wrap.end()


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three", "one two\nthree"),
        ("one two  three", "one two\nthree"),
        ("  in\n\n  dented text ", "  in\n\n  dented\ntext "),
        ("a verylongword b", "a\nverylongword b"),
        ("中文中文中文", "中文中文\n中文"),
        ("e\u0301" * 3 + " " + "e\u0301" * 4 + " x", "e\u0301" * 3 + " " + "e\u0301" * 4 + "\nx"),
    ],
)
def test_lines_end_at_words_however_the_text_comes(text: str, shown: str, size: int) -> None:
    assert wrapped(text, 8, size) == shown


def test_commands_and_paths_are_completed(tmp_path: Path) -> None:
    (tmp_path / "a talk.json").touch()
    (tmp_path / "talks").mkdir()
    assert completions("/", COMMANDS) == COMMANDS
    assert completions("/sa", COMMANDS) == ["/save"]
    assert completions("what", COMMANDS) == []
    assert completions(f"/load {tmp_path}/a", COMMANDS) == [f"/load {tmp_path}/a talk.json"]
    assert completions(f"/save {tmp_path}/t", COMMANDS) == [f"/save {tmp_path}/talks/"]


@POSIX
def test_prompts_are_kept_for_their_owner_only_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readline: Any = pytest.importorskip("readline")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = line_editor.history_file()
    with LineEditor(COMMANDS, keeps=False):
        readline.add_history("a secret")
    assert not path.exists()
    readline.clear_history()
    with LineEditor(COMMANDS):
        readline.add_history("hello")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    readline.clear_history()
    with LineEditor(COMMANDS):
        assert readline.get_history_item(1) == "hello"
    readline.clear_history()


@POSIX
@pytest.mark.parametrize("what", ["read", "kept"])
def test_prompts_that_cannot_be_read_or_kept_are_said(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("readline")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = line_editor.history_file()
    if what == "read":
        path.mkdir(parents=True)
    else:
        (tmp_path / "state").touch()
    with LineEditor(COMMANDS):
        pass
    said = capsys.readouterr().err
    assert said.startswith(f"warning: prompts can't be {what}: {path}: ")
    assert said.count("\n") == 1


@POSIX
def test_ctrl_c_reaches_a_generation_that_the_core_computes() -> None:
    class Generation:
        closed = threading.Event()

        def close(self) -> None:
            self.closed.set()

    before = signal.signal(signal.SIGINT, lambda *_: None)   # as if Python had no turn to handle it
    try:
        with stoppable(Generation()):   # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGINT)
            assert Generation.closed.wait(60)
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_table_of_bench_has_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"test": test, "n": 4096, "depth": depth, "threads": threads, "isa": isa, "tok_s": 12345.6, "min": 12345.6,
         "max": 12345.6, "reps": 5, "of_read": 0.999, "of_dot": 0.999}
        for test in ("prefill", "decode") for depth in (0, 16384) for threads in (1, 64)
        for isa in ("avx2", "avx512vnni")
    ]   # fmt: skip
    result = {
        "machine": {"cpu": "a CPU", "cores": 64, "system": "Linux"}, "limits": [], "load_s": 1.0, "peak_rss_mb": 1.0,
        "model": {"name": "m.gguf", "n_params": 10**9, "weight_size": 10**9}, "rows": rows,
    }  # fmt: skip
    bench.show(result)
    lines = capsys.readouterr().out.splitlines()
    assert "avx512vnni" in lines[-1]
    assert max(map(len, lines)) <= 80
    result["rows"] = rows[:1]
    bench.show(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].split(None, 1) == ["measured", "depth 0, threads 1, isa avx2, 5 measurements each"]
