"""A request's prompt (messages, texts or ids) becomes token ids.

The fields are checked first; tokenizing happens where the model is evaluated, because a long text takes time. Roles
reach the chat template unchanged, so only known ones pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gemel

from ..config import Config
from ..http.errors import invalid, refused
from ..jobs.work import Prompts
from .wire import Inputs, Message, check_refused

PASSED = ("name", "refusal", "reasoning_content")   # fields of a message that a template may read
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def of_chat(messages: list[Message], continue_final: bool) -> Prompts:
    """Return a function that renders the messages with the model's chat template.

    continue_final: the answer continues the last message, which is the assistant's.
    """
    if not messages:
        raise invalid("messages", "it is empty: send at least one message")
    sent = [_message(message, i) for i, message in enumerate(messages)]

    def prompts(model: gemel.Model) -> Iterator[list[int]]:
        if model.chat_template is None and not model.chat_templates:
            raise invalid("messages", "this model has no chat template: use POST /v1/completions")
        yield model.prompt_ids(sent, continue_final=continue_final)

    return prompts


def of_inputs(given: Inputs, param: str, config: Config, *, n: int = 1, bos_eos: bool) -> Prompts:
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
    if message.role in ("tool", "function"):
        raise refused(f"{where}.role", "tools are not supported here")
    if message.role not in ROLES:
        known = ", ".join(ROLES)
        raise invalid(f"{where}.role", f"{message.role[:50]!r} must be one of {known}")
    others = {name: value for name in PASSED if (value := getattr(message, name)) is not None}
    return {"role": ROLES[message.role], "content": message.content, **others}   # null is as absent
