"""What a request says about its answers becomes a GenerateRequest."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from ..http.errors import invalid, refused
from ..jobs.answer import GenerateRequest
from ..jobs.service import key_of
from ..jobs.stops import stops_of
from ..models import Defaults
from . import wire
from .form import form_of
from .sampling import sampling_of, sent

NO_TOKENS = "must be an integer of at least 1, or -1 (until the context is full)"


def generate_request(
    request: Request, body: wire.Sampled, defaults: Defaults, *, max_tokens: int | None, n_top: int | None, echo: bool,
    param: str, tools: Sequence[str] = (), n: int | None = None,
) -> GenerateRequest:  # fmt: skip
    """Return how to answer a request. n: answers per prompt, if not those that it asks for."""
    form, form_param = form_of(body)
    if body.close_at_max_tokens and not form:
        raise invalid("close_at_max_tokens", "there is nothing to close: send response_format, json_schema or grammar")
    stop_name, stop = sent(body, "stop")
    return GenerateRequest(
        form=form, form_param=form_param, closes=bool(body.close_at_max_tokens),
        fast_forward=body.fast_forward is not False,
        n=n or body.n or 1, max_tokens=max_tokens, stops=stops_of(stop, stop_name) or defaults.stops,
        sampling=sampling_of(body, defaults),
        n_top=n_top, echo=echo, tools=tools, param=param, priority=body.priority or 0,
        key=key_of(request), cache_salt=body.cache_salt or "",
    )


def continues(body: wire.ChatRequest) -> bool:
    """Return whether the answer continues the last message: by default if that is the assistant's."""
    goes_on, is_new = body.continue_final_message, body.add_generation_prompt
    is_assistants = bool(body.messages) and body.messages[-1].role == "assistant"
    if goes_on is None and is_assistants:
        goes_on = body.messages[-1].prefix
    if goes_on and is_new:
        words = "it can't be combined with add_generation_prompt: send only one of them"
        raise invalid("continue_final_message", words)
    if goes_on and not is_assistants:
        raise invalid("continue_final_message", "the last message is not the assistant's: there is nothing to continue")
    if goes_on is None:
        goes_on = is_assistants and not is_new
    if is_new is False and not goes_on:
        words = "it can be false only if the answer continues the assistant's last message: leave it out"
        raise refused("add_generation_prompt", words)
    return goes_on


def limit_of(body: wire.Sampled, default: int | None) -> int | None:
    """Return the most tokens of an answer; None and -1: until the context is full."""
    name, limit = sent(body, "max_tokens")
    if limit == 0:
        raise invalid(name, NO_TOKENS)
    return default if limit is None else limit
