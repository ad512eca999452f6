"""What a batch evaluates, and what became of it: the ids that are needed next, in a session for each request."""

from __future__ import annotations

import codecs
import time
from array import array
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Protocol

from ..answer import Answer, StopReason
from ..call_options import CallOptions
from ..core_model import CoreModel
from ..pace import Pace
from ..sampler import Sampler
from ..session import Session
from ..stages import begun
from ..step import Drawn
from ..turn import Turn


class Drives(Protocol):
    """What a request needs of its batch."""

    def step(self) -> bool:
        """Evaluate one pass."""

    def _leave(self, request: Request) -> None:
        """End a request now, or after the step that runs."""


OnDrawn = Callable[[Session, int], object]
USUAL = 256   # ids of an answer without a limit, for the estimate of its work


class Request:
    """What a batch knows of its requests. It evaluates `todo` in `session`, and tells what came of it."""

    sampler: Sampler | None = None   # draws an id after the last of `todo`
    on_drawn: OnDrawn | None = None
    decodes = False   # it needs one id evaluated, that of its answer
    wants = 0         # what its ids give, as in a Pass
    n_drawn = 0       # ids of its answer
    is_ready = False  # the only id of `todo` was evaluated ahead: a step with it needs no pass

    def __init__(
        self, prompt_ids: Sequence[int], *, n_ctx: int, work: float, key: str, priority: int, kind: Hashable,
        batch: Drives,
    ) -> None:  # fmt: skip
        self.batch = batch
        self.prompt_ids = list(prompt_ids)
        self.n_ctx, self.work = n_ctx, work
        self.key, self.priority, self.kind = key, priority, kind
        self.session: Session | None = None
        self.prompt_bytes = array("i", self.prompt_ids).tobytes()   # for comparing prompts
        self.todo = array("i", self.prompt_ids)   # ids that the session lacks
        self.n_evaluated = 0                      # ids, also those that were evaluated again
        self.cancelled = False
        self.stop_reason: StopReason | None = None
        self.error: Exception | None = None

    @property
    def n_past(self) -> int:
        """How many of its ids are evaluated."""
        return len(self.prompt_ids) + self.n_drawn - len(self.todo)

    def begin(self, session: Session, n_held: int) -> None:
        """Take a session that has the first n_held ids."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Give up the session, to begin again later."""
        raise NotImplementedError

    def take(self, made: bytes) -> None:
        """Take what the ids gave that are evaluated now, if it `wants` something."""
        raise NotImplementedError

    def evaluated(self, n: int, drawn: Drawn, seconds: float) -> StopReason | None:
        """Note that the first n ids of todo were evaluated; return why the request ends with them, or None."""
        raise NotImplementedError

    def finish(self, reason: StopReason, error: Exception | None = None) -> None:
        """Note why it ended, and free what it holds."""
        if self.stop_reason is not None:
            return
        self.error = error
        self.stop_reason = reason   # last: other threads look at it first
        if self.sampler is not None:
            self.sampler.close()
        if self.session is not None:
            self.session.close()
            self.session = None

    def end(self, reason: StopReason) -> None:
        """Leave the batch; only the first call counts."""
        if self.stop_reason is None:
            self.cancelled = True
            self.batch._leave(self)


