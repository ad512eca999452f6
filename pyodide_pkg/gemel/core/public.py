"""Public things show the name that users import them by: gemel.Model, whichever file defines it."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable
from types import ModuleType
from typing import Any, TypeVar

PACKAGE = "gemel"
FOR_TYPES = re.compile(r"^if TYPE_CHECKING:.*\n((?: +.*\n)+)", re.MULTILINE)
Kind = TypeVar("Kind", bound="type[Any]")
_files: dict[str, str] = {}   # of public classes: name -> the module that defines it
_complete: set[str] = set()   # modules that have all types of their calls


def public(kind: Kind) -> Kind:
    """Show a class by the name that users import it by, however early its objects are seen."""
    _files[kind.__name__] = kind.__module__
    kind.__module__ = PACKAGE
    return kind


def prepared(value: Any) -> Any:  # noqa: ANN401
    """Return what a user names for the first time; typing.get_type_hints finds the types of a class or function."""
    if inspect.isclass(value):
        for base in value.__mro__:
            if _file(base).startswith(f"{PACKAGE}."):
                _import_types(_file(base))
        _note_types(value)
        value.__module__ = PACKAGE
    elif inspect.isfunction(value):
        if sys.platform != "emscripten":   # a tab imports what open() needs while it downloads
            _import_types(value.__module__)
        value.__module__ = PACKAGE
    return value


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


def _file(kind: type[Any]) -> str:
    """Return the module that defines a class."""
    return _files.get(kind.__name__, kind.__module__) if kind.__module__ == PACKAGE else kind.__module__


def _import_types(name: str) -> None:
    """Import what a module of gemel imports only for type checkers: modules that are not needed before."""
    module: ModuleType | None = sys.modules.get(name)
    if module is None or not hasattr(module, "TYPE_CHECKING") or name in _complete:
        return
    _complete.add(name)
    try:
        block = FOR_TYPES.search(inspect.getsource(module))
    except OSError:   # installed without sources
        return
    if block is not None:
        exec(textwrap.dedent(block[1]), vars(module))


def _note_types(kind: Any) -> None:  # noqa: ANN401
    """Replace the names in a class's annotations, which are looked up in its module, by what they mean there."""
    own = inspect.get_annotations(kind)
    names = vars(sys.modules[_file(kind)])
    if own:
        types = {name: eval(given, names) if isinstance(given, str) else given for name, given in own.items()}
        kind.__annotations__ = types   # what typing.get_type_hints would find
