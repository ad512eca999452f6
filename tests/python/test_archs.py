"""The tests' table of architectures and the core's are the same, column by column."""

from __future__ import annotations

import re
from dataclasses import astuple, fields

import building
import golden_files
import pytest
from archs import ARCHS, Arch

TABLE = building.ROOT / "core_c" / "src" / "arch" / "archs.def"


def core_rows() -> dict[str, Arch]:
    """Return the rows ARCH(name, rope, norm, act, mixer, ffn, properties, ...) of archs.def."""
    text = re.sub(r"//[^\n]*", "", TABLE.read_text())
    found = {}
    for match in re.finditer(r"^ARCH\(([^()]*)\)", text, re.MULTILINE):
        columns = [" ".join(column.split()) for column in match[1].split(",")]
        row = Arch(*columns[: len(fields(Arch))])
        found[row.name] = row
    return found


def test_the_core_has_the_rows_of_the_tests() -> None:
    rows = core_rows()
    assert sorted(rows) == sorted(ARCHS), "archs.def and tests/archs.py name different architectures"
    for name, row in ARCHS.items():
        for column, ours, core in zip(fields(Arch), astuple(row), astuple(rows[name]), strict=True):
            where = f"{name}, column {column.name}: tests/archs.py has {ours!r}, archs.def {core!r}"
            assert set(ours.split(" | ")) == set(core.split(" | ")), where


def test_no_two_properties_are_one_bit() -> None:
    text = (building.ROOT / "core_c" / "src" / "model" / "kinds.h").read_text()
    bits = re.findall(r"#define (\w+) PROPERTY\((\d+)\)", text)
    assert len(bits) > 30
    assert [name for name, bit in bits if int(bit) > 127 or [other for _, other in bits].count(bit) > 1] == []


@pytest.mark.parametrize("name", ARCHS)
def test_each_architecture_has_golden_logits(name: str) -> None:
    assert golden_files.path_of(name).is_file(), f"run tests/golden/make_transformers.py {name}"
