"""What tests in Pyodide run on: the pinned npm package, gemel's wheel, and pure wheels of what it imports, by pip."""

import functools
import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path
from unittest import mock

import assets
import building
import filelock
import pyodide_wheel
import pytest
import zig_build
from gemel.tab import assets as packed

NPM = building.ROOT / "tests" / "wasm"
FOLDER = building.BUILD / "wheels"
PURE = assets.TAB
MICROPIP = "micropip==0.11.1"


def npm(source: Path, folder: Path) -> Path:
    """Install what a folder's package-lock.json pins, once, and return node_modules; skip where it can't be had."""
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):   # processes take turns
        lock, installed = source / "package-lock.json", folder / "installed.json"
        if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copyfile(source / name, folder / name)
            script = building.node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            command: list[str | Path] = [building.node(), script] if script.is_file() else ["npm"]
            done = building.execute([*command, "ci", "--ignore-scripts", "--prefix", folder])
            if done.returncode:
                building.lacking(f"what {lock} names could not be fetched: {done.stdout[-2000:]}")
            shutil.copyfile(lock, installed)
    return folder / "node_modules"


@functools.cache
def pyodide() -> Path:
    """Return the folder of the pinned npm package, fetched once."""
    return npm(NPM, building.BUILD / "npm") / "pyodide"


def gemel(compiler: str = "") -> Path:
    """Return gemel's wheel by emcc or zig ("": the better one there is); skip the test where there is no emcc."""
    return _gemel(compiler or pyodide_wheel.best_compiler())


@functools.cache
def _gemel(compiler: str) -> Path:
    """Build the wheel, unless a process has built it of the same files."""
    if compiler == "emcc" and not shutil.which("emcc"):
        pytest.skip("emcc is not on PATH")
    folder = FOLDER / compiler
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "inputs.txt"
    try:
        with filelock.FileLock(FOLDER / f".{compiler}.lock"):   # processes take turns
            inputs = _inputs(compiler)
            built = sorted(folder.glob("*.whl"))
            if len(built) == 1 and stamp.is_file() and stamp.read_text() == inputs:
                return built[0]
            for old in (*built, stamp):
                old.unlink(missing_ok=True)
            env = building.with_ccache(building.ROOT) if compiler == "emcc" else {}
            with mock.patch.dict(os.environ, env):
                made = pyodide_wheel.build(folder, compiler=compiler)
            stamp.write_text(inputs)
            return made
    except zig_build.BuildError as error:
        if "is not installed" in str(error):
            building.lacking(str(error))
        pytest.fail(str(error), pytrace=False)


def _inputs(compiler: str) -> str:
    """Return what a wheel depends on: a hash of the names and bytes of its sources, the compiler, and Python."""
    program = Path(shutil.which("emcc") or "") if compiler == "emcc" else zig_build.zig()
    roots = [building.ROOT / name for name in ("core_c", "pyodide_pkg", "web/gemel_web")]
    made = {"__pycache__", "_core", "static", "editable"}
    names = [path.relative_to(building.ROOT) for root in roots for path in root.rglob("*") if path.is_file()]
    found = [building.ROOT / name for name in names if not made & set(name.parts)]
    digest = hashlib.sha256()
    for path in sorted([*found, *(building.ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(building.ROOT).as_posix()} {len(data)}\n".encode() + data)
    facts = program.stat()
    return f"{digest.hexdigest()}\n{program} {facts.st_size} {facts.st_mtime_ns}\n{sys.version}\n"


@functools.cache
def pure(requirement: str) -> Path:
    """Return a package's wheel for any machine; where there is none, it is built without its C."""
    try:
        return assets.fetch_wheel(requirement, FOLDER)
    except assets.AssetError as error:
        building.lacking(str(error))


@functools.cache
def vendor() -> dict[str, Path]:
    """Return the folders of the npm packages that the page imports, fetched once."""
    try:
        return assets.fetch_vendor(FOLDER)
    except assets.AssetError as error:
        building.lacking(str(error))


@functools.cache
def wheels() -> list[Path]:
    """Return the wheels that a tab installs, gemel's first, as users get it; they are in one folder."""
    out = building.BUILD / "browser" / "wheels"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return [Path(shutil.copy2(one, out)) for one in (gemel(), *map(pure, PURE))]


@functools.cache
def server_wheels() -> list[Path]:
    """Return the wheels that the server's app needs in a tab beside those, in the same folder."""
    return [Path(shutil.copy2(one, wheels()[0].parent)) for one in map(pure, assets.SERVER)]


@functools.cache
def stage(compiler: str = "") -> Path:
    """Lay out the wheels as an installer does; return the folder whose site/ has them."""
    out = building.BUILD / "pyodide" / gemel(compiler).parent.name
    shutil.rmtree(out, ignore_errors=True)
    for one in (gemel(compiler), *map(pure, PURE)):
        with zipfile.ZipFile(one) as archive:
            archive.extractall(out / "site")
    with mock.patch.object(packed, "FOLDER", out / "site" / "gemel" / "_core"):
        for flavour in ("simd128", "pairs", "relaxed"):   # tests load them by name
            packed.path(f"libgemel_{flavour}.wasm")
    return out
