"""Wheels that tests in Pyodide install: gemel's, built once a run, and pure ones of what it imports, by pip."""

import functools
import shutil
import sys
import zipfile
from pathlib import Path

import building
import pytest
import wheel
import zig_build

FOLDER = building.BUILD / "wheels"
# As in the lock file of the pinned Pyodide.
PURE = ("jinja2==3.1.6", "markupsafe==3.0.3")
MICROPIP = "micropip==0.11.1"


@functools.cache
def gemel(compiler: str = "") -> Path:
    """Return the wheel by emcc or zig ("": the best there is); the test is skipped where the compiler is not."""
    compiler = compiler or wheel.best_compiler()
    if compiler == "emcc" and not shutil.which("emcc"):
        pytest.skip("emcc is not on PATH")
    try:
        return wheel.build(FOLDER / compiler, compiler=compiler)
    except zig_build.BuildError as error:
        if "is not installed" in str(error):
            building.lacking(str(error))
        pytest.fail(str(error), pytrace=False)


def pip(command: str, *arguments: str) -> None:
    """Run pip into FOLDER; what can't be had is lacking."""
    where = ["--quiet", "--no-deps", "--dest" if command == "download" else "--wheel-dir", str(FOLDER)]
    done = building.execute([sys.executable, "-m", "pip", command, *where, *arguments], env={"CC": "false"})
    if done.returncode:
        building.lacking(f"pip {command} {' '.join(arguments)}: {done.stdout[-2000:]}")


@functools.cache
def pure(requirement: str) -> Path:
    """Return a package's wheel for any machine; where it is published for some only, it is built without its C."""
    name, version = requirement.split("==")
    made = FOLDER / f"{name}-{version}-py3-none-any.whl"
    if not made.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        if name == "markupsafe":
            pip("wheel", "--no-binary", name, requirement)   # without a C compiler it leaves its speed-ups out
        else:
            pip("download", "--only-binary", ":all:", "--python-version", "3.14", requirement)
    assert made.is_file()
    return made


def unpack(folder: Path, *files: Path) -> Path:
    """Lay wheels out in an empty folder, as an installer does."""
    shutil.rmtree(folder, ignore_errors=True)
    for file in files:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
    return folder
