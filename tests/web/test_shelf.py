"""Models that clients pull, create, copy and delete through Ollama's API, and what a killed process leaves."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gemel
import httpx
import hub
import ollama
import pytest
from command import environment
from conftest import CHATML, tiny_bytes
from gemel_native.serving.entries import entries_of
from gemel_native.serving.entry import ModelOptions
from gemel_native.serving.registry import Models
from gemel_native.serving.shelf import Files, address_of
from serving import BASE, Asked

HOW = ModelOptions(threads=1, ctx=256)
USER = {"role": "user", "content": "hi"}
SHORT = {"temperature": 0, "num_predict": 3}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with pulled.gguf and page.gguf, which is a page."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "pulled.gguf").write_bytes(tiny_bytes(chat_template=CHATML, seed=3))
    (folder / "page.gguf").write_text("<html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "own.gguf").write_bytes(tiny_bytes(chat_template=CHATML))
    return tmp_path / "models"


def started(folder: Path | None = None) -> Models:
    """Return the models of a server as it starts."""
    models = Models(entries_of({}, HOW, folder=folder), budget=1 << 40, cache_memory=1 << 20)
    files = Files(models, HOW, None)
    models.shelf, models.named = files, files.alias
    return models


def error_of(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"])


def names(app: Asked) -> list[str]:
    return [one["name"] for one in app.get("/api/tags").json()["models"]]


def lines(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_pulled_model_is_served_from_then_on(site: str, cache: Path) -> None:
    url = f"{site}/pulled.gguf"
    with Asked(started()) as app:
        assert names(app) == []
        said = lines(app.post("/api/pull", model=url))
        assert said[0]["status"] == "pulling manifest"
        assert said[-1] == {"status": "success"}
        assert any(line.get("total") == line.get("completed") for line in said if "total" in line)
        assert names(app) == ["pulled"]
        for name in ("pulled", "pulled:latest", url):
            assert app.good("/api/chat", model=name, messages=[USER], options=SHORT, stream=False)["done"]
        assert lines(app.post("/api/pull", model=url)) == [{"status": "success"}]
    with Asked(started()) as app:
        assert names(app) == ["pulled"]
        assert app.ask("DELETE", "/api/delete", json={"model": url}).status_code == 200
        assert names(app) == []
    assert gemel.cache.list() == []


def test_what_cant_be_pulled_is_an_error(site: str, cache: Path) -> None:
    with Asked(started()) as app:
        assert "neither a short name" in error_of(app.post("/api/pull", model="llama3", stream=False), 404)
        assert "neither a short name" in lines(app.post("/api/pull", model="llama3"))[-1]["error"]
        assert "a web page, not a GGUF file" in error_of(app.post("/api/pull", model=f"{site}/page.gguf", stream=False))
        assert "404" in lines(app.post("/api/pull", model=f"{site}/missing.gguf"))[-1]["error"]
        assert names(app) == []


def test_models_of_the_hub_are_pulled_by_address_and_by_short_name(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    data = tiny_bytes(chat_template=CHATML, seed=3)
    short = "smollm2-1.7b-instruct"
    with hub.serving() as made, Asked(started()) as app:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        made.files["owner/repo@main"] = {"m-Q4_0.gguf": tiny_bytes(seed=4), "m-Q8_0.gguf": data}
        made.files["HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF@main"] = {f"{short}-q4_k_m.gguf": data}
        for name in ("hf.co/owner/repo:Q8_0", short):
            said = lines(app.post("/api/pull", model=name))
            assert said[-1] == {"status": "success"}
            assert any(line.get("completed") == len(data) for line in said)
        for name in ("hf.co/owner/repo:Q8_0", "m-Q8_0", short, f"{short}:latest"):
            assert app.good("/api/chat", model=name, messages=[USER], options=SHORT, stream=False)["done"]
        assert set(names(app)) == {"m-Q8_0", short}
        assert "Q2_K" in error_of(app.post("/api/pull", model="hf.co/owner/repo:Q2_K", stream=False))
        assert "404" in error_of(app.post("/api/pull", model="hf.co/owner/none", stream=False))


@pytest.mark.parametrize(("name", "address"), [
    ("hf.co/a/b:Q8_0", "hf:a/b:Q8_0"), ("https://huggingface.co/a/b", "hf:a/b"), ("hf.co/a/b:latest", "hf:a/b"),
    ("smollm2-135m-instruct:latest", "smollm2-135m-instruct"), ("https://x.org/a/b.gguf", "https://x.org/a/b.gguf"),
])
def test_names_of_ollamas_mean_addresses(name: str, address: str) -> None:
    assert address_of(name) == address


def test_a_created_model_has_its_settings_in_every_api(folder: Path, cache: Path) -> None:
    body: dict[str, Any] = {
        "model": "brief", "from": "own", "system": "be brief", "stream": False, "license": "MIT",
        "parameters": {"temperature": 0, "num_predict": 4, "stop": ["zz"], "num_ctx": 128},
        "messages": [USER, {"role": "assistant", "content": "yes"}],
    }
    for _ in range(2):   # and when the server starts again
        with Asked(started(folder)) as app:
            if "brief" not in names(app):
                assert app.good("/api/create", **body) == {"status": "success"}
            shown = app.good("/api/show", model="brief")
            assert shown["parameters"].splitlines() == ["num_ctx 128", "temperature 0", 'stop "zz"', "num_predict 4"]
            assert shown["system"] == "be brief"
            prompt = app.good("/apply-template", model="brief", messages=[USER])["prompt"]
            assert prompt.index("be brief") < prompt.index("hi") < prompt.index("yes") < prompt.rindex("hi")
            chat = app.good("/v1/chat/completions", model="brief", messages=[USER])
            assert chat["usage"]["completion_tokens"] <= 4
            whole = {"model": "own", "messages": [{"role": "system", "content": "be brief"}, *body["messages"], USER]}
            same = app.good("/v1/chat/completions", **whole, max_tokens=4, temperature=0, stop=["zz"])
            assert chat["choices"] == same["choices"]
            assert app.get("/props", params={"model": "brief"}).json()["default_generation_settings"]["n_ctx"] == 128


def test_a_model_is_made_of_one_that_was_made(folder: Path, cache: Path) -> None:
    with Asked(started(folder)) as app:
        app.good("/api/create", model="a", **{"from": "own"}, system="first", parameters={"top_k": 5}, stream=False)
        app.good("/api/create", model="b", **{"from": "a:latest"}, parameters={"top_p": 0.5}, stream=False)
        shown = app.good("/api/show", model="b")
        assert shown["parameters"].splitlines() == ["num_ctx 256", "top_k 5", "top_p 0.5"]
        assert shown["system"] == "first"
        app.good("/api/create", model="c", **{"from": "own"}, parameters={"num_ctx": 1 << 20}, stream=False)
        assert app.good("/api/generate", model="c")["done_reason"] == "load"
        assert app.good("/api/show", model="c")["parameters"] == "num_ctx 512"   # all that the model has
        app.good("/api/create", model="a", **{"from": "own"}, system="second", stream=False)
        assert app.good("/api/show", model="a")["system"] == "second"
        assert app.good("/api/show", model="b")["system"] == "first"


@pytest.mark.parametrize(("path", "body", "words"), [
    ("create", {"model": "x"}, "from: it is missing"), ("create", {"from": "own"}, "model: it is missing"),
    ("create", {"model": "x", "from": "own", "template": "{{ .Prompt }}"}, "template: templates in Go's language"),
    ("create", {"model": "x", "from": "own", "files": {"a": "b"}}, "files: files can't be uploaded"),
    ("create", {"model": "x", "from": "own", "adapters": {"a": "b"}}, "adapters: "),
    ("create", {"model": "x", "from": "own", "quantize": "q4_0"}, "quantize: "),
    ("create", {"model": "x", "modelfile": "FROM own"}, "modelfile: not supported: send its parts"),
    ("create", {"model": "x", "from": "own", "parameters": {"num_gpu": 1}}, "parameters.num_gpu: "),
    ("create", {"model": "x", "from": "own", "parameters": {"top_p": 2}}, "parameters.top_p"),
    ("create", {"model": "x", "from": "own", "messages": [{"role": "x", "content": ""}]}, "messages[0].role: "),
    ("create", {"model": "own", "from": "own"}, "own is the name of a model that was not created"),
    ("create", {"model": "\0", "from": "own"}, "a name has 1 to 200 characters"),
    ("copy", {"source": "own", "destination": ""}, "destination: it is empty"),
    ("copy", {"source": "own", "destination": "own"}, "own is the name of a model that was not created"),
    ("delete", {"model": "own"}, "own was neither pulled nor created"),
    ("push", {"model": "own"}, "push: not supported"),
])
def test_what_cant_be_changed_is_refused_by_its_name(
    folder: Path, cache: Path, path: str, body: dict[str, Any], words: str
) -> None:
    with Asked(started(folder)) as app:
        response = app.post(f"/api/{path}", **body)
        said = lines(response)[-1]["error"] if response.status_code == 200 else error_of(response)
        assert words in said
        assert names(app) == ["own"]


def test_what_is_in_use_is_not_deleted_and_what_is_not_there_is_a_404(site: str, cache: Path) -> None:
    with Asked(started()) as app:
        lines(app.post("/api/pull", model=f"{site}/pulled.gguf"))
        assert app.post("/api/copy", source="pulled", destination="other").status_code == 200
        assert "what other is made of" in error_of(app.ask("DELETE", "/api/delete", json={"model": "pulled"}))
        for path, body in (("/api/delete", {"model": "none"}), ("/api/copy", {"source": "none", "destination": "x"})):
            assert "there is no model 'none'" in error_of(app.post(path, **body), 404)
        for name in ("other", "pulled"):
            assert app.ask("DELETE", "/api/delete", json={"model": name}).status_code == 200
        assert names(app) == []


def test_ollamas_client_changes_models(site: str, folder: Path, cache: Path) -> None:
    with Asked(started(folder)) as app:

        async def main() -> None:
            client = ollama.AsyncClient(host=BASE)
            client._client = httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url=BASE)
            said = [one.status async for one in await client.pull(f"{site}/pulled.gguf", stream=True)]
            assert said[-1] == "success"
            made = await client.create("mine", from_="pulled", system="s", parameters={"temperature": 0})
            assert made.status == "success"
            assert (await client.copy("mine", "yours")).status == "success"
            assert {one.model for one in (await client.list()).models} == {"own", "pulled", "mine", "yours"}
            answer = await client.chat("yours", messages=[USER], options=SHORT)
            assert answer.done
            assert [one.model for one in (await client.ps()).models] == ["yours"]
            for name in ("mine", "yours", "pulled"):
                assert (await client.delete(name)).status == "success"
            with pytest.raises(ollama.ResponseError, match="neither pulled nor created"):
                await client.delete("own")

        app.run(main())


# ---- A process that is killed ----------------------------------------------------------------------------------------

KILLED = """
import asyncio, os, signal, sys
import gemel
from gemel_native.serving.entry import Entry, ModelOptions
from gemel_native.serving.registry import Models
from gemel_native.serving.shelf import Files
from gemel_web.registry import Made

