"""hf:owner/repo and hf:owner/repo:QUANT become the address of one file in a tab: by fetch or synchronous requests."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeVar

from ..core.errors import SourceError
from ..source.hub_address import HubAddress, HubModel, hub_address, page_address
from ..source.repository import Answer, Choice, UnlistedError, held_instead, listing, offers, tell
from .cache import entries

ATTEMPTS = 3   # requests for a page of the list
T = TypeVar("T")


async def models(name: str) -> list[HubModel]:
    """Return the models of the repository that an hf: address names, or a page of the hub."""
    address = hub_address(name) or page_address(name)
    if address is None:
        raise SourceError(f"{name!r} is neither hf:owner/repo nor the address of a page of the hub")
    try:
        return await _listed(address, offers(address))
    except UnlistedError as error:
        raise SourceError(str(error)) from error


async def full_name(name: str, *, cache: bool) -> str:
    """Return a name as the cache spells it: an address without a file gets one.

    cache: where the hub does not answer, the cache decides.
    """
    address = hub_address(name)
    if address is None or address.file:
        return name if address is None else str(address)
    try:
        choice = await _listed(address, listing(address))
    except UnlistedError as error:
        choice = held_instead(address, await _held() if cache else (), error)
    else:
        tell(choice)
    return choice.name


async def _held() -> list[tuple[str, int]]:
    try:
        return [(entry.name, entry.size) for entry in await entries() if entry.complete]
    except SourceError:   # there is no cache here
        return []


async def _listed(address: HubAddress, steps: Generator[str, Answer, T]) -> T:
    url = next(steps)
    while True:
        try:
            url = steps.send(await _asked(address, url))
        except StopIteration as end:
            found: T = end.value
            return found


async def _asked(address: HubAddress, url: str) -> Answer:
    import js  # type: ignore[import-not-found]
    from pyodide.ffi import JsException  # type: ignore[import-not-found]

    for attempt in range(ATTEMPTS):
        try:
            response = await js.fetch(url)
            body = (await response.arrayBuffer()).to_bytes()
        except JsException as error:
            raise _unreachable(address, error) from error
        if not _passes(response.status) or attempt == ATTEMPTS - 1:
            break
        await asyncio.sleep(0.25 * 2**attempt)
    return Answer(int(response.status), body, response.headers.get("Link") or "", str(response.statusText))


def full_name_now(name: str) -> str:
    """As full_name, for code that can't wait for a promise; nothing is in the cache there."""
    address = hub_address(name)
    if address is None or address.file:
        return name if address is None else str(address)
    steps = listing(address)
    url = next(steps)
    while True:
        try:
            url = steps.send(_asked_now(address, url))
        except UnlistedError as error:
            raise SourceError(str(error)) from error
        except StopIteration as end:
            choice: Choice = end.value
            tell(choice)
            return choice.name


def _asked_now(address: HubAddress, url: str) -> Answer:
    import js
    from pyodide.ffi import JsException

    request = js.XMLHttpRequest.new()
    request.open("GET", url, False)
    request.responseType = "arraybuffer"
    try:
        request.send()
    except JsException as error:
        raise _unreachable(address, error) from error
    body = request.response.to_bytes() if request.response else b""
    return Answer(int(request.status), body, request.getResponseHeader("Link") or "", str(request.statusText))


def _passes(status: int) -> bool:
    return status >= 500 or status in (408, 429)


def _unreachable(address: HubAddress, error: Any) -> UnlistedError:  # noqa: ANN401
    return UnlistedError(
        f"{address}: the hub does not list its files: {error}; check the network, HF_ENDPOINT, and that the server "
        "allows this page (CORS)"
    )
