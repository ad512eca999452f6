"""One pool of threads per library, which all its models share: one pass runs at a time.

The pool has as many threads as the model that asked for the most, and closes with its last user.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from .library import Handle, Library, check, pointer_at


class Pool(Handle):
    """A gemel_threads. Freed when its last user leaves."""

    def __init__(self, library: Library, n: int) -> None:
        out = library.alloc(8)
        check(library, library.call("gemel_threads_open", n, out), f"threads={n}")
        super().__init__(library, pointer_at(library, out), "gemel_threads_close")

    def join(self) -> bool:
        """Become a user, unless it is closed."""
        with self._lock:
            self._users += 1   # before anything else: a finalizer that runs here may be the last other user's
            if not self._closed:
                return True
            self._users -= 1
            return False

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._closed = self._users == 1
            super().__exit__(*exc)

    @property
    def address(self) -> int:
        """The core's pool. Only a user may ask."""
        return self._address

    @property
    def count(self) -> int:
        """How many threads it has. Only a user may ask."""
        return check(self._library, self._library.call("gemel_threads_count", self._address), "the threads")

    def grow(self, n: int) -> None:
        """Have at least n threads. Waits for a running pass. Only a user may ask."""
        if self.count < n:
            check(self._library, self._library.call("gemel_threads_resize", self._address, n), f"threads={n}")

    def after_fork(self) -> None:
        """Start its workers again."""
        super().after_fork()
        if not self._closed:
            self._library.call("gemel_threads_after_fork", self._address)


_pools: weakref.WeakKeyDictionary[Library, weakref.ref[Pool]] = weakref.WeakKeyDictionary()   # users keep a pool alive
_lock = threading.Lock()   # held while a pool is opened or grows


def _joined(library: Library) -> Pool | None:
    found = _pools.get(library)
    pool = found() if found else None
    return pool if pool is not None and pool.join() else None


@contextmanager
def at_least(library: Library, n: int) -> Iterator[Pool]:
    """Use the library's pool, grown to n threads where it has fewer; ThreadError where the system refuses them."""
    with _lock:
        pool = _joined(library)
        if pool is None:
            pool = Pool(library, n)
            pool.join()
            _pools[library] = weakref.ref(pool)
    try:
        with _lock:
            pool.grow(n)
        yield pool
    finally:
        pool.__exit__()


def count(library: Library) -> int:
    """Return how many threads the library's pool has; without a pool 1, the caller's own."""
    pool = _joined(library)
    if pool is None:
        return 1
    try:
        return pool.count
    finally:
        pool.__exit__()


def after_fork() -> None:
    """Mend the pools in a forked child, which has none of the parent's threads."""
    global _lock
    _lock = threading.Lock()
    for found in list(_pools.values()):
        pool = found()
        if pool is not None:
            pool.after_fork()
