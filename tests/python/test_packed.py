"""The modules of a tab's wheel, which are in one compressed archive and imported from memory."""

from __future__ import annotations

import inspect
import io
import lzma
import sys
import traceback
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import gemel
import pytest
from gemel.core import packed

FILES = {
    "gemel/zz_one.py": "x = 1\n",
    "gemel/zz_room/__init__.py": "from . import two\n",
    "gemel/zz_room/two.py": "def fail():\n    raise ValueError('two')\n",
}


def compressed(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return lzma.compress(stream.getvalue())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """An archive of FILES; what was imported from it is forgotten."""
    made = tmp_path / "site" / "gemel" / "_core" / "python.xz"
    made.parent.mkdir(parents=True)
    made.write_bytes(compressed(FILES))
    made.with_name("packed.xz").write_bytes(b"")
    before, finders = set(sys.modules), list(sys.meta_path)
    yield made
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]
    for name in ("zz_one", "zz_room"):
        vars(gemel).pop(name, None)


@pytest.fixture
def archive(file: Path) -> packed.Archive:
    """The archive, where Python looks."""
    made = packed.Archive(file)
    sys.meta_path.append(made)
    return made


def test_a_desktop_has_no_archive() -> None:
    assert packed.archive is None


def test_modules_and_packages_are_imported(archive: packed.Archive, file: Path) -> None:
    assert import_module("gemel.zz_one").x == 1
    room = import_module("gemel.zz_room")
    assert room.two.__name__ == "gemel.zz_room.two"
    assert room.__file__ == str(file.parents[2] / "gemel" / "zz_room" / "__init__.py")
    assert [archive.is_package(name) for name in ("gemel.zz_one", "gemel.zz_room")] == [False, True]
    with pytest.raises(ModuleNotFoundError, match="gemel.zz_three"):
        import_module("gemel.zz_three")
    assert archive.find_spec("json.zz_one") is None


def test_tracebacks_have_the_lines(archive: packed.Archive) -> None:
    two = import_module("gemel.zz_room.two")
    with pytest.raises(ValueError, match="two") as caught:
        two.fail()
    assert "raise ValueError('two')" in "".join(traceback.format_exception(caught.value))
    assert inspect.getsource(two) == FILES["gemel/zz_room/two.py"] == archive.get_source("gemel.zz_room.two")


def test_what_was_compiled_before_is_neither_unpacked_nor_compiled(archive: packed.Archive, file: Path) -> None:
    archive.get_code("gemel.zz_one")
    later = packed.Archive(file)
    later.code = {"gemel/zz_one.py": archive.code["gemel/zz_one.py"]}
    file.write_bytes(b"")   # it has been read
    later.packed = b"not an archive"
    sys.meta_path[-1] = later
    assert import_module("gemel.zz_one").x == 1
    with pytest.raises(gemel.LibraryError):
        import_module("gemel.zz_room")


def test_another_wheel_has_another_version(archive: packed.Archive, file: Path) -> None:
    file.with_name("packed.xz").write_bytes(b"other")
    versions = {archive.version, packed.Archive(file).version}
    file.write_bytes(compressed({}))
    assert len(versions | {packed.Archive(file).version}) == 3


def test_a_damaged_archive_is_an_error_that_names_it(file: Path) -> None:
    whole = file.read_bytes()
    for broken in (whole[:-8], whole[:40], b"PK" + whole, lzma.compress(b"no archive")):
        file.write_bytes(broken)
        with pytest.raises(gemel.LibraryError, match=r"python\.xz can't be unpacked .*reinstall gemel"):
            packed.Archive(file).sources()
