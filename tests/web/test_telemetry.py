"""OpenTelemetry: the spans and metrics that reach a receiver of OTLP, with the names of the GenAI conventions."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gemel
import gemel_web
import pytest
from gemel_native.serving.server import telemetry_of
from gemel_web.observe import Observer
from serving import Asked

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PLANTED = "planted"
BODY: dict[str, Any] = {
    "model": "tiny", "prompt": PLANTED, "max_tokens": 5, "temperature": 0.5, "seed": 7, "top_k": 9, "n": 2,
}  # fmt: skip
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Receiver:
    """An OTLP receiver on a free port."""

    def __init__(self) -> None:
        self.raw: list[tuple[str, bytes]] = []
        raw = self.raw

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:   # http.server's name
                body = self.rfile.read(int(self.headers["content-length"]))
                packed = self.headers.get("content-encoding") == "gzip"
                raw.append((self.path, gzip.decompress(body) if packed else body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[Any]:
        found = [ExportTraceServiceRequest.FromString(raw) for path, raw in self.raw if path == "/v1/traces"]
        return [span for one in found for r in one.resource_spans for s in r.scope_spans for span in s.spans]

    def metrics(self) -> dict[str, Any]:
        found = [ExportMetricsServiceRequest.FromString(raw) for path, raw in self.raw if path == "/v1/metrics"]
        return {m.name: m for one in found for r in one.resource_metrics for s in r.scope_metrics for m in s.metrics}

    def service(self) -> str:
        (one, *_) = [ExportTraceServiceRequest.FromString(raw) for path, raw in self.raw if path == "/v1/traces"]
        return str(attributes(one.resource_spans[0].resource)["service.name"])


def attributes(of: Any) -> dict[str, Any]:  # noqa: ANN401
    def plain(value: Any) -> Any:  # noqa: ANN401
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {one.key: plain(one.value) for one in of.attributes}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    found = Receiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{found.server.server_port}")
    yield found
    found.server.shutdown()
    found.server.server_close()


def app_of(model: gemel.Model) -> Asked:
    return Asked({"tiny": gemel_web.ServedModel(model)}, observer=Observer(telemetry_of()))


def test_a_request_is_a_span_of_its_clients_trace(model: gemel.Model, receiver: Receiver) -> None:
    with app_of(model) as app:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        usage = app.ask("POST", "/v1/completions", json=BODY, headers=headers).json()["usage"]
        app.good("/v1/chat/completions", model="tiny", messages=[{"role": "user", "content": PLANTED}], max_tokens=2)
        app.good("/v1/embeddings", model="tiny", input=PLANTED)
    spans = {span.name: span for span in receiver.spans()}
    assert set(spans) == {"text_completion tiny", "chat tiny", "embeddings tiny"}
    span = spans["text_completion tiny"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    found = attributes(span)
    assert found.pop("gen_ai.usage.cache_read.input_tokens") == usage["prompt_tokens_details"]["cached_tokens"]
    assert found["gen_ai.request.temperature"] == 0.5
    expected = {
        "gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "gemel", "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny", "gen_ai.request.seed": 7, "gen_ai.request.max_tokens": 5,
        "gen_ai.request.top_k": 9, "gen_ai.request.choice.count": 2,
        "gen_ai.usage.input_tokens": usage["prompt_tokens"], "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.response.finish_reasons": ["length", "length"],
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert receiver.service() == "gemel"
    assert PLANTED.encode() not in b"".join(raw for _, raw in receiver.raw)


def test_metrics_have_the_conventions_names_and_units(model: gemel.Model, receiver: Receiver) -> None:
    with app_of(model) as app:
        usage = app.good("/v1/completions", **BODY)["usage"]
    metrics = receiver.metrics()
    assert {name: metric.unit for name, metric in metrics.items() if name.startswith("gen_ai.")} == {
        "gen_ai.server.request.duration": "s", "gen_ai.server.time_to_first_token": "s",
        "gen_ai.server.time_per_output_token": "s", "gen_ai.client.token.usage": "{token}",
    }  # fmt: skip
    points = metrics["gen_ai.client.token.usage"].histogram.data_points
    sums = {attributes(one)["gen_ai.token.type"]: one.sum for one in points}
    assert sums == {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}


def test_texts_are_sent_if_asked_for(
    model: gemel.Model, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    with app_of(model) as app:
        app.good("/v1/completions", **BODY)
    (span,) = receiver.spans()
    assert PLANTED in attributes(span)["gen_ai.input.messages"]
    assert '"role": "assistant"' in attributes(span)["gen_ai.output.messages"]


def test_nothing_is_sent_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert telemetry_of() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert telemetry_of() is None


def test_missing_packages_are_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "gemel_web.observe.telemetry", None)
    with pytest.raises(gemel.GemelError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set.*gemel\[otel\]"):
        telemetry_of()
