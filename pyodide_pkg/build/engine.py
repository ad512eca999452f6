"""Build the threaded engine: the core on shared memory, for the web workers of an isolated page.

    python pyodide_pkg/build/engine.py [--out build/engine]

    <out>/gemel_threads_simd128.wasm      32-bit addresses, row wasm128
    <out>/gemel_threads_relaxed.wasm      32-bit addresses, row wasmrelaxed
    <out>/gemel_threads64_relaxed.wasm    64-bit addresses, for models over 4 GB
    <out>/worker.js, ...                  the workers' scripts, pyodide_pkg/engine/*.js
"""

import argparse
import shutil
import sys
from pathlib import Path

import zig_build

# file -> (target of core_c/cmake/zig.cmake, the one kernel row)
MODULES = {
    "gemel_threads_simd128.wasm": ("wasm32-freestanding", "wasm128"),
    "gemel_threads_relaxed.wasm": ("wasm32-freestanding", "wasmrelaxed"),
    "gemel_threads64_relaxed.wasm": ("wasm64-freestanding", "wasmrelaxed"),
}
SCRIPTS = zig_build.ROOT / "pyodide_pkg" / "engine"


def build(out: Path) -> dict[str, Path]:
    """Build what gemel/_core needs for the threaded engine; return name -> file."""
    files = {script.name: script for script in sorted(SCRIPTS.glob("*.js"))}
    for name, (target, row) in MODULES.items():
        folder = out / Path(name).stem
        zig_build.configure_zig(folder, target, f"-DGEMEL_ROWS={row}")
        zig_build.build(folder, "gemel")
        files[name] = folder / "libgemel.so"
    return files


def main() -> int:
    """Build all modules into one folder; 1 with a sentence on stderr when a build fails."""
    parser = argparse.ArgumentParser(description="Build the threaded engine of a browser tab.")
    parser.add_argument("--out", type=Path, default=zig_build.ROOT / "build" / "engine", help="the folder to fill")
    out: Path = parser.parse_args().out.resolve()
    try:
        files = build(out)
    except zig_build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for name, file in files.items():
        shutil.copyfile(file, out / name)
        print(f"{file.stat().st_size:9} {out / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
