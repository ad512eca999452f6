"""What is saved becomes a file, whole or not at all; and a file, or bytes, becomes what was saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from ..core.checks import path as checked_path
from ..core.checks import wrong_type
from ..core.errors import SourceError
from .sources import open_file

Saved: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file by another name first, so that an older one stays until the new one is complete."""
    target = Path(checked_path("path", path))
    fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        fresh.write_bytes(data)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def read_saved(saved: Saved) -> Any:  # noqa: ANN401
    """Return the bytes of a file, or bytes as they are. SourceError when the file can't be read."""
    if isinstance(saved, bytes | bytearray | memoryview) or hasattr(saved, "js_id"):
        return saved
    if not isinstance(saved, str | os.PathLike):
        raise wrong_type("saved", saved, "the bytes of save(), or a path")
    if not os.path.lexists(saved):
        raise SourceError(f"there is no file {os.fspath(saved)!r} in {Path.cwd()}: pass the path that save() wrote")
    source = open_file(Path(saved))
    try:
        return bytes(source.read(0, source.size)) if source.size else b""
    finally:
        source.close()
