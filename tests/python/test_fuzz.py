"""libFuzzer on the core, under sanitizers: files, vocabularies and saved sessions of chance, on all CPUs at once.

Each target runs for GEMEL_FUZZ_SECONDS (10), from the inputs of tests/fuzz/corpus and seeds.py. It keeps inputs that
reach new code in build/fuzz/<target>, where its next run starts, too; an input that breaks something is
build/fuzz/<target>-crash-... (-timeout-, -oom-, -leak-).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import building
import pytest
import zig_build
from fuzz import corpus

pytestmark = pytest.mark.slow
SECONDS = int(os.environ.get("GEMEL_FUZZ_SECONDS", "10"))
SOURCES = building.ROOT / "tests" / "fuzz"
KEPT = building.BUILD / "fuzz"
# Bytes of an input, at most
LENGTHS = {"fuzz_gguf": 26000, "fuzz_grammar": 1000, "fuzz_tokenizer": 4096, "fuzz_state": 64}


@functools.cache
def fuzzers(probe: Path) -> Path:
    """Return the folder of the targets, built; skip where there is no clang that can build them."""
    clang = shutil.which("clang")
    if clang is None:
        building.lacking("clang is not installed")
    probe.write_text("int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data == 0 && size; }\n")
    done = building.execute([clang, "-fsanitize=fuzzer,address,undefined", probe, "-o", probe.with_suffix(".out")])
    if done.returncode:
        building.lacking("clang's libFuzzer or sanitizers are not installed (Debian: libclang-rt-14-dev)")
    folder = building.BUILD / "c" / "fuzz"
    strict = f"-DGEMEL_WERROR={'ON' if building.REQUIRED else 'OFF'}"
    options = [f"-DCMAKE_C_COMPILER={clang}", "-DGEMEL_FUZZ=ON", strict, building.usable_rows()]
    zig_build.configure(folder, *options)
    building.build(folder, "fuzzers")
    return folder


@functools.cache
def seeds() -> Path:
    folder = KEPT / "seeds"
    done = building.execute(
        [sys.executable, SOURCES / "seeds.py", folder], env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == 0, done.stdout
    return folder


@functools.cache
def found(name: str) -> Path:
    """Return a folder with the inputs that were found in the past."""
    folder = KEPT / "found" / name
    shutil.rmtree(folder, ignore_errors=True)
    corpus.unpack(name, folder)
    return folder


def run(program: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Run one process of a target; those of a target share what they keep."""
    name, start = program.name, seeds()
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={SECONDS}", f"-max_len={LENGTHS[name]}", "-timeout=10", "-rss_limit_mb=1024"]
    options += [f"-artifact_prefix={KEPT / name}-", f"-seed={number + 1}"]
    if (start / name).is_dir():
        options.append(f"-dict={start / name}.dict")
    folders = [kept, found(name), *([start / name] if (start / name).is_dir() else [])]
    return building.execute([program, *options, *folders], timeout=SECONDS + 300)


@pytest.mark.parametrize("name", sorted(LENGTHS))
def test_no_input_breaks_the_core(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = fuzzers(tmp_path_factory.getbasetemp() / "probe.c") / name
    found(name)   # before threads ask for it
    n = os.cpu_count() or 1
    with ThreadPoolExecutor(n) as pool:
        for done in pool.map(functools.partial(run, program), range(n)):
            kept = [line.rsplit(" ", 1)[1] for line in done.stdout.splitlines() if "Test unit written to" in line]
            end = "\n".join(done.stdout.splitlines()[-60:])
            again = f"again: {program} {kept[0]}" if kept else ""
            assert done.returncode == 0, f"{name} broke: {again}\n{end}"


def test_every_target_is_run() -> None:
    assert {path.stem for path in SOURCES.glob("fuzz_*.c")} == set(LENGTHS)
    assert {path.stem for path in corpus.CORPUS.glob("*.txt")} == set(LENGTHS)


@pytest.mark.parametrize("name", sorted(LENGTHS))
def test_what_fuzzing_found_is_unpacked(name: str, tmp_path: Path) -> None:
    corpus.unpack(name, tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 10
    assert max(sizes) <= LENGTHS[name]
