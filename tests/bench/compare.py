"""gemel beside llama.cpp, ik_llama.cpp and OpenVINO GenAI: the same files and threads, in one run, in turn.

    python tests/bench/compare.py MODEL ... [--peer-python PYTHON] ... [--results FILE.json] [--quick]
    python tests/bench/compare.py --results FILE.json --redraw [--markdown OUT.md] [--svg OUT.svg]
    python tests/bench/compare.py --make FOLDER MODEL.gguf --peer-python PYTHON    makes the files of other formats

Peers are what the Pythons named (and this one) can import: llama-cpp-python, ik-llama-cpp-python, openvino-genai. Those
that none has are named and left out. KV caches are F16, except those of gemel and OpenVINO, which have 8 bits, and of
peers that are named so. Each engine and setting is a separate process that waits for its turn: only one computes at a
time, and every repetition begins with another. The ratio is gemel's median over the best peer's. With --results each
measurement is kept as soon as it is taken; the same command goes on where it ended.

    open        a warm file in a fresh process: seconds, and memory of the process beyond what it was before; KV apart
    prefill     logits of the last id only; one micro-batch of llama.cpp's is 512 ids
    decode      one id at a time, greedy, beginning after one id or after --depth ids; gemel's includes detokenising
    sessions    greedy decoding of several texts at once, after 16 ids each; tokens of all together
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import compare_models
import compare_report
from compare_cases import TESTS, Case
from compare_peers import (
    GEMEL,
    PEERS,
    READING,
    Engine,
    EngineError,
    Process,
    busy,
    find,
    gemel_cache,
    gemel_row,
    opening,
)

PROMPT = 16     # ids of a session before it decodes with others
WARM_UP = 8     # ids of a warm-up's decoding
QUICK = {"prefill": 64, "decode": 16, "depths": [256], "reps": 2}


def say(line: str) -> None:
    """Tell a person, at once."""
    print(line, file=sys.stderr, flush=True)


# ---- Measuring one file ----------------------------------------------------------------------------------------------


class Run:
    """The measurements of one file, taken by all engines in turn and noted in `entry`, which is saved after each."""

    def __init__(
        self, model: Path, entry: dict[str, Any], save: Callable[[], None], engines: dict[Engine, str]
    ) -> None:
        self.model, self.entry, self.save, self.engines = model, entry, save, engines
        self.failed: set[str] = set(entry["failed"])

    def measure(self, cases: Sequence[Case], reps: int) -> None:
        """Take what is missing of `reps` repetitions of each case."""
        for case in cases:
            self.entry["cases"].setdefault(case.key, {"case": vars(case), "samples": {}})
        opens, others = [c for c in cases if c.test == "open"], [c for c in cases if c.test != "open"]
        for rep in range(reps):
            for case in opens:
                for engine in self._turn(rep):
                    if self._lacks(engine, case, rep):
                        self._open(engine, case)
        if any(self._lacks(engine, case, reps - 1) for engine in self.engines for case in others):
            self._measure_speeds(others, reps)

    def _turn(self, rep: int) -> list[Engine]:
        names = [engine for engine in self.engines if engine.name not in self.failed]
        at = rep % max(len(names), 1)
        return names[at:] + names[:at]

    def _samples(self, engine: Engine, case: Case) -> list[dict[str, float]]:
        samples: list[dict[str, float]] = self.entry["cases"][case.key]["samples"].setdefault(engine.name, [])
        return samples

    def _lacks(self, engine: Engine, case: Case, rep: int) -> bool:
        if engine.name in self.failed or case.test in engine.without:
            return False
        return len(self._samples(engine, case)) <= rep

    def _fail(self, engine: Engine, error: EngineError) -> None:
        say(f"{self.model.name}: {engine.name} failed: {error}")
        self.failed.add(engine.name)
        self.entry["failed"][engine.name] = str(error)
        self.save()

    def _open(self, engine: Engine, case: Case) -> None:
        try:
            self._samples(engine, case).append(opening(engine, self.engines[engine], self.model, case.threads))
        except EngineError as error:
            self._fail(engine, error)
        self.save()

    def _measure_speeds(self, cases: Sequence[Case], reps: int) -> None:
        with ExitStack() as stack:
            processes: dict[Engine, Process] = {}
            for engine in self._turn(0):
                process = stack.enter_context(Process(engine, self.engines[engine], self.model, cases[0].threads))
                try:
                    self.entry["engines"][engine.name] = process.ready()
                    processes[engine] = process
                except EngineError as error:
                    self._fail(engine, error)
            self._warm_up(cases, processes, reps)
            for rep in range(reps):
                if (share := busy()) is not None:
                    self.entry["others"].append(share)
                for case in cases:
                    for engine in self._turn(rep):
                        if self._lacks(engine, case, rep):
                            self._time(processes[engine], case, rep)
                say(f"{self.model.name}: {rep + 1} of {reps}")

    def _warm_up(self, cases: Sequence[Case], processes: dict[Engine, Process], reps: int) -> None:
        """Touch all code and memory, and fill the caches of those that are to be measured at depth, by most threads."""
        for case in sorted(cases, key=lambda case: -case.threads):
            short = min(case.n, WARM_UP * case.sessions) if case.test != "prefill" else case.n
            part = Case(case.test, short, case.depth, case.sessions, case.threads)
            for engine in self._turn(0):
                if self._lacks(engine, case, reps - 1):
                    say(f"{self.model.name}: warming up {case.title}, {case.threads} threads: {engine.name}")
                    self._time(processes[engine], part, -1)

    def _time(self, process: Process, case: Case, rep: int) -> None:
        """Run a case; a warm-up (rep -1) is not noted."""
        try:
            seconds = process.run(case, rep + 2)
        except EngineError as error:
            self._fail(process.engine, error)
            return
        if rep >= 0:
            self._samples(process.engine, case).append({"tok_s": case.n / seconds})
            self.save()


# ---- What is asked for -----------------------------------------------------------------------------------------------


def cases_of(given: argparse.Namespace) -> list[Case]:
    """Return the cases, by test, then by threads."""
    return [case for threads in given.threads for case in _cases(given, threads)]


def _cases(given: argparse.Namespace, threads: int) -> Iterator[Case]:
    tests, n = given.tests, given.decode
    if "open" in tests:
        yield Case("open", 1, 0, 1, threads)
    if "prefill" in tests:
        yield Case("prefill", given.prefill, 0, 1, threads)
    if "decode" in tests:
        yield Case("decode", n, 0, 1, threads)
    if "depth" in tests:
        for depth in given.depths:
            yield Case("decode", n, depth, 1, threads)
    if "sessions" in tests:
        yield Case("sessions", max(n // 2, 1) * given.sessions, PROMPT, given.sessions, threads)


def fitting(model: Path, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that the model's context has room for; name the others."""
    import gemel

    with gemel.inspect(model) as gguf:
        n_ctx = gguf.metadata.get(f"{gguf.metadata.get('general.architecture')}.context_length")
    if not isinstance(n_ctx, int):
        return list(cases)
    room = {case: max(case.depth, 1) + case.n // case.sessions + 1 <= n_ctx for case in cases}
    for title in dict.fromkeys(case.title for case, fits in room.items() if not fits):
        say(f"{model.name}: {title} is left out: the model's context is {n_ctx} tokens")
    return [case for case, fits in room.items() if fits]


def numbers(text: str) -> list[int]:
    """Parse 1,2."""
    if not all(word.isdigit() and int(word) > 0 for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}: numbers over 0, such as 1,2")
    return [int(word) for word in text.split(",")]


def tests(text: str) -> list[str]:
    """Parse prefill,decode."""
    if unknown := [word for word in text.split(",") if word not in TESTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(TESTS)}")
    return text.split(",")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="files, or what gemel.pull takes; with --redraw: only these of them")
    add("--peer-python", action="append", default=[], metavar="PYTHON", help="one that has peers; may be repeated")
    add("--tests", type=tests, default=list(TESTS), metavar="NAME,...", help=f"of {', '.join(TESTS)}; default all")
    add("--engines", metavar="NAME;...", help="of " + "; ".join(e.name for e in PEERS) + "; default all that there are")
    add("--gemel-isa", action="append", default=[], metavar="ROW", help="gemel once more, with these kernels")
    add("--gemel-kv", action="append", default=[], metavar="TYPE", help="gemel once more, with this cache, such as f16")
    add("--reading", action="store_true", help="also read the weights of the decoded tokens and do nothing else")
    add("-p", "--prefill", type=int, default=512, metavar="N", help="ids of a prompt (default 512)")
    add("-n", "--decode", type=int, default=128, metavar="N", help="ids decoded (default 128)")
    add("-d", "--depths", type=numbers, default=[1024, 4096], metavar="N,...", help="default 1024,4096")
    add("--sessions", type=int, default=8, metavar="N", help="texts decoded at once (default 8)")
    add("-t", "--threads", type=numbers, default=[1, 2], metavar="N,...", help="default 1,2")
    add("--reps", type=int, default=5, metavar="N", help="measurements of each case (default 5)")
    add("--quick", action="store_true", help="-p 64 -n 16 -d 256 --reps 2: whether it works, not how fast it is")
    add("--results", type=Path, metavar="FILE.json", help="keep every measurement there; go on with what is there")
    add("--markdown", type=Path, metavar="FILE.md", help="write the tables there as well")
    add("--svg", type=Path, metavar="FILE.svg", help="draw them")
    add("--redraw", action="store_true", help="measure nothing: tables and drawing of --results")
    add("--make", type=Path, metavar="FOLDER", help="make files of other formats of MODEL.gguf, and a random model")
    add("--formats", default=",".join(compare_models.KINDS), metavar="NAME,...", help="what --make makes; default all")
    given = parser.parse_args()
    if given.quick:
        parser.set_defaults(**QUICK)
        given = parser.parse_args()
    check(parser, given)
    return given


