"""A model as it is served: open, under an alias, with the files it came from where they may be fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemel
from gemel import KvType

from .errors import ApiError


@dataclass(frozen=True)
class Served:
    """One model. Its alias is its key in the mapping that create_app takes, which may change while the app runs."""

    model: gemel.Model
    files: tuple[Path, ...] = ()   # of the model, in order; () where they can't be fetched
    n_ctx: int | None = None       # tokens that a prompt and its answer may have together; None: min(the file's, 4096)
    created: int = 0               # seconds since 1970
    kv_type: KvType | None = None  # of the KV cache: see Model.session


Models = Mapping[str, Served]


def find(models: Models, name: str) -> Served:
    """Return the model of an alias; the API's 404 where there is none."""
    served = models.get(name)
    if served is None or served.model.closed:
        known = ", ".join(models) or "none"
        words = f"there is no model {name[:100]!r} here; served: {known}"
        raise ApiError(404, words, param="model", code="model_not_found")
    return served


def alias_of(model: str) -> str:
    """Return what requests call a model that was given no name: its short name, or its file's without .gguf.

    >>> alias_of("https://example.org/a/Tiny-00001-of-00002.gguf?download=true"), alias_of("models/b.gguf")
    ('Tiny', 'b')
    """
    if model in gemel.NAMES:
        return model
    last = re.split(r"[?#]", model)[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"(-[0-9]{5}-of-[0-9]{5})?\.gguf$", "", last, flags=re.IGNORECASE) or "model"


def file_names(alias: str, files: Sequence[Path]) -> list[str]:
    """Return what each of a model's files is called in an address: alias.gguf, or as parts of a split model.

    >>> file_names("a", (Path("x"), Path("y")))
    ['a-00001-of-00002.gguf', 'a-00002-of-00002.gguf']
    """
    n = len(files)
    return [f"{alias}.gguf"] if n == 1 else [f"{alias}-{i:05}-of-{n:05}.gguf" for i in range(1, n + 1)]
