"""gemel beside llama.cpp, on the same file, the same ids and the same number of threads, in one run.

    python tests/bench/compare.py MODEL.gguf [--peer-python PYTHON] [-p 512] [-n 128] [-t 1,2] [--reps 5]

Each engine is a process of its own that waits for its turn: only one computes at a time, and after every repetition
another one begins. llama.cpp (through llama-cpp-python's low-level calls) runs with flash attention off and on; the
ratio is taken against the faster of the two. A table goes to stderr, JSON to stdout.

Prefill: logits of the last id only. Decoding: greedy, one id at a time; gemel's includes detokenising.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

ENGINES = ("gemel", "llama.cpp", "llama.cpp, flash attention")
PAUSE = 0.1      # seconds between turns: threads of the last engine stop looking for work
N_BATCH = 512    # llama.cpp's n_batch and n_ubatch
WARM_UP = 8      # ids of a warm-up's decoding


# ---- Workers: one engine each, told what to run by lines of JSON -----------------------------------------------------


def gemel_worker(model_path: str, needed: int) -> tuple[dict[str, Any], Callable[[str, int, int], float]]:
    """Return (facts, run(test, n, threads) -> seconds) of gemel."""
    import gemel
    from gemel_native.bench import Case, Runner

    model = gemel.open(model_path, threads=1)
    widest = [Case(test, needed, 0, 1, model.isa) for test in ("prefill", "decode")]
    runner = Runner(model, widest)

    def run(test: str, n: int, threads: int) -> float:
        case = Case("prefill" if test == "prefill" else "decode", n, 0, threads, model.isa)
        runner.prepare(case)
        return runner.seconds(case)

    return {"version": gemel.__version__, "isa": model.isa}, run


class Llama:
    """llama.cpp through its C API."""

    def __init__(self, model_path: str, needed: int, *, flash: bool) -> None:
        self.api: Any = importlib.import_module("llama_cpp")
        self._log = self.api.llama_log_callback(lambda *_: None)
        self.api.llama_log_set(self._log, None)
        self.api.llama_backend_init()
        options = self.api.llama_model_default_params()
        options.n_gpu_layers = 0
        self.model = self.api.llama_model_load_from_file(os.fsencode(model_path), options)
        if not self.model:
            raise SystemExit(f"llama.cpp can't load {model_path}")
        settings = self.api.llama_context_default_params()
        settings.n_ctx = needed + 1
        settings.n_batch = settings.n_ubatch = N_BATCH
        settings.flash_attn_type = int(flash)
        settings.no_perf = True
        self.context = self.api.llama_init_from_model(self.model, settings)
        self.memory = self.api.llama_get_memory(self.context)
        self.sampler = self.api.llama_sampler_chain_init(self.api.llama_sampler_chain_default_params())
        self.api.llama_sampler_chain_add(self.sampler, self.api.llama_sampler_init_greedy())
        n_vocab = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self.model))
        numbers = random.Random(0)
        self.ids = (ctypes.c_int32 * needed)(*(numbers.randrange(n_vocab) for _ in range(needed)))

    def evaluate(self, ids: Any, n: int) -> None:  # noqa: ANN401
        """Evaluate n ids at once, at most n_batch, and wait for the end."""
        if self.api.llama_decode(self.context, self.api.llama_batch_get_one(ids, n)):
            raise SystemExit("llama_decode failed")
        self.api.llama_synchronize(self.context)

    def run(self, test: str, n: int, threads: int) -> float:
        """Return the seconds of one test, after one id that wakes the threads."""
        self.api.llama_set_n_threads(self.context, threads, threads)
        self.api.llama_memory_clear(self.memory, True)
        self.evaluate(self.ids, 1)
        return self._prefill(n) if test == "prefill" else self._generate(n)

    def _prefill(self, n: int) -> float:
        self.api.llama_memory_clear(self.memory, True)
        parts = [(ctypes.c_int32 * min(N_BATCH, n - at)).from_buffer(self.ids, 4 * at) for at in range(0, n, N_BATCH)]
        start = time.perf_counter()
        for part in parts:
            self.evaluate(part, len(part))
        return time.perf_counter() - start

    def _generate(self, n: int) -> float:
        decode, one = self.api.llama_decode, self.api.llama_batch_get_one
        sample, sampler, context = self.api.llama_sampler_sample, self.sampler, self.context
        drawn = (ctypes.c_int32 * 1)(sample(sampler, context, -1))
        batch = one(drawn, 1)
        start = time.perf_counter()
        for _ in range(n):
            decode(context, batch)
            drawn[0] = sample(sampler, context, -1)   # waits for the logits
        return time.perf_counter() - start

    def facts(self) -> dict[str, Any]:
        """Return what was compared with."""
        system = self.api.llama_print_system_info()
        return {"version": f"llama-cpp-python {self.api.__version__}", "system": system.decode()}


def work(engine: str, model_path: str, needed: int) -> None:
    """Answer lines of stdin until it ends; what the engine prints itself goes to stderr."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run: Callable[[str, int, int], float]
    if engine == "gemel":
        facts, run = gemel_worker(model_path, needed)
    else:
        llama = Llama(model_path, needed, flash="flash" in engine)
        facts, run = llama.facts(), llama.run
    print(json.dumps(facts), file=replies, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(run(asked["test"], asked["n"], asked["threads"])), file=replies, flush=True)


