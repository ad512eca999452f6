"""The sampler in readable Python: what core_c/src/sample/sampler.c is held against.

Written from the definition, not from the C: ranks are full sorts, repeats are compared id by id, and exp is libm's.
The ids drawn agree with the core's, except where a sum lies within rounding of a threshold.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]  # the largest float
NOT_DRAWN = -math.inf


@dataclass
class Options:
    """The options of gemel.h, with its defaults."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last_n: int = 64
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_last_n: int = 1024
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int = 0


def to_float(x: float) -> float:
    """Round to single precision, saturating."""
    return struct.unpack("<f", struct.pack("<f", min(max(x, -LARGEST), LARGEST)))[0]  # type: ignore[no-any-return]


@dataclass
class Candidate:
    """An id that may still be drawn."""

    id: int
    logit: float


def by_rank(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (-c.logit, c.id))


def by_id(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: c.id)


def weights(candidates: list[Candidate], temperature: float = 1.0) -> list[float]:
    """Return probabilities times a common factor."""
    best = max(c.logit for c in candidates)
    return [math.exp((c.logit - best) / temperature) for c in candidates]


def log_probabilities(candidates: list[Candidate], temperature: float = 1.0) -> list[float]:
    best = max(c.logit for c in candidates)
    log_total = math.log(sum(weights(candidates, temperature)))
    return [(c.logit - best) / temperature - log_total for c in candidates]


# ---- Truncation: each step takes candidates and returns those that stay ----


def top_k(candidates: list[Candidate], k: int) -> list[Candidate]:
    return by_rank(candidates)[:k]


def typical(candidates: list[Candidate], p: float) -> list[Candidate]:
    """Keep what lies nearest to the expected surprise, until the sum of probabilities is over p."""
    w = weights(candidates)
    total = sum(w)
    best = max(c.logit for c in candidates)
    mean = sum(v * (c.logit - best) for v, c in zip(w, candidates, strict=True)) / total
    distances = [to_float(abs((c.logit - best) - mean)) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda i: (distances[i], candidates[i].id))
    kept, mass = [], 0.0
    for i in order:
        kept.append(candidates[i])
        mass += w[i]
        if mass > p * total:
            break
    return kept


def top_p(candidates: list[Candidate], p: float) -> list[Candidate]:
    ranked = by_rank(candidates)
    w = weights(ranked)
    total, mass = sum(w), 0.0
    for i, v in enumerate(w):
        mass += v
        if mass >= p * total:
            return ranked[: i + 1]
    return ranked


def min_p(candidates: list[Candidate], p: float) -> list[Candidate]:
    best = max(c.logit for c in candidates)
    return [c for c in candidates if c.logit - best >= math.log(p)]


def exclude_top(candidates: list[Candidate], threshold: float) -> list[Candidate]:
    """XTC: of the candidates at or over the threshold, keep only the least likely."""
    ranked = by_rank(candidates)
    w = weights(ranked)
    over = [i for i, v in enumerate(w) if v >= threshold * sum(w)]
    return ranked[over[-1] :] if over else ranked


def unsurprising(candidates: list[Candidate], bits: float) -> list[Candidate]:
    """Mirostat 2: keep what surprises by no more than `bits`, or else the most likely one."""
    logs = log_probabilities(candidates)
    kept = [c for c, log in zip(candidates, logs, strict=True) if -log / math.log(2) <= bits]
    return kept or by_rank(candidates)[:1]


# ---- The sampler ----


