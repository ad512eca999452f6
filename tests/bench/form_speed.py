"""How fast answers with a form decode, next to free ones.

    python tests/bench/form_speed.py MODEL [-n N] [--threads N] [--reps N] [--temperature T]

All answers run side by side, one step of each in turn, so that a machine whose speed changes is as fast for one as for
another. The first token is not counted. Each form runs twice: with `fast_forward`, which evaluates forced text ahead,
and without. Free answers ignore the end of generation.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from typing import Any

import gemel

PROMPT = "Describe a city, its people and its weather, as JSON, at length:\n"
TEXT = {"type": "string", "minLength": 60, "maxLength": 2000}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 3, "maxLength": 40}, "age": {"type": "integer", "minimum": 0},
        "email": {"type": "string", "format": "email"}, "is_member": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["new", "loyal", "lapsed"]}, "minItems": 1},
    },
    "required": ["name", "age", "email", "is_member", "tags"], "additionalProperties": False,
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "free": {},
    "strings": {"json_schema": {"type": "array", "items": TEXT, "minItems": 50}},
    "objects": {"json_schema": {"type": "array", "items": PERSON, "minItems": 50}},
    "any objects": {"json_schema": {"type": "array", "items": {"type": "object", "minProperties": 1}, "minItems": 50}},
    "any text": {"regex": "(.|\n){2000,}"},
}


def begun(model: gemel.Model, name: str, options: argparse.Namespace, *, fast: bool) -> gemel.Generation:
    """Return an answer whose first token is drawn."""
    form: dict[str, Any] = {**FORMS[name], "fast_forward": fast}
    if not FORMS[name]:
        form = {"logit_bias": {i: float("-inf") for i in range(model.n_vocab) if model.is_eog(i)}}
    generation = model.generate(PROMPT, max_tokens=options.n, temperature=options.temperature, seed=1, **form)
    while not generation.ids:
        generation.step()
    return generation


def together(model: gemel.Model, cases: list[tuple[str, bool]], options: argparse.Namespace) -> list[float]:
    """Return tokens per second of each case, after its first token."""
    answers = [begun(model, name, options, fast=fast) for name, fast in cases]
    turns, order = list(range(len(cases))), random.Random(1)
    for _ in range(options.n - 1):
        order.shuffle(turns)
        for at in turns:
            answers[at].step()
    for answer in answers:
        assert answer.timings.n_decoded == options.n - 1, answer
    return [answer.timings.n_decoded / answer.timings.decode_s for answer in answers]


def main() -> None:
    """Print medians, and the median of the ratios to the free answer of the same run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=128, help="tokens of an answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reps", type=int, default=9)
    parser.add_argument("--temperature", type=float, default=0)
    options = parser.parse_args()
    cases = [(name, fast) for name in FORMS for fast in ((True, False) if FORMS[name] else (True,))]
    with gemel.open(options.model, threads=options.threads, draft=False) as model:
        found = [together(model, cases, options) for _ in range(options.reps + 1)][1:]   # the first one warms up
    free = cases.index(("free", True))
    for at, (name, fast) in enumerate(cases):
        ratio = statistics.median(run[at] / run[free] for run in found)
        said = {"form": name, "fast_forward": fast, "tokens/s": round(statistics.median(run[at] for run in found), 1)}
        print(json.dumps({**said, "ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
