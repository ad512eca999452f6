"""Messages as clients keep them become messages as templates expect them: each with a text as its content.

An error begins with the place: `messages[2].content[0]: ...`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.checks import flag, wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.hints import did_you_mean
from .calls import calls_of, linked

RESERVED = ("messages", "bos_token", "eos_token", "tools")   # values that every template gets
NEUTRAL = ("annotations", "cache_control", "id")   # fields of a part that don't change what the model reads
REASONING = ("reasoning_content", "thinking", "reasoning")   # names under which servers send it, the usual one first
EMPTY: tuple[object, ...] = (None, "", [], ())


def plain(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with texts as contents; fields that templates may read stay as they are.

    Parts of type "text" are joined as lines. An assistant's message may lack a text; its `refusal` then stands for it.
    Fields that are None are left out. Reasoning is given under each name that templates read.
    Calls of tools have OpenAI's form, with mappings as arguments and with ids; results have the id and name of a call.
    ArgumentError for a part that is not text, for a message without a role, for one without a content that is not the
    assistant's, for calls of another shape, and for a result of no call.

    >>> plain([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": None}])
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': ''}]
    """
    if not isinstance(messages, list | tuple):
        raise wrong_type("messages", messages, 'a list of {"role": ..., "content": ...}')
    return linked([_plain(message, f"messages[{i}]") for i, message in enumerate(messages)])


@dataclass(frozen=True)
class Ending:
    """How messages end, as callers say it: the answer continues the last one, or begins one. None: by default.

    Attributes:
        continue_final_message: whether the answer goes on with the last message, which must be the assistant's
        add_generation_prompt: True: the answer begins a message in any case
        name: by which the caller passed the first of them
    """

    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    name: str = "continue_final_message"

    def __post_init__(self) -> None:
        named = {self.name: self.continue_final_message, "add_generation_prompt": self.add_generation_prompt}
        for name, value in named.items():
            if value is not None:
                flag(name, value)


def continues(messages: Sequence[Mapping[str, Any]], ending: Ending | None = None) -> bool:
    """Tell whether an answer continues the last message: if wanted, or by default if that is the assistant's.

    >>> continues([{"role": "assistant", "content": "The sky"}])
    True
    >>> continues([{"role": "assistant", "content": "The sky"}], Ending(add_generation_prompt=True))
    False
    """
    ending = ending or Ending()
    goes_on, is_new = ending.continue_final_message, ending.add_generation_prompt
    is_assistants = bool(messages) and messages[-1].get("role") == "assistant"
    if goes_on and is_new:
        raise ArgumentError(f"{ending.name}: it can't be combined with add_generation_prompt: pass only one of them")
    if goes_on and not is_assistants:
        raise ArgumentError(f"{ending.name}: the last message is not the assistant's: there is nothing to continue")
    if goes_on is not False and not is_new and is_assistants and messages[-1].get("tool_calls"):
        where = f"messages[{len(messages) - 1}].tool_calls"
        raise ArgumentError(f"{where}: they have no results yet: add a message of the role 'tool' for each call")
    if goes_on is None:
        goes_on = is_assistants and not is_new
    if is_new is not None and not is_new and not goes_on:
        words = "it can be false only if the answer continues the assistant's last message: leave it out"
        raise ArgumentError(f"add_generation_prompt: {words}")
    return bool(goes_on)


def _plain(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise ArgumentTypeError(f'{where} is {message!r:.50}: it must be like {{"role": "user", "content": "..."}}')
    role, name = message.get("role", ""), message.get("name")
    if not isinstance(role, str):
        raise ArgumentTypeError(f"{where}.role: must be a string, such as 'user', not {role!r:.50}")
    if not role:
        how = "is empty" if "role" in message else "is missing"
        raise ArgumentError(f"{where}.role: it {how}: say who speaks, such as 'user' or 'assistant'")
    if name is not None:
        _text(name, f"{where}.name")
    kept = {key: value for key, value in message.items() if key != "refusal" and value is not None}
    given = sorted((kept[name] for name in REASONING if name in kept), key=lambda value: not value)   # "": as absent
    reasoning = given[0] if given else None
    if reasoning is not None:   # templates read the first or the second name
        kept = {"thinking": reasoning, **kept, "reasoning_content": reasoning}
    kept |= _calls(kept.pop("tool_calls", None), role, f"{where}.tool_calls")
    content, refusal = message.get("content"), message.get("refusal")
    if content in EMPTY and message.get("role") == "assistant":
        kept["content"] = _text(refusal, f"{where}.refusal") if refusal is not None else ""
    elif refusal:
        raise ArgumentError(f"{where}.refusal: only an assistant's message without content may have a refusal")
    elif "content" in message:
        kept["content"] = _content(content, f"{where}.content")
    return kept


def _calls(calls: object, role: str, where: str) -> dict[str, Any]:
    """Return the field of the calls; a message without calls has no such field."""
    if calls is None or not (found := calls_of(calls, where)):
        return {}
    if role in ("system", "developer", "user", "tool"):
        raise ArgumentError(f"{where}: only an assistant's message may have calls")
    return {"tool_calls": found}


def _content(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        raise ArgumentTypeError(f"{where}: it must have text")
    if content == []:
        raise ArgumentError(f"{where}: it must have text")
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        raise ArgumentTypeError(f"{where}: must be a string or a list of text parts, not {content!r:.50}")
    return "\n".join(_part(part, f"{where}[{i}]") for i, part in enumerate(content))


def _part(part: object, where: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or kind not in ("text", "refusal"):
        given = f"not parts of type {kind!r:.50}" if kind is not None else f"not {part!r:.50}"
        raise ArgumentError(
            f'{where}: only parts like {{"type": "text", "text": "..."}} are supported here, {given}: leave it out'
        )
    known = ("type", kind, *NEUTRAL)
    for name, value in part.items():
        if name not in known and value is not None:
            raise ArgumentError(f"{where}.{name}: unknown field of a text part{did_you_mean(str(name), known)}")
    return _text(part.get(kind), f"{where}.{kind}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{where}: must be a string, not {value!r:.50}")
    return value
