"""Pages of other origins: those that may use the API may load the server's models into their tabs, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import tiny_bytes
from serving import Asked, error_of

ORIGIN = "https://example.org"
FILE = "/models/tiny.gguf"
ASKED = {"access-control-request-method": "GET", "access-control-request-headers": "range,if-none-match"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("origins")
    (made / "tiny.gguf").write_bytes(tiny_bytes())
    (made / "gemel.js").write_text("export {};")
    return made


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[gemel.Model]:
    with gemel.open(path / "tiny.gguf", threads=1) as opened:
        yield opened


@pytest.fixture(params=[ORIGIN, "*"])
def app(request: pytest.FixtureRequest, path: Path, model: gemel.Model) -> Iterator[Asked]:
    served = gemel_web.ServedModel(model, files=(path / "tiny.gguf",))
    with Asked({"tiny": served}, static=path, allowed_origins=(request.param,)) as asked:
        yield asked


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=4-11"}])
def test_an_allowed_page_may_read_a_models_file(app: Asked, method: str, headers: dict[str, str]) -> None:
    response = app.ask(method, FILE, headers={"origin": ORIGIN, **headers})
    assert response.status_code == (206 if headers and method == "GET" else response.status_code)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert {"Content-Range", "ETag"} <= set(response.headers["access-control-expose-headers"].split(", "))
    assert response.headers["etag"]
    assert response.headers["vary"] == "Origin"
    known = app.ask(method, FILE, headers={"origin": ORIGIN, "if-none-match": response.headers["etag"]})
    assert (known.status_code, known.headers["access-control-allow-origin"]) == (304, ORIGIN)


@pytest.mark.parametrize("address", [FILE, "/gemel.js", "/config.json"])
def test_a_preflight_is_answered_for_files_too(app: Asked, address: str) -> None:
    response = app.ask("OPTIONS", address, headers={"origin": ORIGIN, **ASKED})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] in (ORIGIN, "*")
    assert "HEAD" in response.headers["access-control-allow-methods"]
    assert "*" in response.headers["access-control-allow-headers"]


def test_any_page_may_use_gemels_own_files(app: Asked) -> None:
    for headers in ({}, {"range": "bytes=0-3"}):
        response = app.get("/gemel.js", headers={"origin": "https://other.example", **headers})
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "Content-Range" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://other.example", "null"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_another_page_is_refused_and_the_option_named(path: Path, model: gemel.Model, origin: str, method: str) -> None:
    served: dict[str, Any] = {"tiny": gemel_web.ServedModel(model, files=(path / "tiny.gguf",))}
    with Asked(served, static=path, allowed_origins=(ORIGIN,)) as app:
        response = app.ask(method, FILE, headers={"origin": origin, **(ASKED if method == "OPTIONS" else {})})
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers
        if method != "HEAD":
            assert "--allowed-origin" in error_of(response, 403)["message"]
