"""Which request begins next: by priority, then the key that was served least, then in order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Asking(Protocol):
    """What the queue needs of a request."""

    key: str        # whose it is
    priority: int   # lower ones first
    work: float     # ids that it may evaluate, estimated


R = TypeVar("R", bound=Asking)


class Waiting(Generic[R]):
    """The requests that wait. Each key's work is summed up: who has had less goes first.

    A key that comes back after a pause has no credit for it: it is as if it had had as much as the least served one.
    """

    def __init__(self) -> None:
        self._requests: list[R] = []   # in order of arrival; those put back are in front
        self._served: dict[str, float] = {}
        self._floor = 0.0              # what the key that was served last had before

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._requests))

    def add(self, request: R) -> None:
        """Add one at the end."""
        self._note_key(request.key)
        self._requests.append(request)

    def put_back(self, request: R) -> None:
        """Add one that had begun, before all that have not; its work is no longer counted."""
        self._served[request.key] = self._served.get(request.key, self._floor) - request.work
        self._requests.insert(0, request)

    def remove(self, request: R) -> bool:
        """Take one out; False: it is not here."""
        if request not in self._requests:
            return False
        self._requests.remove(request)
        return True

    def first(self, may_begin: Callable[[R], bool] = lambda request: True) -> R | None:
        """Return the next one that may begin; it stays here."""
        ready = filter(may_begin, self._requests)
        return min(ready, key=lambda one: (one.priority, self._served[one.key]), default=None)

    def take(self, may_begin: Callable[[R], bool] = lambda request: True) -> R:
        """Take the next one that may begin out, and count its work."""
        chosen = self.take_any(may_begin)
        assert chosen is not None
        return chosen

    def take_any(self, may_begin: Callable[[R], bool]) -> R | None:
        """As take; None where none may begin."""
        chosen = self.first(may_begin)
        if chosen is not None:
            self._requests.remove(chosen)
            self._floor = max(self._floor, self._served[chosen.key])
            self._served[chosen.key] += chosen.work
        return chosen

    def correct(self, request: R, work: float) -> None:
        """Count what a request that ended has really evaluated, and forget keys that owe nothing."""
        self._note_key(request.key)
        self._served[request.key] += work - request.work
        here = {one.key for one in self._requests}
        self._served = {key: had for key, had in self._served.items() if key in here or had > self._floor}

    def _note_key(self, key: str) -> None:
        self._served[key] = max(self._served.get(key, 0.0), self._floor)
