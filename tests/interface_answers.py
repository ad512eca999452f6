"""The JSON that the server and the command line answer, as lines of text: each field with its types.

Tiny models answer what clients ask. A name of an API's own, such as a type or a reason, is part of the line; all other
values are only their types.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import httpx
from command import gemel_
from conftest import CHATML, tiny_bytes
from serving import Asked
from tool_chats import ASKED, BOTH, MUST, WIDE, chat_models

Shape = defaultdict[str, set[str]]   # a field's place: its types
TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
FIXED = {"object", "type", "role", "done_reason"}   # fields whose values are an API's own names
BY_DATA = {   # objects whose keys are data
    "metadata", "isas", "environment", "commands", "drafts", "model_info", "input", "arguments", "logit_bias",
}   # fmt: skip
ELSEWHERE = {"response"}   # objects in events that are an answer's own, whose fields are lines of it
HOT: dict[str, Any] = {"temperature": 4.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "seed": 1}
CHAT: dict[str, Any] = {"model": "plain", "messages": ASKED, "max_tokens": 4, "temperature": 0}
TOOLS: dict[str, Any] = {"model": "tools", "messages": ASKED, **MUST, **WIDE, "seed": 1}
TEXT: dict[str, Any] = {"model": "plain", "prompt": "a b", "max_tokens": 4, "temperature": 0}
INPUT: dict[str, Any] = {"model": "plain", "input": "a b", "max_output_tokens": 4, "temperature": 0}
INPUT_TOOLS = {
    "model": "tools", "input": "a b", "tool_choice": "required", **HOT,
    "tools": [{"type": "function", **tool["function"]} for tool in BOTH],
}   # fmt: skip
USE_TOOLS = {
    "model": "tools", "messages": ASKED, "max_tokens": 300, "tool_choice": {"type": "any"},
    "temperature": 4.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 1,
    "tools": [{"name": "clock", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}}],
}   # fmt: skip
OLLAMA = {"temperature": 0, "num_predict": 4}
RANK: dict[str, Any] = {"model": "rank", "query": "a", "documents": ["a b", "b"], "return_documents": True}

ASKS: dict[str, list[tuple[str, dict[str, Any]]]] = {   # by API: paths and bodies; {}: GET
    "openai": [
        ("/v1/models", {}), ("/v1/models/plain", {}), ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2}), ("/v1/chat/completions", TOOLS),
        ("/v1/chat/completions", {**CHAT, "model": "thinks"}),
        ("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
        ("/v1/chat/completions", {**CHAT, "model": "thinks", "stream": True}),
        ("/v1/chat/completions", {**TOOLS, "stream": True}), ("/v1/completions", TEXT),
        ("/v1/completions", {**TEXT, "logprobs": 2}), ("/v1/completions", {**TEXT, "stream": True}),
        ("/v1/embeddings", {"model": "plain", "input": "a b"}),
        ("/v1/embeddings", {"model": "plain", "input": "a b", "encoding_format": "base64"}),
        ("/v1/chat/completions", {**CHAT, "model": "none"}), ("/v1/chat/completions", {**CHAT, "max_tokens": "x"}),
        ("/v1/none", {}), ("/healthz", {}), ("/health", {}),
    ],
    "responses": [
        ("/v1/responses", INPUT), ("/v1/responses", {**INPUT, "model": "thinks"}), ("/v1/responses", INPUT_TOOLS),
        ("/v1/responses", {**INPUT, "stream": True}), ("/v1/responses", {**INPUT_TOOLS, "stream": True}),
        ("/v1/responses", {**INPUT, "model": "thinks", "stream": True}), ("/v1/responses", {**INPUT, "model": "none"}),
    ],
    "anthropic": [
        ("/v1/messages", CHAT), ("/v1/messages", {**CHAT, "stream": True}), ("/v1/messages", USE_TOOLS),
        ("/v1/messages", {**USE_TOOLS, "stream": True}),
        ("/v1/messages/count_tokens", {"model": "plain", "messages": ASKED}),
        ("/v1/messages", {**CHAT, "model": "none"}),
    ],
    "ollama": [
        ("/api/chat", {"model": "plain", "messages": ASKED, "options": OLLAMA, "stream": False}),
        ("/api/chat", {"model": "plain", "messages": ASKED, "options": OLLAMA}),
        ("/api/chat", {"model": "tools", "messages": ASKED, "tools": BOTH, "stream": False, "options": {
            **HOT, "num_predict": 300}}),
        ("/api/generate", {"model": "plain", "prompt": "a b", "options": OLLAMA, "stream": False}),
        ("/api/generate", {"model": "plain", "prompt": "a b", "options": OLLAMA}),
        ("/api/embed", {"model": "plain", "input": "a b"}), ("/api/embeddings", {"model": "plain", "prompt": "a b"}),
        ("/api/tags", {}), ("/api/ps", {}), ("/api/version", {}), ("/api/show", {"model": "plain"}),
        ("/api/chat", {"model": "none", "messages": ASKED}),
    ],
    "llama_cpp": [
        ("/completion", {**TEXT, "n_probs": 2}), ("/completion", {**TEXT, "stream": True}),
        ("/tokenize", {"model": "plain", "content": "a b"}),
        ("/tokenize", {"model": "plain", "content": "a b", "with_pieces": True}),
        ("/detokenize", {"model": "plain", "tokens": [67]}),
        ("/apply-template", {"model": "plain", "messages": ASKED}), ("/props", {}), ("/slots", {}),
        ("/completion", {**TEXT, "n_predict": "x"}),
    ],
    "rerank": [("/v1/rerank", RANK), ("/rerank", RANK), ("/v1/rerank", {**RANK, "documents": []})],
}   # fmt: skip


def lines_of(shapes: Iterable[tuple[str, Any]]) -> list[str]:
    """Return named JSON values as lines. Values of one name have all fields of each."""
    shape: Shape = defaultdict(set)
    for name, value in shapes:
        _add(shape, f"{name}: ", value, None)
    return sorted(f"{place.rstrip()} {' | '.join(sorted(types))}" for place, types in shape.items())


def _add(shape: Shape, place: str, value: Any, key: str | None) -> None:  # noqa: ANN401
    if isinstance(value, dict):
        shape[place].add("object")
        for inner, one in (value if key not in ELSEWHERE else {}).items():
            name = "{}" if key in BY_DATA else inner
            _add(shape, f"{place}{'' if place.endswith(': ') else '.'}{name}", one, inner)
    elif isinstance(value, list):
        shape[place].add("array")
        for one in value:
            _add(shape, f"{place}[]", one, key)
    elif key in FIXED and isinstance(value, str):
        shape[place].add(repr(value))
    else:
        shape[place].add(TYPES[type(value)])


# ---- The server -----------------------------------------------------------------------------------------------------


def answers() -> dict[str, list[str]]:
    """Return the lines of each API."""
    with ExitStack() as stack:
        served = stack.enter_context(chat_models(1024))
        encoder = tiny_bytes(arch="bert", tokenizer="bert", scores=1, pooling=4, n_ctx=64)
        served["rank"] = gemel_web.ServedModel(stack.enter_context(gemel.open(encoder, threads=1)))
        app = stack.enter_context(Asked(served, threads=False))
        return {
            name: lines_of(shape for path, body in asks for shape in _shapes(app, path, body))
            for name, asks in ASKS.items()
        }


def _shapes(app: Asked, path: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    response = app.ask("POST", path, json=body) if body else app.get(path)
    method = "POST" if body else "GET"
    if response.status_code != 200:
        yield f"{method} {path} {response.status_code}", response.json()
    elif response.headers["content-type"].startswith("application/json"):
        yield f"{method} {path}", response.json()
    else:
        yield from ((f"{method} {path} streams {name}".rstrip(), value) for name, value in _events(response))


def _events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a stream, and their names if they have any."""
    for line in response.text.splitlines():
        data = line.removeprefix("data: ")
        if not data or line.startswith("event: "):
            continue
        value = data if data == "[DONE]" else json.loads(data)
        yield value.get("type", "") if isinstance(value, dict) else "", value


