"""What tests in Pyodide run on: the pinned npm package, the staged package, wheels of it and of what it imports."""

import functools
import importlib.metadata
import importlib.util
import shutil
import sys
import zipfile
from pathlib import Path

import building
import pytest
import side_module
import wheel
import zig_build

NPM = building.ROOT / "tests" / "wasm"


@functools.cache
def pyodide() -> Path:
    """Return the folder of the pinned npm package, fetched once."""
    folder, lock = building.BUILD / "npm", NPM / "package-lock.json"
    installed = folder / "installed.json"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(NPM / name, folder / name)
        npm = building.node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command: list[str | Path] = [building.node(), npm] if npm.is_file() else ["npm"]
        done = building.execute([*command, "ci", "--ignore-scripts", "--prefix", folder])
        if done.returncode:
            building.lacking(f"Pyodide could not be fetched: {done.stdout[-2000:]}")
        shutil.copyfile(lock, installed)
    return folder / "node_modules" / "pyodide"


@functools.cache
def stage() -> Path:
    """Build the side modules and lay out the package; return the folder whose site/ has it."""
    if importlib.util.find_spec("ziglang") is None:
        building.lacking("ziglang is not installed")
    recipe, out = building.ROOT / "pyodide_pkg" / "build" / "side_module.py", building.BUILD / "pyodide"
    done = building.execute([sys.executable, recipe, "--out", out], timeout=1200)
    assert done.returncode == 0, done.stdout
    return out


@functools.cache
def wheels() -> list[Path]:
    """Return wheels that a tab installs: gemel's own, as users get it, and pure ones of what it imports."""
    if importlib.util.find_spec("ziglang") is None:
        building.lacking("ziglang is not installed")
    out = building.BUILD / "browser" / "wheels"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        gemel = wheel.build(out)
    except zig_build.BuildError as error:
        pytest.fail(str(error), pytrace=False)
    return [gemel, *(pack(name, importlib.metadata.version(name), out) for name in side_module.PURE)]


def pack(name: str, version: str, out: Path) -> Path:
    """Zip an installed package as a pure wheel, without its machine code."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    path, info = out / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    texts = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".py", ".typed", ".json")]
    names = [file.relative_to(folder.parent).as_posix() for file in files]
    record = "".join(f"{one},,\n" for one in (*names, *(f"{info}/{text}" for text in (*texts, "RECORD"))))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, one in zip(files, names, strict=True):
            archive.write(file, one)
        for text_name, text in {**texts, "RECORD": record}.items():
            archive.writestr(f"{info}/{text_name}", text)
    return path
