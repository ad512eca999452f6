"""Build a wheel for each platform on this machine, by the zig of the ziglang wheel. Equal sources give equal bytes.

    python native/build/wheels.py [--out dist] [PLATFORM ...]

Without PLATFORM: for all that platforms.py lists. Each wheel is checked (audit.py) before it is written to --out.
"""

import argparse
import csv
import io
import os
import shutil
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))

import zig_build
from backend import entry, record_line
from platforms import PLATFORMS, Platform
from pyodide_wheel import UNWANTED

CORE = "gemel/_core/"
ASSETS = ("assets.json", "LICENCES.txt", "pyodide/", "vendor/", "wheels/")   # of `make assets`, for the page
LEFT_OUT = (CORE, *(f"gemel_web/static/{name}" for name in ASSETS))


def library(name: str) -> Path:
    """Compile the core for a platform, and return its library."""
    folder = zig_build.ROOT / "build" / "wheels" / name
    zig_build.configure_zig(folder, PLATFORMS[name].target, "-DGEMEL_WERROR=ON")
    zig_build.build(folder, "gemel")
    return folder / PLATFORMS[name].library


def python_files() -> dict[str, bytes]:
    """Return the files of a wheel without the core: what scikit-build-core puts into one, except the page's assets."""
    made = zig_build.ROOT / "build" / "wheels" / "python"
    shutil.rmtree(made, ignore_errors=True)
    env = {key: value for key, value in os.environ.items() if key not in UNWANTED}
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(made)]
    zig_build.run([*pip, "--config-settings", "wheel.cmake=false", zig_build.ROOT], env=env)
    (built,) = made.glob("*.whl")
    with zipfile.ZipFile(built) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/") and not name.startswith(LEFT_OUT)]
        return {name: wheel.read(name) for name in names}


def assemble(python: dict[str, bytes], core: Path, platform: Platform, out: Path) -> Path:
    """Write the wheel of a platform into `out`: sorted, and with nothing of the clock or the umask. Return its path."""
    header = zig_build.ROOT / "core_c" / "include" / "gemel.h"
    added = {f"{CORE}{platform.library}": core.read_bytes(), f"{CORE}include/gemel.h": header.read_bytes()}
    folder = next(name for name in python if name.endswith(".dist-info/RECORD")).removesuffix("RECORD")
    kept = [line for line in python[f"{folder}WHEEL"].decode().splitlines() if not line.startswith(("Tag:", "Root-Is"))]
    tags = [f"Tag: py3-none-{tag}" for tag in platform.tags]
    about = "\n".join([*filter(None, kept), "Root-Is-Purelib: false", *tags, ""]).encode()
    files = {**python, **added, f"{folder}WHEEL": about}
    del files[f"{folder}RECORD"]
    rows = io.StringIO()
    listed = [record_line(name, files[name]) for name in sorted(files)]
    csv.writer(rows, lineterminator="\n").writerows([*listed, (f"{folder}RECORD", "", "")])
    files[f"{folder}RECORD"] = rows.getvalue().encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{folder.removesuffix('.dist-info/')}-py3-none-{platform.tag}.whl"
    with zipfile.ZipFile(wheel, "w") as new:
        for name in sorted(files, key=lambda name: (name.startswith(folder), name)):
            new.writestr(entry(name, zipfile.ZIP_DEFLATED), files[name], compresslevel=9)
    return wheel


def build(name: str, python: dict[str, bytes], out: Path) -> Path:
    """Build the wheel of one platform into `out` and return its path. BuildError: it is not as it must be."""
    from audit import faults  # here: lief takes long to import, and complains at the end of some programs

    platform = PLATFORMS[name]
    wheel = assemble(python, library(name), platform, zig_build.ROOT / "build" / "wheels" / "made")
    if found := faults(wheel, platform):
        raise zig_build.BuildError("\n".join(f"{wheel.name}: {fault}" for fault in found))
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(wheel, out / wheel.name))


def main() -> None:
    """Build the wheels that the command line asks for, and print each with its size."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    options.add_argument("--out", type=Path, default=zig_build.ROOT / "dist", help="the folder (dist)")
    given = options.parse_args()
    if unknown := [name for name in given.platforms if name not in PLATFORMS]:
        options.error(f"there is no platform {unknown[0]!r}: {', '.join(PLATFORMS)}")
    try:
        python = python_files()
        for name in given.platforms or PLATFORMS:
            wheel = build(name, python, given.out)
            print(f"{wheel}  {wheel.stat().st_size / 1e6:.2f} MB", flush=True)
    except zig_build.BuildError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
