"""The project's build backend: scikit-build-core, and what a tab has no use for is left out of its wheels.

A wheel for WebAssembly has no commands (no gemel_native), and Python without comments (lean.py). Modules that few tabs
need are compressed as one file, which gemel/tab/assets.py reads. Equal sources give equal bytes. pyproject.toml says
which files and which CMake project such a wheel is made of.
"""

import base64
import csv
import hashlib
import io
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

from lean import lean
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
CORE = "gemel/_core/"
PLAIN = tuple(   # Python that finds the rest, or what was compiled of it before
    f"{name}.py" for name in (
        "gemel/__init__", "gemel/_open", "gemel/core/__init__", "gemel/core/abi", "gemel/core/errors",
        "gemel/core/packed", "gemel/core/public", "gemel/tab/__init__", "gemel/tab/kept_code", "gemel_web/__init__",
    )
)  # fmt: skip
# All modules: seven that are alike take little more room than two. In the order of need, since what lies behind a
# module is not unpacked for it.
PACKED = (
    "gemel_threads_relaxed.wasm", "gemel_threads_pairs.wasm", "libgemel_relaxed.wasm", "libgemel_pairs.wasm",
    "gemel_threads64_relaxed.wasm", "gemel_threads_simd128.wasm", "libgemel_simd128.wasm",
)   # fmt: skip


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


def pack(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return a wheel's files with the modules in packed.xz and their places in packed.json."""
    packed = [name for name in PACKED if CORE + name in files]
    contents, places = b"", {}
    for name in packed:
        places[name] = [len(contents), len(files[CORE + name])]
        contents += files[CORE + name]
    kept = {name: data for name, data in files.items() if name.removeprefix(CORE) not in packed}
    return {**kept, f"{CORE}packed.xz": compressed(contents), f"{CORE}packed.json": json.dumps(places).encode()}


def compressed(data: bytes) -> bytes:
    """Return bytes as an xz file. pb=0: neither code nor text has an alignment.

    dict_size: a tab's memory must hold as much to unpack it, and would keep 64 MB by default.
    """
    room = max(1 << 16, 1 << (len(data) - 1).bit_length())
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": room, "pb": 0}]
    return lzma.compress(data, filters=filters)


def pack_python(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return a wheel's files with their Python in python.xz: a zip file that is compressed as a whole."""
    packed = [name for name in sorted(files) if name.endswith(".py") and name not in PLAIN]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        for name in packed:
            inner.writestr(entry(name, zipfile.ZIP_STORED), files[name])
    kept = {name: data for name, data in files.items() if name not in packed}
    return {**kept, f"{CORE}python.xz": compressed(stream.getvalue())}


def entry(name: str, compression: int) -> zipfile.ZipInfo:
    """Return an entry of an archive with nothing of the clock or the umask."""
    entry = zipfile.ZipInfo(name, MOMENT)
    entry.compress_type = compression
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3
    return entry


def rewrite(wheel: Path) -> None:
    """Write a wheel again: sorted, packed, without the desktop's files, and nothing of the clock or the umask."""
    with zipfile.ZipFile(wheel) as old:
        files = pack({name: old.read(name) for name in old.namelist() if not name.endswith("/")})
    python = {name: lean(name, data.decode()).encode() for name, data in files.items() if name.endswith(".py")}
    files = pack_python(files | python)
    record = next(name for name in files if name.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("RECORD")
    kept = {name: files[name] for name in sorted(files) if name not in {record, *(folder + one for one in DESKTOP)}}
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([*(record_line(*item) for item in kept.items()), (record, "", "")])
    kept[record] = lines.getvalue().encode()
    with zipfile.ZipFile(wheel, "w") as new:
        for name, data in kept.items():
            new.writestr(entry(name, zipfile.ZIP_DEFLATED), data, compresslevel=9)
