"""A server of many models: opened when somebody asks, closed for others' sake or when idle, never over the budget."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gemel
import httpx
import pytest
from conftest import CHATML, tiny_bytes
from gemel_native.serving import entry as entry_module
from gemel_native.serving import registry as registry_module
from gemel_native.serving.config_file import Settings
from gemel_native.serving.entries import aliases_of, entries_of, in_folder
from gemel_native.serving.entry import Entry, ModelOptions, need_of
from gemel_native.serving.registry import Models
from gemel_native.serving.server import models_of
from gemel_web.jobs.passes import Passes
from gemel_web.jobs.scheduler import Driver
from serving import Asked, Connection, until

COMPLETE = "/v1/completions"
HOW = ModelOptions(threads=1, ctx=256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("a", "b")):
        (path / f"{name}.gguf").write_bytes(tiny_bytes(chat_template=CHATML, seed=seed))
    (path / "broken.gguf").write_bytes(tiny_bytes(seed=9)[:3000])
    return path


@pytest.fixture
def entries(folder: Path) -> list[Entry]:
    return entries_of({}, HOW, folder=folder)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of the models that are open; there is never more than one of a test whose budget holds one."""
    found: set[str] = set()
    original, close = gemel.open, gemel.Model.close

    def open_(model: str, **options: Any) -> gemel.Model:  # noqa: ANN401
        made = original(model, **options)
        found.add(Path(model).stem)
        return made

    def closed(self: gemel.Model) -> None:
        found.discard(Path(self.name).stem)
        close(self)

    monkeypatch.setattr(gemel, "open", open_)
    monkeypatch.setattr(gemel.Model, "close", closed)
    yield found
    assert found == set()   # the app closes what it opened


def for_one(entries: Sequence[Entry]) -> int:
    """Return a budget that holds any one of the models, with a context."""
    most = max(need_of(entry, 1 << 40, 0).total for entry in entries if entry.alias != "broken")
    return most * 3 // 2


def asks(model: str, n: int = 4) -> dict[str, Any]:
    return {"model": model, "prompt": "the model", "max_tokens": n, "temperature": 0}


def states(app: Asked) -> dict[str, str]:
    return {one["id"]: one["status"]["value"] for one in app.get("/v1/models").json()["data"]}


