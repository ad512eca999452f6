"""/metrics: its form, what each figure says, and that it agrees with the clock of who asks; /healthz and /readyz."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import CHATML, tiny_bytes
from gemel_native.serving.entries import entries_of
from gemel_native.serving.entry import ModelOptions, need_of
from gemel_native.serving.registry import Models
from gemel_web.observe import Observer
from gemel_web.observe.histogram import Histogram
from metrics_lint import families, lint
from serving import Asked, Connection, error_of, until

COMPLETE = "/v1/completions"
BODY: dict[str, Any] = {"model": "tiny", "prompt": "ab", "max_tokens": 8, "temperature": 0}


@pytest.fixture
def app(model: gemel.Model) -> Iterator[Asked]:
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer()) as asked:
        yield asked


def page(app: Asked) -> str:
    response = app.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return response.text


def value(app: Asked, name: str, **labels: str) -> float:
    """Return a sample's value."""
    for metric in families(page(app)).values():
        for one in metric.samples:
            if one.name == "gemel:" + name and labels.items() <= one.labels.items():
                return float(one.value)
    raise KeyError(name)


def test_the_page_passes_the_linter_before_and_after_requests(app: Asked, long: dict[str, Any]) -> None:
    assert lint(page(app)) == []
    app.good(COMPLETE, **BODY, n=2)
    app.good("/v1/chat/completions", **long, messages=[{"role": "user", "content": "a"}])
    app.good("/v1/embeddings", model="tiny", input="a")
    app.bad(COMPLETE, **BODY | {"max_tokens": "x"})
    text = page(app)
    assert lint(text) == []
    assert lint(text.replace('le="+Inf"', 'le="99999"', 1)) != []   # the linter sees something
    assert lint(text.replace("gemel:passes_total", "gemel:passes")) != []


def test_openmetrics_is_given_to_who_asks_for_it(app: Asked) -> None:
    response = app.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_tokens_are_those_of_the_answers_usage(app: Asked) -> None:
    usages = [app.good(COMPLETE, **BODY | {"prompt": text, "n": n})["usage"] for text, n in (("abc", 1), ("ab", 3))]
    sums = {name: sum(one[name] for one in usages) for name in ("prompt_tokens", "completion_tokens")}
    assert value(app, "prompt_tokens_total", model_name="tiny") == sums["prompt_tokens"]
    assert value(app, "generation_tokens_total", model_name="tiny") == sums["completion_tokens"]
    assert value(app, "request_generation_tokens_sum") == sums["completion_tokens"]
    assert value(app, "request_generation_tokens_count") == 4
    assert value(app, "request_success_total", finished_reason="length") == 4
    assert value(app, "e2e_request_latency_seconds_count") == 2


def test_the_cached_share_is_that_of_the_answers_usage(app: Asked) -> None:
    prompt = "ab" * 100
    answers = [app.good(COMPLETE, **BODY | {"prompt": prompt}) for _ in range(2)]
    cached = sum(one["usage"]["prompt_tokens_details"]["cached_tokens"] for one in answers)
    assert cached > 64
    assert value(app, "prefix_cache_hits_total") == cached
    assert value(app, "prefix_cache_queries_total") == sum(one["usage"]["prompt_tokens"] for one in answers)
    assert value(app, "kv_cache_pages") >= 2
    assert 0 < value(app, "kv_cache_usage_perc") < 1


def test_requests_are_counted_by_api_and_status(app: Asked) -> None:
    app.good(COMPLETE, **BODY)
    app.bad(COMPLETE, 404, **BODY | {"model": "none"})
    app.good("/api/generate", model="tiny", prompt="a", stream=False, options={"num_predict": 2})
    app.get("/nothing")
    counted = families(page(app))["gemel:http_requests"].samples
    found = {(one.labels["api"], one.labels["status"]): one.value for one in counted}
    assert found == {("openai", "200"): 1, ("openai", "404"): 1, ("ollama", "200"): 1, ("page", "404"): 1}


