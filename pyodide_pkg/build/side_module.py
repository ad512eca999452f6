"""Build the core as Pyodide side modules and lay the package out as a tab sees it.

    python pyodide_pkg/build/side_module.py [--out build/pyodide]

    <out>/site/gemel/...                            the package's Python
    <out>/site/gemel/_core/libgemel_simd128.wasm    row wasm128: any engine with SIMD
    <out>/site/gemel/_core/libgemel_relaxed.wasm    row wasmrelaxed: an engine refuses a module for one opcode it lacks
    <out>/site/gemel/_core/gemel_threads*, *.js     the threaded engine, by engine.py
    <out>/site/jinja2, markupsafe, ...              what gemel imports, as pure Python

The modules do not end in .so: Pyodide loads every .so of a wheel by itself, and ctypes would load it again.
"""

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path

import engine
import zig_build

FLAVOURS = {"simd128": "wasm128", "relaxed": "wasmrelaxed"}   # the one kernel row of each
PURE = ("filelock", "jinja2", "markupsafe", "platformdirs")
TARGET = "wasm32-wasi"


def build_core(out: Path, flavour: str) -> Path:
    """Build one flavour of the side module and return its path."""
    folder = out / flavour
    zig_build.configure_zig(folder, TARGET, f"-DGEMEL_ROWS={FLAVOURS[flavour]}")
    zig_build.build(folder, "gemel")
    return folder / "libgemel.so"


def copy_package(name: str, source: Path, site: Path) -> None:
    """Copy a package's files but for machine code; markupsafe, for one, has a Python twin for its C."""
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.dylib", "*.dll", "*.wasm")
    shutil.copytree(source, site / name, ignore=ignore)


def stage(out: Path, files: dict[str, Path]) -> Path:
    """Lay out the package with `files` in its _core, and its dependencies, under <out>/site and return that folder."""
    site = out / "site"
    shutil.rmtree(site, ignore_errors=True)
    copy_package("gemel", zig_build.ROOT / "pyodide_pkg" / "gemel", site)
    core = site / "gemel" / "_core"
    core.mkdir(exist_ok=True)
    for name, file in files.items():
        shutil.copyfile(file, core / name)
    for name in PURE:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise zig_build.BuildError(f"{name} is not installed: pip install -e '.[dev]'")
        copy_package(name, Path(spec.origin).parent, site)
    return site


def main() -> int:
    """Build both flavours and the engine, and stage them; 1 with a sentence on stderr when a build fails."""
    parser = argparse.ArgumentParser(description="Build the core as Pyodide side modules and stage the package.")
    parser.add_argument("--out", type=Path, default=zig_build.ROOT / "build" / "pyodide", help="the folder to fill")
    out: Path = parser.parse_args().out.resolve()
    try:
        files = {f"libgemel_{flavour}.wasm": build_core(out, flavour) for flavour in FLAVOURS}
        files |= engine.build(out)
        site = stage(out, files)
    except zig_build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for name, file in files.items():
        print(f"{name}: {file.stat().st_size} bytes")
    print(site)
    return 0


if __name__ == "__main__":
    sys.exit(main())
