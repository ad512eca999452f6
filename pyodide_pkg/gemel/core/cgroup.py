"""The process's control groups (Linux): what /proc/self says becomes folders, nearest first.

A limit binds a group and everything below it, so each limit along the path counts. A container may see a part of the
hierarchy only: a mount has a root, and what lies above it is not visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
MOUNTS = (   # controllers, root, mount point: where systems mount them, if mountinfo does not say
    ("", "/", "/sys/fs/cgroup"), ("cpu", "/", "/sys/fs/cgroup/cpu"), ("memory", "/", "/sys/fs/cgroup/memory"),
)
ESCAPE = re.compile(r"\\([0-7]{3})")


def folders(controller: str) -> Iterator[Path]:
    """Yield the folders of the process's groups that may have a controller's files: "cpu", "memory"."""
    groups = _groups()
    for controllers, root, mount in _mounts():
        name = controller if controller in controllers.split(",") else ""   # "": version 2 has one for all controllers
        if (name or not controllers) and name in groups:
            yield from _along(Path(mount), root, groups[name])


def _groups() -> dict[str, str]:
    """Return the path of the process's group by controller, from lines "4:cpu,cpuacct:/a/b" and "0::/a/b"."""
    parts = [line.split(":", 2) for line in _lines("cgroup")]
    return {name: part[2] for part in parts if len(part) == 3 for name in part[1].split(",")} or dict.fromkeys(
        ("", "cpu", "memory"), "/"
    )


def _mounts() -> Iterator[tuple[str, str, str]]:
    """Yield the controllers ("" for version 2), root and mount point of each hierarchy.

    A line: 36 25 0:31 ROOT MOUNT rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
    """
    found = False
    for line in _lines("mountinfo"):
        before, _, after = line.partition(" - ")
        place, kind = before.split(" "), after.split(" ")
        if len(place) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            found = True
            yield kind[2] if kind[0] == "cgroup" else "", _plain(place[3]), _plain(place[4])
    if not found:
        yield from MOUNTS


def _along(mount: Path, root: str, path: str) -> Iterator[Path]:
    """Yield the folders from a group up to the mount's root."""
    group = PurePosixPath(path)
    inside = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
    if ".." in inside.parts:   # the group lies outside the namespace that is mounted
        inside = PurePosixPath()
    for part in dict.fromkeys((inside, *inside.parents)):
        folder = mount / part
        if folder.is_dir():
            yield folder


def _lines(name: str) -> list[str]:
    try:
        return (PROC / name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _plain(path: str) -> str:
    r"""Return a path of mountinfo without escapes.

    >>> _plain(r"/mnt/my\040groups")
    '/mnt/my groups'
    """
    return ESCAPE.sub(lambda found: chr(int(found[1], 8)), path)
