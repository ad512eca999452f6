"""Quotas of control groups, of both versions and along the path, limit the default number of threads, and memory."""

from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path

import gemel
import pytest
from gemel.core import cgroup, cores
from gemel.model import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")


class Groups:
    """A process with 8 CPUs whose /proc/self and mounted control groups lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc, self._mount, self._mounts = folder / "proc", folder / "cg roup", list[str]()
        self.proc.mkdir()

    def mount(self, controllers: str, at: str = "", root: str = "/") -> None:
        place = str(self._mount / at).replace(" ", "\\040")
        kind = f"cgroup cgroup rw,{controllers}" if controllers else "cgroup2 cgroup2 rw,nsdelegate"
        self._mounts.append(f"{len(self._mounts)} 31 0:29 {root} {place} rw,relatime shared:4 - {kind}\n")
        (self.proc / "mountinfo").write_text("1 0 0:1 / / rw - ext4 /dev/sda rw\n" + "".join(self._mounts))

    def belongs(self, *lines: str) -> None:
        (self.proc / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def group(self, path: str, **files: str) -> None:
        folder = self._mount / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    made = Groups(tmp_path)
    monkeypatch.setattr(cgroup, "PROC", made.proc)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "SYS", tmp_path / "devices")   # without topology
    return made


def test_without_groups_all_cpus_count(groups: Groups) -> None:
    groups.mount("")
    groups.belongs("0::/")
    assert gemel.default_threads() == 8


@pytest.mark.parametrize(("quota", "threads"), [
    ("max 100000", 8), ("300000 100000", 3), ("150000 100000", 1), ("50000 100000", 1), ("100000 50000", 2),
    ("9900000 100000", 8), ("", 8), ("nonsense", 8), ("1 0", 8),
])
def test_a_quota_of_version_2(groups: Groups, quota: str, threads: int) -> None:
    groups.mount("")
    groups.belongs("0::/")
    groups.group("", cpu__max=quota)
    assert gemel.default_threads() == threads


@pytest.mark.parametrize(("outer", "middle", "inner", "threads"), [
    ("max 100000", "400000 100000", "max 100000", 4),
    ("max 100000", "400000 100000", "200000 100000", 2),
    ("300000 100000", "max 100000", "600000 100000", 3),
])
def test_the_smallest_quota_along_the_path_counts(
    groups: Groups, outer: str, middle: str, inner: str, threads: int
) -> None:
    groups.mount("")
    groups.belongs("0::/user.slice/my app.scope/worker")
    groups.group("user.slice", cpu__max=outer)
    groups.group("user.slice/my app.scope", cpu__max=middle)
    groups.group("user.slice/my app.scope/worker", cpu__max=inner)
    groups.group("other.slice", cpu__max="100000 100000")   # not on the path
    assert gemel.default_threads() == threads


@pytest.mark.parametrize(("quota", "threads"), [("-1", 8), ("200000", 2), ("50000", 1)])
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_a_quota_of_version_1(groups: Groups, controllers: str, quota: str, threads: int) -> None:
    groups.mount(controllers, at=controllers)
    groups.mount("memory", at="memory")
    groups.mount("", at="unified")
    groups.belongs("5:memory:/", f"4:{controllers}:/a/b", "1:name=systemd:/", "0::/")
    groups.group(f"{controllers}/a", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000", cpu__shares="2")
    groups.group(f"{controllers}/a/b", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000", cpu__shares="2")
    assert gemel.default_threads() == threads


@pytest.mark.parametrize("root", ["/docker/abc", "/"])
def test_a_container_sees_its_own_part_of_the_hosts_path(groups: Groups, root: str) -> None:
    """Its mount has the group as root; without that line, the folder of the host's path does not exist."""
    groups.mount("cpu", at="cpu", root=root)
    groups.belongs("3:cpu:/docker/abc")
    groups.group("cpu", cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    assert gemel.default_threads() == 3


def test_a_group_below_a_containers_root_counts(groups: Groups) -> None:
    groups.mount("", root="/docker/abc")
    groups.belongs("0::/docker/abc/worker")
    groups.group("worker", cpu__max="200000 100000")
    assert gemel.default_threads() == 2


@pytest.mark.parametrize("path", ["/../..", "/../other", "/gone (deleted)"])
def test_a_group_that_is_not_visible_leaves_the_roots_limit(groups: Groups, path: str) -> None:
    groups.mount("")
    groups.belongs(f"0::{path}")
    groups.group("", cpu__max="500000 100000")
    assert gemel.default_threads() == 5


def test_without_proc_the_usual_places_are_read(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    groups.group("", cpu__max="300000 100000")
    groups.group("cpu", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    usual = [(name, root, str(groups._mount / at)) for (name, root, _), at in zip(
        cgroup.MOUNTS, ("", "cpu", "memory"), strict=True
    )]   # fmt: skip
    monkeypatch.setattr(cgroup, "MOUNTS", usual)
    assert gemel.default_threads() == 2


def test_affinity_counts_beside_the_quota(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    groups.mount("")
    groups.belongs("0::/")
    groups.group("", cpu__max="600000 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5})
    assert gemel.default_threads() == 2


def test_memory_is_limited_along_the_path(groups: Groups) -> None:
    groups.mount("", at="v2")
    groups.mount("memory", at="memory")
    groups.belongs("0::/a/b", "7:memory:/c")
    groups.group("v2/a", memory__max="5000", memory__current="1000")
    groups.group("v2/a/b", memory__max="max", memory__current="500")
    assert memory.available_memory() == 4000
    groups.group("memory/c", memory__limit_in_bytes="3000", memory__usage_in_bytes="900")
    assert memory.available_memory() == 2100
    groups.group("memory", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="900")   # no limit
    assert memory.available_memory() == 2100


def test_examples_in_docstrings_hold() -> None:
    found = doctest.testmod(cgroup)
    assert (found.failed, found.attempted) == (0, 1)