# ---- The one who gives the turns -------------------------------------------------------------------------------------


class Engine:
    """A worker process. A context manager."""

    def __init__(self, name: str, python: str, model_path: str, needed: int) -> None:
        self.name = name
        command = [python, __file__, model_path, "--worker", name, "--needed", str(needed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts: dict[str, Any] = self._reply()

    def run(self, test: str, n: int, threads: int) -> float:
        """Return the seconds of one test."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"test": test, "n": n, "threads": threads}) + "\n")
        self._process.stdin.flush()
        seconds = float(self._reply())
        time.sleep(PAUSE)
        return seconds

    def _reply(self) -> Any:  # noqa: ANN401
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.name} ended; --peer-python is a Python that imports llama_cpp")
        return json.loads(line)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def compare(engines: list[Engine], cases: list[tuple[str, int, int]], reps: int) -> list[dict[str, Any]]:
    """Return one row a case: tokens a second of each engine, and gemel's over the best other's."""
    speeds: dict[tuple[str, int, int], dict[str, list[float]]] = {
        case: {engine.name: [] for engine in engines} for case in cases
    }
    for test, n, threads in cases:
        for engine in engines:
            engine.run(test, n if test == "prefill" else min(n, WARM_UP), threads)
    for rep in range(reps):
        turn = rep % len(engines)
        for test, n, threads in cases:
            for engine in engines[turn:] + engines[:turn]:
                speeds[test, n, threads][engine.name].append(n / engine.run(test, n, threads))
    return [_row(*case, found, reps) for case, found in speeds.items()]


def _row(test: str, n: int, threads: int, found: dict[str, list[float]], reps: int) -> dict[str, Any]:
    medians = {name: median(speeds) for name, speeds in found.items()}
    others = [speed for name, speed in medians.items() if name != "gemel"]
    return {
        "test": test, "n": n, "threads": threads, "reps": reps, "tok_s": medians,
        "min": {name: min(speeds) for name, speeds in found.items()},
        "max": {name: max(speeds) for name, speeds in found.items()},
        "ratio": medians["gemel"] / max(others),
    }   # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table for people."""
    heads = ["test", "n", "threads", *ENGINES, "ratio"]
    lines = [heads]
    for row in rows:
        speeds = [f"{row['tok_s'][name]:.1f}" for name in ENGINES]
        lines.append([row["test"], str(row["n"]), str(row["threads"]), *speeds, f"{row['ratio']:.2f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)), file=sys.stderr)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="gemel beside llama.cpp: prefill and decoding, tokens a second")
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that can import llama_cpp")
    parser.add_argument("-p", "--prefill", type=int, default=512, metavar="N")
    parser.add_argument("-n", "--decode", type=int, default=128, metavar="N")
    parser.add_argument("-t", "--threads", default="1,2", metavar="N,...")
    parser.add_argument("--reps", type=int, default=5, metavar="N")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--needed", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if min(given.prefill, given.decode, given.reps) < 1:
        parser.error("-p, -n and --reps are at least 1")
    if not all(word.isdigit() and int(word) > 0 for word in given.threads.split(",")):
        parser.error(f"--threads {given.threads!r}: numbers, such as 1,2")
    if not Path(given.model).is_file():
        parser.error(f"there is no file {given.model!r}")
    return given


def main() -> None:
    """Run the comparison, or be one of its workers."""
    given = arguments()
    if given.worker:
        work(given.worker, given.model, given.needed)
        return
    from contextlib import ExitStack

    from gemel_native.machine import machine

    needed = max(given.prefill, given.decode) + 1
    threads = [int(word) for word in given.threads.split(",")]
    cases = [("prefill", given.prefill, count) for count in threads]
    cases += [("decode", given.decode, count) for count in threads]
    with ExitStack() as stack:
        engines = [
            stack.enter_context(
                Engine(name, sys.executable if name == "gemel" else given.peer_python, given.model, needed)
            )
            for name in ENGINES
        ]
        facts = {engine.name: engine.facts for engine in engines}
        rows = compare(engines, cases, given.reps)
    show(rows)
    print(json.dumps({"machine": machine(), "model": given.model, "engines": facts, "rows": rows}))


if __name__ == "__main__":
    main()
