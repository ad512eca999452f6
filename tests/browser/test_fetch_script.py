"""The download worker's script by itself, under node: a server that does not answer, and what a load leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import building
import pytest
from browser.hosts import STATIC

pytestmark = [pytest.mark.wasm, pytest.mark.slow]
PARTS = ("store", "remote", "load")   # as core_c/cmake/wheel puts them together


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = building.ROOT / "pyodide_pkg" / "engine" / "fetch"
    text = "".join((folder / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
    made = tmp_path / "fetch.js"
    made.write_text(f'"use strict";\n(() => {{\n{text}}})();\n', encoding="utf-8")
    return made


def load(script: Path, scenario: str) -> Any:  # noqa: ANN401
    """Load a file; return what fetch_bed.mjs prints."""
    done = building.execute([building.node(), STATIC / "fetch_bed.mjs", script, scenario])
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout.splitlines()[-1])


def test_a_size_that_is_not_told_in_time_is_asked_for_again(script: Path) -> None:
    found = load(script, "head")
    assert found["what"] == "done"
    assert found["asked"].count("HEAD") == 2
    assert found["posted"].count("block") == 41


def test_many_requests_leave_no_listeners_behind(script: Path) -> None:
    found = load(script, "listeners")
    assert found["what"] == "done"
    assert found["asked"].count("GET") > 15
    assert found["most"] <= 3   # one request's, and node's own


def test_an_answer_that_is_of_another_file_is_not_read_on(script: Path) -> None:
    found = load(script, "changed")
    assert (found["what"], found["cutOff"]) == ("changed", True)
