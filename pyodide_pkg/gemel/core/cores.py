"""How many threads compute by default: each source says how many this process may use, and why; the fewest count.

Threads share a pass equally, so one on a slow core makes all others wait: n cores are as fast as n times their slowest.
On a machine with several kinds of cores, those are counted that are fastest together. What a system says is read
elsewhere (system_calls.py) or lies in files; the functions here make numbers of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from . import system_calls
from .cgroup import folders
from .public import public

SYS = Path("/sys/devices")


@public
class ThreadLimit(NamedTuple):
    """How many threads this process should use at most, as one source says. Made by gemel.thread_limits().

    Attributes:
        threads: the number, at least 1
        why: what it counts, in words
    """

    threads: int
    why: str


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "core"), counted(2, "core")
    ('1 core', '2 cores')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def fastest(speeds: Iterable[int]) -> int:
    """Return how many cores of these speeds, the fastest first, do most when all get the same work; at least 1.

    >>> fastest([1024] * 4 + [414] * 4), fastest([1024] + [871] * 3 + [381] * 4), fastest([52, 52] + [50] * 6)
    (4, 4, 8)
    """
    falling = sorted(speeds, reverse=True)
    return max(range(1, len(falling) + 1), key=lambda n: (n * falling[n - 1], n), default=1)


def _of_cores(speeds: list[int], source: str, within: str = "") -> ThreadLimit:
    """Return the limit of physical cores that have these speeds."""
    fast, what = fastest(speeds), counted(len(speeds), "physical core")
    if fast < len(speeds):
        what = f"{fast} fast ones of {what}"
    return ThreadLimit(fast, f"{what} ({source}){within}")


# ---- Linux -----------------------------------------------------------------------------------------------------------


def linux_cores(system: Path, allowed: Collection[int], cpus: int | None) -> ThreadLimit:
    """Return the fast physical cores among the allowed of so many logical CPUs. system: /sys/devices."""
    core_of = {cpu: _text(system / f"system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed}
    within = "" if cpus is None or len(allowed) >= cpus else f", within an affinity of {len(allowed)} of {cpus} CPUs"
    for source, look in SPEEDS.items():
        found = look(system, allowed)
        if found:
            of_core: dict[str, int] = {}
            for cpu, core in core_of.items():
                of_core[core] = max(found[cpu], of_core.get(core, 0))
            if len(set(of_core.values())) > 1:
                return _of_cores(list(of_core.values()), source, within)
    return _of_cores([1] * len(set(core_of.values())), "topology", within)


def _capacities(system: Path, allowed: Collection[int]) -> dict[int, int] | None:
    """Return the kernel's measure of each CPU, 1024 for the fastest (big.LITTLE)."""
    return _numbers(system, allowed, "cpu_capacity")


def _intel_kinds(system: Path, allowed: Collection[int]) -> dict[int, int] | None:
    """Return 1 for each performance core and 0 for each efficient one, as the kernel lists them for its counters."""
    fast, slow = (cpu_list(_text(system / kind / "cpus")) for kind in ("cpu_core", "cpu_atom"))
    return {cpu: int(cpu in fast) for cpu in allowed} if fast and slow else None


def _frequencies(system: Path, allowed: Collection[int]) -> dict[int, int] | None:
    """Return each CPU's highest frequency, in kHz."""
    return _numbers(system, allowed, "cpufreq/cpuinfo_max_freq")


SPEEDS: dict[str, Callable[[Path, Collection[int]], dict[int, int] | None]] = {
    "cpu_capacity": _capacities, "cpu_core": _intel_kinds, "cpuinfo_max_freq": _frequencies,
}   # fmt: skip


def _numbers(system: Path, allowed: Collection[int], name: str) -> dict[int, int] | None:
    found = {cpu: _text(system / f"system/cpu/cpu{cpu}" / name) for cpu in allowed}
    return {cpu: int(text) for cpu, text in found.items()} if all(map(str.isdigit, found.values())) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def cpu_list(text: str) -> set[int]:
    """Return the CPUs of a list of the kernel's.

    >>> sorted(cpu_list("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def linux_quota(groups: Iterable[Path]) -> ThreadLimit | None:
    """Return the whole CPUs of the smallest quota of some control groups; shares are no limit."""
    quotas = [quota for group in groups for quota in quotas_of(group)]
    if not quotas:
        return None
    return ThreadLimit(max(1, int(min(quotas))), f"a control group's quota of {counted_cpus(min(quotas))}")


def counted_cpus(quota: float) -> str:
    """Return a quota in words.

    >>> counted_cpus(1.5), counted_cpus(1)
    ('1.5 CPUs', '1 CPU')
    """
    return f"{quota:g} CPU{'' if quota == 1 else 's'}"


def quotas_of(group: Path) -> Iterator[float]:
    """Yield the CPUs of one group: of cpu.max ("150000 100000", "max 100000") and of version 1's two files."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):   # the root has no such file
            continue