def check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """End with a usage error for an invalid command line."""
    if min(given.prefill, given.decode, given.reps) < 1 or given.sessions < 2:
        parser.error("-p, -n and --reps are at least 1, --sessions at least 2")
    if given.redraw and not given.results:
        parser.error("--redraw needs --results")
    if not given.redraw and not given.models:
        parser.error("a MODEL.gguf is needed")
    given.models = [Path(m) if given.redraw else compare_models.file_of(m, parser) for m in given.models]
    if given.make and len(given.models) != 1:
        parser.error("--make takes one MODEL.gguf")
    if unknown := set(given.formats.split(",")) - set(compare_models.KINDS):
        parser.error(f"--formats {unknown.pop()!r} is not one of {', '.join(compare_models.KINDS)}")
    names = [engine.name for engine in PEERS]
    if unknown := {name.strip() for name in (given.engines or "").split(";") if name.strip()} - set(names):
        parser.error(f"--engines {unknown.pop()!r} is not one of {'; '.join(names)}")


def engines_of(given: argparse.Namespace) -> tuple[dict[Engine, str], dict[str, str]]:
    """Return the engines to run and their Pythons, and why others are missing."""
    wanted = [name.strip() for name in given.engines.split(";")] if given.engines else None
    peers = [engine for engine in PEERS if wanted is None or engine.name in wanted]
    found, missing = find(peers, [sys.executable, *given.peer_python])
    own = [GEMEL, *[READING] * given.reading, *map(gemel_row, given.gemel_isa), *map(gemel_cache, given.gemel_kv)]
    return {**dict.fromkeys(own, sys.executable), **found}, missing


