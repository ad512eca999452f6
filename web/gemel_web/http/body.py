"""The body of a request: read with limits of size and time, and decoded into a Struct. Errors are the API's 4xx."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from ..config import Config
from .errors import ApiError, invalid
from .validation import not_valid

GLANCE = 0.5     # seconds
FORM = "application/x-www-form-urlencoded"
HEAD = 1 << 16   # bytes checked first: most bodies that nest too deep do so at their start
T = TypeVar("T", bound=msgspec.Struct)
TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)   # also one without an end; no position is tried twice
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
ONE_KIND = bytes.maketrans(b"{}", b"[]")
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class ClientGoneError(Exception):
    """The client has closed the connection."""


async def decoded(request: Request, kind: type[T], config: Config, *, undeclared: bool = False) -> T:
    """Return the request's JSON as a Struct.

    undeclared: the header may be absent, or what curl -d sends. Other sites' pages can send that without asking, but
    not without their origin, which the guard checks.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (undeclared and media in ("", FORM)):
        raise ApiError(415, "the body must be JSON, with the header Content-Type: application/json", code="not_json")
    raw = await read(request, config)
    if too_deep(raw, config.max_depth):
        raise _too_deep(config)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise not_valid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "; half a surrogate pair is not a character" if SURROGATE.search(raw) else ""
        raise invalid(None, f"the body is not valid JSON: {error}{hint}") from None


async def read(request: Request, config: Config) -> bytes:
    """Return the body. Raises a 413 as soon as it is too long, a 408 if it does not arrive in time."""
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
            408, f"the body did not arrive within {config.body_seconds:g} seconds: send it faster", code="timeout"
        ) from None
    except ClientDisconnect:
        raise ClientGoneError from None
    return bytes(body)


async def _start(request: Request) -> bytes:
    """Return what arrives immediately of a body that will not be read; nothing if the client sent Expect."""
    if "expect" not in request.headers:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GLANCE):
                return await anext(request.stream())
    return b""


def too_deep(raw: bytes, most: int) -> bool:
    """Tell whether brackets nest deeper than `most` levels, or don't match. One linear pass per level.

    >>> too_deep(b'[{"a": "]]]"}]', 2), too_deep(b'[[[]]]', 2)
    (False, True)
    """
    return (len(raw) > HEAD and opens_too_deep(raw[:HEAD], most)) or bool(_unmatched(raw, most))


def opens_too_deep(start: bytes, most: int) -> bool:
    """Tell whether the start of a body opens more than `most` levels, whatever follows.

    >>> opens_too_deep(b'[{"a": [', 2), opens_too_deep(b'[{"a": [1], "b": "[[[', 2)
    (True, False)
    """
    return _unmatched(start, most).count(b"[") > most


def _unmatched(raw: bytes, most: int) -> bytes:
    """Return the brackets outside strings, all as [], without pairs that hold fewer than `most` levels."""
    brackets = TEXTS.sub(b"", raw).translate(ONE_KIND, NOT_BRACKETS)
    for _ in range(most):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")   # the innermost level
    return brackets


def _too_large(start: bytes | bytearray, config: Config) -> ApiError:
    """Return the error for a body over the limit, of which `start` has arrived: too deep nesting is reported first."""
    if opens_too_deep(bytes(start[:HEAD]), config.max_depth) or opens_too_deep(bytes(start), config.max_depth):
        return _too_deep(config)
    return ApiError(413, f"the body is over the limit of {config.max_body} bytes", code="too_large")


def _too_deep(config: Config) -> ApiError:
    return invalid(None, f"the body is not valid JSON, or is nested deeper than {config.max_depth} levels")
