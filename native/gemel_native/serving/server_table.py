"""The table [server] of a settings file: the options of `gemel serve`, by their names with underscores.

    [server]
    models = ["smollm2-135m-instruct"]   # paths here are relative to the file
    port = 8090
    keys = "keys.json"
    max_memory = "12GB"

Options of the command line come first, then the environment, then this table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gemel
from gemel import KV_TYPES
from gemel_web.http.validation import nearest

from .entry import is_address
from .lines import Path as Place
from .settings import PREFIX, Settings

LATER = ("models", "models_dir", "keep_alive")   # what a reload reads again
PATHS = ("models_dir", "keys", "ssl_certfile", "ssl_keyfile")


def is_text(value: object) -> bool:
    """Tell whether a value is a text with characters."""
    return isinstance(value, str) and bool(value)


def is_texts(value: object) -> bool:
    """Tell whether a value is a list of such texts."""
    return isinstance(value, list) and all(map(is_text, value))


def is_count(value: object) -> bool:
    """Tell whether a value is an integer of at least 1."""
    return type(value) is int and value >= 1


OWN: dict[str, tuple[Callable[[object], bool], str]] = {   # the keys that are no fields of Settings
    "models": (is_texts, "a list of paths, addresses or short names"), "alias": (is_text, "a name"),
    "models_dir": (is_text, "the path of a folder"), "page": (lambda value: type(value) is bool, "true or false"),
    "max_memory": (lambda value: is_text(value) or is_count(value), "a size, such as \"12GB\""),
    "keep_alive": (lambda value: is_text(value) or type(value) in (int, float), "a time, such as \"10m\""),
    "threads": (is_count, "an integer of at least 1"), "ctx": (is_count, "an integer of at least 1"),
    "isa": (is_text, "an instruction set"),
    "kv_type": (lambda value: value in KV_TYPES, "one of " + ", ".join(KV_TYPES)),
    "draft": (lambda value: value is False or is_text(value), "a path, an address, a short name or false"),
}  # fmt: skip
KNOWN = (*OWN, *Settings.model_fields)
Error = Callable[[Place, str], gemel.ArgumentError]   # makes the error for a place of the file


class ServerTable:
    """What the file says of the server. folder: of the file."""

    def __init__(self, folder: Path, table: Mapping[str, Any], error: Error) -> None:
        self._error = error
        for key, value in table.items():
            if key not in KNOWN:
                meant = nearest(key, KNOWN) or f"; known: {', '.join(KNOWN)}"
                raise error(("server", key), f"there is no such key{meant}")
            if key in OWN and not OWN[key][0](value):
                raise error(("server", key), f"{value!r:.100} is not {OWN[key][1]}")
        self._values = {key: _placed(folder, key, value) for key, value in table.items()}

    def under(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return options with the file's value where one is None."""
        return {name: self._values.get(name) if value is None else value for name, value in given.items()}

    def fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of fields of Settings that neither options nor the environment set."""
        set_there = {name.upper() for name in os.environ}
        return {
            name: value for name, value in self._values.items()
            if name in Settings.model_fields and given.get(name) is None and PREFIX + name.upper() not in set_there
        }  # fmt: skip

    def error(self, key: str, why: str) -> gemel.ArgumentError:
        """Return the error for a key."""
        return self._error(("server", key), why)

    def unlike(self, other: ServerTable) -> list[str]:
        """Return the keys whose values differ, and count only after a restart."""
        keys = {**self._values, **other._values}
        return [key for key in keys if key not in LATER and self._values.get(key) != other._values.get(key)]


def _placed(folder: Path, key: str, value: Any) -> Any:  # noqa: ANN401
    """Return a value whose paths are relative to the file as ones of this process."""
    if key in PATHS:
        return folder / Path(value).expanduser() if isinstance(value, str) else value
    if key == "models":
        return [_model(folder, one) for one in value]
    return _model(folder, value) if key == "draft" and value else value


def _model(folder: Path, given: str) -> str:
    return given if is_address(given) else str(folder / Path(given).expanduser())
