"""Wheels of other platforms, put together here: what they have, equal bytes, and an audit that finds what is wrong."""

import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import building
import gemel
import pytest
import wheels
import zig_build
from conftest import tiny_bytes
from doc_examples import c_examples
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


CONFIGURE = """
import pathlib, sys, zig_build
zig_build.configure_zig(pathlib.Path(sys.argv[1]), sys.argv[2], "-DGEMEL_WERROR=ON")
"""
COMPILED_AGAIN = ("errors.c", "table.c", "gguf.c")


def test_a_library_has_equal_bytes_in_another_folder(tmp_path: Path) -> None:
    """A few files are compiled there, and all are linked."""
    platform = PLATFORMS["windows-x64"]
    here = core("windows-x64").parent
    source = building.copy_tree(tmp_path / "other")
    there = source / "build"
    command: list[str | Path] = [sys.executable, "-c", CONFIGURE, there, platform.target]
    done = building.execute(command, env={"PYTHONPATH": str(source / "pyodide_pkg" / "build")})
    assert done.returncode == 0, done.stdout
    ninja = zig_build.tool("ninja")
    if ninja is None:
        building.lacking("ninja is not installed")
    commands = building.execute([ninja, "-C", there, "-t", "commands", platform.library]).stdout.splitlines()
    for made in here.glob("CMakeFiles/gemel_objects.dir/**/*.obj"):
        copied = there / made.relative_to(here)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(b"" if made.name.removesuffix(".obj") in COMPILED_AGAIN else made.read_bytes())
    again = [one for one in commands if one.endswith(tuple(f"/{name}" for name in COMPILED_AGAIN))]
    assert len(again) == len(COMPILED_AGAIN)
    for one in [*again, commands[-1]]:
        done = building.execute(["sh", "-c", f"cd {there} && {one}"])
        assert done.returncode == 0, done.stdout
    assert (there / platform.library).read_bytes() == (here / platform.library).read_bytes()


def test_the_c_program_of_the_manual_goes_on_with_a_text_on_windows(tmp_path: Path) -> None:
    platform, library = PLATFORMS["windows-x64"], core("windows-x64")
    wine = zig_build.tool("wine64") or Path("/usr/lib/wine/wine64")
    if not wine.exists():
        building.lacking("wine is not installed (Debian: wine64)")
    (tmp_path / "hello.c").write_text(c_examples()[0])
    (tmp_path / "model.gguf").write_bytes(tiny_bytes())
    (tmp_path / library.name).write_bytes(library.read_bytes())
    include = f"-I{building.ROOT / 'core_c' / 'include'}"
    zig: list[str | Path] = [zig_build.zig(), "cc", "-target", platform.target, include]
    zig += ["-mcpu=baseline", "-g0", "-O2"]   # as zig.cmake has it: zig compiles its own library once for all
    done = building.execute([*zig, tmp_path / "hello.c", library, "-o", tmp_path / "hello.exe"])
    assert done.returncode == 0, done.stdout
    env = {"WINEPREFIX": str(building.BUILD / "wine"), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
    quiet: list[str | Path] = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", wine]
    done = building.execute([*quiet, tmp_path / "hello.exe", tmp_path / "model.gguf", "the quick"], env=env)
    assert done.returncode == 0, done.stdout
    with gemel.open(tiny_bytes()) as model:
        expected = model.generate("the quick", max_tokens=64, temperature=0).read()
    said = done.stdout.replace("\r\n", "\n")
    assert len(said) > 20
    assert expected.startswith(said)


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
