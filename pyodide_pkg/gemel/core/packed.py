"""Where this package's modules are. A tab's wheel has most in one file: together they compress better than apart."""

from __future__ import annotations

from pathlib import Path

from .shared import FOLDER

PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]   # what the paths of all modules begin with


def folders() -> list[str]:
    """Return where else Python finds this package's modules: the inside of _core/python.zip, if the wheel has it."""
    file = FOLDER / "python.zip"
    return [f"{file}/gemel"] if file.is_file() else []
