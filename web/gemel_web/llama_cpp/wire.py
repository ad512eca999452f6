"""Requests of llama.cpp's API as msgspec Structs. Options of sampling are those of OpenAI's API here.

Responses are plain objects, made in answers.py and api.py. Errors have OpenAI's shape.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..http.errors import Refusals, check_fields, invalid
from ..openai.wire import ChatRequest, Id, Sampled

Piece = str | Id


class Base(Sampled, kw_only=True):
    """What completions and infilling have in common."""

    n_probs: Annotated[int, Meta(ge=0, le=20)] | None = None
    return_tokens: bool | None = None
    logit_bias: Any = None   # pairs, or an object
    # accepted, without effect on the answer
    n_keep: Any = None
    n_discard: Any = None
    # refused unless they ask for nothing
    dynatemp_range: Any = None
    dynatemp_exponent: Any = None
    ignore_eos: Any = None
    lora: Any = None
    min_keep: Any = None
    n_cmpl: Any = None
    n_indent: Any = None
    post_sampling_probs: Any = None
    response_fields: Any = None
    samplers: Any = None
    t_max_predict_ms: Any = None
    top_n_sigma: Any = None


class CompletionRequest(Base, kw_only=True):
    """POST /completion."""

    prompt: str | list[Piece]


class InfillRequest(Base, kw_only=True):
    """POST /infill."""

    input_prefix: str
    input_suffix: str
    input_extra: list[dict[str, Any]] | None = None
    prompt: str | None = None
    t_max_prompt_ms: Any = None


class TokenizeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /tokenize."""

    content: str
    add_special: bool | None = None
    parse_special: bool | None = None   # absent: true
    with_pieces: bool | None = None
    model: str | None = None


class DetokenizeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /detokenize."""

    tokens: list[Id]
    model: str | None = None


class TemplateRequest(ChatRequest, kw_only=True):
    """POST /apply-template: a chat, of which only the prompt is made."""


ORDER = "the order of steps is fixed: leave it out"
REFUSED: Refusals = {
    "dynatemp_range": ((0, 0.0), "not supported: leave it out"), "dynatemp_exponent": ((1, 1.0), "not supported"),
    "ignore_eos": ((False,), "not supported: send logit_bias with the ids that end answers, and false"),
    "lora": (([],), "not supported: leave it out"), "min_keep": ((0,), "not supported: leave it out"),
    "n": ((1,), "only one answer per request: POST /v1/completions has more"),
    "n_cmpl": ((1,), "only one answer per request: POST /v1/completions has more"),
    "n_indent": ((0,), "not supported: leave it out"),
    "post_sampling_probs": ((False,), "probabilities are the model's own, before sampling: leave it out"),
    "response_fields": (([],), "not supported: all fields are sent"), "samplers": ((), ORDER),
    "t_max_predict_ms": ((0, -1), "not supported: send n_predict"), "top_n_sigma": ((-1, -1.0), "not supported"),
    "stream_options": ((), "the last event has the counts in any case: leave it out"),
    "t_max_prompt_ms": ((0, -1), "not supported: leave it out"),
    "response_format": ((), "not supported here: send json_schema or grammar"),
}  # fmt: skip


def check_refused(body: Base) -> None:
    """Raise a 400 for a field that is not supported and would change the answer."""
    check_fields(body, REFUSED)


def biases_of(given: Any) -> dict[int, float]:  # noqa: ANN401
    """Return the biases of ids: false, as a bias, is minus infinity."""
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise invalid("logit_bias", "must be a list of pairs of an id and a bias, or an object")
    found: dict[int, float] = {}
    for key, bias in pairs:
        id = int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10 else key
        if type(id) is not int or id < 0:
            raise invalid("logit_bias", f"{str(key)[:50]!r} is not a token id")
        if bias is not False and type(bias) not in (int, float):
            raise invalid("logit_bias", f"the bias of {id} must be a number, or false")
        found[id] = float("-inf") if bias is False else float(bias)
    return found
