"""FILE.gz beside FILE: the same bytes, compressed when the page was made, for clients that take gzip."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x1f\x8b"
TAIL = struct.Struct("<I")   # the size of what is compressed, modulo 2 ** 32
QUALITY = re.compile(r"(?:^|,)\s*(gzip|x-gzip|\*)\s*(?:;\s*q=([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)


def takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding allows gzip.

    >>> takes_gzip("br, gzip"), takes_gzip("gzip;q=0, *"), takes_gzip("*;q=0.5"), takes_gzip("")
    (True, False, True, False)
    """
    found = {name.lower(): _positive(quality) for name, quality in QUALITY.findall(accepted)}
    return found.get("gzip", found.get("x-gzip", found.get("*", False)))


def _positive(quality: str) -> bool:
    try:
        return float(quality or 1) > 0
    except ValueError:
        return False


def open_packed(folder: Path, path: Path, size: int) -> BinaryIO | None:
    """Open FILE.gz beside a file of `size` bytes inside the folder; None if there is none, or it is another file's."""
    try:
        real = path.with_name(f"{path.name}.gz").resolve(strict=True)
        if not real.is_relative_to(folder) or not real.is_file():
            return None
        file = real.open("rb")
    except (OSError, ValueError):
        return None
    if _is_of(file, size):
        return file
    file.close()
    return None


def _is_of(file: BinaryIO, size: int) -> bool:
    """Tell whether a file is gzip's of so many bytes; go back to its beginning."""
    if os.fstat(file.fileno()).st_size < 18 or file.read(2) != MAGIC:
        return False
    file.seek(-TAIL.size, os.SEEK_END)
    (unpacked,) = TAIL.unpack(file.read(TAIL.size))
    file.seek(0)
    return bool(unpacked == size % 2**32)
