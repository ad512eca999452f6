"""The terminal's line editor for `gemel chat`: Tab completes commands and paths, and earlier prompts come back."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

from .output import say_warning

MOST = 1000   # prompts that are kept
OF_FILES = ("/save ", "/load ")


def completions(line: str, commands: Sequence[str]) -> list[str]:
    """Return the lines that a line may become: a command's name, or a path after a command that takes one.

    >>> completions("/l", ["/load", "/save"])
    ['/load']
    """
    if line.startswith(OF_FILES):
        command, _, path = line.partition(" ")
        found = sorted(glob.glob(glob.escape(os.path.expanduser(path.lstrip())) + "*"))   # noqa: PTH111, PTH207
        return [f"{command} {one}{'/' if Path(one).is_dir() else ''}" for one in found]
    return [name for name in commands if name.startswith(line)] if line.startswith("/") else []


def history_file() -> Path:
    """Return where prompts are kept: a file that only its owner may read."""
    return Path(platformdirs.user_state_dir("gemel", appauthor=False)) / "chat_history"


class LineEditor:
    """readline, where Python has it. A context manager: it keeps the prompts at the end."""

    def __init__(self, commands: Sequence[str], *, keeps: bool = True) -> None:
        self._commands = commands
        self._keeps = keeps

    def __enter__(self) -> LineEditor:
        try:
            import readline
        except ImportError:   # Windows has its own
            return self
        found: list[str] = []

        def complete(line: str, state: int) -> str | None:
            if state == 0:
                found[:] = completions(line, self._commands)
            return found[state] if state < len(found) else None

        readline.set_completer_delims("")
        readline.set_completer(complete)
        is_libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
        if self._keeps:
            self._keeps = False   # what can't be read is not written over
            with _reported("read"):
                if history_file().exists():
                    readline.read_history_file(history_file())
                self._keeps = True
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._keeps:
            return
        with contextlib.suppress(ImportError), _reported("kept"):
            import readline

            path = history_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.set_history_length(MOST)
            readline.write_history_file(path)


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """Say why prompts can't be read or kept, such as a full disk; the chat does not need them."""
    try:
        yield
    except OSError as error:
        say_warning(f"prompts can't be {what}: {history_file()}: {error.strerror}; --no-history does without")
