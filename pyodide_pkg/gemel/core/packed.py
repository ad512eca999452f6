"""The modules of a tab's wheel, gemel and gemel_web, are in one compressed file: together they compress better.

They are imported from memory. What was compiled before (tab/kept_code.py) needs neither unpacking nor compiling.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from .errors import LibraryError

PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]   # what the paths of all modules begin with
FILE = Path(__file__).parents[1] / "_core" / "python.xz"

archive: Archive | None = None   # of this installation; a desktop has none


class Archive:
    """Finds and loads the modules of an archive, as importlib asks for them. LibraryError when it is damaged."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.packed = file.read_bytes()
        wheel = zlib.crc32(file.with_name("packed.xz").read_bytes(), zlib.crc32(self.packed))
        self.version = f"{wheel:08x}-{sys.hexversion:08x}"   # of the wheel, and of the Python that compiles it
        self.code: dict[str, CodeType] = {}    # by file, gemel/model/kv.py: what was compiled, here or before
        self._sources: dict[str, bytes] | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, or None."""
        file = self._file(name) if name.startswith(("gemel.", "gemel_web.")) else None
        if file is None:
            return None
        is_package = file.endswith("/__init__.py")
        spec = ModuleSpec(name, self, origin=self.path(file), is_package=is_package)   # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to importlib."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code in it."""
        assert module.__spec__ is not None
        exec(self.get_code(module.__spec__.name), module.__dict__)

    def get_code(self, name: str) -> CodeType:
        """Return a module's code."""
        file = self._there(name)
        if file not in self.code:
            self.code[file] = compile(self.sources()[file], self.path(file), "exec", dont_inherit=True)
        return self.code[file]

    def get_source(self, name: str) -> str:
        """Return a module's text, for tracebacks."""
        return self.sources()[self._there(name)].decode()

    def is_package(self, name: str) -> bool:
        """Tell whether a module is a package."""
        return self._there(name).endswith("/__init__.py")

    def path(self, file: str) -> str:
        """Return the path that a module's file would have if it was not packed."""
        return str(self.file.parents[2] / file)

    def sources(self) -> dict[str, bytes]:
        """Return the texts of all files; unpack them at the first call."""
        if self._sources is None:
            self._sources = _unpacked(self.packed, self.file)
        return self._sources

    def _there(self, name: str) -> str:
        file = self._file(name)
        if file is None:
            raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        return file

    def _file(self, name: str) -> str | None:
        """Return a module's file. It is unpacked only for what was not compiled before."""
        stem = name.replace(".", "/")
        files = (f"{stem}.py", f"{stem}/__init__.py")
        known = [file for file in files if file in self.code] or [file for file in files if file in self.sources()]
        return known[0] if known else None


def install() -> None:
    """Let Python find the modules of this installation's archive, if it has one."""
    global archive
    if FILE.is_file():
        archive = Archive(FILE)
        sys.meta_path.append(archive)


def _unpacked(packed: bytes, file: Path) -> dict[str, bytes]:
    import io
    import lzma
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed))) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    except (lzma.LZMAError, EOFError, zipfile.BadZipFile) as error:
        raise LibraryError(f"{file} can't be unpacked ({error}): reinstall gemel") from error
