"""gemel.h as any host meets it: C and C++ compile and link it, and no call of it minds a NULL."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import building
import gemel
import pytest
from conftest import tiny_bytes
from gemel.core import abi

INCLUDE = building.ROOT / "core_c" / "include"

# ---- Compilers ------------------------------------------------------------------------------------------------------

PROGRAM = """
#include <gemel.h>
#include <stdio.h>

int main(void) {
    gemel_loader *loader = NULL;
    char err[200];
    if (gemel_abi() != GEMEL_ABI) return 1;
    if (gemel_loader_open(0, &loader, err, sizeof err) == GEMEL_OK) return 2;
    gemel_session_close(NULL);
    printf("%s: %s", gemel_error_name(GEMEL_E_ARGUMENT), err);
    return 0;
}
"""


def compiler(language: str) -> list[str]:
    """Return a command that compiles C or C++ for this machine: one of the system's, or zig's."""
    for name in ("c++", "g++", "clang++") if language == "c++" else ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang") is None:
        building.lacking(f"no {language} compiler is installed")
    return [sys.executable, "-m", "ziglang", language if language == "c++" else "cc"]


@pytest.mark.slow
@pytest.mark.parametrize("standard", ["c11", "c++11", "c++20"])
def test_a_program_that_includes_the_header_compiles_links_and_runs(standard: str, tmp_path: Path) -> None:
    language = "c++" if standard.startswith("c++") else "c"
    source, program = tmp_path / ("a.cpp" if language == "c++" else "a.c"), tmp_path / "a"
    source.write_text(PROGRAM)
    library = Path(gemel.library_path())
    built = building.execute(
        [
            *compiler(language), f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}",
            str(source), str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program),
        ]
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    done = building.execute([program])
    assert done.returncode == 0
    assert done.stdout.startswith("GEMEL_E_ARGUMENT: ")
    assert len(done.stdout) > len("GEMEL_E_ARGUMENT: ")


# ---- NULL -----------------------------------------------------------------------------------------------------------
# Every call that takes a handle first is tried: what comes of it is a line of a separate process, which may crash.

CALLS = """
import json, sys
import gemel
from gemel._choice import load
from gemel.core import abi
from gemel.core.library import pointer_at

how, path, names = sys.argv[1], sys.argv[2], sys.argv[3:]
library = load()
room, out = library.alloc(1 << 12), library.alloc(8)
model = gemel.open(path, threads=1)
session, sampler, header = model.session(64), model.sampler(), gemel.inspect(path)
grammar = model.grammar(choices=["a"])
session.append([1, 2, 3])
assert library.call("gemel_threads_open", 1, out) == 0
handles = {
    "model": model._handle._address, "session": session._handle._address, "sampler": sampler.handle._address,
    "loader": header._owner._address, "gguf": model._gguf, "threads": pointer_at(library, out),
    "grammar": grammar._rules.handle._address,
}
assert all(handles.values()), handles
of_model = ("gemel_grammar_open", "gemel_grammar_choices")
pointer, number = (room, 1) if how == "no handle" else (None, 0)
kinds = {"p": pointer, "s": pointer, "d": float(number), "f": float(number)}
for name in names:
    print(name, end=" ", flush=True)
    kind = "model" if name in of_model else name.split("_")[1]
    handle = handles.get(kind, model._handle._address) if how == "handle alone" else None
    found = library.call(name, handle, *(kinds.get(code, number) for code in abi.FUNCTIONS[name][1][1:]))
    print(json.dumps(found), flush=True)
"""
TAKES_HANDLE = [name for name, (_, codes) in abi.FUNCTIONS.items() if codes[:1] == "p"]


def called(how: str, names: list[str], folder: Path) -> dict[str, object]:
    path = folder / "tiny.gguf"
    path.write_bytes(tiny_bytes())
    done = building.execute([sys.executable, "-c", CALLS, how, str(path), *names])
    assert done.returncode == 0, f"exit {done.returncode}, after:\n{done.stdout[-300:]}"
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == names
    return {name: json.loads(value) for name, value in lines}


@pytest.mark.parametrize("how", ["nothing", "no handle"])
def test_without_a_handle_every_call_says_that_it_is_an_argument(how: str, tmp_path: Path) -> None:
    assert len(TAKES_HANDLE) > 75
    refusals = {"i": abi.E_ARGUMENT, "d": float(abi.E_ARGUMENT), "z": 0}
    wanted = {name: refusals.get(abi.FUNCTIONS[name][0]) for name in TAKES_HANDLE}
    assert called(how, TAKES_HANDLE, tmp_path) == wanted


def test_with_a_handle_alone_no_call_crashes(tmp_path: Path) -> None:
    names = [name for name in TAKES_HANDLE if not name.endswith(("_close", "_after_fork"))]
    found = called("handle alone", names, tmp_path)
    assert {found[name] for name in ("gemel_model_get", "gemel_session_next", "gemel_model_step")} == {abi.E_ARGUMENT}
