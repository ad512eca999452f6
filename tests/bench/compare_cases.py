"""What is measured: the cases, and the ids that every engine is given. Standard library only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

TESTS = ("open", "prefill", "decode", "depth", "sessions")   # what a person may ask for


@dataclass(frozen=True)
class Case:
    """One thing to measure, with one number of threads."""

    test: str        # "prefill", "decode", "sessions" (several decode at once), "open"
    n: int           # tokens that are timed, of all sessions together
    depth: int       # tokens in the KV cache before them, of each session
    sessions: int
    threads: int

    @property
    def title(self) -> str:
        """What a table calls it."""
        if self.test == "open":
            return "open"
        if self.test == "sessions":
            return f"{self.sessions} sessions at once"
        return f"{self.test} {self.n}" + (f" at {self.depth}" if self.depth else "")

    @property
    def key(self) -> str:
        """What a results file calls it."""
        return f"{self.test} n={self.n} depth={self.depth} sessions={self.sessions} threads={self.threads}"


@cache
def random_ids(n_vocab: int, n: int, seed: int = 0) -> list[int]:
    """Return ids of a text that no model expects; equal arguments give equal ids, and longer ones begin alike."""
    numbers = random.Random(seed)
    return [numbers.randrange(n_vocab) for _ in range(n)]
