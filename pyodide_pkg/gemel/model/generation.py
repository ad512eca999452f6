"""A prompt in a session becomes text: an iterator of pieces, with its ids, why it stopped and how long it took.

Each step is one call of the core: evaluate the last id, sample, detokenise. Pieces are whole UTF-8; stop strings are
found however tokens split them. Ctrl-C, cancel() and close() work between steps and between micro-batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..core.closing import Closing
from ..core.errors import AnswerError, ArgumentError, CancelledError, StateError
from ..core.library import Block
from ..core.public import public
from .answer import Answer, StopReason, Timings
from .call_options import CallOptions, limit_of
from .core_model import CoreModel
from .core_session import CoreSession, check_room
from .pace import Pace
from .sampling import Sampling
from .stages import Stages, begun
from .turn import Turn

if TYPE_CHECKING:
    from ..dialect.parts import Part, ToolCall

ENDED_BY = {
    "length": "max_tokens or n_ctx ended it: allow more tokens", "cancelled": "it was stopped",
    "error": "an error ended it",
}  # fmt: skip
PIECE_SIZE = 1 << 16   # bytes of text that one step may return
SIZE_SIZE = 8          # bytes that a size_t may have
GLANCE = 56            # bytes of text that are read together with their size: nearly always all


class Run:
    """What a generation uses, and its results. `steps` runs it; `end` frees everything."""

    def __init__(
        self, session: CoreSession, prompt: Turn | Sequence[int], options: CallOptions, *, owned: bool,
        is_message: bool = False,
    ) -> None:
        turn = prompt if isinstance(prompt, Turn) else None
        self.prompt_ids = list(prompt.ids if isinstance(prompt, Turn) else prompt)
        self.stop_reason: StopReason | None = None
        self.session = session
        self.model = session.model
        self.cancelled = False
        self.on_end: Callable[[Run], None] | None = None
        self.pace: Pace | None = None   # set before the first step where an event loop must run between steps
        self._owned = owned
        limit = check_limit(session.model, session.n_ctx, len(self.prompt_ids), options.max_tokens)
        self.answer = Answer(self.model, len(self.prompt_ids), options.stops, limit)
        self.stages = begun(
            self.answer, self.model, options, turn, limit, self.prompt_ids,
            is_message=is_message if turn is None else turn.is_message,
        )  # fmt: skip
        self.sampler = self.stages.sampler
        self._out: Block = self.model._library.alloc(SIZE_SIZE + PIECE_SIZE)   # a size_t, and that many bytes of text

    def steps(self) -> Generator[str, None, None]:
        """Yield text; "" while there is nothing to show yet."""
        reason: StopReason = "cancelled"
        try:
            yield from self._prefill()
            reason = yield from self._decode()
        except CancelledError:
            if not self.cancelled:
                reason = "error"
                raise
        except Exception:
            reason = "error"
            raise
        finally:
            self.end(reason)

    def interrupt(self) -> None:
        """Stop the step that another thread runs."""
        with contextlib.suppress(ArgumentError):   # the step may end at any moment, which closes the session
            self.session.cancel()

    def end(self, reason: StopReason) -> None:
        """Note why it ended and free everything; only the first call counts."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        self.answer.drafts.end()
        self.sampler.close()
        if self._owned:
            self.session.close()
        elif self.cancelled:
            self.session._uncancel()
        if self.on_end is not None:
            self.on_end(self)

    def _prefill(self) -> Generator[str, None, None]:
        seconds, start = 0.0, time.perf_counter()
        for evaluated in self.session._sync_steps(self.prompt_ids, self.pace):
            seconds += time.perf_counter() - start
            self.answer.count_prompt(evaluated, seconds)
            yield ""
            start = time.perf_counter()
        self.answer.count_cached(len(self.prompt_ids) - self.answer.timings.n_evaluated)

    def _decode(self) -> Generator[str, None, StopReason]:
        self._flush()   # what another generation may have left in this session
        self.answer.drafts.begin(self.session)
        pending, revision = -1, self.session._revision
        while True:
            start = time.perf_counter()
            if self.session._revision != revision:
                raise StateError("the session changed while a generation ran: use one session per generation")
            drawn, piece = self._next(pending)
            seconds = time.perf_counter() - start
            if pending < 0:
                self.answer.count_first(seconds)
            else:
                self.answer.count_next(seconds)
            pending, revision = drawn, self.session._revision
            shown, reason = self.answer.take(drawn, piece, self._rest, self.stages.is_whole)
            yield shown
            if reason is not None:
                return reason

    def _next(self, pending: int) -> tuple[int, str]:
        """Call the core once; return (the id drawn, whole characters that are ready)."""
        session, size = self.session, self._out.address
        library, text = session._library, size + SIZE_SIZE
        with self.sampler.handle as sampler:
            drawn = session._run(
                "gemel_session_next", sampler, pending, 0, text, PIECE_SIZE, size, where="generating"
            )
        seen = library.read(size, SIZE_SIZE + GLANCE)
        n = int.from_bytes(seen[: library.size_size], "little")
        piece = seen[SIZE_SIZE : SIZE_SIZE + n] if n <= GLANCE else library.read(text, n)
        return drawn, piece.decode("utf-8", "replace")

    def _rest(self) -> str:
        """Return what the core still holds: an incomplete character shows as U+FFFD."""
        return self._flush().decode("utf-8", "replace")

    def _flush(self) -> bytes:
        """Take the bytes of an incomplete character out of the session."""
        library = self.session._library
        text = self._out.address + SIZE_SIZE
        return library.read(text, self.session._call("gemel_session_flush", text, PIECE_SIZE, where="generating"))


