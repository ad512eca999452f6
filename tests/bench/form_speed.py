"""How fast answers with a form decode, next to free ones.

    python tests/bench/form_speed.py MODEL [-n N] [--threads N] [--reps N]

Each form and a free answer take turns. Decoding is greedy, and the first token is not counted. Each form runs twice:
with `fast_forward`, which evaluates forced text ahead, and without. Free answers ignore the end of generation.
"""

from __future__ import annotations

import argparse
import json
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


def speed(model: gemel.Model, n: int, form: dict[str, Any]) -> float:
    """Return tokens per second after the first token of an answer of n tokens."""
    options = form or {"logit_bias": {i: float("-inf") for i in range(model.n_vocab) if model.is_eog(i)}}
    generation = model.generate(PROMPT, max_tokens=n, temperature=0, **options)
    generation.read()
    took = generation.timings
    assert took.n_decoded == n - 1, (form, took)
    return took.n_decoded / took.decode_s


def main() -> None:
    """Print medians, and the median of the ratios to the free answer of the same turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=128, help="tokens of an answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reps", type=int, default=9)
    options = parser.parse_args()
    cases = [(name, fast) for name in FORMS for fast in ((True, False) if FORMS[name] else (True,))]
    found: dict[tuple[str, bool], list[float]] = {case: [] for case in cases}
    with gemel.open(options.model, threads=options.threads, draft=False) as model:
        for rep in range(-1, options.reps):   # the first turn warms up
            for name, fast in cases[rep % len(cases) :] + cases[: rep % len(cases)]:
                form = {**FORMS[name], "fast_forward": fast} if FORMS[name] else {}
                one = speed(model, options.n, form)
                if rep >= 0:
                    found[name, fast].append(one)
    free = found["free", True]
    for (name, fast), speeds in found.items():
        ratio = statistics.median(a / b for a, b in zip(speeds, free, strict=True))
        said = {"form": name, "fast_forward": fast, "tokens/s": round(statistics.median(speeds), 1)}
        print(json.dumps({**said, "ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
