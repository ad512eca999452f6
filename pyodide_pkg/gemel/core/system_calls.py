"""What macOS and Windows say about their CPUs, by calls: numbers and bytes. cores.py makes sense of them."""

from __future__ import annotations

import ctypes
from typing import Any

ALL = -1   # bits of a mask
MAX_GROUPS = 64


def macos_number(name: str) -> int | None:
    """Return a number of sysctl; None: there is none of this name."""
    value, size = ctypes.c_int64(0), ctypes.c_size_t(8)   # numbers of 4 bytes fill the lower half
    failed = ctypes.CDLL(None).sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return None if failed else value.value


def _kernel32() -> Any:  # noqa: ANN401
    return ctypes.WinDLL("kernel32")   # type: ignore[attr-defined, unused-ignore]


def windows_records() -> bytes:
    """Return the records of GetLogicalProcessorInformationEx about cores; none where it fails."""
    call, size = _kernel32().GetLogicalProcessorInformationEx, ctypes.c_uint32(0)
    call(0, None, ctypes.byref(size))   # 0: cores. It fails, and says how large the records are
    room = ctypes.create_string_buffer(size.value)
    return room.raw[: size.value] if size.value and call(0, room, ctypes.byref(size)) else b""


def windows_groups() -> dict[int, int]:
    """Return the CPUs that this process may use by processor group, as a mask of bits."""
    kernel32 = _kernel32()
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel32.GetCurrentProcess())
    n, room = ctypes.c_uint16(MAX_GROUPS), (ctypes.c_uint16 * MAX_GROUPS)()
    groups = room[: n.value] if kernel32.GetProcessGroupAffinity(process, ctypes.byref(n), room) else [0]
    mask, of_system = ctypes.c_size_t(0), ctypes.c_size_t(0)
    if len(groups) == 1 and kernel32.GetProcessAffinityMask(process, ctypes.byref(mask), ctypes.byref(of_system)):
        return {groups[0]: mask.value or ALL}
    return dict.fromkeys(groups, ALL)
