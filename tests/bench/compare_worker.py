"""One engine in a separate process, in the Python that has it: `compare_worker.py ENGINE VARIANT MODEL [open]`.

Started by compare.py. It says what it is as a line of JSON, then answers each case with its seconds, or measures
opening and ends. What the engine prints itself goes to stderr. Needs the standard library, numpy and the engine.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from compare_cases import Case, random_ids

MODULES = {
    "gemel": ("gemel",),
    "llama.cpp": ("llama_cpp", "numpy"),
    "ik_llama.cpp": ("ik_llama_cpp", "numpy"),
    "OpenVINO": ("openvino_genai", "openvino", "numpy"),
}


class Engine(Protocol):
    """What a worker drives. Its constructor opens the model and notes when that began and ended."""

    start: float
    opened: float

    def facts(self) -> dict[str, Any]:
        """Return versions and build."""

    def run(self, case: Case, seed: int) -> float:
        """Return the seconds of a case; seed: for engines that must be given another prompt each time."""


class Gemel:
    """This project's engine. variant: "isa=ROW", "kv_type=TYPE", "reading", or "" for the defaults.

    "reading": a decoded token only reads the weights that it needs, as fast as this machine does just then.
    """

    def __init__(self, path: str, variant: str, threads: int) -> None:
        import gemel

        self._is_reading = variant == "reading"
        chosen = dict([variant.split("=")]) if variant and not self._is_reading else {}
        self.kv_type: Any = chosen.get("kv_type")
        self.start = time.perf_counter()
        self.model = gemel.open(path, isa=chosen.get("isa"), threads=threads, draft=False)   # a token is a pass
        self.opened = time.perf_counter()
        self._sessions: dict[tuple[int, int], list[Any]] = {}
        ends = filter(self.model.is_eog, range(self.model.n_vocab))
        self._sampling = gemel.Sampling(temperature=0, logit_bias=dict.fromkeys(ends, float("-inf")))

    def facts(self) -> dict[str, Any]:
        """Return version and kernels."""
        import gemel

        kv_type = self.kv_type or self.model.default_kv_type
        return {"version": f"gemel {gemel.__version__}", "system": f"{self.model.isa}, KV cache {kv_type}"}

    def run(self, case: Case, seed: int) -> float:
        """Return the seconds of a case."""
        self.model.set_threads(case.threads)
        if self._is_reading:
            return self._reading(case)
        if case.test == "sessions":
            return self._many(case)
        ids = random_ids(self.model.n_vocab, max(case.depth, 1) + case.n)
        session = self._open(max(case.depth, 1) + case.n, 1)[0]
        if case.test == "prefill":
            session.sync(ids[:1])   # wakes the threads
            session.truncate(0)
            start = time.perf_counter()
            session.append(ids[: case.n])
            return time.perf_counter() - start
        return self._decode(session, ids[: max(case.depth, 1)], case.n)

    def _reading(self, case: Case) -> float:
        from gemel import profiling

        return float(case.n * self.model.decode_size / profiling.limits(self.model, seconds=0.5).read)

    def _open(self, n_ctx: int, count: int) -> list[Any]:
        if (n_ctx, count) not in self._sessions:
            self._sessions[n_ctx, count] = [self.model.session(n_ctx, kv_type=self.kv_type) for _ in range(count)]
        return self._sessions[n_ctx, count]

    def _decode(self, session: Any, prompt: list[int], n: int) -> float:  # noqa: ANN401
        """Generate as `gemel run` does, drawing and detokenising included; no text ends before its time."""
        session.sync(prompt)
        with session.generate(prompt, max_tokens=n + 1, sampling=self._sampling) as generation:
            start = time.perf_counter()
            generation.read()
            elapsed = time.perf_counter() - start
        if generation.timings.n_decoded != n:
            raise SystemExit(f"gemel decoded {generation.timings.n_decoded} ids of {n}")
        return float(elapsed - generation.timings.first_token_s)   # the first id is drawn from the prompt's logits

    def _many(self, case: Case) -> float:
        each, count = case.n // case.sessions, case.sessions
        sessions = self._open(case.depth + each, count)
        prompt = random_ids(self.model.n_vocab, count * case.depth)
        for i, session in enumerate(sessions):
            session.sync(prompt[i * case.depth : (i + 1) * case.depth])
        ids = prompt[:count]
        start = time.perf_counter()
        for _ in range(each):
            if any(self.model.decode(sessions, ids)):
                raise SystemExit("gemel.Model.decode failed")
            ids = [self._best(session) for session in sessions]
        return time.perf_counter() - start

    def _best(self, session: Any) -> int:  # noqa: ANN401
        """Return the most likely id as the peers' workers do: numpy, without a copy."""
        import numpy as np

        with session._using() as handle:
            address = session._library.call("gemel_session_logits", handle)
            logits = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
            return int(np.ctypeslib.as_array(logits, (self.model.n_vocab,)).argmax())


