"""A request's sampling fields become a gemel.Sampling; what gemel refuses is the API's 400 that names the parameter."""

from __future__ import annotations

import re
from dataclasses import fields

import gemel

from .errors import ApiError, invalid
from .wire import RENAMED, Sampled

FIELDS = tuple(field.name for field in fields(gemel.Sampling))
MAX_SEED = 2**64 - 1
NAMED = re.compile(r"(\w+?)(=| has |: )")


def sampling_of(request: Sampled) -> gemel.Sampling:
    """Return the Sampling that a request asks for: gemel's defaults, but for what it gives."""
    given = {name: value for name in FIELDS if (value := getattr(request, name)) is not None}
    if "logit_bias" in given:
        given["logit_bias"] = _biases(given["logit_bias"])
    if "dry_breakers" in given:
        given["dry_breakers"] = tuple(given["dry_breakers"])
    try:
        if given.get("temperature") != 0:
            return gemel.Sampling(**given)
        # Clients send options that greedy decoding ignores all the same: they are checked, and left out.
        return gemel.Sampling(**{**given, "temperature": 1.0}).greedy()
    except gemel.ArgumentError as error:
        raise _named(str(error)) from None


def seeded(sampling: gemel.Sampling, choice: int) -> gemel.Sampling:
    """Return the Sampling of one of a request's answers: each has the seed after that of the one before."""
    if sampling.seed is None or not choice:
        return sampling
    return sampling.with_fields(seed=(sampling.seed + choice) % (MAX_SEED + 1))


def _biases(given: dict[str, float]) -> dict[int, float]:
    for key in given:
        if not (key.isascii() and key.isdecimal() and len(key) < 10 and key == str(int(key))):
            raise invalid("logit_bias", f"{key[:100]!r} is not the id of a token")
    return {int(key): bias for key, bias in given.items()}


def _named(message: str) -> ApiError:
    found = NAMED.match(message)
    if found is None or found[1] not in FIELDS:
        return invalid(None, message)
    param = RENAMED.get(found[1], found[1])
    return ApiError(400, param + message[len(found[1]) :], param=param, code="invalid_value")
