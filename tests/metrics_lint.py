"""What Prometheus' own linter looks for in a page of metrics, without its ban of colons, which vLLM's names have."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from math import inf

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

NOT_BASE = re.compile(
    r"_(milli|micro|nano)?(hours?|minutes?|days?|weeks?|milliseconds?|microseconds?|nanoseconds?|ms|us|ns|secs?"
    r"|kilobytes?|megabytes?|gigabytes?|kb|mb|gb|bits?|percent(age)?)(_|$)"
)
RESERVED = ("_total", "_sum", "_count", "_bucket", "_info")


def families(text: str) -> dict[str, Metric]:
    """Return the metrics of a page by name; names are unique."""
    found = list(text_string_to_metric_families(text))
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


def lint(text: str) -> list[str]:
    """Return what is wrong with a page of metrics."""
    wrong: list[str] = []
    helps, types = (re.findall(rf"^# {word} (\S+)", text, re.MULTILINE) for word in ("HELP", "TYPE"))
    if helps != types:
        wrong.append("HELP and TYPE differ")
    if not text.endswith("\n"):
        wrong.append("no newline at the end")
    for metric in families(text).values():
        wrong += [f"{metric.name}: {why}" for why in _of_metric(metric)]
        if metric.type == "counter" and f"{metric.name}_total" not in types:
            wrong.append(f"{metric.name}: a counter without _total")
    return wrong


def _of_metric(metric: Metric) -> list[str]:
    name, wrong = metric.name, []
    if not metric.documentation.endswith("."):
        wrong.append("its help is no sentence")
    if not re.fullmatch(r"[a-z][a-z0-9_:]*", name):
        wrong.append("its name has other characters than a-z, 0-9, _ and :")
    if NOT_BASE.search(name):
        wrong.append("its unit is not a base unit")
    if name.endswith(RESERVED) or re.search(r"_(gauge|counter|histogram|summary)(_|$)", name):
        wrong.append("its name has a reserved word")
    if metric.type == "unknown":
        wrong.append("its type is unknown")
    labels = [tuple(sorted(one.labels.items())) for one in metric.samples]
    if len(set(zip(labels, (one.name for one in metric.samples), strict=True))) < len(labels):
        wrong.append("two samples have the same labels")
    if metric.type == "counter" and any(one.value < 0 for one in metric.samples):
        wrong.append("a counter is below 0")
    return wrong + (_of_histogram(metric) if metric.type == "histogram" else [])


def _of_histogram(metric: Metric) -> list[str]:
    wrong = []
    rows: dict[tuple[tuple[str, str], ...], dict[str, object]] = defaultdict(lambda: {"buckets": []})
    for one in metric.samples:
        key = tuple(sorted((name, value) for name, value in one.labels.items() if name != "le"))
        if one.name.endswith("_bucket"):
            rows[key]["buckets"].append((float(one.labels["le"]), one.value))   # type: ignore[attr-defined]
        else:
            rows[key][one.name.removeprefix(metric.name)] = one.value
    for row in rows.values():
        buckets: list[tuple[float, float]] = row["buckets"]   # type: ignore[assignment]
        if not buckets or buckets[-1][0] != inf or buckets[-1][1] != row.get("_count") or "_sum" not in row:
            wrong.append("+Inf is missing, or is not the count, or there is no sum")
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(buckets)):
            wrong.append("its buckets do not grow")
    return wrong
