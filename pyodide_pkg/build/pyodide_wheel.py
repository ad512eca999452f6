"""Build the Pyodide wheel and its entry for a pyodide-lock.json.

    python pyodide_pkg/build/pyodide_wheel.py [--out dist] [--compiler emcc|zig] [--base-url URL] [--lock FILE]

    <out>/gemel-<version>-py3-none-pyemscripten_2026_0_wasm32.whl
    <out>/pyodide-lock-entry.json   what goes under "packages" of a lock file; --base-url is where the wheel will be
    <out>/pyodide-lock.json         with --lock: that lock file with the entry in it, so that loadPackage("gemel") works

Without --compiler it is emcc where PATH has one (the reference), else the zig of the ziglang wheel; both give the same
logits. core_c/cmake/wheel says which modules are built, pyproject.toml which Python goes with them.
"""

import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import zig_build

PLATFORM = "pyemscripten_2026_0_wasm32"   # Pyodide 314
COMPILERS = ("emcc", "zig")
# What others set for a desktop's build; core_c/cmake/wheel itself drops CFLAGS and LDFLAGS.
UNWANTED = ("ARCHFLAGS", "CMAKE_ARGS", "CMAKE_TOOLCHAIN_FILE", "SKBUILD_CMAKE_ARGS")


def project() -> dict[str, Any]:
    """Return pyproject.toml's description of the project."""
    with (zig_build.ROOT / "pyproject.toml").open("rb") as file:
        described: dict[str, Any] = tomllib.load(file)["project"]
    return described


def best_compiler() -> str:
    """Return "emcc" where PATH has it, else "zig"."""
    return "emcc" if shutil.which("emcc") else "zig"


def compiler_option(compiler: str) -> str:
    """Return what tells core_c/cmake/wheel to take this compiler."""
    if compiler == "zig":
        return f"cmake.define.GEMEL_ZIG={zig_build.zig()}"
    found = shutil.which("emcc")
    if found is None:
        raise zig_build.BuildError("emcc is not on PATH: install Emscripten, or use zig (make wasm COMPILER=zig)")
    return f"cmake.define.GEMEL_EMCC={found}"


def build(out: Path = zig_build.ROOT / "dist", *, compiler: str | None = None) -> Path:
    """Build the wheel into `out` and return its path. Equal sources give equal bytes."""
    compiler = compiler or best_compiler()
    for module in ("pip", "scikit_build_core"):
        if importlib.util.find_spec(module) is None:
            raise zig_build.BuildError(f"{module} is not installed: pip install -e '.[dev]'")
    work = zig_build.ROOT / "build" / "wasm" / compiler
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    env = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    settings = (f"build-dir={work / 'cmake'}", compiler_option(compiler))
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(made)]
    options = [word for setting in settings for word in ("--config-settings", setting)]
    zig_build.run([*pip, *options, zig_build.ROOT], env={**env, "_PYTHON_HOST_PLATFORM": PLATFORM})
    (built,) = made.glob(f"*-{PLATFORM}.whl")
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / built.name
    shutil.copyfile(built, wheel)
    return wheel


def lock_entry(wheel: Path, base_url: str = "") -> dict[str, Any]:
    """Return this wheel's entry under "packages" of a lock file.

    Without `base_url` the wheel is looked for where Pyodide's own packages are (its packageBaseUrl).
    """
    name, version = wheel.name.split("-")[:2]
    dependencies = project()["dependencies"]
    return {
        name: {
            "name": name,
            "version": version,
            "file_name": urljoin(base_url, wheel.name),
            "install_dir": "site",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "package_type": "package",
            "imports": [name],
            "depends": sorted(line.split(">=")[0] for line in dependencies if ";" not in line),
            "unvendored_tests": False,
        }
    }


def locked(lock: Path, wheel: Path, base_url: str = "") -> dict[str, Any]:
    """Return a lock file's contents with this wheel among its packages."""
    contents = json.loads(lock.read_text())
    abi = contents["info"].get("abi_version")
    if not abi or abi not in PLATFORM:
        raise zig_build.BuildError(f"{lock} belongs to a Pyodide with ABI {abi}, but the wheel is for {PLATFORM}")
    return {**contents, "packages": {**contents["packages"], **lock_entry(wheel, base_url)}}


def write_json(path: Path, contents: dict[str, Any]) -> None:
    """Write a JSON file that people can read."""
    path.write_text(json.dumps(contents, indent=2) + "\n")


def sizes(wheel: Path) -> str:
    """Return what is in a wheel and what it weighs, gzipped, the heaviest first."""
    with zipfile.ZipFile(wheel) as archive:
        weights = {name: len(gzip.compress(archive.read(name), 9)) for name in archive.namelist()}
    python = sum(weight for name, weight in weights.items() if name.endswith(".py"))
    rows = [("gemel's Python", python), *(item for item in weights.items() if "/_core/" in item[0])]
    lines = [f"{weight:9,}  {name}" for name, weight in sorted(rows, key=lambda row: -row[1])]
    return "\n".join([*lines, f"{wheel.stat().st_size:9,}  {wheel.name}"])


def main() -> int:
    """Build the wheel and print what weighs how much; 1 with a sentence on stderr when it fails."""
    parser = argparse.ArgumentParser(description="Build the Pyodide wheel and its entry for a pyodide-lock.json.")
    parser.add_argument("--out", type=Path, default=zig_build.ROOT / "dist", help="the folder to fill")
    parser.add_argument("--compiler", choices=COMPILERS, help="emcc where PATH has it, else zig")
    parser.add_argument("--base-url", default="", help="the folder that will serve the wheel; it ends with /")
    parser.add_argument("--lock", type=Path, help="Pyodide's lock file, to be written to <out> with gemel in it")
    options = parser.parse_args()
    out, compiler = options.out.resolve(), options.compiler or best_compiler()
    try:
        wheel = build(out, compiler=compiler)
        write_json(out / "pyodide-lock-entry.json", lock_entry(wheel, options.base_url))
        if options.lock:
            write_json(out / "pyodide-lock.json", locked(options.lock, wheel, options.base_url))
    except zig_build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"by {compiler}, bytes gzipped:\n{sizes(wheel)}\n{wheel}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
