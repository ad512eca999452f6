"""`pyodide build` makes the wheel that `make wasm` makes, in a cross-build environment put together from packages.

On a machine with the whole internet `pyodide xbuildenv install` fetches that environment. Here it is what pyodide-build
reads of it: the variables of Pyodide's Makefile.envs, and Python's build settings from the pinned npm package. Python's
headers are not in it: the core knows nothing of Python.
"""

import json
import shutil
import zipfile
from pathlib import Path

import building
import pyodide_files
import pytest

pytestmark = [pytest.mark.wasm, pytest.mark.slow]

PYODIDE_BUILD = "pyodide-build==0.39.2"
SETTINGS = "_sysconfigdata__emscripten_wasm32-emscripten"


def python() -> Path:
    """Return the Python of pyodide-build, which has to be of Pyodide's minor version: beside emcc, or on PATH."""
    emcc = shutil.which("emcc")
    if emcc is None:
        pytest.skip("emcc is not on PATH")
    beside = Path(emcc).parent.parent / "usr" / "bin" / "python3.14"
    found = str(beside) if beside.is_file() else shutil.which("python3.14")
    if found is None:
        pytest.skip("python3.14 is neither beside emcc nor on PATH")
    return Path(found)


def make_environment(folder: Path) -> None:
    """Lay out a cross-build environment as `pyodide xbuildenv install` does."""
    pyodide = pyodide_files.pyodide()
    version = json.loads((pyodide / "package.json").read_text())["version"]
    info = json.loads((pyodide / "pyodide-lock.json").read_text())["info"]
    major, minor, micro = info["python"].split(".")
    outer = folder / version
    root = outer / "xbuildenv" / "pyodide-root"
    installed = root / "cpython" / "installs" / f"python-{info['python']}"
    (installed / "sysconfigdata").mkdir(parents=True)
    with zipfile.ZipFile(pyodide / "python_stdlib.zip") as archive:
        archive.extract(f"{SETTINGS}.py", installed / "sysconfigdata")
    variables = {
        "CFLAGS_BASE": "-g0 -fPIC",
        "CPYTHONINSTALL": installed,
        "LDFLAGS_BASE": "-g0 -sWASM_BIGINT",
        "PIP_CONSTRAINT": root / "constraints.txt",
        "PLATFORM_TRIPLET": "wasm32-emscripten",
        "PYMAJOR": major,
        "PYMICRO": micro,
        "PYMINOR": minor,
        "PYODIDE_ABI_VERSION": info["abi_version"],
        "PYODIDE_EMSCRIPTEN_VERSION": info["platform"].removeprefix("emscripten_").replace("_", "."),
        "PYODIDE_VERSION": version,
        "PYTHONINCLUDE": installed / "include" / f"python{major}.{minor}",
        "PYVERSION": info["python"],
        "SYSCONFIGDATA_DIR": installed / "sysconfigdata",
        "SYSCONFIG_NAME": SETTINGS,
        "TARGETINSTALLDIR": installed,
    }
    lines = [f"export {name}={value}" for name, value in variables.items()]
    (root / "Makefile.envs").write_text("\n".join([*lines, ".output_vars:", "\tenv", ""]))
    (outer / "xbuildenv" / "requirements.txt").touch()
    (outer / ".installed").touch()
    (outer / ".build-python-version").write_text(f"{major}.{minor}")
    (folder / "xbuildenv").symlink_to(version)


def run(*command: str | Path, **env: str) -> None:
    done = building.execute(list(command), env=env)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pyodide-build makes of a copy of the tree."""
    folder = tmp_path_factory.mktemp("cross")
    run(python(), "-m", "venv", folder / "venv")
    run(folder / "venv" / "bin" / "pip", "install", "--quiet", PYODIDE_BUILD)
    make_environment(folder / "environment")
    tree = building.copy_tree(folder / "tree")
    run(
        folder / "venv" / "bin" / "pyodide",
        "build",
        tree,
        "--outdir",
        folder / "out",
        **building.with_ccache(tree),
        PYODIDE_XBUILDENV_PATH=str(folder / "environment"),
        PYODIDE_SKIP_EMSCRIPTEN_INSTALL="1",
        SKIP_EMSCRIPTEN_VERSION_CHECK="1",
        CFLAGS="-Oz -DNOTHING",
    )
    (made,) = (folder / "out").glob("*.whl")
    return made


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_pyodide_build_makes_the_wheel_of_make_wasm(built: Path) -> None:
    wanted = pyodide_files.gemel("emcc")
    assert built.name == wanted.name
    ours, its = contents(wanted), contents(built)
    assert set(its) == set(ours)
    assert [name for name, data in ours.items() if its[name] != data and not name.endswith(".dist-info/RECORD")] == []
