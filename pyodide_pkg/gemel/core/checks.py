"""Arguments are checked by type: an error has the argument's name, its value and what it must be."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .errors import ArgumentError, ArgumentTypeError
from .scalars import number, whole

SHOWN = 60   # characters of a value in an error


def shown(value: object) -> str:
    """Return a value as errors show it: its repr, cut where it is long.

    >>> shown("0.7"), shown([1] * 99)[-9:]
    ("'0.7'", ' 1, 1,...')
    """
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def wrong_type(name: str, value: object, wanted: str) -> ArgumentTypeError:
    """Return the error for a value of the wrong type.

    >>> print(wrong_type("threads", "4", "an integer from 1 to 256"))
    threads='4' (str): must be an integer from 1 to 256
    """
    return ArgumentTypeError(f"{name}={shown(value)} ({type(value).__name__}): must be {wanted}")


def not_whole(name: str, value: object, wanted: str) -> ArgumentError:
    """Return the error for an integer that is missing or out of range."""
    if whole(value) is None:
        return wrong_type(name, value, wanted)
    return ArgumentError(f"{name}={value!r}: must be {wanted}")


def not_number(name: str, value: object, wanted: str) -> ArgumentError:
    """Return the error for a number that is missing or out of range."""
    if number(value) is None:
        return wrong_type(name, value, wanted)
    return ArgumentError(f"{name}={value!r}: must be {wanted}")


def flag(name: str, value: object) -> bool:
    """Return a bool, Python's or numpy's.

    >>> flag("special", True)
    True
    """
    if isinstance(value, bool):
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") == "b" and getattr(value, "ndim", 1) == 0:
        return bool(value)
    raise wrong_type(name, value, "True or False")


def text(name: str, value: object, wanted: str = "a string") -> str:
    """Return a str."""
    if not isinstance(value, str):
        raise wrong_type(name, value, wanted)
    return value


def text_or_none(name: str, value: object) -> str | None:
    """Return a str or None."""
    return None if value is None else text(name, value, "a string, or None")


def sequence(name: str, value: object, wanted: str) -> Sequence[object]:
    """Return a list, a tuple or another sequence, but not a text or bytes."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise wrong_type(name, value, wanted)
    return value


def path(name: str, value: object) -> str | os.PathLike[str]:
    """Return a path as it is."""
    if not isinstance(value, str | os.PathLike):
        raise wrong_type(name, value, "a path")
    return value


def callback(name: str, value: object) -> None:
    """Raise an error for what can't be called; None is no callback."""
    if value is not None and not callable(value):
        raise wrong_type(name, value, "a function, or None")


def integer(value: object, least: int, name: str, most: int | None = None) -> int:
    """Return an integer in a range. ArgumentError, or ArgumentTypeError, for anything else."""
    found = whole(value)
    if found is None or found < least or (most is not None and found > most):
        wanted = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"
        raise not_whole(name, value, wanted)
    return found
