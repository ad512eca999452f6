"""hf:owner/repo and hf:owner/repo:QUANT become the address of one file: asked of the hub by urllib, or of the cache."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Iterable

from . import hub, request
from .hub_address import HubAddress, hub_address
from .repository import Answer, Choice, UnlistedError, held_instead, listing, tell

ATTEMPTS = 3          # requests for a page of the list
PAGE_MAX = 1 << 24    # bytes of one page


def full_name(name: str, held: Callable[[], Iterable[tuple[str, int]]]) -> str:
    """Return a name as the cache spells it: an address without a file gets one.

    held: returns (name, bytes) of the models in the cache. As with llama.cpp, the hub is asked each time, and the cache
    where the hub does not answer.
    """
    address = hub_address(name)
    if address is None or address.file:
        return name if address is None else str(address)
    try:
        choice = _listed(address)
    except UnlistedError as error:
        choice = held_instead(address, held(), error)
    else:
        tell(choice)
    return choice.name


def _listed(address: HubAddress) -> Choice:
    steps = listing(address)
    url = next(steps)
    while True:
        try:
            url = steps.send(_asked(address, url))
        except StopIteration as end:
            choice: Choice = end.value
            return choice


def _asked(address: HubAddress, url: str) -> Answer:
    for attempt in range(ATTEMPTS):
        try:
            with request.send(url) as answer:
                return Answer(answer.status, answer.read(PAGE_MAX), answer.headers.get("Link") or "")
        except request.FAILURES as error:
            if request.is_final(error) or attempt == ATTEMPTS - 1:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    return Answer(error.code, b"", "", error.reason, hub.token_for(url) is not None)
                why = request.reason(error, url)
                raise UnlistedError(f"{address}: the hub does not list its files: {why}") from error
        time.sleep(0.25 * 2**attempt)
    raise AssertionError
