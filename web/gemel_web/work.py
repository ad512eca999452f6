"""What a model is asked to do, as generators whose every step is short: completing prompts, embedding texts.

A step gives an event for the client or None: somebody else's turn. Steps run in the model's own thread or in the event
loop (scheduler.py knows which); `stop` may be called from any thread and ends the step that runs. Everything that can
be wrong with a request shows before `Began`.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import gemel
from gemel import KvType

from .errors import of_request
from .prompts import Prompts
from .sampling import seeded

SHORT = 8   # ids of a step that an event loop waits for


@dataclass(frozen=True)
class Began:
    """The request is sound, and evaluating begins."""

    prompts: list[list[int]]


@dataclass(frozen=True)
class Token:
    """A token that was drawn: its log-probability before bias, penalties and temperature, and the likeliest ones."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    offset: int   # characters of the answer before it


@dataclass(frozen=True)
class Text:
    """What an answer goes on with."""

    choice: int
    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Ended:
    """An answer is whole."""

    choice: int
    reason: str    # "stop" or "length"
    n_tokens: int


@dataclass(frozen=True)
class Vector:
    """A text's embedding, float32 in the machine's order."""

    index: int
    raw: bytes


Event = Began | Text | Ended | Vector
Steps = Generator[Event | None, None, None]


