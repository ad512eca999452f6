"""Wheels of other platforms, put together here: what they have, equal bytes, and an audit that finds what is wrong."""

import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import building
import pytest
import wheels
import zig_build
from platforms import PLATFORMS

pytestmark = [pytest.mark.cross, pytest.mark.slow]

COMPILED = ("musl-aarch64", "windows-x64", "macos-x86_64", "macos-arm64")   # whose cores test_cross.py compiles, too
Files = dict[str, bytes]
CORE = "gemel/_core/libgemel.so"
ABOUT = "gemel-0.1.0.dist-info/"


def faults(wheel: Path, name: str) -> list[str]:
    """Return what the audit prints, in a separate process: lief complains at the end of some."""
    done = building.execute([sys.executable, building.ROOT / "native" / "build" / "audit.py", name, wheel])
    assert (done.returncode == 0) == (done.stdout == ""), done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def python() -> Files:
    return wheels.python_files()


def core(name: str) -> Path:
    folder = building.cross(PLATFORMS[name].target)
    building.build(folder, "gemel")
    return folder / PLATFORMS[name].library


@pytest.mark.parametrize("name", COMPILED)
def test_a_platforms_wheel_has_no_fault_and_equal_bytes_again(name: str, python: Files, tmp_path: Path) -> None:
    wheel = wheels.assemble(python, core(name), PLATFORMS[name], tmp_path)
    again = wheels.assemble(dict(reversed(python.items())), core(name), PLATFORMS[name], tmp_path / "again")
    assert faults(wheel, name) == []
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"gemel/__init__.py", "gemel_native/cli.py", "gemel/_core/include/gemel.h"} <= set(names)
    assert not any(name.startswith("gemel_web/static/") for name in names)
    assert wheel.stat().st_size < 2e6


def test_the_extra_serve_of_a_wheel_needs_the_page_of_its_version(python: Files) -> None:
    metadata = python[f"{ABOUT}METADATA"].decode()
    added = set(wheels.with_page(metadata).splitlines()) - set(metadata.splitlines())
    assert added == {'Requires-Dist: gemel-page==0.1.0; extra == "serve"'}
    with pytest.raises(zig_build.BuildError, match="has no extra `serve`"):
        wheels.with_page(metadata.replace("Provides-Extra: serve\n", ""))


def changed(wheel: Path, change: Callable[[Files], Files]) -> Path:
    """Write a wheel beside another one, with other files."""
    with zipfile.ZipFile(wheel) as old:
        files = change({name: old.read(name) for name in old.namelist()})
    made = wheel.parent / "changed" / wheel.name
    made.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(made, "w") as new:
        for name, data in files.items():
            new.writestr(name, data)
    return made


def without(*names: str) -> Callable[[Files], Files]:
    return lambda files: {name: data for name, data in files.items() if name not in names}


@pytest.mark.parametrize(("change", "fault"), [
    (without(CORE), f"it has no core: {CORE}"),
    (without(f"{ABOUT}licenses/LICENSE"), "it has no licence: .dist-info/licenses/LICENSE"),
    (without("gemel/py.typed"), "gemel/py.typed is in RECORD alone"),
    (without(f"{ABOUT}RECORD"), "it has no RECORD"),
    (lambda files: files | {"gemel/more.py": b""}, "gemel/more.py is not in RECORD"),
    (lambda files: files | {"gemel/py.typed": b"1"}, "RECORD has another hash or size of gemel/py.typed"),
    (lambda files: files | {"gemel/_core/other.so": b""}, "gemel/_core/other.so is a binary beside the core"),
    (lambda files: files | {CORE: files[CORE] + b"/home/someone/gemel/core_c"},
     f"{CORE} has a path of the machine that built it: /home/someone"),
    (lambda files: files | {f"{ABOUT}WHEEL": files[f"{ABOUT}WHEEL"].replace(b"musllinux_1_2", b"manylinux_2_17")},
     "WHEEL has the tags py3-none-manylinux_2_17_aarch64 instead of py3-none-musllinux_1_2_aarch64"),
    (lambda files: files | {CORE: b"no library"}, "the core is no library for linux-musl"),
])  # fmt: skip
def test_the_audit_names(change: Callable[[Files], Files], fault: str, python: Files, tmp_path: Path) -> None:
    platform = PLATFORMS["musl-aarch64"]
    wheel = wheels.assemble(python, core("musl-aarch64"), platform, tmp_path)
    assert fault in faults(changed(wheel, change), "musl-aarch64")


def test_the_audit_names_what_a_core_of_another_platform_needs(python: Files, tmp_path: Path) -> None:
    here = building.native("plain")
    building.build(here, "gemel")
    library = here / "libgemel.so"
    if not library.exists():
        building.lacking("this is not Linux")
    linux, windows = PLATFORMS["linux-aarch64"], PLATFORMS["windows-x64"]
    found = faults(wheels.assemble(python, library, linux, tmp_path), "linux-aarch64")
    assert any(one.endswith("not for aarch64") for one in found), found
    assert any("the tag promises glibc 2.17" in one for one in found), found   # a newer system compiled it
    found = faults(wheels.assemble(python, library, windows, tmp_path), "windows-x64")
    assert "the core is no library for windows-gnu" in found


AVX = bytes.fromhex("c5f458c2")   # vaddps %ymm2, %ymm1, %ymm0
DOT = bytes.fromhex("2094824e")   # sdot v0.4s, v1.16b, v2.16b
NOPS = b"\xcc" * 4   # between functions


@pytest.mark.parametrize(("name", "gap", "put", "fault"), [
    ("windows-x64", NOPS, AVX, r"AVX or AVX2 in \.(text|scalar)"),
    ("musl-aarch64", None, DOT, r"dot product in \.(text|neon)"),
    ("macos-arm64", None, bytes.fromhex("20a4824e"), r"i8mm in \w+"),
])  # fmt: skip
def test_the_audit_names_an_instruction_outside_its_section(
    name: str, gap: bytes | None, put: bytes, fault: str, python: Files, tmp_path: Path
) -> None:
    library = tmp_path / PLATFORMS[name].library
    code = core(name).read_bytes()
    at = code.index(gap) if gap else code.index(bytes.fromhex("c0035fd6"))   # ret
    library.write_bytes(code[:at] + put + code[at + 4 :])
    found = faults(wheels.assemble(python, library, PLATFORMS[name], tmp_path), name)
    found = [one for one in found if "signature" not in one]
    assert len(found) == 1
    machine = PLATFORMS[name].machine
    wanted = rf"the core has an instruction of {fault}, at byte 0x\w+: not every {machine} has it"
    assert re.fullmatch(wanted, found[0]), found


def test_the_audit_names_a_file_name_with_other_tags(python: Files, tmp_path: Path) -> None:
    wheel = wheels.assemble(python, core("macos-arm64"), PLATFORMS["macos-arm64"], tmp_path)
    renamed = wheel.rename(wheel.with_name(wheel.name.replace("11_0", "12_0")))
    assert faults(renamed, "macos-arm64") == [
        "its file name does not end with -py3-none-macosx_11_0_arm64.whl"
    ]
