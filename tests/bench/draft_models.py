"""Time a model with a draft model: `python tests/bench/draft_models.py MODEL DRAFT [--llama PYTHON] [--server PYTHON]`.

The tasks of drafts.py and more, greedy and at temperature 1, with and without the draft, in turns; answers must be the
same. --llama: a Python with llama-cpp-python, in which a second Llama drafts greedily, --count ids at a time, through
its draft_model. --server: a Python with xllamacpp, llama-server's core, whose own speculative decoding drafts up to
--count ids. Times are those of decoding: from the first id to the last; the median of --rounds counts. The bound is
what the ids drafted and drawn, the time of a draft's token and the times of passes of 1 to 8 rows give if nothing else
takes time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gemel

PAIRS = ("plain", "draft")


def gemel_worker(model: str, draft: str, threads: int) -> Any:  # noqa: ANN401
    """Return a function that answers ids: (ids drawn, seconds, drafts). Without ids: costs() as drafts."""
    import gemel

    main = gemel.open(model, threads=threads, draft=False)
    by = gemel.open(draft, threads=threads, draft=False)

    def answered(ids: list[int], n: int, temperature: float, how: str) -> tuple[list[int], float, Any]:
        if not ids:
            main.draft = False
            return [], 0.0, costs(main, by)
        main.draft = by if how == "draft" else True
        with main.session() as session:
            session.sync(ids)
            answer = session.generate(ids, max_tokens=n, temperature=temperature, seed=5)
            answer.step()
            start = time.perf_counter()
            answer.read()
            return answer.ids, time.perf_counter() - start, answer.timings.drafts

    return answered


def costs(model: gemel.Model, draft: gemel.Model, n_past: int = 100) -> list[float]:
    """Return the seconds of a draft's token, and of passes of 1 to 8 rows of the model with logits: medians of 5."""

    def timed(one: gemel.Model, n: int) -> float:
        sessions = [one.session(n_past + 32) for _ in range(n)]
        for session in sessions:
            session.sync(list(range(100, 100 + n_past)))
        times = []
        for i in range(6):
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
    body = {"prompt": asked["ids"], "n_predict": asked["n"], "temperature": asked["temperature"], "seed": 5,
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

    def answered(ids: list[int], n: int, temperature: float, way: str) -> tuple[list[int], float, Any]:
        one, found = models[way], []
        one.reset()
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


def main() -> None:
    """Print one line per task and temperature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("draft")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
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

    def start(python: str, engine: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, __file__, *sys.argv[1:], "--work", engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    engines = {"gemel": start(sys.executable, "gemel")}
    if given.llama:
        engines["llama"] = start(given.llama, "llama")
    if given.server:
        arguments = [given.model, given.draft, str(given.threads), str(given.count)]
        engines["server"] = subprocess.Popen(
            [given.server, "-c", SERVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    with gemel.open(given.model, threads=1) as model:
        prompts = {task: model.prompt_ids([{"role": "user", "content": TASKS[task]}]) for task in given.tasks}

    def ask(engine: str, ids: list[int], n: int, temperature: float, how: str) -> dict[str, Any]:
        process = engines[engine]
        assert process.stdin is not None
        assert process.stdout is not None
        key = "how" if engine == "gemel" else "way"
        process.stdin.write(json.dumps({"ids": ids, "n": n, "temperature": temperature, key: how}) + "\n")
        process.stdin.flush()
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found

    for engine in engines:
        for how in PAIRS:
            ask(engine, prompts[given.tasks[0]], 8, 0, how)   # warm
    for task in given.tasks:
        for temperature in given.temperatures:
            runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
            times = []
            for _ in range(given.rounds):
                times.append(ask("gemel", [], 0, 0, "plain")["drafts"])
                for engine in engines:
                    for how in PAIRS:
                        found = ask(engine, prompts[task], given.tokens, temperature, how)
                        runs.setdefault((engine, how), []).append(found)
            if any(run["ids"] != runs["gemel", "plain"][0]["ids"] for how in PAIRS for run in runs["gemel", how]):
                raise SystemExit(f"{task} at temperature {temperature}: drafts changed the answer")
            speeds = {
                pair: statistics.median((len(run["ids"]) - 1) / run["seconds"] for run in found)
                for pair, found in runs.items()
            }
            of_draft, *passes = (statistics.median(column) for column in zip(*times, strict=True))
            last = runs["gemel", "draft"][-1]
            n = len(last["ids"]) - 1
            least = bound(n, last["drafts"], of_draft, passes)
            shown = ", ".join(f"{engine} {how} {speed:.1f}" for (engine, how), speed in speeds.items())
            ratio = speeds["gemel", "draft"] / speeds["gemel", "plain"]
            print(f"{task:9} temperature {temperature:g}: {shown} tok/s; {ratio:.2f}x", end="; ")
            rows = ", ".join(f"{1000 * one:.1f}" for one in passes)
            print(f"bound {n / least:.1f}, {speeds['gemel', 'draft'] * least / n:.0%} of it", end="; ")
            print(f"a draft's token {1000 * of_draft:.1f} ms, rows {rows} ms", end="; ")
            print({"/".join(pair): found[-1]["drafts"] for pair, found in runs.items() if "draft" in pair}, flush=True)
    for process in engines.values():
        process.terminate()


if __name__ == "__main__":
    main()
