"""The grammars of answers with tools that a model's calls needed last, as text: the next request with the same tools
writes none.

A model owns one. It is bounded by a count and by characters; what was used longest ago leaves first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from .grammar import Form

COUNT = 64
SIZE = 4 << 20   # characters; what is larger stays until another one comes
Forms = tuple[Form, Form | None]   # of a whole answer, and of what follows its reasoning


class ToolGrammars:
    """Forms by what they were made of. Any thread may use it."""

    def __init__(self, *, count: int = COUNT, size: int = SIZE) -> None:
        self._count, self._most = count, size
        self._held: OrderedDict[Hashable, tuple[Forms, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def of(self, made_of: tuple[Hashable, ...], text: str, make: Callable[[], Forms]) -> Forms:
        """Return what was made of the same before, or make() it. text: the part of what it is made of that is long."""
        key = (text, made_of)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        forms = make()
        size = len(text) + sum(form.size for form in forms if form is not None)
        with self._lock:
            if key not in self._held:   # else by another thread, meanwhile
                self._held[key] = forms, size
                self._size += size
            while len(self._held) > self._count or (self._size > self._most and len(self._held) > 1):
                _, (_, left) = self._held.popitem(last=False)
                self._size -= left
        return forms

    def after_fork(self) -> None:
        """Replace the lock: a thread that does not exist in the child may hold it."""
        self._lock = threading.Lock()
