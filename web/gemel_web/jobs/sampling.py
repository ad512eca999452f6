"""Fields of a request become a gemel.Sampling; what gemel refuses becomes a 400 that names the parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import gemel

from ..http.errors import ApiError, invalid
from ..models import Defaults

FIELDS = tuple(field.name for field in fields(gemel.Sampling))
NAMED = re.compile(r"(\w+?)(=| has |: )")


def sampling_of(given: Mapping[str, Any], named: Callable[[str], str], defaults: Defaults) -> gemel.Sampling:
    """Return the Sampling of a request, with the model's defaults, then gemel's, for fields that it lacks.

    given: fields of Sampling. named: returns the request's name of a field.
    """
    given = {**defaults.sampling, **given}
    try:
        if given.get("temperature") != 0:
            return gemel.Sampling(**given)
        # Clients also send options that greedy sampling ignores: they are checked, then left out.
        return gemel.Sampling(**{**given, "temperature": 1.0}).greedy()
    except gemel.ArgumentError as error:
        raise _renamed(str(error), named) from None


def _renamed(message: str, named: Callable[[str], str]) -> ApiError:
    """Return the error for what gemel says of a field, by the request's name."""
    found = NAMED.match(message)
    if found is None or found[1] not in FIELDS:
        return invalid(None, message)
    param = named(found[1])
    return ApiError(400, param + message[len(found[1]) :], param=param, code="invalid_value")
