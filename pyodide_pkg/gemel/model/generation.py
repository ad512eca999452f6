"""A prompt in a session becomes text: an iterator of pieces, with its ids, why it stopped and how long it took.

Each step is one call of the core: evaluate the last id, sample, detokenise. Pieces are whole UTF-8; stop strings are
found however tokens split them. Ctrl-C, cancel() and close() work between steps and between micro-batches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..core.checks import not_whole
from ..core.closing import Closing
from ..core.errors import ArgumentError, CancelledError, StateError
from ..core.library import Block
from ..core.scalars import whole
from ..text.stops import StopScanner
from .call_options import CallOptions
from .core_session import CoreSession
from .pace import Pace
from .sampler import Sampler
from .sampling import Sampling

StopReason = Literal["stop", "eos", "length", "cancelled", "error"]
PIECE_SIZE = 1 << 16   # bytes of text that one step may return
SIZE_SIZE = 8          # bytes that a size_t may have
GLANCE = 56            # bytes of text that are read together with their size: nearly always all


@dataclass(frozen=True)
class Timings:
    """How long a generation has taken so far: counts in tokens, times in seconds, speeds in tokens per second.

    Attributes:
        n_prompt: ids of the prompt
        n_evaluated: of them, those that the KV cache lacked
        prompt_s: seconds to evaluate those
        n_decoded: ids evaluated one by one after that
        decode_s: seconds in those steps, with drawing and detokenising, without the caller's own time
        first_token_s: seconds from the start to the first id
    """

    n_prompt: int = 0
    n_evaluated: int = 0
    prompt_s: float = 0.0
    n_decoded: int = 0
    decode_s: float = 0.0
    first_token_s: float = 0.0

    @property
    def prompt_tok_s(self) -> float:
        """Prefill speed; 0.0 when nothing was evaluated."""
        return self.n_evaluated / self.prompt_s if self.prompt_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Decode speed; 0.0 before the second id."""
        return self.n_decoded / self.decode_s if self.decode_s else 0.0


