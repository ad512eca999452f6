"""Requests of Anthropic's API as msgspec Structs, and its errors.

Decoding is strict, as OpenAI's. Content is a list of objects whose type decides which fields they have:
content.py reads it. Responses are plain objects, made in blocks.py.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..http.errors import ApiError, Refusals, check_fields

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Stop = Annotated[str, Meta(max_length=1000)]
Whole = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Content = str | list[dict[str, Any]]


class Message(Struct, forbid_unknown_fields=True, kw_only=True):
    """One message of a chat."""

    role: str
    content: Content


class Prompt(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the prompt is made of. null is the same as absent."""

    model: str | None = None   # absent or empty: the only model served
    messages: list[Message]
    system: Content | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: Any = None   # an earlier name of output_config.format
    # accepted, without effect on the answer
    cache_control: Any = None
    metadata: Any = None
    service_tier: Any = None
    diagnostics: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None
    # refused unless they ask for nothing
    container: Any = None
    context_management: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None
    speed: Any = None


class CountRequest(Prompt, kw_only=True):
    """POST /v1/messages/count_tokens."""


class MessageRequest(Prompt, kw_only=True):
    """POST /v1/messages."""

    max_tokens: Count
    stream: bool | None = None
    stop_sequences: list[Stop] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    # gemel's
    seed: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    priority: Whole | None = None
    cache_salt: Annotated[str, Meta(max_length=1000)] | None = None


SAMPLING = ("temperature", "top_p", "top_k", "seed", "min_p", "repeat_penalty")
REFUSED: Refusals = {
    "container": ((), "this server runs no code: leave it out"),
    "context_management": (({}, {"edits": []}), "not supported: nothing is removed from a chat; leave it out"),
    "inference_geo": ((), "this server runs in one place: leave it out"),
    "mcp_servers": (([],), "not supported: call them in your program, and send their tools as tools"),
    "speed": (("standard",), 'only "standard" is supported'),
}
TYPES = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 408: "timeout_error",
    413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
}  # fmt: skip


def check_refused(request: Prompt) -> None:
    """Raise a 400 for a field that is not supported and would change the answer."""
    check_fields(request, REFUSED)


def error_of(error: ApiError) -> dict[str, Any]:
    """Return the body of an error."""
    kind = TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}}
