"""The record of what versions promised: tests/golden/VERSION, compared with the tree and with the notes on changes.

A version's folder has lines (interface.py, interface_answers.py) in text files, and files that the version wrote, in
JSON. What a released version wrote is never written again.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gemel
import interface
import interface_answers
import tiny
from golden_files import FOLDER, checksum

ROOT = Path(__file__).parents[1]
NOTES = ROOT / "docs" / "compatibility.md"
MOST = 12_000   # bytes of a file
NOTE = re.compile(r"^- (\d+\.\d+): `([^`]+)`: \S", re.M)


def version() -> str:
    """Return the version of the tree, without its last number."""
    return gemel.__version__.rpartition(".")[0]


def is_released() -> bool:
    """Tell by the changelog whether the tree's version is released."""
    heading = re.search(r"^## (\S+)( \(unreleased\))?$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert heading is not None
    return heading[1] != gemel.__version__ or heading[2] is None


def folders() -> list[Path]:
    """Return those of all versions, the oldest first."""
    found = [path for path in FOLDER.iterdir() if re.fullmatch(r"\d+\.\d+", path.name)]
    return sorted(found, key=lambda path: [int(part) for part in path.name.split(".")])


# ---- Lines ----------------------------------------------------------------------------------------------------------


def lines() -> dict[str, list[str]]:
    """Return what the tree promises, by kind."""
    found = {"python": interface.python(), "c": interface.c(), "commands": interface.commands()}
    found["javascript"] = interface.javascript()
    found |= {f"requests-{api}": interface.requests(api) for api in interface.APIS}
    found |= {f"answers-{api}": known for api, known in interface_answers.answers().items()}
    with _small_cache():
        return found | {"outputs": interface_answers.outputs()}


@contextmanager
def _small_cache() -> Iterator[None]:
    """Have a cache of one model, whose facts commands print."""
    before = os.environ.get("GEMEL_CACHE")
    with tempfile.TemporaryDirectory() as name:
        entry = Path(name) / "models" / "tiny"
        entry.mkdir(parents=True)
        (entry / "tiny.gguf").write_bytes(b"GGUF")
        facts = {"name": "tiny", "file": "tiny.gguf", "size": 4, "sha256": "0" * 64}
        (entry / "entry.json").write_text(json.dumps(facts), encoding="utf-8")
        os.environ["GEMEL_CACHE"] = name
        try:
            yield
        finally:
            del os.environ["GEMEL_CACHE"]
            if before is not None:
                os.environ["GEMEL_CACHE"] = before


def recorded() -> set[str]:
    """Return the lines of all versions."""
    files = (path for folder in folders() for path in folder.glob("*.txt"))
    return {line for path in files for line in path.read_text(encoding="utf-8").splitlines()}


def noted(text: str) -> set[str]:
    """Return the lines that the notes give up."""
    return {found[2] for found in NOTE.finditer(text.partition("\n## Changes\n")[2])}


def broken(known: Iterable[str], present: Iterable[str], notes: Iterable[str]) -> list[str]:
    """Return the promises that are neither kept nor given up in a note."""
    return sorted(set(known) - set(present) - set(notes))


def write_lines(folder: Path, kind: str, added: list[str]) -> None:
    """Write lines as files of at most MOST bytes; each line is also an end of what a reader looks for."""
    for old in folder.glob(f"{kind}-[0-9].txt"):
        old.unlink()
    parts: list[list[str]] = [[]]
    for line in sorted(added):
        if sum(len(one.encode()) + 1 for one in [*parts[-1], line]) > MOST:
            parts.append([])
        parts[-1].append(line)
    for i, part in enumerate(parts, 1):
        if part:
            (folder / f"{kind}-{i}.txt").write_text("\n".join([*part, ""]), encoding="utf-8")


# ---- Files that a version wrote -------------------------------------------------------------------------------------


def packed(data: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(lzma.compress(data, preset=9)).decode("ascii")


def unpacked(text: str) -> bytes:
    """Return what packed() was given."""
    return lzma.decompress(base64.b64decode(text))


def made(fields: dict[str, Any]) -> bytes:
    """Return a tiny model's file."""
    return tiny.tiny_llama(**fields)


def described(fields: dict[str, Any]) -> str:
    """Return a checksum of a tiny model's weights."""
    return checksum(tiny.described(tiny.TinyModel(**fields))[1])


def model_of(written: dict[str, Any]) -> bytes:
    """Return the model's file of something that was written; AssertionError if tiny.py no longer makes it."""
    assert described(written["fields"]) == written["weights"], "tiny.py makes other weights than when this was written"
    return made(written["fields"])


def written(kind: str) -> dict[str, dict[str, Any]]:
    """Return what all versions wrote of a kind, by version and name."""
    files = (path for folder in folders() for path in sorted(folder.glob(f"{kind}*.json")))
    return {f"{path.parent.name} {path.stem}": json.loads(path.read_text(encoding="utf-8")) for path in files}
