"""What `make assets` gathers: named, hashed, licensed, and carried by the desktop's wheel where it is there."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import assets
import building
import pytest

STATIC = "web/gemel_web/static"


def a_wheel(folder: Path, name: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Name: {name}\nVersion: 1.0\nLicense-Expression: MIT\n")
        archive.writestr(f"{name}-1.0.dist-info/licenses/LICENSE.txt", f"The licence of {name}.\n")
    return path


@pytest.fixture
def pyodide(tmp_path: Path) -> Path:
    folder = tmp_path / "from npm"
    folder.mkdir()
    for name in (*assets.PYODIDE_FILES, "console.html"):
        (folder / name).write_text("large" * 1000 if name.endswith(".wasm") else name)
    return folder


@pytest.fixture
def vendor(tmp_path: Path) -> dict[str, Path]:
    for name, module in assets.VENDOR.items():
        file = tmp_path / name / module
        file.parent.mkdir(parents=True)
        file.write_text(f"export const name = '{name}';\n//# sourceMappingURL=missing.js.map\n")
        (tmp_path / name / "LICENSE").write_text(f"The licence of {name}.\n")
    return {name: tmp_path / name for name in assets.VENDOR}


def test_assets_json_has_size_and_hash_of_each_file_and_old_files_are_deleted(
    tmp_path: Path, pyodide: Path, vendor: dict[str, Path]
) -> None:
    out = tmp_path / "static"
    (out / "wheels").mkdir(parents=True)
    (out / "wheels" / "old.whl").write_text("old")
    wheels = [assets.Wheel(a_wheel(tmp_path, "one"), "tab"), assets.Wheel(a_wheel(tmp_path, "two"), "server")]
    assets.gather(out, pyodide, wheels, vendor)
    written = json.loads((out / "assets.json").read_text())
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    listed = [*written["pyodide"], *written["wheels"], *written["vendor"]]
    packed = {"pyodide/pyodide.asm.wasm.gz"}   # the others are too small
    assert found == {"assets.json", "LICENCES.txt", *packed, *(file["name"] for file in listed)}
    assert gzip.decompress((out / "pyodide/pyodide.asm.wasm.gz").read_bytes()) == b"large" * 1000
    assert {name.partition("/")[0] for name in found} == set(assets.MADE)
    assert [file["name"] for file in written["vendor"]] == [
        f"vendor/{name}.js" for name in ("marked", "dompurify", "katex", "highlight")
    ]
    assert (out / "vendor" / "marked.js").read_text() == "export const name = 'marked';\n"
    assert [file["group"] for file in written["wheels"]] == ["tab", "server"]
    for file in listed:
        data = (out / file["name"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_licences_list_each_part_with_its_text(tmp_path: Path, vendor: dict[str, Path]) -> None:
    text = assets.licences([a_wheel(tmp_path, "one"), a_wheel(tmp_path, "two")], vendor)
    assert f"Pyodide {assets.pinned('pyodide', assets.PYODIDE_LOCK)['version']}: MPL-2.0" in text
    for name in ("one", "two"):
        assert f"\n{name} 1.0: MIT\n" in text
    for name in vendor:
        assert f"\n{name} {assets.pinned(name, assets.VENDOR_LOCK)['version']}: " in text
    for name in ("one", "two", *vendor):
        assert f"The licence of {name}." in text


def test_a_package_that_differs_from_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(command: list[str | Path]) -> None:
        (Path(command[-1]) / "marked.tgz").write_bytes(b"another one")

    monkeypatch.setattr(assets, "run", pack)
    monkeypatch.setattr(assets, "npm", list)
    with pytest.raises(assets.AssetError, match=r"marked .* is sha512-.*, but .*package-lock\.json says sha512-"):
        assets.fetch_npm("marked", assets.VENDOR_LOCK, ["LICENSE"], tmp_path)


def test_a_file_is_unpacked_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "one.tgz"
    with tarfile.open(path, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("package/lib/empty.js"))
        folder = tarfile.TarInfo("package/lib")
        folder.type = tarfile.DIRTYPE
        packed.addfile(folder)
    assets.write_member(path, "package/lib/empty.js", tmp_path / "out" / "lib" / "empty.js")
    for name in ("package/lib", "package/LICENSE"):
        with pytest.raises(assets.AssetError, match=f"one.tgz has no file {name}$"):
            assets.write_member(path, name, tmp_path / "out" / "other")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["lib", "empty.js"]


def test_git_ignores_generated_files() -> None:
    ignored = (building.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    clean = (building.ROOT / "Makefile").read_text(encoding="utf-8")
    for name in assets.MADE:
        assert f"/{STATIC}/{name}" in [line.removesuffix("/") for line in ignored]
    assert f"cd {STATIC} && rm -rf {' '.join(assets.MADE)}\n" in clean


def test_a_failed_tool_is_an_error_with_its_output() -> None:
    with pytest.raises(assets.AssetError, match=r"failed \(3\):\nno such thing"):
        assets.run([sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)"])


@pytest.mark.slow
def test_a_desktop_wheel_contains_the_gathered_assets(tmp_path: Path) -> None:
    source, out = building.copy_tree(tmp_path / "source"), tmp_path / "out"
    carried = ["assets.json", "LICENCES.txt", "pyodide/pyodide.asm.wasm", "wheels/gemel-0.1.0-py3-none-any.whl",
               "vendor/marked.js"]  # fmt: skip
    for name in carried:
        file = source / STATIC / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--quiet"]
    options = ["--config-settings", "wheel.cmake=false", "--wheel-dir", str(out), str(source)]
    done = building.execute([*pip, *options])
    assert done.returncode == 0, done.stdout
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = [path for path in (source / STATIC).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted = {path.relative_to(source / "web").as_posix() for path in files}
    assert {f"gemel_web/static/{name}" for name in [*carried, "index.html", "page/main.js", "gemel.js"]} <= wanted
    assert wanted <= names