class Run:
    """What a generation uses, and its results. `steps` runs it; `end` frees everything."""

    def __init__(
        self, session: CoreSession, prompt_ids: Sequence[int], options: CallOptions, *, owned: bool
    ) -> None:
        self.prompt_ids = list(prompt_ids)
        self.ids: list[int] = []
        self.text = ""
        self.stop_reason: StopReason | None = None
        self._prefilled = Timings(n_prompt=len(self.prompt_ids))
        self._n_decoded, self._decode_s = 0, 0.0
        self.session = session
        self.cancelled = False
        self.on_end: Callable[[Run], None] | None = None
        self.pace: Pace | None = None   # set before the first step where an event loop must run between steps
        self.is_answer = False          # set before the first step: the text is a message, not the rest of the prompt
        self.n_dropped = 0              # characters of the first id that an answer's text lacks
        self._owned = owned
        self._stops = StopScanner(options.stops)
        self._limit = check_limit(session, len(self.prompt_ids), options.max_tokens)
        model = session.model
        self.sampler = Sampler(model._library, model._handle, options.sampling, model.tokenize)
        self._answer: Block = model._library.alloc(SIZE_SIZE + PIECE_SIZE)   # a size_t, and that many bytes of text

    def steps(self) -> Generator[str, None, None]:
        """Yield text; "" while there is nothing to show yet."""
        reason: StopReason = "cancelled"
        try:
            yield from self._prefill()
            self.sampler.accept(self.prompt_ids)
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

    def end(self, reason: StopReason) -> None:
        """Note why it ended and free everything; only the first call counts."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
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
            self._prefilled = replace(self._prefilled, n_evaluated=evaluated, prompt_s=seconds)
            yield ""
            start = time.perf_counter()

    def _decode(self) -> Generator[str, None, StopReason]:
        self._flush()   # what another generation may have left in this session
        pending, revision = -1, self.session._revision
        while True:
            start = time.perf_counter()
            if self.session._revision != revision:
                raise StateError("the session changed while a generation ran: use one session per generation")
            drawn, piece = self._next(pending)
            self._count(pending, time.perf_counter() - start)
            pending, revision = drawn, self.session._revision
            if self.session.model._is_end(drawn):
                yield self._show(self._last_text())
                return "stop" if self._stops.stopped else "eos"
            if self.is_answer and not self.ids:
                piece = self._begun(drawn, piece)
            self.ids.append(drawn)
            yield self._show(self._stops.feed(piece))
            if self._stops.stopped:
                return "stop"
            if len(self.ids) >= self._limit:
                yield self._show(self._last_text())
                return "stop" if self._stops.stopped else "length"

    def _next(self, pending: int) -> tuple[int, str]:
        """Call the core once; return (the id drawn, whole characters that are ready)."""
        session, size = self.session, self._answer.address
        library, text = session._library, size + SIZE_SIZE
        with self.sampler.handle as sampler:
            drawn = session._run(
                "gemel_session_next", sampler, pending, 0, text, PIECE_SIZE, size, where="generating"
            )
        seen = library.read(size, SIZE_SIZE + GLANCE)
        n = int.from_bytes(seen[: library.size_size], "little")
        piece = seen[SIZE_SIZE : SIZE_SIZE + n] if n <= GLANCE else library.read(text, n)
        return drawn, piece.decode("utf-8", "replace")

    def _begun(self, id: int, piece: str) -> str:
        """Return the first piece of an answer without the space that some tokenizers put before a text."""
        model = self.session.model
        if piece.startswith(" ") and model.detokenize([id]) == model.piece(id)[1:].decode("utf-8", "replace"):
            self.n_dropped = 1
        return piece[self.n_dropped :]

    def _last_text(self) -> str:
        """Return what the core and the scanner still hold; an incomplete character shows as U+FFFD."""
        return self._stops.feed(self._flush().decode("utf-8", "replace")) + self._stops.flush()

    def _flush(self) -> bytes:
        """Take the bytes of an incomplete character out of the session."""
        library = self.session._library
        text = self._answer.address + SIZE_SIZE
        return library.read(text, self.session._call("gemel_session_flush", text, PIECE_SIZE, where="generating"))

    def _show(self, piece: str) -> str:
        self.text += piece
        return piece

    def _count(self, pending: int, seconds: float) -> None:
        if pending < 0:
            was = self._prefilled
            self._prefilled = replace(was, first_token_s=was.prompt_s + seconds)
        else:
            self._n_decoded += 1
            self._decode_s += seconds

    @property
    def timings(self) -> Timings:
        return replace(self._prefilled, n_decoded=self._n_decoded, decode_s=self._decode_s)


class Generation(Closing):
    """Made by Model.generate, Session.generate and Chat.send: text in pieces, by `for` or `async for`.

    A context manager. Closing it stops it, and so does deleting the last reference. Another thread may close it while
    it computes.
    """

    copy_hint = "keep its text and ids"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._steps = run.steps()

    @property
    def prompt_ids(self) -> list[int]:
        """The ids of the prompt."""
        return self._run.prompt_ids

    @property
    def ids(self) -> list[int]:
        """The ids drawn so far, including a stop string's, without an end-of-generation id."""
        return self._run.ids

    @property
    def text(self) -> str:
        """All text returned so far. It ends before a stop string."""
        return self._run.text

    @property
    def stop_reason(self) -> StopReason | None:
        """None while it runs; then "stop" (a stop string), "eos", "length", "cancelled" or "error"."""
        return self._run.stop_reason

    @property
    def n_dropped(self) -> int:
        """Characters of the first id that `text` lacks: an answer begins without the tokenizer's leading space."""
        return self._run.n_dropped

    @property
    def timings(self) -> Timings:
        """Counts and times up to now."""
        return self._run.timings

    @property
    def sampling(self) -> Sampling:
        """The options in use."""
        return self._run.sampler.sampling

    @property
    def seed(self) -> int:
        """The seed in use; passed as `seed`, it repeats this run."""
        return self._run.sampler.seed

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        for piece in self._steps:
            if piece:
                return piece
        raise StopIteration

    def __aiter__(self) -> Generation:
        if self._run.pace is None:
            self._run.pace = Pace(self._run.session.model)
        return self

    async def __anext__(self) -> str:
        while True:
            pace = self._run.pace   # others may run before each step, and so between micro-batches
            await (asyncio.sleep(0) if pace is None else pace.yield_turn())
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

    def close(self) -> None:
        """Stop. `text` keeps what was returned; `stop_reason` becomes "cancelled" unless the generation had ended."""
        run = self._run
        if run.stop_reason is not None:
            return
        run.cancelled = True
        try:
            self._steps.close()
        except ValueError:   # it is computing in another thread, which is stopped and ends the run
            if not run.session.closed:
                run.session.cancel()
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


def limit_of(max_tokens: object) -> int | None:
    """Return the most ids that a caller wants, None for no limit (None and -1). ArgumentError for anything else."""
    limit = whole(max_tokens)
    if max_tokens is None or limit == -1:
        return None
    if limit is None or limit < 1:
        raise not_whole("max_tokens", max_tokens, "an integer of at least 1, or None or -1 (until the context is full)")
    return limit


def check_limit(session: CoreSession, n_prompt: int, max_tokens: int | None) -> int:
    """Return how many ids may be drawn: what is wanted, or what fits. The last needs no room: it is not evaluated."""
    limit = limit_of(max_tokens)
    if not n_prompt:
        raise ArgumentError("the prompt is empty: pass at least one token")
    session._check_room(n_prompt, 0)
    room = session.n_ctx - n_prompt + 1
    return room if limit is None else min(limit, room)
