"""Stop strings of a request, checked."""

from __future__ import annotations

from collections.abc import Sequence

from ..http.errors import invalid

MAX_STOPS = 64


def stops_of(given: str | Sequence[str] | None, param: str) -> tuple[str, ...]:
    """Return the stop strings. param: the request's name for them."""
    stops = (given,) if isinstance(given, str) else tuple(given or ())
    if len(stops) > MAX_STOPS:
        raise invalid(param, f"it has {len(stops)} strings, but at most {MAX_STOPS} are allowed")
    if "" in stops:
        raise invalid(param, "a stop string must not be empty")
    return stops
