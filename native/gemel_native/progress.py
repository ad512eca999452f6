"""Bars on stderr for what takes over a second, where stderr is a terminal. Knows nothing of what is measured."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY = 1.0    # seconds before a bar shows
PERIOD = 0.1   # seconds between two looks at something that is watched
IN_BYTES = ("download", "load")


class Bar:
    """A gemel on_progress(stage, done, total). A context manager, which removes the bar in the end."""

    def __init__(self) -> None:
        self._stage = ""
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; total 0: not known."""
        if not sys.stderr.isatty():
            return
        if stage != self._stage:
            self.close()
            self._stage, self._start = stage, time.monotonic()
        if self._progress is None and time.monotonic() - self._start >= DELAY:
            self._progress = _shown(stage)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total or None)

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
    """Show (done, total) of something that computes in this thread and reports nothing: another one looks."""
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
