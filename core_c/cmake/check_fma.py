"""Fail when compiled core code holds a fused multiply-add.

A fused instruction rounds once where the definition of the bits rounds twice, so one of them anywhere in the core makes
two machines disagree. Reads objects through objdump, and assembly listings (`.s`) as they are.
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
    n_found = n_lines = 0
    for path in options.files:
        lines = disassemble(path, options.objdump)
        n_lines += len(lines)
        for function, instruction in fused(lines):
            n_found += 1
            print(f"{path.name}: {function} holds {instruction}")
    print(f"check_fma: {n_found} fused instructions in {n_lines} lines of {len(options.files)} files")
    return 1 if n_found else 0


if __name__ == "__main__":
    sys.exit(main())
