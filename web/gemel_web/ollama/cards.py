"""What Ollama's API says about a model: its name and size, details, and with `show` its metadata."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import gemel

from ..jobs.fim import gap_of
from ..jobs.turns import has_template
from ..models import ServedModel

LONG = 32   # items of a list in the metadata that are shown
FOREVER = "9999-12-31T23:59:59Z"   # when a model is unloaded
UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


def time_of(seconds: float) -> str:
    """Return a time as text.

    >>> time_of(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def details(model: gemel.Model) -> dict[str, Any]:
    """Return a model's family, size and format."""
    sizes = Counter[str]()
    for tensor in model.tensors:
        sizes[tensor.format] += tensor.size
    return {
        "parent_model": "", "format": "gguf", "family": model.arch, "families": [model.arch],
        "parameter_size": count(model.n_params), "quantization_level": sizes.most_common(1)[0][0],
    }  # fmt: skip


def count(n: int) -> str:
    """Return a number of parameters as text.

    >>> count(134_515_008), count(7_241_732_096), count(12)
    ('134.5M', '7.2B', '12')
    """
    return next((f"{n / size:.1f}{unit}" for size, unit in UNITS if n >= size), str(n))


def card(alias: str, served: ServedModel) -> dict[str, Any]:
    """Return what the list says. The digest tells models apart; it is not that of the file's bytes."""
    model = served.model
    return {
        "name": alias, "model": alias, "modified_at": time_of(served.created), "size": model.weight_size,
        "digest": sha256(f"{alias} {model.arch} {model.n_params} {model.weight_size}".encode()).hexdigest(),
        "details": details(model),
    }  # fmt: skip


def running(alias: str, served: ServedModel) -> dict[str, Any]:
    """Return what is said about a model that is loaded: all are, as long as the server runs."""
    model, shown = served.model, card(alias, served)
    del shown["modified_at"]
    n_ctx = model.default_n_ctx if served.n_ctx is None else served.n_ctx
    return {**shown, "expires_at": FOREVER, "size_vram": 0, "context_length": n_ctx}


def shown(alias: str, served: ServedModel, *, verbose: bool) -> dict[str, Any]:
    """Return all that is known about a model. verbose: with long lists of the metadata, such as the vocabulary."""
    model = served.model
    info: dict[str, Any] = {}
    for key in model.metadata:
        is_long = not verbose and model.metadata.size_of(key) > LONG
        info[key] = None if is_long else model.metadata[key]
    kinds = ["completion", *(["tools"] if has_template(model) else []), *(["thinking"] if model.info.reasoning else []),
             *(["insert"] if gap_of(model) else [])]
    return {
        "modelfile": f"FROM {alias}\n", "parameters": "", "template": model.chat_template or "",
        "license": str(model.metadata.get("general.license", "")), "details": details(model), "model_info": info,
        "capabilities": kinds, "modified_at": time_of(served.created),
    }  # fmt: skip