what, name, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
cache = os.environ["GEMEL_CACHE"]
async def drop(model): pass
async def main():
    models = Models([], budget=1 << 40)
    models.begin(drop)
    files = Files(models, ModelOptions(threads=1), None)
    def hook(event, arguments):   # dies before the change of a file
        global left
        changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
        changes = changes or event == "open" and (arguments[2] or 0) & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        path = os.fspath(arguments[0]) if arguments and isinstance(arguments[0], (str, os.PathLike)) else ""
        if changes and (cache in path or event == "os.remove" and not os.path.isabs(path)):   # below an open folder
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    if what == "pull":
        await files.pull(name, lambda *_: None)
    elif what == "create":
        await files.create("made", Made(base=name), lambda *_: None)
    else:
        await files.delete(name)
asyncio.run(main())
"""


def killed_everywhere(what: str, name: str, prepare: Callable[[], None], check: Callable[[], None]) -> int:
    """Kill a process before each change that it makes to a file; return how many it makes."""
    for n in range(100):
        prepare()
        done = subprocess.run(
            [sys.executable, "-c", KILLED, what, name, str(n)], env=environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode in (0, -9), done.stderr
        check()
        if done.returncode == 0:
            return n
    raise AssertionError


def garbage(cache: Path) -> list[str]:
    """Return what no start would use: half-written notes and folders that are being deleted."""
    return [str(path) for path in cache.rglob("*") if path.name.endswith(".new") or path.name.startswith(".gone-")]


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_may_be_killed_while_it_pulls_creates_or_deletes(site: str, cache: Path) -> None:
    url = f"{site}/pulled.gguf"
    whole = tiny_bytes(chat_template=CHATML, seed=3)

    def empty() -> None:
        for held in gemel.cache.list():
            gemel.cache.delete(held.name)
        for path in (cache / "made").glob("*"):
            path.unlink()

    def pulled() -> None:
        empty()
        gemel.pull(url)

    def is_clean() -> None:
        models = started()
        assert models.aliases() in ([], ["pulled"], ["made", "pulled"])
        for alias in models.aliases():
            path = models.entry(alias).local()
            assert path is not None
            assert path.read_bytes() == whole
        left = [path for path in garbage(cache) if "/made/" in path or ".gone-" in path]
        assert left == []
        assert gemel.pull(url).read_bytes() == whole   # what was begun can be finished
        assert garbage(cache) == []

    assert killed_everywhere("pull", url, empty, is_clean) > 4
    assert killed_everywhere("create", "pulled", pulled, is_clean) >= 2
    assert killed_everywhere("delete", "pulled", pulled, is_clean) > 3
