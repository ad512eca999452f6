"""The core's session: one caller at a time, a count of its changes, and its ids evaluated in micro-batches.

Everything that calls the core for a session goes through here: `_call` reads, `_change` changes, `_run` computes, and
`alone` holds several sessions for one pass.
"""

from __future__ import annotations

import threading
import time
import weakref
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..core import abi
from ..core.checks import flag, not_whole
from ..core.closing import Closing
from ..core.errors import ArgumentError, CancelledError, ContextError, StateError, UnsupportedError, counted
from ..core.library import Argument, Block, Handle, check
from ..core.scalars import whole
from ..text.ids import Ids, id_bytes, ids_of
from .core_model import CoreModel
from .pace import Pace

ENCODER = "an encoder reads a text whole, in an empty session, and has no logits: use Model.embed, or Session.hidden"


class CoreSession(Closing):
    """What generations, steps and profiles need of a session."""

    def __init__(self, model: CoreModel, n_ctx: int, handle: Handle) -> None:
        self.model = model
        self.n_ctx = n_ctx
        self._library = model._library
        self._handle = handle
        self._lock = threading.RLock()
        self._revision = 0          # counts changes: a generation sees by it that nothing else uses the session
        self._broken = ""           # why a forked child can't use it
        self._finalizer = weakref.finalize(self, handle.close)
        model._sessions.add(self)

    # ---- Its ids ----------------------------------------------------------------------------------------------------

    @property
    def n_past(self) -> int:
        """The number of ids evaluated."""
        with self._using() as session:
            return int(self._library.call("gemel_session_n_past", session))

    @property
    def ids(self) -> list[int]:
        """The ids evaluated, [n_past]."""
        with self._using() as session:
            n_past = self._library.call("gemel_session_n_past", session)
            if not n_past:
                return []
            return ids_of(self._library.read(self._library.call("gemel_session_ids", session), 4 * n_past))

    def sync(self, ids: Ids) -> int:
        """Make the session hold exactly `ids`, evaluating only what the KV cache lacks; return how many that were.

        The longest common prefix is kept, the rest of the cache is dropped; the logits are those of the last id. Where
        the model has recurrent layers, the prefix ends at the last place at which their state is kept.
        ContextError, with nothing changed, when there are more than n_ctx ids.
        """
        return max(self._sync_steps(ids), default=0)

    def _sync_steps(self, ids: Ids, pace: Pace | None = None) -> Iterator[int]:
        """As sync, but yield after each micro-batch how many ids were evaluated so far. pace: decides their sizes."""
        wanted = id_bytes(ids, self.model.n_vocab)
        if not wanted:
            raise ArgumentError("there are no ids to evaluate: the prompt is empty")
        self._check_room(len(wanted), 0)
        kept = self._change("gemel_session_sync", self._library.lend(wanted), len(wanted), where="sync")
        evaluated, missing = 0, wanted[kept:]
        while evaluated < len(missing):
            n = self.model.n_batch if pace is None else pace.n
            start = time.perf_counter()
            done = self._evaluate(missing[evaluated : evaluated + n], evaluated + n >= len(missing))
            if pace is not None:
                pace.note(done, time.perf_counter() - start)
            evaluated += done
            yield evaluated

    def append(self, ids: Ids) -> None:
        """Evaluate `ids` after the present ones. ContextError, with nothing changed, when they don't fit."""
        added = id_bytes(ids, self.model.n_vocab)
        with self._lock:
            self._check_room(len(added), self.n_past)
            for start in range(0, len(added), self.model.n_batch):
                end = start + self.model.n_batch
                self._evaluate(added[start:end], end >= len(added))

    def truncate(self, n_past: int) -> None:
        """Keep the first `n_past` ids and drop the rest; there are no logits until the next id is evaluated.

        UnsupportedError, with nothing changed: a sliding window's pages there were freed, or recurrent layers would
        have to read embeddings again. It names places that are possible.
        """
        with self._lock:
            kept = self._check_n_past(n_past, self.n_past)
            with self._saying_where(kept, "truncate"):
                self._change("gemel_session_truncate", kept, where="truncate")

    def cancel(self, on: bool = True) -> None:
        """Stop the call that is evaluating, from any thread: it raises CancelledError after its micro-batch.

        If nothing is evaluating, the next call that does is stopped. A cancellation stops one call; on=False revokes
        one that has not stopped any yet.
        """
        wanted = int(flag("on", on))
        with self._handle as session:
            self._library.call("gemel_session_cancel", session, wanted)

    @property
    def drafted(self) -> tuple[int, int]:
        """How many ids were evaluated ahead so far, and how many of them were drawn; both modulo 2**31.

        Any thread may ask, also while the session computes.
        """
        block = self._library.alloc(4)
        with self._handle as session:
            n = int(self._library.call("gemel_session_drafted", session, block))
            return n, ids_of(self._library.read(block.address, 4))[0]

    def _drafted_by(self) -> list[tuple[int, int]]:
        """Return the same of each source, in the order of SOURCES in drafts.py. Any thread may ask."""
        block, found = self._library.alloc(4), []
        with self._handle as session:
            for source in range(abi.N_SOURCES):
                n = int(self._library.call("gemel_session_drafted_by", session, source, block))
                found.append((n, ids_of(self._library.read(block.address, 4))[0]))
        return found

    # ---- Life -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle.closed

    def close(self) -> None:
        """Free the session; a call that is evaluating in another thread is cancelled first."""
        if not self._handle.closed:
            self.cancel()
            self._finalizer()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"n_past={self.n_past}"
        return f"<gemel.Session of {self.model.name!r}: {state}, n_ctx={self.n_ctx}>"

    # ---- Calling the core -------------------------------------------------------------------------------------------

    @contextmanager
    def _using(self) -> Iterator[int]:
        """Yield the core's session, while no other thread uses it."""
        with self._lock, self._handle as session:
            self._check_usable()
            yield session

    def _call(self, name: str, *arguments: Argument, where: str, error: Block | None = None) -> int:
        """Call a function that changes nothing."""
        with self._using() as session:
            return check(self._library, self._library.call(name, session, *arguments), where, error)

    @contextmanager
    def _saying_where(self, n: int, what: str) -> Iterator[None]:
        """Name places next to `n`, where going back to n ids is not supported."""
        try:
            yield
        except UnsupportedError:
            def keeps(place: int) -> bool:
                return self._call("gemel_session_keeps", place, where=what) == place

            before = next(filter(keeps, range(n, -1, -1)))
            after = next(filter(keeps, range(n, self.n_past)), self.n_past)
            raise UnsupportedError(
                f"{what}: going back to {counted(n, 'id')} is not supported here: a sliding window's pages were freed,"
                f" or recurrent layers would have to read embeddings again; {before} and {after} ids are possible"
            ) from None

    def _change(self, name: str, *arguments: Argument, where: str, error: Block | None = None) -> int:
        """Call a function that changes the session and computes nothing."""
        with self._using() as session:
            self._revision += 1
            return check(self._library, self._library.call(name, session, *arguments), where, error)

    def _run(self, name: str, *arguments: Argument, where: str) -> int:
        """Call a function that computes, while nothing else computes in the model."""
        with self._lock, self._handle as session, self.model._run_lock:
            self._check_usable()
            self._revision += 1
            return self._check(self._library.call(name, session, *arguments), where)

    def _evaluate(self, ids: array[int], is_last: bool) -> int:
        """Evaluate one micro-batch and return its length; only the last one computes logits."""
        return self._run_ids("gemel_session_eval" if is_last else "gemel_session_fill", ids)

    def _run_ids(self, name: str, ids: array[int], *out: Argument) -> int:
        """Call a function that evaluates one micro-batch; return its length."""
        self._run(name, self._library.lend(ids), len(ids), *out, where=f"evaluating {counted(len(ids), 'id')}")
        return len(ids)

    # ---- Checks -----------------------------------------------------------------------------------------------------

    def _check(self, code: int, where: str) -> int:
        """As check(); a cancellation ends with the call that it stopped."""
        if code == abi.E_CANCELLED:
            self._uncancel()
            if self.closed:
                raise CancelledError(f"{where}: the session was closed meanwhile")
        if code == abi.E_UNSUPPORTED and self.model.is_encoder:
            raise UnsupportedError(f"{where}: {ENCODER}")
        return check(self._library, code, where)

    def _check_logits(self) -> None:
        if self.model.is_encoder:
            raise UnsupportedError(f"logits: {ENCODER}")

    def _uncancel(self) -> None:
        with suppress(ArgumentError):  # the session is closed
            self.cancel(False)

    def _check_usable(self) -> None:
        if self._broken:
            raise StateError(self._broken)

    def _check_n_past(self, n_past: object, have: int) -> int:
        n = whole(n_past)
        if n is None or not 0 <= n <= have:
            raise not_whole("n_past", n_past, f"an integer from 0 to {have}, the number of ids evaluated")
        return n

    def _check_room(self, n: int, n_past: int) -> None:
        check_room(self.model, self.n_ctx, n, n_past)

    def _after_fork(self) -> None:
        """Repair the session in a forked child, where a pass of another thread of the parent is lost."""
        if not self._lock.acquire(blocking=False):
            self._broken = "another thread was computing in this session when the process forked: open a new one"
        self._lock = threading.RLock()
        self._handle.after_fork()


def check_room(model: CoreModel, n_ctx: int, n: int, n_past: int) -> None:
    """Raise ContextError unless n more ids fit a context of n_ctx, of which n_past are used."""
    total, limit = n_past + n, model.n_ctx
    if total <= n_ctx:
        return
    larger = f"open the session with n_ctx={total}" if total <= limit else f"the file's own limit is {limit}"
    tokens = counted(n, "token")
    problem = f"the prompt has {tokens}: shorten it"
    if n_past:
        problem = f"{tokens} would follow the {n_past} evaluated: pass at most {n_ctx - n_past}"
    raise ContextError(f"n_ctx is {n_ctx}, but {problem}{', or ' if total <= limit else '; '}{larger}")
