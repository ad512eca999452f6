"""Build all that is published, on this machine, by the zig of the ziglang wheel. Equal sources give equal bytes.

    python native/build/wheels.py [--out dist] [NAME ...]

    linux-x86_64 ...   the wheel of a platform that platforms.py lists
    pyemscripten       the wheel for Pyodide, as `make wasm` builds it
    page               the wheel gemel-page: the page, with Pyodide and what else `make assets` gathers
    npm                the package `gemel` for npm
    sdist              the sources

Without NAME: everything. Each file is checked before it is written to --out.
"""

import argparse
import functools
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "web" / "build"))

import assets
import npm_package
import page_wheel
import pyodide_wheel
import sdist
import zig_build
from platforms import PLATFORMS, Platform
from wheel_file import about, write_wheel

CORE = "gemel/_core/"
MADE = zig_build.ROOT / "build" / "wheels" / "made"
LEFT_OUT = (CORE, "gemel_web/static/")   # the page is gemel-page's


def library(name: str) -> Path:
    """Compile the core for a platform, and return its library."""
    folder = zig_build.ROOT / "build" / "wheels" / name
    zig_build.configure_zig(folder, PLATFORMS[name].target, "-DGEMEL_WERROR=ON")
    zig_build.build(folder, "gemel")
    return folder / PLATFORMS[name].library


def python_files() -> dict[str, bytes]:
    """Return the files of a wheel without the core: what scikit-build-core puts into one, except the page."""
    made = zig_build.ROOT / "build" / "wheels" / "python"
    shutil.rmtree(made, ignore_errors=True)
    env = {key: value for key, value in os.environ.items() if key not in pyodide_wheel.UNWANTED}
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(made)]
    zig_build.run([*pip, "--config-settings", "wheel.cmake=false", zig_build.ROOT], env=env)
    (built,) = made.glob("*.whl")
    with zipfile.ZipFile(built) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/") and not name.startswith(LEFT_OUT)]
        return {name: wheel.read(name) for name in names}


def assemble(python: dict[str, bytes], core: Path, platform: Platform, out: Path) -> Path:
    """Write the wheel of a platform into `out`, and return its path."""
    header = zig_build.ROOT / "core_c" / "include" / "gemel.h"
    added = {f"{CORE}{platform.library}": core.read_bytes(), f"{CORE}include/gemel.h": header.read_bytes()}
    folder = next(name for name in python if name.endswith(".dist-info/RECORD")).removesuffix("RECORD")
    generator = re.findall(r"^Generator: (.*)$", python[f"{folder}WHEEL"].decode(), re.MULTILINE)[0]
    tags = [f"py3-none-{tag}" for tag in platform.tags]
    metadata = with_page(python[f"{folder}METADATA"].decode()).encode()
    made = {f"{folder}METADATA": metadata, f"{folder}WHEEL": about(tags, generator=generator, pure=False)}
    return write_wheel({**python, **added, **made}, f"py3-none-{platform.tag}", out)


def with_page(metadata: str) -> str:
    """Return a wheel's METADATA whose extra `serve` needs gemel-page, too.

    pyproject.toml doesn't name it: a source tree has its page, and gemel-page comes from no index before its release.
    """
    version = re.findall(r"^Version: (.*)$", metadata, re.MULTILINE)[0]
    line = f'Requires-Dist: gemel-page=={version}; extra == "serve"\n'
    head, extra, rest = metadata.partition("Provides-Extra: serve\n")
    if not extra:
        raise zig_build.BuildError("METADATA has no extra `serve`, which is to need gemel-page")
    return head + extra + line + rest


def build(name: str, python: Callable[[], dict[str, bytes]], out: Path) -> Path:
    """Build the wheel of one platform into `out` and return its path. BuildError: it is not as it must be."""
    import audit  # here: lief takes long to import, and complains at the end of some programs

    platform = PLATFORMS[name]
    wheel = assemble(python(), library(name), platform, MADE)
    return checked(wheel, audit.faults(wheel, platform), out)


def checked(file: Path, faults: list[str], out: Path) -> Path:
    """Copy a file without faults into `out`, and return its path there."""
    if faults:
        raise zig_build.BuildError("\n".join(f"{file.name}: {fault}" for fault in faults))
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(file, out / file.name))


@functools.cache
def page() -> Path:
    """Return the page's folder, made once, with the wheel for Pyodide."""
    return page_wheel.gathered(MADE / "page", pyodide_wheel.build(MADE))


def build_page(out: Path) -> Path:
    """Build the wheel gemel-page into `out`."""
    import audit

    wheel = page_wheel.write(page(), MADE)
    return checked(wheel, audit.faults_of_page(wheel), out)


OTHERS: dict[str, Callable[[Path], Path]] = {
    "pyemscripten": pyodide_wheel.build,
    "page": build_page,
    "npm": lambda out: npm_package.write(page(), out),
    "sdist": sdist.build,
}


def main() -> None:
    """Build what the command line asks for, and print each file with its size."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*PLATFORMS, *OTHERS]))
    options.add_argument("--out", type=Path, default=zig_build.ROOT / "dist", help="the folder (dist)")
    given = options.parse_args()
    if unknown := [name for name in given.names if name not in {*PLATFORMS, *OTHERS}]:
        options.error(f"there is nothing called {unknown[0]!r} to build: {', '.join([*PLATFORMS, *OTHERS])}")
    python = functools.cache(python_files)
    try:
        for name in given.names or [*PLATFORMS, *OTHERS]:
            file = build(name, python, given.out) if name in PLATFORMS else OTHERS[name](given.out)
            print(f"{file}  {file.stat().st_size / 1e6:.2f} MB", flush=True)
    except (zig_build.BuildError, assets.AssetError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
