"""Where this package's modules are. A tab's wheel has most in one file: together they compress better than apart."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from .errors import LibraryError
from .shared import FOLDER

PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]   # what the paths of all modules begin with


def folders() -> list[str]:
    """Return where else Python finds this package's modules: what was in _core/python.xz, if the wheel has it.

    It is unpacked once: into _core/, or into a temporary folder where nothing can be written there. The folder's name
    has its checksum, so that a newer wheel in the same place finds its own. LibraryError when it is damaged.
    """
    file = FOLDER / "python.xz"
    if not file.is_file():
        return []
    packed = file.read_bytes()
    unpacked = FOLDER / f"python-{zlib.crc32(packed):08x}"
    try:
        if not unpacked.is_dir():
            _unpack(packed, unpacked)
    except OSError:   # nothing can be written here
        import tempfile

        unpacked = Path(tempfile.mkdtemp()) / unpacked.name
        _unpack(packed, unpacked)
    return [f"{unpacked}/gemel"]


def _unpack(packed: bytes, folder: Path) -> None:
    """Unpack a compressed archive; another process may do so as well."""
    import io
    import lzma
    import shutil
    import zipfile

    made = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed))) as archive:
            archive.extractall(made)
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not folder.is_dir():
            raise
    except (lzma.LZMAError, zipfile.BadZipFile) as error:
        raise LibraryError(f"{FOLDER / 'python.xz'} can't be unpacked ({error}): reinstall gemel") from error
