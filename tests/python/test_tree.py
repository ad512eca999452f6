"""The project's rules that a look at the tree can check."""

import ast
import re
from pathlib import Path

import building
import pytest

ROOT = building.ROOT
CODE = {".c", ".h", ".py", ".mjs", ".js", ".css", ".html"}
BINARY = {".so", ".dylib", ".dll", ".o", ".a", ".wasm", ".whl", ".gguf", ".bin", ".npy", ".npz", ".zip", ".gz", ".pyc"}
PICTURES = {".png", ".webp"}
TABLE = re.compile(r"((tables?|grids?|vectors)\.(c|h|py)|/abi\.py|\.def)$")
LINES_MAX = 600
# Spelled in parts, so that this file passes its own test.
REGISTRIES = re.compile(r"(pypi|python" + r"hosted|npm" + r"js|deb" + r"ian)\.(org|com)")
WAITS = re.compile(r"\bXMLHttpRequest\b|\bAtomics\.wait\b")
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + r"XX)\b")
BITS = re.compile(
    r"_fn?m(add|sub)(sub|add)?_|\bvfm[as]q?_|\bvml[as]q?_(laneq?_|n_)?f|relaxed_n?madd|_mm\d*_r(cp|sqrt)|\bvr(ecp|sqrt)eq?_"
    r"|\b(exp|log|sin|cos|tanh|pow|sqrt|floor|round|fma)f?\s*\("
)


def texts(*folders: str, suffixes: set[str] | None = None) -> list[tuple[str, str]]:
    """Return (name, text) of the tracked files under the folders (all, when none is named)."""
    chosen = []
    for path in building.tracked():
        name = path.relative_to(ROOT).as_posix()
        inside = not folders or name.startswith(tuple(folder + "/" for folder in folders))
        if inside and path.suffix not in BINARY | PICTURES and (suffixes is None or path.suffix in suffixes):
            chosen.append((name, path.read_text(encoding="utf-8")))
    return chosen


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {name: len(text.splitlines()) for name, text in texts(suffixes=CODE) if not TABLE.search(name)}
    assert {name: n for name, n in lengths.items() if n > LINES_MAX} == {}


def test_lines_of_code_end_before_column_120() -> None:
    long = [
        f"{name}:{number}"
        for name, text in texts("core_c", "tests/c", "tests/fuzz", suffixes={".c", ".h", ".def"})
        if not TABLE.search(name) or name.endswith(".def")
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > 120
    ]
    assert long == []


def test_no_script_of_the_page_waits_without_using_the_processor() -> None:
    """tests/browser/test_demo_quality.py measures its tasks by their CPU time, which would not show that."""
    scripts = texts("web/gemel_web/static", suffixes={".js"})
    assert len(scripts) > 50
    assert [name for name, text in scripts if WAITS.search(text)] == []


def test_no_file_names_a_package_registry() -> None:
    assert [name for name, text in texts() if REGISTRIES.search(text)] == []


def test_the_top_level_has_six_folders() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in building.tracked() if path.parent != ROOT}
    assert {one for one in folders if one[0] != "."} == {"core_c", "pyodide_pkg", "native", "web", "tests", "docs"}


def test_nothing_built_is_tracked() -> None:
    assert [str(path) for path in building.tracked() if path.suffix in BINARY or path.stat().st_size > 1_000_000] == []


def test_nothing_is_left_for_later() -> None:
    assert [name for name, text in texts() if UNFINISHED.search(text)] == []


def test_the_core_calls_nothing_that_differs_between_machines() -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in texts("core_c/src")
        for match in [BITS.search(without_comments(text))]
        if match
    ]
    assert found == []


