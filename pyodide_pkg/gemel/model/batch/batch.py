"""Many requests to one model: each step is one pass, which reads the weights once for all of them.

A step takes the next id of every answer that runs, and ids of prompts as far as the answers' pace allows. What any
request has evaluated before, and memory still holds, is not evaluated again. Each answer has the bits that it has
alone, whatever runs beside it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Unpack

from ...core.checks import callback, flag, integer, not_number, not_whole, text, wrong_type
from ...core.errors import ArgumentError, ArgumentTypeError, GemelError, OutOfMemoryError, StateError, UnsupportedError
from ...core.public import public
from ...core.scalars import number, whole
from ...text.ids import Ids, id_bytes
from ...text.messages import Ending, plain
from ...tools.given import ToolLike, tools_of
from ..answer import StopReason
from ..call_options import OF_SEND, call_options
from ..call_types import CallFields
from ..core_model import OF_PROMPT_IDS, CoreModel
from ..generation import Generation, check_limit, n_ctx_for
from ..kv import KvType
from ..memory import default_cache
from ..pace import Pace
from ..sampling import Sampling
from ..session import Session, TakePreloaded, check_n_ctx
from ..step import Drawn, Pass
from ..turn import ToolChoice, Turn, tool_options, turn_from
from .costs import Costs
from .counts import Counts
from .prefixes import PAGE, common, prefixes_of
from .reading import Reading
from .request import AnswerRequest, OnDrawn, Request
from .texts import embed_next
from .waiting import Waiting

STEP_S = 0.25        # seconds of a step in which no answer waits
MAX_RUNNING = 64
STATES = 4           # of recurrent layers, that a request may need: of a pass, and checkpoints
MAX_TEXTS = 32       # that are embedded or scored at a time, beside the generations
Part = tuple[Request, int]   # a request, and how many of its ids a step evaluates


@public
class Batch(Reading):
    """Made by Model.batch(). A context manager; closing it stops its generations.

    Its generations may be read in any order and by any thread: reading one takes steps for all. Or call step().

    Attributes:
        model: whose generations they are
        n_ctx: ids of a prompt and its answer; if it was not given, the smallest that a generation gets
        kv_type: what keys and values are rounded to
        cache_memory: bytes that the KV caches of the model may take
        max_running: generations that are evaluated together
        counts: what its passes have evaluated
    """

    copy_hint = "open another one with Model.batch()"

    def __init__(
        self, model: CoreModel, n_ctx: int | None = None, kv_type: KvType | None = None, *,
        cache_memory: int | None = None, max_running: int | None = None, step_seconds: float | None = None,
        take_preloaded: TakePreloaded | None = None,
    ) -> None:  # fmt: skip
        self._grows = n_ctx is None   # a generation has as much as it needs
        self._take_preloaded = take_preloaded
        with Session(model, n_ctx, kv_type) as session:   # checks both
            self.n_ctx, self.kv_type, self._kv_size = session.n_ctx, session.kv_type, session.kv_size
        self.model = model
        self.cache_memory = default_cache() if cache_memory is None else integer(cache_memory, 0, "cache_memory")
        most = model.n_batch - Costs.LEAST   # prompts go on beside them
        self.max_running = MAX_RUNNING if max_running is None else integer(max_running, 1, "max_running", most)
        default = Pace.SECONDS if model.info.engine == "side module" else STEP_S   # it can't be interrupted
        seconds = default if step_seconds is None else step_seconds
        if number(seconds) is None or not seconds > 0:
            raise not_number("step_seconds", step_seconds, "a number of seconds over 0")
        self._costs = Costs(model.n_batch, seconds)
        self.counts = Counts()
        self._prefixes = prefixes_of(model)
        self._closed = False
        # Any thread adds to these two, and takes no lock for it: a generation may be deleted in the middle of a step.
        self._arrived: deque[Request] = deque()
        self._left: deque[Request] = deque()
        # The rest belongs to the thread that holds the lock.
        self._stepping = threading.Lock()
        self._stepper: int | None = None      # that thread
        self._waiting: Waiting[Request] = Waiting()
        self._running: list[Request] = []     # in the order in which they began
        self._pass: Pass | None = None        # the last step's
        self._answering: list[Session] = []   # its sessions, if it was a step of answers alone
        self._ready: tuple[list[Session], Pass] | None = None   # the last step of ids that were evaluated ahead
        self._n_same = 0                      # further steps of these that need no look at the caches' memory
        model._batches.add(self)

    # ---- Requests ---------------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: str | Ids | Turn,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        special: bool = False,
        n_ctx: int | None = None,
        is_answer: bool = False,
        key: str = "",
        priority: int = 0,
        cache_salt: str = "",
        on_drawn: OnDrawn | None = None,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """As Session.generate in a new session, with the same text and ids. It begins when a step has room.

        n_ctx: default the batch's. priority: lower ones begin first. key: whose request it is; keys of equal priority
        take turns by how much was evaluated for them. cache_salt: only requests with the same one share what was
        evaluated.
        on_drawn(session, id): called in the step for each id drawn, while the session has the logits that it was drawn
        from: call only its log_probs() and most likely ids.
        """
        also = ("special", "n_ctx", "is_answer", "key", "priority", "cache_salt", "on_drawn")
        options = call_options(max_tokens, stop, sampling, fields, also=also)
        if whole(priority) is None:
            raise not_whole("priority", priority, "an integer")
        salt = text("cache_salt", cache_salt)
        is_message = flag("is_answer", is_answer)
        callback("on_drawn", on_drawn)
        turn = prompt if isinstance(prompt, Turn) else None
        if turn is not None:
            turn.check(self.model, special=special, is_answer=is_message)
            is_message = turn.is_message
        ids = self.model._prompt_ids(prompt.ids if isinstance(prompt, Turn) else prompt, special=special)
        id_bytes(ids, self.model.n_vocab)   # a bad one would end the step of all
        size = self.n_ctx if n_ctx is None else check_n_ctx(self.model, n_ctx)
        if n_ctx is None and self._grows:
            size = n_ctx_for(self.model, len(ids), options.max_tokens)
        limit = check_limit(self.model, size, len(ids), options.max_tokens)
        self._check_open()
        request = AnswerRequest(
            self.model, ids, options, limit, n_ctx=size, key=text("key", key), priority=priority,
            kind=(size, self.kv_type, salt), batch=self, is_message=is_message, turn=turn,
        )  # fmt: skip
        request.on_drawn = on_drawn
        self._add(request)
        return Generation(request)

    def answer(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        template: str | None = None,
        tools: Sequence[ToolLike] | None = None,
        tool_choice: ToolChoice | None = None,
        parallel_tool_calls: bool | None = None,
        reasoning_budget: int | None = None,
        template_options: Mapping[str, Any] | None = None,
        continue_final_message: bool | None = None,
        add_generation_prompt: bool | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        n_ctx: int | None = None,
        key: str = "",
        priority: int = 0,
        cache_salt: str = "",
        on_drawn: OnDrawn | None = None,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """Answer messages, as Chat.send() does; what earlier answers evaluated of them is not evaluated again.

        template: as in Model.chat; template_options: its further keywords. The others are those of Chat.send and
        generate().
        """
        if "is_answer" in fields:
            raise ArgumentTypeError("is_answer: the messages decide this: leave it out")
        also = ("template", "template_options", *OF_SEND, "n_ctx", "key", "priority", "cache_salt", "on_drawn")
        options = call_options(max_tokens, stop, sampling, fields, also=also)
        if not plain(messages):   # it also refuses what is no list of messages
            raise ArgumentError("there is no message to answer: pass at least one")
        values = {} if template_options is None else template_options
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise wrong_type("template_options", template_options, "a mapping from names to values")
        if taken := next((name for name in values if name in OF_PROMPT_IDS), None):
            raise ArgumentError(f"template_options: {taken} is not an option of a template: leave it out")
        given = tool_options(tools_of(tools), tool_choice, parallel_tool_calls)
        ending = Ending(continue_final_message, add_generation_prompt)
        turn = turn_from(self.model, messages, given, template, values, ending, reasoning_budget)
        return self.generate(
            turn, n_ctx=n_ctx, key=key, priority=priority, cache_salt=cache_salt, on_drawn=on_drawn,
            **options.keywords(),
        )  # fmt: skip

    def _add(self, request: Request) -> None:
        self._arrived.append(request)
        if self._closed:   # meanwhile, by another thread
            request.finish("cancelled")
            self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise ArgumentError("this batch is closed: open another one with Model.batch()")

    def ready(self, generation: Generation) -> str | None:
        """Return the text of a generation since the last look, without a step: "" so far none, None at its end.

        Raises the generation's error.
        """
        if not isinstance(generation, Generation):
            raise wrong_type("generation", generation, "a generation of this batch")
        request = generation._run
        if not isinstance(request, AnswerRequest) or request.batch is not self:
            raise ArgumentError("generation: it does not belong to this batch: iterate over it instead")
        return request.taken()

    @property
    def n_running(self) -> int:
        """Generations and futures that have begun and not ended."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """Those that have not begun."""
        return len(self._waiting) + len(self._arrived)

    @property
    def page_size(self) -> int:
        """Bytes of a page of the KV cache, of 64 positions, with those of a draft model."""
        return PAGE * self._position_size

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    # ---- Steps ------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Evaluate one pass, then take ids that were evaluated ahead; return whether generations are left.

        Waits while another thread takes a step.
        """
        with self._stepped():
            if self.model.is_encoder:
                self._take_arrived()
                return embed_next(self.model, self._waiting, self.counts)
            parts = self._same_parts()
            if not parts:
                self._admit()
                parts = self._parts()
            if parts:
                self._evaluate(parts)
                self._take_ready()
        return bool(self.n_running or self.n_waiting)

    def _take_ready(self) -> None:
        """Take the steps of answers whose ids were evaluated ahead: they need no pass, and the others wait for none."""
        while ready := [(one, 1) for one in self._running if one.is_ready]:
            self._evaluate(ready, are_ready=True)
            self._n_same = 0

    @contextmanager
    def _stepped(self) -> Iterator[None]:
        """Be the thread that takes a step. Generations that are closed meanwhile leave afterwards."""
        self._check_stepper()
        with self._stepping:
            self._stepper = threading.get_ident()
            try:
                self._reap()
                yield
            finally:
                self._reap()
                self._stepper = None
        self._reap_now()   # those that left after the last look

    def _check_stepper(self) -> None:
        if self._stepper == threading.get_ident():
            raise StateError("on_drawn: it runs inside a step, so it can't start another step or close the batch")

    def _admit(self) -> None:
        """Let waiting requests begin while there is room; one always runs."""
        self._take_arrived()
        while True:
            may_begin = self._slots()
            first = self._waiting.first(may_begin)
            if first is None or (self._running and not self._has_room(first)):
                return
            self._running.append(self._waiting.take(may_begin))

    def _take_arrived(self) -> None:
        while self._arrived:
            self._waiting.add(self._arrived.popleft())

    def _slots(self) -> Callable[[Request], bool]:
        """Return whether there is a slot for a request: generations and texts have their own."""
        n_texts = sum(bool(one.wants) for one in self._running)
        is_free = {True: n_texts < MAX_TEXTS, False: len(self._running) - n_texts < self.max_running}
        return lambda request: is_free[bool(request.wants)]

    @property
    def _position_size(self) -> int:
        """Bytes of KV cache per position, with those of a draft model."""
        return self._kv_size + self.model._draft_kv_size

    def _has_room(self, request: Request) -> bool:
        """Whether a request fits into the caches, beside what the running ones hold and still lack."""
        held = self._prefixes.longest(request.todo, request.kind)   # stays: it counts as used now
        lacking = sum(len(one.todo) + PAGE for one in [request, *self._running]) - held
        having = sum(one.n_past for one in self._running if one.session is not None)
        states = STATES * self.model.state_size
        if (lacking + having) * self._position_size + (1 + len(self._running)) * states > self.cache_memory:
            return False
        return self._make_room(lacking * self._position_size + states)

    def _make_room(self, size: int) -> bool:
        """Close held sessions until `size` more bytes fit; False: they never do."""
        while self.model.cache_size + size > self.cache_memory:
            if not self._prefixes.drop_oldest():
                return False
        return True

    def _same_parts(self) -> list[Part]:
        """Return what the last step evaluated if the same answers go on and take no new page; else nothing."""
        if not self._n_same or self._arrived or len(self._waiting):
            return []
        self._drop_unusable()
        if len(self._answering) != len(self._running):   # one ended
            return []
        self._n_same -= 1
        return [(one, 1) for one in self._running]

    def _parts(self) -> list[Part]:
        """Choose what the next step evaluates: an id of each answer, and ids of prompts."""
        while not self._make_room(0) and self._put_back_youngest():
            pass
        self._drop_unusable()
        parts = [(one, 1) for one in self._running if one.session is not None and one.decodes]
        prompts = [one for one in self._running if one.session is None or not one.decodes]
        if not prompts:
            return parts
        n_prompts = sum(not one.wants for one in prompts)
        room = self._costs.ids(len(parts), n_prompts + (n_prompts < len(prompts)))   # all texts count as one prompt
        ready = [one for one in prompts if one.session is not None or (not self._is_coming(one) and self._open(one))]
        shares = deque(sorted(ready[1:], key=lambda one: len(one.todo)))
        if ready:   # half of the room for the one that came first, the rest for the shortest ones
            shares.append(ready[0])
            first = min(len(ready[0].todo), (room + 1) // 2 if ready[1:] else room)
            given = {id(ready[0]): first}
            room -= first
            for one in shares:
                n = min(room, len(one.todo) - given.get(id(one), 0))
                given[id(one)] = given.get(id(one), 0) + n
                room -= n
            counts = [(one, self._until_shared(one, given[id(one)], prompts)) for one in ready]
            parts += [(one, n) for one, n in counts if n or not one.todo]   # 0: preloaded
        return [(one, n) for one, n in parts if one.session is not None]   # opening one may have put another back

    def _until_shared(self, one: Request, n: int, prompts: list[Request]) -> int:
        """Return how many of a prompt's next n ids end where another prompt goes on: the state there is then kept."""
        for other in prompts if self.model.state_size else ():
            source, shared = self._source(other) if other.session is None else (None, 0)
            if source is one and shared >= PAGE and one.n_past < shared < one.n_past + n:
                n = shared - one.n_past
        return n

    def _drop_unusable(self) -> None:
        """End requests whose sessions somebody closed, or that a forked child can't use: they would fail the pass."""
        for one in list(self._running):
            if one.session is not None and (one.session.closed or one.session._broken):
                self._end(one, "error", StateError(one.session._broken or "the session of this generation was closed"))

    def _source(self, request: Request) -> tuple[Request | None, int]:
        """Return the running request whose prompt has the most ids in common with this one's, and how many."""
        ids = request.todo.tobytes()
        others = [one for one in self._running if one.session is not None and one.kind == request.kind]
        shared = [(common(one.prompt_bytes, ids), one) for one in others]
        n, source = max(shared, key=lambda pair: pair[0], default=(0, None))
        return source, min(n, len(request.todo) - 1)

    def _is_coming(self, request: Request) -> bool:
        """Whether another request is evaluating a beginning that this one can share afterwards."""
        source, shared = self._source(request)
        if source is None or shared < PAGE or source.n_past >= shared:
            return False
        return shared >= self._prefixes.longest(request.todo, request.kind) + PAGE

    def _open(self, request: Request) -> bool:
        """Give a request its session; False: it failed, or there is no memory now."""
        source, shared = self._source(request)
        try:
            session = None
            if source is not None and shared >= PAGE + self._prefixes.longest(request.todo, request.kind):
                with suppress(UnsupportedError):   # pages that a sliding window needs there were freed
                    other = source.session
                    session = other.fork(other._keeps(shared)) if other is not None else None
            session = session or self._preloaded(request) or self._prefixes.fork(request.todo, request.kind)
            session = session or Session(self.model, request.n_ctx, self.kv_type)
        except OutOfMemoryError as error:
            self._lacks_memory([request], error)
            return False
        except GemelError as error:
            self._end(request, "error", error)
            return False
        request.begin(session, session.n_past)
        return True

    def _preloaded(self, request: Request) -> Session | None:
        """Return the session that evaluated the prompt, or its beginning, while the model loaded."""
        if self._take_preloaded is None or request.wants or request.n_drawn:
            return None
        return self._take_preloaded(request.prompt_ids, request.n_ctx, self.kv_type)

    def _evaluate(self, parts: list[Part], *, are_ready: bool = False) -> None:
        """Take the step. What it did to parts that can't be noted is unknown: they end with an error."""
        n_decoding = sum(request.decodes for request, _ in parts)
        left = deque(parts)
        start = time.perf_counter()
        try:
            taken = self._ready_pass_of(parts) if are_ready else self._pass_of(parts)
            outcomes = taken.run([request.todo[:n] for request, n in parts])
            seconds = time.perf_counter() - start
            if not are_ready:
                n_rows = sum(n for _, n in parts)
                self._costs.note(n_decoding, n_rows - n_decoding, seconds)
                self.counts.note(n_rows, n_decoding, seconds)
            lacking: list[Request] = []
            for i, ((request, n), drawn) in enumerate(zip(parts, outcomes, strict=True)):
                if request.wants and drawn.error is None:
                    request.take(taken.made(i))
                if self._note(request, n, drawn, seconds):
                    lacking.append(request)
                left.popleft()
            if lacking:
                self._lacks_memory(lacking, OutOfMemoryError("a step: there is no memory for the KV cache"))
        except OutOfMemoryError as error:   # of the pass as a whole: nothing changed
            self._lacks_memory([request for request, _ in parts], error)
        except BaseException:
            for request, _ in left:
                self._end(request, "error", StateError("a step was interrupted: what it did is unknown"))
            raise

    def _pass_of(self, parts: list[Part]) -> Pass:
        """Return the pass; while the same answers go on, it is that of the last step."""
        sessions = [request.session for request, _ in parts if request.session is not None]
        if self._pass is not None and sessions == self._answering:
            # The second step of the same answers: what they share with held sessions was copied. The step that takes
            # a page is the last one.
            self._n_same = self._n_same or min(-request.n_past % PAGE for request, _ in parts)
        else:
            self._n_same = 0
            self._pass, self._ready = self._new_pass(parts), None
            self._answering = sessions if all(request.decodes for request, _ in parts) else []
        return self._pass

    def _ready_pass_of(self, parts: list[Part]) -> Pass:
        """Return the pass of ids that were evaluated ahead; while the same answers have some, it is the last one."""
        sessions = [request.session for request, _ in parts if request.session is not None]
        if self._ready is None or self._ready[0] != sessions:
            self._ready = sessions, self._new_pass(parts)
        return self._ready[1]

    def _new_pass(self, parts: list[Part]) -> Pass:
        sessions = [request.session for request, _ in parts if request.session is not None]
        drawers = [request.sampler if n == len(request.todo) else None for request, n in parts]
        logits = any(request.on_drawn is not None for request, _ in parts)
        wants = [request.wants for request, _ in parts]
        return Pass(self.model, sessions, drawers, [n for _, n in parts], logits=logits, wants=wants)

    def _note(self, request: Request, n: int, drawn: Drawn, seconds: float) -> bool:
        """Take what a step did for a request; return whether it did nothing, for want of memory."""
        is_lacking = isinstance(drawn.error, OutOfMemoryError)
        if is_lacking and request.session is not None and request.session.n_past == request.n_past:
            return True
        if drawn.error is not None:
            self._end(request, "error", drawn.error)
            return False
        had = request.n_drawn
        try:
            reason = request.evaluated(n, drawn, seconds)
        except Exception as error:   # of on_drawn
            self._end(request, "error", error)
            return False
        if reason is not None:
            self._end(request, reason)
        elif not had and drawn.id is not None and request.session is not None:
            with suppress(GemelError):   # others do without
                self._prefixes.hold(request.session.fork(len(request.prompt_ids)), request.kind, self)
        return False

    # ---- Ends -------------------------------------------------------------------------------------------------------

    def _lacks_memory(self, lacking: list[Request], error: OutOfMemoryError) -> None:
        """Free what is held, or put the youngest request back, so that the others go on; a lone one fails."""
        has_freed = False
        while self._prefixes.drop_oldest():
            has_freed = True
        if has_freed:
            return
        if len(self._running) > 1:
            youngest = next((one for one in reversed(self._running) if one.session is not None), lacking[-1])
            self._put_back(youngest)
        else:
            self._end(lacking[0], "error", error)

    def _end(self, request: Request, reason: StopReason, error: Exception | None = None) -> None:
        """End a running request; what an answer that is complete evaluated is held for others."""
        session = None
        if reason in ("stop", "eos", "length") and not request.wants:
            session, request.session = request.session, None
        request.finish(reason, error)
        if request in self._running:
            self._running.remove(request)
            self._waiting.correct(request, float(request.n_evaluated))
        try:
            if session is not None:
                if request.on_drawn is not None or session.drafted[0]:   # a fork has no logits, which are large
                    drawn, session = session, session.fork(session.n_past)
                    drawn.close()
                self._prefixes.hold(session, request.kind, self)
            self._make_room(0)
        except GemelError:   # such as: the model was closed
            if session is not None:
                session.close()

    def _put_back_youngest(self) -> bool:
        """Give up the session of the request that began last, unless only one has a session."""
        having = [one for one in self._running if one.session is not None]
        if len(having) > 1:
            self._put_back(having[-1])
        return len(having) > 2

    def _put_back(self, request: Request) -> None:
        request.put_back()
        self._running.remove(request)
        self._waiting.put_back(request)

    def _leave(self, request: Request) -> None:
        """A generation was closed: end it now, or after the step that another thread takes."""
        self._left.append(request)
        self._reap_now()

    def _reap_now(self) -> None:
        while self._left and self._stepper != threading.get_ident() and self._stepping.acquire(blocking=False):
            try:
                self._reap()
            finally:
                self._stepping.release()

    def _reap(self) -> None:
        while self._left:
            request = self._left.popleft()
            with suppress(ValueError):
                self._arrived.remove(request)
            self._waiting.remove(request)
            self._end(request, "cancelled")

    def close(self) -> None:
        """Stop all generations and close all sessions. Waits for a running step."""
        self._check_stepper()
        self._closed = True
        with self._stepped():
            requests = [*self._running, *self._waiting, *self._arrived]
            self._running, self._waiting, self._pass, self._ready = [], Waiting(), None, None
            self._arrived.clear()
            for request in requests:
                request.finish("cancelled")
            self._prefixes.close(self)

    def _after_fork(self) -> None:
        """Repair the batch in a forked child. What another thread was evaluating is lost."""
        self._prefixes.after_fork()
        self._pass = self._ready = None   # they have the locks of the parent
        if self._stepper is None:
            self._stepping = threading.Lock()
            return
        self._stepping, self._stepper = threading.Lock(), None
        for request in list(self._running):
            self._end(request, "error", StateError("another thread was taking a step when the process forked"))

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.n_running} running, {self.n_waiting} waiting"
        return f"<gemel.Batch of {self.model.name!r}: {state}>"
