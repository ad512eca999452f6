"""Models managed by API and by SIGHUP: load, unload, settings; what changes while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CHATML, tiny_bytes
from gemel_native.serving.entries import entries_of
from gemel_native.serving.entry import ModelOptions
from gemel_native.serving.registry import Models
from serving import Asked, error_of, until

HOW = ModelOptions(threads=1, ctx=256)
USER = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("a", "b")):
        (path / f"{name}.gguf").write_bytes(tiny_bytes(chat_template=CHATML, seed=seed))
    return path


@pytest.fixture
def models(folder: Path) -> Models:
    return Models(entries_of({}, HOW, folder=folder), budget=1 << 40, cache_memory=1 << 20)


@pytest.fixture
def managed(models: Models) -> Iterator[Asked]:
    with Asked(models) as app:
        yield app


def patch(app: Asked, name: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401
    response = app.ask("PATCH", f"/manage/models/{name}", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json()["settings"])


def state_of(app: Asked, name: str) -> str:
    return str(app.get(f"/manage/models/{name}").json()["state"])


def test_models_are_loaded_and_unloaded(managed: Asked, models: Models) -> None:
    assert [one["state"] for one in managed.get("/manage/models").json()["data"]] == ["unloaded", "unloaded"]
    assert managed.good("/models/load", model="a") == {"success": True}
    assert (state_of(managed, "a"), state_of(managed, "b")) == ("loaded", "unloaded")
    assert managed.good("/models/unload", model="a") == {"success": True}
    managed.run(until(lambda: not models.open_models()))
    assert managed.good("/models/unload", model="a") == {"success": True}   # it is already
    for path in ("/models/load", "/models/unload"):
        assert managed.bad(path, 404, model="x")["code"] == "model_not_found"
        assert "model" in managed.bad(path)["message"]


def test_settings_change_answers_from_then_on(managed: Asked) -> None:
    before: dict[str, Any] = {"keep_alive": None, "max_tokens": None, "stop": [], "system": None, "sampling": {}}
    assert managed.get("/manage/models/a").json()["settings"] == before
    new = {"keep_alive": 60, "max_tokens": 3, "system": "be brief", "sampling": {"temperature": 0}}
    assert patch(managed, "a", **new, stop=None) == {**before, **new}
    assert managed.good("/v1/chat/completions", model="a", messages=USER)["usage"]["completion_tokens"] == 3
    prompt = managed.good("/apply-template", model="a", messages=USER)["prompt"]
    assert prompt.startswith("<|im_start|>system\nbe brief<|im_end|>")
    assert managed.get("/manage/models/a").json()["expires"] is not None
    assert patch(managed, "a", max_tokens=2, keep_alive=-1, system=None) == {
        **before, "sampling": {"temperature": 0}, "max_tokens": 2,
    }
    assert managed.good("/v1/chat/completions", model="a", messages=USER)["usage"]["completion_tokens"] == 2   # is open
    assert patch(managed, "a") == {**before, "sampling": {"temperature": 0}, "max_tokens": 2}


@pytest.mark.parametrize(("body", "words"), [
    ({"max_tokens": 0}, "max_tokens"), ({"max_token": 1}, "did you mean max_tokens?"), ({"stop": [""]}, "stop"),
    ({"sampling": {"temprature": 1}}, "sampling.temprature"), ({"sampling": {"top_p": 7}}, "sampling.top_p"),
    ({"sampling": {"top_k": "x"}}, "sampling"), ({"keep_alive": "soon"}, "keep_alive"), ({"system": 5}, "system"),
    ({"ctx": 5}, "ctx: unknown parameter"), ({"stop": ["x"] * 65}, "stop"),
])  # fmt: skip
def test_an_invalid_setting_is_a_400_and_changes_nothing(managed: Asked, body: dict[str, Any], words: str) -> None:
    error = error_of(managed.ask("PATCH", "/manage/models/a", json={"max_tokens": 9, **body}), 400)
    assert words in error["message"]
    assert managed.get("/manage/models/a").json()["settings"]["max_tokens"] is None


def test_models_of_an_owner_are_shown_and_not_changed(app: Asked) -> None:
    assert app.get("/manage/models/tiny").json()["state"] == "loaded"
    for method, path, body in [
        ("POST", "/models/unload", {"model": "tiny"}), ("PATCH", "/manage/models/tiny", {"max_tokens": 1}),
    ]:
        assert error_of(app.ask(method, path, json=body), 400)["code"] == "unsupported"
    assert app.good("/models/load", model="tiny") == {"success": True}


def test_each_act_is_logged_with_its_model(managed: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gemel_web")
    managed.good("/models/load", model="a")
    patch(managed, "a", system="my secret")
    lines = [record.getMessage() for record in caplog.records if record.name == "gemel_web.audit"]
    assert lines == [
        "audit: no key, 127.0.0.1: POST /models/load, load a: 200",
        "audit: no key, 127.0.0.1: PATCH /manage/models/a, set system of a: 200",
    ]
    assert "secret" not in caplog.text


# ---- Other entries ---------------------------------------------------------------------------------------------------


def test_a_reload_adds_changes_and_forgets_models(models: Models, folder: Path) -> None:
    by_name = {entry.alias: entry for entry in entries_of({}, HOW, folder=folder)}
    wider = ModelOptions(threads=1, ctx=128)
    with Asked(models) as app:
        for name in "ab":
            app.good("/models/load", model=name)
        first = models.find("a")
        kept = entries_of({"a": by_name["a"].source}, HOW, keep_alive=500.0)
        new = entries_of({"c": by_name["b"].source}, HOW)

        async def reload(entries: list[Any], before: list[str]) -> None:
            models.reload(entries, before)

        async def found() -> Any:  # noqa: ANN401
            return models.find("a")

        app.run(reload([*kept, *new], ["a", "b"]))
        app.run(until(lambda: not models.has("b")))
        assert models.aliases() == ["a", "c"]
        assert models.settings("a").keep_alive == 500
        now = app.run(found())
        assert first is not None
        assert now.model is first.model   # it was not opened again
        app.run(reload([*entries_of({"a": by_name["a"].source}, wider), *new], ["a", "c"]))
        app.run(until(lambda: not models.open_models()))
        app.good("/v1/completions", model="a", prompt="x", max_tokens=1)
        assert app.run(found()).context == 128


def test_a_reload_leaves_models_of_clients_alone(models: Models, caplog: pytest.LogCaptureFixture) -> None:
    a, b = (models.entry(name) for name in "ab")
    with Asked(models) as app:

        async def reload() -> None:
            models.reload([a], ["a"])   # b was made by a client
            models.reload([a, b], ["a"])

        app.run(reload())
        assert models.aliases() == ["a", "b"]
        assert "b of the settings is not served" in caplog.text
