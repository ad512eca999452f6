"""The app as a tab asks it: heads and pieces, a client that leaves, a model that goes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import gemel
import pytest
from conftest import CHATML, tiny_bytes
from gemel_web import ServedModel
from gemel_web.tab import BrokenError, TabApp, TabRequest
from serving import Asked, events_of
from starlette.types import Receive, Scope, Send
from tool_chats import ASKED, MUST, THINKS, WIDE

JSON = [("Content-Type", "application/json"), ("Host", "elsewhere"), ("Content-Length", "7")]
BODY: dict[str, Any] = {"model": "bytes", "prompt": "a", "temperature": 0, "max_tokens": 8}
LONG: dict[str, Any] = {**BODY, "max_tokens": 400, "stream": True, "logit_bias": {"0": -100, "2": -100}}


@pytest.fixture
def model() -> Any:  # noqa: ANN401
    with gemel.open(tiny_bytes(chat_template=CHATML)) as opened:
        yield opened


class Client:
    """What a tab's side of a request has got."""

    def __init__(self, app: TabApp, path: str, body: dict[str, Any] | bytes | None = None) -> None:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        asked = TabRequest("GET" if body is None else "POST", path, "", JSON, raw)
        self.gone = asyncio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.answer = asyncio.create_task(app.ask(asked, gone=self.gone, head=self.head, piece=self.pieces.append))

    def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)

    async def text(self) -> str:
        await self.answer
        return b"".join(self.pieces).decode()

    async def begun(self) -> None:
        while len(self.pieces) < 5:
            await asyncio.sleep(0)


def test_the_tab_answers_ollamas_api_and_not_anthropics(model: gemel.Model) -> None:
    async def main() -> None:
        app = TabApp()
        app.serve(model)
        (card,) = json.loads(await Client(app, "/api/tags").text())["models"]
        body = {"model": card["name"], "prompt": "a", "options": {"num_predict": 3}}
        lines = (await Client(app, "/api/generate", body).text()).splitlines()
        assert json.loads(lines[-1])["eval_count"] == 3
        missing = Client(app, "/v1/messages", body)
        assert "the API is at /v1/chat/completions" in await missing.text()
        assert missing.status == 404

    asyncio.run(main())


def test_the_tab_serves_its_model_by_alias(model: gemel.Model) -> None:
    async def main() -> None:
        app = TabApp()
        assert json.loads(await Client(app, "/v1/models").text())["data"] == []
        app.serve(model)
        (card,) = json.loads(await Client(app, "/v1/models").text())["data"]
        client = Client(app, "/v1/completions", {**BODY, "model": card["id"]})
        assert json.loads(await client.text())["usage"]["completion_tokens"] == 8
        assert (client.status, client.headers["gemel-host"]) == (200, "tab")
        assert json.loads(await Client(app, f"/v1/models/%{ord(card['id'][0]):x}{card['id'][1:]}").text()) == card
        await app.drop()

    asyncio.run(main())


def test_a_million_nested_objects_are_a_400_and_too_long_a_body_is_a_413(model: gemel.Model) -> None:
    async def main() -> None:
        app = TabApp()
        app.serve(model)
        nested = b'{"a":' * 10**6 + b"1" + b"}" * 10**6
        for body, status in ((nested, 400), (nested[: 4 << 20], 400), (b'"' + bytes(4 << 20), 413)):
            client = Client(app, "/v1/completions", body)
            assert json.loads(await client.text())["error"]["type"] == "invalid_request_error"
            assert client.status == status
        await app.drop()

    asyncio.run(main())


def together(one: Any, other: Any) -> Any:  # noqa: ANN401
    """Return two values of the same shape as one, with their texts joined. ValueError: they have other shapes."""
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: together(value, other[key]) for key, value in one.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [together(*pair) for pair in zip(one, other, strict=True)]
    if one != other:
        raise ValueError("two shapes")
    return one


def joined(choices: list[Any]) -> list[Any]:
    """Return the choices of a stream without its pieces: a desktop joins those that its client has not taken yet."""
    found: list[Any] = []
    for one in choices:
        try:
            found[-1:] = [together(found[-1], one)] if found else [one]
        except ValueError:
            found.append(one)
    return found


def test_tools_are_called_as_on_a_desktop() -> None:
    asked = {**MUST, **WIDE, "messages": ASKED, "seed": 1, "reasoning_budget": 4}

    async def tabs(model: gemel.Model) -> list[Any]:
        app = TabApp()
        app.serve(model)
        whole = json.loads(await Client(app, "/v1/chat/completions", asked).text())
        *events, _, _ = (await Client(app, "/v1/chat/completions", {**asked, "stream": True}).text()).split("\n\n")
        await app.drop()
        return [whole, *(json.loads(event.removeprefix("data: ")) for event in events)]

    with gemel.open(tiny_bytes(chat_template=THINKS, n_ctx=2048)) as model:
        whole, *events = asyncio.run(tabs(model))
        with Asked({"tiny": ServedModel(model)}) as desktop:
            assert whole["choices"] == desktop.good("/v1/chat/completions", **asked)["choices"]
            streamed = events_of(desktop.post("/v1/chat/completions", **asked, stream=True))
    assert joined([event["choices"] for event in events]) == joined([event["choices"] for event in streamed])
    assert whole["choices"][0]["finish_reason"] == "tool_calls"


def test_a_client_that_leaves_stops_its_job(model: gemel.Model) -> None:
    async def main() -> None:
        app = TabApp()
        app.serve(model)
        alias = json.loads(await Client(app, "/v1/models").text())["data"][0]["id"]
        left = Client(app, "/v1/completions", {**LONG, "model": alias})
        await left.begun()
        left.gone.set()
        with pytest.raises(asyncio.CancelledError):
            await left.answer
        assert len(left.pieces) < 100
        assert json.loads(await Client(app, "/v1/completions", {**BODY, "model": alias}).text())["choices"]
        await app.drop()

    asyncio.run(main())


def test_dropping_a_model_ends_its_requests_with_an_error_of_the_api(model: gemel.Model) -> None:
    async def main() -> None:
        app = TabApp()
        app.serve(model)
        alias = json.loads(await Client(app, "/v1/models").text())["data"][0]["id"]
        both = [Client(app, "/v1/completions", {**LONG, "model": alias}) for _ in range(2)]
        for one in both:
            await one.begun()
        await app.drop()
        model.close()
        for one in both:
            *_, error, done, _ = (await one.text()).split("\n\n")
            assert (json.loads(error.removeprefix("data: "))["error"]["code"], done) == ("stopped", "data: [DONE]")
        late = Client(app, "/v1/completions", {**BODY, "model": alias})
        assert (json.loads(await late.text())["error"]["code"], late.status) == ("model_not_found", 404)

    asyncio.run(main())


def test_a_response_that_ends_early_is_an_error() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def main() -> None:
        app = TabApp()
        app._app = half   # type: ignore[assignment]
        client = Client(app, "/")
        with pytest.raises(BrokenError, match="ended early"):
            await client.answer

    asyncio.run(main())


def test_without_a_model_a_request_that_names_none_is_told_to_load_one() -> None:
    async def main() -> None:
        app = TabApp()
        asked = {"/v1/completions": BODY, "/v1/chat/completions": {"messages": []}, "/v1/embeddings": {"input": "a"}}
        for path, body in asked.items():
            client = Client(app, path, {**body, "model": None})
            error = json.loads(await client.text())["error"]
            assert (client.status, error["code"]) == (404, "model_not_found")
            assert error["message"] == "no model is loaded: await gemel.load(...) first"

    asyncio.run(main())