def test_what_clients_write_names_no_series(app: Asked) -> None:
    """A client can't add series: no label has its texts."""
    app.good(COMPLETE, **BODY)
    n_series = page(app).count("\n")
    for i in range(20):
        app.bad(COMPLETE, 404, **BODY | {"model": f"planted{i}"})
        app.get(f"/planted{i}", headers={"x-request-id": f"planted{i}"})
    text = page(app)
    assert "planted" not in text
    assert text.count("\n") <= n_series + 4   # statuses, and the scrape itself


def test_rows_of_passes_and_drafts_are_the_engines(app: Asked, model: gemel.Model) -> None:
    answer = app.good(COMPLETE, **BODY | {"max_tokens": 64, "prompt": "ab" * 20})
    n_passes = value(app, "iteration_tokens_count")
    assert n_passes == value(app, "passes_total") <= answer["usage"]["completion_tokens"] + 40
    assert value(app, "iteration_tokens_sum") >= answer["usage"]["prompt_tokens"]
    assert value(app, "decode_rows_total") <= value(app, "iteration_tokens_sum")
    drafted = families(page(app))["gemel:spec_decode_num_draft_tokens"].samples
    accepted = families(page(app))["gemel:spec_decode_num_accepted_tokens"].samples
    assert {one.labels["source"] for one in drafted} == {one.labels["source"] for one in accepted}
    assert sum(one.value for one in accepted) <= sum(one.value for one in drafted)


def test_drafts_are_counted_by_what_proposed_them(app: Asked) -> None:
    schema = {"type": "object", "properties": {"a long name": {"enum": ["b"]}}, "required": ["a long name"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    app.good("/v1/chat/completions", model="tiny", messages=[{"role": "user", "content": "a"}], response_format=form)
    assert value(app, "spec_decode_num_accepted_tokens_total", source="grammar") > 0


def test_running_and_waiting_requests_are_those_of_now(model: gemel.Model, long: dict[str, Any]) -> None:
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer(), parallel=1) as app:

        async def look() -> tuple[float, float]:
            tasks = [asyncio.create_task(app.asking("POST", COMPLETE, json={**long, "prompt": "a"})) for _ in range(3)]
            found: dict[str, float] = {}
            while not found.get("num_requests_running") or found.get("num_requests_waiting") != 2:
                await asyncio.sleep(0)
                found = (await app.asking("GET", "/metrics.json")).json()["models"][0]["values"]
            await asyncio.gather(*tasks)
            return found["num_requests_running"], found["num_requests_waiting"]

        assert app.run(look()) == (1, 2)
        assert (value(app, "num_requests_running"), value(app, "num_requests_waiting")) == (0, 0)
        assert value(app, "request_queue_time_seconds_count") == 3


def test_a_client_that_leaves_is_an_abort_and_its_tokens_count(app: Asked, long: dict[str, Any]) -> None:
    async def leave() -> None:
        connection = Connection(app, COMPLETE, {**long, "prompt": "a", "stream": True})
        going = asyncio.create_task(connection.go())
        await until(lambda: connection.body.count(b"\n\n") > 3)
        connection.leave()
        await going

    app.run(leave())
    app.good(COMPLETE, **BODY)
    assert value(app, "request_success_total", finished_reason="abort") == 1
    assert value(app, "generation_tokens_total") > 8 + 3


def test_figures_agree_with_the_clients_clock(app: Asked, long: dict[str, Any]) -> None:
    async def streamed() -> tuple[float, float]:
        connection = Connection(app, COMPLETE, {**long, "prompt": "a", "stream": True, "max_tokens": 200})
        start = time.monotonic()
        going = asyncio.create_task(connection.go())
        await until(lambda: b"data: " in connection.body)
        first = time.monotonic() - start
        await going
        return first, time.monotonic() - start

    first, whole = app.run(streamed())
    assert agree(value(app, "time_to_first_token_seconds_sum"), first)
    assert agree(value(app, "e2e_request_latency_seconds_sum"), whole)
    assert agree(value(app, "inter_token_latency_seconds_sum"), whole - first)
    parts = [value(app, f"request_{name}_time_seconds_sum") for name in ("queue", "prefill", "decode")]
    assert agree(sum(parts), whole)


def agree(one: float, other: float) -> bool:
    """Within 5 % or 5 ms; a busy machine stops this process between two looks, so a miss of 50 ms is no error."""
    return abs(one - other) <= max(0.05 * other, 0.05)


def test_loads_unloads_and_memory_are_the_registrys(tmp_path: Any) -> None:  # noqa: ANN401
    for seed, name in enumerate("ab"):
        (tmp_path / f"{name}.gguf").write_bytes(tiny_bytes(chat_template=CHATML, seed=seed))
    entries = entries_of({}, ModelOptions(threads=1, ctx=256), folder=tmp_path)
    need = need_of(entries[0], 1 << 40, 10**6).total
    with Asked(Models(entries, budget=int(1.5 * need), cache_memory=10**6), observer=Observer()) as app:
        assert app.get("/readyz").json() == {"status": "ready"}
        for name in "aba":
            app.good(COMPLETE, **BODY | {"model": name})
        assert [value(app, "model_loads_total", model_name=name) for name in "ab"] == [2, 1]
        assert [value(app, "model_unloads_total", model_name=name) for name in "ab"] == [1, 1]
        assert [value(app, "model_memory_bytes", model_name=name) for name in "ab"] == [need, 0]
        assert value(app, "generation_tokens_total", model_name="a") == 16   # it was unloaded in between
        assert value(app, "passes_total", model_name="a") >= 16
        assert value(app, "model_loaded", model_name="b") == 0
        assert lint(page(app)) == []


def test_two_apps_share_nothing(model: gemel.Model) -> None:
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer()) as one:
        one.good(COMPLETE, **BODY)
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer()) as other:
        assert "time_to_first_token_seconds_count{" not in page(other)


