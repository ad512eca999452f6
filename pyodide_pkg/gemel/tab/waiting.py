"""Synchronous Python waits for a promise, where the browser allows it (JSPI)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def can_wait() -> bool:
    """Tell whether this very call may wait for a promise."""
    from pyodide.ffi import can_run_sync  # type: ignore[import-not-found]

    return bool(can_run_sync())


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine in synchronous code."""
    from pyodide.ffi import run_sync

    result: T = run_sync(coroutine)
    return result
