"""The folder of gemel's page, checked against the list of files that `make assets` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import gemel
import gemel_web

STATIC = Path(gemel_web.__file__).parent / "static"


def page_folder() -> Path | None:
    """Return the page's folder; None if gemel was installed without what `make assets` gathers.

    Raises GemelError if a file is missing or differs from its entry in assets.json.
    """
    try:
        assets = json.loads((STATIC / "assets.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for file in [one for group in assets.values() for one in group]:
        path = STATIC / file["name"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            raise gemel.GemelError(
                f"{path} is missing, or is not the file that assets.json names: run `make assets` again in a source "
                "tree, reinstall gemel elsewhere, or do without the page (gemel serve --no-page)"
            )
    return STATIC


def needed_page() -> Path:
    """Return the page's folder; raise GemelError if gemel was installed without it."""
    found = page_folder()
    if found is None:
        raise gemel.GemelError(
            f"{STATIC / 'assets.json'} is missing: this gemel was installed without the files of its page (Pyodide, "
            "wheels). Run `make assets` in a source tree; elsewhere install a wheel that was built after that"
        )
    return found
