"""How a chat template reads tools, their calls and their results, found by rendering a small conversation.

Most templates write the arguments of a call by `tojson` or member by member; some append them as a JSON text. Some
write calls only if the message has no content, some only one call of a message, and some take only ids of 9 characters.
"""

from __future__ import annotations

import functools
import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

from ..core.errors import TemplateError
from .calls import Arguments
from .sandbox import TooLongError
from .template import Template, compiled

NINE = re.compile("[a-zA-Z0-9]{9}")
DIGITS = string.digits + string.ascii_letters
# Words that no template has.
ASKED, SAID, NAME, KEY, VALUE, SECOND, RESULT = (
    "askedqzx", "saidqzx", "nameqzx", "keyqzx", "valueqzx", "secondqzx", "resultqzx",
)   # fmt: skip
ID, OTHER_ID, LONG_ID = "callqzx00", "callqzx01", "call_qzx_000"
CONTENTS: tuple[str | None, ...] = ("", None)   # of messages with calls, the usual one first


@dataclass(frozen=True)
class CallForm:
    """How a template reads messages with calls.

    Attributes:
        reads: whether it writes calls; None: it fails on each of the conversations that were tried
        as_text: arguments are a JSON text, not a mapping
        content: what a message with calls has as content if it has no text
        apart: a text and calls are two messages, because calls would be dropped from one
        nine: ids have 9 letters and digits
        in_turn: each call has its own message, followed by its result
    """

    reads: bool | None
    as_text: bool = False
    content: str | None = ""
    apart: bool = False
    nine: bool = False
    in_turn: bool = False


@functools.lru_cache(maxsize=8)
def call_form(text: str) -> CallForm:
    """Return the form of a template's calls."""
    template, reads = compiled(text), None
    for content in CONTENTS:
        for as_text in (False, True):
            shown = _tried(template, content, as_text=as_text)
            if shown is not None:
                reads = False if reads is None else reads
            if shown is None or not _is_written(shown):
                continue
            with_text = _tried(template, SAID, as_text=as_text)
            with_two = _tried(template, content, as_text=as_text, calls={ID: VALUE, OTHER_ID: SECOND})
            return CallForm(
                True, as_text, content, apart=with_text is None or VALUE not in with_text,
                nine=_tried(template, content, as_text=as_text, calls={LONG_ID: VALUE}) is None,
                in_turn=with_two is None or VALUE not in with_two or SECOND not in with_two,
            )   # fmt: skip
    return CallForm(reads)


def formed(text: str, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages as plain() gives them in the form that a template reads calls in."""
    if not any(message.get("tool_calls") or message.get("tool_call_id") for message in messages):
        return list(messages)
    form, found = call_form(text), []
    for message in _in_turn(messages) if form.in_turn else messages:
        if "tool_calls" in message:
            calls = [_formed(call, form) for call in message["tool_calls"]]
            content = message.get("content")
            if content and form.apart:
                found.append({key: value for key, value in message.items() if key != "tool_calls"})
                found.append({"role": message["role"], "content": form.content, "tool_calls": calls})
            else:
                found.append({**message, "content": content or form.content, "tool_calls": calls})
        elif form.nine and "tool_call_id" in message:
            found.append({**message, "tool_call_id": nine(message["tool_call_id"])})
        else:
            found.append(message)
    return found


def _in_turn(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with one call each, and its results behind it."""
    found: list[list[dict[str, Any]]] = []
    behind: dict[str, list[dict[str, Any]]] = {}   # where the results of the last message's calls go, by id
    for message in messages:
        calls = message.get("tool_calls", ())
        id = message.get("tool_call_id")
        if len(calls) > 1:
            bare = {"role": message["role"], "content": ""}
            made = [[{**(bare if i else message), "tool_calls": [call]}] for i, call in enumerate(calls)]
            behind = {call["id"]: one for call, one in zip(calls, made, strict=True)}
            found += made
        elif message.get("role") == "tool" and id in behind:
            behind[id].append(message)
        else:
            behind = behind if message.get("role") == "tool" else {}
            found.append([message])
    return list(chain.from_iterable(found))


def nine(id: str) -> str:
    """Return an id of 9 letters and digits for any id; such ids stay as they are.

    >>> nine("call00001"), nine("call_1")
    ('call00001', 'rKSxKBV4V')
    """
    if NINE.fullmatch(id):
        return id
    number, found = int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest(), "big"), ""
    for _ in range(9):
        number, digit = divmod(number, len(DIGITS))
        found += DIGITS[digit]
    return found


@functools.lru_cache(maxsize=8)
def shows_calls(text: str) -> bool:
    """Tell whether a template writes the calls in messages, or makes anything of them."""
    form = call_form(text)
    if form.reads or "tool_calls" not in text:
        return bool(form.reads)
    template = compiled(text)
    shown = [_tried(template, "", as_text=as_text) for as_text in (False, True)]
    bare = _tried(template, "", as_text=False, is_called=False)
    return bare is None or any(one is not None and one != bare for one in shown)


