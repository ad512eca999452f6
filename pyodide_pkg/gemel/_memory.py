"""The memory that a model and a session will need, from a file's header: before a byte of weights is read."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass

from . import _abi
from ._errors import ArgumentError
from ._library import ERROR_SIZE, Library, check
from ._session import KV_TYPES, KvType


@dataclass(frozen=True)
class Plan:
    """Bytes that a model and one session will take. Made by gemel.plan()."""

    n_ctx: int
    kv_type: KvType
    weights: int     # in the layout that is computed on
    header: int      # metadata and vocabulary; its tables are estimated
    workspace: int   # of passes: one set, whatever the number of sessions
    session: int     # ids and logits
    cache: int       # keys and values of n_ctx positions

    @property
    def total(self) -> int:
        """All of it, for one session."""
        return self.weights + self.header + self.workspace + self.session + self.cache

    def n_ctx_within(self, memory: int) -> int:
        """Return the longest context that fits `memory` bytes, 0 where not even the weights do."""
        left = memory - (self.total - self.cache)
        return max(0, min(left * self.n_ctx // max(self.cache, 1), self.n_ctx))


def plan_of(library: Library, loader: int, *, n_ctx: int | None, n_ctx_train: int, kv_type: KvType | None) -> Plan:
    """Ask the core, whose loader has the whole header."""
    wanted = min(n_ctx_train, 4096) if n_ctx is None else n_ctx
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= n_ctx_train:
        raise ArgumentError(f"n_ctx={n_ctx!r}: must be an integer from 1 to {n_ctx_train}, the file's own limit")
    if kv_type is not None and kv_type not in KV_TYPES:
        raise ArgumentError(f"kv_type={kv_type!r}: must be one of {', '.join(map(repr, KV_TYPES))}, or None")
    out, error = library.alloc(8 * _abi.PLAN_SIZE), library.alloc(ERROR_SIZE)
    number = _abi.KV_DEFAULT if kv_type is None else KV_TYPES[kv_type]
    code = library.call("gemel_loader_plan", loader, wanted, number, out, error, error.size)
    used = KV_TYPES_BY_NUMBER[check(library, code, "a plan", error)]
    sizes = array("d", library.read(out.address, out.size))
    fields = (int(sizes[i]) for i in range(_abi.PLAN_TOTAL))
    return Plan(wanted, used, *fields)


KV_TYPES_BY_NUMBER: dict[int, KvType] = {number: name for name, number in KV_TYPES.items()}


def available_memory() -> int | None:
    """Return the bytes that this process may still take, or None where the system does not say.

    Linux: the least of what is available and what control groups leave.
    """
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:   # noqa: PTH123
            found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        return None
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        most, now = _number_in(limit), _number_in(used)
        if most is not None and now is not None and most < 1 << 60:
            found.append(max(0, most - now))
    return min(found, default=None)


def _number_in(path: str) -> int | None:
    if not os.path.exists(path):   # noqa: PTH110
        return None
    with open(path, encoding="ascii") as file:   # noqa: PTH123
        text = file.read().strip()
    return int(text) if text.isdigit() else None
