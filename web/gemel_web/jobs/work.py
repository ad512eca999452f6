"""Work for a model, as generators that are resumed between the passes of its batch: completions, embeddings.

A generator yields events for the client, and None when it has nothing more before the next pass. Until Began it only
makes ids, maybe in another thread; any error that a request can cause is raised before Began.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import gemel
from gemel import KvType

from ..http.errors import ApiError, invalid, of_request

SEEDS = 2**64
LONGEST = 4   # bytes of a character in UTF-8

Prompts = Callable[[gemel.Model], Iterator[list[int]]]
"""Makes the ids of each prompt of a request, one after another."""


@dataclass(frozen=True)
class Began:
    """The request is valid, and waits for its evaluation."""

    prompts: list[list[int]]


@dataclass(frozen=True)
class Token:
    """A sampled token: its log-probability before bias, penalties and temperature, and the most likely tokens."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    offset: int   # characters of the answer before it


@dataclass(frozen=True)
class Text:
    """The next text of an answer."""

    choice: int
    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Ended:
    """An answer is complete."""

    choice: int
    reason: str    # "stop" or "length"
    n_tokens: int
    n_cached: int  # tokens of its prompt that were not evaluated; 0 for the further answers to a prompt
    invalid: str = ""   # why a whole answer is not valid by its schema


@dataclass(frozen=True)
class Vector:
    """A text's embedding: float32 in the machine's byte order."""

    index: int
    raw: bytes


Event = Began | Text | Ended | Vector
Steps = Generator[Event | None, None, None]