class AnswerRequest(Request):
    """What a Generation shows: a prompt, and the ids drawn after it."""

    pace: Pace | None = None   # the batch chooses the sizes of its steps
    sampler: Sampler

    def __init__(
        self, model: CoreModel, prompt_ids: Sequence[int], options: CallOptions, limit: int, *, n_ctx: int, key: str,
        priority: int, kind: Hashable, batch: Drives, is_message: bool, turn: Turn | None = None,
    ) -> None:  # fmt: skip
        work = float(len(prompt_ids) + min(limit, USUAL))
        super().__init__(prompt_ids, n_ctx=n_ctx, work=work, key=key, priority=priority, kind=kind, batch=batch)
        self.model = model
        self.answer = Answer(model, len(self.prompt_ids), options.stops, limit)
        self.seconds = 0.0   # of the steps that evaluated the prompt
        self._asked = time.perf_counter()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._carry = b""   # bytes of an incomplete character, from a session that was given up
        self._unread: deque[str] = deque()
        self.stages = begun(self.answer, model, options, turn, limit, self.prompt_ids, is_message=is_message)
        self.sampler = self.stages.sampler

    # ---- For its batch ----------------------------------------------------------------------------------------------

    @property
    def n_drawn(self) -> int:   # type: ignore[override]  # never set
        """Ids of the answer so far."""
        return len(self.answer.ids)

    @property
    def decodes(self) -> bool:   # type: ignore[override]  # never set
        """Whether it needs one id evaluated, that of its answer."""
        return bool(self.answer.ids) and len(self.todo) == 1

    @property
    def all_ids(self) -> array[int]:
        """The ids of the prompt and the answer."""
        return array("i", self.prompt_ids + self.answer.ids)

    def begin(self, session: Session, n_held: int) -> None:
        """Take a session that has the first n_held ids."""
        self._flush(session)   # what another answer may have left
        self.session = session
        self.answer.drafts.begin(session)
        self.todo = self.all_ids[n_held:]
        if not self.answer.ids and not self.n_evaluated:
            self.answer.count_cached(n_held)
            self.answer.count_queued(time.perf_counter() - self._asked)

    def put_back(self) -> None:
        """Give up the session, to begin again later; the answer so far is kept."""
        if self.session is None:
            return
        self._carry += self._flush(self.session)
        self.answer.drafts.end()
        self.session.close()
        self.session = None
        self.is_ready = False
        self.todo = self.all_ids

    def evaluated(self, n: int, drawn: Drawn, seconds: float) -> StopReason | None:
        """Note that the first n ids of todo were evaluated; return why the answer ends with the id drawn, or None."""
        decoded = self.decodes
        self.is_ready = drawn.is_ready
        self.todo = self.todo[n:]
        self.n_evaluated += n
        if not self.answer.ids:
            self.seconds += seconds
            self.answer.count_prompt(self.n_evaluated, self.seconds)
        if drawn.id is None:
            return None
        if decoded:
            self.answer.count_next(seconds)
        elif not self.answer.ids:
            self.answer.count_first(0.0)
        if self.on_drawn is not None and self.session is not None:
            self.on_drawn(self.session, drawn.id)
        piece = self._utf8.decode(self._carry + drawn.text)
        self._carry = b""
        shown, reason = self.answer.take(drawn.id, piece, self._rest, self.stages.is_whole)
        self._unread.append(shown)
        self.todo.append(drawn.id)
        return reason

    def _rest(self) -> str:
        raw = self._flush(self.session) if self.session is not None else b""
        return self._utf8.decode(raw, True)

    def _flush(self, session: Session) -> bytes:
        library = self.model._library
        block = library.alloc(8)
        return library.read(block.address, session._call("gemel_session_flush", block, 8, where="generating"))

    def finish(self, reason: StopReason, error: Exception | None = None) -> None:
        """Note why it ended, and free what it holds."""
        self.answer.drafts.end()
        super().finish(reason, error)

    # ---- For its Generation -----------------------------------------------------------------------------------------

    def taken(self) -> str | None:
        """Return the text since the last call, "" when there is none yet, or None at the end. Raises its error."""
        ended = self.stop_reason is not None   # asked first: the last text comes before it
        text = ""
        while self._unread:
            text += self._unread.popleft()
        if text or not ended:
            return text
        if self.error is not None:
            raise self.error
        return None

    def steps(self) -> Generator[str, None, None]:
        """Yield text; "" while there is nothing to show yet. Drives the batch, and with it all its requests."""
        try:
            while (text := self.taken()) is not None:
                yield text
                if self.stop_reason is None:
                    self.batch.step()
        finally:
            self.end("cancelled")

    def interrupt(self) -> None:
        """End with the running step."""
        self.end("cancelled")
