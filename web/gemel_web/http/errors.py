"""Errors as the API sends them: {"error": {"message", "type", "param", "code"}}.

Any code may raise an ApiError; the app makes the response. An error of gemel while a request is prepared is the
client's (4xx); any later one is the server's (5xx), except those of a grammar.
"""

from __future__ import annotations

import http
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import gemel
import msgspec
from starlette.responses import Response

log = logging.getLogger("gemel_web")


class ApiError(Exception):
    """An error response: an HTTP status and the fields of the error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The value of "error"."""

    message: str
    type: str
    param: str | None
    code: str | None


class Problems(msgspec.Struct, frozen=True):
    """The body of an error."""

    error: Problem


OTHERS = {
    "max_tokens": "max_tokens", "logit_bias": "logit_bias", "dry_breakers": "dry_sequence_breakers", "tools": "tools",
    "reasoning_budget": "reasoning_budget", "thinking": "thinking",
}  # fmt: skip
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def body_of(error: ApiError) -> Problems:
    """Return the error's JSON object."""
    kind = TYPES.get(error.status) or ("server_error" if error.status >= 500 else "invalid_request_error")
    return Problems(Problem(message=error.message, type=kind, param=error.param, code=error.code))


def response_of(error: ApiError) -> Response:
    """Return the error as a response."""
    raw = msgspec.json.encode(body_of(error))
    return Response(raw, error.status, error.headers, media_type="application/json")


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the error for a status that the router chose."""
    phrase = http.HTTPStatus(status).phrase
    words = {
        404: "there is nothing at this path",
        405: "method not allowed here: the header Allow lists the allowed ones",
    }
    code = phrase.lower().replace(" ", "_")
    return ApiError(status, words.get(status) or detail or phrase, code=code, headers=headers)


def refused(param: str, why: str) -> ApiError:
    """Return the error for a parameter that is known, but not supported."""
    return ApiError(400, f"{param}: {why}", param=param, code="unsupported_parameter")


Refusals = Mapping[str, tuple[tuple[Any, ...], str]]
"""Fields that are not supported: their values that ask for nothing, and the message for all others."""


def check_fields(body: object, refusals: Refusals, where: str = "") -> None:
    """Raise a 400 for a field that is not supported and would change the answer. where: the place of `body`."""
    for name, (neutral, why) in refusals.items():
        value = getattr(body, name, None)
        if value is not None and not any(type(value) is type(one) and value == one for one in neutral):
            raise refused(where + name, why)


def invalid(param: str | None, why: str) -> ApiError:
    """Return the error for an invalid value."""
    return ApiError(400, why if param is None else f"{param}: {why}", param=param, code="invalid_value")


def of_request(error: gemel.GemelError, param: str | None, placed: Callable[[str], str] = str) -> ApiError:
    """Return the error for a gemel error while a request was prepared. param: the parameter with the prompt.

    placed: replaces the place at the start of gemel's words, such as messages[1].content, by the request's.
    """
    words = placed(str(error))
    named = re.match(r"(messages|tools)\[[^:=]*|\w+", words)
    if named:
        param = named[0] if "[" in named[0] else OTHERS.get(named[0], param)
    if isinstance(error, gemel.ContextError):
        return ApiError(400, words, param=param, code="context_length_exceeded")
    if isinstance(error, gemel.ArgumentError | gemel.TemplateError | gemel.UnsupportedError):
        return ApiError(400, words, param=param, code="invalid_value")
    return of_failure(error)


def log_failure(error: BaseException) -> None:
    """Log an error of the server: its type and location only, since its text may quote a request."""
    if of_failure(error).status == 500 and not isinstance(error, ApiError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s in %s, line %s (%s)", type(error).__name__, last.name, last.lineno, last.filename)


def of_failure(error: BaseException) -> ApiError:
    """Return the error for an exception while a request was answered; only gemel's own messages are sent."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, gemel.OutOfMemoryError):
        return ApiError(503, f"out of memory: {error}", code="out_of_memory")
    if isinstance(error, gemel.CancelledError):
        words = "the server stopped, or closed the model, before it answered this request"
        return ApiError(503, words, code="stopped")
    words = str(error) if isinstance(error, gemel.GemelError) else "internal error: see the server's log"
    return ApiError(500, words, code="internal_error")
