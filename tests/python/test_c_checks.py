"""Run the check programs of tests/c, plainly and under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import building
import pytest

HERE = Path(__file__).resolve().parent
# Of the tests that run the API again, these are left out: they evaluate nothing that the others don't. Grammars of
# random schemas are seeds of tests/fuzz, which runs under the same sanitizers.
NOT_OF_THE_API = {
    "test_archs", "test_c_checks", "test_calls", "test_cgroup", "test_chat_file", "test_cli", "test_cli_names",
    "test_cli_overrides", "test_compare", "test_compare_tabs", "test_cross", "test_dialect_arguments",
    "test_dialect_rows", "test_dialects", "test_docs", "test_download_answers", "test_fuzz", "test_header", "test_hub",
    "test_install", "test_json_schema_hostile", "test_json_schema_random", "test_models_page", "test_paths",
    "test_published_templates", "test_recipes", "test_reference", "test_streams", "test_template_constructs",
    "test_tiny", "test_tools", "test_tree", "test_types", "test_words", "test_xhr",
}   # fmt: skip
# Left out: what only Python computes (the reference, templates, tables, schemas), and each format with each
# architecture, which the core handles apart.
NOT_OF_THE_CORE = (
    "a_mistake", "the_reference_gives", "in_every_format", "hostile_template", "contents_render", "unicode_table",
    "too_long_are_refused", "too_long_to_check", "large_schemas_compile",
)  # fmt: skip
STRICT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@pytest.mark.slow
@pytest.mark.parametrize("check", building.CHECKS)
@pytest.mark.parametrize("kind", ["plain", "sanitized"])
def test_check_passes(kind: str, check: str) -> None:
    folder = building.native(kind)
    building.build(folder, check)
    building.judge(building.execute([folder / check], env=STRICT if kind == "sanitized" else None))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_the_api_works_under_sanitizers(part: int) -> None:
    """The API's own tests again, on a sanitized core: the address sanitizer's runtime must come before Python's."""
    folder = building.native("sanitized")
    runtime = building.sanitizer_runtime(folder)
    building.build(folder, "gemel")
    files = [path for path in sorted(HERE.glob("test_*.py")) if path.stem not in NOT_OF_THE_API]
    chosen = "not (slow or model or peer or cross or wasm)"
    named = f"not ({' or '.join(NOT_OF_THE_CORE)})"
    done = building.execute(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", chosen, "-k", named, *files[part::2]],
        env={
            "LD_PRELOAD": str(runtime),
            "GEMEL_LIBRARY": str(folder / "libgemel.so"),
            "GEMEL_SAMPLE": "more",
            "GEMEL_GUARDED": "1",   # what the core gets has an end that the sanitizer sees
            "PYTHONDONTWRITEBYTECODE": "",   # what pytest compiles is kept
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaves memory at its end
            "UBSAN_OPTIONS": STRICT["UBSAN_OPTIONS"],
        },
        timeout=1800,
    )
    building.judge(done)


# A child process reads the byte behind what the core was given, as the core would by a mistake of one.
BEHIND_THE_END = """
import ctypes, os, guarded
guarded.install()
from gemel.core.shared import load
library = load()
assert type(library) is guarded.GuardedLibrary
for given in (library.alloc(3), library.lend(b"abc"), library.lend(bytearray(3)), library.lend(memoryview(b"abc")[:2])):
    for size in (given.size, given.size + 1):
        child = os.fork()
        if child == 0:
            ctypes.memmove(ctypes.create_string_buffer(8), given.address, size)
            os._exit(0)
        print(os.waitpid(child, 0)[1] == 0)
"""


