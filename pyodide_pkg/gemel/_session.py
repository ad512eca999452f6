"""One mutable timeline: ids, their KV cache, the logits of the last id.

Ids go to the core in micro-batches of model.n_batch, so that Ctrl-C and cancel() work in between. A session may be
used from several threads: its calls take turns.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _abi
from ._errors import ArgumentError, CancelledError, ContextError, GemelError, StateError
from ._library import ERROR_SIZE, Argument, Block, Handle, check, open_handle, pointer_at
from ._pages import page_keys
from ._sampling import Sampling, merged
from ._source import open_file
from ._text import check_stops, id_bytes, ids_of

FloatArray = Any
"""float32: a numpy array where numpy can be imported, otherwise a memoryview with the same shape."""

KvType = Literal["f32", "f16", "q8_0"]
"""What a KV cache holds: floats (to compare with), f16, or int8 with a scale for 32 values (K) or a head (V);
see docs/bits.md."""
KV_TYPES: dict[KvType, int] = {"f32": _abi.KV_F32, "f16": _abi.KV_F16, "q8_0": _abi.KV_Q8_0}
KV_SIZES: dict[KvType, int] = {
    "f32": _abi.MODEL_KV_SIZE_F32, "f16": _abi.MODEL_KV_SIZE_F16, "q8_0": _abi.MODEL_KV_SIZE_Q8_0,
}   # fmt: skip


def kv_type_of(number: int) -> KvType:
    """Return the name of a gemel_kv_type."""
    return next(name for name, one in KV_TYPES.items() if one == number)


if TYPE_CHECKING:
    from ._generate import Generation, Pace
    from ._model import Model


class Session:
    """Made by Model.session(). A context manager.

    >>> with model.session() as session:
    ...     evaluated = session.sync(model.tokenize("Once upon a time"))
    ...     len(session.logits()) == model.n_vocab
    True
    """

    def __init__(self, model: Model, n_ctx: int | None = None, kv_type: KvType | None = None) -> None:
        n_ctx = model.default_n_ctx if n_ctx is None else n_ctx
        if isinstance(n_ctx, bool) or not isinstance(n_ctx, int) or not 1 <= n_ctx <= model.n_ctx:
            raise ArgumentError(f"n_ctx={n_ctx!r}: must be an integer from 1 to {model.n_ctx}, the file's own limit")
        if kv_type is not None and kv_type not in KV_TYPES:
            raise ArgumentError(f"kv_type={kv_type!r}: must be one of {', '.join(map(repr, KV_TYPES))}, or None")
        handle = open_handle(
            model._library, "gemel_session_open", n_ctx, where=f"a session with n_ctx={n_ctx}", parent=model._handle
        )
        self._adopt(model, n_ctx, handle)
        if kv_type is not None:
            self._set_kv_type(KV_TYPES[kv_type])

    def _adopt(self, model: Model, n_ctx: int, handle: Handle) -> None:
        """Own a core's session."""
        self.model = model
        self.n_ctx = n_ctx
        self._library = model._library
        self._handle = handle
        self._lock = threading.RLock()
        self._revision = 0          # goes up with every change; a generation sees by it that it is alone
        self._broken = ""           # why a forked child can't use it
        self._finalizer = weakref.finalize(self, self._handle.close)
        model._sessions.add(self)

    def _set_kv_type(self, type: int) -> None:
        with self._handle as session:
            code = self._library.call("gemel_session_set", session, _abi.SESSION_KV_TYPE, type)
        try:
            check(self._library, code, "the KV cache's type")
        except GemelError:
            self._handle.close()
            raise

    # ---- What it holds ----------------------------------------------------------------------------------------------

    @property
    def kv_type(self) -> KvType:
        """What keys and values are rounded to: "f16" or "q8_0"."""
        with self._using() as session:
            type = self._library.call("gemel_session_kv_type", session)
        return kv_type_of(type)

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

    def logits(self) -> FloatArray:
        """Return a copy of the logits of the last id: float32 [n_vocab], numpy where numpy can be imported.

        ArgumentError when nothing has been evaluated.
        """
        with self._using() as session:
            address = self._library.call("gemel_session_logits", session)
            if not address:
                raise ArgumentError("there are no logits yet: sync or append ids first")
            return floats(self._library.read(address, 4 * self.model.n_vocab))

    def log_probs(self, ids: Sequence[int]) -> list[float]:
        """Return log p(id | what is there) of each id: of any that might come next, with the bits of `score`.

        ArgumentError when nothing has been evaluated.
        """
        asked = id_bytes(ids, self.model.n_vocab)
        block = self._library.alloc(max(8, 8 * len(asked)))
        with self._using() as session:
            code = self._library.call("gemel_session_log_probs", session, self._library.lend(asked), len(asked), block)
            check(self._library, code, "log_probs: once ids have been evaluated")
        found = array("d")
        found.frombytes(self._library.read(block.address, 8 * len(asked)))
        return found.tolist()

    def likeliest(self, n: int) -> list[int]:
        """Return the n (1..256) likeliest ids to come next, the likeliest first, equal ones by id.

        ArgumentError when nothing has been evaluated.
        """
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= min(256, self.model.n_vocab):
            raise ArgumentError(f"n={n!r}: must be an integer from 1 to {min(256, self.model.n_vocab)}")
        block = self._library.alloc(4 * n)
        with self._using() as session:
            code = self._library.call("gemel_session_likeliest", session, block, n)
            check(self._library, code, "likeliest: once ids have been evaluated")
        return ids_of(self._library.read(block.address, 4 * n))

    @property
    def kv_size(self) -> int:
        """Bytes of KV cache per position."""
        return self.model._get(KV_SIZES[self.kv_type])

    @property
    def kv_pages(self) -> tuple[int, int]:
        """Pages of 64 positions that the KV cache holds, and how many of them other sessions hold, too."""
        block = self._library.alloc(4)
        with self._using() as session:
            n = check(self._library, self._library.call("gemel_session_pages", session, block), "pages")
        return n, ids_of(self._library.read(block.address, 4))[0]

    def page_keys(self, salt: bytes = b"") -> list[bytes]:
        """Return a key of 32 bytes for each whole page of 64 positions: equal keys, equal bits of keys and values.

        A key follows from the ids up to the page's end, the cache's type, the RoPE table and `salt`. It is for
        sessions of one model. Where embeddings were appended, the keys end before them.
        """
        if not isinstance(salt, bytes):
            raise ArgumentError(f"salt={salt!r}: must be bytes")
        with self._using() as session:
            table = check(self._library, self._library.call("gemel_session_rope_table", session), "page_keys")
            return page_keys(self.ids, kv_type=KV_TYPES[self.kv_type], rope_table=table, salt=salt)

    def fork(self, n_past: int | None = None) -> Session:
        """Return a new session that holds the first `n_past` ids of this one; default all of them.

        Both share the KV cache of those ids: whole pages of 64 positions are held once, and the last one is copied when
        either session first writes to it. Each has the bits that it would have alone.
        """
        with self._using() as session:
            have = self._library.call("gemel_session_n_past", session)
            wanted = have if n_past is None else n_past
            if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 <= wanted <= have:
                raise ArgumentError(f"n_past={n_past!r}: must be an integer from 0 to {have}, the ids that are there")
            out = self._library.alloc(8)
            code = self._library.call("gemel_session_fork", session, wanted, out)
            check(self._library, code, f"a fork of {wanted} ids")
            with self.model._handle:
                handle = Handle(
                    self._library, pointer_at(self._library, out), "gemel_session_close", self.model._handle
                )
        twin = Session.__new__(Session)
        twin._adopt(self.model, self.n_ctx, handle)
        return twin

    # ---- Evaluating -------------------------------------------------------------------------------------------------

    def sync(self, ids: Sequence[int]) -> int:
        """Make the session hold exactly `ids`, evaluating only what the KV cache lacks; return how many that were.

        The longest common prefix stays, the rest of the cache is dropped; the logits are those of the last id.
        ContextError (and nothing is changed) when `ids` are more than n_ctx.
        """
        return max(self._sync_steps(ids), default=0)

    def _sync_steps(self, ids: Sequence[int], pace: Pace | None = None) -> Iterator[int]:
        """As sync, stopping after each micro-batch to yield how many ids have been evaluated. pace: their sizes."""
        wanted = id_bytes(ids, self.model.n_vocab)
        if not wanted:
            raise ArgumentError("there are no ids to evaluate: the prompt is empty")
        self._check_room(len(wanted), 0)
        with self._using() as session:
            self._revision += 1
            code = self._library.call("gemel_session_sync", session, self._library.lend(wanted), len(wanted))
            kept = check(self._library, code, "sync")
        evaluated, missing = 0, wanted[kept:]
        while evaluated < len(missing):
            n = self.model.n_batch if pace is None else pace.n
            start = time.perf_counter()
            done = self._evaluate(missing[evaluated : evaluated + n], evaluated + n >= len(missing))
            if pace is not None:
                pace.note(done, time.perf_counter() - start)
            evaluated += done
            yield evaluated

    def append(self, ids: Sequence[int]) -> None:
        """Evaluate `ids` after those that are there. ContextError when they don't fit; then nothing is changed."""
        added = id_bytes(ids, self.model.n_vocab)
        with self._lock:
            self._check_room(len(added), self.n_past)
            for start in range(0, len(added), self.model.n_batch):
                end = start + self.model.n_batch
                self._evaluate(added[start:end], end >= len(added))

    def truncate(self, n_past: int) -> None:
        """Keep the first `n_past` ids (0..n_past) and forget the rest; logits are there again after the next id."""
        with self._using() as session:
            have = self._library.call("gemel_session_n_past", session)
            if isinstance(n_past, bool) or not isinstance(n_past, int) or not 0 <= n_past <= have:
                raise ArgumentError(f"n_past={n_past!r}: must be an integer from 0 to {have}, the ids that are there")
            self._revision += 1
            check(self._library, self._library.call("gemel_session_truncate", session, n_past), "truncate")

    def score(self, ids: Sequence[int]) -> tuple[list[float], list[int]]:
        """Append `ids` and return (log-probabilities, likeliest ids), one each for every id.

        The first value is log p(ids[0] | what was there before); in an empty session there is none: 0.0 and -1.
        ArgumentError when the logits of the last id are gone (after truncate or hidden): sync(session.ids) first.
        """
        added = id_bytes(ids, self.model.n_vocab)
        log_probs, top = array("d"), array("i")
        with self._lock:
            self._check_room(len(added), self.n_past)
            for part in self._parts(added):
                probs_block, top_block = self._library.alloc(8 * len(part)), self._library.alloc(4 * len(part))
                self._compute("gemel_session_score", part, probs_block, top_block)
                log_probs.frombytes(self._library.read(probs_block.address, probs_block.size))
                top.frombytes(self._library.read(top_block.address, top_block.size))
        return log_probs.tolist(), top.tolist()

    def hidden(self, ids: Sequence[int]) -> FloatArray:
        """Append `ids` and return their last hidden states after the output norm: float32 [n][n_embd]."""
        added = id_bytes(ids, self.model.n_vocab)
        rows = bytearray()
        with self._lock:
            self._check_room(len(added), self.n_past)
            for part in self._parts(added):
                block = self._library.alloc(4 * len(part) * self.model.n_embd)
                self._compute("gemel_session_hidden", part, block)
                rows += self._library.read(block.address, block.size)
        return floats(bytes(rows), (len(added), self.model.n_embd))

    def append_rows(self, rows: FloatArray) -> None:
        """Append positions that are given as embeddings in place of ids: float32 [n][n_embd], any buffer of that shape.

        The bits are those of the ids whose embeddings they are. In `ids` they stand as -1.
        """
        lent, n = self._rows(rows)
        with self._lock, self._using() as session, self.model._turn:
            self._check_room(n, self._library.call("gemel_session_n_past", session))
            self._revision += 1
            self._check(self._library.call("gemel_session_eval_rows", session, lent, n), f"evaluating {n} rows")

    def layers(self, rows: FloatArray, first: int, last: int) -> FloatArray:
        """Evaluate layers [first, last) alone and return the residual stream after them: float32 [n][n_embd].

        rows: what enters layer `first` at the next n positions: embeddings, or what layer first - 1 gave. The positions
        count in the session, whose ids are -1 there; there are no logits. For verifying layers one by one.
        """
        lent, n = self._rows(rows)
        n_layer = self.model.n_layer
        if not all(isinstance(il, int) and not isinstance(il, bool) for il in (first, last)) or not (
            0 <= first <= last <= n_layer
        ):
            raise ArgumentError(f"layers {first!r} to {last!r}: must be integers, 0 <= first <= last <= {n_layer}")
        out = self._library.alloc(max(4, 4 * n * self.model.n_embd))
        with self._lock, self._using() as session, self.model._turn:
            self._check_room(n, self._library.call("gemel_session_n_past", session))
            self._revision += 1
            code = self._library.call("gemel_session_layers", session, lent, n, first, last, out)
            self._check(code, f"evaluating layers {first} to {last}")
        return floats(self._library.read(out.address, 4 * n * self.model.n_embd), (n, self.model.n_embd))

    def _rows(self, rows: FloatArray) -> tuple[Block, int]:
        n_embd = self.model.n_embd
        try:
            view = memoryview(rows)
        except TypeError:
            kind = type(rows).__name__
            raise ArgumentError(f"rows must be a float32 array of shape [n][{n_embd}]; got a {kind}") from None
        if view.format != "f" or view.ndim != 2 or view.shape is None or view.shape[1] != n_embd:
            raise ArgumentError(f"rows must be float32 of shape [n][{n_embd}]; got {view.format!r}, {view.shape}")
        return self._library.lend(view.tobytes()), view.shape[0]

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        sampling: Sampling | None = None,
        special: bool = False,
        **fields: object,
    ) -> Generation:
        """As Model.generate, in this session: of `prompt` only what the KV cache lacks is evaluated.

        The ids drawn stay in the session, but for the last one, which is not evaluated. To go on:
        `session.generate(generation.prompt_ids + generation.ids)`.
        """
        from ._generate import Generation, Run

        run = Run(
            self,
            self.model._prompt_ids(prompt, special=special),
            max_tokens=max_tokens,
            stops=check_stops(stop),
            sampling=merged(sampling, fields),
            owned=False,
        )
        return Generation(run)

    def cancel(self, on: bool = True) -> None:
        """Stop the call that is evaluating, from any thread: it raises CancelledError after its micro-batch.

        When none is, the next one that evaluates is stopped. A cancellation stops one call; on=False takes back one
        that has not stopped any yet.
        """
        with self._handle as session:
            self._library.call("gemel_session_cancel", session, int(on))

    # ---- Saving -----------------------------------------------------------------------------------------------------

    @overload
    def save(self) -> bytes: ...
    @overload
    def save(self, path: str | os.PathLike[str]) -> None: ...
    def save(self, path: str | os.PathLike[str] | None = None) -> bytes | None:
        """Return ids and KV cache as bytes, or write them to `path` (whole or not at all)."""
        with self._using() as session:
            block = self._library.alloc(max(1, self._library.call("gemel_session_save_size", session)))
            check(self._library, self._library.call("gemel_session_save", session, block, block.size), "save")
            data = self._library.read(block.address, block.size)
        if path is None:
            return data
        target = Path(path)
        fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
        try:
            fresh.write_bytes(data)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        return None

    def restore(self, saved: bytes | bytearray | memoryview | str | os.PathLike[str]) -> None:
        """Take over ids, KV cache and logits from save()'s bytes or file.

        StateError for damaged bytes or those of another model; ContextError when they need a larger n_ctx.
        """
        data: Any = saved
        if isinstance(saved, str | os.PathLike):
            source = open_file(Path(saved))
            try:
                data = bytes(source.read(0, source.size)) if source.size else b""
            finally:
                source.close()
        error = self._library.alloc(ERROR_SIZE)
        with self._using() as session:
            self._revision += 1
            lent = self._library.lend(data)
            size = memoryview(data).nbytes
            code = self._library.call("gemel_session_restore", session, lent, size, error, error.size)
            check(self._library, code, "restore", error)

    # ---- Life -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        """Free the session; a call that is evaluating in another thread is cancelled first."""
        if not self._handle.closed:
            self.cancel()
            self._finalizer()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"n_past={self.n_past}"
        return f"<gemel.Session of {self.model.name!r}: {state}, n_ctx={self.n_ctx}>"

    # ---- Inside -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _using(self) -> Iterator[int]:
        """Yield the core's session, alone."""
        with self._lock, self._handle as session:
            self._check_whole()
            yield session

    def _check_whole(self) -> None:
        if self._broken:
            raise StateError(self._broken)

    def _check_room(self, n: int, n_past: int) -> None:
        if n_past + n > self.n_ctx:
            there = f" after the {n_past} that are there" if n_past else ""
            larger = f"open the session with n_ctx up to {self.model.n_ctx}" if self.n_ctx < self.model.n_ctx else ""
            advice = " or ".join(filter(None, (larger, "pass fewer tokens")))
            raise ContextError(
                f"{n} tokens were asked for{there}, but n_ctx={self.n_ctx} leaves room for {self.n_ctx - n_past}: "
                f"{advice}"
            )

    def _parts(self, ids: array[int]) -> Iterator[array[int]]:
        n_batch = self.model.n_batch
        for start in range(0, len(ids), n_batch):
            yield ids[start : start + n_batch]

    def _evaluate(self, ids: array[int], is_last: bool) -> int:
        """Evaluate one micro-batch; the logits are computed for the last alone."""
        return self._compute("gemel_session_eval" if is_last else "gemel_session_fill", ids)

    def _compute(self, name: str, ids: array[int], *out: Argument) -> int:
        """Evaluate one micro-batch; return its length."""
        with self._using() as session, self.model._turn:
            self._revision += 1
            code = self._library.call(name, session, self._library.lend(ids), len(ids), *out)
            self._check(code, f"evaluating {len(ids)} ids")
        return len(ids)

    def _check(self, code: int, where: str) -> int:
        """As check(); a cancellation is used up by the call that it stopped."""
        if code == _abi.E_CANCELLED:
            self._uncancel()
            if self.closed:
                raise CancelledError(f"{where}: the session was closed meanwhile")
        return check(self._library, code, where)

    def _uncancel(self) -> None:
        if not self.closed:
            with self._handle as session:
                self._library.call("gemel_session_cancel", session, 0)

    def _after_fork(self) -> None:
        """In a forked child: what another thread of the parent was computing is lost."""
        if not self._lock.acquire(blocking=False):
            self._broken = "another thread was computing in this session when the process forked: open a new one"
        self._lock = threading.RLock()
        self._handle.after_fork()


def floats(raw: bytes, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Return float32 bytes as a numpy array, or where numpy can't be imported as a memoryview with that shape."""
    try:
        import numpy
    except ImportError:
        view = memoryview(raw).cast("f")
        return view if shape is None else memoryview(raw).cast("f", shape)
    array_ = numpy.frombuffer(bytearray(raw), dtype=numpy.float32)
    return array_ if shape is None else array_.reshape(shape)
