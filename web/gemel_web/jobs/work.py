"""Work for a model, as generators with short steps: prompts are completed, texts are embedded.

A step yields an event for the client, or None so that other tasks can run. Steps run in the model's own thread or in
the event loop (scheduler.py decides); `stop` may be called from any thread and ends the running step. Any error that a
request can cause is raised before `Began`.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import gemel
from gemel import KvType

from ..http.errors import of_request

SHORT = 8   # tokens per step when the event loop waits for each step
SEEDS = 2**64

Prompts = Callable[[gemel.Model], Iterator[list[int]]]
"""Makes the ids of each prompt of a request, one after another."""


@dataclass(frozen=True)
class Began:
    """The request is valid, and its evaluation begins."""

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


@dataclass(frozen=True)
class Vector:
    """A text's embedding: float32 in the machine's byte order."""

    index: int
    raw: bytes


Event = Began | Text | Ended | Vector
Steps = Generator[Event | None, None, None]


class ModelSlot:
    """A model and the session that its requests share: a request reuses the KV cache of the one before."""

    def __init__(
        self, model: gemel.Model, *, n_ctx: int | None, short_steps: bool, kv_type: KvType | None = None
    ) -> None:
        self.model = model
        self.short_steps = short_steps   # the event loop waits for each step
        self.n_ctx = n_ctx
        self.kv_type = kv_type
        self._session: gemel.Session | None = None

    def session(self) -> gemel.Session:
        """Return the shared session; one request uses it at a time."""
        if self._session is None:
            self._session = self.model.session(self.n_ctx, kv_type=self.kv_type)
        return self._session

    def drop(self) -> None:
        """Close the session: after an error its contents are unknown."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class Work(Protocol):
    """Something to evaluate in a slot."""

    stopped: bool

    def steps(self, slot: ModelSlot) -> Steps:
        """Run it, one step at a time."""

    def stop(self) -> None:
        """End it within the running step."""


class Stoppable:
    """The part of Work that is common to all: `stop` from another thread cancels the session in use."""

    def __init__(self) -> None:
        self.stopped = False
        self._lock = threading.Lock()
        self._session: gemel.Session | None = None

    def stop(self) -> None:
        """End within the running step."""
        with self._lock:
            self.stopped = True
            if self._session is not None:
                self._session.cancel()

    @contextmanager
    def using(self, session: gemel.Session) -> Iterator[gemel.Session]:
        """Let `stop` cancel a session; afterwards the session can be used again."""
        with self._lock:
            self._session = session
        try:
            yield session
        except gemel.CancelledError:
            if not self.stopped:
                raise
        finally:
            with self._lock:
                self._session = None
                if self.stopped and not session.closed:
                    session.cancel(False)


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
    is_answer: bool = False     # the answer is a message, not the rest of a text

    def sampling_of(self, answer: int) -> gemel.Sampling:
        """Return the Sampling of the answers to a prompt, from 0: each has the seed after the one before."""
        seed = self.sampling.seed
        return self.sampling if seed is None or not answer else self.sampling.with_fields(seed=(seed + answer) % SEEDS)


