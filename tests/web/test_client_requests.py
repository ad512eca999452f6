"""The requests that clients send by default, as their sources form them: addresses, headers and bodies.

Each row of the tables names the client. An answer is checked for what such a client reads of it.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterator
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import tiny_bytes
from serving import Asked, error_of, events_of

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
Body = dict[str, Any]
SYSTEM: Body = {"role": "system", "content": "You are a helpful assistant."}
USER: Body = {"role": "user", "content": "Why is the sky blue?"}
PARTS: Body = {"role": "user", "content": [{"type": "text", "text": "Why is the sky blue?"}]}
STREAMED: Body = {"stream": True, "stream_options": {"include_usage": True}}
TOOL: Body = {
    "type": "function",
    "function": {"name": "time", "description": "the time", "parameters": {"type": "object", "properties": {}}},
}
JS = {   # the openai package for JavaScript
    "user-agent": "OpenAI/JS 6.9.1", "x-stainless-arch": "x64", "x-stainless-lang": "js", "x-stainless-os": "Linux",
    "x-stainless-package-version": "6.9.1", "x-stainless-retry-count": "0", "x-stainless-runtime": "node",
    "x-stainless-runtime-version": "v24.11.0", "x-stainless-timeout": "600",
}
KEY = {"authorization": "Bearer sk-no-key-required"}   # clients insist on some key

# client: headers, body
CHATS: dict[str, tuple[Body, Body]] = {
    "Open WebUI": (
        {**KEY, "x-openwebui-user-name": "Ann%20B", "x-openwebui-user-id": "1", "x-openwebui-chat-id": "c1"},
        {"model": "tiny", "messages": [SYSTEM, USER], **STREAMED},
    ),
    "Open WebUI, parameters of a model": (KEY, {
        "model": "tiny", "messages": [USER], **STREAMED, "temperature": 0.8, "top_p": 0.9, "max_tokens": 2048,
        "seed": 0, "stop": ["<end>"], "frequency_penalty": 0.1, "presence_penalty": 0, "logit_bias": {"5": -100},
        "min_p": 0.0, "top_k": 40, "repeat_penalty": 1.1, "response_format": {"type": "text"},
    }),
    "Open WebUI, title of a chat": (
        KEY, {"model": "tiny", "messages": [USER], "stream": False, "max_completion_tokens": 1000},
    ),
    "Open WebUI, a pipeline": (KEY, {
        "model": "tiny", "messages": [USER], "stream": True, "chat_id": "5e9c", "session_id": "QmZ",
        "user": {"name": "Ann", "id": "1", "email": "ann@example.org", "role": "admin"},
    }),
    "openai for JavaScript": ({**KEY, **JS}, {"model": "tiny", "messages": [USER]}),
    "LangChain": (KEY, {
        "messages": [{"content": "Hi", "role": "system"}, {"content": "Hello", "role": "user", "name": "ann"}],
        "model": "tiny", "max_completion_tokens": 64, "temperature": 0.7, "n": 1, "parallel_tool_calls": True,
        **STREAMED,
    }),
    "LangChain, a history": (KEY, {
        "messages": [USER, {"content": None, "refusal": "No.", "role": "assistant"}, USER], "model": "tiny",
        "stream": False, "temperature": None, "seed": None, "logprobs": False, "stop": None,
    }),
    "LangChain for JavaScript": ({**KEY, **JS}, {
        "model": "tiny", "temperature": 1, "stream": True, "stream_options": {"include_usage": True},
        "messages": [USER], "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "n": 1, "logit_bias": {},
    }),
    "LlamaIndex": (KEY, {"messages": [USER], "model": "tiny", "stream": False, "temperature": 0.1, "max_tokens": None}),
    "Continue": ({**KEY, "x-api-key": "none", "api-key": "none"}, {
        "messages": [SYSTEM, PARTS], "model": "tiny", "max_tokens": 4096, "temperature": 0.1, "top_p": None,
        "frequency_penalty": None, "presence_penalty": None, "stop": [], **STREAMED,
    }),
    "Continue, an empty message": (KEY, {
        "messages": [USER, {"role": "assistant", "content": " "}, USER], "model": "tiny", "max_tokens": 2048,
        "stream": True, "prediction": {"type": "content", "content": "def f():"},
    }),
    "LM Studio's examples": ({}, {
        "model": "tiny", "messages": [SYSTEM, USER], "temperature": 0.7, "max_tokens": -1, "stream": False, "ttl": 300,
    }),
    "litellm": (
        {**KEY, "x-stainless-lang": "python", "x-stainless-async": "false", "x-stainless-raw-response": "true"},
        {"messages": [USER], "model": "tiny", "metadata": {"tags": ["a", "b"], "trace": {"id": 1}}, "user": "me"},
    ),
    "litellm, its health check": (KEY, {"messages": [USER], "model": "tiny", "max_tokens": 1}),
    "Aider": (KEY, {
        "model": "tiny", "messages": [SYSTEM, USER, {"role": "assistant", "content": "Ok."}, USER], "stream": True,
        "temperature": 0,
    }),
    "Aider, an answer that was cut": (KEY, {
        "model": "tiny", "stream": True, "temperature": 0,
        "messages": [USER, {"role": "assistant", "content": "The sky is", "prefix": True}],
    }),
    "Cline": (KEY, {"model": "tiny", "messages": [SYSTEM, PARTS], "temperature": 0, **STREAMED}),
    "Cursor, its check": (KEY, {
        "messages": [
            {"role": "system", "content": "You are a test assistant."},
            {"role": "user", "content": "Testing. Just say hi and nothing else."},
        ],
        "model": "tiny",
    }),
    "Zed": (KEY, {
        "model": "tiny", "messages": [SYSTEM, PARTS], **STREAMED, "max_completion_tokens": 4096, "stop": [],
        "temperature": 1.0, "tools": [], "parallel_tool_calls": False, "prompt_cache_key": "thread-1",
    }),
    "SillyTavern": (KEY, {
        "messages": [SYSTEM, {"role": "system", "content": "[Start a new Chat]"}, {**USER, "name": "Ann"}],
        "model": "tiny", "temperature": 1, "max_tokens": 300, "stream": True, "presence_penalty": 0,
        "frequency_penalty": 0, "top_p": 1, "top_k": 0, "stop": [], "logit_bias": {}, "seed": -1, "n": 1,
    }),
    "LibreChat": ({**KEY, **JS}, {
        "model": "tiny", "user": "65f0c2", "messages": [SYSTEM, PARTS], **STREAMED, "temperature": 1, "top_p": 1,
        "presence_penalty": 0, "frequency_penalty": 0,
    }),
    "Jan": ({**KEY, "x-api-key": "sk-none"}, {
        "messages": [SYSTEM, USER], "model": "tiny", **STREAMED, "temperature": 0.7, "top_k": 20, "top_p": 0.8,
        "repeat_penalty": 1.12, "return_progress": True, "timings_per_token": True, "cache_prompt": True, "tools": [],
        "chat_template_kwargs": {"enable_thinking": False},
    }),
    "Vercel's AI SDK": ({**KEY, "user-agent": "ai-sdk/openai-compatible/2.0.0 runtime/node.js/24"}, {
        "model": "tiny", "max_tokens": 256, "temperature": 0, "stop": ["\n\n"], "seed": 7, "messages": [SYSTEM, USER],
        "stream": True, "stream_options": {"include_usage": True},
    }),
    "CodeCompanion": (KEY, {
        "model": "tiny", "stream": True, "temperature": 1, "top_p": 1,
        "messages": [{**SYSTEM, "id": 1947269257, "opts": {"visible": False}}, {**USER, "id": 7}],
    }),
    "litellm, a prompt to cache": (KEY, {
        "model": "tiny", "messages": [{**USER, "cache_control": {"type": "ephemeral"}}], "stream": True,
    }),
    "Zed, its agent": (KEY, {
        "model": "tiny", "messages": [SYSTEM, PARTS], **STREAMED, "max_completion_tokens": 64, "stop": [],
        "temperature": 1.0, "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
    }),
    "LangChain, bound tools": (KEY, {"model": "tiny", "messages": [USER], "tools": [TOOL], "max_tokens": 64}),
    "LangGraph, a tool's result": (KEY, {"model": "tiny", "messages": [
        USER, {"role": "assistant", "content": None, "tool_calls": [
            {"type": "function", "id": "call_1", "function": {"name": "time", "arguments": "{}"}},
        ]},
        {"role": "tool", "content": "5", "tool_call_id": "call_1"},
    ], "tools": [TOOL], "max_tokens": 64}),
    "Ollama's clients, thinking": (KEY, {"model": "tiny", "messages": [USER], "think": False}),
    "Open WebUI, no reasoning": (KEY, {"model": "tiny", "messages": [USER], "reasoning_effort": "none"}),
    "a history of reasoning": (KEY, {
        "model": "tiny", "messages": [USER, {"role": "assistant", "content": "Ok", "reasoning": "Hm"}, USER],
    }),
}

# client: address, headers
LISTS: dict[str, tuple[str, dict[str, str]]] = {
    "Open WebUI, its check": ("/v1/models", KEY),
    "Open WebUI, an address with a slash": ("/v1//models", KEY),
    "Open WebUI, no key": ("/v1/models", {"authorization": "Bearer "}),
    "Continue": ("/v1/models", {**KEY, "x-api-key": "none"}),
    "SillyTavern": ("/v1/models", {"authorization": "Bearer"}),
    "Jan": ("/v1/models", {"authorization": "Bearer null", "x-api-key": "null"}),
    "openai for JavaScript": ("/v1/models", {**KEY, **JS}),
    "Cline": ("/v1/models/", KEY),
}

TEXTS: dict[str, Body] = {
    "LangChain": {
        "model": "tiny", "prompt": ["The sky is"], "temperature": 0.7, "top_p": 1, "frequency_penalty": 0,
        "presence_penalty": 0, "n": 1, "best_of": 1, "max_tokens": 256, "logit_bias": {}, "seed": None,
        "logprobs": None,
    },
    "Continue, completion of code": {
        "model": "tiny", "prompt": "<PRE>a = <SUF>\n<MID>", "max_tokens": 1024, "temperature": 0.01, "stream": True,
        "stop": ["<PRE>", "<SUF>", "<MID>", "\n\n", "```", "/src/", "#- coding: utf-8", "\r\n\r\n"], "suffix": "",
    },
    "SillyTavern": {
        "model": "tiny", "prompt": "Ann: Hello\nBob:", "max_tokens": 200, "temperature": 0.7, "top_p": 0.5,
        "logprobs": 10, "stop": ["\nAnn:", "\nBob:"], "seed": 5, "n": 1, "stream": True, "user": "me", "echo": False,
    },
    "litellm": {"model": "tiny", "prompt": "Hey", "max_tokens": 5, "stream": False},
}

EMBEDDINGS: dict[str, Body] = {
    "openai for JavaScript": {"model": "tiny", "input": "Hello", "encoding_format": "base64"},
    "LangChain, texts as they are": {"model": "tiny", "input": ["Hello", "there"], "encoding_format": "base64"},
    "LangChain, ids": {"model": "tiny", "input": [[5, 6, 7], [8]], "encoding_format": "base64"},
    "Open WebUI": {"model": "tiny", "input": ["Hello"], "user": "1"},
    "Continue": {"model": "tiny", "input": ["Hello", "there"]},
    "litellm": {"model": "tiny", "input": ["Hello"], "encoding_format": None, "user": None},
    "LlamaIndex": {"model": "tiny", "input": ["Hello"], "dimensions": None, "encoding_format": "float"},
    "LM Studio's clients": {"model": "tiny", "input": ["Hello"], "ttl": 300},
    "Ollama's clients": {"model": "tiny", "input": ["Hello"], "keep_alive": "5m"},
}


# client: requests to Ollama's API, in order
OLLAMA: dict[str, list[tuple[str, Body]]] = {
    "Open WebUI": [("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER], "stream": True, "options": {"temperature": 0.8, "num_ctx": 2048},
        "keep_alive": "5m",
    })],
    "Open WebUI, title of a chat": [("/api/chat", {
        "model": "tiny", "messages": [USER], "stream": False, "options": {"num_predict": 1000},
    })],
    "Open WebUI, a tool's result": [("/api/chat", {
        "model": "tiny", "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [
            {"index": 0, "id": "call_1", "function": {"name": "time", "arguments": {}}},
        ]}, {"role": "tool", "content": "5", "tool_call_id": "call_1"}], "stream": True, "tools": [TOOL],
        "options": {"temperature": 0.8},
    })],
    "Open WebUI, a document": [("/api/embed", {"model": "tiny", "input": ["Hello"], "truncate": False})],
    "Continue": [("/api/show", {"name": "tiny"}), ("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER], "stream": True, "keep_alive": 1800,
        "options": {"num_predict": 4096, "num_ctx": 32768, "stop": ["<end>"]},
    })],
    "Continue, its agent": [("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER, {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "time", "arguments": {}}},
        ]}, {"role": "tool", "content": "5"}, USER], "tools": [TOOL], "stream": False, "keep_alive": 1800,
        "options": {"num_predict": 64, "num_ctx": 8192},
    })],
    "Continue, completion of code": [("/api/generate", {
        "model": "tiny", "prompt": "def f():", "raw": True, "keep_alive": 1800, "stream": True,
        "options": {"temperature": 0.01, "num_predict": 64, "num_ctx": 8096, "stop": ["<end>"]},
    })],
    "Cline": [("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER], "stream": True, "options": {"num_ctx": 32768},
    })],
    "Aider, through litellm": [("/api/show", {"name": "tiny"}), ("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER], "options": {"temperature": 0, "num_ctx": 12000}, "stream": True,
    })],
    "Zed": [("/api/show", {"model": "tiny"}), ("/api/chat", {
        "model": "tiny", "messages": [SYSTEM, USER], "stream": True, "keep_alive": -1,
        "options": {"num_ctx": 16384, "temperature": 1.0, "stop": []},
    })],
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Iterator[gemel.Model]:
    shown = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if enable_thinking %}Hm{% endif %}"
    with gemel.open(tiny_bytes(chat_template=shown), threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(model: gemel.Model) -> Iterator[Asked]:
    with Asked({"tiny": gemel_web.ServedModel(model)}, allowed_origins=("http://localhost:3000",)) as asked:
        yield asked


@pytest.mark.parametrize("client", CHATS)
def test_a_chat_is_answered(app: Asked, client: str) -> None:
    headers, body = CHATS[client]
    response = app.ask("POST", CHAT, json=body, headers=headers)
    assert response.status_code == 200, response.text
    if not body.get("stream"):
        answer = response.json()
        (choice,) = answer["choices"]
        assert choice["finish_reason"] in ("stop", "length")
        assert choice["message"]["role"] == "assistant"
        assert isinstance(choice["message"]["content"], str)
        assert answer["model"] == "tiny"
        assert answer["usage"]["total_tokens"] > 0
        return
    chunks = events_of(response)
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    assert said[0]["delta"]["role"] == "assistant"
    assert all(isinstance(one["delta"].get("content", ""), str) for one in said)
    assert [one["finish_reason"] for one in said if one["finish_reason"]] in (["stop"], ["length"])
    if "stream_options" in body:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("client", OLLAMA)
def test_a_request_to_ollamas_api_is_answered(app: Asked, client: str) -> None:
    assert app.get("/api/tags").json()["models"][0]["model"] == "tiny"
    for path, body in OLLAMA[client]:
        response = app.ask("POST", path, content=json.dumps(body).encode())   # without a content type, as some send it
        assert response.status_code == 200, response.text
        last = json.loads(response.text.splitlines()[-1])
        assert last.get("done", True)
        if path == "/api/show":
            n_ctx = app.get("/v1/models/tiny").json()["meta"]["n_ctx"]
            assert f"num_ctx {n_ctx}" in last["parameters"]


@pytest.mark.parametrize("client", LISTS)
def test_the_models_are_listed(app: Asked, client: str) -> None:
    path, headers = LISTS[client]
    listed = app.ask("GET", "http://localhost:8090" + path, headers=headers)
    assert listed.status_code == 200, listed.text
    (one,) = listed.json()["data"]
    assert (one["id"], one["object"]) == ("tiny", "model")
    assert isinstance(one["created"], int)
    assert isinstance(one["owned_by"], str)


@pytest.mark.parametrize("client", TEXTS)
def test_a_completion_is_answered(app: Asked, client: str) -> None:
    response = app.ask("POST", TEXT, json=TEXTS[client], headers=KEY)
    if TEXTS[client].get("stream"):
        assert events_of(response)[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    else:
        assert response.status_code == 200, response.text
        assert isinstance(response.json()["choices"][0]["text"], str)


@pytest.mark.parametrize("client", EMBEDDINGS)
def test_embeddings_are_answered(app: Asked, model: gemel.Model, client: str) -> None:
    response = app.ask("POST", EMBED, json=EMBEDDINGS[client], headers=KEY)
    assert response.status_code == 200, response.text
    for i, one in enumerate(response.json()["data"]):
        vector = one["embedding"]
        if EMBEDDINGS[client].get("encoding_format") == "base64":
            vector = array("f", base64.b64decode(vector))
        assert (one["index"], len(vector)) == (i, model.n_embd)


def test_open_webuis_direct_connection_is_allowed_by_its_origin(app: Asked) -> None:
    """The browser asks first which headers the page may send; the answer has to name its origin."""
    origin = {"origin": "http://localhost:3000"}
    asked = app.ask("OPTIONS", CHAT, headers={
        **origin, "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    })
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    answered = app.ask("POST", CHAT, json={"model": "tiny", "messages": [USER], "max_tokens": 1}, headers=origin)
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, "http://localhost:3000")


# ---- What is refused says what to do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "body", "words"), [
    ("Open WebUI, an old tool", {"functions": [TOOL["function"]]}, ("functions: ", "send tools", "function")),
    ("Mistral's clients", {"tools": [TOOL], "tool_choice": "any"}, ("tool_choice: ", '"required"')),
    ("Continue, a picture", {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]}]}, ("messages[0].content[1]: ", "image_url", "text")),
    ("Open WebUI, a wrong format", {"response_format": {"type": "json"}},
     ("response_format: ", "its type must be text, json_object or json_schema")),
    ("Ollama's clients", {"options": {"num_ctx": 4096}}, ("options: ", "fields of the request")),
    ("Vercel's AI SDK, reasoning", {"reasoning_effort": "low"}, ("reasoning_effort: ", "reasoning_budget", '"none"')),
    ("LangGraph, a result of no call", {"messages": [USER, {"role": "tool", "content": "5", "tool_call_id": "1"}]},
     ("messages[1].tool_call_id: ", "tool_calls")),
    ("vLLM's clients", {"chat_template_kwargs": {"thinkin": True}}, ("chat_template_kwargs: ", "thinkin")),
])
def test_a_refusal_says_what_to_do(app: Asked, client: str, body: Body, words: tuple[str, ...]) -> None:
    error = app.bad(CHAT, **{"model": "tiny", "messages": [USER], "max_tokens": 1, **body})
    for word in words:
        assert word in error["message"], client


@pytest.mark.parametrize(("client", "method", "path", "words"), [
    ("a slip", "POST", "/v1/chat/completion", "/v1/chat/completions"),
    ("a slip", "POST", "/v1/chat/complete", "/v1/chat/completions"),
    ("a slip", "POST", "/v1/chat", "/v1/chat/completions"),
    ("a slip", "POST", "/v1/chat/compeltions", "/v1/chat/completions"),
    ("a slip", "POST", "/v1/complete", "/v1/completions"),
    ("a slip", "POST", "/v1/embedings", "/v1/embeddings"),
    ("a slip", "GET", "/v1/model", "/v1/models"),
    ("a base URL without /v1", "GET", "/models", "/v1/models"),
    ("a base URL without /v1", "POST", "/chat/completions", "/v1/chat/completions"),
    ("a base URL with /v1 twice", "GET", "/v1/v1/models", "/v1/models"),
    ("a base URL with the whole address", "POST", "/v1/chat/completions/chat/completions", "/v1/chat/completions"),
    ("Azure's clients", "POST", "/openai/deployments/tiny/chat/completions", "/v1/chat/completions"),
])
def test_another_servers_address_says_where_the_api_is(
    app: Asked, client: str, method: str, path: str, words: str
) -> None:
    response = app.ask(method, path, **({"json": {}} if method == "POST" else {}))
    message = error_of(response, 404)["message"]
    assert f"{words}" in message.split(": ")[-1], client
    assert message.endswith(f": the API is at {words}")


@pytest.mark.parametrize(("path", "body"), [
    (CHAT, {"model": "", "messages": [USER]}), (CHAT, {"messages": [{"role": "user", "content": ["a", "b"]}]}),
    (TEXT, {"prompt": "a", "logprobs": False}), (TEXT, {"prompt": "a", "logprobs": False, "echo": True}),
])
def test_other_habits_are_accepted(app: Asked, path: str, body: Body) -> None:
    assert app.good(path, max_tokens=2, **body)["choices"]


def test_another_servers_address_of_health_is_answered(app: Asked) -> None:
    assert app.get("/health").json() == app.get("/healthz").json()


def test_a_wrong_method_says_nothing_about_the_address(app: Asked) -> None:
    assert "API is at" not in error_of(app.get(CHAT), 405)["message"]


@pytest.mark.parametrize(("sent", "wanted"), [
    ("temp", "; did you mean temperature?"), ("dry_m", "; did you mean dry_multiplier?"), ("max", ""),
])
def test_a_beginning_suggests_the_only_field_that_continues_it(app: Asked, sent: str, wanted: str) -> None:
    assert app.bad(CHAT, messages=[USER], **{sent: 1})["message"] == f"{sent}: unknown parameter{wanted}"


def test_template_options_reach_the_template(app: Asked, model: gemel.Model) -> None:
    def n_prompt(**options: object) -> int:
        answer = app.good(CHAT, messages=[USER], max_tokens=1, chat_template_kwargs=options)
        return int(answer["usage"]["prompt_tokens"])

    assert n_prompt(enable_thinking=True) == len(model.prompt_ids("user: Why is the sky blue?\nHm"))
    assert n_prompt(enable_thinking=False) == n_prompt()


@pytest.mark.parametrize(("more", "param", "meant"), [
    ({"messages": [{"role": "user", "contnt": "x"}]}, "messages[0].contnt", "content"),
    ({"messages": [USER, {"role": "user", "content": "x", "nmae": "Ann"}]}, "messages[1].nmae", "name"),
    ({"messages": [{"role": "user", "content": "x", "reasoningContent": ""}]}, "messages[0].reasoningContent",
     "reasoning_content"),
    ({"stream": True, "stream_options": {"include_usag": True}}, "stream_options.include_usag", "include_usage"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "txt": "x"}]}]},
     "messages[0].content[0].txt", "'text'"),
    ({"chat_template_kwargs": {"enable_thinkin": True}}, "chat_template_kwargs", "'enable_thinking'"),
    ({"stop_sequence": "x"}, "stop_sequence", "stop_sequences"),
])
def test_a_misspelt_field_suggests_the_field_wherever_it_is(app: Asked, more: Body, param: str, meant: str) -> None:
    error = app.bad(CHAT, **{"messages": [USER], **more})
    assert error["param"] == param
    assert error["message"].endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("more", [
    {"messages": [{"role": "user", "content": "x", "colour": 1}]}, {"stream": True, "stream_options": {"colour": 1}},
])
def test_a_nested_field_that_is_like_none_gets_no_suggestion(app: Asked, more: Body) -> None:
    assert app.bad(CHAT, **{"messages": [USER], **more})["message"].endswith("colour: unknown parameter")


@pytest.mark.parametrize("flag", ["continue_final_message", "add_generation_prompt"])
def test_a_flag_among_the_templates_options_says_where_it_belongs(app: Asked, flag: str) -> None:
    error = app.bad(CHAT, messages=[USER], max_tokens=1, chat_template_kwargs={flag: True})
    words = f"chat_template_kwargs: {flag} is not an option of a template: send it as a field of the request"
    assert error["message"] == words


def test_a_prefix_continues_the_last_message(app: Asked) -> None:
    said = {"role": "assistant", "content": "The sky is", "prefix": True}
    more = {"max_tokens": 4, "temperature": 0}
    plain = app.good(CHAT, messages=[USER, {**said, "prefix": None}], **more)
    assert app.good(CHAT, messages=[USER, said], **more)["choices"] == plain["choices"]
    assert app.bad(CHAT, messages=[{**USER, "prefix": True}], **more)["param"] == "messages[0].prefix"
    fresh = app.good(CHAT, messages=[USER, {**said, "prefix": False}], **more)
    assert fresh["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]


def test_an_unknown_field_that_the_template_reads_says_where_it_belongs(app: Asked) -> None:
    error = app.bad(CHAT, messages=[USER], enable_thinking=False)
    assert (error["param"], error["code"]) == ("enable_thinking", "unknown_parameter")
    words = "enable_thinking: unknown parameter; the chat template reads it: send it in chat_template_kwargs"
    assert error["message"] == words
    assert app.bad(CHAT, messages=[USER], colour=1)["message"] == "colour: unknown parameter"


def test_a_wrong_choice_lists_the_allowed_ones(app: Asked) -> None:
    error = app.bad("/v1/embeddings", input="x", encoding_format="x")
    assert (error["param"], error["message"]) == (
        "encoding_format", 'encoding_format: must be "float" or "base64", not "x"'
    )  # fmt: skip
