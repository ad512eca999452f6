"""Time a model with a draft model: `python tests/bench/draft_models.py MODEL DRAFT [--llama PYTHON] [--server PYTHON]`.

Tasks of drafts.py, greedy and at temperature 1, with repeats only and with the draft, too, in turns; answers must be
the same. --llama: a Python with llama-cpp-python, in which a second Llama drafts greedily, --count ids at a time,
through its draft_model. --server: a Python with xllamacpp, llama-server's core, whose own speculative decoding drafts
up to --count ids. Times are those of decoding: from the first id to the last; the median of --rounds counts, each with
another seed. The bound is what the ids drafted and drawn, the time of a draft's token and the times of passes of 1 to 8
rows give if nothing else takes time; these times are measured before and after each answer with the draft.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import gemel

PAIRS = ("plain", "draft")


def gemel_worker(model: str, draft: str, threads: int) -> Any:  # noqa: ANN401
    """Return a function that answers ids: (ids drawn, seconds, drafts). Without ids: costs() as drafts."""
    import gemel

    by, beside = (gemel.open(draft, threads=threads, draft=False) for _ in range(2))
    models = {"plain": gemel.open(model, threads=threads), "draft": gemel.open(model, threads=threads, draft=by)}

    def answered(ids: list[int], n: int, temperature: float, seed: int, how: str) -> tuple[list[int], float, Any]:
        if not ids:
            return [], 0.0, costs(models["plain"], beside)
        with models[how].session() as session:
            session.sync(ids)
            answer = session.generate(ids, max_tokens=n, temperature=temperature, seed=seed)
            answer.step()
            start = time.perf_counter()
            answer.read()
            return answer.ids, time.perf_counter() - start, answer.timings.drafts

    return answered


def costs(model: gemel.Model, draft: gemel.Model, n_past: int = 100) -> list[float]:
    """Return the seconds of a draft's token, and of passes of 1 to 8 rows of the model with logits: medians of 4."""

    def timed(one: gemel.Model, n: int) -> float:
        sessions = [one.session(n_past + 32)]
        sessions[0].sync(list(range(100, 100 + n_past)))
        sessions += [sessions[0].fork() for _ in range(n - 1)]
        times = []
        for i in range(5):
            start = time.perf_counter()
            one.decode(sessions, [200 + i] * n)
            times.append(time.perf_counter() - start)
        for session in sessions:
            session.close()
        return statistics.median(times[1:])

    return [timed(draft, 1), *(timed(model, n) for n in range(1, 9))]


def bound(n: int, drafts: dict[str, list[int]], of_draft: float, passes: list[float]) -> float:
    """Return the least seconds of n ids after the first, of which some were drafted."""
    drafted, drawn = (sum(one[i] for one in drafts.values()) for i in (0, 1))
    n_passes = max(1, n - drawn)
    rows = 1 + drafted / n_passes
    low = min(int(rows), len(passes) - 1)
    between = passes[low - 1] + (passes[low] - passes[low - 1]) * (rows - low)
    return drafts.get("model", [0, 0])[0] * of_draft + n_passes * between


SERVER = """
import json, sys, time, urllib.request, xllamacpp
model, draft, threads, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def served(by):
    p = xllamacpp.CommonParams()
    p.model.path, p.n_parallel, p.n_ctx, p.port = model, 1, 2048, 0
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    if by:
        p.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        d = p.speculative.draft
        d.mparams.path, d.n_max = draft, count
        d.cpuparams.n_threads = d.cpuparams_batch.n_threads = threads
        for one in (p.cpuparams, p.cpuparams_batch, d.cpuparams, d.cpuparams_batch):
            one.poll = 0   # two pools that wait busily would share the CPUs
    return xllamacpp.Server(p)
servers = {"plain": served(False), "draft": served(True)}
for line in sys.stdin:
    asked = json.loads(line)
    body = {"prompt": asked["ids"], "n_predict": asked["n"], "temperature": asked["temperature"], "seed": asked["seed"],
            "top_k": 40 if asked["temperature"] else 1, "return_tokens": True, "cache_prompt": False}
    url = servers[asked["way"]].listening_address + "/completion"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    said = json.load(urllib.request.urlopen(request))
    times = said["timings"]
    seconds = times["predicted_ms"] / 1000
    drafts = [times.get("draft_n", 0), times.get("draft_n_accepted", 0)]
    print(json.dumps({"ids": said["tokens"], "seconds": seconds, "drafts": drafts}), flush=True)
"""