def test_requests_alternate_between_models_of_which_one_fits(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:
        assert set(states(app).values()) == {"unloaded"}
        for model in ("a", "b", "a", "b"):
            answer = app.good(COMPLETE, **asks(model))
            assert answer["model"] == model
            assert opened == {model}
        assert states(app) == {"a": "unloaded", "b": "loaded", "broken": "unloaded"}

        async def many() -> list[Any]:
            return await asyncio.gather(*(app.asking("POST", COMPLETE, json=asks("ab"[i % 2])) for i in range(12)))

        for response in app.run(many()):
            assert response.status_code == 200, response.text
        assert len(opened) == 1


def test_answers_are_those_of_a_model_that_stays_open(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:
        text = app.good(COMPLETE, **asks("a", 9))["choices"][0]["text"]
        app.good(COMPLETE, **asks("b"))
        assert app.good(COMPLETE, **asks("a", 9))["choices"][0]["text"] == text


def test_models_that_fit_stay_open(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        app.good(COMPLETE, **asks("a"))
        app.good(COMPLETE, **asks("b"))
        assert opened == {"a", "b"}


def test_the_model_asked_longest_ago_is_closed(folder: Path, tmp_path: Path, opened: set[str]) -> None:
    for name in "xyz":
        (tmp_path / f"{name}.gguf").write_bytes((folder / "a.gguf").read_bytes())
    entries = entries_of({}, HOW, folder=tmp_path)
    with Asked(Models(entries, budget=for_one(entries) * 3 // 2, cache_memory=0)) as app:
        for model in "xyxz":
            app.good(COMPLETE, **asks(model))
        assert opened == {"x", "z"}


def test_a_model_that_cant_be_loaded_is_an_error_to_its_callers_alone(
    entries: list[Entry], opened: set[str], folder: Path
) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:
        app.good(COMPLETE, **asks("a"))
        error = app.bad(COMPLETE, 503, **asks("broken"))
        assert error["code"] == "model_not_loaded"
        assert error["message"].startswith("broken can't be loaded: ")
        assert str(folder) not in error["message"]
        assert opened == {"a"}   # nothing was closed for it
        app.good(COMPLETE, **asks("a"))


def test_a_model_over_the_budget_says_what_it_needs(entries: list[Entry]) -> None:
    with Asked(Models(entries, budget=1000, cache_memory=0)) as app:
        assert "raise --max-memory" in app.bad(COMPLETE, 503, **asks("a"))["message"]


def test_an_answer_in_progress_is_finished_first_and_then_the_other_model_gets_its_turn(
    entries: list[Entry], opened: set[str]
) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:

        async def main() -> None:
            first = Connection(app, COMPLETE, {**asks("a", 200), "stream": True, "logit_bias": {"2": -100}})
            streaming = asyncio.ensure_future(first.go())
            await until(lambda: len(first.sent) > 2)
            other = asyncio.ensure_future(app.asking("POST", COMPLETE, json=asks("b")))
            later = [asyncio.ensure_future(app.asking("POST", COMPLETE, json=asks("a"))) for _ in range(3)]
            answers = [await one for one in (other, *later)]
            assert [one.status_code for one in answers] == [200] * 4
            await streaming
            assert first.body.endswith(b"data: [DONE]\n\n")

        app.run(main())


def test_models_that_are_always_asked_dont_starve_another(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:

        async def main() -> None:
            ended = asyncio.Event()

            async def again() -> None:
                while not ended.is_set():
                    assert (await app.asking("POST", COMPLETE, json=asks("a"))).status_code == 200

            busy = [asyncio.ensure_future(again()) for _ in range(3)]
            await until(lambda: opened == {"a"})
            for _ in range(3):
                assert (await app.asking("POST", COMPLETE, json=asks("b"))).status_code == 200
            ended.set()
            await asyncio.gather(*busy)

        app.run(main())


def test_a_client_that_leaves_while_its_model_waits_harms_nobody(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=for_one(entries), cache_memory=0)) as app:

        async def main() -> None:
            gone = Connection(app, COMPLETE, asks("a"))
            gone.leave()
            await gone.go()
            assert (await app.asking("POST", COMPLETE, json=asks("b"))).status_code == 200

        app.run(main())


def test_an_idle_model_is_unloaded(entries: list[Entry], opened: set[str]) -> None:
    idle = [replace(entry, keep_alive=0.01) for entry in entries]
    with Asked(Models(idle, budget=1 << 40, cache_memory=1 << 20)) as app:
        app.good(COMPLETE, **asks("a"))
        app.run(until(lambda: not opened))
        app.good(COMPLETE, **asks("a"))


def test_a_model_that_is_open_when_the_server_begins_is_unloaded_when_idle(folder: Path, opened: set[str]) -> None:
    entry = replace(entries_of({"a": str(folder / "a.gguf")}, HOW)[0], keep_alive=0.01)
    with models_of([entry], max_memory=None, cache_memory=None, at_once=True) as models, Asked(models) as app:
        app.run(until(lambda: not opened))
        app.good(COMPLETE, **asks("a"))


def test_a_larger_num_ctx_takes_memory_of_idle_models_and_never_more_than_the_budget(
    entries: list[Entry], opened: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_module, "SHARE", 1 << 40)   # caches hold one context and no more
    models = Models(entries, budget=1 << 30)
    with Asked(models) as app:
        for name in "ab":
            app.good(COMPLETE, **asks(name))
        needs = [models._rows[name].need for name in "ab"]
        models._budget = sum(need.total for need in needs)

        def asked(n_ctx: int, n: int = 1) -> list[httpx.Response]:
            body = {"model": "a", "prompt": "x", "options": {"num_ctx": n_ctx, "num_predict": 2}, "stream": False}

            async def all_at_once() -> list[httpx.Response]:
                return await asyncio.gather(*(app.asking("POST", "/api/generate", json=body) for _ in range(n)))

            found: list[httpx.Response] = app.run(all_at_once())
            return found

        assert asked(256)[0].status_code == 200
        assert opened == {"a", "b"}
        assert [one.status_code for one in asked(512, 3)] == [200] * 3
        assert opened == {"a"}
        served = models.find("a")
        assert served is not None
        assert models._rows["a"].need.cache == served.cache_of(512) > needs[0].cache
        assert not models._rows["a"].is_busy
        app.good(COMPLETE, **asks("b"))   # and is loaded again: the budget holds no more than one now
        assert opened == {"b"}
        models._budget = needs[0].total
        (refused,) = asked(512)
        assert refused.status_code == 400
        words = r"num_ctx=512 needs .*: ask for at most ([0-9]+), or raise --max-memory"
        found = re.fullmatch(words, refused.json()["error"])
        assert found is not None
        assert asked(int(found[1]))[0].status_code == 200


def test_show_reads_only_the_header(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        before = {(name, verbose): app.good("/api/show", model=name, verbose=verbose) for name in "ab"
                  for verbose in (False, True)}
        assert opened == set()
        app.good(COMPLETE, **asks("a"))
        app.good(COMPLETE, **asks("b"))
        for (name, verbose), shown in before.items():
            assert app.good("/api/show", model=name, verbose=verbose) == shown
        assert "can't be loaded" in app.post("/api/show", model="broken").json()["error"]


def test_the_progress_of_loading_is_in_the_list_and_in_the_log(
    entries: list[Entry], opened: set[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gemel_web.models")
    monkeypatch.setattr(registry_module, "LEAST", 0)
    halfway, goes_on = threading.Event(), threading.Event()
    original = gemel.open

    def slow(model: str, *, on_progress: Any, **options: Any) -> gemel.Model:  # noqa: ANN401
        on_progress("load", 60, 120)
        halfway.set()
        assert goes_on.wait(30)
        return original(model, on_progress=on_progress, **options)

    monkeypatch.setattr(gemel, "open", slow)
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:

        async def main() -> None:
            asking = asyncio.ensure_future(app.asking("POST", COMPLETE, json=asks("a")))
            await until(halfway.is_set)
            listed = (await app.asking("GET", "/v1/models/a")).json()
            assert listed["status"] == {"value": "loading", "progress": 0.5}
            goes_on.set()
            assert (await asking).status_code == 200
            assert (await app.asking("GET", "/v1/models/a")).json()["status"] == {"value": "loaded"}

        app.run(main())
    said = [record.getMessage() for record in caplog.records]
    assert "a: loading, 50 % of 0 MB" in said
    assert any(line.startswith("a: loaded in ") for line in said)


def test_ollamas_keep_alive_loads_and_unloads(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        assert app.good("/api/generate", model="a", keep_alive="1h")["done_reason"] == "load"
        (running,) = app.get("/api/ps").json()["models"]
        assert running["name"] == "a"
        assert running["size"] > 0
        assert not running["expires_at"].startswith("9999")
        assert app.good("/api/generate", model="a", keep_alive=-1)["done_reason"] == "load"
        assert app.get("/api/ps").json()["models"][0]["expires_at"].startswith("9999")
        assert app.good("/api/generate", model="a", keep_alive=0)["done_reason"] == "unload"
        app.run(until(lambda: not opened))
        assert app.get("/api/ps").json()["models"] == []
        body = {"model": "b", "messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 2}}
        assert app.good("/api/chat", **body, keep_alive=0, stream=False)["done"]
        app.run(until(lambda: not opened))


def test_an_unloaded_model_stays_open_when_another_api_asks_for_it(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        app.good(COMPLETE, **asks("a"))
        assert app.good("/api/generate", model="a", keep_alive=0)["done_reason"] == "unload"
        app.run(until(lambda: not opened))
        app.good(COMPLETE, **asks("a"))
        assert app.get("/api/ps").json()["models"][0]["expires_at"].startswith("9999")


def test_options_that_are_refused_load_no_model(entries: list[Entry], opened: set[str]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        assert app.post("/api/generate", model="a", prompt="x", options={"tfs_z": 0.5}).status_code == 400
        assert opened == set()


def test_a_request_for_a_model_that_is_removed_before_its_turn_is_a_404(
    entries: list[Entry], opened: set[str]
) -> None:
    models = Models(entries, budget=1 << 40, cache_memory=1 << 20)
    with Asked(models) as app:

        async def main() -> None:
            async with models._lock:   # something else is loaded
                removing = asyncio.ensure_future(models.remove("a"))
                await asyncio.sleep(0)   # it waits
                asking = asyncio.ensure_future(app.asking("POST", COMPLETE, json=asks("a")))
                await until(lambda: models._rows["a"].loading is not None)
            await removing
            assert (await asking).status_code == 404

        app.run(main())
        assert opened == set()
        assert "a" not in states(app)


def test_lists_show_models_that_are_not_loaded(entries: list[Entry]) -> None:
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        before = {one["id"]: one["meta"] for one in app.get("/v1/models").json()["data"]}
        cards = {one["name"]: one for one in app.get("/api/tags").json()["models"]}
        assert before["broken"] is None
        assert app.get("/v1/models", headers={"anthropic-version": "1"}).json()["data"][0]["max_input_tokens"] == 256
        app.good(COMPLETE, **asks("a"))
        after = app.get("/v1/models/a").json()
        assert after["status"] == {"value": "loaded"}
        assert {name: after["meta"][name] for name in ("n_params", "n_ctx")} == {
            "n_params": before["a"]["n_params"], "n_ctx": 256,
        }  # fmt: skip
        loaded = {one["name"]: one for one in app.get("/api/tags").json()["models"]}
        assert loaded["a"]["details"] == cards["a"]["details"]


# ---- Settings --------------------------------------------------------------------------------------------------------


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "models.toml"
    path.write_text(text)
    return Settings(path)


def test_settings_of_a_model_apply_to_all_apis(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loud.jinja").write_text("{% for m in messages %}{{ m.role }}!{{ m.content }}{% endfor %}")
    file = settings(tmp_path, f"""
        [models.a]
        aliases = ["gpt-4o", "other"]
        ctx = 128
        kv_type = "q8_0"
        template = "loud.jinja"
        system = "be brief"
        max_tokens = 3
        stop = ["zz"]
        keep_alive = "5m"
        sampling = {{ temperature = 0, seed = 5 }}
        [models.more]
        model = "{(folder / 'b.gguf').as_posix()}"
    """)
    entries = entries_of({"a": str(folder / "a.gguf")}, HOW, settings=file)
    assert [entry.alias for entry in entries] == ["a", "more"]
    assert entries[0].keep_alive == 300
    user = {"role": "user", "content": "hi"}
    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        chat = app.good("/v1/chat/completions", model="gpt-4o", messages=[user])
        assert chat["usage"]["completion_tokens"] == 3
        assert app.get("/v1/models/gpt-4o").json()["id"] == "a"
        text = app.good("/v1/messages", model="other", messages=[user], max_tokens=3)["content"][0]["text"]
        assert text == chat["choices"][0]["message"]["content"]   # greedy, and the same prompt
        shown = app.good("/apply-template", model="a", messages=[user])["prompt"]
        assert shown == "system!be briefuser!hi"
        own = [{"role": "system", "content": "s"}, user]
        assert app.good("/apply-template", model="a", messages=own)["prompt"] == "system!suser!hi"
        assert app.get("/props", params={"model": "a"}).json()["default_generation_settings"]["n_ctx"] == 128
        error = app.bad("/v1/chat/completions", model="a", messages=[user, {"role": "user"}])
        assert error["param"] == "messages[1].content"
        assert app.good(COMPLETE, model="a", prompt="x", max_tokens=2, temperature=1)["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("text", "words"), [
    ("models = 5", "write a table per model"), ("[other]", "other: write a table per model"), ("[", "models.toml: "),
    ("[models.a]\ncolour = 1", "models.a.colour: there is no such key"),
    ("[models.x]", "models.x.model: it is missing"),
    ("[models.a]\nctx = 0", "models.a.ctx: 0 is not an integer of at least 1"),
    ("[models.a]\nkv_type = 'q1'", "models.a.kv_type: 'q1' is not one of "),
    ("[models.a]\nsampling = { temprature = 1 }", "models.a.sampling.temprature: there is no such key"),
    ("[models.a]\nsampling = { top_p = 2.0 }", "models.a.sampling: top_p=2"),
    ("[models.a]\ntemplate = 'none.jinja'", "models.a.template: none.jinja can't be read"),
    ("[models.a]\nkeep_alive = 'soon'", "models.a.keep_alive: "), ("[models.a]\nstop = 'x'", "models.a.stop: "),
    ("[models.a]\naliases = ['b']\n[models.b]\nmodel = 'b.gguf'", "b is the name of two models"),
])
def test_an_invalid_setting_names_its_place(folder: Path, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(gemel.ArgumentError) as caught:
        entries_of({"a": str(folder / "a.gguf")}, HOW, settings=settings(tmp_path, text))
    assert words in str(caught.value)


def test_a_folder_serves_its_files_and_the_first_parts_of_split_models(tmp_path: Path) -> None:
    for name in ("x.gguf", "deep/y-00001-of-00002.gguf", "deep/y-00002-of-00002.gguf", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list(in_folder(tmp_path)) == ["y", "x"]
    (tmp_path / "deep" / "x.gguf").write_bytes(b"")
    with pytest.raises(gemel.ArgumentError, match="have the same alias, x"):
        in_folder(tmp_path)


def test_a_model_named_on_the_command_line_replaces_that_of_the_folder(folder: Path) -> None:
    named = aliases_of([str(folder / "b.gguf")], "a", {})
    found = {entry.alias: entry.source for entry in entries_of(named, HOW, folder=folder)}
    assert Path(found["a"]).name == "b.gguf"


# ---- Passes ----------------------------------------------------------------------------------------------------------


def test_threads_take_turns() -> None:
    passes, order, ready = Passes(), list[int](), threading.Barrier(2)

    def work(number: int) -> None:
        with passes:
            pass
        ready.wait()
        for _ in range(200):
            with passes:
                order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(order) == [0] * 200 + [1] * 200


def test_passes_of_two_models_alternate(
    entries: list[Entry], opened: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that waits at the end of the other's pass has the next one."""
    taken: list[tuple[Driver, int]] = []
    original = Driver._turn

    with Asked(Models(entries, budget=1 << 40, cache_memory=1 << 20)) as app:
        passes = app.app.state.scheduler._passes

        def turn(self: Driver, deliver: Any) -> bool:  # noqa: ANN401
            goes_on = original(self, deliver)
            if len(taken) in range(50, 60):   # the others are where they want the next pass
                while not passes.n_waiting:
                    pass
            taken.append((self, passes.n_waiting))
            return goes_on

        monkeypatch.setattr(Driver, "_turn", turn)
        endless = {"prompt": "the model", "max_tokens": 150, "temperature": 0, "logit_bias": {"0": -100, "2": -100}}

        async def both() -> None:
            bodies = [{**endless, "model": name} for name in "ab"]
            answers = await asyncio.gather(*(app.asking("POST", COMPLETE, json=body) for body in bodies))
            assert [answer.json()["usage"]["completion_tokens"] for answer in answers] == [150, 150]

        app.run(both())
    assert len({driver for driver, _ in taken}) == 2
    assert sum(n_waiting > 0 for _, n_waiting in taken) >= 10
    assert all(one is not other for (one, n_waiting), (other, _) in pairwise(taken) if n_waiting)


def test_who_waits_for_a_pass_gets_the_next_one() -> None:
    passes, order = Passes(), list[str]()

    def wait() -> None:
        with passes:
            order.append("other")

    with passes:
        thread = threading.Thread(target=wait)
        thread.start()
        while not passes.n_waiting:
            pass
    with passes:
        order.append("first")
    thread.join()
    assert order == ["other", "first"]
