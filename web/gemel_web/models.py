"""A model that the app serves: open, under an alias, with its files if clients may download them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gemel
from gemel import KvType

PAGE = 64   # tokens by which a KV cache grows


@dataclass(frozen=True)
class Defaults:
    """What requests to a model mean where they say nothing."""

    sampling: Mapping[str, Any] = field(default_factory=dict)   # fields of gemel.Sampling
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    messages: tuple[Mapping[str, Any], ...] = ()   # before those of a chat; a system message: if the chat has none


NO_DEFAULTS = Defaults()


@dataclass(frozen=True)
class ServedModel:
    """One model. Its alias is its key in the mapping given to create_app, which may change while the app runs."""

    model: gemel.Model
    files: tuple[Path, ...] = ()   # of the model, in order; (): clients can't download them
    n_ctx: int | None = None       # tokens of a prompt and its answer; None: the file's limit, at most 4096
    created: int = 0               # seconds since 1970
    kv_type: KvType | None = None  # of the KV cache: see Model.session
    cache_memory: int | None = None   # bytes of KV caches; None: the app's
    defaults: Defaults = NO_DEFAULTS

    @property
    def context(self) -> int:
        """Tokens of a prompt and its answer."""
        return self.model.default_n_ctx if self.n_ctx is None else self.n_ctx

    def cache_of(self, n_ctx: int) -> int:
        """Return the bytes of a KV cache of n_ctx tokens."""
        return cache_of(self.model, n_ctx, self.kv_type)


def cache_of(model: gemel.Model, n_ctx: int, kv_type: KvType | None) -> int:
    """Return the bytes of a KV cache of n_ctx tokens."""
    with model.session(1, kv_type=kv_type) as session:
        return session.kv_size * -(-n_ctx // PAGE) * PAGE


def too_wide(n_ctx: int, size: int, most: int, instead: str = "") -> gemel.ContextError:
    """Return the error for a context whose KV cache takes `size` bytes, over `most`. instead: what else to do."""
    words = f"n_ctx={n_ctx} needs {size / 1e6:,.0f} MB of KV caches, but they may take {most / 1e6:,.0f} MB"
    fits = -(-n_ctx // PAGE) * most // size * PAGE
    return gemel.ContextError(f"{words}: ask for at most {fits}{instead}")


Models = Mapping[str, ServedModel]


def alias_of(model: str) -> str:
    """Return the alias of a model that was given none: its short name, or its file's name without .gguf.

    >>> alias_of("https://example.org/a/Tiny-00001-of-00002.gguf?download=true"), alias_of("models/b.gguf")
    ('Tiny', 'b')
    >>> alias_of("hf:owner/repo@v1:Q4_K_M")
    'repo-v1-Q4_K_M'
    """
    if model in gemel.NAMES:
        return model
    if re.fullmatch(r"hf:[^/]+/[^/]+", model, re.IGNORECASE):
        return re.sub(r"[@:]", "-", model.rpartition("/")[2])
    last = re.split(r"[?#]", model)[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"(-[0-9]{5}-of-[0-9]{5})?\.gguf$", "", last, flags=re.IGNORECASE) or "model"


def file_names(alias: str, files: Sequence[Path]) -> list[str]:
    """Return the names of a model's files in URLs: alias.gguf, or one name per part of a split model.

    >>> file_names("a", (Path("x"), Path("y")))
    ['a-00001-of-00002.gguf', 'a-00002-of-00002.gguf']
    """
    n = len(files)
    return [f"{alias}.gguf"] if n == 1 else [f"{alias}-{i:05}-of-{n:05}.gguf" for i in range(1, n + 1)]
