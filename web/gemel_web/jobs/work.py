"""Work for a model, as generators that are resumed between the passes of its batch: completions, embeddings, ranks.

A generator yields events for the client, and None when it has nothing more before the next pass. Until Began it only
makes ids, maybe in another thread; any error that a request can cause is raised before Began.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import gemel
from gemel import KvType

from ..http.errors import of_request
from ..models import cache_of, too_wide
from .answer import AnswerText, GenerateRequest, Prompts
from .counts import Counts
from .events import Began, Ids, Scored, Steps, Vector
from .tokens import scored

TextPrompts = Callable[[gemel.Model], Iterator[list[int]]]
"""Makes the ids of each text of a request, one after another."""


@dataclass(frozen=True)
class Load:
    """What a model has to do, and has done."""

    n_running: int       # answers and texts that are evaluated
    n_waiting: int       # those that wait for it
    cache_size: int      # bytes of its KV caches now
    cache_memory: int    # bytes that they may take; 0: unknown until the first request
    n_pages: int         # of them; 0: the model has no KV cache
    counts: Counts       # of its passes


class ModelSlot:
    """A model as some aliases serve it, and the batch that evaluates their requests."""

    def __init__(
        self, model: gemel.Model, *, n_ctx: int | None, kv_type: KvType | None = None, cache_memory: int | None = None,
        parallel: int | None = None, step_seconds: float | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.n_ctx = n_ctx
        self.kv_type = kv_type
        self.scores = False   # a request's prompts are being scored
        size = model.default_n_ctx if n_ctx is None else n_ctx
        self._open: Callable[[], gemel.Batch] = lambda: model.batch(
            size, kv_type=kv_type, cache_memory=cache_memory, max_running=parallel, step_seconds=step_seconds
        )
        self._batch: gemel.Batch | None = None
        self._opening = threading.Lock()   # several threads prepare requests
        self._past = Counts()   # of batches that are closed

    def batch(self) -> gemel.Batch:
        """Return the batch, which is opened by the first request."""
        with self._opening:
            if self._batch is None:
                self._batch = self._open()
            return self._batch

    def limit(self, n_ctx: int | None) -> int:
        """Return the context of a request. n_ctx: what it asks for. ContextError if caches can't hold it."""
        batch = self.batch()
        if n_ctx is None:
            return batch.n_ctx
        wanted = min(n_ctx, self.model.n_ctx)
        size = cache_of(self.model, wanted, self.kv_type) if wanted > batch.n_ctx else 0
        if size > batch.cache_memory:
            raise too_wide(wanted, size, batch.cache_memory)
        return wanted

    def step(self) -> None:
        """Take the batch's next step, if it has anything to evaluate."""
        if self._batch is not None and (self._batch.n_running or self._batch.n_waiting):
            self._batch.step()

    def drop(self) -> None:
        """Close the batch: after an error its contents are unknown."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._past.add_batch(batch.counts)
            batch.close()

    def load(self) -> Load:
        """Return what it evaluates and has evaluated."""
        counts, batch = Counts(), self._batch
        counts.add(self._past)
        if batch is None:
            return Load(0, 0, 0, 0, 0, counts)
        counts.add_batch(batch.counts)
        size, page = self.model.cache_size, batch.page_size
        return Load(
            batch.n_running, batch.n_waiting, size, batch.cache_memory, -(-size // page) if page else 0, counts
        )


class Work(Protocol):
    """Something to evaluate in a slot."""

    stopped: bool

    def steps(self, slot: ModelSlot) -> Steps:
        """Run it. To stop it, it is closed between two passes."""

    def stop(self) -> None:
        """End before the next pass. Any thread may call it."""

    def n_tokens(self) -> int:
        """Return how many tokens of prompts and answers it has, as `usage` counts them. Any thread may call it."""


class Stoppable:
    """The part of Work that is common to all."""

    def __init__(self) -> None:
        self.stopped = False
        self.n_prompt = 0   # tokens of its prompts, once it has begun

    def stop(self) -> None:
        """End before the next pass."""
        self.stopped = True

    def n_tokens(self) -> int:
        """Return the tokens that are evaluated or made."""
        return self.n_prompt


class Completion(Stoppable):
    """Completes prompts, n times each, all together."""

    def __init__(self, prompts: Prompts, request: GenerateRequest) -> None:
        super().__init__()
        self._prompts = prompts
        self.made: list[list[int]] = []   # the ids of its prompts
        self.request = request
        self._made: tuple[AnswerText, ...] = ()

    def n_tokens(self) -> int:
        """Return the tokens of its prompts, and those of its answers so far."""
        return self.n_prompt + sum(answer.n_tokens for answer in self._made)

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then the Text events and Ended of each answer, as they come."""
        request, batch = self.request, slot.batch()
        with ExitStack() as opened:
            answers: list[AnswerText] = []
            made = self.made
            n_prompt = 0
            try:
                request = replace(request, n_ctx=slot.limit(request.n_ctx))
                for prompt in self._prompts(slot.model):
                    yield None
                    made.append(prompt.ids if isinstance(prompt, gemel.Turn) else prompt)
                    for j in range(request.n):
                        sampling = request.sampling_of(j)
                        answers.append(AnswerText(batch, len(answers), prompt, request, sampling))
                        opened.enter_context(closing(answers[-1]))
                    n_prompt += len(made[-1])
            except gemel.GemelError as error:
                if batch.closed:   # the error is not the request's
                    raise
                raise request.refused(error) from error
            self.n_prompt, self._made = n_prompt, tuple(answers)
            yield Began(n_prompt)
            if request.scores_prompt:
                yield from self._scored(slot, answers, made)
            try:
                while answers:
                    for answer in answers:
                        yield from answer.events()
                    answers = [answer for answer in answers if not answer.ended]
                    if answers:
                        yield None
            except gemel.GrammarError as error:   # at a place that is too ambiguous
                raise request.refused(error) from error


    def _scored(self, slot: ModelSlot, answers: Sequence[AnswerText], prompts: Sequence[list[int]]) -> Steps:
        """Score each prompt, one after another; of the requests to a slot, one at a time does so."""
        n = self.request.n
        while slot.scores:
            yield None
        slot.scores = True
        try:
            for i, ids in enumerate(prompts):
                tokens = yield from scored(slot.model, ids, self.request.n_top or 0, slot.kv_type)
                for answer in answers[i * n : i * n + n]:
                    answer.score(tokens)
        finally:
            slot.scores = False


