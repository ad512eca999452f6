"""LangChain's standard tests of chat models for Ollama's and Anthropic's API, and litellm, against a server that runs.

    gemel serve MODEL --alias model
    VENV/bin/python tests/bench/api_clients.py http://127.0.0.1:8090 [pytest's options, such as -k tool]

VENV has what tool_clients.py needs, langchain-ollama and langchain-anthropic; gemel is not needed. LangChain's tests
run as they are published. Those of tools through Ollama's API need a model that calls them on its own: the API can't
require a call.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import litellm
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_ollama import ChatOllama
from langchain_tests.integration_tests import ChatModelIntegrationTests
from tool_clients import OPTIONS

URL = os.environ.get("GEMEL_URL", "http://127.0.0.1:8090")


class TestOllama(ChatModelIntegrationTests):   # type: ignore[misc]  # it has no types here
    """Ollama's API."""

    @property
    def chat_model_class(self) -> type[Any]:
        """The class that is tested."""
        found: type[Any] = ChatOllama
        return found

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Its arguments. A penalty keeps small models from repeating themselves at temperature 0."""
        return {"model": "model", "base_url": URL, "temperature": 0, "num_predict": 512, "repeat_penalty": 1.1}

    @property
    def supports_json_mode(self) -> bool:
        """Whether there is a mode for any JSON."""
        return True

    @property
    def has_tool_choice(self) -> bool:
        """Whether a call can be required."""
        return False


class TestAnthropic(ChatModelIntegrationTests):   # type: ignore[misc]
    """Anthropic's API."""

    @property
    def chat_model_class(self) -> type[Any]:
        """The class that is tested."""
        found: type[Any] = ChatAnthropic
        return found

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Its arguments."""
        return {
            "model": "model", "base_url": URL, "api_key": "none", "temperature": 0, "max_tokens": 512,
            "model_kwargs": {"extra_body": {"repeat_penalty": 1.1}},
        }  # fmt: skip


@pytest.mark.parametrize("name", ["ollama_chat/model", "ollama/model", "anthropic/model"])
@pytest.mark.parametrize("stream", [False, True])
def test_litellm_answers(name: str, stream: bool) -> None:
    asked: dict[str, Any] = {
        "model": name, "api_base": URL, "api_key": "none", "max_tokens": 16, "temperature": 0,
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    }  # fmt: skip
    if stream:
        chunks = list(litellm.completion(**asked, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        assert litellm.completion(**asked).choices[0].message.content


if __name__ == "__main__":
    os.environ["GEMEL_URL"] = sys.argv[1]
    sys.exit(pytest.main([str(Path(__file__)), *OPTIONS, *sys.argv[2:]]))
