"""The source archive: every source with its bytes, nothing that was built, and equal bytes again."""

import tarfile
from pathlib import Path

import building
import pytest
import sdist
import zig_build

pytestmark = pytest.mark.slow

LEFT_OUT = (".ci/", ".pre-commit-config.yaml")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdist.build(tmp_path_factory.mktemp("sdist"))


def test_the_archive_has_what_git_knows_with_the_same_bytes(archive: Path) -> None:
    wanted = {path.relative_to(building.ROOT).as_posix(): path for path in building.tracked()}
    wanted = {name: path for name, path in wanted.items() if not name.startswith(LEFT_OUT)}
    with tarfile.open(archive) as packed:
        members = {one.name.partition("/")[2]: one for one in packed.getmembers()}
        assert set(members) == {*wanted, "PKG-INFO"}
        for name, path in wanted.items():
            file = packed.extractfile(members[name])
            assert file is not None
            assert file.read() == path.read_bytes(), name
    assert {"LICENSE", "core_c/src/errors.c", "web/build/npm/package.json"} <= set(members)


def test_an_archive_is_built_again_with_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = sdist.build(tmp_path / "again")
    assert (again.name, again.read_bytes()) == (archive.name, archive.read_bytes())


def test_what_was_built_and_what_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "gemel-1.tar.gz"
    with tarfile.open(made, "w:gz") as packed:
        for name in (*sdist.NEEDED[1:], "pyodide_pkg/gemel/_core/libgemel.so"):
            packed.addfile(tarfile.TarInfo(f"gemel-1/{name}"))
    wanted = ["it has no LICENSE", "pyodide_pkg/gemel/_core/libgemel.so is not a source"]
    assert sdist.faults(made) == wanted
    monkeypatch.setattr(zig_build, "run", lambda command, env: f"a line\n{made.name}\n")
    with pytest.raises(zig_build.BuildError, match="gemel-1.tar.gz: it has no LICENSE"):
        sdist.build(tmp_path)
    assert not made.exists()