@pytest.mark.slow
def test_a_sanitizer_sees_the_byte_behind_what_the_core_is_given() -> None:
    folder = building.native("sanitized")
    building.build(folder, "gemel")
    paths = [building.ROOT / "tests", building.ROOT / "pyodide_pkg"]
    done = building.execute(
        [sys.executable, "-c", BEHIND_THE_END],
        env={
            "LD_PRELOAD": str(building.sanitizer_runtime(folder)),
            "GEMEL_LIBRARY": str(folder / "libgemel.so"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "ASAN_OPTIONS": "detect_leaks=0",
        },
    )
    assert done.stdout.count("SUMMARY: AddressSanitizer: heap-buffer-overflow") == 4, done.stdout
    assert [line for line in done.stdout.splitlines() if line in ("True", "False")] == ["True", "False"] * 4


@pytest.mark.slow
def test_the_core_holds_no_fused_multiply_add() -> None:
    folder = building.native("plain")
    if shutil.which("objdump") is None and shutil.which("llvm-objdump") is None:
        building.lacking("objdump is not installed")
    building.build(folder, "check_fma")


FUSED = {
    "x86": "\tvfmadd213ss\t%xmm2, %xmm1, %xmm0\n",
    "x86_512": "\tvfnmadd231ps\t(%rax){1to16}, %zmm1, %zmm0 {%k1}\n",
    "arm_vector": "\tfmla\tv0.4s, v1.4s, v2.s[1]\n",
    "arm_scalar": "\tfmadd\ts0, s0, s1, s2\n",
    "wasm": "\tf32x4.relaxed_madd\n",
    "objdump": "   4:\tvfmadd231ps %ymm0,%ymm1,%ymm2\n",
}


@pytest.mark.parametrize("line", FUSED.values(), ids=FUSED.keys())
def test_check_fma_sees_a_fused_instruction(line: str, tmp_path: Path) -> None:
    assert run_check_fma(tmp_path, f"dot:\n\tmulps\t%xmm0, %xmm1\n{line}").returncode == 1


def test_check_fma_passes_separate_roundings(tmp_path: Path) -> None:
    listing = "fmla_of_a_function:\n\tmulps\t%xmm0, %xmm1\n\tcall\tvfmadd_named\n\tfmul\ts0, s0, s1\n\tf32x4.mul\n"
    assert run_check_fma(tmp_path, listing).returncode == 0


@pytest.mark.parametrize("opcode", ["8502", "8602", "8702", "8802", "85828000"])
def test_check_fma_sees_a_fused_instruction_in_an_object_of_webassembly(opcode: str, tmp_path: Path) -> None:
    assert run_check_fma_on_wasm(tmp_path, f"fd{opcode}").returncode == 1


@pytest.mark.parametrize("opcode", ["e601", "8902", "8501"], ids=["0xe6", "0x109", "0x85"])
def test_check_fma_passes_other_instructions_of_webassembly(opcode: str, tmp_path: Path) -> None:
    assert run_check_fma_on_wasm(tmp_path, f"fd{opcode}").returncode == 0


@pytest.mark.parametrize("line", ["    3994:      \t<unknown>", "  1b:\t(bad)"], ids=["llvm-objdump", "objdump"])
def test_check_fma_refuses_a_disassembly_with_instructions_that_were_not_read(line: str, tmp_path: Path) -> None:
    (tmp_path / "printed").write_text(f"a.o: file format elf64-littleaarch64\n0 <dot>:\n{line}\n       4:\tret\n")
    objdump = tmp_path / "objdump"
    objdump.write_text(f'#!/bin/sh\ntest "$1" = --mattr=all && cat {tmp_path}/printed\n')
    objdump.chmod(0o755)
    check_fma = building.ROOT / "core_c" / "cmake" / "check_fma.py"
    done = building.execute([sys.executable, check_fma, "--objdump", f"{objdump} --mattr=all", tmp_path / "a.o"])
    assert done.returncode == 1
    assert "does not know instructions of" in done.stdout
    assert line.strip() in done.stdout


def run_check_fma(folder: Path, listing: str) -> subprocess.CompletedProcess[str]:
    path = folder / "listing.s"
    path.write_text(listing)
    return building.execute([sys.executable, building.ROOT / "core_c" / "cmake" / "check_fma.py", path])


def run_check_fma_on_wasm(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run it on a module whose second function has this code, after a section of types that has the same bytes."""
    body = bytes.fromhex(f"00{code}0b")
    code_section = bytes([2, 2, 0x00, 0x0B, len(body)]) + body
    sections = [(1, bytes.fromhex("fd8502")), (10, code_section)]
    path = folder / "object.o"
    path.write_bytes(b"\0asm\1\0\0\0" + b"".join(bytes([name, len(data)]) + data for name, data in sections))
    return building.execute([sys.executable, building.ROOT / "core_c" / "cmake" / "check_fma.py", path])