class ModelSlot:
    """A model as some aliases serve it, and the batch that evaluates their requests."""

    def __init__(
        self, model: gemel.Model, *, n_ctx: int | None, kv_type: KvType | None = None, cache_memory: int | None = None,
        parallel: int | None = None, step_seconds: float | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.n_ctx = n_ctx
        self.kv_type = kv_type
        size = model.default_n_ctx if n_ctx is None else n_ctx
        self._open: Callable[[], gemel.Batch] = lambda: model.batch(
            size, kv_type=kv_type, cache_memory=cache_memory, max_running=parallel, step_seconds=step_seconds
        )
        self._batch: gemel.Batch | None = None

    def batch(self) -> gemel.Batch:
        """Return the batch, which is opened by the first request."""
        if self._batch is None:
            self._batch = self._open()
        return self._batch

    def step(self) -> None:
        """Take the batch's next step, if it has anything to evaluate."""
        if self._batch is not None and (self._batch.n_running or self._batch.n_waiting):
            self._batch.step()

    def drop(self) -> None:
        """Close the batch: after an error its contents are unknown."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.close()


class Work(Protocol):
    """Something to evaluate in a slot."""

    stopped: bool

    def steps(self, slot: ModelSlot) -> Steps:
        """Run it. To stop it, it is closed between two passes."""

    def stop(self) -> None:
        """End before the next pass. Any thread may call it."""


class Stoppable:
    """The part of Work that is common to all."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        """End before the next pass."""
        self.stopped = True


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """How to complete prompts."""

    n: int                      # answers per prompt
    max_tokens: int | None
    stops: tuple[str, ...]
    sampling: gemel.Sampling
    n_top: int | None           # most likely tokens to report at each position; None: no log-probabilities
    echo: bool                  # the answer begins with the prompt
    param: str                  # the request's parameter that has the prompts
    form: Mapping[str, Any] = field(default_factory=dict)   # what answers may be: a keyword of Batch.generate
    form_param: str = ""        # the request's parameter that says so
    closes: bool = False        # the answer is whole within its limit
    fast_forward: bool = True   # evaluate ahead what the form forces
    is_answer: bool = False     # the answer is a message, not the rest of a text
    priority: int = 0           # lower ones begin first
    key: str = ""               # whose request it is
    cache_salt: str = ""

    def sampling_of(self, answer: int) -> gemel.Sampling:
        """Return the Sampling of the answers to a prompt, from 0: each has the seed after the one before."""
        seed = self.sampling.seed
        return self.sampling if seed is None or not answer else self.sampling.with_fields(seed=(seed + answer) % SEEDS)


class Completion(Stoppable):
    """Completes prompts, n times each, all together."""

    def __init__(self, prompts: Prompts, request: GenerateRequest) -> None:
        super().__init__()
        self._prompts = prompts
        self._request = request

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then the Text events and Ended of each answer, as they come."""
        request, batch = self._request, slot.batch()
        with ExitStack() as opened:
            answers: list[AnswerText] = []
            prompts: list[list[int]] = []
            try:
                for ids in self._prompts(slot.model):
                    yield None
                    for j in range(request.n):
                        sampling = request.sampling_of(j)
                        answers.append(AnswerText(batch, len(answers), ids, request, sampling))
                        opened.enter_context(closing(answers[-1]))
                    prompts.append(ids)
            except gemel.GemelError as error:
                if batch.closed:   # the error is not the request's
                    raise
                raise self._of(error) from error
            yield Began(prompts)
            try:
                while answers:
                    for answer in answers:
                        yield from answer.events()
                    answers = [answer for answer in answers if not answer.ended]
                    if answers:
                        yield None
            except gemel.GrammarError as error:   # at a place that is too ambiguous
                raise self._of(error) from error

    def _of(self, error: gemel.GemelError) -> ApiError:
        """Return the request's error. A form is named by the parameter that it came from."""
        if isinstance(error, gemel.GrammarError):
            return invalid(self._request.form_param, str(error).partition(": ")[2])
        return of_request(error, self._request.param)


class AnswerText:
    """An answer as it grows: assigns tokens to their text, and holds back characters that are incomplete."""

    def __init__(
        self, batch: gemel.Batch, choice: int, ids: list[int], request: GenerateRequest, sampling: gemel.Sampling,
    ) -> None:  # fmt: skip
        self.ended = False
        self._batch = batch
        self._choice = choice
        self._n, self._n_top = request.n, request.n_top
        self._is_checked = request.form.get("strict") is False
        self._echoed = batch.model.detokenize(ids) if request.echo else ""
        self._ready = ""                  # text not yet sent to the client
        self._shown = self._drawn = len(self._echoed)   # characters sent or ready; complete ones in the sampled tokens
        self._logs: list[tuple[float, tuple[tuple[int, float], ...]]] = []   # of tokens that were drawn
        self._tokens: list[Token] = []    # sampled, not yet sent
        self._seen = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._generation = batch.generate(
            ids, max_tokens=request.max_tokens, stop=request.stops, sampling=sampling, is_answer=request.is_answer,
            key=request.key, priority=request.priority, cache_salt=request.cache_salt,
            close_at_max_tokens=request.closes, fast_forward=request.fast_forward,
            on_drawn=None if self._n_top is None else self._log, **request.form,
        )  # fmt: skip

    def close(self) -> None:
        """Stop it."""
        self._generation.close()

    def events(self) -> Iterator[Event]:
        """Yield what the last pass made ready."""
        if self._echoed:
            yield Text(self._choice, self._echoed)
            self._echoed = ""
        reason = self._generation.stop_reason   # asked first: the last text comes before it
        self._add(self._batch.ready(self._generation) or "")
        if reason is None:
            if self._ready and not self._ready.endswith("\ufffd"):
                yield self._text(self._shown)
            return
        self._batch.ready(self._generation)   # raises its error
        self.ended = True
        if reason not in ("stop", "eos", "length"):
            raise gemel.CancelledError("the batch of this request was closed")
        last = self._last(cut=reason == "stop")
        if last is not None:
            yield last
        cached = 0 if self._choice % self._n else self._generation.timings.n_cached
        ended, n_ids = "length" if reason == "length" else "stop", len(self._generation.ids)
        yield Ended(self._choice, ended, n_ids, cached, "" if reason == "length" else self._invalid())

    def _invalid(self) -> str:
        """Return why the whole answer is not valid by a schema that its grammar does not enforce; "" if it is."""
        if not self._is_checked:
            return ""
        try:
            _ = self._generation.parsed
        except gemel.AnswerError as error:
            return str(error)
        return ""

    def _log(self, session: gemel.Session, id: int) -> None:
        top = session.likeliest(self._n_top) if self._n_top else []
        logprob, *others = session.log_probs([id, *top])
        self._logs.append((logprob, tuple(zip(top, others, strict=True))))

    def _add(self, piece: str) -> None:
        self._ready += piece
        self._shown += len(piece)
        if self._n_top is None:
            return
        for id in self._generation.ids[self._seen :]:
            self._tokens.append(Token(id, *self._logs[self._seen], self._drawn))
            self._seen += 1
            self._drawn += len(self._utf8.decode(self._batch.model.piece(id)))
            if self._seen == 1:
                self._drawn -= self._generation.n_dropped

    def _last(self, *, cut: bool) -> Text | None:
        """Return the rest. cut: a stop string ended the text; tokens after its end are dropped."""
        if not cut and self._ready.endswith("\ufffd") and self._ends_in_half_a_character():
            self._ready = self._ready.removesuffix("\ufffd")
        return self._text(self._shown if cut else None) if self._ready or (self._tokens and not cut) else None

    def _ends_in_half_a_character(self) -> bool:
        """Whether the last character of the answer lacks bytes; the bytes of the last ids tell."""
        raw = b""
        for id in reversed(self._generation.ids):
            raw = self._batch.model.piece(id) + raw
            if len(raw) > LONGEST:
                break
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.decode(raw)
        return bool(decoder.getstate()[0])

    def _text(self, end: int | None) -> Text:
        given = tuple(token for token in self._tokens if end is None or token.offset < end)
        self._tokens = self._tokens[len(given) :]
        ready, self._ready = self._ready, ""
        return Text(self._choice, ready, given)


class Embeddings(Stoppable):
    """Embeds texts as Model.embed does; those of a request go through the same passes."""

    def __init__(self, prompts: Prompts, *, param: str, key: str = "") -> None:
        super().__init__()
        self._prompts = prompts
        self._param = param
        self._key = key

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then a Vector per text."""
        batch = slot.batch()
        prompts: list[list[int]] = []
        try:
            for ids in self._prompts(slot.model):
                yield None
                if len(ids) > batch.n_ctx:
                    words = f"the text has {len(ids)} tokens, but {batch.n_ctx} fit: embed it in parts"
                    raise gemel.ContextError(words)
                prompts.append(ids)
        except gemel.GemelError as error:
            raise of_request(error, self._param) from error
        yield Began(prompts)
        batch = slot.batch()   # of now: an error of others may have ended the one before
        waiting, running = deque(prompts), deque[gemel.BatchFuture[Any]]()
        n_done = 0
        try:
            while waiting or running:
                while waiting and len(running) < batch.max_running:
                    running.append(batch.embed(waiting.popleft(), key=self._key))
                while running and running[0].done():
                    yield Vector(n_done, bytes(running.popleft().result()))
                    n_done += 1
                yield None
        finally:
            for future in running:
                future.close()
