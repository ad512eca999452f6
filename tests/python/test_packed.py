"""The modules of a tab's wheel, which are in one compressed archive."""

from __future__ import annotations

import io
import lzma
import zipfile
from pathlib import Path

import gemel
import pytest
from gemel.core import packed


def archive(text: str) -> bytes:
    """Return an archive of one module, compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("gemel/one.py", text)
    return lzma.compress(stream.getvalue())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder _core/ with an archive."""
    core = tmp_path / "_core"
    core.mkdir()
    (core / "python.xz").write_bytes(archive("x = 1\n"))
    monkeypatch.setattr(packed, "FOLDER", core)
    return core


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_desktop_has_no_archive() -> None:
    assert packed.folders() == []


def test_the_archive_is_unpacked_once(folder: Path) -> None:
    (found,) = packed.folders()
    module = Path(found, "one.py")
    assert module.parents[2] == folder
    assert module.read_text() == "x = 1\n"
    module.write_text("x = 2\n")
    assert packed.folders() == [found]
    assert module.read_text() == "x = 2\n"
    assert names(folder) == [module.parents[1].name, "python.xz"]


def test_another_archive_in_the_same_place_is_unpacked_too(folder: Path) -> None:
    before = packed.folders()
    (folder / "python.xz").write_bytes(archive("x = 3\n"))
    (found,) = packed.folders()
    assert [found] != before
    assert Path(found, "one.py").read_text() == "x = 3\n"


def test_where_nothing_can_be_written_the_archive_is_unpacked_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = zipfile.ZipFile.extractall

    def refuse(archive: zipfile.ZipFile, path: Path) -> None:
        if folder in path.parents:
            path.mkdir()
            raise OSError("read-only")
        extract(archive, path)

    monkeypatch.setattr(zipfile.ZipFile, "extractall", refuse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (found,) = packed.folders()
    assert Path(found).parents[2] == tmp_path
    assert Path(found, "one.py").read_text() == "x = 1\n"
    assert names(folder) == ["python.xz"]


def test_a_damaged_archive_is_an_error_that_names_it(folder: Path) -> None:
    whole = (folder / "python.xz").read_bytes()
    for broken in (whole[:-8], whole[:40], b"PK" + whole, lzma.compress(b"no archive")):
        (folder / "python.xz").write_bytes(broken)
        with pytest.raises(gemel.LibraryError, match=r"python\.xz can't be unpacked .*reinstall gemel"):
            packed.folders()
        assert names(folder) == ["python.xz"]
