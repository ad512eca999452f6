"""Builds gemel-page, the wheel with gemel's page: its modules, and what `make assets` gathers for them.

    python native/build/wheels.py page

The wheels of the engine have no page; their extra `serve` depends on gemel-page of the same version. A source tree has
its page in web/gemel_web/static, and needs no such wheel.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "native" / "build"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))

import assets
import pyodide_wheel
from wheel_file import about, write_wheel

ROOT = assets.ROOT
MODULE = b'"""gemel\'s page as files, in the folder `static`. gemel serves them."""\n'
STATIC = "gemel_page/static/"
LEFT_OUT = ("__pycache__", *assets.MADE)
# Of what LICENCES.txt lists.
LICENCE = "MIT AND MPL-2.0 AND PSF-2.0 AND BSD-3-Clause AND (MPL-2.0 OR Apache-2.0)"
SUMMARY = "gemel's page and everything that it needs in a tab: Pyodide, wheels, modules"


def gathered(out: Path, wheel: Path) -> Path:
    """Fill a folder with the page, given gemel's wheel for Pyodide, and return it."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(assets.STATIC, out, ignore=shutil.ignore_patterns(*LEFT_OUT), copy_function=shutil.copyfile)
    wheels = [assets.Wheel(wheel, "tab"), *(assets.Wheel(assets.fetch_wheel(one), "tab") for one in assets.TAB)]
    wheels += [assets.Wheel(assets.fetch_wheel(one), "server") for one in assets.SERVER]
    assets.gather(out, assets.fetch_pyodide(), wheels, assets.fetch_vendor())
    return out


def write(page: Path, out: Path) -> Path:
    """Write the wheel of a page's folder into `out`, and return its path."""
    described = pyodide_wheel.project()
    version, folder = described["version"], f"gemel_page-{described['version']}.dist-info/"
    names = [path for path in page.rglob("*") if path.is_file()]
    files = {f"{STATIC}{path.relative_to(page).as_posix()}": path.read_bytes() for path in names}
    files["gemel_page/__init__.py"] = MODULE
    files[f"{folder}licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    files[f"{folder}licenses/LICENCES.txt"] = (page / "LICENCES.txt").read_bytes()
    lines = {
        "Metadata-Version": "2.4", "Name": "gemel-page", "Version": version, "Summary": SUMMARY,
        "License-Expression": LICENCE, "License-File": "LICENSE",
        "Requires-Python": described["requires-python"],
    }  # fmt: skip
    head = "".join(f"{name}: {value}\n" for name, value in lines.items()) + "License-File: LICENCES.txt\n"
    files[f"{folder}METADATA"] = head.encode()
    files[f"{folder}WHEEL"] = about(["py3-none-any"], generator="gemel", pure=True)
    return write_wheel(files, "py3-none-any", out)