# ---- macOS -----------------------------------------------------------------------------------------------------------


def macos_cores(number: Callable[[str], int | None]) -> ThreadLimit | None:
    """Return the fast physical cores. number: what sysctl says of a name; None: it does not know it."""
    cores, fast = number("hw.physicalcpu"), number("hw.perflevel0.physicalcpu")   # level 0 is the fastest
    if not cores:
        return None
    if not fast:   # Intel
        return _of_cores([1] * cores, "hw.physicalcpu")
    return _of_cores([1] * fast + [0] * (cores - fast), "hw.perflevel0.physicalcpu")


# ---- Windows ---------------------------------------------------------------------------------------------------------


class Core(NamedTuple):
    """A physical core: its efficiency class, the higher the faster, and the CPUs that it has in each group."""

    efficiency: int
    masks: Mapping[int, int]


def windows_core_records(records: bytes, pointer: int = 8) -> list[Core]:
    """Return the cores of the records of GetLogicalProcessorInformationEx(RelationProcessorCore).

    pointer: the size of one. A record, in little endian:

        0 relationship (4)   4 size of the record (4)   8 flags (1)   9 efficiency class (1)   30 groups (2)
        32 of each group: mask (pointer), group (2), reserved (6)
    """
    cores, at = [], 0
    while at + 32 <= len(records):
        relation, size = (int.from_bytes(records[at + i : at + i + 4], "little") for i in (0, 4))
        record = records[at : at + size]
        if size < 32:
            break
        if relation == 0:
            step, n = pointer + 8, int.from_bytes(record[30:32], "little")
            parts = [record[32 + i * step : 32 + (i + 1) * step] for i in range(n)]
            masks = {int.from_bytes(part[pointer : pointer + 2], "little"): part[:pointer] for part in parts}
            cores.append(Core(record[9], {group: int.from_bytes(mask, "little") for group, mask in masks.items()}))
        at += size
    return cores


def windows_cores(cores: Collection[Core], allowed: Mapping[int, int]) -> ThreadLimit | None:
    """Return the fast physical cores among those that a process may use.

    allowed: its CPUs by group, as a mask of bits; -1 has all.
    """
    mine = [core for core in cores if any(mask & allowed.get(group, 0) for group, mask in core.masks.items())]
    if not mine:
        return None
    within = "" if len(mine) == len(cores) else f", within the affinity or groups of this process, of {len(cores)}"
    best = max(core.efficiency for core in mine)
    return _of_cores([int(core.efficiency == best) for core in mine], "GetLogicalProcessorInformationEx", within)


# ---- All -------------------------------------------------------------------------------------------------------------


def _linux() -> Iterator[ThreadLimit | None]:
    yield linux_cores(SYS, os.sched_getaffinity(0), os.cpu_count())
    yield linux_quota(folders("cpu"))


def _macos() -> Iterator[ThreadLimit | None]:
    yield macos_cores(system_calls.macos_number)


def _windows() -> Iterator[ThreadLimit | None]:
    yield windows_cores(windows_core_records(system_calls.windows_records()), system_calls.windows_groups())


SOURCES: dict[str, Callable[[], Iterator[ThreadLimit | None]]] = {
    "linux": _linux, "android": _linux, "darwin": _macos, "win32": _windows,
}   # fmt: skip


def thread_limits() -> list[ThreadLimit]:
    """Return how many threads each source allows, the fewest first, which is the default of a desktop.

    >>> import gemel
    >>> gemel.thread_limits()[0].threads == gemel.default_threads()
    True
    """
    found = [limit for limit in SOURCES[sys.platform]() if limit] if sys.platform in SOURCES else []
    logical = os.cpu_count() or 1
    return sorted(found) or [ThreadLimit(logical, counted(logical, "logical CPU"))]
