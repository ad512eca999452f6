"""Packages that a tab's wheel has in one file: together they compress better than one by one."""

from __future__ import annotations

from .shared import FOLDER


def folders() -> list[str]:
    """Return where else Python finds this package's modules: the inside of _core/python.zip, if the wheel has it."""
    file = FOLDER / "python.zip"
    return [f"{file}/gemel"] if file.is_file() else []
