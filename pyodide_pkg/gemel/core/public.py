"""Public things show the name that users import them by: gemel.Model, whichever file defines it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from typing import Any

PACKAGE = "gemel"


def publish(module: str, names: Iterable[str]) -> None:
    """Set `__module__` of the classes and functions that a public module exports.

    The types of a class's attributes are names of the file that defines it, so they are noted with that file's names.
    """
    exported = vars(sys.modules[module])
    for name in names:
        value: Any = exported.get(name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if value.__module__.partition(".")[0] == PACKAGE and value.__module__ != module:
            if inspect.isclass(value):
                _note_types(value)
            value.__module__ = module


def _note_types(kind: Any) -> None:  # noqa: ANN401
    """Replace the names in a class's annotations, which are looked up in its module, by what they mean there."""
    own = inspect.get_annotations(kind)
    names = vars(sys.modules[kind.__module__])
    if own:
        types = {name: eval(given, names) if isinstance(given, str) else given for name, given in own.items()}
        kind.__annotations__ = types   # what typing.get_type_hints would find
