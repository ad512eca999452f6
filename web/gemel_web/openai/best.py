"""best_of: more answers to a prompt are made than returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from statistics import fmean

from ..config import Config
from ..http.errors import invalid, refused
from ..jobs.events import Ended
from ..jobs.said import Said
from . import wire


@dataclass(frozen=True)
class Best:
    """The answers to a prompt that are returned: n of `of`, those whose tokens have the highest mean logprob."""

    n: int
    of: int

    def chosen(self, answers: Mapping[int, tuple[Said, Ended]]) -> list[int]:
        """Return which of the answers to all prompts, by prompt; if some are left out, the best ones come first."""
        if self.n == self.of:
            return sorted(answers)
        tokens = {i: said.tokens for i, (said, _) in answers.items()}
        means = {i: fmean(token.logprob for token in of) if of else -inf for i, of in tokens.items()}
        ranked = sorted(answers, key=lambda i: (i // self.of, -means[i], i))
        return [i for at, i in enumerate(ranked) if at % self.of < self.n]


def best_of(body: wire.CompletionRequest, config: Config) -> Best:
    """Return what a request asks for. ApiError for what can't be."""
    n = body.n or 1
    best = Best(n, body.best_of or n)
    if best.of < n:
        raise invalid("best_of", f"it is {best.of}, but n is {n}: it must be as large, or left out")
    if best.of > config.max_n:
        raise invalid("best_of", f"it is {best.of}, but at most {config.max_n} are allowed")
    if best.of > n and body.stream:
        raise refused("best_of", "the best answers are known at the end: leave out stream, or best_of")
    return best
