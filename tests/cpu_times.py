"""Turn a run of tests into a table of CPU seconds, by file and by test: `pytest --cpu-times=20 FILE`.

The time of processes that a test starts counts, those that still run included. Fixtures count for the test that
makes or removes them, and what is imported while tests are collected for none.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest


class CpuTimes:
    """Counts the CPU seconds of each test; it prints the files, and the slowest tests."""

    def __init__(self, n_tests: int) -> None:
        self.n_tests = n_tests
        self.by_test: dict[str, float] = {}
        self.collected = 0.0

    def pytest_collection_finish(self) -> None:
        self.collected = used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        start = used()
        result = yield
        self.by_test[item.nodeid] = used() - start
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files: dict[str, float] = collections.defaultdict(float)
        for name, seconds in self.by_test.items():
            files[name.partition("::")[0]] += seconds
        terminalreporter.section("CPU seconds by file")
        for name, seconds in [*most(files), ("imports and collection", self.collected)]:
            terminalreporter.write_line(f"{seconds:8.2f}  {name}")
        terminalreporter.write_line(f"{sum(files.values()) + self.collected:8.2f}  together")
        if self.n_tests:
            terminalreporter.section(f"CPU seconds of the {self.n_tests} slowest tests")
            for name, seconds in most(self.by_test)[: self.n_tests]:
                terminalreporter.write_line(f"{seconds:8.2f}  {name}")


def most(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])


def used() -> float:
    """Return the CPU seconds of this process, of those that it waited for, and of its living descendants."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system + _of_living(Path("/proc/self"))


def _of_living(process: Path) -> float:
    """Return the CPU seconds of the processes below one, with what these waited for."""
    ticks, children = 0, []
    for listed in process.glob("task/*/children"):
        children += _read(listed).split()
    seconds = 0.0
    for child in children:
        fields = _read(Path("/proc") / child / "stat").rpartition(") ")[2].split()
        ticks += sum(int(field) for field in fields[11:15])   # utime stime cutime cstime
        seconds += _of_living(Path("/proc") / child)
    return seconds + ticks / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:   # it has ended
        return ""
