"""site.json names the files of gemel's site that are not made, so that a copy of the site is a whole one."""

from __future__ import annotations

import gzip
import json

import assets

NOT_NEEDED = {"sw.js", "site.json"}   # the browser keeps the one, and the other says what is kept


def test_the_pages_own_scripts_and_styles_stay_small() -> None:
    files = [path for path in assets.STATIC.rglob("*") if path.suffix in (".js", ".css")]
    own = [path for path in files if path.relative_to(assets.STATIC).parts[0] not in assets.MADE]
    assert len(own) > 40
    assert sum(len(gzip.compress(path.read_bytes())) for path in own) < 150_000


def test_it_names_every_file_that_a_page_can_need() -> None:
    named = json.loads((assets.STATIC / "site.json").read_text(encoding="utf-8"))["files"]
    assert named == sorted(named)
    there = {
        path.relative_to(assets.STATIC).as_posix()
        for path in assets.STATIC.rglob("*")
        if path.is_file() and path.relative_to(assets.STATIC).parts[0] not in assets.MADE
    }
    wanted = {name for name in there if not name.endswith(".d.ts")} - NOT_NEEDED
    assert set(named) == wanted, "web/gemel_web/static/site.json must name what is in its folder"