class Completion(Stoppable):
    """Completes prompts, n times each, in order."""

    def __init__(self, prompts: Prompts, request: GenerateRequest) -> None:
        super().__init__()
        self._prompts = prompts
        self._request = request

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then the Text events and Ended of each answer."""
        request = self._request
        with self.using(slot.session()) as session:
            prompts: list[list[int]] = []
            try:
                for ids in self._prompts(slot.model):
                    yield None
                    self._generation(session, ids, request.sampling).close()   # raises what is invalid
                    prompts.append(ids)
            except gemel.GemelError as error:
                raise of_request(error, request.param) from error
            yield Began(prompts)
            for i, ids in enumerate(prompts):
                for j in range(request.n):
                    yield from self._answer(slot, session, i * request.n + j, ids, request.sampling_of(j))

    def _generation(self, session: gemel.Session, ids: list[int], sampling: gemel.Sampling) -> gemel.Generation:
        request = self._request
        return session.generate(
            ids, max_tokens=request.max_tokens, stop=request.stops, sampling=sampling, is_answer=request.is_answer
        )

    def _answer(
        self, slot: ModelSlot, session: gemel.Session, choice: int, ids: list[int], sampling: gemel.Sampling
    ) -> Steps:
        with self._generation(session, ids, sampling) as generation:
            if slot.short_steps:
                aiter(generation)   # makes its steps short
            echoed = slot.model.detokenize(ids) if self._request.echo else ""
            if echoed:
                yield Text(choice, echoed)
            answer = AnswerText(session, self._request.n_top, start=len(echoed))
            while not self.stopped and (piece := generation.step()) is not None:
                answer.add(generation, piece)
                yield answer.ready(choice)
            if self.stopped:
                return
            reason = generation.stop_reason
            yield answer.last(choice, cut=reason == "stop")
            yield Ended(choice, "length" if reason == "length" else "stop", len(generation.ids))


class AnswerText:
    """An answer as it grows: assigns tokens to their text, and holds back characters that are incomplete."""

    def __init__(self, session: gemel.Session, n_top: int | None, *, start: int) -> None:
        self._session = session
        self._n_top = n_top
        self._ready = ""                  # text not yet sent to the client
        self._shown = start               # characters sent or ready
        self._tokens: list[Token] = []    # sampled, not yet sent
        self._seen = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._drawn = start               # complete characters in the sampled tokens

    def add(self, generation: gemel.Generation, piece: str) -> None:
        """Add what a step of the generation returned."""
        self._ready += piece
        self._shown += len(piece)
        for id in generation.ids[self._seen :]:
            self._seen += 1
            if self._n_top is not None:
                self._tokens.append(self._token(id))
            self._drawn += len(self._utf8.decode(self._session.model.piece(id)))
            if self._seen == 1:
                self._drawn -= generation.n_dropped

    def ready(self, choice: int) -> Text | None:
        """Return the text that can be sent; what may be an incomplete character waits for the next step."""
        if not self._ready or self._ready.endswith("\ufffd"):
            return None
        return self._text(choice, self._shown)

    def last(self, choice: int, *, cut: bool) -> Text | None:
        """Return the rest. cut: a stop string ended the text; tokens after its end are dropped."""
        half, _ = self._utf8.getstate()
        if half and not cut:
            self._ready = self._ready.removesuffix("\ufffd")
        end = self._shown if cut else None
        return self._text(choice, end) if self._ready or (self._tokens and not cut) else None

    def _text(self, choice: int, end: int | None) -> Text:
        given = tuple(token for token in self._tokens if end is None or token.offset < end)
        self._tokens = self._tokens[len(given) :]
        ready, self._ready = self._ready, ""
        return Text(choice, ready, given)

    def _token(self, id: int) -> Token:
        top = self._session.likeliest(self._n_top) if self._n_top else []
        logprob, *others = self._session.log_probs([id, *top])
        return Token(id, logprob, tuple(zip(top, others, strict=True)), self._drawn)


class Embeddings(Stoppable):
    """Embeds texts one after another, each as Model.embed does."""

    def __init__(self, prompts: Prompts, *, param: str) -> None:
        super().__init__()
        self._prompts = prompts
        self._param = param

    def steps(self, slot: ModelSlot) -> Steps:
        """Yield Began, then a Vector per text."""
        model = slot.model
        n_ctx = model.n_ctx if slot.n_ctx is None else slot.n_ctx
        prompts: list[list[int]] = []
        try:
            for ids in self._prompts(model):
                yield None
                if len(ids) > n_ctx:
                    raise gemel.ContextError(f"the text has {len(ids)} tokens, but {n_ctx} fit: embed it in parts")
                prompts.append(ids)
        except gemel.GemelError as error:
            raise of_request(error, self._param) from error
        yield Began(prompts)
        for i, ids in enumerate(prompts):
            if self.stopped:
                return
            with model.session(len(ids), kv_type=slot.kv_type) as session, self.using(session):
                rows = bytearray()
                step = SHORT if slot.short_steps else model.n_batch
                for start in range(0, len(ids), step):
                    rows += memoryview(session.hidden(ids[start : start + step])).cast("B")
                    yield None
                states = memoryview(rows).cast("f", (len(ids), model.n_embd))
                yield Vector(i, bytes(gemel.pooled(states)))
