"""The core as a Pyodide side module gives native's bits: one script, run by this Python and by Pyodide under node."""

import functools
import importlib.util
import shutil
import sys
from pathlib import Path

import building
import pytest

pytestmark = [pytest.mark.wasm, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
FLAVOURS = ("simd128", "relaxed")


@functools.cache
def pyodide() -> Path:
    """Return the folder of the pinned npm package, fetched once."""
    folder, lock = building.BUILD / "npm", HERE / "package-lock.json"
    installed = folder / "installed.json"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(HERE / name, folder / name)
        npm = building.node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command: list[str | Path] = [building.node(), npm] if npm.is_file() else ["npm"]
        done = building.execute([*command, "ci", "--ignore-scripts", "--prefix", folder])
        if done.returncode:
            building.lacking(f"Pyodide could not be fetched: {done.stdout[-2000:]}")
        shutil.copyfile(lock, installed)
    return folder / "node_modules" / "pyodide"


@functools.cache
def stage() -> Path:
    """Build the side modules, lay out the package, and return the folder that becomes a script's working directory."""
    if importlib.util.find_spec("ziglang") is None:
        building.lacking("ziglang is not installed")
    recipe, out = building.ROOT / "pyodide_pkg" / "build" / "side_module.py", building.BUILD / "pyodide"
    done = building.execute([sys.executable, recipe, "--out", out], timeout=1200)
    assert done.returncode == 0, done.stdout
    for script in ("formats.py", "logits.py"):
        shutil.copyfile(HERE / script, out / script)
    return out


def in_pyodide(flavour: str, *command: str, **env: str) -> bytes:
    """Run a staged script on one flavour of the side module; return what it wrote to the file OUT."""
    folder = stage()
    out = folder / "OUT"
    out.unlink(missing_ok=True)
    library = f"/mnt/site/gemel/_core/libgemel_{flavour}.wasm"
    program: list[str | Path] = [building.node(), HERE / "run_pyodide.mjs", pyodide(), folder, *command]
    done = building.execute(program, env={"GEMEL_LIBRARY": library, **env})
    assert done.returncode == 0, done.stdout
    return out.read_bytes()


def natively(folder: Path, script: str, *arguments: str, **env: str) -> bytes:
    """Run a script on this machine's build of the core; return what it wrote to the file OUT."""
    build = building.native("plain")
    building.build(build, "gemel")
    library = next(build / name for name in ("libgemel.so", "libgemel.dylib") if (build / name).is_file())
    command: list[str | Path] = [sys.executable, HERE / script, *(str(folder / name) for name in arguments)]
    done = building.execute(command, env={"GEMEL_LIBRARY": str(library), **env})
    assert done.returncode == 0, done.stdout
    return (folder / "OUT").read_bytes()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_formats_unpack_to_natives_bits(flavour: str, tmp_path: Path) -> None:
    wanted = natively(tmp_path, "formats.py", "OUT")
    assert len(wanted) > 10_000
    assert in_pyodide(flavour, "formats.py", "OUT") == wanted
