"""The work that compiling one schema, or checking one value, may take, in steps, so that no schema keeps a server busy.

What a cache remembers costs the same as what is made, once per schema: whether a schema compiles does not depend on
what was compiled before.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

STEPS_MAX = 1_500_000   # about half a second on the reference machine
P = ParamSpec("P")
T = TypeVar("T")


class OverBudgetError(Exception):
    """A schema, or the check of a value, takes more steps than it may."""


class Work:
    """The steps that a schema, or the check of a value, may still take."""

    def __init__(self, most: int = STEPS_MAX) -> None:
        self.left = most
        self.paid: dict[object, Any] = {}   # what it remembers itself: a cache may have dropped it since


_work: ContextVar[Work | None] = ContextVar("_work", default=None)


@contextmanager
def limited(most: int = STEPS_MAX) -> Iterator[Work]:
    """Limit the steps that the block may take."""
    work = Work(most)
    token = _work.set(work)
    try:
        yield work
    finally:
        _work.reset(token)


@contextmanager
def within(most: int = STEPS_MAX) -> Iterator[Work]:
    """Limit the steps that the block may take; they count in the block around it, too, if that is limited."""
    outer = _work.get()
    most = most if outer is None else min(most, outer.left)
    with limited(most) as work:
        try:
            yield work
        finally:
            if outer is not None:
                outer.left -= most - max(work.left, 0)


class _Collector:
    """Python's search for cyclic garbage, which waits while any block of uncollected() runs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_blocks, self.was_enabled = 0, False


_collector = _Collector()


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python not search for cyclic garbage during a block that makes many objects and needs them until its end.

    The search would take a fifth of the time, or more.
    """
    collector = _collector
    with collector.lock:
        if not collector.n_blocks:
            collector.was_enabled = gc.isenabled()
            gc.disable()
        collector.n_blocks += 1
    try:
        yield
    finally:
        with collector.lock:
            collector.n_blocks -= 1
            if not collector.n_blocks and collector.was_enabled:
                gc.enable()


def _after_fork_in_child() -> None:
    """Let Python search again: blocks of other threads never end here, and one may hold the lock."""
    global _collector
    if _collector.n_blocks and _collector.was_enabled:
        gc.enable()
    _collector = _Collector()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def spend(steps: int) -> None:
    """Count steps; raise OverBudgetError if they are too many. Outside of a block of limited(), nothing is counted."""
    work = _work.get()
    if work is not None:
        work.left -= steps
        if work.left < 0:
            raise OverBudgetError


def remembered(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the last 64 results, each with the steps that it took."""

    @lru_cache(64)
    def kept(*args: P.args, **named: P.kwargs) -> tuple[T, int]:
        outer = _work.get()
        with limited(outer.left if outer else STEPS_MAX) as work:
            before = work.left
            try:
                return make(*args, **named), before - work.left
            except Exception:
                if outer:   # what failed is not kept
                    outer.left = work.left
                raise

    @wraps(make)
    def made(*args: P.args, **named: P.kwargs) -> T:
        work = _work.get()
        key = (make, args, tuple(sorted(named.items())))
        if work is not None and key in work.paid:
            return work.paid[key]   # type: ignore[no-any-return]
        found, steps = kept(*args, **named)   # type: ignore[arg-type]   # a cache's arguments are hashable
        if work is not None:
            work.paid[key] = found
            spend(steps)
        return found

    return made
