"""Thousands of damaged and lying model files: each is refused with a sentence, or works, on all instruction sets alike.

tests/hostile.py makes them, tests/open_hostile.py opens them in a separate process: a crash fails the file that was
open.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter

import building
import hostile
import pytest
from gemel.core import slots
from open_hostile import SECONDS, Verdict, works

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="time and memory are bounded by what POSIX has")
CRASHES_MAX = 5


def verdicts(half: str, step: int) -> dict[int, Verdict]:
    """Open every step-th file of a half, in a new process after each crash; return what became of them."""
    found: dict[int, Verdict] = {}
    first = crashes = 0
    while crashes < CRASHES_MAX:
        program = building.ROOT / "tests" / "open_hostile.py"
        done = building.execute(
            [sys.executable, program, half, str(first), str(step)], env={"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        found |= {line[0]: Verdict(*line[1:]) for line in lines if len(line) == 3}
        if not done.returncode:
            break
        assert lines, done.stdout
        number, crashes = lines[-1][0], crashes + 1
        said = "\n".join(line for line in done.stdout.splitlines()[-40:] if not line.startswith("["))
        hung = -done.returncode in (signal.SIGALRM, signal.SIGPROF)
        what = f"hung for {SECONDS} s" if hung else f"ended with {done.returncode}"
        found[number] = Verdict("", f"the process {what}\n{said}")
        first = number + step
    return found


@pytest.mark.parametrize("step", [pytest.param(1, id="all", marks=pytest.mark.slow), pytest.param(29, id="some")])
@pytest.mark.parametrize("half", hostile.BASES)
@pytest.mark.long
def test_a_hostile_file_is_refused_or_works(half: str, step: int) -> None:
    cases, found = hostile.cases(half), verdicts(half, step)
    wrong = [f"{cases[i]}: {verdict.said} {verdict.wrong}" for i, verdict in found.items() if verdict.wrong]
    assert not wrong, f"{len(wrong)} files, among them\n" + "\n".join(wrong[:10])
    assert len(found) == len(range(0, len(cases), step))


@pytest.mark.parametrize(("half", "name"), [(half, name) for half, bases in hostile.BASES.items() for name in bases])
def test_what_hostile_files_are_made_of_works(half: str, name: str) -> None:
    assert works(half, name)


def test_every_tensor_and_key_of_the_core_is_in_some_file() -> None:
    specs = [hostile.base(half, name) for half, bases in hostile.BASES.items() for name in bases]
    tensors = {re.sub(r"^blk\.\d+\.", "", str(tensor.name)) for spec in specs for tensor in spec.tensors}
    keys = {str(pair[0]).partition(".")[2] for spec in specs for pair in spec.pairs}
    source = "".join(path.read_text() for path in (building.ROOT / "core_c" / "src" / "arch").glob("*.c"))
    looked_up = set(re.findall(r'keys_(?!refuse\()\w+\(r, "([a-z0-9_.]+)"', source))
    assert {re.sub(r"^blk\.\d+\.", "", name) for name, *_ in slots.SLOTS.values()} - tensors == set()
    assert looked_up - keys == set()


def test_every_key_and_tensor_is_changed_in_every_way() -> None:
    for half, bases in hostile.BASES.items():
        n = Counter((case.base, case.mutator) for case in hostile.cases(half))
        for name in bases:
            spec = hostile.base(half, name)
            assert {n[name, f"key {what}"] for what in hostile.KEYS} == {len(spec.pairs)}
            assert {n[name, f"tensor {what}"] for what in hostile.TENSORS} == {len(spec.tensors)}
