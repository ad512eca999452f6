"""Time answers with and without drafts: `python tests/bench/drafts.py MODEL [--draft MODEL]`.

Tasks repeat much of their prompt (editing, quoting), some (completing code), or little (chat). The answers of a case
run side by side, a few ids of each in turn, so that a machine whose speed changes is as fast for one as for another.
Their ids must be the same. Drafts from repeats, and with --draft those and a draft model's, are compared with plain
decoding by the same copy of the model. Rounds go over all cases, each with another seed; medians count, and of ratios
those within a round. Times begin after the prompt. --seconds: begin no round that would end later.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import NamedTuple

import gemel
from gemel.core import abi

CODE = '''def load_rows(path, separator=","):
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            parts = line.rstrip("\\n").split(separator)
            if not parts or parts == [""]:
                continue
            rows.append([part.strip() for part in parts])
    return rows


def column(rows, index):
    values = []
    for row in rows:
        if index < len(row):
            values.append(row[index])
    return values


def mean(values):
    numbers = [float(value) for value in values if value]
    return sum(numbers) / len(numbers) if numbers else 0.0
'''
NEWS = (
    "The river rose four metres in two days. On Monday the town closed both bridges, and the school sent all children "
    "home. On Tuesday the mayor asked the army for help. Soldiers filled nine thousand bags with sand and built a wall "
    "along the old market. On Wednesday the water stopped thirty centimetres below the top of the wall. Nobody was "
    "hurt, but forty houses south of the market have water in their cellars."
)
TASKS = {
    "edit": f"Rename the function `column` to `pick_column`. Answer with the whole file only.\n\n```python\n{CODE}```",
    "quote": f"Quote the sentences of this text that say what people did:\n\n{NEWS}",
    "summarise": f"Summarise this text in three sentences, in its own words:\n\n{NEWS}",
    "complete": f"Add a function `median` and tests of all functions with pytest.\n\n```python\n{CODE}```",
    "sql": "Write SQL: tables of books, members and loans, then the ten members who have most overdue loans.",
    "list": "List twenty kinds of bread, each with the country it comes from.",
    "chat": "Why is the sky blue, and why are sunsets red? Explain it to a child.",
    "poem": "Write a poem about a lighthouse in winter. No line is like another.",
}
CHUNK = 8   # ids of an answer until it is another's turn


class Way(NamedTuple):
    """How answers are drafted: a model, and whether its drafts are on."""

    name: str
    model: gemel.Model
    drafts: bool


class Case(NamedTuple):
    """A task, a temperature, and the prompt in a session of each model."""

    task: str
    temperature: float
    ids: list[int]
    read: dict[gemel.Model, gemel.Session]


class Round(NamedTuple):
    """What the ways took for one answer: seconds, and counts of drafts."""

    n: int
    seconds: dict[str, float]
    drafts: dict[str, dict[str, tuple[int, int]]]   # proposed, drawn


def switch(way: Way) -> None:
    """Turn drafts on or off. Model.draft would forget what was learned about the draft model."""
    mode = abi.DRAFT_FAST if way.drafts else abi.DRAFT_NONE
    with way.model._handle as address:
        way.model._library.call("gemel_model_set_draft", address, mode)


def answered(case: Case, ways: list[Way], n: int, seed: int) -> Round:
    """Answer one task each way, side by side."""
    sessions = [case.read[way.model].fork() for way in ways]
    answers = [
        session.generate(case.ids, max_tokens=n, temperature=case.temperature, seed=seed) for session in sessions
    ]
    seconds = dict.fromkeys((way.name for way in ways), 0.0)
    turns, order = list(range(len(ways))), random.Random(seed)
    while turns:
        order.shuffle(turns)
        for at in turns:
            seconds[ways[at].name] += chunk(ways[at], answers[at])
        turns = [at for at in turns if answers[at].stop_reason is None]
    for session in sessions:
        session.close()
    if any(answer.ids != answers[0].ids for answer in answers):
        raise SystemExit(f"{case.task} at temperature {case.temperature:g}, seed {seed}: drafts changed the answer")
    counts = {way.name: dict(answer.timings.drafts) for way, answer in zip(ways, answers, strict=True)}
    return Round(len(answers[0].ids), seconds, counts)


def chunk(way: Way, answer: gemel.Generation) -> float:
    """Go on with an answer by some ids, and return the seconds."""
    switch(way)
    end = len(answer.ids) + CHUNK
    start = time.perf_counter()
    while answer.stop_reason is None and len(answer.ids) < end:
        answer.step()
    return time.perf_counter() - start


def prepared(models: list[gemel.Model], tasks: list[str], temperatures: list[float], n: int) -> list[Case]:
    """Read each prompt once into each model."""
    cases = []
    for task in tasks:
        ids = models[0].prompt_ids([{"role": "user", "content": TASKS[task]}])
        read = {model: model.session(len(ids) + n + 32) for model in models}
        for session in read.values():
            session.sync(ids[:-1])
        cases += [Case(task, temperature, ids, read) for temperature in temperatures]
    return cases


def said(name: str, rounds: list[Round], ways: list[Way]) -> str:
    """Return a line about a case."""
    speeds = {way.name: statistics.median(one.n / one.seconds[way.name] for one in rounds) for way in ways}
    parts = [f"{name:22} {len(rounds)} rounds, {rounds[0].n:3} ids, tok/s:"]
    parts += [f"{way} {speed:.1f}," for way, speed in speeds.items()]
    for plain, drafted in zip(ways[::2], ways[1::2], strict=True):
        ratios = sorted(one.seconds[plain.name] / one.seconds[drafted.name] for one in rounds)
        counts = " ".join(f"{kind} {a}/{b}" for kind, (b, a) in rounds[0].drafts[drafted.name].items() if b)
        parts.append(
            f"{drafted.name} {statistics.median(ratios):.3f}x ({ratios[0]:.2f} to {ratios[-1]:.2f}; {counts or 'none'})"
        )
    return " ".join(parts)


def main() -> None:
    """Print one line per task and temperature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--draft", metavar="MODEL", help="a smaller model that drafts, too")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 1.0])
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    models = [gemel.open(given.model, threads=given.threads)]
    ways = [Way("plain", models[0], drafts=False), Way("repeats", models[0], drafts=True)]
    if given.draft:
        by = gemel.open(given.draft, threads=given.threads, draft=False)
        models.append(gemel.open(given.model, threads=given.threads, draft=by))
        ways += [Way("plain beside it", models[1], drafts=False), Way("with a model", models[1], drafts=True)]
    cases = prepared(models, given.tasks, given.temperatures, given.tokens)
    for case in cases[: len(given.temperatures)]:
        answered(case, ways, given.tokens, seed=1)   # warm
    found: dict[str, list[Round]] = {}
    longest = 0.0
    for i in range(given.rounds):
        start = time.monotonic()
        if start + longest > end:
            break
        for case in cases:
            name = f"{case.task}, temperature {case.temperature:g}"
            found.setdefault(name, []).append(answered(case, ways, given.tokens, seed=5 + i))
        longest = max(longest, time.monotonic() - start)
    for name, rounds in found.items():
        print(said(name, rounds, ways))
    for temperature in given.temperatures:
        of = [one for name, rounds in found.items() if name.endswith(f"temperature {temperature:g}") for one in rounds]
        print(total(f"all, temperature {temperature:g}", of, ways))
    print(total("all", [one for rounds in found.values() for one in rounds], ways))


def total(name: str, rounds: list[Round], ways: list[Way]) -> str:
    """Return a line about the sums."""
    ids = sum(one.n for one in rounds)
    spent = {way.name: sum(one.seconds[way.name] for one in rounds) for way in ways}
    ratios = [
        f"{drafted.name} {spent[plain.name] / spent[drafted.name]:.3f}x"
        for plain, drafted in zip(ways[::2], ways[1::2], strict=True)
    ]
    return f"{name}: {ids} ids, tok/s " + ", ".join([f"{way} {ids / s:.1f}" for way, s in spent.items()] + ratios)


if __name__ == "__main__":
    main()
