"""Requests of the Responses API as a msgspec Struct. Items are objects whose type decides their fields: see items.py.

Responses are plain objects, made in answers.py. Errors have OpenAI's shape.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..http.errors import ApiError, Refusals, check_fields, refused
from ..openai.wire import Count, Whole

Item = dict[str, Any]


class ResponseRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/responses. null is the same as absent."""

    model: str | None = None   # absent or empty: the only model served
    input: str | list[Item]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None   # absent: false
    stream: bool | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    truncation: str | None = None
    # gemel's
    seed: int | None = None
    top_k: Whole | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    cache_salt: Annotated[str, Meta(max_length=1000)] | None = None
    # accepted, without effect on the answer
    user: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    stream_options: Any = None
    # refused unless they ask for nothing
    background: Any = None
    context_management: Any = None
    conversation: Any = None
    max_tool_calls: Any = None
    moderation: Any = None
    prompt: Any = None


LOGPROBS = "message.output_text.logprobs"
INCLUDED = (LOGPROBS, "reasoning.encrypted_content")   # reasoning is sent as text in any case
REFUSED: Refusals = {
    "background": ((False,), "not supported: wait for the answer, or stream it"),
    "context_management": (([],), "not supported: nothing is removed from a chat"),
    "conversation": ((), "not supported: send previous_response_id, or the earlier items"),
    "max_tool_calls": ((), "this server runs no tools: leave it out"),
    "moderation": ((), "not supported: leave it out"), "prompt": ((), "not supported: send input"),
    "truncation": (("disabled",), "a prompt that does not fit is an error, and is never truncated: leave it out"),
}  # fmt: skip
RENAMED = (   # places of a chat: those of this API
    ("response_format.json_schema", "text.format"), ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"), ("max_tokens", "max_output_tokens"),
    ("messages", "input"),
)  # fmt: skip


def check_refused(body: ResponseRequest) -> None:
    """Raise a 400 for a field that is not supported and would change the answer."""
    check_fields(body, REFUSED)
    for one in body.include or ():
        if one not in INCLUDED:
            raise refused("include", f"{one[:50]!r} is not supported: only {' and '.join(INCLUDED)} are")


def renamed(error: ApiError) -> ApiError:
    """Return an error about a chat with this API's names."""
    for old, new in RENAMED:
        if error.message.startswith(old):
            error.message = new + error.message[len(old) :]
        if error.param is not None and error.param.startswith(old):
            error.param = new + error.param[len(old) :]
    return error
