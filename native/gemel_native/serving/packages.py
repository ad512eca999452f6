"""Checks that the packages of the extra `serve` are installed."""

from __future__ import annotations

import importlib

import gemel

NEEDED = ("uvicorn", "pydantic_settings", "gemel_web")   # gemel_web needs starlette and msgspec


def check_packages(command: str) -> None:
    """Raise GemelError, with the command that installs them, if packages are missing."""
    try:
        for name in NEEDED:
            importlib.import_module(name)
    except ImportError as error:
        raise gemel.GemelError(f"gemel {command} needs more packages ({error}): pip install 'gemel[serve]'") from error
