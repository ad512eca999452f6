"""Keys with scopes and limits, on the app: who may do what, and what is logged of it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import httpx
import pytest
from gemel_web.http.scopes import TABLE, check_routes
from gemel_web.keys import file
from gemel_web.keys.keyring import Keyring
from gemel_web.observe import Observer
from serving import BASE, Asked, error_of
from starlette.applications import Starlette
from starlette.routing import Route

BODY: dict[str, Any] = {"model": "tiny", "prompt": "a", "max_tokens": 1}
TEXT = "/v1/completions"
UNLOAD = {"model": "tiny", "keep_alive": 0}


class Keys:
    """A file of keys, and an app that reads it."""

    def __init__(self, path: Path, model: gemel.Model) -> None:
        self.path = path
        self.now = 1000.0
        file.change(path, lambda records: records)
        self.ring = Keyring(path, clock=lambda: self.now)
        self.app = Asked({"tiny": gemel_web.ServedModel(model)}, keys=self.ring, allowed_origins=("https://ours.example",))

    def add(self, name: str, *scopes: Any, **more: Any) -> dict[str, str]:  # noqa: ANN401
        key = file.add(self.path, lambda hashed: file.Record(name=name, sha256=hashed, scopes=scopes, **more))
        return {"authorization": f"Bearer {key}"}

    def post(self, path: str, headers: dict[str, str], **body: Any) -> httpx.Response:  # noqa: ANN401
        return self.app.ask("POST", path, json=body, headers=headers)


@pytest.fixture
def keys(model: gemel.Model, tmp_path: Path) -> Iterator[Keys]:
    made = Keys(tmp_path / "keys.json", model)
    with made.app:
        yield made


def test_every_route_has_a_scope_and_is_checked(app: Asked) -> None:
    routes = [route.path for route in app.app.routes if isinstance(route, Route)]
    assert set(routes) <= set(TABLE)
    guarded = [path for path, scope in TABLE.items() if scope is not None]
    with pytest.raises(ValueError, match="/new has no scope"):
        check_routes(Starlette(routes=[Route("/new", lambda request: None)]).routes)
    with Asked({}, api_key="secret", observer=Observer()) as locked:
        assert {route.path for route in locked.app.routes if isinstance(route, Route)} <= set(TABLE)
        for path in guarded:
            for method in ("GET", "POST", "PATCH", "DELETE"):
                error_or_string(locked.ask(method, path.replace("{", "").replace("}", "")), 401)


def error_or_string(response: httpx.Response, status: int) -> str:
    """Return the message of an error in any API's shape."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)


def test_each_scope_opens_its_routes_only(keys: Keys) -> None:
    users = {name: keys.add(name, name) for name in ("use", "manage", "metrics")}
    for name, headers in users.items():
        asked = {
            "use": keys.post(TEXT, headers, **BODY), "manage": keys.post("/api/copy", headers, source="a"),
            "metrics": keys.app.get("/metrics", headers=headers),
        }
        for scope, response in asked.items():
            assert (response.status_code == 403) == (scope != name), (name, scope, response.text)
    refused = error_of(keys.post(TEXT, users["manage"], **BODY), 403)
    assert refused["code"] == "missing_scope"
    assert refused["message"] == "this needs a key with the scope use; the key 'manage' has manage"


def test_a_key_that_is_revoked_stops_at_once(keys: Keys) -> None:
    bob, eve = keys.add("bob", "use"), keys.add("eve", "use")
    assert keys.post(TEXT, bob, **BODY).status_code == 200
    file.revoke(keys.path, "bob")
    assert error_of(keys.post(TEXT, bob, **BODY), 401)["code"] == "invalid_api_key"
    assert keys.post(TEXT, eve, **BODY).status_code == 200
    keys.path.unlink()
    error_of(keys.post(TEXT, eve, **BODY), 401)


