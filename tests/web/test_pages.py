"""The page's folder beside the API: what is served, how it is labelled, and that nothing else is."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import gemel
import gemel_web
import pytest
from serving import Asked, error_of
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

ORIGIN = "https://example.org"
FILES = {
    "index.html": "text/html; charset=utf-8", "sub/index.html": "text/html; charset=utf-8",
    "gemel.js": "text/javascript; charset=utf-8", "pyodide/pyodide.mjs": "text/javascript; charset=utf-8",
    "pyodide/a.wasm": "application/wasm", "tab.py": "text/plain; charset=utf-8", "assets.json": "application/json",
    "style.css": "text/css; charset=utf-8", "app.webmanifest": "application/manifest+json",
    "icon.svg": "image/svg+xml", "wheels/a-1.0-py3-none-any.whl": "application/octet-stream",
    "gemel.d.ts": "text/plain; charset=utf-8", "Ünïcode name.txt": "text/plain; charset=utf-8",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "site"
    for name in (*FILES, ".git/config", ".hidden", "sub/.hidden"):
        file = made / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"this is {name}", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret")
    (made / "way out.txt").symlink_to(tmp_path / "secret.txt")
    (made / "way out").symlink_to(tmp_path)
    (made / "link.txt").symlink_to(made / "icon.svg")
    return made


@pytest.fixture
def app(folder: Path) -> Any:  # noqa: ANN401
    with Asked({}, static=folder) as app:
        yield app


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_served_with_its_type(app: Asked, name: str) -> None:
    response = app.get(f"/{name}", headers={"origin": ORIGIN})
    assert (response.status_code, response.text) == (200, f"this is {name}")
    assert response.headers["content-type"] == FILES[name]
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache"
    head = app.ask("HEAD", f"/{name}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(response.content))


def test_an_empty_file_is_served(app: Asked, folder: Path) -> None:
    (folder / "empty.txt").write_bytes(b"")
    response = app.get("/empty.txt")
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")
    error_of(app.get("/empty.txt", headers={"range": "bytes=0-0"}), 416)


def test_a_folders_address_is_its_index(app: Asked) -> None:
    assert app.get("/").text == "this is index.html"
    assert app.get("/sub/").text == "this is sub/index.html"
    assert app.get("/link.txt").text == "this is icon.svg"


def test_documents_are_isolated_and_framed_by_no_one_else(app: Asked) -> None:
    for path in ("/", "/index.html", "/sub/"):
        headers = app.get(path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert app.get("/gemel.js").headers["cross-origin-embedder-policy"] == "require-corp"   # it may be a worker's
    assert "cross-origin-opener-policy" not in app.get("/gemel.js").headers


def test_a_page_file_with_a_known_etag_is_a_304(app: Asked, folder: Path) -> None:
    first = app.get("/")
    known = {"if-none-match": first.headers["etag"]}
    again = app.get("/", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "cache-control", "cross-origin-embedder-policy", "cross-origin-resource-policy"):
        assert again.headers[name] == first.headers[name]
    (folder / "index.html").write_text("this is another page")
    assert app.get("/", headers=known).text == "this is another page"


@pytest.mark.parametrize("path", [
    "/missing.js", "/sub", "/pyodide/", "/pyodide", "/index.html/", "/%2findex.html", "/sub//index.html",
    "/%2e/index.html", "/.hidden", "/.git/config", "/sub/.hidden", "/way out.txt", "/way out/secret.txt",
    "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
    "/sub%5c..%5c..%5csecret.txt", "/c:/x", "/%00", "/index.html%00.js", "/index.html::$DATA", "/index.html%0a",
    "/%ff%fe", "/" + "a" * 5000, "/" + "a/" * 2000, "/v1", "/v1/", "/models/", "/models/../secret.txt",
])
def test_nothing_else_is_served(app: Asked, path: str) -> None:
    error = error_of(app.get(path), 404)
    assert "secret" not in error["message"]


def test_other_methods_are_errors_of_the_api(app: Asked) -> None:
    for method in ("POST", "DELETE", "BREW"):
        response = app.ask(method, "/index.html")
        error_of(response, 405)
        assert response.headers["allow"] == "GET, HEAD"
    assert app.ask("GET", "/v1/chat/completions").status_code == 405
    error_of(app.ask("POST", "/nothing"), 404)   # what is not there, by any method
    error_of(app.ask("POST", "/v1/nothing"), 404)


def test_an_app_is_served_beside_the_api() -> None:
    with Asked({}, static=PlainTextResponse("an app")) as app:
        assert app.get("/anything").text == "an app"
        assert app.get("/v1/models").json()["data"] == []
        error_of(app.get("/v1/nothing"), 404)
        error_of(app.get("/config.json"), 404)


# ---- config.json -----------------------------------------------------------------------------------------------------


@pytest.fixture
def models(model: gemel.Model, tmp_path: Path) -> dict[str, gemel_web.ServedModel]:
    for i in range(3):
        (tmp_path / f"{i}.bin").write_bytes(bytes(100 * (i + 1)))
    return {
        "a b/c?": gemel_web.ServedModel(model, (tmp_path / "0.bin",)),
        "split": gemel_web.ServedModel(model, (tmp_path / "1.bin", tmp_path / "2.bin")),
        "none": gemel_web.ServedModel(model),
        "gone": gemel_web.ServedModel(model, (tmp_path / "gone.bin",)),
    }


def test_config_json_describes_the_server(models: dict[str, gemel_web.ServedModel], folder: Path) -> None:
    with Asked(models, static=folder) as app:
        told = app.get("/config.json").json()
        assert told == {
            "native": True,
            "key": False,
            "models": [
                {"alias": "a b/c?", "url": "models/a%20b/c%3F.gguf", "size": 100},
                {"alias": "split", "url": "models/split-00001-of-00002.gguf", "size": 500},
                {"alias": "none", "url": None, "size": None},
                {"alias": "gone", "url": None, "size": None},
            ],
        }
        for one in told["models"][:2]:
            assert app.get("/" + one["url"]).status_code == 200
        app.app = Starlette(routes=[Mount("/ai", app.app)])
        assert app.get("/ai/config.json").json() == told
        assert app.get("/ai/").text == "this is index.html"


def test_other_pages_cannot_read_config_json(models: dict[str, gemel_web.ServedModel], folder: Path) -> None:
    with Asked(models, static=folder) as app:
        assert "access-control-allow-origin" not in app.get("/config.json").headers
        error_of(app.get("/config.json", headers={"origin": ORIGIN}), 403)


def test_with_a_key_the_page_is_public_and_the_models_are_not(
    models: dict[str, gemel_web.ServedModel], folder: Path
) -> None:
    key = {"authorization": "Bearer secret"}
    with Asked(models, static=folder, api_key="secret") as app:
        assert app.get("/").text == "this is index.html"
        assert app.get("/config.json").json() == {"native": True, "key": True, "models": []}
        assert app.get("/config.json", headers={"authorization": "Bearer wrong"}).json()["models"] == []
        assert len(app.get("/config.json", headers=key).json()["models"]) == 4
        error_of(app.get("/v1/models"), 401)
        error_of(app.get("/models/split-00001-of-00002.gguf"), 401)
        assert app.get("/models/split-00001-of-00002.gguf", headers=key).status_code == 200


# ---- Compressed files ------------------------------------------------------------------------------------------------

TEXT = "a text that is long enough " * 100
PACKED = gzip.compress(TEXT.encode())


@pytest.fixture
def packed(folder: Path) -> Any:  # noqa: ANN401
    (folder / "style.css").write_text(TEXT)
    (folder / "style.css.gz").write_bytes(PACKED)
    with Asked({}, static=folder) as app:
        yield app


@pytest.mark.parametrize(("accepted", "encoding"), [
    ("gzip, deflate, br", "gzip"), ("*", "gzip"), ("br;q=1.0, gzip;q=0.2", "gzip"), ("identity", None),
    ("gzip;q=0, *", None), ("", None), ("gzip;q=no", None),
])  # fmt: skip
def test_a_compressed_file_is_sent_to_clients_that_take_it(packed: Asked, accepted: str, encoding: str | None) -> None:
    response = packed.get("/style.css", headers={"accept-encoding": accepted})
    assert (response.status_code, response.text) == (200, TEXT)
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["content-type"] == FILES["style.css"]
    assert response.headers["content-length"] == str(len(PACKED if encoding else TEXT))
    assert "Accept-Encoding" in response.headers["vary"]


def test_the_two_forms_have_different_tags_and_ranges_are_of_the_file_itself(packed: Asked) -> None:
    one, other = (packed.get("/style.css", headers={"accept-encoding": how}) for how in ("gzip", "identity"))
    assert one.headers["etag"] != other.headers["etag"]
    known = {"accept-encoding": "gzip", "if-none-match": one.headers["etag"]}
    assert packed.get("/style.css", headers=known).status_code == 304
    part = packed.get("/style.css", headers={"accept-encoding": "gzip", "range": "bytes=2-5"})
    assert (part.status_code, part.text, part.headers.get("content-encoding")) == (206, TEXT[2:6], None)


@pytest.mark.parametrize("data", [b"", b"no gzip at all, no", gzip.compress(b"another text"), PACKED[:-1]])
def test_what_is_not_the_file_compressed_is_not_sent(packed: Asked, folder: Path, data: bytes) -> None:
    (folder / "style.css.gz").write_bytes(data)
    response = packed.get("/style.css", headers={"accept-encoding": "gzip"})
    assert (response.text, response.headers.get("content-encoding")) == (TEXT, None)


def test_a_compressed_file_outside_the_folder_is_not_sent(packed: Asked, folder: Path) -> None:
    (folder / "style.css.gz").unlink()
    (folder.parent / "other.gz").write_bytes(PACKED)
    (folder / "style.css.gz").symlink_to(folder.parent / "other.gz")
    response = packed.get("/style.css", headers={"accept-encoding": "gzip"})
    assert response.headers.get("content-encoding") is None