# ---- The whole run ---------------------------------------------------------------------------------------------------


def load(path: Path | None) -> dict[str, Any]:
    """Return earlier results, or none."""
    if path is None or not path.exists():
        return {"files": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or "files" not in found:
        raise SystemExit(f"--results {path}: this is no file of results")
    return found


def save(results: dict[str, Any], path: Path | None) -> None:
    """Write the results, whole or not at all."""
    if path is not None:
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)


def measure(given: argparse.Namespace, results: dict[str, Any]) -> None:
    """Measure every file into `results`."""
    from gemel_native.machine import machine

    engines, missing = engines_of(given)
    for name, why in missing.items():
        say(f"{name} is left out: {why}")
    for model in given.models:
        fresh = {"size": model.stat().st_size, "engines": {}, "failed": {}, "others": [], "cases": {}}
        entry = results["files"].setdefault(model.name, fresh)
        if entry["size"] != model.stat().st_size:
            raise SystemExit(f"--results has measurements of another {model.name}: name another file of results")
        entry.update(machine=machine(), missing=missing, failed={})
        entry["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
        cases = fitting(model, cases_of(given))
        Run(model, entry, lambda: save(results, given.results), engines).measure(cases, given.reps)
        save(results, given.results)


def main() -> None:
    """Make files, measure, or redraw."""
    given = arguments()
    if given.make:
        compare_models.make_all(given.models[0], given.make, given.formats.split(","), given.peer_python)
        return
    results = load(given.results)
    if not given.redraw:
        measure(given, results)
    names = {model.name for model in given.models} or set(results["files"])
    if unknown := names - set(results["files"]):
        raise SystemExit(f"--results has no measurements of {unknown.pop()}")
    files = {name: entry for name, entry in results["files"].items() if name in names}
    print(compare_report.text(files))
    if given.markdown:
        given.markdown.write_text(compare_report.markdown(files), encoding="utf-8")
    if given.svg:
        given.svg.write_text(compare_report.svg(files), encoding="utf-8")


if __name__ == "__main__":
    main()
