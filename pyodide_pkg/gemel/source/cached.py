"""The folder of downloaded models on this machine: where an entry is, what is in it, deleting it.

One sub-folder per model, which holds its files and `entry.json`: the name it was fetched by, sizes and SHA-256.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.checks import text
from ..core.errors import SourceError
from .catalog import CATALOG, part_names
from .hub_address import hub_address
from .paths import NAMES, filled_in, not_known, reachable

ENTRY_FILE = "entry.json"
GONE = ".gone-"   # a folder that is being deleted: no name of a model begins with a dot


@dataclass(frozen=True)
class Entry:
    """One model in the cache.

    Attributes:
        name: as it was asked for: a short name, a URL or an hf: address
        path: in a tab the folder in the origin's private file system, which Python can't open
        size: bytes in the cache
        sha256: of the whole file, hexadecimal; "" in a tab, where each block has its own
        complete: False, in a tab only: an unfinished download
    """

    name: str
    path: Path
    size: int
    sha256: str
    complete: bool = True


def folder() -> Path:
    """Return the folder, which may not exist yet: GEMEL_CACHE/models, or gemel/models in the platform's cache."""
    override = os.environ.get("GEMEL_CACHE")
    if override:
        return _override(override) / "models"
    if sys.platform == "emscripten":
        return Path("gemel")
    import platformdirs

    return reachable(Path(platformdirs.user_cache_dir("gemel", appauthor=False)) / "models")


def _override(given: str) -> Path:
    """Return GEMEL_CACHE with ~ and variables filled in; SourceError for a user or variable that does not exist."""
    path = filled_in(given)
    unknown = not_known(path)
    if unknown and not path.is_dir():
        raise SourceError(f"GEMEL_CACHE is {given!r}, but {unknown} does not exist: set it, or write the whole path")
    return path


def spelled(name: str, held: Callable[[], Iterable[tuple[str, int]]]) -> str:
    """Return the name under which the cache has what a name means; the name itself if it has not.

    held: returns (name, bytes) of the models in the cache.
    """
    address = hub_address(name)
    if address is None or address.file:
        return part_names(str(address or name))[0]
    from .repository import choose_held

    choice = choose_held(address, held(), "in the cache, ")
    return choice.name if choice else name


def entry_folder(name: str) -> Path:
    """Return the sub-folder of a name: readable, and unique by a hash of the name where it is an address."""
    if text("name", name) in CATALOG:
        return reachable(folder() / name, NAMES)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name.rsplit("/", 1)[-1])[:80].strip(".-") or "model"
    return reachable(folder() / f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:12]}", NAMES)


def read_entry(name_or_folder: str | Path) -> Entry | None:
    """Return what is cached under a name; None where nothing is, or where a file's size has changed."""
    where = name_or_folder
    if isinstance(where, str):
        where = entry_folder(spelled(where, held))
    where = reachable(where, NAMES)
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
    for where in folders:
        if where.name.startswith(GONE):   # a process was killed while it deleted this
            shutil.rmtree(where, ignore_errors=True)
    folders = [where for where in folders if not where.name.startswith(".")]
    return sorted(filter(None, map(read_entry, folders)), key=lambda entry: entry.name)


def held() -> builtins.list[tuple[str, int]]:
    """Return name and bytes of each complete model in the cache."""
    return [(entry.name, entry.size) for entry in list()]


def delete(name: str) -> int:
    """Delete what is cached for a name; return the bytes freed."""
    where = entry_folder(spelled(text("name", name), held))
    if not where.is_dir():
        raise missing(name, list())
    freed = sum(file.stat().st_size for file in where.iterdir() if file.is_file())
    try:
        gone = where.with_name(f"{GONE}{os.getpid()}-{where.name}")
        where.rename(gone)   # first: a folder is there or not, whenever this process is killed
        shutil.rmtree(gone)
    except OSError as error:
        raise SourceError(f"{where} can't be deleted: {error}") from error
    return freed


def missing(name: str, held: builtins.list[Entry]) -> SourceError:
    """Return the error for a name that is not in the cache."""
    names = ", ".join(entry.name for entry in held) or "nothing"
    return SourceError(f"{name!r} is not in the cache {folder()}; it holds {names}")
