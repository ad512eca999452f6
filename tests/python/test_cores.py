"""The default number of threads: each source of what a system says, on layouts of real machines."""

from __future__ import annotations

import ctypes
import doctest
import os
import sys
from pathlib import Path

import gemel
import pytest
from command import gemel_
from gemel.core import cores, system_calls
from gemel.core.cores import Core, ThreadLimit
from gemel_native.doctor import examine
from gemel_native.machine import large_pages

# ---- Linux -----------------------------------------------------------------------------------------------------------


def machine(folder: Path, cpus: dict[int, dict[str, str]]) -> Path:
    """Write /sys/devices of some CPUs: for each, the text of its files."""
    for cpu, files in cpus.items():
        for name, text in files.items():
            path = folder / f"system/cpu/cpu{cpu}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
    return folder


def cpu(siblings: str, capacity: int = 0, khz: int = 0) -> dict[str, str]:
    """Return the files of a CPU."""
    found = {"topology/thread_siblings_list": siblings}
    found |= {"cpu_capacity": str(capacity)} if capacity else {}
    return found | ({"cpufreq/cpuinfo_max_freq": str(khz)} if khz else {})


def alder_lake(folder: Path) -> Path:
    """2 performance cores with two threads each, 8 efficient ones; the kernel lists both for its counters."""
    fast = {n: cpu(f"{n // 2 * 2}-{n // 2 * 2 + 1}", khz=4_400_000) for n in range(4)}
    slow = {n: cpu(str(n), khz=3_300_000) for n in range(4, 12)}
    for kind, text in {"cpu_core": "0-3", "cpu_atom": "4-11"}.items():
        (folder / kind).mkdir()
        (folder / kind / "cpus").write_text(text + "\n")
    return machine(folder, fast | slow)


def test_two_threads_of_a_core_are_one(tmp_path: Path) -> None:
    system = machine(tmp_path, {n: cpu(f"{n % 4},{n % 4 + 4}", khz=5_000_000) for n in range(8)})
    assert cores.linux_cores(system, range(8), 8) == (4, "4 physical cores (topology)")


def test_a_system_without_topology_has_a_core_per_cpu(tmp_path: Path) -> None:
    assert cores.linux_cores(tmp_path, range(6), 6) == (6, "6 physical cores (topology)")


def test_an_affinity_limits_the_cores(tmp_path: Path) -> None:
    system = machine(tmp_path, {n: cpu(f"{n % 4},{n % 4 + 4}") for n in range(8)})
    assert cores.linux_cores(system, {1, 5, 6}, 8) == (
        2, "2 physical cores (topology), within an affinity of 3 of 8 CPUs"
    )   # fmt: skip


@pytest.mark.parametrize(("capacities", "fast"), [
    ([414] * 4 + [1024] * 4, 4),                    # RK3588
    ([381] * 4 + [871] * 3 + [1024], 4),            # one prime core beside three fast ones
    ([325] * 3 + [800] * 4 + [1024], 5),
    ([592] * 4 + [1024] * 2, 6),                    # six at 592 do more than two at 1024
])   # fmt: skip
def test_of_big_and_little_cores_those_count_that_do_most_together(
    tmp_path: Path, capacities: list[int], fast: int
) -> None:
    system = machine(tmp_path, {n: cpu(str(n), capacity) for n, capacity in enumerate(capacities)})
    limit = cores.linux_cores(system, range(len(capacities)), len(capacities))
    n = len(capacities)
    words = f"{n} physical cores (cpu_capacity)"
    assert limit == (fast, words if fast == n else f"{fast} fast ones of {words}")


def test_only_performance_cores_of_a_hybrid_count(tmp_path: Path) -> None:
    assert cores.linux_cores(alder_lake(tmp_path), range(12), 12) == (2, "2 fast ones of 10 physical cores (cpu_core)")


def test_within_an_affinity_of_efficient_cores_these_count(tmp_path: Path) -> None:
    assert cores.linux_cores(alder_lake(tmp_path), {5, 6, 7}, 12).threads == 3


def test_cores_that_are_a_little_faster_are_no_kind_of_their_own(tmp_path: Path) -> None:
    speeds = [5_200_000] * 2 + [5_000_000] * 6
    system = machine(tmp_path, {n: cpu(str(n), khz=khz) for n, khz in enumerate(speeds)})
    assert cores.linux_cores(system, range(8), 8).threads == 8


def test_frequencies_count_where_nothing_else_tells_cores_apart(tmp_path: Path) -> None:
    system = machine(tmp_path, {n: cpu(str(n), 1024, khz) for n, khz in enumerate([5_000_000] * 4 + [2_000_000] * 4)})
    assert cores.linux_cores(system, range(8), 8) == (4, "4 fast ones of 8 physical cores (cpuinfo_max_freq)")


