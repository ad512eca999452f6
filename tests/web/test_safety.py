"""Who may ask (hosts, origins, keys), what every response says, and the other addresses: health, models, files."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import pytest
from gemel_web.http.body import opens_too_deep, too_deep
from serving import Asked, error_of
from starlette.applications import Starlette
from starlette.routing import Mount

TEXT = "/v1/completions"
BODY: dict[str, Any] = {"model": "tiny", "prompt": "a", "max_tokens": 1}
ORIGIN = "https://example.org"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}

# ---- Hosts -----------------------------------------------------------------------------------------------------------


HERE = ["localhost", "LOCALHOST:80", "127.0.0.1:8090", "[::1]:8090", "192.168.7.7", "mine.lan:1"]
ELSEWHERE = ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1].x", "a:b:1"]
WRONG_KEYS = [None, "", "secret", "Basic secret", "Bearer", "Bearer secre", "Bearer secret2", "Bearer é"]
SPANS = [
    ("bytes=0-0", (0, 1)), ("bytes=10-", (10, 100)), ("bytes=-5", (95, 100)), ("bytes=90-500", (90, 100)),
    ("bytes=-500", (0, 100)),
]


@pytest.mark.parametrize("host", HERE)
def test_a_host_that_cannot_be_rebound_is_allowed(serve: Any, host: str) -> None:  # noqa: ANN401
    app = serve(allowed_hosts=("Mine.lan",))
    assert app.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_foreign_host_is_refused(serve: Any, host: str) -> None:  # noqa: ANN401
    app = serve(allowed_hosts=())
    for path in ("/v1/models", "/healthz", "/models/tiny.gguf", "/"):
        assert error_of(app.get(path, headers={"host": host}), 403)["code"] == "host_not_allowed"


# ---- Origins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [ORIGIN, "null", "http://localhost:1", "https://localhost:8090", "file://"])
def test_a_foreign_page_is_refused(app: Asked, origin: str) -> None:
    response = app.ask("POST", TEXT, json=BODY, headers={"origin": origin})
    assert error_of(response, 403)["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in response.headers
    error_of(app.ask("OPTIONS", TEXT, headers={"origin": origin, **PREFLIGHT}), 403)


def test_a_refused_origin_is_logged_once_with_the_option_that_allows_it(
    serve: Any, caplog: pytest.LogCaptureFixture  # noqa: ANN401
) -> None:
    app = serve()
    for origin in (ORIGIN, ORIGIN, "null", "https://a b"):
        app.get("/v1/models", headers={"origin": origin})
    assert [line for line in caplog.messages if "refused" in line] == [
        f"refused a page of {ORIGIN}: to allow it, start with --allowed-origin {ORIGIN}"
    ]
    for i in range(100):
        app.get("/v1/models", headers={"origin": f"https://{i}.example"})
    assert len([line for line in caplog.messages if "refused" in line]) == 20


def test_the_servers_own_page_is_allowed(app: Asked) -> None:
    response = app.ask("POST", TEXT, json=BODY, headers={"origin": "http://localhost:8090"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("allowed", [ORIGIN, "*"])
def test_an_allowed_origin_may_use_the_api(serve: Any, allowed: str) -> None:  # noqa: ANN401
    app = serve(allowed_origins=(allowed,), api_key="secret")
    headers = {"origin": ORIGIN, "access-control-request-private-network": "true"}
    before = app.ask("OPTIONS", TEXT, headers={**headers, **PREFLIGHT})
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == ORIGIN
    assert "Authorization" in before.headers["access-control-allow-headers"]
    assert before.headers["access-control-allow-private-network"] == "true"
    response = app.ask("POST", TEXT, json=BODY, headers={"origin": ORIGIN, "authorization": "Bearer secret"})
    assert response.status_code == 200
    assert (response.headers["access-control-allow-origin"], response.headers["vary"]) == (ORIGIN, "Origin")
    refused = app.ask("POST", TEXT, json=BODY, headers={"origin": ORIGIN})
    error_of(refused, 401)
    assert refused.headers["access-control-allow-origin"] == ORIGIN   # or the page could not read why


# ---- Keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", WRONG_KEYS)
def test_a_wrong_key_is_a_401(serve: Any, given: str | None) -> None:  # noqa: ANN401
    app = serve(api_key="secret")
    headers = {} if given is None else {"authorization": given.encode()}
    for path in ("/v1/models", "/v1/nothing", "/models/tiny.gguf"):
        response = app.get(path, headers=headers)
        assert error_of(response, 401)["type"] == "authentication_error"
        assert response.headers["www-authenticate"] == "Bearer"
    assert app.get("/healthz", headers=headers).status_code == 200


def test_a_mounted_app_checks_the_key_too(serve: Any) -> None:  # noqa: ANN401
    app = serve(api_key="secret")
    app.app = Starlette(routes=[Mount("/ai", app.app)])
    assert error_of(app.get("/ai/v1/models"), 401)["type"] == "authentication_error"
    assert app.get("/ai/healthz").status_code == 200


def test_the_right_key_is_accepted(serve: Any) -> None:  # noqa: ANN401
    app = serve(api_key="sëcret")
    for scheme in ("Bearer", "bearer"):
        assert app.get("/v1/models", headers={"authorization": f"{scheme} sëcret".encode()}).status_code == 200


# ---- Every response --------------------------------------------------------------------------------------------------


def test_the_api_is_neither_stored_nor_framed_nor_read_by_others(app: Asked) -> None:
    for response in (app.get("/v1/models"), app.get("/v1/nothing"), app.post(TEXT, **BODY), app.get("/healthz")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


def test_every_response_says_where_the_app_runs(serve: Any, tmp_path: Path) -> None:  # noqa: ANN401
    app = serve(where="tab", api_key="secret", allowed_origins=(ORIGIN,))
    for path in ("/healthz", "/v1/models", "/v1/nothing", "/"):
        assert app.get(path).headers["gemel-host"] == "tab"
    assert app.ask("OPTIONS", TEXT, headers={"origin": ORIGIN, **PREFLIGHT}).headers["gemel-host"] == "tab"
    foreign = app.get("/v1/models", headers={"origin": ORIGIN})   # whose script is to read it
    exposed = foreign.headers["access-control-expose-headers"]
    assert exposed == "Gemel-Host, Retry-After, Content-Range, ETag, X-Request-Id"
    assert "gemel-host" not in serve().get("/healthz").headers


def test_unknown_paths_and_methods_are_errors_of_the_api(app: Asked) -> None:
    for path in ("/", "/v1", "/v1/", "/v2/models", "/models", "/models/", "/%00", "/v1/../etc/passwd"):
        error_of(app.get(path), 404)
    for method, path in [("GET", TEXT), ("POST", "/v1/models"), ("DELETE", TEXT), ("PUT", "/healthz"), ("BREW", TEXT)]:
        response = app.ask(method, path)
        error_of(response, 405)
        assert response.headers["allow"]


def test_a_refused_request_with_a_body_closes_the_connection(app: Asked) -> None:
    assert app.ask("POST", "/v1/nothing", content=b"x" * 99).headers["connection"] == "close"
    assert "connection" not in app.get("/v1/nothing").headers
    assert "connection" not in app.post(TEXT, **BODY).headers


def test_an_unexpected_error_is_a_500_and_shows_no_text(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture  # noqa: ANN401
) -> None:
    def fail(self: object, *arguments: object, **more: object) -> None:
        raise RuntimeError("a private thing")

    app = serve()
    monkeypatch.setattr(gemel.Batch, "generate", fail)
    error = app.bad(TEXT, 500, **{**BODY, "prompt": "my secret"})
    assert error["type"] == "server_error"
    assert "private" not in error["message"] + caplog.text
    assert "secret" not in error["message"] + caplog.text
    assert "RuntimeError" in caplog.text
    monkeypatch.undo()
    assert app.good(TEXT, **BODY)["choices"]


def test_the_access_log_has_one_line_per_request_without_its_text(serve: Any, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401
    caplog.set_level(logging.INFO, "gemel_web")
    serve().post(TEXT, **BODY)
    assert caplog.records == []
    serve(access_log=True).get("/v1/a%0Ab%1B?secret=1")
    (record,) = caplog.records
    assert record.getMessage().startswith("GET /v1/a\\nb\\x1b 404 ")
    assert "secret" not in record.getMessage()


@pytest.mark.parametrize(("raw", "deep"), [
    (b"", False), (b'{"a": [1, {"b": 2}]}', False), (b"[[[[]]]]", True), (b'"[[[[["', False), (b'"\\"[[[["', False),
    (b'"[[[[', False), (b"[[[", True), (b"]]", True), (b'{"a": [{"b": []}]}', True), (b"[][][][][]", False),
])
def test_depth_counts_brackets_outside_texts(raw: bytes, deep: bool) -> None:
    assert too_deep(raw, 3) == deep


@pytest.mark.parametrize(("start", "deep"), [
    (b"", False), (b"[[[", False), (b"[[[[", True), (b'{"a":{"b":{"c":{"', True), (b'[[["[[[[', False),
    (b"[[]][[[", False), (b"[[]][[[[", True), (b"]]]]", False),
])  # fmt: skip
def test_depth_of_an_incomplete_body_counts_open_brackets(start: bytes, deep: bool) -> None:
    assert opens_too_deep(start, 3) == deep


# ---- Models and their files ------------------------------------------------------------------------------------------


def test_models_are_listed(app: Asked, model: gemel.Model) -> None:
    facts = {
        "n_params": model.n_params, "n_vocab": model.n_vocab, "n_embd": model.n_embd, "n_ctx_train": model.n_ctx,
        "n_ctx": min(model.n_ctx, 4096), "size": model.weight_size,
        **{name: value for name, value in asdict(model.info).items() if value},
    }  # fmt: skip
    status = {"value": "loaded"}
    card = {"id": "tiny", "object": "model", "created": 7, "owned_by": "gemel", "status": status, "meta": facts}
    assert app.get("/v1/models").json() == {"object": "list", "data": [card]}
    assert app.get("/v1/models/tiny").json() == card
    assert app.ask("HEAD", "/v1/models/tiny").status_code == 200
    assert app.get("/healthz").json() == {"status": "ok"}


@pytest.fixture
def with_files(model: gemel.Model, tmp_path: Path) -> Any:  # noqa: ANN401
    for i in range(3):
        (tmp_path / f"{i}.bin").write_bytes(bytes(range(100)) * (i + 1))
    models = {
        "a/b": gemel_web.ServedModel(model, (tmp_path / "0.bin",)),
        "split": gemel_web.ServedModel(model, (tmp_path / "1.bin", tmp_path / "2.bin")),
        "none": gemel_web.ServedModel(model),
        "gone": gemel_web.ServedModel(model, (tmp_path / "gone.bin",)),
    }
    with Asked(models) as app:
        yield app


def test_a_models_file_is_served_by_alias_only(with_files: Asked, tmp_path: Path) -> None:
    whole = with_files.get("/models/a/b.gguf")
    assert (whole.status_code, whole.content) == (200, bytes(range(100)))
    assert whole.headers["accept-ranges"] == "bytes"
    assert with_files.get("/models/split-00002-of-00002.gguf").content == bytes(range(100)) * 3
    paths = ["none.gguf", "gone.gguf", "split.gguf", "a/b", "0.bin", "../0.bin", "%2e%2e/0.bin", f"{tmp_path}/0.bin"]
    for path in paths:
        error_of(with_files.get(f"/models/{path}"), 404)


@pytest.mark.parametrize(("asked_for", "span"), SPANS)
def test_a_range_of_a_file(with_files: Asked, asked_for: str, span: tuple[int, int]) -> None:
    start, end = span
    response = with_files.get("/models/a/b.gguf", headers={"range": asked_for})
    assert (response.status_code, response.content) == (206, bytes(range(start, end)))
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    head = with_files.ask("HEAD", "/models/a/b.gguf", headers={"range": asked_for})
    assert (head.status_code, head.content, head.headers["content-length"]) == (206, b"", str(end - start))


@pytest.mark.parametrize("asked_for", ["bytes=5-4", "bytes=-", "bytes=0-1,4-5", "items=0-1", "bytes=a-b", "bytes=٣-"])
def test_anything_but_a_single_range_gets_the_whole_file(with_files: Asked, asked_for: str) -> None:
    response = with_files.get("/models/a/b.gguf", headers={"range": asked_for.encode()})
    assert (response.status_code, len(response.content)) == (200, 100)


@pytest.mark.parametrize("asked_for", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999-"])
def test_a_range_outside_the_file_is_a_416(with_files: Asked, asked_for: str) -> None:
    response = with_files.get("/models/a/b.gguf", headers={"range": asked_for})
    error_of(response, 416)
    assert response.headers["content-range"] == "bytes */100"


def test_a_model_file_with_a_known_etag_is_a_304(with_files: Asked) -> None:
    tag = with_files.get("/models/a/b.gguf").headers["etag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        again = with_files.get("/models/a/b.gguf", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    changed = with_files.get("/models/a/b.gguf", headers={"range": "bytes=0-0", "if-range": '"x"'})
    assert (changed.status_code, len(changed.content)) == (200, 100)
    same = with_files.get("/models/a/b.gguf", headers={"range": "bytes=0-0", "if-range": tag})
    assert same.status_code == 206
