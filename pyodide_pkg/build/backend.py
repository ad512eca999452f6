"""The project's build backend: scikit-build-core, and what a tab has no use for is left out of its wheels.

A wheel for WebAssembly has no commands (gemel_native stays at home), its compression is the best that zip has, and
equal sources give equal bytes. pyproject.toml says which files and which CMake project such a wheel is made of.
"""

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from scikit_build_core import build as scikit
from scikit_build_core.build import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
]

MOMENT = (1980, 1, 1, 0, 0, 0)   # the first that a zip file can name
DESKTOP = ("entry_points.txt",)  # of the .dist-info folder


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel as scikit-build-core does; one for WebAssembly is written again, fit for a tab."""
    name = scikit.build_wheel(wheel_directory, config_settings, metadata_directory)
    if name.endswith("wasm32.whl"):
        rewrite(Path(wheel_directory) / name)
    return name


def record_line(name: str, data: bytes) -> tuple[str, str, int]:
    """Return a file's line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return name, f"sha256={digest}", len(data)


def rewrite(wheel: Path) -> None:
    """Write a wheel anew: sorted, without the desktop's files, compressed best, nothing of the clock or the umask."""
    with zipfile.ZipFile(wheel) as old:
        files = {name: old.read(name) for name in old.namelist() if not name.endswith("/")}
    record = next(name for name in files if name.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("RECORD")
    kept = {name: files[name] for name in sorted(files) if name not in {record, *(folder + one for one in DESKTOP)}}
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([*(record_line(*item) for item in kept.items()), (record, "", "")])
    kept[record] = lines.getvalue().encode()
    with zipfile.ZipFile(wheel, "w") as new:
        for name, data in kept.items():
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            new.writestr(entry, data, compresslevel=9)
