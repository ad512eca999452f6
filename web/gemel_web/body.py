"""The body of a request: read within a size and a time, and decoded into a Struct; every mistake is the API's 4xx."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from .config import Config
from .errors import ApiError, invalid

GLANCE = 0.5     # seconds
HEAD = 1 << 16   # bytes that are looked at first: what nests too deep mostly does so at once
T = TypeVar("T", bound=msgspec.Struct)
TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)   # one that never ends, too: no place is tried twice
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
ONE_KIND = bytes.maketrans(b"{}", b"[]")
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


class ClientGoneError(Exception):
    """Nobody is there any more to be answered."""


async def decoded(request: Request, kind: type[T], config: Config) -> T:
    """Return the request's JSON as a Struct."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise ApiError(415, "the body must be JSON, and the header Content-Type say application/json", code="not_json")
    raw = await read(request, config)
    if too_deep(raw, config.max_depth):
        raise _too_deep(config)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _not_valid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "; half a surrogate pair is no character" if SURROGATE.search(raw) else ""
        raise invalid(None, f"the body is no valid JSON: {error}{hint}") from None


async def read(request: Request, config: Config) -> bytes:
    """Return the body. 413 as soon as it is too long, 408 when it is not there in time."""
    claimed = request.headers.get("content-length", "")
    body = bytearray()
    try:
        if claimed.isdecimal() and (len(claimed) > 15 or int(claimed) > config.max_body):
            raise _too_large(await _start(request), config)
        async with asyncio.timeout(config.body_seconds):
            async for part in request.stream():
                body += part
                if len(body) > config.max_body:
                    raise _too_large(body, config)
    except TimeoutError:
        raise ApiError(
            408, f"the body did not come within {config.body_seconds:g} seconds: send it faster", code="timeout"
        ) from None
    except ClientDisconnect:
        raise ClientGoneError from None
    return bytes(body)


async def _start(request: Request) -> bytes:
    """Return what comes at once of a body that is not going to be read; nothing of one that waits to be asked for."""
    if "expect" not in request.headers:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GLANCE):
                return await anext(request.stream())
    return b""


def too_deep(raw: bytes, most: int) -> bool:
    """Tell whether brackets nest deeper than `most` levels, or don't match. Linear in the size, a pass a level.

    >>> too_deep(b'[{"a": "]]]"}]', 2), too_deep(b'[[[]]]', 2)
    (False, True)
    """
    return opens_too_deep(raw[:HEAD], most) or bool(_unmatched(raw, most))


def opens_too_deep(start: bytes, most: int) -> bool:
    """Tell whether the start of a body opens more than `most` levels, whatever follows.

    >>> opens_too_deep(b'[{"a": [', 2), opens_too_deep(b'[{"a": [1], "b": "[[[', 2)
    (True, False)
    """
    return _unmatched(start, most).count(b"[") > most


def _unmatched(raw: bytes, most: int) -> bytes:
    """Return the brackets outside texts, of one kind, without pairs that hold fewer than `most` levels."""
    brackets = TEXTS.sub(b"", raw).translate(ONE_KIND, NOT_BRACKETS)
    for _ in range(most):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")   # the innermost level
    return brackets


def _too_large(start: bytes | bytearray, config: Config) -> ApiError:
    """Return the error for a body over the limit, of which this has come: that it nests too deep is said first."""
    if opens_too_deep(bytes(start[:HEAD]), config.max_depth) or opens_too_deep(bytes(start), config.max_depth):
        return _too_deep(config)
    return ApiError(413, f"the body is over {config.max_body} bytes, which is the limit here", code="too_large")


def _too_deep(config: Config) -> ApiError:
    return invalid(None, f"the body is no valid JSON, or is nested deeper than {config.max_depth} levels")


def _not_valid(message: str) -> ApiError:
    """Return the API's error for what msgspec says, naming the parameter."""
    place = PLACE.fullmatch(message)
    words, where = (place[1], place[2]) if place else (message, "")
    if found := UNKNOWN.fullmatch(words):
        name = (f"{where}.{found[1]}" if where else found[1])[:100]
        return ApiError(400, f"{name}: there is no such parameter here", param=name, code="unknown_parameter")
    if found := MISSING.fullmatch(words):
        name = f"{where}.{found[1]}" if where else found[1]
        return ApiError(400, f"{name}: this parameter is required", param=name, code="missing_parameter")
    return invalid(where or None, words)
