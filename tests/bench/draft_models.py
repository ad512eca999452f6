"""Time a model with a draft model: `python tests/bench/draft_models.py MODEL DRAFT [--llama PYTHON]`.

The tasks of drafts.py and more, greedy and at temperature 1, with and without the draft, in turns; answers must be the
same. --llama: a Python with llama-cpp-python, in which a second Llama drafts greedily, --count ids at a time, through
its draft_model. Times are those of decoding: from the first id to the last. The bound is what measured acceptance and
measured times give if nothing else takes time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

PAIRS = ("plain", "draft")


def gemel_worker(model: str, draft: str, threads: int) -> Any:  # noqa: ANN401
    """Return a function that answers ids: (ids drawn, seconds, drafts)."""
    import gemel

    main = gemel.open(model, threads=threads, draft=False)
    by = gemel.open(draft, threads=threads, draft=False)

    def answered(ids: list[int], n: int, temperature: float, how: str) -> tuple[list[int], float, Any]:
        main.draft = by if how == "draft" else True
        with main.session() as session:
            session.sync(ids)
            answer = session.generate(ids, max_tokens=n, temperature=temperature, seed=5)
            answer.step()
            start = time.perf_counter()
            answer.read()
            return answer.ids, time.perf_counter() - start, answer.timings.drafts

    return answered


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
    with gemel.open(given.model, threads=1) as model:
        prompts = {task: model.prompt_ids([{"role": "user", "content": TASKS[task]}]) for task in given.tasks}

    def ask(engine: str, ids: list[int], n: int, temperature: float, how: str) -> dict[str, Any]:
        process = engines[engine]
        assert process.stdin is not None
        assert process.stdout is not None
        key = "way" if engine == "llama" else "how"
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
            for _ in range(given.rounds):
                for engine in engines:
                    for how in PAIRS:
                        found = ask(engine, prompts[task], given.tokens, temperature, how)
                        runs.setdefault((engine, how), []).append(found)
            if any(run["ids"] != runs["gemel", "plain"][0]["ids"] for how in PAIRS for run in runs["gemel", how]):
                raise SystemExit(f"{task} at temperature {temperature}: drafts changed the answer")
            speeds = {
                pair: max((len(run["ids"]) - 1) / run["seconds"] for run in found) for pair, found in runs.items()
            }
            shown = ", ".join(f"{engine} {how} {speed:.1f}" for (engine, how), speed in speeds.items())
            ratio = speeds["gemel", "draft"] / speeds["gemel", "plain"]
            print(f"{task:9} temperature {temperature:g}: {shown} tok/s; {ratio:.2f}x", end="; ")
            print(runs["gemel", "draft"][-1]["drafts"], flush=True)
    for process in engines.values():
        process.terminate()


if __name__ == "__main__":
    main()
