"""What a request gives to go on from, a chat's messages or texts or ids, becomes ids of the model.

The fields are checked before a model is asked; the ids are made where the model is evaluated, since a long text takes
its time. Roles reach the chat template as they are, so only known ones pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gemel

from .config import Config
from .errors import invalid, refused
from .wire import Inputs, Message, check_refused

Prompts = Callable[[gemel.Model], Iterator[list[int]]]
"""Makes the ids of every prompt of a request, one after another."""
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def of_chat(messages: list[Message]) -> Prompts:
    """Return what renders the messages by the model's own chat template."""
    if not messages:
        raise invalid("messages", "there is no message to answer")
    plain = [
        {"role": _role(message, i), "content": _content(message, f"messages[{i}].content")}
        for i, message in enumerate(messages)
    ]

    def prompts(model: gemel.Model) -> Iterator[list[int]]:
        if model.chat_template is None:
            raise invalid("messages", "the model has no chat template and holds no conversation; POST /v1/completions")
        yield model.prompt_ids(plain)

    return prompts


def of_inputs(given: Inputs, param: str, config: Config, *, n: int = 1, bos_eos: bool) -> Prompts:
    """Return what makes ids of a text, texts, ids, or lists of ids. bos_eos: as texts to embed have them.

    n: answers to each of them.
    """
    inputs = _inputs(given, param)
    if not inputs:
        raise invalid(param, "it is empty")
    if len(inputs) * n > config.max_inputs:
        times = f", times n={n}" if n > 1 else ""
        raise invalid(param, f"there are {len(inputs)} of them{times}: the limit here is {config.max_inputs}")
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
    raise invalid(param, "it is a text, a list of texts, a list of ids, or a list of lists of ids; not a mixture")


def _ids(model: gemel.Model, one: str | list[int], param: str, *, bos_eos: bool) -> list[int]:
    if isinstance(one, list):
        if max(one) >= model.n_vocab:
            raise invalid(param, f"{max(one)} is no id of this model, which has 0 to {model.n_vocab - 1}")
        return one
    return model.tokenize(one, bos_eos=True) if bos_eos else model.prompt_ids(one)


def _role(message: Message, i: int) -> str:
    where = f"messages[{i}]"
    check_refused(message, f"{where}.")
    if message.role in ("tool", "function"):
        raise refused(f"{where}.role", "tools are not supported here")
    if message.role not in ROLES:
        known = ", ".join(ROLES)
        raise invalid(f"{where}.role", f"{message.role[:50]!r} is none of {known}")
    return ROLES[message.role]


def _content(message: Message, where: str) -> str:
    """Return the text of a message; parts of a list become lines."""
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        raise invalid(where, "a message has a text")
    texts = []
    for i, part in enumerate(message.content):
        kind = part.get("type")
        if kind not in ("text", "refusal") or not isinstance(text := part.get(kind), str) or len(part) != 2:
            raise refused(f"{where}[{i}]", 'only parts like {"type": "text", "text": "..."} are supported here')
        texts.append(text)
    if not texts:
        raise invalid(where, "a message has a text")
    return "\n".join(texts)
