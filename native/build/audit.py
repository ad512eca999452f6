"""What must be true of a wheel before it is published: faults() finds what is not.

    python native/build/audit.py PLATFORM WHEEL     (page: the wheel gemel-page)

Prints a line for each fault, and fails if there is one.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import lief
from platforms import PLATFORMS, Platform
from sections import faults_of_code, text

SIZE_MAX = 2_000_000
CORE = "gemel/_core/"
PAGE = "gemel_page/static/"
BINARIES = (".so", ".dll", ".dylib", ".pyd", ".wasm", ".a", ".o")
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = re.compile(rb"(?:/home/|/root/|/Users/|[A-Za-z]:\\Users\\)[\w.+-]+")   # of who compiled the core
LIBRARIES = {   # that the core may load, by the part of zig's target that names the system
    "linux-gnu": {"libc.so.6", "libpthread.so.0", "libm.so.6", "libdl.so.2", "ld-linux-x86-64.so.2",
                  "ld-linux-aarch64.so.1"},
    "linux-musl": {"libc.so"},
    "windows-gnu": {"kernel32.dll", "ntdll.dll", "msvcrt.dll", "ucrtbase.dll", "api-ms-win-core-synch-l1-2-0.dll"},
    "macos": {"/usr/lib/libSystem.B.dylib"},
}   # fmt: skip
EXPORTED = {   # by linkers
    "_init", "_fini", "DllMainCRTStartup", "_DllMainCRTStartup", "__dso_handle", "_dso_handle", "_mh_dylib_header",
    "mh_dylib_header",
}   # fmt: skip
MACHINES = {"x86_64": {"X86_64", "AMD64"}, "aarch64": {"AARCH64", "ARM64"}}   # as ELF, PE and Mach-O call them

lief.logging.disable()   # faults() says what is wrong


def faults(wheel: Path, platform: Platform) -> list[str]:
    """Return a sentence for each thing that is wrong with a wheel; none for a good one."""
    if wheel.stat().st_size > SIZE_MAX:
        size = f"it has {wheel.stat().st_size} bytes, more than {SIZE_MAX}"
        return [size, *_of_files(wheel, platform)]
    return list(_of_files(wheel, platform))


def faults_of_page(wheel: Path) -> list[str]:
    """Return a sentence for each thing that is wrong with the wheel gemel-page."""
    files = read(wheel)
    listed = json.loads(files.get(f"{PAGE}assets.json", b"{}"))
    found = [*_of_every(wheel.name, files, ("any",))]
    if not listed:
        found.append(f"it has no {PAGE}assets.json")
    for one in [one for group in listed.values() for one in group]:
        if hashlib.sha256(files.get(f"{PAGE}{one['name']}", b"")).hexdigest() != one["sha256"]:
            found.append(f"{PAGE}{one['name']} is missing, or is not the file that assets.json names")
    return found


def read(wheel: Path) -> dict[str, bytes]:
    """Return a wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _of_every(file_name: str, files: dict[str, bytes], tags: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with any wheel: its tags, RECORD and licence, and paths of the machine that built it."""
    yield from _of_tags(file_name, files, tags)
    yield from _of_record(files)
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in files):
        yield "it has no licence: .dist-info/licenses/LICENSE"
    for name, data in files.items():
        found = FOLDERS.search(data) if name.startswith(CORE) else None
        if found or str(ROOT).encode() in data:
            path = found[0].decode(errors="replace") if found else str(ROOT)
            yield f"{name} has a path of the machine that built it: {path}"


def _of_files(wheel: Path, platform: Platform) -> Iterator[str]:
    files = read(wheel)
    yield from _of_every(wheel.name, files, platform.tags)
    core = f"{CORE}{platform.library}"
    yield from (f"{name} is a binary beside the core" for name in files if name.endswith(BINARIES) and name != core)
    if core in files:
        yield from _of_core(files[core], platform)
    else:
        yield f"it has no core: {core}"


def _of_tags(file_name: str, files: dict[str, bytes], tags: tuple[str, ...]) -> Iterator[str]:
    if not file_name.endswith(f"-py3-none-{'.'.join(tags)}.whl"):
        yield f"its file name does not end with -py3-none-{'.'.join(tags)}.whl"
    about = next((data.decode() for name, data in files.items() if name.endswith(".dist-info/WHEEL")), "")
    found = sorted(re.findall(r"^Tag: (.*)$", about, re.MULTILINE))
    wanted = sorted(f"py3-none-{tag}" for tag in tags)
    if found != wanted:
        yield f"WHEEL has the tags {', '.join(found) or 'none'} instead of {', '.join(wanted)}"


def _of_record(files: dict[str, bytes]) -> Iterator[str]:
    record = next((name for name in files if name.endswith(".dist-info/RECORD")), "")
    if not record:
        yield "it has no RECORD"
        return
    listed = {row[0]: row[1:] for row in csv.reader(io.StringIO(files[record].decode()))}
    for name in sorted(files.keys() | listed.keys()):
        if name not in listed or name not in files:
            yield f"{name} is {'not in RECORD' if name in files else 'in RECORD alone'}"
        elif name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            if listed[name] != [f"sha256={digest}", str(len(files[name]))]:
                yield f"RECORD has another hash or size of {name}"


def _of_core(data: bytes, platform: Platform) -> Iterator[str]:
    """Yield what is wrong with the core's library."""
    binary = lief.parse(data)
    system = next(name for name in LIBRARIES if f"-{name}" in platform.target)
    if isinstance(binary, lief.ELF.Binary) and system.startswith("linux"):
        machine = binary.header.machine_type.name
        needed = [text(one) for one in binary.libraries]
        yield from _of_elf(binary, platform)
    elif isinstance(binary, lief.PE.Binary) and system.startswith("windows"):
        machine = binary.header.machine.name
        needed = [text(one.name).lower() for one in binary.imports]
    elif isinstance(binary, lief.MachO.Binary) and system == "macos":
        machine = binary.header.cpu_type.name
        needed = [text(one.name) for one in binary.libraries if one.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB]
        yield from _of_macho(binary, platform)
    else:
        yield f"the core is no library for {system}"
        return
    if machine not in MACHINES[platform.machine]:
        yield f"the core is for {machine}, not for {platform.machine}"
    else:
        yield from faults_of_code(binary, platform)
    allowed = LIBRARIES[system]
    yield from (
        f"the core loads {name}, which other machines may not have" for name in needed
        if name not in allowed and not name.startswith("api-ms-win-crt-")
    )   # fmt: skip
    own = {text(one.name).removeprefix("_") for one in binary.exported_functions} - EXPORTED
    if not any(name.startswith("gemel_") for name in own):
        yield "the core exports no gemel_*"
    yield from (f"the core exports {name}" for name in sorted(own) if not name.startswith("gemel_"))


def _of_elf(binary: lief.ELF.Binary, platform: Platform) -> Iterator[str]:
    if newest := re.search(r"gnu\.(\d+)\.(\d+)$", platform.target):
        limit = (int(newest[1]), int(newest[2]))
        for one in binary.imported_symbols:
            auxiliary = one.symbol_version and one.symbol_version.symbol_version_auxiliary
            version = text(auxiliary.name) if auxiliary else ""
            found = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", version)
            if found and (int(found[1]), int(found[2])) > limit:
                yield f"the core needs {text(one.name)} of {version}: the tag promises glibc {limit[0]}.{limit[1]}"
    if binary.has(lief.ELF.DynamicEntry.TAG.RUNPATH) or binary.has(lief.ELF.DynamicEntry.TAG.RPATH):
        yield "the core has a path where it looks for libraries"


def _of_macho(binary: lief.MachO.Binary, platform: Platform) -> Iterator[str]:
    oldest = ".".join(map(str, binary.build_version.minos[:2])) if binary.build_version else "none"
    if not platform.target.endswith(f"macos.{oldest}"):
        yield f"the core is for macOS {oldest} and later, not for {platform.target}"
    if platform.machine == "aarch64" and not binary.has_code_signature:
        yield "the core has no signature: arm64's macOS loads none without one"


if __name__ == "__main__":
    name, wheel = sys.argv[1], Path(sys.argv[2])
    found = faults_of_page(wheel) if name == "page" else faults(wheel, PLATFORMS[name])
    print(*found, sep="\n", end="\n" * bool(found))
    sys.exit(bool(found))
