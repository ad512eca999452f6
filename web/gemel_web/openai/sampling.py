"""A request's sampling fields become a gemel.Sampling; what gemel refuses becomes a 400 that names the parameter."""

from __future__ import annotations

from typing import Any

import gemel

from ..http.errors import invalid
from ..jobs import sampling
from ..models import Defaults
from .wire import ALIASES, LEFT_OUT, RENAMED, Sampled


def sampling_of(request: Sampled, defaults: Defaults) -> gemel.Sampling:
    """Return the Sampling of a request: its fields, and the model's and gemel's defaults for the rest."""
    given = {name: value for name in sampling.FIELDS if (value := field(request, name)) is not None}
    if "logit_bias" in given:
        given["logit_bias"] = _biases(given["logit_bias"])
    if "dry_breakers" in given:
        given["dry_breakers"] = tuple(given["dry_breakers"])
    return sampling.sampling_of(given, lambda name: _name(request, name), defaults)


def _name(request: Sampled, name: str) -> str:
    given = sent(request, name)[0]
    return RENAMED.get(given, given)


def field(request: Sampled, name: str) -> Any:  # noqa: ANN401
    """Return a field of a request, by whichever of its names it was sent. 400 where two names disagree."""
    return sent(request, name)[1]


def sent(request: Sampled, name: str) -> tuple[str, Any]:
    """Return the name by which a field was sent, and its value: `name` and None where it was not. 400 as `field`."""
    names = (name, *(alias for alias, meant in ALIASES.items() if meant == name))
    given = {one: value for one in names if (value := getattr(request, one, None)) is not None}
    counted = {one: value for one, value in given.items() if value != LEFT_OUT.get(name)}
    (first, value), *others = (counted or given or {name: None}).items()
    for other, differs in others:
        if differs != value:
            words = f"it is {differs!r:.50}, but {first}, its other name, is {value!r:.50}: send only one"
            raise invalid(other, words)
    return first, value


def _biases(given: dict[str, float]) -> dict[int, float]:
    for key in given:
        if not (key.isascii() and key.isdecimal() and len(key) < 10 and key == str(int(key))):
            raise invalid("logit_bias", f"{key[:100]!r} is not a token id")
    return {int(key): bias for key, bias in given.items()}