class Desk:
    """Where a model is worked at: the model, and the session whose KV cache the next request may go on from."""

    def __init__(
        self, model: gemel.Model, *, n_ctx: int | None, turns: bool, kv_type: KvType | None = None
    ) -> None:
        self.model = model
        self.turns = turns   # an event loop waits for every step
        self.n_ctx = n_ctx
        self.kv_type = kv_type
        self._session: gemel.Session | None = None

    def session(self) -> gemel.Session:
        """Return the session that requests share, one after another."""
        if self._session is None:
            self._session = self.model.session(self.n_ctx, kv_type=self.kv_type)
        return self._session

    def drop(self) -> None:
        """Close the session: after an error nobody knows what it holds."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class Work(Protocol):
    """Something to do at a desk."""

    stopped: bool

    def steps(self, desk: Desk) -> Steps:
        """Do it, a step at a time."""

    def stop(self) -> None:
        """Let it end within the step that runs."""


class Stoppable:
    """The half of Work that is always the same: a word from another thread that reaches the session in use."""

    def __init__(self) -> None:
        self.stopped = False
        self._lock = threading.Lock()
        self._session: gemel.Session | None = None

    def stop(self) -> None:
        """End within the step that runs."""
        with self._lock:
            self.stopped = True
            if self._session is not None:
                self._session.cancel()

    @contextmanager
    def using(self, session: gemel.Session) -> Iterator[gemel.Session]:
        """Let `stop` reach a session; what it said there is gone again afterwards."""
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
class Wish:
    """How prompts are to be completed."""

    n: int                      # answers to each prompt
    max_tokens: int | None
    stops: tuple[str, ...]
    sampling: gemel.Sampling
    n_top: int | None           # likeliest tokens wanted at each place; None: no log-probabilities at all
    echo: bool                  # the answer begins with the prompt
    param: str                  # where the prompts came in
    is_chat: bool = False       # the answer is a message, not the rest of a text


class Completion(Stoppable):
    """Goes on from prompts, n times from each, in order."""

    def __init__(self, prompts: Prompts, wish: Wish) -> None:
        super().__init__()
        self._prompts = prompts
        self._wish = wish

    def steps(self, desk: Desk) -> Steps:
        """Yield Began, and then Text and Ended of one answer after another."""
        wish = self._wish
        with self.using(desk.session()) as session:
            prompts: list[list[int]] = []
            try:
                for ids in self._prompts(desk.model):
                    yield None
                    self._generation(session, ids, wish.sampling).close()   # it was made: it can be meant
                    prompts.append(ids)
            except gemel.GemelError as error:
                raise of_request(error, wish.param) from error
            yield Began(prompts)
            for i, ids in enumerate(prompts):
                for j in range(wish.n):
                    yield from self._answer(desk, session, i * wish.n + j, ids, seeded(wish.sampling, j))

    def _generation(self, session: gemel.Session, ids: list[int], sampling: gemel.Sampling) -> gemel.Generation:
        wish = self._wish
        return session.generate(
            ids, max_tokens=wish.max_tokens, stop=wish.stops, sampling=sampling, is_answer=wish.is_chat
        )

    def _answer(
        self, desk: Desk, session: gemel.Session, choice: int, ids: list[int], sampling: gemel.Sampling
    ) -> Steps:
        with self._generation(session, ids, sampling) as generation:
            if desk.turns:
                aiter(generation)   # which makes its steps short
            echoed = desk.model.detokenize(ids) if self._wish.echo else ""
            if echoed:
                yield Text(choice, echoed)
            watch = Watch(session, self._wish.n_top, start=len(echoed))
            while not self.stopped and (piece := generation.step()) is not None:
                watch.note(generation, piece)
                yield watch.event(choice)
            if self.stopped:
                return
            reason = generation.stop_reason
            yield watch.last(choice, cut=reason == "stop")
            yield Ended(choice, "length" if reason == "length" else "stop", len(generation.ids))


class Watch:
    """Puts the tokens of an answer beside its text, and sees to it that the text does not end in half a character."""

    def __init__(self, session: gemel.Session, n_top: int | None, *, start: int) -> None:
        self._session = session
        self._n_top = n_top
        self._ready = ""                  # text that the client has not got yet
        self._shown = start               # characters that it has, or that are ready
        self._tokens: list[Token] = []    # drawn, and not given yet
        self._seen = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._drawn = start               # characters that are whole in the tokens drawn

    def note(self, generation: gemel.Generation, piece: str) -> None:
        """Take what a step of the generation gave."""
        self._ready += piece
        self._shown += len(piece)
        for id in generation.ids[self._seen :]:
            self._seen += 1
            if self._n_top is not None:
                self._tokens.append(self._token(id))
            self._drawn += len(self._utf8.decode(self._session.model.piece(id)))
            if self._seen == 1:
                self._drawn -= generation.n_dropped

    def event(self, choice: int) -> Text | None:
        """Return the text that can be shown; what may be half a character waits for the next step."""
        if not self._ready or self._ready.endswith("\ufffd"):
            return None
        return self._text(choice, self._shown)

    def last(self, choice: int, *, cut: bool) -> Text | None:
        """Return the rest. cut: a stop string ended the text, and tokens behind its end are not part of it."""
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
    """Embeds texts, one after another, each as Model.embed does."""

    def __init__(self, prompts: Prompts, *, param: str) -> None:
        super().__init__()
        self._prompts = prompts
        self._param = param

    def steps(self, desk: Desk) -> Steps:
        """Yield Began, and then a Vector for every text."""
        model = desk.model
        most = model.n_ctx if desk.n_ctx is None else desk.n_ctx
        prompts: list[list[int]] = []
        try:
            for ids in self._prompts(model):
                yield None
                if len(ids) > most:
                    raise gemel.ContextError(f"{len(ids)} tokens were given, {most} fit: embed parts of it")
                prompts.append(ids)
        except gemel.GemelError as error:
            raise of_request(error, self._param) from error
        yield Began(prompts)
        for i, ids in enumerate(prompts):
            if self.stopped:
                return
            with model.session(len(ids), kv_type=desk.kv_type) as session, self.using(session):
                rows = bytearray()
                step = SHORT if desk.turns else model.n_batch
                for start in range(0, len(ids), step):
                    rows += memoryview(session.hidden(ids[start : start + step])).cast("B")
                    yield None
                states = memoryview(rows).cast("f", (len(ids), model.n_embd))
                yield Vector(i, bytes(gemel.pooled(states)))