def llama_worker(model: str, draft: str, threads: int, count: int) -> Any:  # noqa: ANN401
    """Return the same of llama.cpp."""
    import numpy as np
    from llama_cpp import Llama
    from llama_cpp.llama_speculative import LlamaDraftModel

    how: dict[str, Any] = {"n_ctx": 2048, "n_threads": threads, "n_threads_batch": threads, "verbose": False}
    by = Llama(draft, **how)
    counts = [0, 0]

    class Drafter(LlamaDraftModel):  # type: ignore[misc]
        def __call__(self, input_ids: Any, /, **_: Any) -> Any:  # noqa: ANN401
            made = []
            for id in by.generate([int(one) for one in input_ids], temp=0.0, top_k=1):
                made.append(id)
                if len(made) == count:
                    break
            counts[0] += len(made)
            return np.array(made, dtype=np.intc)

    models = {"plain": Llama(model, **how), "draft": Llama(model, draft_model=Drafter(), **how)}

    def answered(ids: list[int], n: int, temperature: float, seed: int, way: str) -> tuple[list[int], float, Any]:
        one, found = models[way], []
        one.reset()
        one.set_seed(seed)
        counts[:] = 0, 0
        start = 0.0
        options = {"temp": temperature, "top_k": 40 if temperature else 1}
        for id in one.generate(ids, **options):
            start = start or time.perf_counter()
            found.append(id)
            if len(found) == n or id == one.token_eos():
                break
        return found, time.perf_counter() - start, {"drafted": counts[0]}

    return answered


def work(given: argparse.Namespace) -> None:
    """Answer requests from stdin."""
    if given.work == "gemel":
        answered = gemel_worker(given.model, given.draft, given.threads)
    else:
        answered = llama_worker(given.model, given.draft, given.threads, given.count)
    for line in sys.stdin:
        ids, seconds, drafts = answered(**json.loads(line))
        print(json.dumps({"ids": ids, "seconds": seconds, "drafts": drafts}), flush=True)


class Turn(NamedTuple):
    """Answers by engine and way, and the seconds of a draft's token and of passes while they were made."""

    runs: dict[tuple[str, str], dict[str, Any]]
    times: list[float]

    def speed(self, pair: tuple[str, str]) -> float:
        """Return tokens per second."""
        seconds: float = self.runs[pair]["seconds"]
        return (len(self.runs[pair]["ids"]) - 1) / seconds

    def bound(self) -> float:
        """Return the most tokens per second that gemel's drafts allow."""
        run = self.runs["gemel", "draft"]
        n = len(run["ids"]) - 1
        return n / bound(n, run["drafts"], self.times[0], self.times[1:])


def shown(pair: tuple[str, str]) -> str:
    """Name an engine and its way: gemel's plain one drafts from repeats."""
    return " ".join(pair).replace("gemel plain", "gemel repeats")


