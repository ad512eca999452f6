"""`gemel bench`: tokens per second of prefill and decoding, and what share of the machine's limits they reach.

Each configuration is warmed up. Then each repetition measures all of them in turn, so that a machine that gets hot or
busy slows all of them alike. Medians are printed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import gemel
import typer
from gemel import KvType, Overrides
from gemel.profiling import EVENTS, Limits, limits

from . import bench_profile
from .bench_serve import Load, bench_serve
from .case import Case
from .machine import machine, peak_rss_mb
from .opening import check_isas, opened
from .options import MODEL_HELP, DraftOption, JsonOption, KvTypeOption, numbers_of, usage_error, whole
from .output import bytes_text, console, counted, facts, print_json, table
from .overrides import with_overrides
from .progress import Bar

MAX_TOKENS = 10**6
WARM_UP = 8   # tokens to decode as a warm-up
LIMITS_S = 1.5   # total time for measuring the limits, with at least LEAST_S for each
LEAST_S = 0.02

PREFILL_HELP = "Prompt lengths to prefill, such as 512 or 128,512; 0 skips this test."
DECODE_HELP = "Numbers of tokens to decode; 0 skips this test."
DEPTH_HELP = "Tokens already in the KV cache."
THREADS_HELP = "Threads, such as 1,2."
ISA_HELP = "Instruction sets, such as avx2,avx512vnni."
REPS_HELP = "Measurements of each configuration."
PROFILE_HELP = "Run each configuration once more, and show the time of each operation."
TRACE_HELP = "Write the events of that run to a file, for Perfetto or chrome://tracing."


SERVER = "With --serve"


@with_overrides
def bench(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help=MODEL_HELP + " Not with --serve.", show_default=False)
    ] = None,
    *,
    prefill: Annotated[str, typer.Option("-p", "--prefill", metavar="N,...", help=PREFILL_HELP)] = "512",
    decode: Annotated[str, typer.Option("-n", "--decode", metavar="N,...", help=DECODE_HELP)] = "128",
    depth: Annotated[str, typer.Option("-d", "--depth", metavar="N,...", help=DEPTH_HELP)] = "0",
    threads: Annotated[
        str | None,
        typer.Option(
            "-t", "--threads", metavar="N,...", help=THREADS_HELP, show_default="GEMEL_THREADS, or physical cores"
        ),
    ] = None,
    isa: Annotated[
        str | None,
        typer.Option("--isa", metavar="ISA,...", help=ISA_HELP, show_default="GEMEL_ISA, or the best of this CPU"),
    ] = None,
    reps: Annotated[int, typer.Option("--reps", "-r", parser=whole(1, 1000), metavar="N", help=REPS_HELP)] = 5,
    kv_type: KvTypeOption = None,
    draft: DraftOption = None,
    profile: Annotated[bool, typer.Option("--profile", help=PROFILE_HELP)] = False,
    trace: Annotated[Path | None, typer.Option("--trace", metavar="FILE.json", help=TRACE_HELP)] = None,
    json: JsonOption = False,
    serve: Annotated[str | None, typer.Option(
        "--serve", metavar="URL", rich_help_panel=SERVER, show_default=False,
        help="Measure a server of OpenAI's API instead of a model: how long its answers take under load.",
    )] = None,
    requests: Annotated[int, typer.Option(
        "--requests", parser=whole(1, 1_000_000), metavar="N", rich_help_panel=SERVER,
        help="How many requests to send.",
    )] = 100,
    concurrency: Annotated[int, typer.Option(
        "--concurrency", parser=whole(1, 1000), metavar="N", rich_help_panel=SERVER,
        help="Most requests at a time; further ones are sent late.",
    )] = 8,
    rate: Annotated[float | None, typer.Option(
        "--rate", min=0.001, metavar="N", rich_help_panel=SERVER, show_default="as fast as they are answered",
        help="Requests a second, as Poisson arrivals.",
    )] = None,
    dataset: Annotated[Path | None, typer.Option(
        "--dataset", metavar="FILE", rich_help_panel=SERVER, show_default="random words",
        help="Prompts: a .jsonl with a prompt or messages per line, or ShareGPT's JSON.",
    )] = None,
    prompt_tokens: Annotated[int, typer.Option(
        "--prompt-tokens", parser=whole(1, 1_000_000), metavar="N", rich_help_panel=SERVER,
        help="Length of a prompt of random words, about.",
    )] = 128,
    answer_tokens: Annotated[int, typer.Option(
        "--answer-tokens", parser=whole(1, 1_000_000), metavar="N", rich_help_panel=SERVER,
        help="Most tokens of an answer.",
    )] = 64,
    served_model: Annotated[str | None, typer.Option(
        "--served-model", metavar="NAME", rich_help_panel=SERVER, show_default="the server's only one",
        help="The server's model to ask.",
    )] = None,
    completions: Annotated[bool, typer.Option(
        "--completions", rich_help_panel=SERVER, help="Ask /v1/completions, not chats.",
    )] = False,
    temperature: Annotated[float, typer.Option(
        "--temp", min=0.0, metavar="T", rich_help_panel=SERVER, help="Temperature of the requests.",
    )] = 0.0,
    seed: Annotated[int, typer.Option(
        "--seed", metavar="N", rich_help_panel=SERVER, help="Of the arrivals, and of random words.",
    )] = 0,
    api_key: Annotated[str | None, typer.Option(
        "--api-key", metavar="KEY", rich_help_panel=SERVER, show_default="GEMEL_SERVE_API_KEY",
        help="The server's key. Other users of this machine can see it: the environment is safer.",
    )] = None,
    timeout: Annotated[float, typer.Option(
        "--timeout", min=0.1, metavar="SECONDS", rich_help_panel=SERVER,
        help="A request fails if the server is silent for so long.",
    )] = 600.0,
    plot: Annotated[Path | None, typer.Option(
        "--plot", metavar="FILE.svg", rich_help_panel=SERVER, show_default=False, help="Draw the times.",
    )] = None,
    overrides: Overrides,
) -> None:
    """Measure how many tokens per second a model prefills and decodes, or how long a server's answers take.

    Decoding is greedy generation, sampling and detokenising included.
    A depth of 0 decodes after a single token. With --draft, several tokens may share a pass.

    The table also shows the speeds as shares of the machine's limits, which are
    measured in the same run with as many threads: reading memory, and
    multiplying 8-bit integers.
    """
    if serve is not None:
        if name is not None:
            words = "--serve measures the server's model: leave it out, or name that with --served-model"
            raise usage_error(f"MODEL: {words}")
        asked = Load(
            url=serve, model=served_model, api="completions" if completions else "chat", n=requests, rate=rate,
            concurrency=concurrency, dataset=dataset, n_prompt=prompt_tokens, n_answer=answer_tokens,
            temperature=temperature, seed=seed, key=api_key, timeout=timeout,
        )  # fmt: skip
        bench_serve(asked, as_json=json, plot_to=plot)
        return
    if name is None:
        raise usage_error("Missing argument 'MODEL', or --serve URL")
    tests: list[tuple[Literal["prefill", "decode"], int]] = []
    tests += [("prefill", n) for n in numbers_of(prefill, "--prefill", least=0, most=MAX_TOKENS) if n]
    tests += [("decode", n) for n in numbers_of(decode, "--decode", least=0, most=MAX_TOKENS) if n]
    if not tests:
        raise usage_error("--prefill 0 and --decode 0 leave nothing to measure")
    depths = numbers_of(depth, "--depth", least=0, most=MAX_TOKENS)
    counts = None if threads is None else numbers_of(threads, "--threads", least=1, most=256)
    isas = None if isa is None else isa.split(",")
    check_isas(isas or [])
    first = counts[0] if counts else None
    with opened(name, threads=first, draft=draft or False, overrides=overrides) as loaded, Bar() as bar:
        model = loaded.model   # without --draft, a decoded token is a pass
        cases = [
            Case(test, n, at, count, one)
            for test, n in tests
            for at in depths
            for count in counts or [model.threads]
            for one in isas or [model.isa]
        ]
        check_room(model, cases)
        rows, found = measure(model, cases, reps=reps, kv_type=kv_type, on_progress=bar)
        profiles = run_profiles(model, cases, kv_type) if profile or trace else []
        result = {
            "machine": machine() | {"gemel": gemel.__version__},
            "model": about(model),
            "kv_type": kv_type or model.default_kv_type,
            "rows": rows,
            "limits": found,
            "load_s": loaded.load_s,
            "peak_rss_mb": peak_rss_mb(),
        }
    if trace:
        write_trace(trace, profiles)
    bench_profile.say_lost(profiles)
    if json:
        print_json(result | ({"profiles": [one.as_json() for one in profiles]} if profile else {}))
        return
    show(result)
    for one in profiles if profile else ():
        bench_profile.show(one, model.n_layer)


def write_trace(path: Path, profiles: Sequence[bench_profile.Profiled]) -> None:
    """Write the trace; raise SourceError if it can't be written."""
    try:
        bench_profile.write_trace(path, profiles)
    except OSError as error:
        raise gemel.SourceError(f"--trace {path} can't be written: {error.strerror or error}") from error


