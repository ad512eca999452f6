"""What callers pass as JSON becomes plain lists, dicts and scalars; what JSON can't hold is an error with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import shown
from .errors import ArgumentError, ArgumentTypeError

KINDS = ("string", "number", "boolean", "null", "array", "object")
DIGITS_MAX = 4000   # of an integer: Python writes up to 4300
BITS_MAX = 13287    # of such an integer


def json_value(value: object, where: str, *, depth_max: int, depth: int = 0) -> Any:  # noqa: ANN401
    """Return a value of JSON as json.loads would. where: its place.

    >>> json_value({"a": (1, None)}, "it", depth_max=9)
    {'a': [1, None]}
    """
    if depth > depth_max:
        raise ArgumentError(f"{where[:80]}: it is nested more than {depth_max} deep")
    if isinstance(value, str):
        return _text(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > BITS_MAX:
            raise ArgumentError(f"{where}: a number has more than {DIGITS_MAX} digits")
        return int(value)
    if isinstance(value, float) and value - value == 0:
        return float(value)
    if isinstance(value, Mapping):
        found = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ArgumentTypeError(f"{where}: the key {shown(key)} must be a string")
            place = f"{where}.{key}" if len(where) + len(key) < 200 else where
            found[_text(key, where)] = json_value(item, place, depth_max=depth_max, depth=depth + 1)
        return found
    if isinstance(value, list | tuple):
        return [json_value(item, f"{where}[{i}]", depth_max=depth_max, depth=depth + 1) for i, item in enumerate(value)]
    raise ArgumentTypeError(f"{where}: {shown(value)} is not a value of JSON")


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{where}: character {error.start} of a string is half of a surrogate pair") from None
    return str.__str__(value)   # of an Enum, too