@functools.lru_cache(maxsize=8)
def shows_tools(text: str) -> bool:
    """Tell whether a template writes the tools that it is given, or makes anything of them."""
    template, asked = compiled(text), [{"role": "user", "content": ASKED}]
    if "tools" not in template.names:
        return False
    tool = described({"type": "function", "function": {"name": NAME, "parameters": _parameters({"type": "string"})}})
    for messages in (asked, [{"role": "system", "content": SAID}, *asked]):
        shown = _rendered(template, messages, [tool])
        if shown is not None and (NAME in shown or shown != _rendered(template, messages, None)):
            return True
    return _rendered(template, asked, None) is None   # it fails on these messages for other reasons


@functools.lru_cache(maxsize=8)
def shows_results(text: str) -> bool:
    """Tell whether a template writes the results of calls."""
    template, form = compiled(text), call_form(text)
    if form.reads:
        shown = _tried(template, form.content, as_text=form.as_text)
    else:   # calls are written as texts
        shown = _rendered(template, [
            {"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID},
            {"role": "tool", "tool_call_id": ID, "name": NAME, "content": RESULT},
        ], [])   # fmt: skip
    return shown is not None and RESULT in shown


@functools.lru_cache(maxsize=8)
def takes_system(text: str) -> bool:
    """Tell whether a template writes a message of the system."""
    messages = [{"role": "system", "content": SAID}, {"role": "user", "content": ASKED}]
    shown = _rendered(compiled(text), messages, [])
    return shown is not None and SAID in shown


@functools.lru_cache(maxsize=8)
def needs_descriptions(text: str) -> bool:
    """Tell whether a template fails on tools or parameters without a description, and not if it is empty."""
    bare = {"type": "function", "function": {"name": NAME, "parameters": _parameters({"type": "string"})}}
    message, template = [{"role": "user", "content": ASKED}], compiled(text)
    return _rendered(template, message, [bare]) is None and _rendered(template, message, [described(bare)]) is not None


def described(tool: Any) -> Any:  # noqa: ANN401
    """Return a tool in OpenAI's form with a description of it and of each parameter, "" where there is none."""
    if not isinstance(tool, Mapping) or not isinstance(tool.get("function"), Mapping):   # of another form
        return tool
    function = {**{name: None for name in tool["function"] if name == "name"}, "description": "", **tool["function"]}
    parameters = function.get("parameters")
    if isinstance(parameters, Mapping) and isinstance(parameters.get("properties"), Mapping):
        properties = {
            name: {**one, "description": one.get("description", "")} if isinstance(one, Mapping) else one
            for name, one in parameters["properties"].items()
        }
        function["parameters"] = {**parameters, "properties": properties}
    return {**tool, "function": function}


def _formed(call: dict[str, Any], form: CallForm) -> dict[str, Any]:
    function = call["function"]
    if form.as_text:
        function = {**function, "arguments": function["arguments"].text}
    return {**call, "id": nine(call["id"]) if form.nine else call["id"], "function": function}


def _tried(
    template: Template, content: str | None, *, as_text: bool,
    calls: Mapping[str, str] = MappingProxyType({ID: VALUE}), is_called: bool = True,
) -> str | None:  # fmt: skip
    """Return the rendering of calls, by id with their arguments' value, and of their results, or of these alone."""
    made = []
    for id, value in calls.items():
        arguments = Arguments({KEY: value})
        function = {"name": NAME, "arguments": arguments.text if as_text else arguments}
        made.append({"id": id, "type": "function", "function": function})
    called = {"tool_calls": made} if is_called else {}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": ASKED}, {"role": "assistant", "content": content, **called},
        *({"role": "tool", "tool_call_id": id, "name": NAME, "content": RESULT} for id in calls),
    ]   # fmt: skip
    tool = {"name": NAME, "description": "", "parameters": _parameters({"type": "string", "description": ""})}
    return _rendered(template, messages, [{"type": "function", "function": tool}])


def _parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {KEY: schema}, "required": [KEY]}


def _rendered(template: Template, messages: Sequence[dict[str, Any]], tools: Sequence[Any] | None) -> str | None:
    """Return a rendering, or None: the template refuses or fails. TemplateError if it takes too much."""
    values = {"bos_token": "", "eos_token": "", "documents": None, "add_generation_prompt": True}
    try:
        return template.render(messages, tools=tools, **values)
    except TemplateError as error:
        if isinstance(error.__cause__, TooLongError):
            raise
        return None


def _is_written(shown: str) -> bool:
    """Tell whether a rendering has the arguments, neither quoted as a text nor as Python shows a mapping."""
    return VALUE in shown and f'\\"{KEY}' not in shown and str({KEY: VALUE}) not in shown