def run_profiles(model: gemel.Model, cases: Sequence[Case], kv_type: KvType | None) -> list[bench_profile.Profiled]:
    """Run each case once, recording events."""
    with Runner(model, cases, kv_type) as runner:
        found = []
        for case in cases:
            runner.prepare(case)
            runner.warm_up(case)
            session = runner.session_of(case)
            found.append(bench_profile.profiled(case, session, partial(runner.seconds, case), EVENTS))
    return found


def check_room(model: gemel.Model, cases: Sequence[Case]) -> None:
    """Raise a usage error for a configuration that does not fit in the model's context."""
    for case in cases:
        needed = max(case.depth, 1 if case.test == "decode" else 0) + case.n
        if needed > model.n_ctx:
            raise usage_error(
                f"--{case.test} {case.n} at --depth {case.depth} needs a context of {needed} tokens, "
                f"{model.name} allows {model.n_ctx}"
            )


def measure(
    model: gemel.Model,
    cases: Sequence[Case],
    *,
    reps: int,
    kv_type: KvType | None = None,
    on_progress: Callable[[str, int, int], None],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one row per case: tok_s (the median), min, max, shares of the limits; and the limits."""
    speeds: dict[Case, list[float]] = {case: [] for case in cases}
    machines = {(case.threads, case.isa): Limits(0, 0) for case in cases}
    limit_s = max(LEAST_S, LIMITS_S / (2 * reps * len(machines)))
    with Runner(model, cases, kv_type) as runner:
        kv_size = runner.session_of(cases[0]).kv_size
        for case in cases:
            runner.prepare(case)
            runner.warm_up(case)
        for rep in range(reps):
            for i, case in enumerate(cases):
                on_progress("bench", rep * len(cases) + i, reps * len(cases))
                runner.prepare(case)
                speeds[case].append(case.n / runner.seconds(case))
            for (threads, isa), best in machines.items():
                model.set_threads(threads)
                model.set_isa(isa)
                now = limits(model, limit_s)
                machines[threads, isa] = Limits(max(best.read, now.read), max(best.dot, now.dot))
    rows = [
        {**vars(case), "tok_s": median(found), "min": min(found), "max": max(found), "reps": reps,
         **parts(model, case, median(found), machines[case.threads, case.isa], kv_size)}
        for case, found in speeds.items()
    ]   # fmt: skip
    return rows, [
        {"threads": threads, "isa": isa, "read_bytes_s": best.read, "dot_macs_s": best.dot}
        for (threads, isa), best in machines.items()
    ]


def parts(model: gemel.Model, case: Case, tok_s: float, machine: Limits, kv_size: int) -> dict[str, Any]:
    """Return the cost of a token, and a speed as shares of the limits.

    kv_size: bytes of KV cache per position.
    token_bytes: weights, and the KV cache halfway through; None for prefill, where a micro-batch shares the weights.
    token_macs: multiply-adds with weights; attention is not counted.
    """
    if case.test == "prefill":
        macs = model.prefill_macs + (model.decode_macs - model.prefill_macs) / case.n
        return {"token_bytes": None, "token_macs": macs, "of_read": None, "of_dot": tok_s * macs / machine.dot}
    size = model.decode_size + kv_size * (max(case.depth, 1) + case.n / 2)
    return {
        "token_bytes": size, "token_macs": model.decode_macs,
        "of_read": tok_s * size / machine.read, "of_dot": tok_s * model.decode_macs / machine.dot,
    }   # fmt: skip


class Runner:
    """One session per depth, which keeps the tokens before the measured ones. A context manager."""

    def __init__(self, model: gemel.Model, cases: Sequence[Case], kv_type: KvType | None = None) -> None:
        self.model = model
        most = max(case.depth + case.n for case in cases) + 1
        numbers = random.Random(0)
        self._ids = [numbers.randrange(model.n_vocab) for _ in range(most)]
        ends = filter(model.is_eog, range(model.n_vocab)) if any(case.test == "decode" for case in cases) else ()
        self._sampling = gemel.Sampling(temperature=0, logit_bias=dict.fromkeys(ends, float("-inf")))
        self._sessions: dict[int, gemel.Session] = {}
        for depth in {case.depth for case in cases}:
            longest = max(case.n for case in cases if case.depth == depth)
            self._sessions[depth] = model.session(min(max(depth, 1) + longest, model.n_ctx), kv_type=kv_type)

    def session_of(self, case: Case) -> gemel.Session:
        """Return the session that runs a case."""
        return self._sessions[case.depth]

    def prepare(self, case: Case) -> None:
        """Set threads and instruction set, fill the KV cache up to the depth, and wake the threads with one token."""
        self.model.set_threads(case.threads)
        self.model.set_isa(case.isa)
        session = self._sessions[case.depth]
        session.sync(self._ids[: max(case.depth, 1)])
        session.truncate(case.depth)

    def warm_up(self, case: Case) -> None:
        """Run a little of the case, so that its code and buffers are in memory."""
        self._run(case, min(case.n, self.model.n_batch if case.test == "prefill" else WARM_UP))
        self.prepare(case)

    def seconds(self, case: Case) -> float:
        """Run the case."""
        return self._run(case, case.n)

    def _run(self, case: Case, n: int) -> float:
        session = self._sessions[case.depth]
        if case.test == "prefill":
            start = time.perf_counter()
            session.append(self._ids[case.depth : case.depth + n])
            return time.perf_counter() - start
        # The first id is sampled from the logits of the prompt; each of the other n needs a pass through the weights.
        prompt = self._ids[: max(case.depth, 1)]
        with session.generate(prompt, max_tokens=n + 1, sampling=self._sampling) as generation:
            start = time.perf_counter()
            generation.read()
            elapsed = time.perf_counter() - start
        assert generation.timings.n_decoded == n
        return elapsed - generation.timings.first_token_s

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        for session in self._sessions.values():
            session.close()


def about(model: gemel.Model) -> dict[str, Any]:
    """Return what describes the model of a measurement."""
    return {
        "name": model.name,
        "arch": model.arch,
        "n_params": model.n_params,
        "weight_size": model.weight_size,
        "decode_size": model.decode_size,   # bytes of weights read to decode one token
        **({"overrides": dict(model.overrides)} if model.overrides else {}),
    }


def show(result: dict[str, Any]) -> None:
    """Print the result as a table."""
    on, model = result["machine"], result["model"]
    peak = "" if result["peak_rss_mb"] is None else f", peak memory {result['peak_rss_mb']:.0f} MB"
    out = console()
    pairs = {
        "machine": f"{on['cpu']}, {counted(on['cores'], 'core')}, {on['system']}",
        "model": f"{model['name']}: {model['n_params'] / 1e6:.4g} M parameters, {bytes_text(model['weight_size'])}",
        "loaded": f"in {result['load_s']:.2f} s{peak}",
        "limits": "; ".join(map(limits_text, result["limits"])),
    }
    rows = result["rows"]
    varying = [key for key in ("depth", "threads", "isa") if len({row[key] for row in rows}) > 1]
    same = [f"{key} {rows[0][key]}" for key in ("depth", "threads", "isa") if key not in varying]
    pairs["measured"] = ", ".join([*same, counted(rows[0]["reps"], "measurement") + " each"])
    out.print(facts(pairs))
    out.print()
    speeds, shares = ("tok/s", "min", "max"), ("reading", "int8")
    made = table("test", "n", *varying, *speeds, *shares, numbers=("n", "depth", "threads", *speeds, *shares))
    made.padding = (0, 0 if len(varying) > 1 else 1)   # 80 columns
    for row in rows:
        made.add_row(
            row["test"], str(row["n"]), *(str(row[key]) for key in varying),
            *(rate(row[key]) for key in ("tok_s", "min", "max")),
            *("" if row[key] is None else f"{100 * row[key]:.1f} %" for key in ("of_read", "of_dot")),
        )   # fmt: skip
    out.print(made)


def rate(tok_s: float) -> str:
    """Return a speed with as many digits as matter.

    >>> rate(1234.56), rate(98.76)
    ('1235', '98.8')
    """
    return f"{tok_s:.0f}" if tok_s >= 1000 else f"{tok_s:.1f}"


def limits_text(found: dict[str, Any]) -> str:
    """Return the limits as one line."""
    threads = f"{counted(found['threads'], 'thread')}, {found['isa']}"
    return f"{threads}: {found['read_bytes_s'] / 1e9:.1f} GB/s, {found['dot_macs_s'] / 1e9:.0f} GMAC/s of int8"
