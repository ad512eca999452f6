"""Cross-compile the core with zig: the library links for every target, the checks pass where their machine can be run.

aarch64 runs under qemu-user, Windows under wine, WebAssembly under node: each compares its instruction sets with
scalar. A compiler's warning is an error for all of them.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import building
import pytest
import zig_build

pytestmark = [pytest.mark.cross, pytest.mark.slow]

LIBRARIES = {
    "aarch64-linux-musl": "libgemel.so",
    "x86_64-windows-gnu": "gemel.dll",
    "aarch64-macos.11.0": "libgemel.dylib",
    "x86_64-macos.11.0": "libgemel.dylib",
    "wasm32-wasi": "libgemel.so",
}


def under_qemu(program: Path) -> list[str | Path]:
    qemu = zig_build.tool("qemu-aarch64") or zig_build.tool("qemu-aarch64-static")
    if qemu is None:
        building.lacking("qemu-aarch64 is not installed (Debian: qemu-user)")
    return [qemu, program]


def under_wine(program: Path) -> list[str | Path]:
    in_debian = Path("/usr/lib/wine/wine64")
    wine = zig_build.tool("wine64") or zig_build.tool("wine") or (in_debian if in_debian.exists() else None)
    if wine is None:
        building.lacking("wine is not installed (Debian: wine64)")
    return [wine, program.with_suffix(".exe")]


def under_node(program: Path) -> list[str | Path]:
    return [building.node(), "--no-warnings", building.ROOT / "tests" / "wasm" / "run_wasi.mjs", program]


RUNNERS: dict[str, Callable[[Path], list[str | Path]]] = {
    "aarch64-linux-musl": under_qemu,
    "x86_64-windows-gnu": under_wine,
    "wasm32-wasi": under_node,
}


@pytest.mark.parametrize("target", LIBRARIES)
def test_the_library_links_for(target: str) -> None:
    folder = building.cross(target)
    building.build(folder, "gemel")
    assert (folder / LIBRARIES[target]).stat().st_size > 0


@pytest.mark.parametrize("check", building.CHECKS)
@pytest.mark.parametrize("target", RUNNERS)
def test_check_passes_on(target: str, check: str) -> None:
    folder = building.cross(target)
    command = RUNNERS[target](folder / check)
    building.build(folder, check)
    emulator = {"WINEPREFIX": str(building.BUILD / "wine"), "WINEDEBUG": "-all"}
    if RUNNERS[target] is under_qemu:
        emulator["GEMEL_CHECK_QEMU"] = "1"
    building.judge(building.execute(command, env=emulator))


# The best instruction set of a CPU of qemu's; "max" is what the other tests run on.
ARM = {"max": "neoni8mm", "neoverse-n1": "neondot", "cortex-a72": "neon"}


@pytest.mark.parametrize("cpu", ARM)
def test_an_arm_cpu_has_the_instruction_sets_that_its_features_allow(cpu: str) -> None:
    folder = building.cross("aarch64-linux-musl")
    building.build(folder, "check_kernels")
    chosen = ["the_instruction_sets"] if cpu == "max" else []   # test_check_passes_on runs the others
    done = building.execute(
        [*under_qemu(folder / "check_kernels"), *chosen], env={"QEMU_CPU": cpu, "GEMEL_CHECK_QEMU": "1"}
    )
    building.judge(done)
    lines = [line.strip().partition(": ") for line in done.stdout.splitlines()]
    usable = [isa for isa, _, says in lines if says == "checked"]
    everything = ["scalar", "neon", "neondot", "neoni8mm"]
    assert usable == everything[: everything.index(ARM[cpu]) + 1]


@pytest.mark.parametrize("target", ["aarch64-linux-musl", "x86_64-windows-gnu"])
def test_no_fused_multiply_add_for(target: str) -> None:
    if shutil.which("llvm-objdump") is None:
        building.lacking("llvm-objdump is not installed (Debian: llvm)")
    building.build(building.cross(target), "check_fma")


def test_no_fused_multiply_add_for_wasm() -> None:
    folder = building.cross("wasm32-wasi")
    building.build(folder, "gemel")
    commands = json.loads((folder / "compile_commands.json").read_text())
    source = building.ROOT / "core_c" / "src"
    objects = [folder / entry["output"] for entry in commands if Path(entry["file"]).is_relative_to(source)]
    assert {f"isa_{row}" for row in ("scalar", "wasm128", "wasmpairs", "wasmrelaxed")} <= {
        path.name.partition(".")[0] for path in objects
    }
    check_fma = building.ROOT / "core_c" / "cmake" / "check_fma.py"
    done = building.execute([sys.executable, check_fma, *objects])
    assert done.returncode == 0, done.stdout
