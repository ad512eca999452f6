"""A file's header becomes the memory that its model and a session need, before any weights are read."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from ..core import abi
from ..core.cgroup import folders
from ..core.checks import not_whole, wrong_type
from ..core.errors import OutOfMemoryError
from ..core.library import ERROR_SIZE, Library, check
from ..core.public import public
from ..core.scalars import whole
from .kv import KvType, kv_number, kv_type_of


@public
@dataclass(frozen=True)
class Plan:
    """Bytes that a model and one session of it take. Made by gemel.plan().

    Attributes:
        name: of the model
        n_ctx: positions of the session
        kv_type: of its KV cache
        weights: bytes, in the layout that kernels use
        header: bytes of metadata and vocabulary; its tables are estimated
        workspace: bytes of passes: one for all sessions
        session: bytes of ids and logits
        cache: bytes of keys and values of n_ctx positions
    """

    name: str
    n_ctx: int
    kv_type: KvType
    weights: int
    header: int
    workspace: int
    session: int
    cache: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.header + self.workspace + self.session + self.cache

    def n_ctx_within(self, memory: int) -> int:
        """Return the longest context up to n_ctx that fits into `memory` bytes; 0: not even the weights fit."""
        left, pages = check_memory(memory) - (self.total - self.cache), -(-self.n_ctx // 64)
        id_size = 4   # of each position, in the session
        n = (left + id_size * self.n_ctx) * pages // (self.cache + id_size * 64 * pages)   # pages that fit
        return max(0, min(self.n_ctx, n * 64))

    def check(self, memory: int) -> None:
        """Raise OutOfMemoryError, with both numbers and what would fit, when `memory` bytes are not enough."""
        if self.total <= check_memory(memory):
            return
        fits = self.n_ctx_within(memory)
        advice = f"n_ctx={fits} would fit" if fits else "no context would fit: use a smaller model or quantisation"
        raise OutOfMemoryError(
            f"{self.name} with n_ctx={self.n_ctx} needs {_mb(self.total)} ({_mb(self.weights)} of weights, "
            f"{_mb(self.cache)} of {self.kv_type} cache), but only {_mb(memory)} are available: {advice}"
        )


def check_memory(memory: object) -> int:
    """Return a number of bytes."""
    size = whole(memory)
    if size is None or size < 0:
        raise not_whole("memory", memory, "an integer of at least 0, in bytes")
    return size


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def plan_of(
    library: Library, loader: int, name: str, *, n_ctx: int, threads: int = 1, kv_type: KvType | None = None
) -> Plan:
    """Ask the core, whose loader has read every header and has not begun to load."""
    size = whole(n_ctx)
    if size is None:
        raise wrong_type("n_ctx", n_ctx, "an integer")
    number = kv_number(kv_type)
    check(library, library.call("gemel_loader_set", loader, abi.LOADER_N_THREADS, threads), f"threads={threads}")
    out, error = library.alloc(8 * abi.PLAN_SIZE), library.alloc(ERROR_SIZE)
    code = library.call("gemel_loader_plan", loader, size, number, out, error, error.size)
    used = kv_type_of(check(library, code, name, error))
    sizes = array("d", library.read(out.address, out.size))
    return Plan(name, size, used, *(int(sizes[i]) for i in range(abi.PLAN_TOTAL)))


TAB_CACHE = 256 << 20    # bytes: a tab's memory never shrinks
UNKNOWN_CACHE = 1 << 30  # where nothing says how much memory is free


def default_cache() -> int:
    """Return the bytes that a batch's caches may take by default: a quarter of what is available."""
    if sys.platform == "emscripten":
        return TAB_CACHE
    free = available_memory()
    return UNKNOWN_CACHE if free is None else free // 4


_CGROUP = (   # limit and use, of the second and the first version
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available_memory() -> int | None:
    """Return the bytes that this process may still use: memory and swap, within its control groups' limits.

    None where it is unknown (only Linux says).
    """
    if sys.platform not in ("linux", "android"):
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("MemAvailable:", "SwapFree:")))
    limits = [free] if free else []
    for group, names in product(folders("memory"), _CGROUP):
        numbers = [_number_in(group / name) for name in names]
        if numbers[0] is not None and numbers[1] is not None and numbers[0] < 1 << 60:
            limits.append(max(0, numbers[0] - numbers[1]))
    return min(limits, default=None)


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