def test_a_file_that_becomes_invalid_changes_no_key(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    bob = keys.add("bob", "use")
    keys.path.write_text('{"keys": [{"name": "x"}]}', encoding="utf-8")
    assert keys.post(TEXT, bob, **BODY).status_code == 401   # was never read
    eve = {"authorization": "Bearer x"}
    keys.path.write_text("nonsense", encoding="utf-8")
    error_of(keys.post(TEXT, eve, **BODY), 401)
    assert sum("stay as they were" in line for line in caplog.messages) == 2


def test_an_expired_key_is_a_401_that_says_so(keys: Keys) -> None:
    bob = keys.add("bob", "use", expires=1001)
    assert keys.post(TEXT, bob, **BODY).status_code == 200
    keys.now = 1001.0
    refused = error_of(keys.post(TEXT, bob, **BODY), 401)
    assert refused["code"] == "expired_api_key"
    assert "expired at 1970-01-01 00:16 UTC" in refused["message"]


def test_requests_over_the_rate_are_a_429_in_the_shape_of_each_api(keys: Keys) -> None:
    bob = keys.add("bob", "use", rate="2/day")
    first = keys.post(TEXT, bob, **BODY)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].startswith("24h")
    assert "x-ratelimit-limit-tokens" not in first.headers
    assert keys.app.get("/v1/models", headers=bob).status_code == 200
    over = keys.post(TEXT, bob, **BODY)
    assert error_of(over, 429)["type"] == "rate_limit_error"
    assert 86_000 < int(over.headers["retry-after"]) <= 90_000
    assert over.headers["x-ratelimit-remaining-requests"] == "0"
    anthropic = keys.post("/v1/messages", bob, model="tiny").json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "rate_limit_error")
    assert "has taken its 2/day requests" in keys.post("/api/chat", bob, model="tiny").json()["error"]


def test_tokens_of_prompts_and_answers_count_against_a_key(keys: Keys) -> None:
    bob = keys.add("bob", "use", tokens="10/day")
    usage = keys.post(TEXT, bob, **{**BODY, "max_tokens": 4, "logit_bias": {}}).json()["usage"]
    left = keys.app.get("/v1/models", headers=bob).headers["x-ratelimit-remaining-tokens"]
    assert int(left) == 10 - usage["total_tokens"]
    with_stream = keys.post(TEXT, bob, **{**BODY, "prompt": "a b c", "max_tokens": 8, "stream": True})
    assert with_stream.status_code == 200
    while (answer := keys.post(TEXT, bob, **BODY)).status_code == 200:
        pass
    assert error_of(answer, 429)["code"] == "token_limit_exceeded"
    assert int(answer.headers["retry-after"]) > 0
    assert keys.post("/v1/embeddings", bob, model="tiny", input="a").status_code == 429
    assert keys.app.get("/v1/models", headers=bob).status_code == 200   # takes none


def test_pages_of_allowed_origins_may_read_the_limits_and_not_manage(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemel_web.registry.OpenModels, "unloads", True)
    both = keys.add("both", "use", "manage", rate="60/min") | {"origin": "https://ours.example"}
    used = keys.post(TEXT, both, **BODY)
    assert "x-ratelimit-remaining-requests" in used.headers["access-control-expose-headers"]
    assert error_of_ollama(keys.post("/api/pull", both, model="tiny")).startswith("pages of other origins")
    assert error_of_ollama(keys.post("/api/generate", both, **UNLOAD)).startswith("pages of other origins")
    del both["origin"]
    assert keys.post("/api/pull", both, model="tiny", stream=False).json() == {"status": "success"}


def error_of_ollama(response: httpx.Response, status: int = 403) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"])


