"""Compare answers with drafts to the same without: `python tests/bench/same_with_drafts.py MODEL TEXT...`.

Prompts are pieces of the texts, to be continued. Each is answered with two ways of sampling and one of four others, and
some answers once more in a batch. Ids, texts and ends must be the same; the digest of them all must be the same on each
host. Drafts are evaluated without regard to the time, as many as there are.

The same program runs in Pyodide, where FOLDER has site/ with the package, the model and the texts:
`node tests/wasm/run_pyodide.mjs PYODIDE FOLDER same_with_drafts.py MODEL TEXT...`
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gemel
from gemel.core import abi

FORM = {
    "type": "object", "required": ["words", "count"], "additionalProperties": False,
    "properties": {
        "words": {"type": "array", "maxItems": 6, "items": {"type": "string", "maxLength": 12}},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
    },
}
ALL: dict[str, dict[str, Any]] = {"greedy": {"temperature": 0}, "temperature 1": {"temperature": 1}}
SOME: dict[str, dict[str, Any]] = {
    "penalties": {"temperature": 1, "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.1},
    "DRY": {"temperature": 1, "dry_multiplier": 0.8},
    "mirostat": {"temperature": 1, "mirostat": 2},
    "grammar": {"temperature": 1, "json_schema": FORM},
}
TOGETHER = 8   # answers of a batch
Answer = tuple[list[int], str, str | None]


def prompts_of(texts: list[str], n: int) -> list[str]:
    """Return n pieces of the texts, of 60 to 250 characters; each third one twice, so that more repeats."""
    found = []
    for i in range(n):
        text = texts[i % len(texts)]
        start = i * 997 % (len(text) - 250)
        piece = text[start : start + 60 + i * 37 % 190]
        found.append(piece + "\n\n" + piece if i % 3 == 0 else piece)
    return found


@contextmanager
def drafting(model: gemel.Model, draft: gemel.Model | str | None) -> Iterator[None]:
    """Evaluate as many drafts as there are, also of a model or a file."""
    if draft is not None:
        model.draft = draft
    with model._handle as address:
        model._library.call("gemel_model_set_draft", address, abi.DRAFT_ALWAYS)
    yield
    model.draft = False


def left(answer: gemel.Generation) -> Answer:
    """Return what an answer leaves."""
    text = answer.read()
    return answer.ids, text, answer.stop_reason


class Comparison:
    """Answers without drafts, and how many of those with drafts are the same."""

    def __init__(self, model: gemel.Model, tokens: int, draft: gemel.Model | str | None = None) -> None:
        self._model, self._tokens, self._draft = model, tokens, draft
        self.answers: Counter[str] = Counter()
        self.drafted: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.digest = hashlib.sha256()

    def compare(self, prompt: str, seed: int, samplings: dict[str, dict[str, Any]]) -> dict[str, Answer]:
        """Answer a prompt in one session, each way with drafts and without."""
        answers = {}
        with self._model.session(512) as session:
            for name, sampling in samplings.items():
                options: dict[str, Any] = {"max_tokens": self._tokens, "seed": seed, **sampling}
                plain = left(session.generate(prompt, fast_forward=False, **options))
                with drafting(self._model, self._draft):
                    self._same(name, session.generate(prompt, **options), plain)
                answers[name] = plain
                self.digest.update(repr(plain).encode())
        return answers

    def compare_together(self, prompts: list[str], seeds: list[int], answers: list[Answer]) -> None:
        """Answer prompts in one batch, at temperature 1, with drafts."""
        with drafting(self._model, self._draft), self._model.batch(512) as batch:
            begun = [
                batch.generate(prompt, max_tokens=self._tokens, seed=seed, temperature=1)
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
            for generation, plain in zip(begun, answers, strict=True):
                self._same("in a batch", generation, plain)

    def _same(self, name: str, generation: gemel.Generation, plain: Answer) -> None:
        if left(generation) != plain:
            raise SystemExit(f"{name}: drafts changed the answer {plain[1]!r} to {generation.text!r}")
        self.answers[name] += 1
        self.drafted[name] += generation.timings.n_drafted
        self.accepted[name] += generation.timings.n_accepted


def main() -> None:
    """Print one line per way of sampling, and the digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--draft", help="a draft model, or a file of gemel draft-cache")
    parser.add_argument("--draft-rope-base", type=float, help="another value for the draft, so that it errs more often")
    given = parser.parse_args()
    prompts = prompts_of([path.read_text(encoding="utf-8") for path in given.texts], given.prompts)
    with gemel.open(given.model, threads=given.threads, draft=False) as model:
        if given.draft is not None:
            base = {} if given.draft_rope_base is None else {".rope.freq_base": given.draft_rope_base}
            is_file = Path(given.draft).is_file() and Path(given.draft).read_bytes()[:7] == b"gemelng"
            by = given.draft if is_file else gemel.open(given.draft, threads=given.threads, overrides=base)
        comparison = Comparison(model, given.tokens, None if given.draft is None else by)
        kept = []
        others = list(SOME)
        for i, prompt in enumerate(prompts):
            other = others[i % len(others)]
            kept.append(comparison.compare(prompt, i, {**ALL, other: SOME[other]})["temperature 1"])
        for i in range(0, len(prompts), TOGETHER):
            part = slice(i, i + TOGETHER)
            comparison.compare_together(prompts[part], list(range(len(prompts)))[part], kept[part])
    for name, n in comparison.answers.items():
        drafted, accepted = comparison.drafted[name], comparison.accepted[name]
        print(f"{name:14} {n:4} answers are the same, {accepted} of {drafted} drafted tokens were accepted")
    print(f"digest {comparison.digest.hexdigest()[:16]}")


if __name__ == "__main__":
    main()
