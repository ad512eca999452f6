"""Builds the source archive: all that git knows except .ci, as scikit-build-core's backend writes it."""

import os
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))

import zig_build

PROGRAM = "import backend, os, sys; os.chdir(sys.argv[1]); print(backend.build_sdist(sys.argv[2]))"
NEEDED = ("LICENSE", "README.md", "pyproject.toml", "core_c/CMakeLists.txt", "core_c/include/gemel.h",
          "pyodide_pkg/build/backend.py", "pyodide_pkg/gemel/__init__.py", "native/gemel_native/cli.py",
          "web/gemel_web/app.py", "web/gemel_web/static/gemel.js", "PKG-INFO")  # fmt: skip
BUILT = (".so", ".dll", ".dylib", ".o", ".a", ".wasm", ".whl", ".pyc", ".gguf", ".gz", ".zip")


def build(out: Path) -> Path:
    """Write the archive into `out` and return its path. BuildError: it lacks something, or has what was built."""
    out.mkdir(parents=True, exist_ok=True)
    python_path = str(zig_build.ROOT / "pyodide_pkg" / "build")
    command: list[str | Path] = [sys.executable, "-c", PROGRAM, zig_build.ROOT, out.resolve()]
    made = out / zig_build.run(command, env={**os.environ, "PYTHONPATH": python_path}).splitlines()[-1]
    if found := faults(made):
        made.unlink()
        raise zig_build.BuildError("\n".join(f"{made.name}: {fault}" for fault in found))
    return made


def faults(archive: Path) -> list[str]:
    """Return a sentence for each thing that is wrong with an archive."""
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    lacking = [f"it has no {name}" for name in NEEDED if name not in names]
    return lacking + [f"{name} is not a source" for name in sorted(names) if name.endswith(BUILT)]
