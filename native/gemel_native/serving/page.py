"""The folder of gemel's page, checked against the list of its files.

A source tree has it after `make assets`, in gemel_web/static; elsewhere it is the package gemel-page's.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import gemel
import gemel_web

STATIC = Path(gemel_web.__file__).parent / "static"


def page_folder() -> Path | None:
    """Return the page's folder; None if gemel was installed without one.

    Raises GemelError if a file is missing or differs from its entry in assets.json, or the page is another version's.
    """
    folder = STATIC if (STATIC / "assets.json").exists() else of_package()
    if folder is None:
        return None
    assets = json.loads((folder / "assets.json").read_text(encoding="utf-8"))
    for file in [one for group in assets.values() for one in group]:
        path = folder / file["name"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            raise gemel.GemelError(
                f"{path} is missing, or is not the file that assets.json names: run `make assets` again in a source "
                "tree, reinstall gemel-page elsewhere, or do without the page (gemel serve --no-page)"
            )
    return folder


def of_package() -> Path | None:
    """Return the folder of the package gemel-page; None if it is not installed."""
    try:
        package = importlib.metadata.distribution("gemel-page")
    except importlib.metadata.PackageNotFoundError:
        return None
    if package.version != gemel.__version__:
        raise gemel.GemelError(
            f"gemel-page {package.version} is installed, but this is gemel {gemel.__version__}: "
            f"pip install gemel-page=={gemel.__version__}, or do without the page (gemel serve --no-page)"
        )
    return Path(str(package.locate_file("gemel_page/static")))


def needed_page() -> Path:
    """Return the page's folder; raise GemelError if gemel was installed without it."""
    found = page_folder()
    if found is None:
        raise gemel.GemelError(
            f"{STATIC / 'assets.json'} is missing: this gemel was installed without the files of its page (Pyodide, "
            "wheels). Run `make assets` in a source tree; elsewhere install the wheel gemel-page"
        )
    return found
