"""`gemel serve` or `gemel demo` as a process on a free port, found by the same packages as the tests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

from command import environment

# The command line, with a page of the test's own.
PROGRAM = """
import contextlib, os, pathlib
from gemel_native import cli
with contextlib.suppress(ImportError):   # a test hides packages
    from gemel_native.serving import page
    page.STATIC = pathlib.Path(os.environ.get("GEMEL_TEST_STATIC", page.STATIC))
cli.main()
"""
COMMAND = [sys.executable, "-c", PROGRAM]


class Server:
    """A server that runs. A context manager."""

    def __init__(self, file: Path, *options: object, command: str = "serve", port: str = "0", **env: str) -> None:
        arguments = [str(file), "--alias", "model", "--threads", "1", *map(str, options)]
        if port:
            arguments += ["--port", port]
        self.process = subprocess.Popen(
            [*COMMAND, command, *arguments], stderr=subprocess.PIPE, text=True, env=environment(**env)
        )
        self.said: list[str] = []
        while not (found := re.search(r"https?://\S+", self._line())):
            pass
        self.url = found[0]
        self.port = int(found[0].removesuffix("/v1").rpartition(":")[2])

    def _line(self) -> str:
        line = self.stderr.readline()
        if not line:
            self.process.wait()
            self.stderr.close()
            raise AssertionError(f"the server ended: {self.said}")
        self.said.append(line)
        return line

    @property
    def stderr(self) -> IO[str]:
        assert self.process.stderr is not None
        return self.process.stderr

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, sent: bytes) -> bytes:
        """Return all that comes back for bytes, until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(sent)
            return received(connection)

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does, and return its exit code."""
        if self.stderr.closed:
            return int(self.process.returncode)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        try:
            self.said += self.process.communicate(timeout=30)[1].splitlines(keepends=True)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.stderr.close()
        return self.process.returncode

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def received(connection: socket.socket) -> bytes:
    """Return everything until the other end closes."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
