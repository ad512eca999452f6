"""docs/models.md and the README list what the package supports: architectures, short names, and llama.cpp's figures."""

from __future__ import annotations

import re

import building
import gemel
import peer

PAGE = (building.ROOT / "docs" / "models.md").read_text(encoding="utf-8")
UNITS = {"MB": 1e6, "GB": 1e9}


def rows_of(title: str) -> list[list[str]]:
    """Return the cells of the table whose head begins with `title`, without its head."""
    (table,) = re.findall(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_page_has_a_row_for_each_architecture() -> None:
    assert [row[0] for row in rows_of("architecture")] == list(gemel.ARCHITECTURES)


def test_the_readme_names_each_architecture() -> None:
    readme = (building.ROOT / "README.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"^\| Architectures \| (.*): \[", readme, re.MULTILINE)
    assert named.split(", ") == list(gemel.ARCHITECTURES)


def test_the_page_has_each_short_name_with_its_size_and_licence() -> None:
    rows = rows_of("name")
    assert [row[0] for row in rows] == list(gemel.NAMES)
    for name, arch, size, licence in rows:
        known = gemel.NAMES[name]
        assert licence == known.licence
        assert arch in gemel.ARCHITECTURES
        number, unit = size.split()
        if known.size is not None:
            digits = len(number.partition(".")[2])
            assert round(known.size / UNITS[unit], digits) == float(number), name


def test_llama_cpps_figures_are_those_of_the_golden_file() -> None:
    golden = peer.read(peer.FOLDER / "gemma-3-270m.json") | peer.read(peer.FOLDER / "gemma-3-270m-f16.json")
    rows = {row[0]: row[1:] for row in rows_of("Gemma 3 270M")}
    labels = {"Q4_K_M: mean NLL of llama.cpp, F16 cache": "", "the same weights in F16: llama.cpp": ", f16"}
    for label, suffix in labels.items():
        assert rows[label] == [f"{golden[text + suffix].nll[0]:.4f}" for text in ("english", "code")]
