"""Writes a wheel from its files: sorted, with a RECORD, and nothing of the clock or the umask."""

import csv
import io
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))

from backend import entry, record_line


def about(tags: Iterable[str], *, generator: str, pure: bool) -> bytes:
    """Return the file WHEEL."""
    lines = ["Wheel-Version: 1.0", f"Generator: {generator}", f"Root-Is-Purelib: {str(pure).lower()}"]
    return "".join(f"{line}\n" for line in [*lines, *(f"Tag: {tag}" for tag in tags)]).encode()


def write_wheel(files: dict[str, bytes], tag: str, out: Path) -> Path:
    """Write the wheel NAME-VERSION-TAG.whl into `out`, and return its path. RECORD is made here."""
    folder = next(name for name in files if name.endswith(".dist-info/WHEEL")).removesuffix("WHEEL")
    record = f"{folder}RECORD"
    kept = {name: files[name] for name in sorted(files) if name != record}
    rows = io.StringIO()
    listed = [record_line(*item) for item in kept.items()]
    csv.writer(rows, lineterminator="\n").writerows([*listed, (record, "", "")])
    kept[record] = rows.getvalue().encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{folder.removesuffix('.dist-info/')}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as new:
        for name in sorted(kept, key=lambda name: (name.startswith(folder), name)):
            new.writestr(entry(name, zipfile.ZIP_DEFLATED), kept[name], compresslevel=9)
    return wheel
