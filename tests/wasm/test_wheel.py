"""The Pyodide wheel: what is in it, that equal sources give equal bytes, and the ways in which Pyodide installs it."""

import ast
import base64
import csv
import functools
import hashlib
import http.server
import io
import json
import lzma
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path

import backend
import building
import pyodide_files
import pyodide_wheel
import pytest
import tiny
import zig_build
from conftest import CHATML
from gemel.tab import assets
from packaging.requirements import Requirement

pytestmark = [pytest.mark.wasm, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
SIZE_MAX = 750_000   # all of gemel that a tab downloads
NOT_IN_A_TAB = ("static", "anthropic", "llama_cpp", "responses", "keys", "manage", "observe")   # folders of gemel_web
WAYS = ("lock", "url", "micropip")


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def python_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the modules of a wheel's files, those of python.xz among them."""
    with zipfile.ZipFile(io.BytesIO(lzma.decompress(files["gemel/_core/python.xz"]))) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    outside = {name: data for name, data in files.items() if name.endswith(".py")}
    assert not inside.keys() & outside.keys()
    assert outside.keys() == set(backend.PLAIN)
    return inside | outside


def test_a_tab_downloads_at_most_700_kb() -> None:
    assert pyodide_files.gemel().stat().st_size <= SIZE_MAX, pyodide_wheel.sizes(pyodide_files.gemel())


def test_the_wheel_holds_the_package_and_its_modules_and_nothing_of_the_desktop() -> None:
    built = pyodide_files.gemel()
    version = pyodide_wheel.project()["version"]
    assert built.name == f"gemel-{version}-py3-none-pyemscripten_2026_0_wasm32.whl"
    package = building.ROOT / "pyodide_pkg" / "gemel"
    python = {f"gemel/{path.relative_to(package)}" for path in package.rglob("*.py")}
    app = building.ROOT / "web" / "gemel_web"
    files = {path.relative_to(app) for path in app.rglob("*.py")}
    python |= {f"gemel_web/{path.as_posix()}" for path in files if path.parts[0] not in NOT_IN_A_TAB}
    scripts = {path.name for path in (building.ROOT / "pyodide_pkg" / "engine").glob("*.js")} | {"fetch.js"}
    modules = {"packed.json", "packed.xz", "python.xz"}
    core = {f"gemel/_core/{name}" for name in modules | scripts}
    info = {f"gemel-{version}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    there = contents(built)
    assert set(python_of(there)) == python
    typed = {"gemel/py.typed", "gemel_web/py.typed"}
    assert {name for name in there if not name.endswith(".py")} == typed | core | info


def test_python_is_that_of_the_tree_without_what_only_developers_read() -> None:
    def bare(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    first.value.value = ""
        return ast.dump(tree, include_attributes=False)

    roots = {"gemel": building.ROOT / "pyodide_pkg", "gemel_web": building.ROOT / "web"}
    files = {name: data.decode() for name, data in python_of(contents(pyodide_files.gemel())).items()}
    assert len(files) > 100
    for name, shipped in files.items():
        source = (roots[name.partition("/")[0]] / name).read_text(encoding="utf-8")
        assert bare(shipped) == bare(source), name
        assert shipped.count("\n") == source.count("\n"), name
    assert '"""Continue a text or ids, without a chat template;' in files["gemel/model/model.py"]
    assert '"""' not in files["gemel/schema/writer.py"]


def test_every_module_is_webassembly_and_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(pyodide_files.gemel()) as archive:
        archive.extractall(tmp_path)
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "gemel" / "_core")
    for name in (f"{kind}_{row}.wasm" for kind in ("libgemel", "gemel_threads") for row in ("simd128", "relaxed")):
        assert assets.data(name).startswith(b"\0asm\1\0\0\0")
    wide = assets.path("gemel_threads64_relaxed.wasm")
    assert wide.read_bytes() == assets.data(wide.name)
    assert wide.read_bytes().startswith(b"\0asm\1\0\0\0")
    assert not assets.has("gemel_threads64_simd128.wasm")


def test_record_names_every_file_with_its_hash() -> None:
    files = contents(pyodide_files.gemel())
    (record,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    lines = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(files[record].decode()))}
    assert lines.pop(record) == ("", "")
    wanted = {}
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        wanted[name] = (f"sha256={digest}", str(len(data)))
    del wanted[record]
    assert lines == wanted


def test_a_tab_needs_jinja2_and_nothing_else() -> None:
    files = contents(pyodide_files.gemel())
    (metadata,) = (data for name, data in files.items() if name.endswith(".dist-info/METADATA"))
    tab = {"sys_platform": "emscripten", "platform_system": "Emscripten", "extra": ""}
    wanted = [Requirement(line) for line in BytesParser().parsebytes(metadata).get_all("Requires-Dist", [])]
    assert [one.name for one in wanted if one.marker is None or one.marker.evaluate(tab)] == ["jinja2"]


def test_the_lock_entry_is_the_wheels() -> None:
    built = pyodide_files.gemel()
    entry = pyodide_wheel.lock_entry(built, "https://example.com/files/")["gemel"]
    assert entry["file_name"] == f"https://example.com/files/{built.name}"
    assert entry["sha256"] == hashlib.sha256(built.read_bytes()).hexdigest()
    assert entry["depends"] == ["jinja2"]


def test_equal_sources_give_equal_bytes_wherever_they_are_built(tmp_path: Path) -> None:
    tree = tmp_path / "somewhere" / "else"
    building.copy_tree(tree)
    compiler = pyodide_wheel.best_compiler()
    recipe = tree / "pyodide_pkg" / "build" / "pyodide_wheel.py"
    lock = pyodide_files.pyodide() / "pyodide-lock.json"
    done = building.execute(
        [sys.executable, recipe, "--compiler", compiler, "--base-url", "https://example.com/files/", "--lock", lock],
        env={"SOURCE_DATE_EPOCH": "1700000000", "CFLAGS": "-DNOTHING", "LC_ALL": "C"},   # compiled again: no ccache
    )
    assert done.returncode == 0, done.stdout
    (again,) = (tree / "dist").glob("*.whl")
    assert again.read_bytes() == pyodide_files.gemel(compiler).read_bytes()
    entry = json.loads((tree / "dist" / "pyodide-lock-entry.json").read_text())
    assert entry == pyodide_wheel.lock_entry(again, "https://example.com/files/")
    packages = json.loads((tree / "dist" / "pyodide-lock.json").read_text())["packages"]
    assert packages == json.loads(lock.read_text())["packages"] | entry


def test_a_lock_file_of_another_pyodide_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "pyodide-lock.json"
    lock.write_text(json.dumps({"info": {"abi_version": "2025_0"}, "packages": {}}))
    with pytest.raises(zig_build.BuildError, match="2025_0.*pyemscripten_2026_0"):
        pyodide_wheel.locked(lock, pyodide_files.gemel())


def test_a_missing_compiler_is_one_sentence(tmp_path: Path) -> None:
    recipe = building.ROOT / "pyodide_pkg" / "build" / "pyodide_wheel.py"
    done = building.execute([sys.executable, recipe, "--compiler", "emcc", "--out", tmp_path], env={"PATH": "/nowhere"})
    assert done.returncode == 1
    assert done.stdout.startswith("emcc is not on PATH: install Emscripten, or use zig")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve a folder and say nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with Pyodide's lock file, wheels, a program and a model, and the address that serves gemel's wheel."""
    folder, served = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("served")
    built = pyodide_files.gemel()
    for place in (folder, served):
        shutil.copyfile(built, place / built.name)
    shutil.copyfile(HERE / "talk.py", folder / "talk.py")
    tiny.tiny_llama(folder / "tiny.gguf", chat_template=CHATML)
    handler = functools.partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lock = pyodide_wheel.locked(pyodide_files.pyodide() / "pyodide-lock.json", built)
        for requirement in (*pyodide_files.PURE, pyodide_files.MICROPIP):
            file = pyodide_files.pure(requirement)
            shutil.copyfile(file, folder / file.name)
            entry = lock["packages"][requirement.split("==")[0]]
            entry.update(file_name=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        pyodide_wheel.write_json(folder / "pyodide-lock.json", lock)
        yield folder, f"http://127.0.0.1:{server.server_port}/{built.name}"
        server.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_pyodide_installs_the_wheel_and_talks(way: str, site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    out = folder / "OUT"
    out.unlink(missing_ok=True)
    program: list[str | Path] = [building.node(), HERE / "install.mjs", pyodide_files.pyodide(), folder]
    done = building.execute([*program, way, url, "talk.py", "OUT", "tiny.gguf"])
    assert done.returncode == 0, done.stdout
    said = json.loads(out.read_text())
    native = building.natively(tmp_path, HERE / "talk.py", "OUT", str(folder / "tiny.gguf"))
    assert said == json.loads(native)
