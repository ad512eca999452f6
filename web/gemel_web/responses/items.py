"""Items of a conversation become messages of a chat, and tools those of a chat.

    message                an assistant's, a user's, a system's
    reasoning              the reasoning of the assistant's message that follows
    function_call          a call of the assistant's message before it, or of a new one
    function_call_output   a message of the role tool
"""

from __future__ import annotations

import re
from typing import Any

from ..http.errors import invalid, refused
from ..openai.wire import Message
from .wire import Item, ResponseRequest

TEXTS = ("input_text", "output_text", "text")
FIELDS = {
    "message": ("role", "content", "phase"), "reasoning": ("summary", "content", "encrypted_content"),
    "function_call": ("call_id", "name", "arguments", "caller"), "function_call_output": ("call_id", "output", "name"),
}  # fmt: skip
NEUTRAL = ("type", "id", "status", "namespace")
OF_TOOL = ("type", "name", "description", "parameters", "strict")
NEUTRAL_OF_TOOL = ("allowed_callers", "defer_loading", "output_schema")
PLACE = re.compile(r"messages\[(\d+)\](?:\.tool_calls\[(\d+)\](?:\.function)?)?")


class Conversation:
    """The messages of a request.

    Attributes:
        messages: them
    """

    def __init__(self, earlier: list[Item], body: ResponseRequest) -> None:
        """earlier: the items of the response before. They have no place in the request."""
        self.messages: list[Message] = []
        self._places: list[list[str]] = []   # of each message: its items'
        self._reasoning = ""
        if body.instructions:
            self._add(Message(role="system", content=body.instructions), "instructions")
        for item in earlier:
            self._take(item, "previous_response_id")
        if isinstance(body.input, str):
            self._add(Message(role="user", content=body.input), "input")
        else:
            for i, item in enumerate(body.input):
                self._take(item, f"input[{i}]")
        if not self.messages:
            raise invalid("input", "it is empty: send at least one item")

    def placed(self, words: str) -> str:
        """Return an error's words with the request's place instead of that in the chat."""
        if found := re.match(r"tools\[\d+\]\.function", words):
            return found[0].removesuffix(".function") + words[len(found[0]) :]
        found = PLACE.match(words)
        if found is None or int(found[1]) >= len(self._places):
            return words
        places = self._places[int(found[1])]
        n = 0 if found[2] is None else len(places) - len(self.messages[int(found[1])].tool_calls or ()) + int(found[2])
        rest = words[len(found[0]) :].replace(".tool_call_id", ".call_id", 1)
        return places[min(n, len(places) - 1)] + rest

    def _add(self, message: Message, place: str) -> None:
        self.messages.append(message)
        self._places.append([place])

    def _take(self, item: Item, where: str) -> None:
        kind = item.get("type", "message" if "role" in item else None)
        if not isinstance(kind, str) or kind not in FIELDS:
            words = f"{str(kind)[:50]!r} is not supported: must be one of {', '.join(FIELDS)}"
            raise refused(f"{where}.type", words)
        for name in item:
            if name not in (*FIELDS[kind], *NEUTRAL):
                raise invalid(f"{where}.{name[:50]}", f"there is no such field of an item of the type {kind}")
        if kind == "message":
            self._message(item, where)
        elif kind == "reasoning":
            self._reasoning += _text(item.get("content") or "", f"{where}.content", ("reasoning_text",))
        elif kind == "function_call":
            self._call(item, where)
        else:
            output = _text(item.get("output", ""), f"{where}.output", TEXTS)
            self._add(Message(role="tool", tool_call_id=_string(item, "call_id", where), content=output), where)

    def _message(self, item: Item, where: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role not in ("user", "system", "developer", "assistant"):
            raise invalid(f"{where}.role", f"{str(role)[:50]!r} must be one of user, system, developer, assistant")
        message = Message(role=role, content=_text(content, f"{where}.content", TEXTS))
        if role == "assistant" and self._reasoning:
            message.reasoning_content, self._reasoning = self._reasoning, ""
        self._add(message, where)

    def _call(self, item: Item, where: str) -> None:
        function = {"name": _string(item, "name", where), "arguments": _string(item, "arguments", where)}
        call = {"id": _string(item, "call_id", where), "type": "function", "function": function}
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != "assistant" or self._reasoning:
            self._add(Message(role="assistant", reasoning_content=self._reasoning or None), where)
            self._reasoning = ""
        else:
            self._places[-1].append(where)
        message = self.messages[-1]
        message.tool_calls = [*(message.tool_calls or []), call]


def _string(item: Item, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise invalid(f"{where}.{name}", "must be a string")
    return value


def _text(content: Any, where: str, kinds: tuple[str, ...]) -> str:  # noqa: ANN401
    """Return the text of a string, or of parts, as lines."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(where, "must be a string, or a list of parts")
    texts = []
    for i, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        name = "refusal" if kind == "refusal" else "text"
        if kind not in (*kinds, "refusal"):
            raise refused(f"{where}[{i}].type", f"{str(kind)[:50]!r} is not supported: must be {' or '.join(kinds)}")
        texts.append(_string(part, name, f"{where}[{i}]"))
    return "\n".join(texts)


def tools_of(body: ResponseRequest) -> list[dict[str, Any]]:
    """Return the tools in a chat's form."""
    found = []
    for i, tool in enumerate(body.tools or ()):
        if (kind := tool.get("type")) != "function":
            raise refused(f"tools[{i}].type", f"{str(kind)[:50]!r} is not supported: this server runs no tools")
        for name in tool:
            if name not in (*OF_TOOL, *NEUTRAL_OF_TOOL):
                raise invalid(f"tools[{i}].{name[:50]}", f"there is no such field: {', '.join(OF_TOOL)} are allowed")
        inner = {name: tool[name] for name in OF_TOOL[1:] if tool.get(name) is not None}
        found.append({"type": "function", "function": inner})
    return found


def choice_of(body: ResponseRequest) -> str | dict[str, Any] | None:
    """Return tool_choice in a chat's form."""
    given = body.tool_choice
    if not isinstance(given, dict):
        return given
    if given.get("type") == "function":
        return {"type": "function", "function": {name: given[name] for name in given if name != "type"}}
    if given.get("type") == "allowed_tools":
        listed = given.get("tools")
        if isinstance(listed, list):
            names = [one.get("name") if isinstance(one, dict) else None for one in listed]
            listed = [{"type": "function", "function": {"name": name}} for name in names]
        return {"type": "allowed_tools", "allowed_tools": {"mode": given.get("mode"), "tools": listed}}
    return given


def format_of(body: ResponseRequest) -> dict[str, Any] | None:
    """Return response_format of a chat."""
    text = body.text or {}
    for name in text:
        if name not in ("format", "verbosity"):
            raise invalid(f"text.{name[:50]}", "there is no such field: format and verbosity are allowed")
    if text.get("verbosity") not in (None, "medium"):
        raise refused("text.verbosity", "not supported: leave it out")
    given = text.get("format")
    if not isinstance(given, dict | None):
        raise invalid("text.format", "must be an object with a type")
    if given is None or given.get("type") != "json_schema":
        return given
    inner = {name: value for name, value in given.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": inner}


def effort_of(body: ResponseRequest) -> Any:  # noqa: ANN401
    """Return reasoning_effort of a chat. Summaries are not made: reasoning is sent as it is."""
    given = body.reasoning or {}
    for name in given:
        if name not in ("effort", "summary", "generate_summary"):
            raise invalid(f"reasoning.{name[:50]}", "there is no such field: effort and summary are allowed")
    effort = given.get("effort")
    if effort not in (None, "none", "minimal", "low", "medium", "high", "xhigh", "max"):
        raise invalid("reasoning.effort", "must be one of none, minimal, low, medium, high, xhigh, max")
    return effort
