"""`loadPackage("gemel")` in a page, by a lock file that has the address of gemel's wheel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyodide_files
import pyodide_wheel
import pytest
from browser.hosts import RELAXED

if TYPE_CHECKING:
    from browser.server import Served, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOAD = """async ({ indexURL, lockFileURL, packageBaseUrl }) => {
    const { loadPyodide } = await import(indexURL + "pyodide.mjs");
    const py = await loadPyodide({ indexURL, lockFileURL, packageBaseUrl });
    const loaded = await py.loadPackage("gemel");
    return [loaded.map((one) => one.name).sort(), py.runPython("import gemel, jinja2; list(gemel.isas())[-1]")];
}"""


def test_a_page_loads_gemel_by_name(tab: Callable[..., Any], server: Server, served: Callable[..., Served]) -> None:
    gemel = pyodide_files.gemel()
    wheel = served(gemel.read_bytes(), name=gemel.name)
    folder = wheel.url.removesuffix(gemel.name)
    lock = pyodide_wheel.locked(pyodide_files.pyodide() / "pyodide-lock.json", gemel, folder)
    for requirement in pyodide_files.PURE:
        file = pyodide_files.pure(requirement)
        entry = lock["packages"][requirement.split("==")[0]]
        entry.update(file_name=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    site = server.site().url
    where = {
        "indexURL": f"{site}/pyodide/",
        "lockFileURL": served(json.dumps(lock).encode(), name="pyodide-lock.json").url,
        "packageBaseUrl": f"{site}/wheels/",
    }
    loaded, isa = tab().page.evaluate(LOAD, where)
    assert loaded == ["Jinja2", "MarkupSafe", "gemel"]
    assert isa in RELAXED
