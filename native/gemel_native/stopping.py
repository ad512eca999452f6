"""Ctrl-C stops a generation inside a step: Python would handle the signal only when the core returns."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gemel

GRACE = 0.05   # seconds in which Python may handle the signal itself


@contextmanager
def stoppable(generation: gemel.Generation) -> Iterator[None]:
    """Within it, Ctrl-C ends the step that the core evaluates, and then raises KeyboardInterrupt as always.

    Python writes the number of each signal to a socket at once; a thread reads it, and closes the generation.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)
    ended = threading.Event()

    def watch() -> None:
        while number := ours.recv(1):
            if number[0] == signal.SIGINT and not ended.wait(GRACE):
                generation.close()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        pythons.close()   # ends the thread
        thread.join()
        with contextlib.suppress(OSError):
            ours.close()
