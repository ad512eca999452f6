"""A request's prompt (messages, texts or ids) becomes token ids.

The fields are checked first; tokenizing happens where the model is evaluated, because a long text takes time. Roles
reach the chat template unchanged, so only known ones pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gemel

from ..config import Config
from ..http.errors import ApiError, invalid, refused
from ..jobs import turns
from ..jobs.answer import Prompts
from ..jobs.work import TextPrompts
from ..models import Defaults
from . import wire
from .thinking import budget_of, thinking
from .tools import tools_of
from .wire import Inputs, Message, check_refused

# Parameters of Model.turn and Model.prompt_ids: those that are fields of a request, and the others.
FIELDS = (
    "continue_final_message", "add_generation_prompt", "messages", "tools", "tool_choice", "parallel_tool_calls",
    "reasoning_budget",
)  # fmt: skip
RESERVED = ("self", "prompt", "special", "template", "continue_final", "allowed_tools", *FIELDS)
# Fields of a message that a template may read.
PASSED = ("name", "refusal", "reasoning_content", "reasoning", "tool_calls", "tool_call_id")
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def of_chat(body: wire.ChatRequest, continue_final: bool, defaults: Defaults) -> Prompts:
    """Return a function that renders a request's messages and tools with the model's chat template.

    continue_final: the answer continues the last message, which is the assistant's.
    """
    options = body.chat_template_kwargs or {}
    if reserved := next((name for name in options if name in RESERVED), None):
        instead = ": send it as a field of the request" if reserved in FIELDS else ""
        raise invalid("chat_template_kwargs", f"{reserved} is not an option of a template{instead}")
    if not body.messages:
        raise invalid("messages", "it is empty: send at least one message")
    sent = [_message(message, i) for i, message in enumerate(body.messages)]
    more = {**tools_of(body), "continue_final_message": continue_final, "reasoning_budget": budget_of(body)}

    return turns.turns(
        sent, options=more, values=lambda reads: thinking(body, options, reads), values_param="chat_template_kwargs",
        instead="use POST /v1/completions", defaults=defaults,
    )


def with_template_hint(error: ApiError, model: gemel.Model) -> ApiError:
    """Return the error for an unknown field; if the chat template reads a value of that name, the error says so."""
    name = error.param or ""
    if error.code != "unknown_parameter" or not name.isidentifier() or name in RESERVED:
        return error
    if model.chat_template is None or model.closed:
        return error
    with contextlib.suppress(gemel.GemelError):   # such as a template that fails
        if turns.reads(model, name):
            words = f"{name}: unknown parameter; the chat template reads it: send it in chat_template_kwargs"
            return ApiError(error.status, words, param=name, code=error.code)
    return error


def of_inputs(given: Inputs, param: str, config: Config, *, n: int = 1, bos_eos: bool) -> TextPrompts:
    """Return a function that makes ids of a text, texts, ids, or lists of ids.

    n: answers per prompt. bos_eos: add BOS and EOS, as embeddings need them.
    """
    inputs = _inputs(given, param)
    if not inputs:
        raise invalid(param, "it is empty")
    if len(inputs) * n > config.max_inputs:
        times = f", times n={n}" if n > 1 else ""
        raise invalid(param, f"it has {len(inputs)} items{times}, but at most {config.max_inputs} are allowed")
    for i, one in enumerate(inputs):
        if not one and (bos_eos or isinstance(one, list)):
            raise invalid(param if len(inputs) == 1 else f"{param}[{i}]", "it is empty")

    def prompts(model: gemel.Model) -> Iterator[list[int]]:
        return (_ids(model, one, param, bos_eos=bos_eos) for one in inputs)

    return prompts


def _inputs(given: Inputs, param: str) -> list[str] | list[list[int]]:
    if isinstance(given, str):
        return [given]
    for kind in (str, int, list):
        if all(isinstance(one, kind) for one in given):
            found: Any = [given] if kind is int and given else given
            return list(found)
    raise invalid(param, "it must be a string, a list of strings, a list of token ids, or a list of lists of token ids")


def _ids(model: gemel.Model, one: str | list[int], param: str, *, bos_eos: bool) -> list[int]:
    if isinstance(one, list):
        if max(one) >= model.n_vocab:
            raise invalid(param, f"{max(one)} is not a token id of this model: they are 0 to {model.n_vocab - 1}")
        return one
    return model.tokenize(one, bos_eos=True) if bos_eos else model.prompt_ids(one)


def _message(message: Message, i: int) -> dict[str, Any]:
    where = f"messages[{i}]"
    check_refused(message, f"{where}.")
    if message.role == "function":
        raise refused(f"{where}.role", 'not supported: send the result as role "tool" with its tool_call_id')
    if message.role not in ROLES:
        known = ", ".join(ROLES)
        raise invalid(f"{where}.role", f"{message.role[:50]!r} must be one of {known}")
    if message.prefix and message.role != "assistant":
        raise invalid(f"{where}.prefix", "only the assistant's last message can be continued")
    others = {name: value for name in PASSED if (value := getattr(message, name)) not in (None, [])}
    return {"role": ROLES[message.role], "content": message.content, **others}   # null is as absent
