"""How many threads, and which kernels: arguments, then GEMEL_THREADS and GEMEL_ISA, then what the machine offers.

Asks the system, never the core's model. A value that can't be used is an error that lists the ones that can.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ._errors import ArgumentError, ThreadError
from ._library import Library, load

MAX_THREADS = 256


def isas() -> dict[str, bool]:
    """Return the kernel rows of this build, best last, and whether this CPU can run them.

    >>> import gemel
    >>> gemel.isas()["scalar"]
    True
    """
    return isa_rows(load())


def isa_rows(library: Library) -> dict[str, bool]:
    """As isas(), of one library."""
    return {
        library.call("gemel_isa_name", isa): bool(library.call("gemel_isa_usable", isa))
        for isa in range(library.call("gemel_isa_count"))
    }


def pick_isa(library: Library, name: str | None) -> int | None:
    """Return the row of a name or of GEMEL_ISA; None: the core picks the best. ArgumentError when it can't be used."""
    asked = "isa" if name is not None else "GEMEL_ISA"
    name = name if name is not None else os.environ.get("GEMEL_ISA") or None
    if name is None:
        return None
    rows = isa_rows(library)
    usable = ", ".join(row for row, can in rows.items() if can)
    if name not in rows:
        raise ArgumentError(f"{asked}={name!r}: there is no such row of kernels; usable here: {usable}")
    if not rows[name]:
        raise ArgumentError(f"{asked}={name!r}: this CPU can't run it; usable here: {usable}")
    return list(rows).index(name)


def pick_threads(threads: int | None, library: Library | None = None) -> int:
    """Return a checked thread count: the argument, else GEMEL_THREADS, else the library's default."""
    asked: object = threads
    name = "threads"
    if threads is None and os.environ.get("GEMEL_THREADS"):
        name, asked = "GEMEL_THREADS", os.environ["GEMEL_THREADS"]
    if asked is None:
        return default_threads() if library is None else library.default_threads
    text = str(asked)
    if isinstance(asked, bool) or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_THREADS:
        raise ArgumentError(f"{name}={asked!r}: a number of threads is an integer from 1 to {MAX_THREADS}")
    if library is not None and library.engine == "side module" and int(text) > 1:
        raise ThreadError(f"{name}={asked}: there is one thread here: {library.why}; leave threads out to take it")
    return int(text)


def default_threads() -> int:
    """Return the physical cores that this process may use: affinity, hyper-threads and a container's quota counted."""
    if sys.platform == "emscripten":
        return 1
    if hasattr(os, "sched_getaffinity"):
        cpus = os.sched_getaffinity(0)
        count = len({_core_of(cpu) for cpu in cpus})
    else:
        count = os.cpu_count() or 1
    return max(1, min(count, _quota(), MAX_THREADS))


def _core_of(cpu: int) -> str:
    """Return what the logical CPUs of one core share; without that file, the CPU itself."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Return the whole CPUs of the control group's quota (cgroup v2 cpu.max: "max 100000" or "150000 100000")."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return MAX_THREADS if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return MAX_THREADS
