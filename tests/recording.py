"""A library that passes everything on to a real one and notes each call: how often does Python cross to the core?"""

from __future__ import annotations

from gemel.core.library import Argument, Block, Buffer, Library, Result


class RecordingLibrary:
    """A gemel._library.Library; `calls` are the names of the core's functions, in order."""

    def __init__(self, real: Library) -> None:
        self._real = real
        self.calls: list[str] = []
        self.path, self.size_size, self.engine, self.why = real.path, real.size_size, real.engine, real.why

    @property
    def default_threads(self) -> int:
        return self._real.default_threads

    def call(self, name: str, *arguments: Argument) -> Result:
        self.calls.append(name)
        return self._real.call(name, *arguments)

    def alloc(self, size: int) -> Block:
        return self._real.alloc(size)

    def lend(self, data: Buffer) -> Block:
        return self._real.lend(data)

    def read(self, address: int, size: int) -> bytes:
        return self._real.read(address, size)
