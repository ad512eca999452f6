"""Fail when compiled core code holds a fused multiply-add.

A fused instruction rounds once where the definition of the bits rounds twice, so one of them anywhere in the core makes
two machines disagree. Reads objects through objdump; WebAssembly's objects, and assembly listings (`.s`), as they are.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# x86 FMA3, FMA4 and complex FP16; AArch64 scalar, vector and widening; WebAssembly relaxed SIMD.
FUSED = re.compile(
    r"vfc?n?m(add|sub)\w*"
    r"|fn?m(add|sub)|fml[as]l?2?|fcmla|fmmla|bf(dot|ml\w+|mmla)"
    r"|f(32x4|64x2)\.relaxed_n?madd"
)
INSTRUCTION = re.compile(r"^(?:\s+[0-9a-f]+:)?\s+(?:\{\w+\} )?(?P<name>[a-z][\w.]*)")
UNREAD = re.compile(r"^\s+[0-9a-f]+:\s+(<unknown>|\(bad\))")   # by llvm-objdump, by objdump
# The instructions' bytes: 0xfd, and 0x105 to 0x108 as a LEB128 number, which may be longer than it has to be.
FUSED_WASM = re.compile(rb"\xfd([\x85-\x88])(?:\x02|\x82\x80*\x00)")
WASM = b"\0asm\1\0\0\0"
CODE = 10   # the section of functions
FUNCTION = re.compile(r"^(?:[0-9a-f]+ <(?P<object>[^>]+)>:|(?P<listing>[A-Za-z_][\w$]*):)")


def fused(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (function, instruction) for every fused multiply-add in a disassembly or an assembly listing."""
    function = "?"
    for line in lines:
        name = FUNCTION.match(line)
        if name:
            function = name["object"] or name["listing"]
            continue
        instruction = INSTRUCTION.match(line)
        if instruction and FUSED.fullmatch(instruction["name"]):
            yield function, instruction["name"]


def number(data: bytes, at: int) -> tuple[int, int]:
    """Return a LEB128 number and the place after it."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def functions(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of every function of a WebAssembly module or object."""
    at = len(WASM)
    while at < len(data):
        section, (size, start) = data[at], number(data, at + 1)
        at = start + size
        if section == CODE:
            n, start = number(data, start)
            for _ in range(n):
                size, start = number(data, start)
                yield data[start : start + size]
                start += size


def fused_wasm(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield (function, instruction) for all bytes that mean one, constants among them: none is overlooked."""
    names = ("f32x4.relaxed_madd", "f32x4.relaxed_nmadd", "f64x2.relaxed_madd", "f64x2.relaxed_nmadd")
    for index, function in enumerate(functions(data)):
        for found in FUSED_WASM.finditer(function):
            yield f"function {index}", names[found[1][0] - 0x85]


def disassemble(path: Path, objdump: str) -> list[str]:
    """Return the lines of a listing or of an object's disassembly; exit with a sentence when objdump can't read it."""
    if path.suffix == ".s":
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    done = subprocess.run(
        [*shlex.split(objdump), "-d", "--no-show-raw-insn", str(path)],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if unread := [line for line in lines if UNREAD.search(line)]:
        sys.exit(f"check_fma: {objdump} does not know instructions of {path}, for instance: {unread[0].strip()}")
    if done.returncode or not any("file format" in line for line in lines):
        sys.exit(f"check_fma: {objdump} cannot read {path}: {done.stderr.strip()}")
    return lines


def main() -> int:
    """Check the files named on the command line; 1 when one of them holds a fused instruction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objdump", default="objdump", help="the disassembler for objects, and options of it")
    parser.add_argument("files", nargs="+", type=Path, help="objects, or listings named *.s")
    options = parser.parse_args()
    n_found = n_read = 0
    for path in options.files:
        data = path.read_bytes() if path.is_file() else b""   # objdump says that it is missing
        if data.startswith(WASM):
            n_read += sum(map(len, functions(data)))
            found = list(fused_wasm(data))
        else:
            lines = disassemble(path, options.objdump)
            n_read += len(lines)
            found = list(fused(lines))
        n_found += len(found)
        for function, instruction in found:
            print(f"{path.name}: {function} holds {instruction}")
    print(f"check_fma: {n_found} fused instructions in {n_read} lines or bytes of {len(options.files)} files")
    return 1 if n_found else 0


if __name__ == "__main__":
    sys.exit(main())
