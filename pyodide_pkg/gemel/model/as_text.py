"""Tools, their calls and their results as ordinary messages, for chat templates that do not write them.

A template that shows none of a model's tools gets them in the system's message, or in the user's first one where it
takes no system. Calls become the text of their message, in the dialect that answers are read in; results become a
user's message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..dialect.dialect import Calls
from ..dialect.parts import ToolCall
from ..dialect.writing import written
from ..text.forms import shows_calls, shows_results, shows_tools, takes_system

Message = dict[str, Any]
EXAMPLE = ToolCall(0, "000000000", "NAME", '{"ARGUMENT": "VALUE"}')


def as_text(
    template: str, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, calls: Calls
) -> tuple[list[Message], Sequence[Mapping[str, Any]] | None]:
    """Return messages of plain() and tools as the template can show them. calls: how the model writes calls."""
    found = list(messages)
    parameters = {one["function"]["name"]: one["function"].get("parameters") or {} for one in tools or ()}
    if any("tool_calls" in message for message in found) and not shows_calls(template):
        found = [_with_calls(message, calls, parameters) for message in found]
    if any(message.get("role") == "tool" for message in found) and not shows_results(template):
        found = _with_results(found)
    if not tools or shows_tools(template):
        return found, tools
    return _with_tools(found, instructions(tools, calls), is_system=takes_system(template)), None


def instructions(tools: Sequence[Mapping[str, Any]], calls: Calls) -> str:
    """Return what a model reads about its tools."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = written(calls, [EXAMPLE], {})
    return (
        f"# Tools\n\nYou can call these tools:\n{listed}\n\n"
        f"To call one, answer with its name and arguments:\n{example}\n"
        "The results of calls follow in <tool_response></tool_response>."
    )


def _with_tools(messages: list[Message], text: str, *, is_system: bool) -> list[Message]:
    first = messages[0] if messages else {}
    if first.get("role") in ("system", "developer"):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    if is_system:
        return [{"role": "system", "content": text}, *messages]
    at = next((i for i, message in enumerate(messages) if message.get("role") == "user"), None)
    if at is None:
        return [{"role": "user", "content": text}, *messages]
    asked = {**messages[at], "content": f"{text}\n\n{messages[at]['content']}"}
    return [*messages[:at], asked, *messages[at + 1 :]]


def _with_calls(message: Message, calls: Calls, parameters: Mapping[str, Mapping[str, Any]]) -> Message:
    if not message.get("tool_calls"):
        return message
    made = [
        ToolCall(i, one["id"], one["function"]["name"], one["function"]["arguments"].text)
        for i, one in enumerate(message["tool_calls"])
    ]
    texts = [message.get("content") or "", written(calls, made, parameters)]
    rest = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**rest, "content": "\n".join(filter(None, texts))}


def _with_results(messages: Sequence[Message]) -> list[Message]:
    """Return messages whose results are a user's, those that follow each other in one message."""
    found: list[Message] = []
    is_result = False
    for message in messages:
        if message.get("role") != "tool":
            found.append(message)
            is_result = False
            continue
        text = f"<tool_response>\n{message['content']}\n</tool_response>"
        if is_result:
            found[-1]["content"] += "\n" + text
        else:
            found.append({"role": "user", "content": text})
        is_result = True
    return found