def test_without_keys_only_this_machine_manages(app: Asked) -> None:
    async def ask(address: str, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.post(path, json={"model": "tiny", "stream": False})

    for address in ("127.0.0.1", "::1"):
        assert app.run(ask(address, "/api/pull")).status_code == 200
    assert "only this machine" in error_of_ollama(app.run(ask("192.168.7.7", "/api/pull")))
    assert app.run(ask("192.168.7.7", "/api/generate")).status_code == 200


def test_only_a_key_that_manages_changes_how_long_a_model_stays(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    registry: Any = gemel_web.registry.OpenModels
    monkeypatch.setattr(registry, "keep", lambda self, *given: kept.append(given))
    monkeypatch.setattr(registry, "unloads", True)
    user, owner = keys.add("user", "use"), keys.add("owner", "use", "manage")
    body = {"model": "tiny", "prompt": "a", "keep_alive": 5, "stream": False, "options": {"num_predict": 1}}
    assert keys.post("/api/generate", user, **body).status_code == 200
    assert kept == []
    assert "scope manage" in error_of_ollama(keys.post("/api/generate", user, **UNLOAD))
    assert keys.post("/api/generate", owner, **body).status_code == 200
    assert keys.post("/api/generate", owner, **UNLOAD).status_code == 200
    assert kept == [("tiny", 5.0), ("tiny", 0)]


def test_what_manages_is_logged_with_who_and_the_result(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gemel_web")
    user, owner = keys.add("user", "use"), keys.add("owner", "manage")
    keys.post(TEXT, user, **BODY)
    keys.post("/api/pull", user, model="tiny")
    keys.post("/api/pull", owner, model="tiny\n\x1b", stream=False)
    lines = [record.getMessage() for record in caplog.records if record.name == "gemel_web.audit"]
    assert lines == [
        "audit: user: POST /api/pull: 403", r"audit: owner: POST /api/pull, pull tiny\n\x1b: 404",
    ]
    for headers in (user, owner):
        assert headers["authorization"].removeprefix("Bearer ") not in caplog.text


def test_the_single_key_keeps_all_scopes_beside_a_file(keys: Keys, model: gemel.Model) -> None:
    bob = keys.add("bob", "use")
    with Asked({"tiny": gemel_web.ServedModel(model)}, keys=keys.ring, api_key="secret") as app:
        one = {"authorization": "Bearer secret"}
        assert app.ask("POST", TEXT, json=BODY, headers=one).status_code == 200
        assert app.ask("POST", "/api/pull", json={"model": "tiny"}, headers=one).status_code == 200
        assert app.ask("POST", TEXT, json=BODY, headers=bob).status_code == 200
        error_of(app.ask("POST", TEXT, json=BODY), 401)


# ---- The file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "why"), [
    (lambda one: one.update(sha256="x"), "Expected `str` matching"), (lambda one: one.update(more=1), "more"),
    (lambda one: one.update(scopes=["rule"]), "Invalid enum value 'rule'"),
    (lambda one: one.update(scopes=[]), "scopes"), (lambda one: one.update(expires="soon"), "expires"),
    (lambda one: one.update(rate="9"), "not a limit"), (lambda one: one.update(tokens="0/day"), "not a limit"),
    (lambda one: one.update(name="a b"), "a name has"),
])  # fmt: skip
def test_an_invalid_file_of_keys_is_an_error_that_names_the_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    record: dict[str, Any] = {"name": "bob", "sha256": "0" * 64, "scopes": ["use"]}
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [record]}), encoding="utf-8")
    assert file.read(path)[0].name == "bob"
    change(record)
    path.write_text(json.dumps({"keys": [record]}), encoding="utf-8")
    with pytest.raises(gemel.ArgumentError, match=why):
        file.read(path)


def test_a_change_is_whole_private_and_one_at_a_time(keys: Keys) -> None:
    keys.add("bob", "use")
    if os.name == "posix":
        assert keys.path.stat().st_mode & 0o777 == 0o600
        keys.path.chmod(0o640)
        keys.add("eve", "use")
        assert keys.path.stat().st_mode & 0o777 == 0o640
    lock = keys.path.with_name("keys.json.new")
    lock.touch()
    with pytest.raises(gemel.SourceError, match="another command is changing"):
        keys.add("mal", "use")
    lock.unlink()
    with pytest.raises(gemel.ArgumentError, match="revoke it first"):
        keys.add("bob", "use")
    assert not lock.exists()
    assert "Bearer" not in keys.path.read_text(encoding="utf-8")
