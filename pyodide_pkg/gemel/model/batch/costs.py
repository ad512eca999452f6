"""How many ids of prompts a step may take beside the answers that run: measured, so that no answer falters.

A pass costs something by itself, because it reads all weights, and something for each of its rows. Both are learned
from recent steps by their medians, so that one slow step changes little.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable


class Costs:
    """What steps have cost, and what the next one may take. The sizes of steps change no bit."""

    STRETCH = 2.0   # a step with one prompt takes at most so many times as long as one without
    WAIT = 0.5      # and with more prompts than answers, at most so much of the seconds of a step without answers
    FIRST = 8       # ids of a prompt before anything was measured
    LEAST = 4       # ids of a prompt beside answers, however slow they are: every prompt goes on
    SHARE = 4       # the ids of a step without answers cost at least so many times what the pass costs by itself
    KEPT = 9        # steps that are remembered, of each kind
    LOOK = 16       # steps with prompts before one without, which shows what so many answers cost now

    def __init__(self, n_batch: int, seconds: float) -> None:
        self._n_batch = n_batch   # ids of a step
        self._seconds = seconds   # of a step in which no answer waits; inf: as long as it takes
        self._lock = threading.Lock()
        self._pass: deque[tuple[int, float]] = deque(maxlen=2 * self.KEPT)   # ids and seconds of prompts alone
        self._beside: deque[float] = deque(maxlen=self.KEPT)                # seconds an id of a prompt beside answers
        self._decode: dict[int, deque[float]] = {}                          # seconds of so many answers alone
        self._mixed = 0                                                     # steps with both since one without prompts

    def ids(self, n_decoding: int, n_prompts: int = 1) -> int:
        """Return how many ids of n_prompts prompts the next step may take beside n_decoding answers; 0: none now.

        Each of these requests has an equal share of the time: a few answers let many prompts come in quickly.
        """
        with self._lock:
            room = self._n_batch - n_decoding
            base, each = self._of_prompts()
            if not n_decoding:
                if self._seconds == math.inf:
                    return room
                if not each:
                    return min(room, self.FIRST)
                return max(1, min(room, max(int((self._seconds - base) / each), int(self.SHARE * base / each))))
            each = median(self._beside) if self._beside else each
            if not each:
                return 0 if self._mixed >= self.LOOK else min(room, self.FIRST)
            near = min(self._decode, key=lambda known: abs(known - n_decoding), default=0)
            if self._mixed >= self.LOOK or n_decoding > 2 * near:
                return 0
            alone = median(self._decode[near])
            share = min(alone * n_prompts / n_decoding, self.WAIT * self._seconds)
            return min(room, max(self.LEAST, int(max((self.STRETCH - 1) * alone, share) / each)))

    def note(self, n_decoding: int, n_prompt: int, seconds: float) -> None:
        """Learn what a step took."""
        with self._lock:
            if not n_prompt:
                if n_decoding:
                    self._mixed = 0
                    self._decode.setdefault(n_decoding, deque(maxlen=self.KEPT)).append(seconds)
            elif not n_decoding:
                self._pass.append((n_prompt, seconds))
            else:
                self._mixed += 1
                alone = self._decoding(n_decoding)
                if alone:
                    self._beside.append(max(seconds - alone, seconds / (8 * n_prompt)) / n_prompt)

    def _of_prompts(self) -> tuple[float, float]:
        """Return what a pass of prompts costs by itself, and for each id; 0 where nothing is known."""
        if not self._pass:
            return 0.0, 0.0
        small = min(n for n, _ in self._pass)
        large = max(n for n, _ in self._pass)
        middle = (small + large) / 2
        few = [one for one in self._pass if one[0] <= middle]
        many = [one for one in self._pass if one[0] > middle]
        each = median(seconds / n for n, seconds in self._pass)
        if not many:
            return 0.0, each
        (n_few, s_few), (n_many, s_many) = _middle(few), _middle(many)
        slope = (s_many - s_few) / (n_many - n_few)
        if not 0 < slope < each:
            return 0.0, each
        return max(0.0, s_many - slope * n_many), slope

    def _decoding(self, n: int) -> float:
        """Return what a step of n answers costs: as measured for the number nearest to n; 0: nothing was measured."""
        if not self._decode:
            return 0.0
        return median(self._decode[min(self._decode, key=lambda known: abs(known - n))])


def median(values: Iterable[float]) -> float:
    """Return statistics.median of them, without a module that takes a tab 50 ms to import."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _middle(steps: list[tuple[int, float]]) -> tuple[float, float]:
    return median(n for n, _ in steps), median(seconds for _, seconds in steps)
