"""Attributes that are computed when they are first read: functools.cached_property without its lock and its checks.

A schema computes some thousands. Before Python 3.12, functools takes a lock for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class lazy(Generic[T]):   # noqa: N801   # a decorator
    """Decorates a method without arguments; its instances have a __dict__."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make, self.name, self.__doc__ = make, make.__name__, make.__doc__

    def __get__(self, instance: object, owner: type | None = None) -> T:
        """Compute it; from then on the instance has it."""
        found = instance.__dict__[self.name] = self.make(instance)
        return found