def test_the_core_asks_neither_for_its_place_nor_for_the_time() -> None:
    """Equal sources then give equal bytes, wherever and whenever they are compiled."""
    asks = re.compile(r"__(?:FILE|BASE_FILE|FILE_NAME|DATE|TIME|TIMESTAMP)__")
    found = {name: asks.findall(text) for name, text in texts("core_c/src", "core_c/include")}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_core_neither_prints_nor_exits_nor_reads_the_environment() -> None:
    forbidden = re.compile(r"\b(abort|exit|_Exit|assert|printf|fprintf|puts|perror|fopen|getenv|setenv|setlocale)\s*\(")
    found = [
        f"{name}: {match[0]}"
        for name, text in texts("core_c/src")
        for match in [forbidden.search(without_comments(text))]
        if match
    ]
    assert found == []


def includes() -> dict[str, set[str]]:
    """Return which noun of the core includes which: a file and the header of its name are one."""
    src = ROOT / "core_c" / "src"
    found: dict[str, set[str]] = {}
    for name, text in texts("core_c/src", suffixes={".c", ".h"}):
        path = ROOT / name
        for quoted in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
            target = (path.parent / quoted).resolve()
            if target.suffix in {".c", ".h"} and target.is_relative_to(src) and target.exists():
                nouns = [file.relative_to(src).as_posix().split(".")[0] for file in (path, target)]
                found.setdefault(nouns[0], set()).add(nouns[1])
    return {noun: others - {noun} for noun, others in found.items()}


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return nouns that lead back to the first of them; none: there is no circle."""
    done: set[str] = set()

    def walk(noun: str, way: list[str]) -> list[str]:
        if noun in way:
            return [*way[way.index(noun) :], noun]
        if noun in done:
            return []
        done.add(noun)
        return next(filter(None, (walk(other, [*way, noun]) for other in sorted(arrows.get(noun, ())))), [])

    return next(filter(None, (walk(noun, []) for noun in sorted(arrows))), [])


def test_no_files_of_the_core_include_each_other() -> None:
    arrows = includes()
    assert len(arrows) > 50
    assert circle(arrows) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_no_rooms_of_the_core_include_each_other() -> None:
    rooms: dict[str, set[str]] = {}
    for noun, others in includes().items():
        room = noun.rpartition("/")[0] or "."
        rooms.setdefault(room, set()).update((other.rpartition("/")[0] or ".") for other in others)
    assert circle({room: others - {room} for room, others in rooms.items()}) == []


PACKAGES = {"gemel": "pyodide_pkg", "gemel_web": "web", "gemel_native": "native"}
PUBLIC = {"gemel", "gemel.browser", "gemel.cache", "gemel.profiling"}   # what other packages may import of gemel


def modules(package: str) -> dict[str, Path]:
    """Return the files of a package's modules, by dotted name."""
    folder = ROOT / PACKAGES[package]
    found = {}
    for name, _ in texts(f"{PACKAGES[package]}/{package}", suffixes={".py"}):
        dotted = ".".join((ROOT / name).relative_to(folder).with_suffix("").parts)
        found[dotted.removesuffix(".__init__")] = ROOT / name
    return found


