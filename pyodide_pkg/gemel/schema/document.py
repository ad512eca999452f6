"""What callers pass, as plain JSON: dicts, lists, strings, bools, None, ints, and Decimals for all other numbers.

Whatever JSON or UTF-8 can't write is an error with its path. Numbers stay exact.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import refused
from .work import OverBudgetError, limited, spend

Document = dict[str, Any] | list[Any] | str | int | Decimal | bool | None
DEPTH_MAX = 200
NESTS_MAX = 500_000    # objects and lists of a document; one that several places share counts for each of them
DIGITS_MAX = 400       # of a number, written without an exponent: all those of a double


@dataclass(frozen=True)
class Read:
    """A schema that document() returned: it needs no copy and no check."""

    value: Document


def escaped(token: str) -> str:
    """Return a step of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1") if "~" in token or "/" in token else token


def document(value: object, *, root: str = "#") -> Any:  # noqa: ANN401
    """Return a JSON value that a caller passes; a schema may be JSON text, or Read. SchemaError: it is not JSON."""
    if isinstance(value, Read):
        return value.value
    if isinstance(value, str) and root == "#":
        try:
            value = json.loads(value, parse_float=_decimal, parse_constant=_decimal)
        except (ValueError, RecursionError) as error:
            raise refused("#", f"not valid JSON: {error}") from None
    try:
        with limited(NESTS_MAX):
            return _plain(value, root, 0)
    except OverBudgetError:
        raise refused(root, f"it has more than {NESTS_MAX} objects and lists: simplify or split it") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:   # the exponent has too many digits
        return Decimal("Infinity")


Path = tuple["Path | str", str | int]   # of a value in another one, whose path comes first


def _path_of(path: Path | str) -> str:
    steps = []
    while not isinstance(path, str):
        path, step = path
        steps.append(escaped(str(step)))
    return "/".join([path, *reversed(steps)])


def _plain(value: object, path: Path | str, depth: int) -> Document:
    if _is_plain(value):
        return value   # type: ignore[return-value]
    if depth > DEPTH_MAX:
        raise refused(_path_of(path)[:80] + "...", f"values are nested too deep: more than {DEPTH_MAX} deep")
    if type(value) is not dict and type(value) is not list:   # which most are: they need no other question
        if isinstance(value, str):
            return _text(value, path)
        if isinstance(value, int | float | Decimal):
            return _number(value, path)
    spend(1)
    if type(value) is dict or isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for name, one in value.items():
            if not isinstance(name, str):
                why = f"{type(name).__name__} {str(name)[:40]!r} is the name of a member: use a string"
                raise refused(_path_of(path), why)
            key = name if type(name) is str and name.isascii() else _text(name, path)
            found[key] = one if _is_plain(one) else _plain(one, (path, name), depth + 1)
        return found
    if isinstance(value, list | tuple):
        return [one if _is_plain(one) else _plain(one, (path, i), depth + 1) for i, one in enumerate(value)]
    raise refused(_path_of(path), f"{type(value).__name__} is not a type of JSON")


def _is_plain(value: object) -> bool:
    """Whether a value needs neither a copy nor a check."""
    return value.isascii() if type(value) is str else value is True or value is False or value is None


def _text(value: str, path: Path | str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise refused(_path_of(path), f"character {error.start} of a string is half of a surrogate pair") from None
    return str(value)


def _number(value: float | Decimal, path: Path | str) -> int | Decimal:
    if isinstance(value, int):
        if value.bit_length() > 4 * DIGITS_MAX:
            raise refused(_path_of(path), f"a number has more than {DIGITS_MAX} digits")
        return int(value)
    found = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    if not found.is_finite():
        raise refused(_path_of(path), "a number is too large, infinite or not a number")
    digits, exponent = found.as_tuple().digits, int(found.as_tuple().exponent)
    if len(digits) > DIGITS_MAX or (any(digits) and abs(exponent) > DIGITS_MAX):
        raise refused(_path_of(path), f"a number has more than {DIGITS_MAX} digits")
    return found if any(digits) or abs(exponent) <= DIGITS_MAX else Decimal(0)


def as_decimal(value: int | Decimal) -> tuple[int, int]:
    """Return a number as (n, places): it is n times 10 ** places."""
    if isinstance(value, int):
        return value, 0
    sign, digits, exponent = value.as_tuple()
    n = int("".join(map(str, digits)))
    return -n if sign else n, int(exponent)


def same(value: Document) -> Hashable:
    """Return a key that two values share only if JSON schema takes them as equal: 1 is 1.0, but not true."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | Decimal):
        n, places = as_decimal(value)
        if n and not n % 10:
            digits = str(n)
            n = int(digits.rstrip("0"))
            places += len(digits) - len(str(n))
        return ("number", n, places if n else 0)
    if isinstance(value, list):
        return ("array", *map(same, value))
    return ("object", *((name, same(value[name])) for name in sorted(value)))