def test_metrics_need_the_key_and_the_origin(model: gemel.Model) -> None:
    with Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer(), api_key="secret") as app:
        for path in ("/metrics", "/metrics.json"):
            assert app.get(path).status_code == 401
            assert app.get(path, headers={"authorization": "Bearer secret"}).status_code == 200
            assert app.get(path, headers={"origin": "https://evil.example"}).status_code == 403
        assert app.get("/healthz").status_code == app.get("/readyz").status_code == 200


def test_without_its_package_metrics_say_what_to_install(app: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gemel_web.observe.collector", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert "pip install 'gemel[serve]'" in error_of(app.get("/metrics"), 501)["message"]
    assert app.get("/metrics.json").status_code == 200


def test_without_an_observer_there_are_no_metrics(serve: Callable[..., Asked]) -> None:
    assert serve().get("/metrics").status_code == 404


def test_readyz_says_why_not(model: gemel.Model, long: dict[str, Any]) -> None:
    models: dict[str, gemel_web.ServedModel] = {}
    with Asked(models, parallel=1, queue=0) as app:
        answer = app.get("/readyz")
        assert (answer.status_code, answer.json()["why"]) == (503, "there is no model")
        models["tiny"] = gemel_web.ServedModel(model)

        async def full() -> tuple[int, str]:
            going = asyncio.create_task(app.asking("POST", COMPLETE, json={**long, "prompt": "a"}))
            while (answer := await app.asking("GET", "/readyz")).status_code == 200:
                await asyncio.sleep(0)
            await going
            return answer.status_code, answer.json()["why"]

        assert app.run(full()) == (503, "the queue of a model is full")
        assert app.get("/readyz").status_code == 200
        app.run(app.app.state.scheduler.close())
        assert app.get("/readyz").json()["why"] == "the server is stopping"
        assert app.get("/healthz").status_code == 200


def test_a_value_belongs_to_the_bucket_whose_bound_it_is() -> None:
    histogram = Histogram((1, 2))
    for one in (0.5, 1, 1.5, 2, 3):
        histogram.observe(one)
    assert histogram.cumulative == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert histogram.sum == 8
