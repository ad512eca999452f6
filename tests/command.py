"""The command line as tests use it: in this process, or as a process that finds the same packages."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemel_native import cli
from typer.testing import CliRunner

CACHE = Path(__file__).resolve().parents[1] / "build" / "pycache"
PROGRAM = [sys.executable, "-c", "from gemel_native.cli import main; main()"]


@dataclass
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def gemel_(*arguments: object, stdin: str | bytes = "") -> Result:
    """Run the command line in this process."""
    done = CliRunner().invoke(cli.app, [str(one) for one in arguments], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout, done.stderr)


def environment(**more: str) -> dict[str, str]:
    """Return what a separate process needs to find the same packages.

    Bytecode is kept between them, whatever PYTHONDONTWRITEBYTECODE says: compiling is a third of a process's time.
    """
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(CACHE)}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **kept, **more}


def assert_error(result: Result, code: int, *words: str) -> None:
    """Assert one line `error: ...` with all the words, nothing on stdout."""
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    for word in words:
        assert word in result.err
