"""One run of generation: an iterator of text that also knows its ids, why it stopped and how long it took.

Each step is one crossing to the core: evaluate the last id, sample, detokenise. Whole UTF-8 only; stop strings are
found however tokens split them. Ctrl-C, cancel() and close() work between steps and between micro-batches.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ._errors import ArgumentError, CancelledError, ContextError, StateError
from ._library import Block
from ._sampling import Sampler, Sampling
from ._text import StopScanner

if TYPE_CHECKING:
    from ._model import Model
    from ._session import Session

StopReason = Literal["stop", "eos", "length", "cancelled", "error"]
PIECE_SIZE = 1 << 16   # bytes of text that one step may give
SIZE_SIZE = 8          # bytes that a size_t may have
GLANCE = 56            # bytes of text that are read along with their size: nearly always all


@dataclass(frozen=True)
class Timings:
    """How long a generation took, up to now. Counts are tokens, times seconds, speeds tokens a second."""

    n_prompt: int = 0          # ids of the prompt
    n_evaluated: int = 0       # of which the KV cache lacked
    prompt_s: float = 0.0      # evaluating those
    n_decoded: int = 0         # ids evaluated one by one after that
    decode_s: float = 0.0      # those steps, drawing and detokenising included, the caller's own time not
    first_token_s: float = 0.0 # from the start to the first id

    @property
    def prompt_tok_s(self) -> float:
        """Prefill speed; 0.0 when nothing had to be evaluated."""
        return self.n_evaluated / self.prompt_s if self.prompt_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Decode speed; 0.0 before the second id."""
        return self.n_decoded / self.decode_s if self.decode_s else 0.0


class Pace:
    """How many ids an event loop's thread evaluates at once: as many as take about TURN seconds; first, FIRST.

    Sizes of micro-batches change no bit. The side module, which nothing can interrupt, stays at FIRST or below.
    """

    FIRST = 8
    TURN = 0.04

    def __init__(self, model: Model) -> None:
        self._most = self.FIRST if model.info.engine == "side module" else model.n_batch
        self.n = min(self.FIRST, self._most)
        self._due = 0.0   # when the browser gets its next turn

    async def turn(self) -> None:
        """Let the event loop run. In a tab the browser too, every TURN seconds: its own messages to this thread wait
        for as long as the loop has something to do at once.
        """
        if sys.platform != "emscripten" or time.perf_counter() < self._due:
            await asyncio.sleep(0)
            return
        import js  # type: ignore[import-not-found]
        from pyodide.ffi import create_once_callable  # type: ignore[import-not-found]

        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        js.setTimeout(create_once_callable(lambda: turn.done() or turn.set_result(None)), 0)
        await turn
        self._due = time.perf_counter() + self.TURN

    def note(self, n: int, seconds: float) -> None:
        """Learn that `n` ids took so long."""
        fit = int(n * self.TURN / max(seconds, 1e-6))
        self.n = max(1, min(fit, 2 * self.n, self._most))


