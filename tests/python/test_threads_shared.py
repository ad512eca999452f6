"""All models of a process share one pool of threads: as many workers as the largest asks for, the same bits, a fork."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel.core import pool as pools
from gemel.core.pool import Pool

OpenTiny = Callable[..., gemel.Model]
IDS = list(range(3, 103))
OTHER: dict[str, Any] = {"seed": 5, "n_layer": 3}
TASKS = Path("/proc/self/task")

COUNTING = """
import os, time
import gemel
from conftest import tiny_bytes

def tasks():
    time.sleep(0.05)   # one that ended may be listed for a moment
    return len(os.listdir("/proc/self/task"))

before = tasks()       # numpy has some, too
def workers():
    return tasks() - before

first = gemel.open(tiny_bytes(), threads=3)
found = [workers()]
second = gemel.open(tiny_bytes(seed=5), threads=4)
for model in (first, second, first):
    model.generate([5, 6, 7], max_tokens=5, temperature=0).read()
found.append(workers())
second.set_threads(2)
first.set_threads(6)
found.append(workers())
first.close()
second.generate([5, 6, 7], max_tokens=5, temperature=0).read()
found.append(workers())
second.close()
found.append(workers())
third = gemel.open(tiny_bytes(), threads=2)
found.append(workers())
print(found)
"""


def logits(model: gemel.Model, ids: list[int]) -> bytes:
    """Return those of a prompt, then of single ids."""
    with model.session(n_ctx=256) as session:
        session.sync(ids[:-5])
        for one in ids[-5:]:
            session.append([one])
        return bytes(memoryview(session.logits()).cast("B"))


@pytest.mark.skipif(not TASKS.exists(), reason="this system does not list threads under /proc")
def test_there_are_as_many_workers_as_the_largest_model_asked_for() -> None:
    """In a separate process, where no other test's model is open."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", COUNTING], env={**os.environ, "PYTHONPATH": tests}, capture_output=True, text=True,
        check=False,
    )
    assert done.stdout == "[2, 3, 5, 5, 0, 1]\n", done.stderr


def test_a_pool_ends_with_its_last_model(tiny_model: OpenTiny) -> None:
    gc.collect()
    before = pools.count(tiny_model()._library)   # of models that other tests keep open, perhaps
    first = tiny_model(threads=before + 2)
    assert (first.threads, pools.count(first._library)) == (before + 2, before + 2)
    second = tiny_model(threads=1, **OTHER)
    assert (second.threads, pools.count(second._library)) == (1, before + 2)
    second.set_threads(before + 3)
    assert (first.threads, second.threads, pools.count(second._library)) == (before + 2, before + 3, before + 3)
    expected = logits(second, IDS)
    first.close()
    assert logits(second, IDS) == expected


def test_passes_of_two_models_interleave_with_the_same_bits(tiny_model: OpenTiny) -> None:
    models = [tiny_model(threads=3), tiny_model(threads=2, **OTHER)]
    expected = [logits(model, IDS) for model in models]
    found: list[list[bytes]] = [[], []]
    barrier = threading.Barrier(2)

    def run(i: int) -> None:
        barrier.wait()
        for n in range(12):
            found[i].append(logits(models[i], IDS))
            if i:
                models[1].set_threads(1 + n % 5)   # the pool grows under the other's passes

    runners = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert found == [[expected[0]] * 12, [expected[1]] * 12]


def test_models_open_and_close_while_another_computes(tiny_model: OpenTiny) -> None:
    model = tiny_model(threads=2)
    expected = logits(model, IDS)
    stop = threading.Event()
    wrong: list[bytes] = []

    def compute() -> None:
        while not stop.is_set():
            if logits(model, IDS) != expected:
                wrong.append(b"")

    runner = threading.Thread(target=compute)
    runner.start()
    for n in range(10):
        other = tiny_model(threads=1 + n % 4, **OTHER)
        logits(other, IDS)
        other.close()
    stop.set()
    runner.join()
    assert not wrong


def test_a_model_that_cannot_be_loaded_leaves_the_pool(tiny_model: OpenTiny) -> None:
    model = tiny_model(threads=2)
    users = _users(model)
    data = tiny_bytes()[:-100]
    for _ in range(3):
        with pytest.raises(gemel.FormatError):
            gemel.open(data, threads=2)
    gc.collect()
    assert _users(model) == users


def _users(model: gemel.Model) -> int:
    pool = model._handle._parent
    assert isinstance(pool, Pool)
    return pool._users


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_computes_with_both_models(tiny_model: OpenTiny) -> None:
    models = [tiny_model(threads=3), tiny_model(threads=2, **OTHER)]
    expected = [logits(model, IDS) for model in models]
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = [logits(model, IDS) for model in models] == expected
            models[1].set_threads(5)
            same &= logits(models[1], IDS) == expected[1]
            for model in models:
                model.close()
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [logits(model, IDS) for model in models] == expected   # and the parent goes on