class Running(Protocol):
    """What a Generation shows and stops: a Run alone, or a request in a Batch."""

    prompt_ids: list[int]
    session: Any   # a CoreSession; in a batch None while it waits
    answer: Answer
    stages: Stages
    model: CoreModel
    pace: Pace | None
    cancelled: bool

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it ended; None: it has not."""

    def steps(self) -> Generator[str, None, None]:
        """Yield text; "" while there is nothing to show yet."""

    def interrupt(self) -> None:
        """Stop the step that another thread runs."""

    def end(self, reason: StopReason) -> None:
        """Note why it ended and free everything; only the first call counts."""


@public
class Generation(Closing):
    """Made by Model.generate, Session.generate and Chat.send: text in pieces, by `for` or `async for`.

    A context manager. Closing it stops it, and so does deleting the last reference. Another thread may close it while
    it computes.
    """

    copy_hint = "keep its text and ids"

    def __init__(self, run: Running) -> None:
        self._run = run
        self._steps = run.steps()

    @property
    def prompt_ids(self) -> list[int]:
        """The ids of the prompt."""
        return self._run.prompt_ids

    @property
    def ids(self) -> list[int]:
        """The ids drawn so far, including a stop string's, without an end-of-generation id."""
        return self._run.answer.ids

    @property
    def text(self) -> str:
        """The text so far. It ends before a stop string."""
        return self._run.answer.text

    @property
    def reasoning(self) -> str:
        """The reasoning of a chat's answer so far, which `text` lacks."""
        return self._run.answer.reasoning

    @property
    def n_reasoning(self) -> int:
        """How many of the ids belong to the reasoning, as reasoning_budget counts them."""
        reader = self._run.answer.reader
        return 0 if reader is None else reader.n_reasoning

    @property
    def calls(self) -> list[ToolCall]:
        """The calls of tools so far. One that max_tokens cut is not complete."""
        return self._run.answer.calls

    def parts(self) -> Parts:
        """Return text, reasoning and calls apart, as they grow: by `for` or `async for`. This runs the generation."""
        return Parts(self)

    def new_parts(self, n_seen: int) -> list[Part]:
        """Return the parts of an answer of messages behind those that a caller has seen, without a step."""
        return self._run.answer.parts[n_seen:]

    @property
    def stop_reason(self) -> StopReason | None:
        """None while it runs; then "stop" (a stop string), "eos", "length", "cancelled" or "error"."""
        return self._run.stop_reason

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the text; None: none did."""
        return self._run.answer.stop_string

    @cached_property
    def parsed(self) -> Any:  # noqa: ANN401
        """The value of a whole answer to json_schema: of JSON, or an instance of the class that was passed.

        AnswerError when the answer ended before it was whole, such as by max_tokens ("length") or a stop string, when
        the class refuses it, and with strict=False when it is not valid. ArgumentError while it runs, and without a
        JSON schema.
        """
        run = self._run
        rules, reason = run.stages.form, run.stop_reason
        if rules is None:
            raise ArgumentError("parsed: this generation has no json_schema: use its text")
        if reason is None:
            raise ArgumentError("parsed: the answer is not complete: read() it first")
        if reason not in ("stop", "eos"):
            raise AnswerError(f"the answer is not whole: {ENDED_BY[reason]}")
        if run.answer.calls and not self.text:
            raise AnswerError("the answer has no value: it calls tools")
        if run.answer.stop_string is not None:
            raise AnswerError("the answer is not whole: a stop string ended it")
        return rules.value(self.text)

    @property
    def n_dropped(self) -> int:
        """Characters of the first id that `text` lacks: an answer begins without the tokenizer's leading space."""
        return self._run.answer.n_dropped

    @property
    def timings(self) -> Timings:
        """Counts and times up to now."""
        return self._run.answer.timings

    @property
    def sampling(self) -> Sampling:
        """The options in use."""
        return self._run.stages.sampler.sampling

    @property
    def seed(self) -> int:
        """The seed in use; passed as `seed`, it repeats this run."""
        return self._run.stages.sampler.seed

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        for piece in self._steps:
            if piece:
                return piece
        raise StopIteration

    def __aiter__(self) -> Generation:
        if self._run.pace is None:
            self._run.pace = Pace(self._run.model)
        return self

    async def _turn(self) -> None:
        """Let others run before a step, and so between micro-batches."""
        pace = self._run.pace
        await (asyncio.sleep(0) if pace is None else pace.yield_turn())

    async def __anext__(self) -> str:
        while True:
            await self._turn()
            piece = self.step()
            if piece is None:
                raise StopAsyncIteration
            if piece:
                return piece

    def step(self) -> str | None:
        """Take one step, a micro-batch of the prompt or one id; return its text, which may be "", or None at the end.

        After aiter() of this generation the micro-batches are short.
        """
        return next(self._steps, None)

    def read(self) -> str:
        """Run to the end and return the whole text."""
        for _ in self:
            pass
        return self.text

    def _whole_text(self) -> str:
        """Run to the end and return the whole text, for a call that returns nothing else.

        AnswerError when its end is that of a JSON schema which the grammar does not enforce, and it is not valid.
        """
        text, rules = self.read(), self._run.stages.form
        if rules is not None and rules.schema is not None and rules.schema.unenforced and self.stop_reason != "length":
            _ = self.parsed
        return text

    def close(self) -> None:
        """Stop. `text` keeps what was returned; `stop_reason` becomes "cancelled" unless the generation had ended."""
        run = self._run
        if run.stop_reason is not None:
            return
        run.cancelled = True
        try:
            self._steps.close()
        except ValueError:   # it is computing in another thread, which is stopped and ends the run
            run.interrupt()
            return
        run.end("cancelled")   # also when it had not begun

    def __del__(self) -> None:
        if hasattr(self, "_steps"):
            self.close()

    def cancel(self) -> None:
        """As close(), under JavaScript's name."""
        self.close()

    def __repr__(self) -> str:
        begun, timings = self.timings.n_evaluated or self.ids, self.timings
        state = self.stop_reason or ("running" if begun else "not begun")
        speeds = f", prompt {timings.prompt_tok_s:.1f} tok/s" if timings.prompt_s else ""
        speeds += f", decode {timings.decode_tok_s:.1f} tok/s" if timings.decode_s else ""
        return f"<gemel.Generation: {len(self.ids)} ids, {state}{speeds}>"


