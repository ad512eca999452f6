"""Hostile requests to the other APIs: an answer or a 4xx in the API's shape, and then the next request is answered."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from conftest import tiny_bytes
from gemel_native.serving.entries import entries_of
from gemel_native.serving.entry import ModelOptions
from gemel_native.serving.registry import Models
from gemel_native.serving.shelf import Files
from serving import Asked
from tool_chats import BOTH, THINKS

HEADERS = {"content-type": "application/json"}
USER = {"role": "user", "content": "x"}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"a": "b"}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [
    {"type": "text", "text": "c"},
], "is_error": False}]}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "model": "tiny", "messages": [USER, CALLED, RESULT], "max_tokens": 4, "system": "s", "tools": [TOOL],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "stop_sequences": ["z"],
        "thinking": {"type": "enabled", "budget_tokens": 2}, "metadata": {"user_id": "u"}, "temperature": 0.5,
        "top_k": 3, "top_p": 0.5, "seed": 1,
    },
    "/v1/messages/count_tokens": {"model": "tiny", "messages": [USER], "system": [{"type": "text", "text": "s"}]},
    "/api/chat": {
        "model": "tiny", "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "clock", "arguments": {}}},
        ]}, {"role": "tool", "tool_name": "clock", "content": "12"}], "tools": BOTH, "think": True, "keep_alive": "5m",
        "options": {"num_predict": 4, "temperature": 0.5, "stop": ["z"], "seed": 1, "num_ctx": 2048},
    },
    "/api/generate": {
        "model": "tiny", "prompt": "x", "system": "s", "format": {"type": "object"}, "options": {"num_predict": 4},
        "logprobs": True, "top_logprobs": 2, "stream": False, "raw": False, "suffix": "",
    },
    "/api/embed": {"model": "tiny", "input": ["a", "b"], "truncate": False, "options": {}},
    "/api/show": {"model": "tiny", "verbose": False},
    "/api/pull": {"model": "tiny", "stream": False},
    "/api/create": {
        "model": "made", "from": "tiny", "system": "s", "messages": [USER, {"role": "assistant", "content": "a"}],
        "parameters": {"temperature": 0.5, "stop": ["z"], "num_ctx": 128, "num_predict": 4}, "license": "x",
        "stream": False,
    },
    "/api/copy": {"source": "tiny", "destination": "other"},
    "/api/delete": {"model": "made"},
    "/completion": {
        "model": "tiny", "prompt": ["a", 5], "n_predict": 4, "logit_bias": [[5, 1.5], [6, False]], "n_probs": 2,
        "stop": ["z"], "grammar": 'root ::= "a"+', "return_tokens": True, "temperature": 0.5, "seed": 1,
    },
    "/v1/responses": {
        "model": "tiny", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "function_call", "call_id": "a", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "12"},
        ], "tools": [{"type": "function", "name": "clock", "parameters": {"type": "object"}}], "tool_choice": "auto",
        "max_output_tokens": 4, "instructions": "s", "store": True, "text": {"format": {"type": "text"}},
        "metadata": {"a": "b"}, "include": ["message.output_text.logprobs"], "top_logprobs": 1, "temperature": 0.5,
    },
    "/infill": {"model": "tiny", "input_prefix": "a", "input_suffix": "b", "input_extra": [{"text": "c"}]},
    "/tokenize": {"model": "tiny", "content": "a", "with_pieces": True, "add_special": True},
    "/detokenize": {"model": "tiny", "tokens": [5, 6]},
    "/apply-template": {"model": "tiny", "messages": [USER]},
}  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 1e308, 0.5, "", "x", "\0", "\ud7ff", "<|im_end|>",
    "</think>", "x" * 5000, [], [None], [[]], [[[[]]]], ["x"] * 600, {}, {"": ""}, {"type": "text"}, {"type": "image"},
    [{}] * 3, {"role": "user", "content": "x"}, "json", [{"role": "tool", "content": "x"}], {"$ref": "#"},
]  # fmt: skip
N = 60   # for each path


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("hostile")
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("GEMEL_CACHE", str(folder / "cache"))
        (folder / "tiny.gguf").write_bytes(tiny_bytes(chat_template=THINKS, n_ctx=2048))
        how = ModelOptions(threads=1)
        models = Models(entries_of({"tiny": str(folder / "tiny.gguf")}, how), budget=1 << 40, cache_memory=16 << 20)
        models.shelf = Files(models, how, None)
        yield stack.enter_context(Asked(models))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Yield the places in a body, as paths of keys and indices."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


def spoilt(body: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a body with one to three values replaced, removed or added."""
    body = json.loads(json.dumps(body))
    for _ in range(rng.choice([1, 1, 2, 3])):
        *way, last = rng.choice(list(places(body)))
        inside = body
        for key in way:
            inside = inside[key]
        deed = rng.random()
        if deed < 0.75:
            inside[last] = copy.deepcopy(rng.choice(VALUES))
        elif deed < 0.85:
            del inside[last]
        elif isinstance(inside, dict):
            name = rng.choice(["colour", "", "type", "model", "content", "\0", "x" * 300])
            inside[name] = copy.deepcopy(rng.choice(VALUES))
        if not body:
            break
    return dict(body)


def check(path: str, response: httpx.Response, body: object) -> bool:
    """Assert that a response is an answer, or a 4xx in the API's shape; return which."""
    assert response.status_code < 500, (path, body, response.text[:500])
    if response.status_code == 200:
        assert b'"internal_error"' not in response.content
        return True
    assert response.status_code in (400, 404), (path, body)
    answer = response.json()
    if path.startswith("/api"):
        assert isinstance(answer["error"], str)
    elif path.startswith("/v1/messages"):
        assert answer["type"] == "error"
    else:
        assert set(answer["error"]) == {"message", "type", "param", "code"}
    return False


@pytest.mark.parametrize("path", GOOD)
def test_spoilt_requests_are_answered_or_refused_in_the_shape_of_the_api(app: Asked, path: str) -> None:
    rng, n_good = random.Random(path), 0
    if path == "/api/delete":
        app.good("/api/create", **GOOD["/api/create"])
    first = app.post(path, **GOOD[path])
    assert check(path, first, "") or path == "/infill", first.text   # the model has no such tokens
    for _ in range(N):
        body = spoilt(GOOD[path], rng)
        raw = json.dumps(body).encode("utf-8", "surrogatepass")
        n_good += check(path, app.ask("POST", path, content=raw, headers=HEADERS), body)
    assert n_good < N
    assert app.good("/completion", model="tiny", prompt="x", n_predict=2)["content"] is not None


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"null", b'"x"', b"5", b"{}" * 9, b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe",
    b'{"model": "\xff"}', b'{"model": "tiny", "model": 5}', b'{"prompt": "\\ud800"}', b"NaN", b'{"temperature": 1e999}',
    b"\0" * 100,
])
@pytest.mark.parametrize("path", ["/v1/messages", "/api/chat", "/completion"])
def test_what_is_no_request_is_refused(app: Asked, path: str, raw: bytes) -> None:
    assert not check(path, app.ask("POST", path, content=raw, headers=HEADERS), raw)


def test_there_are_enough_of_them() -> None:
    assert len(GOOD) * N > 350
