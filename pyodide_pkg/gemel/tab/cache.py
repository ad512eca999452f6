"""The cache of a tab, which engine/fetch/ fills: listing and deleting entries.

In the origin's private file system, gemel/<key>/ holds meta.json, the blocks in `<version>.data`, and what is known of
each in `<version>.table`; zeros mean that a block is missing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import SourceError
from ..source.cached import Entry, entry_folder, missing, spelled
from ..source.catalog import part_names

LAYOUT = 2   # of a folder; as in engine/fetch/store.js
ENTRY = 48   # bytes of a block in the table


@dataclass(frozen=True)
class _File:
    """One cached file: a model, or a part of one."""

    key: str
    name: str
    url: str
    size: int        # of the whole file; 0: unknown
    cached: int      # bytes of blocks


async def entries() -> list[Entry]:
    """Return what is cached; the parts of a split model are one entry."""
    found: dict[tuple[str, str], list[_File]] = {}
    async for file in _files():
        if not file.name:   # nothing was downloaded
            continue
        found.setdefault((file.name, part_names(file.url)[0]), []).append(file)
    return sorted((_entry(name, files) for (name, _), files in found.items()), key=lambda entry: entry.name)


def _entry(name: str, files: list[_File]) -> Entry:
    cached = sum(file.cached for file in files)
    whole = all(0 < file.size == file.cached for file in files) and len(files) == len(part_names(files[0].url))
    return Entry(name=name, path=Path("gemel") / files[0].key, size=cached, sha256="", complete=whole)


def wanted(held: str, name: str) -> bool:
    """Tell whether the entry of one name is the one that another name asks for."""
    return held in (name, part_names(name)[0])


async def delete_entry(name: str) -> int:
    """Delete what is cached for a name; return the bytes freed."""
    from pyodide.ffi import JsException  # type: ignore[import-not-found]

    held = [(entry.name, entry.size) for entry in await entries()]
    name = spelled(name, lambda: held)
    folder = await _folder()
    # Also by key: a deletion that was refused half-way has removed the names.
    keys = {entry_folder(part).name for part in part_names(name)}
    files = [file async for file in _files() if wanted(file.name, name) or file.url == name or file.key in keys]
    if not files:
        raise missing(name, await entries())
    for file in files:
        try:
            await folder.removeEntry(file.key, recursive=True)
        except JsException as error:
            raise SourceError(f"{name} can't be deleted during its download: stop it first ({error})") from error
    return sum(file.cached for file in files)


async def persist() -> bool:
    """Ask for storage that the browser does not clear, where a page may ask; return whether it is granted."""
    storage = _storage()
    if hasattr(storage, "persist"):
        return bool(await storage.persist())
    return bool(hasattr(storage, "persisted") and await storage.persisted())


def _storage() -> Any:  # noqa: ANN401
    import js  # type: ignore[import-not-found]

    storage = getattr(getattr(js, "navigator", None), "storage", None)
    if storage is None or not hasattr(storage, "getDirectory"):
        why = "this browser has none (OPFS)"
        if getattr(js, "origin", "") == "null":
            why = "a sandboxed frame without allow-same-origin may not store anything"
        elif not getattr(js, "isSecureContext", False):
            why = "it needs https: or localhost"
        raise SourceError(f"this page has no private file system, so nothing is cached: {why}")
    return storage


async def _folder() -> Any:  # noqa: ANN401
    from pyodide.ffi import JsException

    try:
        root = await _storage().getDirectory()
        return await root.getDirectoryHandle("gemel", create=True)
    except JsException as error:
        raise SourceError(f"the browser refuses its private file system ({error}): nothing is cached") from error


async def _files() -> AsyncIterator[_File]:
    folder = await _folder()
    async for key in folder.keys():
        yield await _file(await folder.getDirectoryHandle(key), key)


async def _file(folder: Any, key: str) -> _File:  # noqa: ANN401
    names = [name async for name in folder.keys()]   # noqa: SIM118
    if not names:
        return _File(key, "", "", 0, 0)
    try:
        handle = await folder.getFileHandle("meta.json")   # kept: Chromium never answers for one that was collected
        file = await handle.getFile()
        meta = json.loads(await file.text())
        size, block, version = int(meta["size"]), int(meta["block"]), str(meta["version"])
        name, url = str(meta["name"]), str(meta["url"])
        places = [(at, min(at + block, size)) for at in range(0, size, block)]
    except Exception:   # missing, or half-written: the entry can only be deleted
        return _File(key, key, "", 0, 0)
    table = await _read(folder, f"{version}.table") if meta.get("layout") == LAYOUT else b""
    length = await _size(folder, f"{version}.data")
    noted = [any(table[i * ENTRY : (i + 1) * ENTRY]) for i in range(len(places))]
    cached = sum(end - at for (at, end), is_noted in zip(places, noted, strict=True) if is_noted and end <= length)
    return _File(key, name, url, size, cached)


async def _read(folder: Any, name: str) -> bytes:  # noqa: ANN401
    try:
        handle = await folder.getFileHandle(name)   # kept, as above
        return bytes((await (await handle.getFile()).arrayBuffer()).to_bytes())
    except Exception:   # there are no blocks yet
        return b""


async def _size(folder: Any, name: str) -> int:  # noqa: ANN401
    try:
        handle = await folder.getFileHandle(name)   # kept, as above
        return int((await handle.getFile()).size)
    except Exception:   # there are no blocks yet, or no more
        return 0
