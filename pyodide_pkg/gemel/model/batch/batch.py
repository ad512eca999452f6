"""Many generations of one model: each step is one pass, which reads the weights once for all of them.

A step takes the next id of every answer that runs, and ids of prompts as far as the answers' pace allows. What any
request has evaluated before, and memory still holds, is not evaluated again. Each answer has the bits that it has
alone, whatever runs beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Unpack

from ...core.checks import callback, flag, not_number, not_whole, text, wrong_type
from ...core.closing import Closing
from ...core.errors import ArgumentError, GemelError, OutOfMemoryError
from ...core.floats import FloatArray
from ...core.scalars import number, whole
from ...text.ids import Ids
from ..call_options import CallOptions, call_options
from ..call_types import CallFields
from ..core_model import CoreModel
from ..generation import Generation, check_limit
from ..kv import KvType
from ..memory import default_cache
from ..pace import Pace
from ..sampling import Sampling
from ..session import Session
from ..step import Drawn, step
from .costs import Costs
from .prefixes import PAGE, Prefixes, common
from .request import OnDrawn, Request
from .waiting import Waiting

STEP_S = 0.25        # seconds of a step in which no answer waits
MAX_RUNNING = 64
Part = tuple[Request, int]   # a request, and how many of its ids a step evaluates


class Batch(Closing):
    """Made by Model.batch(). A context manager; closing it stops its generations.

    Its generations may be read in any order and by any thread: reading one takes steps for all. Or call step().

    Attributes:
        model: whose generations they are
        n_ctx: ids of a prompt and its answer
        kv_type: what keys and values are rounded to
        cache_memory: bytes that the KV caches of the model may take
        max_running: generations that are evaluated together
    """

    copy_hint = "open another one with Model.batch()"

    def __init__(
        self, model: CoreModel, n_ctx: int | None = None, kv_type: KvType | None = None, *,
        cache_memory: int | None = None, max_running: int | None = None, step_seconds: float | None = None,
    ) -> None:  # fmt: skip
        with Session(model, n_ctx, kv_type) as session:   # checks both
            self.n_ctx, self.kv_type, self._position_size = session.n_ctx, session.kv_type, session.kv_size
        self.model = model
        self.cache_memory = default_cache() if cache_memory is None else _integer(cache_memory, 0, "cache_memory")
        most = model.n_batch - Costs.LEAST   # prompts go on beside them
        self.max_running = MAX_RUNNING if max_running is None else _integer(max_running, 1, "max_running", most)
        seconds = STEP_S if step_seconds is None else step_seconds
        if number(seconds) is None or not 0 < seconds < float("inf"):
            raise not_number("step_seconds", step_seconds, "a number of seconds over 0")
        longest = Pace.FIRST if model.info.engine == "side module" else model.n_batch
        self._costs = Costs(model.n_batch, longest, seconds)
        self._waiting: Waiting[Request] = Waiting()
        self._running: list[Request] = []     # in the order in which they began
        self._prefixes = Prefixes()
        self._lock = threading.Lock()         # of `_waiting`
        self._stepping = threading.Lock()     # held by the thread that takes a step, which alone changes the rest
        self._closed = False

    # ---- Requests ---------------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: str | Ids,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        special: bool = False,
        is_answer: bool = False,
        key: str = "",
        priority: int = 0,
        cache_salt: str = "",
        on_drawn: OnDrawn | None = None,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """As Session.generate in a new session, with the same text and ids. It begins when a step has room.

        priority: lower ones begin first. key: whose request it is; keys of equal priority take turns by how much was
        evaluated for them. cache_salt: only requests with the same one share what was evaluated.
        on_drawn(session, id): called in the step for each id drawn, while the session has the logits that it was drawn
        from: call only its log_probs() and most likely ids.
        """
        also = ("special", "is_answer", "key", "priority", "cache_salt", "on_drawn")
        options = call_options(max_tokens, stop, sampling, fields, also=also)
        if whole(priority) is None:
            raise not_whole("priority", priority, "an integer")
        ids = self.model._prompt_ids(prompt, special=special)
        request = self._request(
            ids, options, key=text("key", key), priority=priority, salt=text("cache_salt", cache_salt)
        )
        request.answer.is_message = flag("is_answer", is_answer)
        callback("on_drawn", on_drawn)
        request.on_drawn = on_drawn
        with self._lock:
            self._waiting.add(request)
        return Generation(request)

    def ready(self, generation: Generation) -> str | None:
        """Return the text of a generation since the last look, without a step: "" so far none, None at its end.

        Raises the generation's error.
        """
        if not isinstance(generation, Generation):
            raise wrong_type("generation", generation, "a generation of this batch")
        if not isinstance(generation._run, Request):
            raise ArgumentError("this generation is not a batch's: iterate over it")
        return generation._run.taken()

    def hidden(self, session: Session, ids: Sequence[int]) -> FloatArray:
        """Append to a session as many of the ids as fit between two steps; return their hidden states.

        As Session.hidden, float32 [n][n_embd], for embeddings beside answers: call it again with the ids that are left.
        """
        if not isinstance(session, Session):
            raise wrong_type("session", session, "a gemel.Session")
        n = self._costs.ids(sum(one.decodes for one in self._running))
        start = time.perf_counter()
        rows = session.hidden(ids[:n])
        self._costs.note(0, len(rows), time.perf_counter() - start)
        return rows

    def _request(self, ids: Sequence[int], options: CallOptions, *, key: str, priority: int, salt: str) -> Request:
        if self._closed:
            raise ArgumentError("this batch is closed: open another one with Model.batch()")
        limit = check_limit(self.model, self.n_ctx, len(ids), options.max_tokens)
        return Request(
            self.model, ids, options, limit, key=key, priority=priority, salt=salt, drive=self.step, leave=self._leave
        )

    @property
    def n_running(self) -> int:
        """Generations that have begun and not ended."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """Generations that have not begun."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    # ---- Steps ------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Evaluate one pass; return whether generations are left. Waits while another thread takes a step."""
        with self._stepping:
            self._reap()
            self._admit()
            parts = self._parts()
            if parts:
                self._evaluate(parts)
            self._reap()
        self._reap_now()   # those that left after the last look
        return bool(self._running or self._waiting)

    def _admit(self) -> None:
        """Let waiting requests begin while there is room; one always runs."""
        while len(self._running) < self.max_running:
            with self._lock:
                first = self._waiting.first()
                if first is None or (self._running and not self._has_room(first)):
                    return
                self._running.append(self._waiting.take())

    def _has_room(self, request: Request) -> bool:
        """Whether the ids of a request fit into the caches, beside what the running ones still lack."""
        lacking = sum(len(one.todo) + PAGE for one in [request, *self._running])
        return self._make_room(lacking * self._position_size)

    def _make_room(self, size: int) -> bool:
        """Close held sessions until `size` more bytes fit; False: they never do."""
        while self.model.cache_size + size > self.cache_memory:
            if not self._prefixes.drop_oldest():
                return False
        return True

    def _parts(self) -> list[Part]:
        """Choose what the next step evaluates: an id of each answer, then ids of prompts, first come first."""
        if not self._make_room(0):
            self._put_back_youngest()
        parts = [(one, 1) for one in self._running if one.session is not None and one.decodes]
        room = self._costs.ids(len(parts))
        for one in list(self._running):
            if room <= 0:
                break
            if one.session is not None and one.decodes:
                continue
            if one.session is None and (self._is_coming(one) or not self._open(one)):
                continue
            n = min(room, len(one.todo))
            parts.append((one, n))
            room -= n
        return parts

    def _is_coming(self, request: Request) -> bool:
        """Whether another request is evaluating a beginning that this one can share afterwards."""
        ids = request.todo.tobytes()
        others = [one for one in self._running if one.session is not None and not one.answer.ids]
        shared = max((common(one.all_ids.tobytes(), ids) for one in others if one.salt == request.salt), default=0)
        return shared >= PAGE and shared >= self._prefixes.longest(request.todo, request.salt) + PAGE

    def _open(self, request: Request) -> bool:
        """Give a request its session; False: it failed, or there is no memory now."""
        try:
            session = self._prefixes.fork(request.todo, request.salt)
            if session is None:
                session = Session(self.model, self.n_ctx, self.kv_type)
        except GemelError as error:
            self._failed(request, error)
            return False
        request.begin(session, session.n_past)
        return True

    def _evaluate(self, parts: list[Part]) -> None:
        ends = [n == len(request.todo) for request, n in parts]
        sessions = [request.session for request, _ in parts if request.session is not None]
        drawers = [request.sampler if last else None for (request, _), last in zip(parts, ends, strict=True)]
        wants_logits = any(request.on_drawn is not None for request, _ in parts)
        n_decoding = sum(request.decodes for request, _ in parts)
        start = time.perf_counter()
        outcomes = step(
            self.model, sessions, [request.todo[:n] for request, n in parts], drawers, logits=wants_logits
        )
        seconds = time.perf_counter() - start
        self._costs.note(n_decoding, sum(n for _, n in parts) - n_decoding, seconds)
        for (request, n), drawn in zip(parts, outcomes, strict=True):
            self._note(request, n, drawn, seconds)

    def _note(self, request: Request, n: int, drawn: Drawn, seconds: float) -> None:
        if drawn.error is not None:
            self._failed(request, drawn.error)
            return
        had = len(request.answer.ids)
        try:
            reason = request.evaluated(n, drawn, seconds)
        except Exception as error:   # of on_drawn
            self._failed(request, error)
            return
        if reason is not None:
            self._end(request, reason)
        elif not had and drawn.id is not None and request.session is not None:
            with suppress(GemelError):   # others do without
                self._prefixes.hold(request.session.fork(len(request.prompt_ids)), request.salt)

    # ---- Ends -------------------------------------------------------------------------------------------------------

    def _failed(self, request: Request, error: Exception) -> None:
        """End a request with an error; without memory, put it back as long as others run or sessions can be closed."""
        if isinstance(error, OutOfMemoryError) and (self._prefixes.drop_oldest() or len(self._running) > 1):
            self._prefixes.close()
            self._put_back(request)
            return
        request.finish("error", error)
        self._running.remove(request)
        self._correct(request)

    def _end(self, request: Request, reason: str) -> None:
        """End a request; what it evaluated is held for others."""
        session, request.session = request.session, None
        request.finish(reason)  # type: ignore[arg-type]
        self._running.remove(request)
        self._correct(request)
        if session is not None:
            self._prefixes.hold(session, request.salt)

    def _correct(self, request: Request) -> None:
        with self._lock:
            self._waiting.correct(request, float(request.n_evaluated))

    def _put_back_youngest(self) -> None:
        """Give up the session of the request that began last, unless it is the only one."""
        if len(self._running) > 1:
            self._put_back(self._running[-1])

    def _put_back(self, request: Request) -> None:
        request.put_back()
        self._running.remove(request)
        with self._lock:
            self._waiting.put_back(request)

    def _leave(self, request: Request) -> None:
        """A generation was closed: forget it now, or after the running step."""
        with self._lock:
            waits = self._waiting.remove(request)
        if waits:
            request.finish("cancelled")
        else:
            self._reap_now()

    def _reap_now(self) -> None:
        while any(one.cancelled for one in self._running) and self._stepping.acquire(blocking=False):
            try:
                self._reap()
            finally:
                self._stepping.release()

    def _reap(self) -> None:
        for request in [one for one in self._running if one.cancelled]:
            self._end(request, "cancelled")

    def close(self) -> None:
        """Stop all generations and close all sessions. Waits for a running step."""
        self._closed = True
        with self._stepping:
            with self._lock:
                requests = [*self._running, *self._waiting]
                self._running, self._waiting = [], Waiting()
            for request in requests:
                request.finish("cancelled")
            self._prefixes.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.n_running} running, {self.n_waiting} waiting"
        return f"<gemel.Batch of {self.model.name!r}: {state}>"


def _integer(value: object, least: int, name: str, most: int | None = None) -> int:
    integer = whole(value)
    if integer is None or integer < least or (most is not None and integer > most):
        raise not_whole(name, value, f"an integer of at least {least}" if most is None else f"{least} to {most}")
    return integer
