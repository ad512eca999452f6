"""The modules of a tab's wheel, which are in one archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from gemel.core import packed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder _core/ with an archive of one module."""
    with zipfile.ZipFile(tmp_path / "python.zip", "w") as archive:
        archive.writestr("gemel/one.py", "x = 1\n")
    monkeypatch.setattr(packed, "FOLDER", tmp_path)
    return tmp_path


def test_a_desktop_has_no_archive() -> None:
    assert packed.folders() == []


def test_the_archive_is_unpacked_once(folder: Path) -> None:
    assert packed.folders() == [f"{folder}/python/gemel"]
    module = folder / "python" / "gemel" / "one.py"
    assert module.read_text() == "x = 1\n"
    module.write_text("x = 2\n")
    assert packed.folders() == [f"{folder}/python/gemel"]
    assert module.read_text() == "x = 2\n"
    assert sorted(path.name for path in folder.iterdir()) == ["python", "python.zip"]


def test_python_reads_the_archive_itself_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(archive: object, path: Path) -> None:
        path.mkdir()
        raise OSError("read-only")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", refuse)
    assert packed.folders() == [f"{folder}/python.zip/gemel"]
    assert [path.name for path in folder.iterdir()] == ["python.zip"]
