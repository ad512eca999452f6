"""The metrics in Prometheus' format. Everything is read when they are asked for; nothing is done in between."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from .histogram import Histogram
from .names import COUNTERS, GAUGES, HISTOGRAMS, LABELLED, MODELS, PASSES, REQUESTS
from .state import State

MODEL = "model_name"


def text_of(state: State, accept: str) -> tuple[bytes, str]:
    """Return all metrics, with those of the process, and their media type, in the format that a client takes."""
    registry = CollectorRegistry()
    registry.register(Metrics(state))
    ProcessCollector(registry=registry)
    encoder, media = choose_encoder(accept)
    return encoder(registry), media


class Metrics:
    """The metrics of one app at a moment."""

    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        """Return none: names are checked by a test."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        state = self._state
        requests = CounterMetricFamily(*REQUESTS, labels=("api", "status"))
        for labels, n in sorted(state.requests.items()):
            requests.add_metric(labels, n)
        yield requests
        yield from _of_tallies(state)
        yield from _of_engine(state)
        yield from _of_models(state)


def _of_tallies(state: State) -> Iterator[Metric]:
    for name, (words, of) in HISTOGRAMS.items():
        yield _histogram(name, words, {model: of(tally) for model, tally in state.tallies.items()})
    for name, (words, label, values) in LABELLED.items():
        labelled = CounterMetricFamily(name, words, labels=(MODEL, label))
        for model, tally in state.tallies.items():
            for value, n in sorted(values(tally).items()):
                labelled.add_metric((model, value), n)
        yield labelled


def _of_engine(state: State) -> Iterator[Metric]:
    models = state.names()
    name, words, rows = PASSES
    yield _histogram(name, words, {model: rows(state.counts(model)) for model in models})
    for name, (words, of) in COUNTERS.items():
        counter = CounterMetricFamily(name, words, labels=(MODEL,))
        for model in models:
            counter.add_metric((model,), of(state, model))
        yield counter
    for name, (words, of) in GAUGES.items():
        gauge = GaugeMetricFamily(name, words, labels=(MODEL,))
        for model in models:
            gauge.add_metric((model,), of(state, model))
        yield gauge


def _of_models(state: State) -> Iterator[Metric]:
    for name, (words, is_counter, of) in MODELS.items():
        kind = CounterMetricFamily if is_counter else GaugeMetricFamily
        metric = kind(name, words, labels=(MODEL,))
        for usage in state.usage:
            value = of(usage)
            if value is not None:
                metric.add_metric((usage.alias,), value)
        yield metric


def _histogram(name: str, words: str, found: dict[str, Histogram]) -> Metric:
    metric = HistogramMetricFamily(name, words, labels=(MODEL,))
    for model, histogram in found.items():
        metric.add_metric((model,), histogram.cumulative, histogram.sum)
    return metric