def imported(module: str, path: Path) -> set[tuple[str, str]]:
    """Return (module, name) of everything that a file imports, in functions and for type checkers, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
            above = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found |= {(source, alias.name) for alias in node.names}
    return found


def python_arrows(package: str) -> dict[str, set[str]]:
    """Return which module of a package imports which."""
    known = modules(package)
    arrows = {}
    for module, path in known.items():
        pairs = imported(module, path)
        targets = {f"{source}.{name}" if f"{source}.{name}" in known else source for source, name in pairs}
        arrows[module] = (targets & set(known)) - {module}
    return arrows


@pytest.mark.parametrize("package", PACKAGES)
def test_no_python_files_import_each_other(package: str) -> None:
    arrows = python_arrows(package)
    assert sum(map(len, arrows.values())) > 20
    assert circle(arrows) == []


def test_no_rooms_of_gemel_import_each_other() -> None:
    """Sub-packages are rooms; the modules of gemel itself, which choose between a desktop and a tab, are one more."""

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2]) if module.count(".") > 1 else "gemel"

    rooms: dict[str, set[str]] = {}
    for module, others in python_arrows("gemel").items():
        rooms.setdefault(room(module), set()).update(map(room, others))
    assert len(rooms) == 9
    assert circle({one: others - {one} for one, others in rooms.items()}) == []


@pytest.mark.parametrize("package", ["gemel_web", "gemel_native"])
def test_no_rooms_of_the_server_or_the_command_line_import_each_other(package: str) -> None:
    """Sub-packages are rooms, and each module beside them is one."""
    rooms: dict[str, set[str]] = {}
    for module, others in python_arrows(package).items():
        room = ".".join(module.split(".")[:2])
        rooms.setdefault(room, set()).update({".".join(other.split(".")[:2]) for other in others} - {room})
    assert circle(rooms) == []


def test_packages_import_only_public_names_of_each_other() -> None:
    found = []
    for package in PACKAGES:
        for module, path in modules(package).items():
            for source, name in imported(module, path):
                top = source.split(".")[0]
                if top not in PACKAGES or top == package:
                    continue
                is_public = source in PUBLIC or top != "gemel"
                is_private = any(re.match("_[^_]", part) for part in (*source.split("."), name))
                found += [f"{module}: {source} {name}"] * (is_private or not is_public)
    assert found == []


def attributes(package: str, room: str) -> tuple[dict[str, str], set[str]]:
    """Return the private attributes that a package's modules use, each with a place, and the names that they define."""
    used: dict[str, str] = {}
    own: set[str] = set()
    for module, path in modules(package).items():
        if not module.startswith(room):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own.add(node.attr)
            elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
                used[node.attr] = f"{module}, line {node.lineno}: {node.attr}"
    return used, own


@pytest.mark.parametrize("package", ["gemel_web", "gemel_native"])
def test_packages_use_no_private_attributes_of_models_and_sessions(package: str) -> None:
    used, own = attributes(package, package)
    _, models = attributes("gemel", "gemel.model")
    assert "_handle" in models
    assert [where for name, where in used.items() if name in models - own] == []


def test_packages_import_only_those_below_them() -> None:
    above = {"pyodide_pkg/gemel": ("gemel_web", "gemel_native"), "web/gemel_web": ("gemel_native",)}
    found = [
        f"{name}: {other}"
        for folder, others in above.items()
        for name, text in texts(folder, suffixes={".py"})
        for other in others
        if re.search(rf"^\s*(from|import) {other}\b", text, re.MULTILINE)
    ]
    assert found == []


def test_every_row_of_the_build_has_its_file() -> None:
    rows = (ROOT / "core_c" / "cmake" / "rows.cmake").read_text()
    names = re.search(r"^set\(row_names (.*)\)$", rows, re.MULTILINE)
    assert names
    files = {path.stem.removeprefix("isa_") for path in (ROOT / "core_c" / "src" / "kernels").glob("isa_*.c")}
    assert files == set(names[1].split())


def test_the_package_exports_what_it_imports() -> None:
    """Every public name that __init__ binds is once in __all__, except `version`, which serves __version__."""
    tree = ast.parse((ROOT / "pyodide_pkg" / "gemel" / "__init__.py").read_text())
    bound, exported = set(), []
    later = [statement for block in tree.body if isinstance(block, ast.If) for statement in block.body]
    for statement in [*tree.body, *later]:
        if isinstance(statement, ast.ImportFrom | ast.Import):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(statement.name)
        elif isinstance(statement, ast.Assign) and [ast.unparse(name) for name in statement.targets] == ["__all__"]:
            exported = ast.literal_eval(statement.value)
    assert len(exported) == len(set(exported))
    assert {name for name in bound if not name.startswith("_")} - {"annotations", "version"} <= set(exported)


def test_shell_and_make_files_keep_their_permissions() -> None:
    for script in (ROOT / ".ci" / "run", ROOT / "pyodide_pkg" / "build" / "install_emcc.sh"):
        assert script.stat().st_mode & 0o111
