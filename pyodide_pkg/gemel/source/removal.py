"""Errors about a cached file say how to be rid of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import FormatError, SourceError, UnsupportedError
from . import cached
from .sources import expanded


@contextmanager
def advised(model: object) -> Iterator[None]:
    """Add to an error about a file of the cache how to delete it. model: as the caller passed it to open."""
    try:
        yield
    except (FormatError, SourceError, UnsupportedError) as error:
        name = cached_name(model)
        if name is None:
            raise
        raise type(error)(f"{error}; {advice(name)}") from error


def advice(name: str) -> str:
    """Return how to delete a model from the cache."""
    if sys.platform == "emscripten":
        way = f"await gemel.cache.delete_async({name!r}), in JavaScript gemel.cache.delete with the same name"
    else:
        way = f"gemel rm {name}, or in Python gemel.cache.delete({name!r})"
    return f"if the server sent a wrong file: {way}, then open it again to download it again"


def cached_name(model: object) -> str | None:
    """Return the name of the model in the cache that a name, or a path into the cache, means; None for any other."""
    if not isinstance(model, str | os.PathLike) or sys.platform == "emscripten":
        return None
    try:
        entry = cached.read_entry(model) if isinstance(model, str) else None
        where = expanded(os.fspath(model)).resolve().parent
        if entry is None and where.parent == cached.folder().resolve():
            entry = cached.read_entry(where)
    except (SourceError, OSError, ValueError, TypeError):   # not a name, or not a path
        return None
    return None if entry is None else entry.name
