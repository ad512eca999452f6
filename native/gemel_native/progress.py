"""Progress on stderr: bars on a terminal, for what takes over a second, or lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from .output import say

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY = 1.0    # seconds before a bar shows
PERIOD = 0.1   # seconds between two updates of a watched value
IN_BYTES = ("download", "load")


class Bar:
    """A gemel on_progress(stage, done, total). A context manager, which removes the bar at the end.

    log: if stderr is not a terminal, write a line for each tenth of a download; without it, nothing is shown there.
    """

    def __init__(self, *, log: bool = False) -> None:
        self._log = log
        self._tenth = -1   # of the download, in the last line
        self._stage = ""
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; total 0: unknown."""
        if not sys.stderr.isatty():
            if self._log:
                self._write_line(stage, done, total)
            return
        if stage != self._stage:
            self.close()
            self._stage, self._start = stage, time.monotonic()
        if self._progress is None and time.monotonic() - self._start >= DELAY:
            self._progress = _shown(stage)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total or None)

    def _write_line(self, stage: str, done: int, total: int) -> None:
        if stage == "download" and total and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(f"downloading: {self._tenth * 10} % of {total / 1e6:.0f} MB")

    def close(self) -> None:
        """Remove the bar."""
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.stop()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def watching(stage: str, look: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show the (done, total) that `look` returns, from another thread, while this one computes."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        with Bar() as bar:
            while not ended.wait(PERIOD):
                bar(stage, *look())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _shown(stage: str) -> Progress:
    from rich import progress
    from rich.console import Console

    columns: list[progress.ProgressColumn] = [progress.TextColumn("{task.description}"), progress.BarColumn()]
    if stage in IN_BYTES:
        columns += [progress.DownloadColumn(), progress.TransferSpeedColumn()]
    else:
        columns.append(progress.MofNCompleteColumn())
    shown = progress.Progress(*columns, progress.TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    shown.add_task(stage)
    shown.start()
    return shown
