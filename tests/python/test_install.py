"""Both installs, each in a separate virtual environment: the wheel, and the source tree in place."""

import sys
import venv
from pathlib import Path

import building
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the folders of a virtual environment are POSIX's here"),
]

HEADER = building.ROOT / "core_c" / "include" / "gemel.h"
PROGRAM = """
import importlib.metadata
import gemel
print(importlib.metadata.version("gemel"), gemel.__version__, gemel.__file__, sep="\\n")
print(gemel.library_path(), gemel.include_path(), sep="\\n")
"""


def install(folder: Path, *arguments: str) -> Path:
    """Make a virtual environment, install the project into it by pip, and return the folder of its programs."""
    venv.create(folder)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    command = [*pip, "install", "--quiet", *arguments]
    alike = {"CC": "cc", "SKBUILD_CMAKE_DEFINE": "GEMEL_WERROR=ON"}   # to what .ci/run and building.native compile
    done = building.execute(command, env=alike if building.REQUIRED else None)
    assert done.returncode == 0, done.stdout
    return folder / "bin"


def facts(programs: Path) -> tuple[str, str, Path, Path, Path]:
    """Return the package's version, the core's, where the two and gemel.h were found, for an import from elsewhere."""
    done = building.execute([programs / "python", "-P", "-c", PROGRAM], env={"GEMEL_LIBRARY": "", "PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout
    version, core_version, package, library, include = done.stdout.splitlines()
    return version, core_version, Path(package), Path(library), Path(include)


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("wheel") / "venv", str(building.ROOT))


def test_a_wheel_brings_the_package_and_its_library(from_wheel: Path) -> None:
    version, core_version, package, library, include = facts(from_wheel)
    assert version == core_version
    assert from_wheel.parent in package.parents
    assert include == package.parent / "_core" / "include"
    assert (include / "gemel.h").read_bytes() == HEADER.read_bytes()
    assert library.parent == package.parent / "_core"


def test_a_wheel_brings_the_command(from_wheel: Path) -> None:
    done = building.execute([from_wheel / "gemel", "--help"])
    assert done.returncode == 0, done.stdout
    assert "doctor" in done.stdout


def test_an_editable_install_is_the_source_tree(tmp_path: Path) -> None:
    installed = install(tmp_path / "venv", "--editable", str(building.ROOT))
    version, core_version, package, library, include = facts(installed)
    assert include == HEADER.parent   # the tree's own, which is never stale
    assert version == core_version
    assert package.parent == building.ROOT / "pyodide_pkg" / "gemel"
    assert library.parent == package.parent / "_core"
