"""LangChain's standard tests of chat models, and litellm's calls of tools, against a server that runs.

    gemel serve MODEL --alias model
    VENV/bin/python tests/bench/tool_clients.py http://127.0.0.1:8090/v1 [pytest's options, such as -k tool]

VENV has langchain-openai, langchain-tests, litellm, pytest and pytest-asyncio; gemel is not needed. LangChain's tests
run as they are published. Those of agents need a model that calls tools on its own: small ones often write the call as
text.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import litellm
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

URL = os.environ.get("GEMEL_URL", "http://127.0.0.1:8090/v1")
ASK: dict[str, Any] = {
    "model": "openai/model", "api_base": URL, "api_key": "none", "temperature": 0, "max_tokens": 200,
    "tool_choice": "required",
}  # fmt: skip
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Mumbai?"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather", "description": "Get the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}  # fmt: skip
OPTIONS = [   # of pytest: this file alone, and one event loop, as LangChain keeps its connections
    "--noconftest", "-c", os.devnull, "-p", "no:cacheprovider", "-o", "asyncio_mode=auto",
    "-o", "asyncio_default_fixture_loop_scope=session", "-o", "asyncio_default_test_loop_scope=session",
]  # fmt: skip


class TestLangChain(ChatModelIntegrationTests):   # type: ignore[misc]  # it has no types here
    """The tests of langchain-tests."""

    @property
    def chat_model_class(self) -> type[Any]:
        """The class that is tested."""
        found: type[Any] = ChatOpenAI
        return found

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Its arguments. A penalty keeps small models from repeating themselves at temperature 0."""
        return {
            "model": "model", "base_url": URL, "api_key": "none", "temperature": 0, "max_tokens": 512,
            "stream_usage": True, "extra_body": {"repeat_penalty": 1.1},
        }  # fmt: skip


def check(call: Any) -> None:  # noqa: ANN401
    """Check a call that litellm returned."""
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_litellm_calls_and_sends_results() -> None:
    choice = litellm.completion(**ASK, messages=MESSAGES, tools=[WEATHER]).choices[0]
    assert choice.finish_reason == "tool_calls"
    results = []
    for call in choice.message.tool_calls:
        check(call)
        results.append({"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "sunny"})
    history = [*MESSAGES, choice.message.model_dump(), *results]
    answer = litellm.completion(**{**ASK, "tool_choice": "none"}, messages=history, tools=[WEATHER])
    assert answer.choices[0].message.content


def test_litellm_gathers_streamed_calls() -> None:
    chunks = list(litellm.completion(**ASK, messages=MESSAGES, tools=[WEATHER], stream=True))
    choice = litellm.stream_chunk_builder(chunks=chunks).choices[0]
    assert choice.finish_reason == "tool_calls"
    for call in choice.message.tool_calls:
        check(call)


def test_litellm_without_tools() -> None:
    plain = {**ASK, "tool_choice": None}
    assert litellm.completion(**plain, messages=MESSAGES, tools=[]).choices[0].message.content


if __name__ == "__main__":
    os.environ["GEMEL_URL"], os.environ["OPENAI_API_KEY"] = sys.argv[1], "none"
    sys.exit(pytest.main([str(Path(__file__)), *OPTIONS, *sys.argv[2:]]))
