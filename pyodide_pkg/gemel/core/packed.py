"""Where this package's modules are. A tab's wheel has most in one file: together they compress better than apart."""

from __future__ import annotations

import os
from pathlib import Path

from .shared import FOLDER

PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]   # what the paths of all modules begin with


def folders() -> list[str]:
    """Return where else Python finds this package's modules: what was in _core/python.zip, if the wheel has it.

    It is unpacked once: from an archive, the imports of a tab take 0.7 s instead of 0.4 s.
    """
    file, unpacked = FOLDER / "python.zip", FOLDER / "python"
    if not file.is_file():
        return []
    try:
        if not unpacked.is_dir():
            _unpack(file, unpacked)
    except OSError:   # nothing can be written here
        return [f"{file}/gemel"]
    return [f"{unpacked}/gemel"]


def _unpack(file: Path, folder: Path) -> None:
    """Unpack an archive; another process may do so as well."""
    import shutil
    import zipfile

    made = folder.with_name(f"python.{os.getpid()}")
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(made)
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not folder.is_dir():
            raise
