"""From measurements to medians, the ratios that are gates, and tables.

A measurement is one engine on one file with one thread count in one round: a flat dict of numbers. Knows nothing of
browsers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PEERS = ("wllama 3.8.1", "wllama 2.3.1", "transformers.js 4.3.1")
NATIVE = ("llama.cpp, native", "llama.cpp, native, flash attention")


@dataclass(frozen=True)
class Case:
    """One row: an engine, a file's format and a thread count."""

    engine: str
    file: str
    threads: int

    def __str__(self) -> str:
        return f"{self.engine}, {self.file}, {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass
class Results:
    """All rounds. `names` of numbers: prefill and decode in tokens per second, times in ms, sizes in bytes."""

    same_file: str   # what the file that all engines can read as it is, is called
    rounds: dict[Case, list[dict[str, float]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, case: Case, numbers: dict[str, float]) -> None:
        """Note one round."""
        self.rounds.setdefault(case, []).append(numbers)

    def median(self, case: Case, name: str) -> float | None:
        """Return the median over the rounds, None when it was never measured."""
        found = [numbers[name] for numbers in self.rounds.get(case, []) if name in numbers]
        return median(found) if found else None

    def best(self, cases: Iterable[Case], name: str, pick: Callable[..., Any] = max) -> tuple[Case, float] | None:
        """Return the case with the best median, and that."""
        found = [(case, value) for case in cases if (value := self.median(case, name)) is not None]
        winner: tuple[Case, float] | None = pick(found, key=lambda pair: pair[1]) if found else None
        return winner

    def of(self, *engines: str, threads: int | None = None, file: str | None = None) -> list[Case]:
        """Return the measured cases of engines."""
        return [
            case for case in self.rounds
            if case.engine in engines and threads in (None, case.threads) and file in (None, case.file)
        ]   # fmt: skip


@dataclass(frozen=True)
class Gate:
    """One ratio (or number) that is judged."""

    what: str
    value: float
    limit: float
    at_most: bool = False
    against: str = ""

    @property
    def passed(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def gates(results: Results) -> list[Gate]:
    """Return the gates that these results can answer."""
    found: list[Gate] = []
    for threads in (1, 2):
        own = Case("gemel", results.same_file, threads)
        found += _speed(results, own, threads)
        found += _starts(results, own, threads)
        if (line := results.median(own, "link_ms")) is not None and threads == 2:
            found.append(Gate("first token after the model's last byte at 20 MB/s, ms", line, 300, at_most=True))
    if (size := results.facts.get("gemel_gzip_bytes")) is not None:
        found.append(Gate("gemel's own files, gzipped, kB", size / 1000, 500, at_most=True))
    return found


def _speed(results: Results, own: Case, threads: int) -> list[Gate]:
    found = []
    rows = [
        ("the best peer at any file", own, results.of(*PEERS, threads=threads), (3.0, 1.7)),
        ("wllama 3.8.1, same file", own, results.of(PEERS[0], threads=threads, file=results.same_file), (10.0, 5.0)),
        ("wllama 3.8.1, same file", Case("gemel, simd128", results.same_file, threads),
         results.of(PEERS[0], threads=threads, file=results.same_file), (2.0, 2.0)),
        ("llama.cpp natively, same file", own, results.of(*NATIVE, threads=threads), (1.0, 1.0)),
    ]   # fmt: skip
    for words, mine, others, limits in rows:
        for name, limit in zip(("prefill", "decode"), limits, strict=True):
            value, other = results.median(mine, name), results.best(others, name)
            if value is not None and other is not None:
                what = f"{mine.engine}, {name}, {threads} thread{'s' * (threads > 1)}, over {words}"
                found.append(Gate(what, value / other[1], limit, against=f"{value:.1f} / {other[1]:.1f} ({other[0]})"))
    return found


def _starts(results: Results, own: Case, threads: int) -> list[Gate]:
    """Click to first token and memory, beside the better wllama on the same file."""
    found = []
    wllama = results.of(*PEERS[:2], threads=threads, file=results.same_file)
    rows = [("click_cold", "click to first token, nothing cached", 0.5), ("click_warm", "the same, model cached", 0.5)]
    rows += [("memory", "memory of the tab", 1.0), ("peak", "its peak", 1.0)]
    for name, words, limit in rows:
        value, other = results.median(own, name), results.best(wllama, name, min)
        if value is not None and other is not None:
            what = f"{words}, {threads} thread{'s' * (threads > 1)}, over wllama's best, same file"
            against = f"{_short(name, value)} / {_short(name, other[1])} ({other[0]})"
            found.append(Gate(what, value / other[1], limit, at_most=True, against=against))
    return found


COLUMNS = {
    "prefill": "prefill tok/s", "decode": "decode tok/s", "start": "runtime s", "click_cold": "click cold s",
    "click_warm": "click warm s", "nothing": "from nothing s", "transfer": "transfer MB", "transfer_gzip": "gzipped MB",
    "memory": "tab MB", "pss": "tab PSS MB", "peak": "peak RSS MB", "ua": "UA memory MB", "tree": "browser PSS MB",
    "link_ms": "after the last byte s", "others": "others' CPU %",
}   # fmt: skip
UNITS = {"s": 1e-3, "MB": 1e-6, "tok/s": 1.0, "%": 100.0}


def _short(name: str, value: float | None) -> str:
    if value is None:
        return ""
    unit = COLUMNS[name].rsplit(" ", 1)[1]
    scaled = value * UNITS[unit]
    return f"{scaled:.2f}" if unit == "s" else f"{scaled:.1f}" if scaled < 100 else f"{scaled:.0f}"


def table(results: Results) -> str:
    """Return the medians as a Markdown table."""
    names = [name for name in COLUMNS if any(results.median(case, name) is not None for case in results.rounds)]
    lines = ["| engine | file | threads | " + " | ".join(COLUMNS[name] for name in names) + " |"]
    lines.append("|---|---|---|" + "---|" * len(names))
    for case in results.rounds:
        cells = [_short(name, results.median(case, name)) for name in names]
        lines.append(f"| {case.engine} | {case.file} | {case.threads} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def header(facts: dict[str, Any]) -> str:
    """Return what the figures were measured on and with."""
    machine = facts["machine"]
    lines = [
        f"{facts['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}; {facts['chromium']}",
        f"{facts['model']}; prefill {facts['prefill']}, decode {facts['decode']}; {facts['rounds_asked']} rounds",
        ", ".join(f"{name} {version.rpartition('@')[2]}" for name, version in facts["packages"].items()),
        f"flags: {' '.join(facts['flags'])}",
    ]
    if "wheel" in facts:
        lines.append(f"{facts['wheel']}: {facts['wheel_bytes']:,} bytes")
    if "llama.cpp" in facts:
        lines.append(f"{facts['llama.cpp']['version']}: {facts['llama.cpp']['system']}")
    return "\n".join(f"- {line}" for line in lines)


def gate_table(found: list[Gate]) -> str:
    """Return the gates as a Markdown table."""
    lines = ["| gate | is | wanted | |", "|---|---|---|---|"]
    for gate in found:
        sign = "<=" if gate.at_most else ">="
        mark = "met" if gate.passed else "**missed**"
        lines.append(f"| {gate.what} | {gate.value:.2f} | {sign} {gate.limit:g} | {mark}; {gate.against} |")
    return "\n".join(lines)


def as_json(results: Results) -> dict[str, Any]:
    """Return everything: facts, each round's numbers, medians, gates."""
    rows = [
        {"engine": case.engine, "file": case.file, "threads": case.threads, "rounds": rounds,
         "median": {name: results.median(case, name) for name in sorted({key for one in rounds for key in one})}}
        for case, rounds in results.rounds.items()
    ]   # fmt: skip
    judged = [{**vars(gate), "passed": gate.passed} for gate in gates(results)]
    return {**results.facts, "rows": rows, "gates": judged}
