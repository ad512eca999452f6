"""Hostile schemas and grammars on the server: a 4xx in the API's shape, or an answer; then the next one is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import CHATML, tiny_bytes
from hostile_forms import FORMS
from web_server import Server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path = tmp_path_factory.mktemp("hostile_forms") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    with Server(path) as server, httpx.Client(
        base_url=server.url + "/", timeout=60, headers={"Connection": "close"}
    ) as client:
        yield client


@pytest.mark.parametrize(("status", "form"), FORMS, ids=range(len(FORMS)))
def test_a_hostile_form_is_refused_or_answered_and_the_server_goes_on(
    client: httpx.Client, status: int, form: dict[str, Any]
) -> None:
    answer = client.post("completions", json={"model": "model", "prompt": "a", "max_tokens": 8, **form})
    assert answer.status_code == status, answer.text[:500]
    if status == 200:
        assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length")
    else:
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert str(error["param"]).partition(".")[0] in ("grammar", "json_schema", "response_format", "None")
        assert error["message"]
    after = client.post("chat/completions", json={
        "model": "model", "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}],
    })  # fmt: skip
    assert after.status_code == 200


def test_there_are_enough_of_them() -> None:
    assert len({json.dumps(form) for _, form in FORMS}) == len(FORMS) == 183