class Run:
    """What a generation computes with and what came of it. `steps` is its life; `end` lets go of everything."""

    def __init__(
        self,
        session: Session,
        prompt_ids: Sequence[int],
        *,
        max_tokens: int | None,
        stops: Sequence[str],
        sampling: Sampling,
        owned: bool,
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
        self.pace: Pace | None = None   # set before the first step where an event loop waits for its turn
        self.is_answer = False          # set before the first step: the text begins, and does not go on from another
        self.n_dropped = 0              # characters of the first id that an answer's text begins without
        self._owned = owned
        self._stops = StopScanner(stops)
        self._limit = check_limit(session, len(self.prompt_ids), max_tokens)
        model = session.model
        self.sampler = Sampler(model._library, model._handle, sampling, model.tokenize)
        self._answer: Block = model._library.alloc(SIZE_SIZE + PIECE_SIZE)   # size_t, and so many bytes of text

    def steps(self) -> Generator[str, None, None]:
        """Yield text, "" where there is none to show yet."""
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
        """Note why it ended and let go of everything; only the first call counts."""
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
        self._flush()   # what another generation in this session may have left
        pending, revision = -1, self.session._revision
        while True:
            start = time.perf_counter()
            if self.session._revision != revision:
                raise StateError("the session was changed while a generation ran: use one session for each")
            drawn, piece = self._next(pending)
            self._count(pending, time.perf_counter() - start)
            pending, revision = drawn, self.session._revision
            if self._is_end(drawn):
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
        """Cross to the core once: (id drawn, whole characters that are ready)."""
        session, size = self.session, self._answer.address
        library, text = session._library, size + SIZE_SIZE
        with session._lock, session._handle as address, self.sampler.handle as sampler, session.model._turn:
            session._check_whole()
            session._revision += 1
            drawn = library.call("gemel_session_next", address, sampler, pending, 0, text, PIECE_SIZE, size)
            if drawn < 0:
                session._check(drawn, "generating")
            seen = library.read(size, SIZE_SIZE + GLANCE)
            n = int.from_bytes(seen[: library.size_size], "little")
            piece = seen[SIZE_SIZE : SIZE_SIZE + n] if n <= GLANCE else library.read(text, n)
            return drawn, piece.decode("utf-8", "replace")

    def _begun(self, id: int, piece: str) -> str:
        """Return the first piece of an answer without the space that the tokenizer puts before a text, if it does."""
        model = self.session.model
        if piece.startswith(" ") and model.detokenize([id]) == model.piece(id)[1:].decode("utf-8", "replace"):
            self.n_dropped = 1
        return piece[self.n_dropped :]

    def _is_end(self, id: int) -> bool:
        ends = self.session.model._ends
        if id not in ends:
            ends[id] = self.session.model.is_eog(id)
        return ends[id]

    def _last_text(self) -> str:
        """Return what the core and the scanner still hold; an incomplete character shows as U+FFFD."""
        return self._stops.feed(self._flush().decode("utf-8", "replace")) + self._stops.flush()

    def _flush(self) -> bytes:
        """Take the bytes of an incomplete character out of the session."""
        library = self.session._library
        with self.session._using() as session:
            text = self._answer.address + SIZE_SIZE
            size = library.call("gemel_session_flush", session, text, PIECE_SIZE)
            return library.read(text, self.session._check(size, "generating"))

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


class Generation:
    """Made by Model.generate, Session.generate and Chat.send: text in pieces, by `for` or `async for`.

    A context manager. Closing it stops it, and so does dropping it; another thread may close it while it computes.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._steps = run.steps()

    @property
    def prompt_ids(self) -> list[int]:
        """The ids that were evaluated first."""
        return self._run.prompt_ids

    @property
    def ids(self) -> list[int]:
        """The ids drawn so far, those of a stop string too; an end-of-generation id is not among them."""
        return self._run.ids

    @property
    def text(self) -> str:
        """All text given so far. It ends before a stop string."""
        return self._run.text

    @property
    def stop_reason(self) -> StopReason | None:
        """None while it runs; then "stop" (a stop string), "eos", "length", "cancelled" or "error"."""
        return self._run.stop_reason

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
        """The seed in use; given as `seed`, it repeats this run."""
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
            pace = self._run.pace   # a turn for everybody else, between micro-batches too
            await (asyncio.sleep(0) if pace is None else pace.turn())
            piece = self.step()
            if piece is None:
                raise StopAsyncIteration
            if piece:
                return piece

    def step(self) -> str | None:
        """Take one step: a micro-batch of the prompt, or an id. Return its text, "" too; None: there is no more.

        After aiter() of this generation the micro-batches are short.
        """
        return next(self._steps, None)

    def read(self) -> str:
        """Run to the end and return the whole text."""
        for _ in self:
            pass
        return self.text

    def close(self) -> None:
        """Stop. `text` keeps what was given; `stop_reason` becomes "cancelled" unless it had ended."""
        run = self._run
        if run.stop_reason is not None:
            return
        run.cancelled = True
        try:
            self._steps.close()
        except ValueError:   # it is computing in another thread: that one is stopped, and ends the run
            if not run.session.closed:
                run.session.cancel()
            return
        run.end("cancelled")   # it may not even have begun

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_steps"):
            self.close()

    def __repr__(self) -> str:
        return f"<gemel.Generation: {len(self.ids)} ids, {self.stop_reason or 'running'}>"


def check_limit(session: Session, n_prompt: int, max_tokens: int | None) -> int:
    """Return how many ids may be drawn. The last one needs no room: it is never evaluated."""
    if not n_prompt:
        raise ArgumentError("the prompt is empty: there is nothing to go on from")
    session._check_room(n_prompt, 0)
    room = session.n_ctx - n_prompt + 1
    if max_tokens is None:
        return room
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise ArgumentError(f"max_tokens={max_tokens!r}: must be an integer, at least 1, or None: until n_ctx is full")
    if max_tokens > room:
        raise ContextError(
            f"max_tokens={max_tokens} after a prompt of {n_prompt} tokens needs n_ctx={n_prompt + max_tokens - 1}, "
            f"but it is {session.n_ctx} (the file allows {session.model.n_ctx}): ask for at most {room}"
        )
    return max_tokens
