"""Traces and metrics for OpenTelemetry, by its conventions for generative AI: a span per request, sent by OTLP.

The standard environment variables say where to and what: OTEL_EXPORTER_OTLP_ENDPOINT and the others. Spans continue the
trace of a request's `traceparent`. Prompts and answers are sent only if
OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..jobs.answer import GenerateRequest
from .tally import REASONS, Record

CHAT, TEXT, VECTORS = "chat", "text_completion", "embeddings"
OPERATIONS = {   # of each address; the others have no span
    "/v1/chat/completions": CHAT, "/v1/messages": CHAT, "/v1/responses": CHAT, "/api/chat": CHAT,
    "/v1/completions": TEXT, "/completion": TEXT, "/infill": TEXT, "/api/generate": TEXT,
    "/v1/embeddings": VECTORS, "/api/embed": VECTORS, "/api/embeddings": VECTORS,
    **dict.fromkeys(("/v1/rerank", "/v2/rerank", "/rerank", "/reranking", "/v1/reranking"), "rerank"),
}   # fmt: skip
SAMPLING = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
REQUEST = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
NEXT = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
USAGE = tuple(float(4**i) for i in range(14))
SWITCH = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Telemetry:
    """The spans and metrics of one app."""

    def __init__(self) -> None:
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": "gemel"})
        self.captures = os.environ.get(SWITCH, "").lower() == "true"
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("gemel")
        make = self._metrics.get_meter("gemel").create_histogram
        self._whole = make(
            "gen_ai.server.request.duration", "s", "Duration of a request.",
            explicit_bucket_boundaries_advisory=REQUEST)
        self._first = make(
            "gen_ai.server.time_to_first_token", "s", "Time to the first token.",
            explicit_bucket_boundaries_advisory=FIRST)
        self._next = make(
            "gen_ai.server.time_per_output_token", "s", "Time per token after the first.",
            explicit_bucket_boundaries_advisory=NEXT)
        self._usage = make(
            "gen_ai.client.token.usage", "{token}", "Tokens of prompts and answers.",
            explicit_bucket_boundaries_advisory=USAGE)

    def over(self, record: Record) -> None:
        """Send a request that is over."""
        path = "" if record.exchange is None else record.exchange.path
        operation = OPERATIONS.get(path)
        if operation is None or record.exchange is None:
            return
        common = {
            "gen_ai.operation.name": operation, "gen_ai.provider.name": "gemel", "gen_ai.request.model": record.model,
            "gen_ai.response.model": record.model,
        }  # fmt: skip
        failed = {} if record.error is None else {"error.type": type(record.error).__name__}
        self._count(record, {**common, **failed})
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{operation} {record.model}", TraceContextTextMapPropagator().extract(dict(record.exchange.headers)),
            SpanKind.SERVER, start_time=end - int((record.is_over - record.began) * 1e9),
            attributes={**common, **failed, **_asked(record.wanted), **_answered(record)},
        )  # fmt: skip
        if self.captures:
            span.set_attributes(_content(record))
        if record.error is not None:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def _count(self, record: Record, attributes: Mapping[str, str]) -> None:
        self._whole.record(record.is_over - record.began, attributes)
        self._usage.record(record.n_prompt, {**attributes, "gen_ai.token.type": "input"})
        if record.first is not None:
            self._usage.record(record.n_generated, {**attributes, "gen_ai.token.type": "output"})
            self._first.record(record.first - record.began, attributes)
            if (per_token := record.per_token) is not None:
                self._next.record(per_token, attributes)

    def close(self) -> None:
        """Send what was not sent yet. Takes a moment, so not in the event loop."""
        self._traces.shutdown()
        self._metrics.shutdown()


def _asked(wanted: GenerateRequest | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    found = {name: getattr(wanted.sampling, name) for name in SAMPLING}
    found["max_tokens"] = wanted.max_tokens
    if wanted.n != 1:
        found["choice.count"] = wanted.n
    return {f"gen_ai.request.{name}": value for name, value in found.items() if value is not None}


def _answered(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"gen_ai.usage.input_tokens": record.n_prompt}
    if record.n_drawn or record.ended:
        found["gen_ai.usage.output_tokens"] = record.n_generated
    if record.ended:
        ended = sorted(record.ended, key=lambda one: one.choice)
        found["gen_ai.response.finish_reasons"] = [REASONS[one.reason] for one in ended]
        found["gen_ai.usage.cache_read.input_tokens"] = sum(one.n_cached for one in ended)
    return found


def _content(record: Record) -> dict[str, str]:
    """Return the prompts as the model sees them, and the answers."""
    asked = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in record.prompts()]
    said = [
        {"role": "assistant", "parts": [{"type": kind, "content": text} for kind, text in parts.items()]}
        for _, parts in sorted(record.texts.items())
    ]  # fmt: skip
    return {"gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said)}