class Parts:
    """The parts of a generation: an iterator, also asynchronous, which runs it."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._n_seen = 0   # parts of an answer that has any
        self._ready: deque[Part] = deque()

    def taken(self, piece: str | None) -> list[Part]:
        """Return the parts that a step completed, which returned this piece."""
        answer = self._generation._run.answer
        if answer.reader is None:
            from ..dialect.parts import Part

            return [Part("text", piece)] if piece else []
        parts = answer.parts[self._n_seen :]
        self._n_seen += len(parts)
        return parts

    def _step(self) -> bool:
        """Take a step; return whether the generation goes on."""
        piece = self._generation.step()
        self._ready += self.taken(piece)
        return piece is not None

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> Part:
        while not self._ready:
            if not self._step() and not self._ready:
                raise StopIteration
        return self._ready.popleft()

    def __aiter__(self) -> Parts:
        aiter(self._generation)
        return self

    async def __anext__(self) -> Part:
        while not self._ready:
            await self._generation._turn()
            if not self._step() and not self._ready:
                raise StopAsyncIteration
        return self._ready.popleft()


def check_limit(model: CoreModel, n_ctx: int, n_prompt: int, max_tokens: int | None) -> int:
    """Return how many ids may be drawn: what is wanted, or what fits. The last needs no room: it is not evaluated."""
    model._check_decodes()
    limit = limit_of(max_tokens)
    if not n_prompt:
        raise ArgumentError("the prompt is empty: pass at least one token")
    check_room(model, n_ctx, n_prompt, 0)
    room = n_ctx - n_prompt + 1
    return room if limit is None else min(limit, room)


def n_ctx_for(model: CoreModel, n_prompt: int, max_tokens: int | None) -> int:
    """Return n_ctx of a generation that names none: as much as is needed, at least the default."""
    wanted = n_prompt + (limit_of(max_tokens) or 1) - 1
    return min(max(model.default_n_ctx, wanted), model.n_ctx)
