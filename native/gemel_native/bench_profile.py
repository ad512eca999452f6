"""`gemel bench --profile` and `--trace`: a session's events as a table of operations, and in Chrome's trace format."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemel
from gemel.profiling import OPERATIONS, Event, Profile

from .case import Case
from .output import console, counted, say, table

REST = "the rest"   # of the caller's time: Python, and waking the threads


@dataclass(frozen=True)
class Profiled:
    """One run of a case, with its events."""

    case: Case
    seconds: float
    events: Sequence[Event]
    lost: int

    def rows(self) -> list[dict[str, Any]]:
        """Return seconds per operation and place: the caller's, which add up to the run's, and those of all threads."""
        caller: dict[tuple[str, bool], float] = defaultdict(float)
        all_: dict[tuple[str, bool], float] = defaultdict(float)
        calls: dict[tuple[str, bool], int] = defaultdict(int)
        for event in self.events:
            if event.operation == "pass":
                continue
            key, seconds = (event.operation, event.layer is not None), event.end - event.start
            all_[key] += seconds
            calls[key] += event.thread == 0
            caller[key] += seconds * (event.thread == 0)
        order = list(OPERATIONS.values())
        keys = sorted(all_, key=lambda key: (key[0] == "wait", order.index(key[0]), not key[1]))
        rows = [
            {"operation": name, "in_layers": inside, "calls": calls[name, inside],
             "caller_s": caller[name, inside], "threads_s": all_[name, inside]}
            for name, inside in keys
        ]   # fmt: skip
        rest = max(0.0, self.seconds - sum(caller.values()))
        return [*rows, {"operation": REST, "in_layers": False, "calls": 0, "caller_s": rest, "threads_s": rest}]

    def as_json(self) -> dict[str, Any]:
        """Return the profile for `--json`."""
        return {**vars(self.case), "seconds": self.seconds, "events": len(self.events), "lost": self.lost,
                "operations": self.rows()}   # fmt: skip


def show(profile: Profiled, n_layer: int) -> None:
    """Print one case's table."""
    case, out = profile.case, console()
    title = f"{case.test} {case.n} at depth {case.depth}, {counted(case.threads, 'thread')}, {case.isa}"
    rows = table(
        "operation", "where", "calls", "caller ms", "%", "all threads ms",
        numbers=("calls", "caller ms", "%", "all threads ms"),
    )   # fmt: skip
    for row in profile.rows():
        where = f"{n_layer} layers" if row["in_layers"] else "" if row["operation"] == REST else "once"
        numbers = (f"{1e3 * row['caller_s']:.2f}", f"{100 * row['caller_s'] / profile.seconds:.1f}")
        rows.add_row(row["operation"], where, str(row["calls"] or ""), *numbers, f"{1e3 * row['threads_s']:.2f}")
    rows.add_row("all", "", "", f"{1e3 * profile.seconds:.2f}", "100.0", "")
    out.print()
    out.print(title)
    out.print(rows)


def say_lost(profiles: Iterable[Profiled]) -> None:
    """Print a note on stderr for each profile that is incomplete."""
    for profile in profiles:
        if profile.lost:
            case, kept = profile.case, len(profile.events)
            say(
                f"note: the profile of {case.test} {case.n} with {counted(case.threads, 'thread')} has only its first "
                f"{counted(kept, 'event')}; {profile.lost} more did not fit: profile fewer tokens"
            )


def write_trace(path: Path, profiles: Sequence[Profiled]) -> None:
    """Write all events as complete events of Chrome's trace format: one process per case, one track per thread."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit": "ms", "traceEvents": [')
        first = True
        for number, profile in enumerate(profiles, 1):
            for event in _trace(number, profile):
                file.write(("\n" if first else ",\n") + json.dumps(event))
                first = False
        file.write("\n]}\n")


def _trace(number: int, profile: Profiled) -> Iterable[dict[str, Any]]:
    case = profile.case
    name = f"{case.test} {case.n}, depth {case.depth}, {counted(case.threads, 'thread')}, {case.isa}"
    name += f" (the first {len(profile.events)} events)" if profile.lost else ""
    yield {"ph": "M", "pid": number, "tid": 0, "name": "process_name", "args": {"name": name}}
    for thread in sorted({event.thread for event in profile.events}):
        title = "caller" if thread == 0 else f"thread {thread}"
        yield {"ph": "M", "pid": number, "tid": thread, "name": "thread_name", "args": {"name": title}}
    for event in sorted(profile.events, key=lambda event: (event.start, -event.end)):
        args = {"tokens": event.tokens} | ({} if event.layer is None else {"layer": event.layer})
        yield {
            "ph": "X", "pid": number, "tid": event.thread, "name": event.operation, "cat": case.test,
            "ts": round(1e6 * event.start, 3), "dur": round(1e6 * (event.end - event.start), 3), "args": args,
        }   # fmt: skip


def profiled(case: Case, session: gemel.Session, run: Callable[[], object], capacity: int) -> Profiled:
    """Run a case once, recording events."""
    with Profile(session, capacity) as profile:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
    return Profiled(case, seconds, list(profile), profile.lost)
