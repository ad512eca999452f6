"""The machine: processor, memory, system. Facts in plain types; None if the system does not say."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gemel


def machine() -> dict[str, Any]:
    """Return the facts that every measurement must name."""
    return {
        "cpu": cpu_name(),
        "arch": platform.machine(),
        "cores": gemel.default_threads(),   # physical, that this process may use
        "logical_cpus": os.cpu_count(),
        "memory_mb": memory_mb(),
        "large_pages": large_pages(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """Return the processor's name as its vendor writes it, or the architecture."""
    if sys.platform == "darwin":
        return _said_by("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def memory_mb() -> int | None:
    """Return the machine's memory in MB (10**6 bytes)."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6
    except (AttributeError, ValueError, OSError):
        return None


THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def large_pages(setting: Path = THP) -> str | None:
    """Return what Linux does with requests for large pages: "always", "madvise" (both grant them) or "never"."""
    try:
        chosen = re.search(r"\[(\w+)\]", setting.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return chosen[1] if chosen else None


def peak_rss_mb() -> float | None:
    """Return the peak memory of this process, in MB."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def _said_by(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
