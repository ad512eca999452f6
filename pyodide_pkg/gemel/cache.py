"""The folder of downloaded models: look into it, find a file, delete one.

    >>> import gemel
    >>> isinstance(gemel.cache.folder().name, str)
    True

One sub-folder a model, which holds the file and `entry.json` (the name it was fetched by, size, SHA-256, validator).
GEMEL_CACHE overrides the platform's cache folder. In a tab it is a folder of the origin's private file system, which
needs promises: await list_async() and delete_async(); list(), path() and delete() work where Python can wait (JSPI).
"""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ._errors import SourceError
from ._names import NAMES, part_names

__all__ = ["Entry", "delete", "delete_async", "entry_folder", "folder", "list", "list_async", "path", "persist_async"]

ENTRY_FILE = "entry.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One model in the cache."""

    name: str      # as it was asked for: a short name, a URL or an hf: address
    path: Path     # in a tab: the folder in the origin's private file system, which Python can't open
    size: int      # bytes in the cache
    sha256: str    # of the whole file, hexadecimal; "" in a tab, where each block has its own
    complete: bool = True   # False, in a tab only: a download that has not ended yet


def folder() -> Path:
    """Return the folder, which may not exist yet: GEMEL_CACHE/models, or gemel/models in the platform's cache."""
    override = os.environ.get("GEMEL_CACHE")
    if override:
        return Path(override) / "models"
    if sys.platform == "emscripten":
        return Path("gemel")
    import platformdirs

    return Path(platformdirs.user_cache_dir("gemel", appauthor=False)) / "models"


def entry_folder(name: str) -> Path:
    """Return the sub-folder of a name: readable, and unique by a hash of the name where it is an address."""
    if name in NAMES:
        return folder() / name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name.rsplit("/", 1)[-1])[:80].strip(".-") or "model"
    return folder() / f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def read_entry(name_or_folder: str | Path) -> Entry | None:
    """Return what is cached under a name, or None: nothing, or a file whose size is not what was written."""
    where = name_or_folder
    if isinstance(where, str):
        where = entry_folder(part_names(where)[0])
    try:
        note: dict[str, Any] = json.loads((where / ENTRY_FILE).read_text(encoding="utf-8"))
        file = where / Path(str(note["file"])).name
        sizes = [file.with_name(part).stat().st_size for part in part_names(file.name)]
        if sizes != note.get("sizes", [note["size"]]):
            return None
        return Entry(name=str(note["name"]), path=file, size=int(note["size"]), sha256=str(note["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def list() -> builtins.list[Entry]:
    """Return the complete models in the cache, by name; in a tab unfinished downloads as well."""
    if sys.platform == "emscripten":
        return _waited(list_async(), "list")
    try:
        folders = [where for where in folder().iterdir() if where.is_dir()]
    except OSError:
        return []
    return sorted(filter(None, map(read_entry, folders)), key=lambda entry: entry.name)


def path(name: str) -> Path | None:
    """Return the file that is cached for a short name, URL or hf: address, or None. Never downloads."""
    if sys.platform == "emscripten":
        from ._webcache import wanted

        return next((entry.path for entry in list() if entry.complete and wanted(entry.name, name)), None)
    entry = read_entry(name)
    return None if entry is None else entry.path


def delete(name: str) -> int:
    """Delete what is cached for a name, unfinished downloads too; return the bytes freed.

    SourceError when nothing is cached under the name, or the system refuses (an open file on Windows).
    """
    if sys.platform == "emscripten":
        return _waited(delete_async(name), "delete")
    where = entry_folder(part_names(name)[0])
    if not where.is_dir():
        raise missing(name, list())
    freed = sum(file.stat().st_size for file in where.iterdir() if file.is_file())
    try:
        shutil.rmtree(where)
    except OSError as error:
        raise SourceError(f"{where} can't be deleted: {error}") from error
    return freed


async def list_async() -> builtins.list[Entry]:
    """As list, on every host."""
    if sys.platform != "emscripten":
        return list()
    from ._webcache import entries

    return await entries()


async def delete_async(name: str) -> int:
    """As delete, on every host."""
    if sys.platform != "emscripten":
        return delete(name)
    from ._webcache import delete_entry

    return await delete_entry(name)


async def persist_async() -> bool:
    """Ask the browser to keep the cache when the disk gets full; return whether it will. Some browsers ask the user.

    Works on a page's main thread; in a worker it only tells. On a desktop nobody clears the cache: True.
    """
    if sys.platform != "emscripten":
        return True
    from ._webcache import persist

    return await persist()


def missing(name: str, held: builtins.list[Entry]) -> SourceError:
    """Return the error for a name that is not in the cache."""
    names = ", ".join(entry.name for entry in held) or "nothing"
    return SourceError(f"{name!r} is not in the cache {folder()}; it holds {names}")


def _waited(coroutine: Coroutine[Any, Any, T], name: str) -> T:
    """Wait for what a tab has as a promise only."""
    from ._web import can_wait, wait_for

    if not can_wait():
        coroutine.close()
        raise SourceError(f"gemel.cache.{name}() can't wait here: await gemel.cache.{name}_async()")
    return wait_for(coroutine)
