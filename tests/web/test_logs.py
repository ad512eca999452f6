"""The log: its formats, ids of requests, and that no prompt or answer ever reaches it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import httpx
import pytest
from command import assert_error, gemel_
from conftest import CHATML, tiny_bytes
from gemel_native.serving.logs import JsonLines, TextLines
from gemel_web.http.exchange import id_of
from gemel_web.observe import Observer
from serving import Asked
from web_server import Server

PLANTED = "planted-zebra"
MESSAGES = [{"role": "user", "content": PLANTED}]
TOOL = {"type": "function", "function": {"name": PLANTED, "parameters": {"type": "object", "properties": {}}}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3, "stream": True}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3, "tools": [TOOL], "tool_choice": "required"}),
    ("/v1/chat/completions", {"messages": [{"role": PLANTED, "content": PLANTED}]}),
    ("/v1/chat/completions", {"messages": MESSAGES, PLANTED: 1}),
    ("/v1/chat/completions", {"messages": MESSAGES, "response_format": {"type": PLANTED}}),
    ("/v1/completions", {"prompt": PLANTED, "max_tokens": 3, "echo": True, "logprobs": 1}),
    ("/v1/completions", {"prompt": PLANTED * 1000}),
    ("/v1/embeddings", {"input": [PLANTED, PLANTED]}),
    ("/v1/embeddings", {"input": [[PLANTED]]}),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 3, "system": PLANTED}),
    ("/v1/messages/count_tokens", {"messages": MESSAGES}),
    ("/v1/responses", {"input": PLANTED, "max_output_tokens": 3, "instructions": PLANTED}),
    ("/v1/rerank", {"query": PLANTED, "documents": [PLANTED]}),
    ("/api/chat", {"messages": MESSAGES, "options": {"num_predict": 3}}),
    ("/api/generate", {"prompt": PLANTED, "stream": False, "options": {"num_predict": 3}}),
    ("/api/embed", {"input": PLANTED}),
    ("/completion", {"prompt": PLANTED, "n_predict": 3}),
    ("/infill", {"input_prefix": PLANTED, "input_suffix": PLANTED}),
    ("/tokenize", {"content": PLANTED}),
    ("/apply-template", {"messages": MESSAGES}),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


@pytest.fixture
def app(model: gemel.Model) -> Iterator[Asked]:
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer(), access_log=True) as asked:
        yield asked


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_no_prompt_reaches_the_log(
    app: Asked, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)   # the client's own lines have the query
    app.post(path, model="tiny", **body)
    app.post(path, model=PLANTED, **body)
    app.ask("POST", f"{path}?q={PLANTED}", content=PLANTED.encode(), headers={"content-type": "application/json"})

    def fails(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise RuntimeError(PLANTED)

    monkeypatch.setattr(gemel.Batch, "generate", fails)
    monkeypatch.setattr(gemel.Batch, "step", fails)
    app.post(path, model="tiny", **body)
    assert f"POST {path} " in caplog.text
    assert PLANTED not in caplog.text
    metrics = app.get("/metrics").text
    assert PLANTED not in metrics


def test_a_request_has_the_clients_id_or_a_new_one(app: Asked) -> None:
    sent = app.get("/healthz", headers={"x-request-id": "abc-1.2"})
    assert sent.headers["x-request-id"] == "abc-1.2"
    made = [app.get(path).headers["x-request-id"] for path in ("/healthz", "/nothing", "/v1/models/none")]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert len(set(made)) == 3


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "é", "x" * 129, 'a"b', "<a>", None])
def test_what_is_no_id_is_replaced(given: str | None) -> None:
    assert re.fullmatch("[0-9a-f]{32}", id_of(given))


def test_a_line_of_text_stays_one_line() -> None:
    record = logging.LogRecord("gemel_web", logging.INFO, "", 0, "a\nb\x1b[2J", (), None)
    assert TextLines().format(record) == r"a\nb\x1b[2J"
    assert "\n" not in JsonLines().format(record)


def test_the_server_writes_json(file: Path) -> None:
    with Server(file, "--log-format", "json", "--access-log") as server:
        url = f"http://127.0.0.1:{server.port}"
        httpx.post(f"{url}/v1/completions", json={"prompt": PLANTED, "max_tokens": 2}, headers={"x-request-id": "one"})
        httpx.get(f"{url}/readyz")
        metrics = httpx.get(f"{url}/metrics").text
    assert server.process.returncode == 130   # of Ctrl-C
    lines = [json.loads(line) for line in server.said if line.startswith("{")]
    asked = next(line for line in lines if line.get("request_id") == "one")
    assert (asked["method"], asked["path"], asked["status"], asked["api"]) == ("POST", "/v1/completions", 200, "openai")
    assert asked["level"] == "info"
    assert asked["time"].endswith("+00:00")
    assert PLANTED not in "".join(server.said)
    assert 'gemel:generation_tokens_total{model_name="model"} 2.0' in metrics
    assert "process_cpu_seconds_total" in metrics


def test_an_unknown_format_is_an_error(file: Path) -> None:
    assert_error(gemel_("serve", file, "--log-format", "xml"), 1, "--log-format or GEMEL_SERVE_LOG_FORMAT: ")
