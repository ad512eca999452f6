"""Commands of other packages: entry points of the group `gemel.commands`, loaded when they are named.

An entry point is a typer app, a typer command, or a function, which becomes a command. A function's parameter
`overrides: gemel.Overrides` becomes --override and the options for RoPE. A broken entry point is an error only when it
is used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any

import gemel
import typer
from typer.core import TyperCommand, TyperGroup

from .overrides import with_overrides

GROUP = "gemel.commands"


def found() -> dict[str, EntryPoint]:
    """Return the entry points by name; if several have one name, the first that Python finds."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        points.setdefault(point.name, point)
    return points


def command_of(point: EntryPoint) -> Any:  # noqa: ANN401  # a click command, of the click that typer brings
    """Load an entry point and return its command; if that fails, return a command that says why."""
    try:
        return as_command(point.load(), point.name)
    except Exception as error:   # whatever another package's import raises
        return as_command(_broken(point, error), point.name)


def as_command(loaded: object, name: str) -> Any:  # noqa: ANN401
    """Turn a loaded entry point into a command; raise TypeError if it can't be one."""
    if isinstance(loaded, typer.Typer):
        app = loaded
    elif isinstance(loaded, TyperCommand | TyperGroup):
        return loaded
    elif callable(loaded):
        app = typer.Typer(add_completion=False)
        app.command(name)(with_overrides(loaded) if "overrides" in signature(loaded).parameters else loaded)
    else:
        raise TypeError(f"it is a {type(loaded).__name__}, neither a typer app nor a function")
    command = typer.main.get_command(app)
    command.name = name
    return command


def source_of(point: EntryPoint) -> str:
    """Return the package of an entry point."""
    return point.dist.name if point.dist is not None else point.value


def _broken(point: EntryPoint, error: Exception) -> Callable[[], None]:
    reason = f"gemel {point.name}, which {source_of(point)} provides ({point.value}), can't be loaded"

    def command() -> None:
        raise gemel.GemelError(f"{reason}: {type(error).__name__}: {error}; reinstall {source_of(point)}") from error

    command.__doc__ = f"(not available: {type(error).__name__} while loading {point.value})"
    return command
