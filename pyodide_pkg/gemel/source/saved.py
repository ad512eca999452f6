"""What is saved becomes a file, whole or not at all; and a file, or bytes, becomes what was saved."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from ..core.checks import path as checked_path
from ..core.checks import wrong_type
from .no_file import Use
from .sources import expanded, open_file

Saved: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file by another name first, so that an older one stays until the new one is complete."""
    target = expanded(os.fspath(checked_path("path", path)))
    fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        fresh.write_bytes(data)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def read_saved(saved: Saved, use: Use) -> Any:  # noqa: ANN401
    """Return the bytes of a file, or bytes as they are. SourceError when the file can't be read. use: what it holds."""
    if isinstance(saved, bytes | bytearray | memoryview) or hasattr(saved, "js_id"):
        return saved
    if not isinstance(saved, str | os.PathLike):
        raise wrong_type("saved", saved, "the bytes of save(), or a path")
    source = open_file(expanded(os.fspath(saved)), use)
    try:
        return bytes(source.read(0, source.size)) if source.size else b""
    finally:
        source.close()
