"""The inputs that fuzzing has kept: each reaches code, or counts of it, that the others don't. A file of text a target.

    python corpus.py build/c/fuzz build/fuzz    build/fuzz/<target>/* and corpus/<target>.txt -> corpus/<target>.txt

A file is the base64 of an xz stream: each input's size (4 bytes, little-endian) and its bytes. They are what a start
from seeds.py finds in two minutes of a CPU, so that a short run begins there.
"""

from __future__ import annotations

import base64
import lzma
import re
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
SLOW_MS = 500   # what takes longer on an idle machine is left out: a busy one may take it for a hang
LINE = 116


def unpack(name: str, folder: Path) -> None:
    """Write a target's inputs as files."""
    folder.mkdir(parents=True, exist_ok=True)
    data = lzma.decompress(base64.b64decode((CORPUS / f"{name}.txt").read_text(encoding="ascii")))
    at = number = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        (folder / f"{number:04}").write_bytes(data[at + 4 : at + 4 + size])
        at, number = at + 4 + size, number + 1


def pack(name: str, inputs: Sequence[bytes]) -> None:
    """Write a target's file."""
    data = b"".join(struct.pack("<I", len(one)) + one for one in inputs)
    text = base64.b64encode(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)).decode()
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.txt").write_text("\n".join([*textwrap.wrap(text, LINE), ""]), encoding="ascii")


def quick(program: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the files that a target reads quickly."""
    done = subprocess.run([program, *paths], capture_output=True, text=True, errors="replace", check=True)
    took = dict(re.findall(r"^Executed (.+) in (\d+) ms$", done.stderr, flags=re.MULTILINE))
    return [path for path in paths if int(took[str(path)]) <= SLOW_MS]


def gather(program: Path, kept: Path) -> None:
    """Take the fewest inputs that reach what those of a folder and of the target's file reach."""
    with tempfile.TemporaryDirectory() as parent:
        few, before = Path(parent) / "few", Path(parent) / "before"
        few.mkdir()
        if (CORPUS / f"{program.name}.txt").is_file():
            unpack(program.name, before)
        folders = [folder for folder in (before, kept) if folder.is_dir()]
        options = ["-merge=1", "-max_len=65536", "-rss_limit_mb=1024"]
        subprocess.run([program, *options, few, *folders], capture_output=True, check=True)
        pack(program.name, [path.read_bytes() for path in quick(program, sorted(few.iterdir()))])


if __name__ == "__main__":
    for target in sorted(Path(sys.argv[1]).glob("fuzz_*")):
        if target.is_file() and not target.suffix:
            gather(target, Path(sys.argv[2]) / target.name)
