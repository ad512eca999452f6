"""What one model's requests add up to: a few numbers per event, which others read when they are asked for metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import gemel

from ..http.exchange import Exchange
from ..jobs.answer import GenerateRequest
from ..jobs.counts import Counts
from ..jobs.events import Began, Ended, Text
from ..jobs.scheduler import End
from .histogram import FIRST_TOKEN, NEXT_TOKEN, SECONDS_FROM_MS, TOKENS, Histogram

REASONS = {"stop": "stop", "length": "length", "calls": "tool_calls"}


@dataclass(eq=False)
class Record:
    """A request while it is answered. Times are seconds, monotonic.

    Attributes:
        began: when the request arrived
        first, last: when the first and the last piece of an answer was ready
        prompts: returns the texts of its prompts
        captures: texts are noted
        texts: of each answer, by kind: text, reasoning, call
        n_drawn: tokens of each answer so far
        error: what ended it
    """

    tally: Tally
    model: str = ""
    prompts: Callable[[], list[str]] = list
    wanted: GenerateRequest | None = None
    captures: bool = False
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    exchange: Exchange | None = None
    n_prompt: int = 0
    first: float | None = None
    last: float = 0.0
    is_over: float = 0.0
    n_drawn: dict[int, int] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    error: Exception | None = None

    def arrived(self, exchange: Exchange) -> None:
        """Take the request that it answers."""
        self.exchange, self.began = exchange, exchange.began

    def take(self, item: object) -> None:
        """Take what was delivered."""
        if isinstance(item, Text):
            self._more(item.choice, item.n_drawn)
            if self.captures:
                parts = self.texts.setdefault(item.choice, {})
                parts[item.kind] = parts.get(item.kind, "") + item.text
        elif isinstance(item, Began):
            self.n_prompt = item.n_prompt
            self.tally.n_prompt += item.n_prompt
        elif isinstance(item, Ended):
            self._more(item.choice, item.n_tokens)
            self.ended.append(item)
            self.tally.answered(item)
        elif isinstance(item, Exception):
            self.error = item
            self.tally.reasons["abort" if isinstance(item, gemel.CancelledError) else "error"] += 1
        if isinstance(item, End | Exception):
            self.is_over = time.monotonic()
            self.tally.over(self)

    def _more(self, choice: int, n_drawn: int) -> None:
        """Note the tokens of an answer. Each piece is one interval, however many tokens it has."""
        n_new = n_drawn - self.n_drawn.get(choice, 0)
        if n_new <= 0:
            return
        now = time.monotonic()
        if self.first is None:
            self.first = now
            self.tally.first_token.observe(now - self.began)
        elif choice in self.n_drawn and now > self.last:
            self.tally.next_token.observe(now - self.last)
        self.last = now
        self.n_drawn[choice] = n_drawn
        self.tally.n_generated += n_new

    @property
    def per_token(self) -> float | None:
        """Mean seconds per token of an answer after its first; None: there is no such token."""
        n_next = self.n_generated - len(self.n_drawn)
        return (self.last - self.first) * len(self.n_drawn) / n_next if self.first is not None and n_next > 0 else None

    @property
    def n_generated(self) -> int:
        """Tokens of all its answers."""
        return sum(self.n_drawn.values())


class Tally:
    """The sums of one model, named by its alias."""

    def __init__(self) -> None:
        self.first_token = Histogram(FIRST_TOKEN)
        self.next_token = Histogram(NEXT_TOKEN)
        self.per_token = Histogram(NEXT_TOKEN)
        self.whole = Histogram(SECONDS_FROM_MS)
        self.queued = Histogram(SECONDS_FROM_MS)
        self.prefill = Histogram(SECONDS_FROM_MS)
        self.decode = Histogram(SECONDS_FROM_MS)
        self.prompt_tokens = Histogram(TOKENS)
        self.answer_tokens = Histogram(TOKENS)
        self.n_prompt = self.n_generated = 0
        self.n_asked = self.n_cached = 0   # tokens of prompts that were answered; of them, those of the cache
        self.reasons = Counter[str]()
        self.drafted, self.accepted = Counter[str](), Counter[str]()
        self.past = Counts()   # passes of batches that were closed with the model

    def answered(self, answer: Ended) -> None:
        """Add an answer."""
        times = answer.timings
        self.reasons[REASONS[answer.reason]] += 1
        self.answer_tokens.observe(answer.n_tokens)
        self.queued.observe(times.queued_s)
        self.n_cached += answer.n_cached
        for source, (n_drafted, n_accepted) in times.drafts.items():
            self.drafted[source] += n_drafted
            self.accepted[source] += n_accepted

    def over(self, record: Record) -> None:
        """Add a request that is over."""
        if record.error is not None:
            return
        self.whole.observe(record.is_over - record.began)
        self.prompt_tokens.observe(record.n_prompt)
        if not record.ended:   # texts that were embedded or ranked
            return
        self.n_asked += record.n_prompt
        if record.first is not None:
            queued = min(one.timings.queued_s for one in record.ended)
            self.prefill.observe(max(0.0, record.first - record.began - queued))
            self.decode.observe(record.last - record.first)
            if (per_token := record.per_token) is not None:
                self.per_token.observe(per_token)
