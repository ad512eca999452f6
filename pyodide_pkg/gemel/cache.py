"""The cache of downloaded models: list them, find a file, delete one.

    >>> import gemel
    >>> isinstance(gemel.cache.folder().name, str)
    True

GEMEL_CACHE overrides the platform's cache folder. In a tab the cache is in the origin's private file system, which
needs promises: use list_async() and delete_async(). list(), path() and delete() work where Python can wait (JSPI).
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from .core.checks import text
from .core.errors import SourceError
from .core.public import publish
from .source import cached
from .source.cached import Entry, entry_folder, folder

__all__ = ["Entry", "delete", "delete_async", "entry_folder", "folder", "list", "list_async", "path", "persist_async"]
publish(__name__, ("Entry", "entry_folder", "folder"))   # the others are defined here

T = TypeVar("T")


def list() -> builtins.list[Entry]:
    """Return the complete models in the cache, by name; in a tab unfinished downloads as well."""
    return _waited(list_async(), "list") if sys.platform == "emscripten" else cached.list()


def path(name: str) -> Path | None:
    """Return the file that is cached for a short name, URL or hf: address, or None. Never downloads."""
    if sys.platform == "emscripten":
        from .tab.cache import wanted

        held = [entry for entry in list() if entry.complete]
        name = cached.spelled(text("name", name), lambda: [(entry.name, entry.size) for entry in held])
        return next((entry.path for entry in held if wanted(entry.name, name)), None)
    entry = cached.read_entry(text("name", name))
    return None if entry is None else entry.path


def delete(name: str) -> int:
    """Delete what is cached for a name, unfinished downloads too; return the bytes freed.

    SourceError when nothing is cached under the name, or when the system refuses (a file that is open on Windows).
    """
    return _waited(delete_async(name), "delete") if sys.platform == "emscripten" else cached.delete(name)


async def list_async() -> builtins.list[Entry]:
    """As list, on every host."""
    if sys.platform != "emscripten":
        return list()
    from .tab.cache import entries

    return await entries()


async def delete_async(name: str) -> int:
    """As delete, on every host."""
    if sys.platform != "emscripten":
        return delete(name)
    from .tab.cache import delete_entry

    return await delete_entry(name)


async def persist_async() -> bool:
    """Ask the browser to keep the cache when the disk gets full; return whether it will. Some browsers ask the user.

    A worker can't ask: there it returns whether the browser keeps the cache already. On a desktop it returns True.
    """
    if sys.platform != "emscripten":
        return True
    from .tab.cache import persist

    return await persist()


def _waited(coroutine: Coroutine[Any, Any, T], name: str) -> T:
    """Wait for a promise in synchronous code; SourceError where Python can't."""
    from .tab.waiting import can_wait, wait_for

    if not can_wait():
        coroutine.close()
        raise SourceError(f"gemel.cache.{name}() can't wait here: await gemel.cache.{name}_async()")
    return wait_for(coroutine)