# ---- The command line -----------------------------------------------------------------------------------------------


def outputs() -> list[str]:
    """Return the lines of what commands print with --json, and of those that print JSON."""
    with tempfile.TemporaryDirectory() as name:
        chat, rank, text = Path(name) / "chat.gguf", Path(name) / "rank.gguf", Path(name) / "text.txt"
        chat.write_bytes(tiny_bytes(chat_template=CHATML))
        rank.write_bytes(tiny_bytes(arch="bert", tokenizer="bert", scores=1, pooling=4, n_ctx=64))
        text.write_text("a file of the model\nthe file\n", encoding="utf-8")
        asks: list[list[object]] = [
            ["run", chat, "a b", "-n", 3, "--json"], ["inspect", chat, "--json"], ["inspect", chat, "--json", "--full"],
            ["tokenize", chat, "a b", "--json"], ["score", chat, text, "--json"], ["list", "--json"],
            ["bench", chat, "-p", 8, "-n", 2, "-r", 1, "-t", 1, "--json"], ["doctor", "--json"],
            ["embed", chat, text], ["rerank", rank, "the model", text],
        ]   # fmt: skip
        return lines_of(shape for ask in asks for shape in _printed(ask))


def _printed(ask: list[object]) -> Iterator[tuple[str, Any]]:
    done = gemel_(*ask)
    assert done.code == 0, done.err
    options = [one for one in ask[1:] if str(one).startswith("--")]
    for line in done.out.splitlines():
        yield " ".join(["gemel", str(ask[0]), *map(str, options)]), json.loads(line)