@pytest.mark.parametrize("text", ["", "fast", "-5", "1024 kHz"])
def test_a_file_that_holds_no_number_is_left_aside(tmp_path: Path, text: str) -> None:
    system = machine(tmp_path, {0: {"cpu_capacity": text}, 1: cpu("1", 500)})
    assert cores.linux_cores(system, range(2), 2).threads == 2


def test_a_quota_names_its_cpus(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("350000 100000\n")
    assert cores.linux_quota([tmp_path]) == (3, "a control group's quota of 3.5 CPUs")
    assert cores.linux_quota([tmp_path / "other"]) is None


# ---- macOS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("says", "limit"), [
    ({"hw.physicalcpu": 10, "hw.perflevel0.physicalcpu": 6, "hw.perflevel1.physicalcpu": 4},
     (6, "6 fast ones of 10 physical cores (hw.perflevel0.physicalcpu)")),
    ({"hw.physicalcpu": 4, "hw.logicalcpu": 8}, (4, "4 physical cores (hw.physicalcpu)")),
    ({"hw.physicalcpu": 2, "hw.perflevel0.physicalcpu": 2}, (2, "2 physical cores (hw.perflevel0.physicalcpu)")),
    ({}, None),
])   # fmt: skip
def test_macs(says: dict[str, int], limit: tuple[int, str] | None) -> None:
    assert cores.macos_cores(says.get) == limit


# ---- Windows ---------------------------------------------------------------------------------------------------------


def record(masks: dict[int, int], efficiency: int = 0, smt: bool = False, pointer: int = 8) -> bytes:
    """Return a record of a core as Windows writes it."""
    head = bytes([int(smt), efficiency]) + bytes(20) + len(masks).to_bytes(2, "little")
    groups = b"".join(
        mask.to_bytes(pointer, "little") + group.to_bytes(2, "little") + bytes(6) for group, mask in masks.items()
    )
    size = 8 + len(head) + len(groups)
    return (0).to_bytes(4, "little") + size.to_bytes(4, "little") + head + groups


# What wine 8 writes for two CPUs, of which it calls the second one faster.
WINE = "".join(
    f"000000003000000000{efficiency}" + "00" * 20 + f"0100{mask}00000000000000" + "00" * 8
    for efficiency, mask in (("00", "01"), ("01", "02"))
)


def test_records_of_windows_are_read() -> None:
    assert cores.windows_core_records(record({0: 3}, 1, smt=True) + record({0: 4}, 0)) == [
        Core(1, {0: 3}), Core(0, {0: 4}),
    ]   # fmt: skip
    assert cores.windows_core_records(bytes.fromhex(WINE)) == [Core(0, {0: 1}), Core(1, {0: 2})]


@pytest.mark.parametrize("pointer", [4, 8])
def test_masks_are_as_wide_as_pointers(pointer: int) -> None:
    records = record({0: 1 << 31}, pointer=pointer) + record({1: 6}, pointer=pointer)
    assert cores.windows_core_records(records, pointer) == [Core(0, {0: 1 << 31}), Core(0, {1: 6})]


@pytest.mark.parametrize("records", [b"", b"\0" * 40, record({0: 1})[:30], record({0: 1}) + b"\0" * 7])
def test_records_that_end_too_soon_are_no_hang(records: bytes) -> None:
    assert len(cores.windows_core_records(records)) <= 1


def test_other_records_are_passed_over() -> None:
    cache = (2).to_bytes(4, "little") + (52).to_bytes(4, "little") + bytes(44)
    assert cores.windows_core_records(cache + record({0: 1})) == [Core(0, {0: 1})]


def test_performance_cores_of_windows_count() -> None:
    fast = [Core(1, {0: 3 << 2 * n}) for n in range(8)]
    slow = [Core(0, {0: 1 << 16 + n}) for n in range(16)]
    assert cores.windows_cores(fast + slow, {0: -1}) == (
        8, "8 fast ones of 24 physical cores (GetLogicalProcessorInformationEx)"
    )   # fmt: skip


def test_a_process_mask_of_windows_limits_the_cores() -> None:
    alike = [Core(0, {0: 3 << 2 * n}) for n in range(8)]
    assert cores.windows_cores(alike, {0: 0b1111}) == (
        2, "2 physical cores (GetLogicalProcessorInformationEx), within the affinity or groups of this process, of 8"
    )   # fmt: skip
    assert cores.windows_cores(alike, {0: 0}) is None