def said(turns: list[Turn]) -> str:
    """Return medians of some rounds; of ratios, those within a round."""
    median = statistics.median
    own = ("gemel", "draft")
    parts = [f"{len(turns)} rounds; tok/s"]
    parts += [f"{shown(pair)} {median(one.speed(pair) for one in turns):.1f}" for pair in turns[0].runs]
    parts.append(f"bound {median(one.bound() for one in turns):.1f}")
    shares = sorted(one.speed(own) / one.bound() for one in turns)
    parts.append(f"of it {median(shares):.0%} ({shares[0]:.0%} to {shares[-1]:.0%})")
    for pair in turns[0].runs:
        if pair != own:
            ratios = sorted(one.speed(own) / one.speed(pair) for one in turns)
            parts.append(f"{median(ratios):.2f}x {shown(pair)} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    of_draft, *passes = (1000 * median(column) for column in zip(*(one.times for one in turns), strict=True))
    parts.append(f"a draft's token {of_draft:.1f} ms, rows {' '.join(f'{one:.1f}' for one in passes)} ms")
    parts += [f"{shown(p)} {[one.runs[p]['drafts'] for one in turns]}" for p in turns[0].runs if "draft" in p]
    return ", ".join(parts)


class Engines:
    """Processes that answer."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.processes = {"gemel": self._start(sys.executable, [__file__, *sys.argv[1:], "--work", "gemel"])}
        if given.llama:
            self.processes["llama"] = self._start(given.llama, [__file__, *sys.argv[1:], "--work", "llama"])
        if given.server:
            arguments = ["-c", SERVER, given.model, given.draft, str(given.threads), str(given.count)]
            self.processes["server"] = self._start(given.server, arguments, stderr=subprocess.DEVNULL)

    def _start(self, python: str, arguments: list[str], stderr: int | None = None) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([python, *arguments], stdin=pipe, stdout=pipe, stderr=stderr, text=True)

    def ask(self, engine: str, ids: list[int], n: int, temperature: float, seed: int, how: str) -> dict[str, Any]:
        """Let one answer. gemel without ids: its costs."""
        process = self.processes[engine]
        assert process.stdin is not None
        assert process.stdout is not None
        key = "how" if engine == "gemel" else "way"
        asked = {"ids": ids, "n": n, "temperature": temperature, "seed": seed, key: how}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found

    def _costs(self, *, is_wanted: bool) -> list[list[float]]:
        return [self.ask("gemel", [], 0, 0, 0, "plain")["drafts"]] if is_wanted else []

    def ways(self, engine: str) -> list[str]:
        """Return how an engine is asked."""
        return list(PAIRS if engine == "gemel" else self.given.ways)

    def turn(self, ids: list[int], temperature: float, seed: int) -> Turn:
        """Let each answer."""
        runs, times = {}, []
        for engine in self.processes:
            for how in self.ways(engine):
                is_drafted = (engine, how) == ("gemel", "draft")
                times += self._costs(is_wanted=is_drafted)
                runs[engine, how] = self.ask(engine, ids, self.given.tokens, temperature, seed, how)
                times += self._costs(is_wanted=is_drafted)
        if runs["gemel", "draft"]["ids"] != runs["gemel", "plain"]["ids"]:
            raise SystemExit(f"temperature {temperature:g}, seed {seed}: drafts changed the answer")
        return Turn(runs, [statistics.mean(column) for column in zip(*times, strict=True)])

    def close(self) -> None:
        """End them."""
        for process in self.processes.values():
            process.terminate()


def measured(engines: Engines, given: argparse.Namespace, prompts: dict[str, list[int]]) -> dict[str, list[Turn]]:
    """Return the rounds of each task and temperature."""
    end, longest = time.monotonic() + given.seconds, 0.0
    for engine in engines.processes:
        for how in engines.ways(engine):
            engines.ask(engine, prompts[given.tasks[0]], 16, 0, 1, how)   # warm
    found: dict[str, list[Turn]] = {}
    for i in range(given.rounds):
        start = time.monotonic()
        if start + longest > end:
            break
        for task in given.tasks:
            for temperature in given.temperatures:
                turns = found.setdefault(f"{task:9} temperature {temperature:g}", [])
                turns.append(engines.turn(prompts[task], temperature, 5 + i))
        longest = max(longest, time.monotonic() - start)
    return found


def main() -> None:
    """Print one line per task and temperature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("draft")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no round that would end later")
    parser.add_argument("--ways", nargs="+", choices=PAIRS, default=PAIRS, help="of llama.cpp")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=["complete", "chat"])
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 1.0])
    parser.add_argument("--llama", metavar="PYTHON")
    parser.add_argument("--server", metavar="PYTHON")
    parser.add_argument("--work", choices=["gemel", "llama"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given)
        return
    import gemel
    from drafts import TASKS

    with gemel.open(given.model, threads=1) as model:
        prompts = {task: model.prompt_ids([{"role": "user", "content": TASKS[task]}]) for task in given.tasks}
    engines = Engines(given)
    try:
        for name, turns in measured(engines, given, prompts).items():
            print(f"{name}: {said(turns)}", flush=True)
    finally:
        engines.close()


if __name__ == "__main__":
    main()
