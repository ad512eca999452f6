"""Time answers with and without drafts, in turn: `python tests/bench/drafts.py MODEL`.

Tasks repeat much of their prompt (editing, quoting), some (completing code), or little (chat). Each answer is compared:
its ids must be the same. Of each way the faster of two runs counts.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import gemel

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
    "complete": f"Add a function `median` and tests of all functions with pytest.\n\n```python\n{CODE}```",
    "chat": "Why is the sky blue, and why are sunsets red? Explain it to a child.",
}


class Answered(NamedTuple):
    """An answer, and how it was made."""

    ids: list[int]
    tok_s: float
    drafted: int
    accepted: int


def answered(model: gemel.Model, task: str, temperature: float, n: int, *, draft: bool) -> Answered:
    """Answer one task."""
    model.draft = draft
    ids = model.prompt_ids([{"role": "user", "content": TASKS[task]}])
    with model.session() as session:
        session.sync(ids)
        answer = session.generate(ids, max_tokens=n, temperature=temperature, seed=5)
        start = time.perf_counter()
        answer.read()
        seconds = time.perf_counter() - start
    return Answered(answer.ids, len(answer.ids) / seconds, answer.timings.n_drafted, answer.timings.n_accepted)


def main() -> None:
    """Print one line per task and temperature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 1.0])
    given = parser.parse_args()
    with gemel.open(given.model, threads=given.threads) as model:
        answered(model, "chat", 0, 20, draft=False)   # warm
        for task in given.tasks:
            for temperature in given.temperatures:
                runs = [
                    answered(model, task, temperature, given.tokens, draft=draft)
                    for draft in (False, True, False, True)
                ]
                if any(run.ids != runs[0].ids for run in runs):
                    raise SystemExit(f"{task} at temperature {temperature}: drafts changed the answer")
                plain, best = (max(runs[i::2], key=lambda run: run.tok_s) for i in (0, 1))
                print(
                    f"{task:9} temperature {temperature:g}: {len(best.ids):4} tokens, plain {plain.tok_s:6.1f} tok/s, "
                    f"drafts {best.tok_s:6.1f} ({best.tok_s / plain.tok_s:.2f}x), {best.accepted} of {best.drafted}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
