"""Vocabularies of llama.cpp with texts and the ids that the tokenizers they come from gave, and its collection of chat
templates: fetched once, from PyPI.

They lie in the source archive of llama-cpp-python: models/ggml-vocab-NAME.gguf, beside it NAME.gguf.inp and .out, and
models/templates/NAME.jinja.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import filelock
import gemel

NAMES = [
    "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gemma-4", "gpt-2", "llama-bpe", "llama-spm", "mpt",
    "phi-3", "qwen2", "qwen35", "refact", "starcoder",
]  # fmt: skip
ALONE = ["nomic-bert-moe"]   # vocabularies without vectors
PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TEMPLATES = 70
BETWEEN = "\n__ggml_vocab_test__\n"   # texts of an .inp file


class FetchError(Exception):
    """The files can't be had; the text says why."""


def fetch() -> Path:
    """Return the folder of the vocabularies and templates. Another process that needs it meanwhile waits."""
    folder = gemel.cache.folder().parent / "vocabularies"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        is_whole = all((folder / name).is_file() for name in _wanted())
        if not is_whole or len(templates(folder)) != TEMPLATES:
            with tempfile.TemporaryDirectory(dir=folder) as made:
                _unpack(download(PACKAGE, VERSION, SHA256, Path(made), is_source=True), folder)
    return folder


def templates(folder: Path) -> list[Path]:
    """Return the chat templates."""
    return sorted(folder.glob("*.jinja"))


def cases(folder: Path, name: str) -> list[tuple[str, list[int]]]:
    """Return texts and their ids, without BOS and with no special token parsed."""
    path = folder / f"ggml-vocab-{name}.gguf"
    texts = path.with_suffix(".gguf.inp").read_bytes().decode().removesuffix(BETWEEN).split(BETWEEN)
    ids = path.with_suffix(".gguf.out").read_text().removesuffix("\n").split("\n")
    return [(text, [int(id) for id in line.split()]) for text, line in zip(texts, ids, strict=True)]


def download(package: str, version: str, sha256: str, folder: Path, *, is_source: bool) -> Path:
    """Fetch a package's source archive, of which pip asks only the metadata, or its wheel, and check it."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    kind = ["--no-binary", package] if is_source else ["--only-binary", ":all:"]
    done = subprocess.run(
        [*pip, *kind, "--dest", str(folder), f"{package}=={version}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FetchError(f"pip can't download {package}: {done.stderr.strip()[-500:]}")
    (archive,) = folder.glob("*.tar.gz" if is_source else "*.whl")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise FetchError(f"{archive.name} has SHA-256 {found}, not {sha256}")
    return archive


def _wanted() -> set[str]:
    named = {f"ggml-vocab-{name}.gguf{end}" for name in NAMES for end in ("", ".inp", ".out")}
    return named | {f"ggml-vocab-{name}.gguf" for name in ALONE}


def _unpack(archive: Path, folder: Path) -> None:
    wanted = _wanted()
    with tarfile.open(archive) as packed:
        for member in packed:
            name = Path(member.name).name
            is_template = member.name.endswith(".jinja") and Path(member.name).parent.name == "templates"
            if (name in wanted or is_template) and (source := packed.extractfile(member)) is not None:
                (folder / name).write_bytes(source.read())
                wanted.discard(name)
    if wanted or len(templates(folder)) != TEMPLATES:
        raise FetchError(f"{archive.name} lacks {sorted(wanted)}, or has {len(templates(folder))} templates")
