"""Messages with blocks of content become messages with texts, calls and results, as Model.turn reads them.

    user       text, tool_result     a message of the role tool per result, then one of the texts
    assistant  thinking, text, tool_use

Each place of an error that gemel finds in the new messages is replaced by the request's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..http.errors import ApiError, invalid, refused
from . import wire

NEUTRAL = ("type", "cache_control", "citations")
FIELDS = {   # of a block, by its type
    "text": ("text",), "thinking": ("thinking", "signature"),
    "tool_use": ("id", "name", "input", "caller", "toolset_name"),
    "tool_result": ("tool_use_id", "content", "is_error", "toolset_name"),
}  # fmt: skip
OF_ROLE = {"user": ("text", "tool_result"), "assistant": ("text", "thinking", "tool_use"), "system": ("text",)}
FAILED = "The tool failed:"   # the line before the content of a result with is_error
PLACE = re.compile(r"messages\[\d+\](?:\.(?:tool_calls|content)\[\d+\])?")
RENAMED = {".function.arguments": ".input", ".function.name": ".name", ".tool_call_id": ".tool_use_id"}
Message = dict[str, Any]


class Messages:
    """The messages of a request, in gemel's form.

    Attributes:
        sent: them
    """

    def __init__(self, body: wire.Prompt) -> None:
        self.sent: list[Message] = []
        self._places: dict[str, str] = {}   # those of `sent`: the request's
        if body.system:
            self._add("system", "system", {"role": "system", "content": _texts(body.system, "system")})
        if not body.messages:
            raise invalid("messages", "it is empty: send at least one message")
        for i, message in enumerate(body.messages):
            self._take(message, f"messages[{i}]")

    def placed(self, words: str) -> str:
        """Return an error's words with the request's place instead of the one in `sent`."""
        found = PLACE.match(words)
        if found is None:
            return words
        whole, start = found[0], found[0].rpartition(".")[0]
        place = self._places.get(whole) or self._places.get(start, start) + whole[len(start) :]
        rest = words[len(whole) :]
        for old, new in RENAMED.items():
            if rest.startswith(old):
                rest = new + rest[len(old) :]
        return place + rest

    def _add(self, place: str, content: str, message: Message) -> None:
        at = f"messages[{len(self.sent)}]"
        self._places[at] = place
        if isinstance(message["content"], list):
            self._places |= {f"{at}.content[{k}]": f"{content}[{k}]" for k in range(len(message["content"]))}
        self.sent.append(message)

    def _take(self, message: wire.Message, where: str) -> None:
        if message.role not in OF_ROLE:
            raise invalid(f"{where}.role", f'must be "user" or "assistant", not {message.role[:50]!r}')
        if isinstance(message.content, str):
            self._text(message.role, message.content, where)
            return
        blocks = [_block(one, f"{where}.content[{k}]", message.role) for k, one in enumerate(message.content)]
        if message.role == "assistant":
            self._assistants(blocks, where)
            return
        for k, block in enumerate(blocks):
            if block["type"] == "tool_result":
                self._result(block, f"{where}.content[{k}]")
        if texts := [one for one in blocks if one["type"] == "text"]:
            self._text(message.role, texts, where)
        elif not blocks:
            raise invalid(f"{where}.content", "it is empty: send at least one block")

    def _text(self, role: str, content: str | list[Message], where: str) -> None:
        """Add a text; what a user says in several messages is one of them."""
        last = self.sent[-1] if self.sent else {}
        if role == "user" and last.get("role") == "user":
            last["content"] = [*_parts(last["content"]), *_parts(content)]
        else:
            self._add(where, f"{where}.content", {"role": role, "content": content})

    def _result(self, block: Message, where: str) -> None:
        content = _texts(block.get("content") or "", f"{where}.content")
        if block.get("is_error"):
            content = [*_parts(FAILED), *_parts(content)]
        self._add(where, f"{where}.content", {
            "role": "tool", "tool_call_id": block["tool_use_id"], "content": content,
        })  # fmt: skip

    def _assistants(self, blocks: Sequence[Message], where: str) -> None:
        texts = [block for block in blocks if block["type"] == "text"]
        calls = [(k, block) for k, block in enumerate(blocks) if block["type"] == "tool_use"]
        thoughts = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
        at = f"messages[{len(self.sent)}]"
        self._add(where, f"{where}.content", {
            "role": "assistant", "content": texts, **({"reasoning_content": thoughts} if thoughts else {}),
            **({"tool_calls": [_call(block) for _, block in calls]} if calls else {}),
        })  # fmt: skip
        self._places |= {f"{at}.tool_calls[{n}]": f"{where}.content[{k}]" for n, (k, _) in enumerate(calls)}


def _call(block: Message) -> dict[str, Any]:
    function = {"name": block["name"], "arguments": block["input"]}
    return {"id": block["id"], "type": "function", "function": function}


def _parts(content: str | list[Message]) -> list[Message]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(content: Any, where: str) -> str | list[Message]:  # noqa: ANN401
    """Return a text, or parts that are texts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(where, "must be a string, or a list of blocks of the type text")
    return [_block(one, f"{where}[{i}]", "system") for i, one in enumerate(content)]


def _block(given: Any, where: str, role: str) -> Message:  # noqa: ANN401
    """Return a block of a known type, with its fields checked, and without those that have no effect."""
    kind = given.get("type") if isinstance(given, Mapping) else None
    if not isinstance(kind, str):
        raise invalid(where, 'must be an object with a type, such as {"type": "text", "text": ...}')
    allowed = OF_ROLE[role]
    if kind not in allowed:
        words = f"{kind[:50]!r} is not supported here: must be {' or '.join(allowed)}"
        raise refused(f"{where}.type", words)
    for name in given:
        if name not in (*FIELDS[kind], *NEUTRAL):
            words = f"there is no such field of a block of the type {kind}"
            raise ApiError(400, f"{where}.{name[:50]}: {words}", param=where, code="unknown_parameter")
    kinds = {"text": str, "thinking": str, "id": str, "name": str, "input": dict, "tool_use_id": str}
    for name in FIELDS[kind]:
        wanted = kinds.get(name)
        if wanted is not None and not isinstance(given.get(name), wanted):
            raise invalid(f"{where}.{name}", f"must be {'an object' if wanted is dict else 'a string'}")
    if not isinstance(given.get("is_error", False), bool | None):
        raise invalid(f"{where}.is_error", "must be true or false")
    return {name: given[name] for name in ("type", *FIELDS[kind]) if name in given}
