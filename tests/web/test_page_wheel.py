"""The page as a separate package: the wheel gemel-page, the folder that gemel serves of it, and the npm package."""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import assets
import building
import gemel
import npm_package
import page_wheel
import pytest
import zig_build
from gemel_native.serving import page

VERSION = gemel.__version__
TAG = "py3-none-pyemscripten_2026_0_wasm32"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page's folder as page_wheel gathers it, with small files in the place of what is downloaded."""
    made = tmp_path_factory.mktemp("page")
    wheel = made / f"gemel-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"gemel-{VERSION}.dist-info/METADATA", f"Name: gemel\nVersion: {VERSION}\n")
    for name in assets.PYODIDE_FILES:
        (made / name).write_text("large" * 1000 if name.endswith(".wasm") else name)
    for name, module in assets.VENDOR.items():
        file = made / name / module
        file.parent.mkdir(parents=True)
        file.write_text("export {};\n")
        (made / name / "LICENSE").write_text("A licence.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "fetch_wheel", lambda _: wheel)
        patch.setattr(assets, "fetch_pyodide", lambda: made)
        patch.setattr(assets, "fetch_vendor", lambda: {name: made / name for name in assets.VENDOR})
        return page_wheel.gathered(made / "static", wheel)


@pytest.fixture
def installed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gemel-page, installed where Python finds it."""
    site = tmp_path / "site"
    with zipfile.ZipFile(page_wheel.write(folder, tmp_path)) as archive:
        archive.extractall(site)
    monkeypatch.setattr(page, "STATIC", tmp_path / "none")
    monkeypatch.syspath_prepend(site)
    return site


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_has_the_page_and_its_licences_and_equal_bytes_again(folder: Path, tmp_path: Path) -> None:
    wheel = page_wheel.write(folder, tmp_path)
    assert wheel.name == f"gemel_page-{VERSION}-py3-none-any.whl"
    assert page_wheel.write(folder, tmp_path / "again").read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = f"gemel_page-{VERSION}.dist-info/"
    wanted = {f"gemel_page/static/{name}" for name in names_in(folder)}
    assert names - wanted == {"gemel_page/__init__.py", *(
        f"{about}{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE", "licenses/LICENCES.txt")
    )}  # fmt: skip
    assert {"gemel_page/static/index.html", "gemel_page/static/gemel.js", "gemel_page/static/assets.json"} <= wanted


@pytest.mark.slow
def test_the_audit_finds_a_changed_file_of_the_page(folder: Path, tmp_path: Path) -> None:
    wheel = page_wheel.write(folder, tmp_path)
    audit: list[str | Path] = [sys.executable, building.ROOT / "native" / "build" / "audit.py", "page", wheel]
    assert building.execute(audit).stdout == ""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, b"other" if name.endswith("pyodide.mjs") else data)
    done = building.execute(audit)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "RECORD has another hash or size of gemel_page/static/pyodide/pyodide.mjs",
        "gemel_page/static/pyodide/pyodide.mjs is missing, or is not the file that assets.json names",
    ]


def test_gemel_serves_the_page_of_the_installed_package(installed: Path) -> None:
    assert page.needed_page() == installed / "gemel_page" / "static"


def test_the_page_of_a_source_tree_comes_first(installed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "STATIC", folder)
    assert page.page_folder() == folder


def test_a_page_of_another_version_is_refused(installed: Path) -> None:
    (about,) = installed.glob("*.dist-info")
    metadata = about / "METADATA"
    metadata.write_text(metadata.read_text().replace(f"Version: {VERSION}", "Version: 0.0.1"))
    with pytest.raises(gemel.GemelError, match=r"gemel-page 0\.0\.1 is installed, .*: pip install gemel-page=="):
        page.page_folder()


# ---- npm ------------------------------------------------------------------------------------------------------------


def test_the_npm_package_has_the_page_and_equal_bytes_again(folder: Path, tmp_path: Path) -> None:
    made = npm_package.write(folder, tmp_path)
    assert made.name == f"gemel-{VERSION}.tgz"
    assert npm_package.write(folder, tmp_path / "again").read_bytes() == made.read_bytes()
    with tarfile.open(made) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        described = packed.extractfile("package/package.json")
        assert described is not None
        about = json.load(described)
    pages = {name for name in names_in(folder) if not name.endswith(".gz")}
    assert names == pages | {"package.json", "README.md", "LICENSE", "files.mjs"}
    assert (about["name"], about["version"]) == ("gemel", VERSION)
    assert about["license"] == page_wheel.LICENCE


def test_what_an_npm_package_lacks_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = npm_package.files_of(folder)
    assert npm_package.faults(files) == []
    lacking = {name: data for name, data in files.items() if name not in ("gemel.d.ts", "options.js")}
    lacking["pyodide/pyodide.mjs"] = b""
    lacking["worker.js"] += str(building.ROOT).encode()
    found = npm_package.faults(lacking)
    assert "package.json names ./gemel.d.ts, which is not there" in found
    assert "gemel.js imports ./options.js, which is not there" in found
    assert "assets.json lists pyodide/pyodide.mjs, of another size" in found
    assert f"worker.js has a path of the machine that built it: {building.ROOT}" in found
    monkeypatch.setattr(npm_package, "files_of", lambda _: lacking)
    with pytest.raises(zig_build.BuildError, match="the npm package: package.json names"):
        npm_package.write(folder, tmp_path)
