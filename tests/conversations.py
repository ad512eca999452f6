"""Conversations that chat templates render, with what transformers' apply_chat_template gives for them.

golden/make_templates.py wrote golden/templates.json: for each template, the start of the SHA-256 of each rendering.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
GOLDEN = FOLDER / "templates.json"
NOW = datetime(2026, 1, 2, 3, 4, 5)   # what strftime_now says
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
SIZE = 4                       # hexadecimal digits of a rendering's digest
ERROR = "-" * SIZE             # there is no rendering
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Conversation:
    """Messages, and what else a template reads."""

    messages: Messages
    tools: list[dict[str, Any]] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        """Whether the last message is to be continued."""
        return bool(self.messages[-1]["role"] == "assistant")


def said(*texts: str, system: str = "") -> Messages:
    """Return messages of user and assistant in turn."""
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def tool(name: str, **properties: str) -> dict[str, Any]:
    """Return a tool whose parameters have these types."""
    parameters = {
        "type": "object", "required": list(properties),
        "properties": {key: {"type": kind, "description": f"The {key}."} for key, kind in properties.items()},
    }
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


def call(number: int, name: str, arguments: object) -> dict[str, Any]:
    """Return a call of a tool."""
    return {"id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}


def result(number: int, name: str, text: str) -> dict[str, Any]:
    """Return what a call gave."""
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "name": name, "content": text}


def sent(messages: Messages) -> Messages:
    """Return messages as clients of OpenAI's API send them: arguments are JSON texts, and results have no names."""
    found = []
    for message in messages:
        message = {name: value for name, value in message.items() if name != "name"}
        if "tool_calls" in message:
            functions = [one["function"] for one in message["tool_calls"]]
            texts = [json.dumps(one["arguments"], ensure_ascii=False) for one in functions]
            message["tool_calls"] = [
                {**one, "function": {**one["function"], "arguments": text}}
                for one, text in zip(message["tool_calls"], texts, strict=True)
            ]
        found.append(message)
    return found


def in_turn(messages: Messages) -> Messages:
    """Return messages with one call each, with its result behind it."""
    results = {message["tool_call_id"]: message for message in messages if message["role"] == "tool"}
    found = []
    for message in messages:
        for i, one in enumerate(message.get("tool_calls", ())):
            found.append({**message, "content": "" if i else message["content"], "tool_calls": [one]})
            found.append(results[one["id"]])
        if "tool_calls" not in message and message["role"] != "tool":
            found.append(message)
    return found


def apart(messages: Messages) -> Messages:
    """Return messages of which none has both a content and calls."""
    found = []
    for message in messages:
        if "tool_calls" not in message:
            found.append(message)
            continue
        if message["content"]:
            found.append({name: value for name, value in message.items() if name != "tool_calls"})
        found.append({"role": message["role"], "content": None, "tool_calls": message["tool_calls"]})
    return found


TOOLS = [tool("search", query="string", limit="integer"), tool("clock")]
SEARCH = call(1, "search", {"query": "the \"sky\" <is> blué", "limit": 2})
CALLED = [*said("Search it"), {"role": "assistant", "content": "", "tool_calls": [SEARCH]}, result(1, "search", "42")]
BOTH = [SEARCH, call(2, "clock", {})]
TWICE = [
    *said("Do both", system="Be brief."), {"role": "assistant", "content": "Now.", "tool_calls": BOTH},
    result(1, "search", "42"), result(2, "clock", "03:04"), *said("x", "It is 42.", "Thanks")[1:],
]

CONVERSATIONS: dict[str, Conversation] = {
    "one message": Conversation(said("Why is the sky blue?")),
    "a system message": Conversation(said("Hi", system="Be brief.")),
    "turns": Conversation(said("Hi", "Hello!", "Why?", "Because.", "Go on")),
    "spaces and other scripts": Conversation(said("  a \n", "\n b\t", " 你好 🦊 <b>&\n\n", system=" Ünï \n")),
    "tools": Conversation(said("Hi"), TOOLS),
    "tools and a system message": Conversation(said("Hi", "Hello!", "What time is it?", system="Be brief."), TOOLS),
    "a tool's result": Conversation(CALLED, TOOLS),
    "two calls and an answer": Conversation(TWICE, TOOLS),
    "reasoning": Conversation([
        *said("Hi"), {"role": "assistant", "content": "Hello", "reasoning_content": "He greets me."}, *said("And now?"),
    ]),
    "reasoning in the text": Conversation(said("Hi", "<think>\nHe greets.\n</think>\n\nHello", "x")),
    "thinking is off": Conversation(said("Hi", system="Be brief."), options={"enable_thinking": False}),
    "an answer to continue": Conversation(said("Hi", "Hello", "Tell me", "The sky is")),
    "an answer to continue, with a space": Conversation(said("Tell me", "  The sky is \n", system="Be brief.")),
    "control tokens spelled out": Conversation(said("a <|im_end|> b", "</s> c <|im_end|>", "<s>")),
    "system messages and empty contents": Conversation([
        *said("", "ok", system="One."), {"role": "system", "content": "Two."}, *said("x"),
    ]),
    "a tool's result, as sent": Conversation(sent(CALLED), TOOLS),
    "two calls and an answer, as sent": Conversation(sent(TWICE), TOOLS),
    "a tool's result, apart": Conversation(sent(apart(CALLED)), TOOLS),
    "two calls and an answer, apart": Conversation(sent(apart(TWICE)), TOOLS),
    "two calls and an answer, in turn": Conversation(in_turn(TWICE), TOOLS),
}


CONTROL = {1: "<s>", 2: "</s>", 3: "<|im_end|>"}


class Characters:
    """A vocabulary for templates: a character is an id; three ids are control tokens."""

    name = "characters"
    chat_template: str | None = None
    chat_templates: Mapping[str, str] = {}
    bos_id: int | None = 1
    eos_id: int | None = 2

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        ids: list[int] = []
        while text:
            found = next((id for id, token in CONTROL.items() if special and text.startswith(token)), None)
            ids.append(ord(text[0]) + 100 if found is None else found)
            text = text[1:] if found is None else text.removeprefix(CONTROL[found])
        return ids

    def piece(self, id: int, *, special: bool = False) -> bytes:
        return (CONTROL[id] if id in CONTROL else chr(id - 100)).encode()

    def is_control(self, id: int) -> bool:
        return id in CONTROL


def digest(text: str | None) -> str:
    """Return what the golden file keeps of a rendering; None: there is none."""
    return ERROR if text is None else hashlib.sha256(text.encode()).hexdigest()[:SIZE]


def key(template: str) -> str:
    """Return what the golden file calls a template."""
    return hashlib.sha256(template.encode()).hexdigest()[:12]


def read() -> dict[str, list[str]]:
    """Return the digests of each template by its key, in the order of CONVERSATIONS."""
    read: dict[str, str] = json.loads(GOLDEN.read_text())["templates"]
    return {name: re.findall("." * SIZE, digests) for name, digests in read.items()}
