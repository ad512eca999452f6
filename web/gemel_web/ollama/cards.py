"""What Ollama's API says about a model: its name and size, details, and with `show` its metadata."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import gemel

from ..jobs.fim import gap_of
from ..models import Defaults, ServedModel
from ..registry import Card, Description, metadata_of

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
    return _details(model.arch, model.n_params, sizes.most_common(1)[0][0])


def _details(arch: str, n_params: int, format: str) -> dict[str, Any]:
    return {
        "parent_model": "", "format": "gguf", "family": arch, "families": [arch],
        "parameter_size": count(n_params), "quantization_level": format,
    }  # fmt: skip


def count(n: int) -> str:
    """Return a number of parameters as text.

    >>> count(134_515_008), count(7_241_732_096), count(12)
    ('134.5M', '7.2B', '12')
    """
    return next((f"{n / size:.1f}{unit}" for size, unit in UNITS if n >= size), str(n))


def card(one: Card) -> dict[str, Any]:
    """Return what the list says. The digest tells models apart; it is not that of the file's bytes."""
    size, about = 0, _details("", 0, "")
    if one.served is not None:
        size, about = one.served.model.weight_size, details(one.served.model)
    elif one.facts is not None:
        facts = one.facts
        size, about = facts.size, _details(facts.arch, facts.n_params, facts.format)
    return {
        "name": one.alias, "model": one.alias, "modified_at": time_of(one.created), "size": size,
        "digest": sha256(f"{one.alias} {about['family']} {about['parameter_size']} {size}".encode()).hexdigest(),
        "details": about,
    }  # fmt: skip


def running(one: Card) -> dict[str, Any]:
    """Return what is said about a model that is loaded."""
    shown = card(one)
    del shown["modified_at"]
    return {
        **shown, "size": shown["size"] if one.memory is None else one.memory,
        "expires_at": FOREVER if one.expires is None else time_of(one.expires), "size_vram": 0,
        "context_length": 0 if one.served is None else one.served.context,
    }  # fmt: skip


def parameters(context: int, defaults: Defaults) -> str:
    """Return a model's context and what its settings say about sampling, a line each, by Ollama's names."""
    names = {"penalty_last_n": "repeat_last_n"}
    pairs = [
        (names.get(name, name), f"{value:g}" if isinstance(value, float) else value)
        for name, value in defaults.sampling.items()
    ]
    pairs += [("stop", json.dumps(stop)) for stop in defaults.stops]
    pairs += [] if defaults.max_tokens is None else [("num_predict", defaults.max_tokens)]
    return "\n".join(f"{name} {value}" for name, value in [("num_ctx", context), *pairs])


def described(served: ServedModel, longest: int | None) -> Description:
    """Return what is known about a model that is open."""
    model = served.model
    return Description(
        metadata=metadata_of(model.metadata, longest), template=model.chat_template or "",
        reasons=bool(model.info.reasoning), infills=gap_of(model) is not None, defaults=served.defaults,
    )  # fmt: skip


def shown(one: Card, about: Description) -> dict[str, Any]:
    """Return all that is known about a model."""
    info, defaults = about.metadata, about.defaults
    embeds = any(key.endswith(".pooling_type") for key in info)
    named = any(key.startswith("tokenizer.chat_template.") for key in info)
    kinds = ["embedding" if embeds else "completion", *(["tools"] if about.template or named else []),
             *(["thinking"] if about.reasons else []), *(["insert"] if about.infills else [])]
    context = one.served.context if one.served is not None else one.facts.n_ctx if one.facts is not None else 0
    return {
        "modelfile": f"FROM {one.alias}\n", "parameters": parameters(context, defaults),
        "system": "\n\n".join(m["content"] for m in defaults.messages if m["role"] == "system"),
        "template": about.template, "license": str(info.get("general.license", "")), "details": card(one)["details"],
        "model_info": info, "capabilities": kinds, "modified_at": time_of(one.created),
    }  # fmt: skip
