"""How many threads and which instruction set: arguments, then GEMEL_THREADS and GEMEL_ISA, then what the CPU has.

An invalid value is an error that lists the valid ones.
"""

from __future__ import annotations

import os
import sys

from .checks import not_whole, wrong_type
from .errors import ArgumentError, ThreadError
from .library import Library
from .scalars import whole

MAX_THREADS = 256


def isa_support(library: Library) -> dict[str, bool]:
    """Return a library's instruction sets, best last, and whether this CPU has each."""
    return {
        library.call("gemel_isa_name", isa): bool(library.call("gemel_isa_usable", isa))
        for isa in range(library.call("gemel_isa_count"))
    }


def pick_isa(library: Library, name: str | None) -> int | None:
    """Return the number of an instruction set or of GEMEL_ISA's; None: the core picks the best."""
    asked = "isa" if name is not None else "GEMEL_ISA"
    name = name if name is not None else os.environ.get("GEMEL_ISA") or None
    if name is None:
        return None
    if not isinstance(name, str):
        raise wrong_type(asked, name, "the name of an instruction set (gemel.isas() lists them), or None")
    support = isa_support(library)
    available = ", ".join(one for one, usable in support.items() if usable)
    if name not in support:
        raise ArgumentError(f"{asked}={name!r}: unknown instruction set; available here: {available}")
    if not support[name]:
        raise ArgumentError(f"{asked}={name!r}: this CPU does not support it; available here: {available}")
    return list(support).index(name)


def asked_threads(threads: int | None) -> int | None:
    """Return the thread count of an argument or of GEMEL_THREADS, checked; None when neither is set."""
    return pick_threads(threads) if threads is not None or os.environ.get("GEMEL_THREADS") else None


def pick_threads(threads: int | None, library: Library | None = None) -> int:
    """Return a checked thread count: the argument, else GEMEL_THREADS, else the library's default."""
    name, named = "threads", os.environ.get("GEMEL_THREADS")
    count = whole(threads)
    if threads is None and named:
        name, count = "GEMEL_THREADS", int(named) if named.isascii() and named.isdigit() else 0
        if not 1 <= count <= MAX_THREADS:
            raise ArgumentError(f"{name}={named!r}: must be an integer from 1 to {MAX_THREADS}")
    elif threads is None:
        return default_threads() if library is None else library.default_threads
    if count is None or not 1 <= count <= MAX_THREADS:
        raise not_whole(name, threads, f"an integer from 1 to {MAX_THREADS}")
    if library is not None and library.engine == "side module" and count > 1:
        raise ThreadError(f"{name}={count}: only one thread is available ({library.why}); omit threads=")
    return count


def default_threads() -> int:
    """Return how many threads compute by default: the fewest of thread_limits().

    That is the fast physical cores that this process may use, within its affinity and a container's quota.
    """
    if sys.platform == "emscripten":
        return 1
    from .cores import thread_limits  # a tab has no use for it

    return min(thread_limits()[0].threads, MAX_THREADS)