class OpenVino:
    """OpenVINO GenAI's pipeline, one for each number of threads: it is compiled for that. It caches prefixes."""

    def __init__(self, path: str, threads: int) -> None:
        self.api: Any = importlib.import_module("openvino_genai")
        self.ov: Any = importlib.import_module("openvino")
        self.path = path
        self.start = time.perf_counter()
        self._pipelines = {threads: self._compile(threads)}
        self.opened = time.perf_counter()
        self.n_vocab = len(self._pipelines[threads].get_tokenizer().get_vocab())

    def facts(self) -> dict[str, Any]:
        """Return the version; precisions of the KV cache and of activations are its own defaults."""
        return {"version": f"openvino-genai {self.api.__version__}", "system": self.ov.get_version()}

    def _compile(self, threads: int) -> Any:  # noqa: ANN401
        return self.api.LLMPipeline(self.path, "CPU", INFERENCE_NUM_THREADS=threads)

    def _generate(self, rows: list[list[int]], n: int, threads: int) -> tuple[float, float]:
        """Go on from prompts of one length by n ids; the seconds of all, and of all but the first id of each."""
        import numpy as np

        config = self.api.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = n, True, False
        ids = np.array(rows, dtype=np.int64)
        given = self.api.TokenizedInputs(self.ov.Tensor(ids), self.ov.Tensor(np.ones_like(ids)))
        start = time.perf_counter()
        done = self._pipelines[threads].generate(given, config)
        elapsed = time.perf_counter() - start
        if any(len(row) != n for row in done.tokens):
            raise SystemExit(f"OpenVINO generated {[len(row) for row in done.tokens]} ids, not {n}")
        times = [float(time) for time in done.perf_metrics.raw_metrics.m_new_token_times]   # milliseconds, by step
        if len(times) != n:
            raise SystemExit(f"OpenVINO took {len(times)} steps for {n} ids of each of {len(rows)} prompts")
        return elapsed, 1e-3 * (times[-1] - times[0])

    def run(self, case: Case, seed: int) -> float:
        """Return the seconds of a case. Prefill has a new prompt each time, the others one that is cached."""
        if case.threads not in self._pipelines:
            self._pipelines[case.threads] = self._compile(case.threads)
        if case.test == "prefill":
            return self._generate([random_ids(self.n_vocab, case.n, seed)], 1, case.threads)[0]
        if case.test == "decode":
            return self._generate([random_ids(self.n_vocab, max(case.depth, 1))], case.n + 1, case.threads)[1]
        prompt = random_ids(self.n_vocab, case.sessions * case.depth)
        rows = [prompt[s * case.depth : (s + 1) * case.depth] for s in range(case.sessions)]
        return self._generate(rows, case.n // case.sessions + 1, case.threads)[1]


def make(engine: str, variant: str, path: str, threads: int) -> Engine:
    """Open the model with an engine."""
    if engine == "gemel":
        return Gemel(path, variant, threads)
    if engine == "OpenVINO":
        return OpenVino(path, threads)
    from compare_llama import Llama

    return Llama(engine, path, variant)


def memory() -> dict[str, float]:
    """Return what this process holds now, and the most it ever held, in MB; nothing where /proc does not say."""
    names = {"VmRSS": "rss_mb", "RssAnon": "anonymous_mb", "VmHWM": "peak_mb"}
    try:
        with open("/proc/self/status", encoding="utf-8") as file:   # noqa: PTH123
            lines = [line.split() for line in file]
    except OSError:
        return {}
    return {names[words[0][:-1]]: int(words[1]) * 1024 / 1e6 for words in lines if words[0][:-1] in names}


def main() -> None:
    """Answer until stdin ends."""
    name, variant, path, threads, *mode = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(value: object) -> None:
        print(json.dumps(value), file=replies, flush=True)

    if mode == ["open"]:
        for module in MODULES[name]:   # code is no part of what opening costs
            importlib.import_module(module)
        before = memory()
        engine = make(name, variant, path, int(threads))
        after = memory()
        added = {key: after[key] - before.get(key if key != "peak_mb" else "rss_mb", 0) for key in after}
        reply({"seconds": engine.opened - engine.start, **added})
        os._exit(0)   # some engines take long to tear down
    engine = make(name, variant, path, int(threads))
    reply(engine.facts())
    run: Callable[[Case, int], float] = engine.run
    for line in sys.stdin:
        asked = json.loads(line)
        reply(run(Case(**asked["case"]), asked["seed"]))


if __name__ == "__main__":
    main()