@dataclass
class Sampler:
    """One timeline of ids. Options are given once."""

    options: Options
    bias: dict[int, float] = field(default_factory=dict)
    breakers: list[Sequence[int]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.ids = []
        self.rng = self.options.seed
        self.mu = 2 * self.options.mirostat_tau

    def accept(self, new_id: int) -> None:
        self.ids.append(new_id)

    def uniform(self) -> float:
        """Return a multiple of 2^-53 in [0, 1): splitmix64."""
        mask = 2**64 - 1
        self.rng = (self.rng + 0x9E3779B97F4A7C15) & mask
        z = self.rng
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    def sample(self, logits: Sequence[float]) -> int:
        o = self.options
        x = self.penalised(list(logits))
        candidates = [Candidate(i, v) for i, v in enumerate(x) if v != NOT_DRAWN]
        if not candidates:
            raise ValueError("every id is forbidden")
        if o.temperature == 0:
            return by_rank(candidates)[0].id
        candidates = unsurprising(candidates, self.mu) if o.mirostat == 2 else self.truncated(candidates)
        return self.draw(by_id(candidates))

    def truncated(self, candidates: list[Candidate]) -> list[Candidate]:
        o = self.options
        if o.top_k > 0:
            candidates = top_k(candidates, o.top_k)
        if o.typical_p < 1:
            candidates = typical(by_id(candidates), o.typical_p)
        if o.top_p < 1:
            candidates = top_p(candidates, o.top_p)
        if o.min_p > 0:
            candidates = min_p(candidates, o.min_p)
        if o.xtc_probability > 0 and self.uniform() < o.xtc_probability:
            candidates = exclude_top(candidates, o.xtc_threshold)
        return candidates

    def draw(self, candidates: list[Candidate]) -> int:
        """Take the first id, in ascending order, at which the running sum passes a random share of the total."""
        o = self.options
        w = weights(candidates, o.temperature)
        target, mass, drawn = self.uniform() * sum(w), 0.0, len(w) - 1
        for i, v in enumerate(w):
            mass += v
            if mass > target:
                drawn = i
                break
        if o.mirostat == 2:
            surprise = -log_probabilities(candidates, o.temperature)[drawn] / math.log(2)
            self.mu -= o.mirostat_eta * (surprise - o.mirostat_tau)
        return candidates[drawn].id

    # ---- Penalties ----

    def penalised(self, x: list[float]) -> list[float]:
        o = self.options
        for i, value in self.bias.items():
            x[i] = NOT_DRAWN if NOT_DRAWN in (value, x[i]) else to_float(x[i] + value)
        if o.penalty_last_n > 0 and (o.repeat_penalty, o.frequency_penalty, o.presence_penalty) != (1, 0, 0):
            self.penalise_repeats(x)
        if o.dry_multiplier > 0 and o.dry_last_n > 0:
            self.penalise_repetition(x)
        return x

    def penalise_repeats(self, x: list[float]) -> None:
        o = self.options
        for i, count in Counter(self.ids[-o.penalty_last_n :]).items():
            if x[i] != NOT_DRAWN:
                scaled = x[i] * o.repeat_penalty if x[i] <= 0 else x[i] / o.repeat_penalty
                x[i] = to_float(scaled - (count * o.frequency_penalty + o.presence_penalty))

    def penalise_repetition(self, x: list[float]) -> None:
        """DRY: the longer the passage that an id would repeat, the more it loses."""
        o = self.options
        seen = self.ids[-o.dry_last_n :]
        limit = len(seen) - self.end_of_last_breaker(seen)
        if len(seen) <= o.dry_allowed_length or limit < o.dry_allowed_length:
            return
        alone = {breaker[0] for breaker in self.breakers if len(breaker) == 1}
        longest: dict[int, int] = {}
        for end in range(1, len(seen)):  # seen[:end] may end like all of seen; then seen[end] would go on with it
            same = 0
            while same < min(end, limit) and seen[end - 1 - same] == seen[-1 - same]:
                same += 1
            if same >= o.dry_allowed_length:
                longest[seen[end]] = max(same, longest.get(seen[end], 0))
        for i, length in longest.items():
            if i not in alone and x[i] != NOT_DRAWN:
                x[i] = to_float(x[i] - o.dry_multiplier * power(o.dry_base, length - o.dry_allowed_length))

    def end_of_last_breaker(self, seen: list[int]) -> int:
        """Return the place after the last whole sequence breaker; 0: there is none."""
        for end in range(len(seen), 0, -1):
            if any(seen[max(0, end - len(b)) : end] == list(b) for b in self.breakers):
                return end
        return 0


def power(base: float, exponent: int) -> float:
    try:
        return base**exponent
    except OverflowError:
        return math.inf
