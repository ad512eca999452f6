"""`gemel bench --serve URL`: how long a server of OpenAI's API takes under load."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemel

from .load import datasets, figures, plot
from .load.asking import Api, Target
from .load.running import arrivals, run
from .options import usage_error
from .output import console, counted, facts, print_json, printable, say, table
from .progress import Bar

COLUMNS = ("mean", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask. rate: requests a second, as Poisson arrivals; None: as fast as `concurrency` allows."""

    url: str
    model: str | None
    api: Api
    n: int
    concurrency: int
    rate: float | None
    dataset: Path | None
    n_prompt: int
    n_answer: int
    temperature: float
    seed: int
    key: str | None
    timeout: float


def bench_serve(load: Load, *, as_json: bool, plot_to: Path | None) -> None:
    """Ask, and show what it took."""
    target = Target(load.url, key=load.key or os.environ.get("GEMEL_SERVE_API_KEY"), api=load.api, seconds=load.timeout)
    model = load.model or only_model(target)
    bodies = [target.body(model, prompt, load.n_answer, load.temperature) for prompt in prompts_of(load)]
    with Bar() as bar:
        times = arrivals(load.n, load.rate, load.seed)
        records, seconds = run(target, bodies, times, concurrency=load.concurrency, on_progress=bar)
    result = about(load, target, model) | figures.figures(records, seconds)
    if plot_to is not None:
        write_plot(plot_to, f"{model} at {target.url}: {load.n} requests", figures.values_of(records))
    if as_json:
        print_json(result)
    else:
        show(result)
    if not result["answered"]:
        raise gemel.GemelError(f"{target.url}: no request was answered: {next(iter(result['errors']))}")


def only_model(target: Target) -> str:
    """Return the server's model. A usage error if there are several."""
    names = target.models()
    if len(names) != 1:
        known = printable(", ".join(names)) or "it has none"
        raise usage_error(f"--served-model: name one of the server's models: {known}")
    return names[0]


def prompts_of(load: Load) -> list[datasets.Prompt]:
    """Return as many prompts as there are requests; those of a short dataset repeat."""
    if load.dataset is None:
        return datasets.synthetic(load.n, load.n_prompt, load.seed)
    found = datasets.read(load.dataset)
    if len(found) < load.n:
        say(f"{load.dataset} has {counted(len(found), 'prompt')}: they repeat, and a server may answer from its cache")
    return [found[i % len(found)] for i in range(load.n)]


def about(load: Load, target: Target, model: str) -> dict[str, Any]:
    """Return what describes the measurement."""
    made = {"words": load.n_prompt} if load.dataset is None else {"file": str(load.dataset)}
    return {
        "server": target.url, "model": model, "api": load.api, "rate": load.rate, "concurrency": load.concurrency,
        "prompts": made, "max_tokens": load.n_answer, "temperature": load.temperature, "seed": load.seed,
    }  # fmt: skip


def write_plot(path: Path, title: str, values: dict[str, list[float]]) -> None:
    """Write the plot; raise SourceError if it can't be written."""
    try:
        path.write_text(plot.svg(title, values), encoding="utf-8")
    except OSError as error:
        raise gemel.SourceError(f"--plot {path} can't be written: {error.strerror or error}") from error


def show(result: dict[str, Any]) -> None:
    """Print the result as a table of 80 columns, times in milliseconds."""
    rate = "as fast as they are answered" if result["rate"] is None else f"{result['rate']:g} a second"
    prompt = result["prompt_tokens"]
    tokens = f"{result['answer_tokens']} tokens" + ("" if prompt is None else f" to {prompt} of prompts")
    out = console()
    out.print(facts({
        "server": f"{printable(result['server'])}, {result['api']}",
        "model": printable(result["model"]),
        "load": f"{counted(result['requests'], 'request')}, {rate}, up to {result['concurrency']} at a time",
        "answered": f"{result['answered']} in {result['seconds']:.1f} s: {tokens}",
        "speed": f"{result['answer_tokens_s']:.1f} tok/s, {result['requests_s']:.2f} requests/s",
    }))  # fmt: skip
    out.print()
    made = table("ms", *COLUMNS, numbers=COLUMNS)
    for name, words in figures.TIMES.items():
        found = result["times"][name]
        if found is not None:
            made.add_row(words, *(f"{1000 * found[one]:.1f}" for one in COLUMNS))
    out.print(made)
    for words, n in result["errors"].items():
        say(f"{counted(n, 'request')} failed: {words}")