class Embeddings(Stoppable):
    """Embeds texts as Model.embed does; those of a request go through the same passes."""

    def __init__(
        self, prompts: TextPrompts, *, param: str, dimensions: int | None = None, n_ctx: int | None = None,
        key: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self._prompts = prompts
        self._n_ctx = n_ctx             # tokens of a text; None: the model's context, as it is served
        self._param = param
        self._dimensions = dimensions   # of each vector; None: all that the model has
        self._key = key

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then a Vector per text."""
        batch = slot.batch()
        prompts: list[list[int]] = []
        try:
            most = slot.limit(self._n_ctx)
            for ids in self._prompts(slot.model):
                yield None
                if len(ids) > most:
                    words = f"the text has {len(ids)} tokens, but {most} fit: embed it in parts"
                    raise gemel.ContextError(words)
                prompts.append(ids)
        except gemel.GemelError as error:
            raise of_request(error, self._param) from error
        self.n_prompt = sum(map(len, prompts))
        yield Began(self.n_prompt)
        batch = slot.batch()   # of now: an error of others may have ended the one before
        waiting, running = deque(prompts), deque[gemel.BatchFuture[Any]]()
        n_done = 0
        try:
            while waiting or running:
                while waiting and len(running) < batch.max_running:
                    ids, n_dim = waiting.popleft(), self._dimensions
                    running.append(batch.embed(ids, truncate_dim=n_dim, key=self._key))
                while running and running[0].done():
                    yield Vector(n_done, bytes(running.popleft().result()))
                    n_done += 1
                yield None
        finally:
            for future in running:
                future.close()


class Ranking(Stoppable):
    """Ranks documents as Model.rerank does; they go through the same passes."""

    def __init__(self, query: str, documents: Sequence[str], *, normalize: bool, key: str = "") -> None:
        super().__init__()
        self._query, self._documents = query, documents
        self._normalize = normalize
        self._key = key

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then a Scored per document."""
        batch = slot.batch()
        running: deque[gemel.BatchFuture[float]] = deque()
        try:
            for i, document in enumerate(self._documents):
                yield None
                try:
                    running.append(batch.rank(self._query, document, normalize=self._normalize, key=self._key))
                    if running[-1].n_ids > batch.n_ctx:
                        words = f"the query and the document have {running[-1].n_ids} tokens"
                        raise gemel.ContextError(f"{words}, but {batch.n_ctx} fit: split the document")
                except gemel.GemelError as error:
                    if batch.closed:   # the error is not the request's
                        raise
                    is_long = isinstance(error, gemel.ContextError)
                    raise of_request(error, f"documents[{i}]" if is_long else "model") from error
            self.n_prompt = sum(one.n_ids for one in running)
            yield Began(self.n_prompt)
            for i in range(len(self._documents)):
                while not running[0].done():
                    yield None
                yield Scored(i, running.popleft().result())
        finally:
            for future in running:
                future.close()


class Counting(Stoppable):
    """Makes prompts, and evaluates none of them."""

    def __init__(self, prompts: Prompts, *, param: str, placed: Callable[[str], str] = str) -> None:
        super().__init__()
        self._prompts = prompts
        self._param = param
        self._placed = placed

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, which has the number of their ids, then the Ids of each."""
        made: list[list[int]] = []
        try:
            for prompt in self._prompts(slot.model):
                yield None
                made.append(prompt.ids if isinstance(prompt, gemel.Turn) else prompt)
        except gemel.GemelError as error:
            raise of_request(error, self._param, self._placed) from error
        yield Began(sum(map(len, made)))
        for i, ids in enumerate(made):
            yield Ids(i, tuple(ids))
