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
    assert found["asked"].count("GET part") > 15
    assert found["most"] <= 3   # one request's, and node's own


def test_an_answer_that_is_of_another_file_is_not_read_on(script: Path) -> None:
    found = load(script, "changed")
    assert (found["what"], found["cutOff"]) == ("changed", True)


# ---- Versions --------------------------------------------------------------------------------------------------------

PART = "GET part"
ONE, TWO = {"ETag": '"1"'}, {"ETag": '"2"'}
DAY, NEXT = ({"Last-Modified": f"Tue, 0{day} Apr 2025 00:00:00 GMT"} for day in (1, 2))
MIDDLE = 5_000_000   # bytes after which an answer breaks off
GONE: dict[str, str] = {}   # an answer that names no version

SAME: dict[str, tuple[dict[str, Any], list[str]]] = {   # what is answered, and what is asked for
    "parts that don't name it": ({"parts": [GONE], "wholes": [ONE]}, [PART, "GET"]),
    "parts that don't name it, a date": ({"parts": [GONE], "wholes": [DAY]}, [PART, "GET"]),
    "parts that don't name it, broken": (
        {"parts": [GONE], "wholes": [ONE], "lengths": [MIDDLE]}, [PART, "GET", "GET"],
    ),
    "wholes that stop naming it": (
        {"parts": [GONE], "wholes": [ONE, GONE, ONE], "lengths": [MIDDLE, 2 * MIDDLE]},
        [PART, "GET", "GET", "GET"],
    ),
    "wholes that begin to name it": ({"wholes": [GONE, ONE], "lengths": [MIDDLE]}, [PART, "GET"]),
    "parts that stop naming it": ({"parts": [ONE, ONE, GONE], "wholes": [ONE]}, [PART] * 3 + ["GET"]),
    "parts and wholes that stop": ({"parts": [ONE, ONE, GONE], "wholes": [GONE]}, [PART] * 3 + ["GET"]),
    "a date beside a weak tag": ({"wholes": [{**DAY, "ETag": 'W/"1"'}, DAY], "lengths": [MIDDLE]}, [PART, "GET"]),
    "a tag in place of a date": (
        {"wholes": [DAY, ONE, {**ONE, **DAY}], "lengths": [MIDDLE] * 2}, [PART, "GET", "GET"],
    ),
    "another date of the same tag": (
        {"wholes": [{**ONE, **DAY}, {**ONE, **NEXT}], "lengths": [MIDDLE]}, [PART, "GET"],
    ),
}  # fmt: skip
CHANGED: dict[str, dict[str, Any]] = {
    "a version that was learnt later": {
        "parts": [GONE], "wholes": [ONE, TWO], "lengths": [MIDDLE], "bytes": [1, 2],
    },
    "a date that was learnt later": {"parts": [GONE], "wholes": [DAY, NEXT], "lengths": [MIDDLE], "bytes": [1, 2]},
    "learnt from the second stream": {
        "wholes": [GONE, ONE, TWO], "lengths": [MIDDLE, 2 * MIDDLE], "bytes": [1, 1, 2],
    },
    "no version, other bytes": {"wholes": [GONE], "lengths": [MIDDLE], "bytes": [1, 2]},
    "a version after none, other bytes": {"wholes": [GONE, ONE], "lengths": [MIDDLE], "bytes": [1, 2]},
    "another part": {"parts": [ONE, ONE, TWO]},
    "no version any more, other bytes": {"parts": [ONE, ONE, GONE], "wholes": [GONE], "bytes": [1]},
    "a whole of another version": {"parts": [ONE, ONE, GONE], "wholes": [TWO]},
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_version_that_is_not_named_is_unknown_not_different(script: Path, name: str) -> None:
    answers, requests = SAME[name]
    found = load(script, json.dumps(answers))
    assert (found["what"], found["bytes"]) == ("done", [7])
    assert found["posted"].count("block") == 41
    assert found["asked"] == requests


@pytest.mark.parametrize("name", CHANGED)
def test_another_version_is_not_mixed_with_the_first(script: Path, name: str) -> None:
    found = load(script, json.dumps(CHANGED[name]))
    assert found["what"] == "changed"
    assert len(found["bytes"]) <= 1


def test_a_page_is_refused_before_anything_else_is_said(script: Path) -> None:
    cases: list[dict[str, Any]] = [{"wholes": [{}]}, {"wholes": [ONE], "lengths": [2000]}]
    for answers in cases:
        found = load(script, json.dumps({**answers, "starts": "<html><title>Down</title>"}))
        assert (found["what"], found["posted"]) == ("refused", ["refused"])