def test_more_than_64_cpus_are_in_several_groups() -> None:
    many = [Core(0, {group: 3 << 2 * n}) for group in range(2) for n in range(32)]
    limits = [cores.windows_cores(many, allowed) for allowed in ({0: -1, 1: -1}, {1: -1})]
    assert [limit.threads for limit in limits if limit] == [64, 32]


class Kernel32:
    """Windows' calls, over two CPUs."""

    def __init__(self, groups: list[int], mask: int) -> None:
        self._groups, self._mask = groups, mask
        self.GetCurrentProcess = type("Call", (), {"__call__": lambda _: -1 & 0xFFFFFFFFFFFFFFFF})()

    def GetLogicalProcessorInformationEx(self, kind: int, room: object, size: object) -> int:  # noqa: N802
        assert kind == 0
        records = record({0: 1}) + record({0: 2})
        enough = room is not None and size._obj.value >= len(records)   # type: ignore[attr-defined]
        size._obj.value = len(records)   # type: ignore[attr-defined]
        if enough:
            ctypes.memmove(room, records, len(records))   # type: ignore[arg-type]
        return int(enough)

    def GetProcessGroupAffinity(self, process: object, n: object, room: object) -> int:  # noqa: N802
        n._obj.value = len(self._groups)   # type: ignore[attr-defined]
        for i, group in enumerate(self._groups):
            room[i] = group   # type: ignore[index]
        return int(bool(self._groups))

    def GetProcessAffinityMask(self, process: object, mask: object, of_system: object) -> int:  # noqa: N802
        mask._obj.value, of_system._obj.value = self._mask, 3   # type: ignore[attr-defined]
        return 1


@pytest.mark.parametrize(("groups", "mask", "allowed", "threads"), [
    ([0], 3, {0: 3}, 2), ([0], 1, {0: 1}, 1), ([0, 1], 0, {0: -1, 1: -1}, 2), ([], 3, {0: 3}, 2), ([0], 0, {0: -1}, 2),
])
def test_calls_of_windows_become_threads(
    monkeypatch: pytest.MonkeyPatch, groups: list[int], mask: int, allowed: dict[int, int], threads: int
) -> None:
    monkeypatch.setattr(system_calls, "_kernel32", lambda: Kernel32(groups, mask))
    monkeypatch.setattr(sys, "platform", "win32")
    assert system_calls.windows_groups() == allowed
    assert gemel.default_threads() == threads


# ---- All -------------------------------------------------------------------------------------------------------------


def test_the_fewest_threads_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [ThreadLimit(6, "cores"), None, ThreadLimit(3, "a quota")]
    monkeypatch.setitem(cores.SOURCES, sys.platform, lambda: iter(limits))
    assert gemel.thread_limits() == [(3, "a quota"), (6, "cores")]
    assert gemel.default_threads() == 3


@pytest.mark.parametrize("platform", ["freebsd14", "win32"])
def test_where_no_source_answers_logical_cpus_count(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setitem(cores.SOURCES, "win32", lambda: iter([None]))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert gemel.thread_limits() == [(3, "3 logical CPUs")]


def test_no_machine_gets_more_threads_than_the_core_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cores.SOURCES, sys.platform, lambda: iter([ThreadLimit(512, "512 physical cores")]))
    assert gemel.default_threads() == 256


def test_doctor_says_why_so_many_threads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMEL_THREADS", raising=False)
    first = gemel.thread_limits()[0]
    used = gemel_("doctor", "--json").json["settings"]
    assert (used["threads"], used["why"]) == first
    assert used["limits"] == [limit._asdict() for limit in gemel.thread_limits()]
    monkeypatch.setenv("GEMEL_THREADS", "3")
    assert "3 threads: GEMEL_THREADS" in " ".join(gemel_("doctor").out.split())


@pytest.mark.parametrize(("text", "found"), [
    ("always [madvise] never\n", "madvise"), ("[always] madvise never\n", "always"),
    ("always madvise [never]\n", "never"), ("", None),
])
def test_doctor_knows_whether_large_pages_are_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str | None
) -> None:
    (tmp_path / "enabled").write_text(text)
    assert large_pages(tmp_path / "enabled") == found
    assert large_pages(tmp_path / "none") is None
    monkeypatch.setattr("gemel_native.machine.large_pages", lambda: found)
    assert ("large pages" in [one["what"] for one in examine()["missing"]]) is (found == "never")


def test_examples_in_docstrings_hold() -> None:
    found = doctest.testmod(cores)
    assert (found.failed, found.attempted) == (0, 4)   # the others are gemel's
