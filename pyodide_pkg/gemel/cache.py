"""The folder of downloaded models: look into it, find a file, delete one.

    >>> import gemel
    >>> isinstance(gemel.cache.folder().name, str)
    True

One sub-folder a model, which holds the file and `entry.json` (the name it was fetched by, size, SHA-256, validator).
GEMEL_CACHE overrides the platform's cache folder.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import SourceError
from ._names import NAMES, part_names

__all__ = ["Entry", "delete", "entry_folder", "folder", "list", "path"]

ENTRY_FILE = "entry.json"


@dataclass(frozen=True)
class Entry:
    """One model in the cache."""

    name: str      # as it was asked for: a short name, a URL or an hf: address
    path: Path
    size: int      # bytes
    sha256: str    # of the whole file, hexadecimal


def folder() -> Path:
    """Return the folder, which may not exist yet: GEMEL_CACHE/models, or gemel/models in the platform's cache."""
    override = os.environ.get("GEMEL_CACHE")
    if override:
        return Path(override) / "models"
    if sys.platform == "emscripten":
        return Path.home() / ".cache" / "gemel" / "models"
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
    where = entry_folder(name_or_folder) if isinstance(name_or_folder, str) else name_or_folder
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
    """Return the complete models in the cache, by name."""
    try:
        folders = [where for where in folder().iterdir() if where.is_dir()]
    except OSError:
        return []
    return sorted(filter(None, map(read_entry, folders)), key=lambda entry: entry.name)


def path(name: str) -> Path | None:
    """Return the file that is cached for a short name, URL or hf: address, or None. Never downloads."""
    entry = read_entry(name)
    return None if entry is None else entry.path


def delete(name: str) -> int:
    """Delete what is cached for a name, unfinished downloads too; return the bytes freed.

    SourceError when nothing is cached under the name, or the system refuses (an open file on Windows).
    """
    where = entry_folder(name)
    if not where.is_dir():
        names = ", ".join(entry.name for entry in list()) or "nothing"
        raise SourceError(f"{name!r} is not in the cache {folder()}; it holds {names}")
    freed = sum(file.stat().st_size for file in where.iterdir() if file.is_file())
    try:
        shutil.rmtree(where)
    except OSError as error:
        raise SourceError(f"{where} can't be deleted: {error}") from error
    return freed
