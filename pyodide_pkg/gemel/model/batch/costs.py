"""How many ids of prompts a step may take beside the answers that run: measured, so that no answer falters."""

from __future__ import annotations


class Costs:
    """What steps have cost, and what the next one may take. The sizes of steps change no bit."""

    STRETCH = 2.0   # a step with prompts takes at most so many times as long as one without
    FIRST = 8       # ids of a prompt before anything was measured
    LEAST = 4       # ids of a prompt beside answers, however slow they are: every prompt goes on

    def __init__(self, n_batch: int, longest: int, seconds: float) -> None:
        self._n_batch = n_batch   # ids of a step
        self._longest = longest   # of them, those of prompts
        self._seconds = seconds   # of a step in which no answer waits
        self._id_s = 0.0          # what one more id of a prompt costs
        self._decode_s: dict[int, float] = {}   # what a step of so many answers costs, without prompts

    def ids(self, n_decoding: int) -> int:
        """Return how many ids of prompts the next step may take beside `n_decoding` answers."""
        room = min(self._n_batch - n_decoding, self._longest)
        if not self._id_s:
            return min(room, self.FIRST)
        if not n_decoding:
            return max(1, min(room, int(self._seconds / self._id_s)))
        wanted = int((self.STRETCH - 1) * self._decoding(n_decoding) / self._id_s)
        return min(room, max(self.LEAST, wanted))

    def note(self, n_decoding: int, n_prompt: int, seconds: float) -> None:
        """Learn what a step took."""
        if not n_prompt:
            self._decode_s[n_decoding] = _nearer(self._decode_s.get(n_decoding, 0.0), seconds)
            return
        cost = max((seconds - self._decoding(n_decoding)) / n_prompt, seconds / (8 * n_prompt))
        self._id_s = _nearer(self._id_s, cost)

    def _decoding(self, n: int) -> float:
        """Return what a step of n answers costs: as measured for the number nearest to n."""
        if not n:
            return 0.0
        if not self._decode_s:
            return n * self._id_s
        nearest = min(self._decode_s, key=lambda known: abs(known - n))
        return self._decode_s[nearest] * (max(1.0, n / nearest) if n > nearest else 1.0)


def _nearer(old: float, new: float) -> float:
    return old + (new - old) / 4 if old else new
