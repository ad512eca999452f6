"""`with` closes what has a close(): the one base of models, sessions, generations, chats, samplers and headers.

What stands for memory of the core refuses to be copied.
"""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Self


class Uncopied:
    """What can't be copied or pickled: it stands for memory of this process, which would be freed twice."""

    copy_hint = "open another one"   # what to do instead of copying

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = f"{type(self).__module__}.{type(self).__name__}"
        raise TypeError(f"a {name} can't be copied or pickled: {self.copy_hint}")


class Closing(Uncopied):
    """A context manager, for `with` and `async with`, that closes itself at the end of the block."""

    def close(self) -> None:
        """Close it. Closing again does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()
