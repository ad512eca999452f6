"""Numbers as callers write them: Python's, and those of numpy and other libraries. bool is not a number."""

from __future__ import annotations

from numbers import Integral, Real


def whole(value: object) -> int | None:
    """Return an integer of any library as int; None for everything else.

    >>> whole(3), whole(True), whole(3.0), whole("3")
    (3, None, None, None)
    """
    if type(value) is int:   # nearly always
        return value
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return an integer or a decimal number of any library as int or float; None for everything else.

    >>> number(3), number(0.5), number(False), number("1")
    (3, 0.5, None, None)
    """
    if type(value) is float:
        return value
    found = whole(value)
    if found is not None:
        return found
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
