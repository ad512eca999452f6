"""Cross-compile the core with the zig of the ziglang wheel: one CMake build folder a target.

Knows where zig, cmake and ninja are and which options core_c/cmake/zig.cmake wants; knows nothing of what is built.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BuildError(RuntimeError):
    """A tool is missing, or a build failed; the message holds the end of its output."""


def tool(name: str) -> Path | None:
    """Return a program's path: beside the running Python first, then on PATH; None when it is not installed."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return Path(found) if found else None


def zig() -> Path:
    """Return the zig program of the ziglang wheel."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise BuildError("ziglang is not installed: pip install -e '.[dev]'")
    return Path(spec.origin).parent / ("zig.exe" if os.name == "nt" else "zig")


def run(command: list[str | Path], *, env: dict[str, str] | None = None) -> str:
    """Run a command, in another environment if one is given; return what it printed. BuildError with the last lines."""
    words = [str(part) for part in command]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-60:])
        raise BuildError(f"{' '.join(words)} failed ({done.returncode}):\n{end}")
    return done.stdout


def configure(folder: Path, *options: str) -> None:
    """Configure the core in `folder`, by ninja where it is installed; a folder that is configured alike stays."""
    cmake, ninja = tool("cmake"), tool("ninja")
    if cmake is None:
        raise BuildError("cmake is not installed: pip install -e '.[dev]'")
    wanted = "\n".join([str(cmake), str(ninja), *options])
    stamp = folder / "configured.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    generator: list[str | Path] = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    run([cmake, "-S", ROOT / "core_c", "-B", folder, *generator, *options])
    stamp.write_text(wanted)


def build(folder: Path, target: str) -> str:
    """Build one CMake target of a configured folder and return what the compilers printed."""
    cmake = tool("cmake")
    assert cmake is not None
    return run([cmake, "--build", folder, "--target", target, "--parallel", str(os.cpu_count() or 1)])


def configure_zig(folder: Path, target: str, *options: str) -> None:
    """Configure the core in `folder` for one of the targets that core_c/cmake/zig.cmake names."""
    toolchain = ROOT / "core_c" / "cmake" / "zig.cmake"
    configure(
        folder,
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        f"-DGEMEL_ZIG={zig()}",
        f"-DGEMEL_ZIG_TARGET={target}",
        *options,
    )
