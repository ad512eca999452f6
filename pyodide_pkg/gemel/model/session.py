"""One mutable timeline: ids, their KV cache, the logits of the last id.

Ids go to the core in micro-batches of model.n_batch, so that Ctrl-C and cancel() work in between. Several threads may
use a session: its calls run one after another.
"""

from __future__ import annotations

import os
import warnings
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

from ..core import abi
from ..core.checks import flag, not_whole, wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError, StateWarning, UnsupportedError, counted
from ..core.floats import FloatArray, Rows, floats
from ..core.library import ERROR_SIZE, Argument, Block, Handle, check, open_handle, pointer_at
from ..core.public import public
from ..core.scalars import whole
from ..text.ids import Ids, id_bytes, ids_of
from .call_options import call_options
from .call_types import CallFields
from .core_model import CoreModel
from .core_session import CoreSession
from .generation import Generation, Run
from .kv import KV_NUMBERS, KV_SIZES, KvType, kv_number, kv_type_of
from .sampling import Sampling
from .turn import Turn

if TYPE_CHECKING:
    from ..source.saved import Saved

NO_LOGITS = "there are no logits yet: sync or append ids first"


def check_n_ctx(model: CoreModel, n_ctx: object) -> int:
    """Return the size of a session. ArgumentError unless it is an integer of 1..the file's n_ctx."""
    size = whole(n_ctx)
    if size is None or not 1 <= size <= model.n_ctx:
        raise not_whole("n_ctx", n_ctx, f"an integer from 1 to {model.n_ctx}, the file's own limit")
    return size


@public
class Session(CoreSession):
    """Made by Model.session(). A context manager.

    Attributes:
        model: the Model it belongs to
        n_ctx: positions that it has room for

    >>> with model.session() as session:
    ...     evaluated = session.sync(model.tokenize("Once upon a time"))
    ...     len(session.logits()) == model.n_vocab
    True
    """

    copy_hint = "fork() copies a session, save() and restore() store one"

    def __init__(self, model: CoreModel, n_ctx: int | None = None, kv_type: KvType | None = None) -> None:
        size = check_n_ctx(model, model.default_n_ctx if n_ctx is None else n_ctx)
        number, library = kv_number(kv_type), model._library
        handle = open_handle(
            library, "gemel_session_open", size, where=f"a session with n_ctx={size}", parent=model._handle
        )
        super().__init__(model, size, handle)
        if kv_type == "q8_0" and model.is_encoder:
            self.close()
            raise UnsupportedError(f"kv_type='q8_0': {model.arch} is an encoder, whose keys are kept in f16 or f32")
        if kv_type is not None:
            try:
                self._call("gemel_session_set", abi.SESSION_KV_TYPE, number, where="the KV cache's type")
            except BaseException:
                self.close()
                raise

    # ---- What it holds ----------------------------------------------------------------------------------------------

    @property
    def kv_type(self) -> KvType:
        """What keys and values are rounded to, such as "q8_0"."""
        with self._using() as session:
            type = self._library.call("gemel_session_kv_type", session)
        return kv_type_of(type)

    def logits(self) -> FloatArray:
        """Return a copy of the logits of the last id: float32 [n_vocab], numpy where numpy can be imported.

        ArgumentError when nothing has been evaluated.
        """
        with self._using() as session:
            self._check_logits()
            address = self._library.call("gemel_session_logits", session)
            if not address:
                raise ArgumentError(NO_LOGITS)
            return floats(self._library.read(address, 4 * self.model.n_vocab))

    def log_probs(self, ids: Ids) -> list[float]:
        """Return log p(id | the ids evaluated) of each id that might come next, with the bits of `score`.

        ArgumentError when nothing has been evaluated.
        """
        asked = id_bytes(ids, self.model.n_vocab)
        block, lent = self._library.alloc(max(8, 8 * len(asked))), self._library.lend(asked)
        self._ask_logits("gemel_session_log_probs", lent, len(asked), block)
        found = array("d")
        found.frombytes(self._library.read(block.address, 8 * len(asked)))
        return found.tolist()

    def likeliest(self, n: int) -> list[int]:
        """Return the n (1..256) most likely next ids, the most likely first, equal ones by id.

        ArgumentError when nothing has been evaluated.
        """
        count = whole(n)
        if count is None or not 1 <= count <= min(256, self.model.n_vocab):
            raise not_whole("n", n, f"an integer from 1 to {min(256, self.model.n_vocab)}")
        block = self._library.alloc(4 * count)
        self._ask_logits("gemel_session_likeliest", block, count)
        return ids_of(self._library.read(block.address, block.size))

    def _ask_logits(self, name: str, *arguments: Argument) -> None:
        """Call a function that reads the logits."""
        with self._using() as session:
            code = self._library.call(name, session, *arguments)
            if code == abi.E_ARGUMENT:
                raise ArgumentError(NO_LOGITS)
            check(self._library, code, "reading the logits")

    @property
    def kv_size(self) -> int:
        """Bytes of KV cache per position."""
        return self.model._get(KV_SIZES[self.kv_type])

    @property
    def kv_pages(self) -> tuple[int, int]:
        """How many pages of 64 positions the KV cache holds, and how many of them other sessions share."""
        block = self._library.alloc(4)
        n = self._call("gemel_session_pages", block, where="pages")
        return n, ids_of(self._library.read(block.address, 4))[0]

    def page_keys(self, salt: bytes = b"") -> list[bytes]:
        """Return a key of 32 bytes for each whole page of 64 positions: equal keys, equal bits of keys and values.

        A key depends on the ids up to the page's end, the cache's type, the RoPE table and `salt`. Compare only keys of
        one model's sessions. Where embeddings were appended, the keys end before them.
        """
        if not isinstance(salt, bytes):
            raise wrong_type("salt", salt, "bytes")
        with self._using():
            from .page_keys import page_keys

            table = self._call("gemel_session_rope_table", where="page_keys")
            return page_keys(self.ids, kv_type=KV_NUMBERS[self.kv_type], rope_table=table, salt=salt)

    def fork(self, n_past: int | None = None) -> Session:
        """Return a new session that holds the first `n_past` ids of this one; default all of them.

        Both share the KV cache of those ids: whole pages of 64 positions exist once, and the last page is copied when
        either session first writes to it. Each session has the bits that it would have alone.
        Where the model has recurrent layers, their state is kept at some places only (see docs/python.md): elsewhere,
        the ids since the last of them are evaluated again before the fork's next ids.
        """
        with self._using() as session:
            have = self.n_past
            wanted = have if n_past is None else n_past
            wanted = self._check_n_past(wanted, have)
            out = self._library.alloc(8)
            with self._saying_where(wanted, "fork"):
                code = self._library.call("gemel_session_fork", session, wanted, out)
                check(self._library, code, f"a fork of {counted(wanted, 'id')}")
            with self.model._handle:
                handle = Handle(
                    self._library, pointer_at(self._library, out), "gemel_session_close", self.model._handle
                )
        twin = Session.__new__(Session)
        CoreSession.__init__(twin, self.model, self.n_ctx, handle)
        return twin

    def _keeps(self, n: int) -> int:
        """Return how many of the first n ids a fork can have without evaluating any again: see gemel_session_keeps."""
        return self._call("gemel_session_keeps", n, where="a fork")

    # ---- Evaluating -------------------------------------------------------------------------------------------------

    def score(self, ids: Ids) -> tuple[list[float], list[int]]:
        """Append `ids`; return the log-probability of each, and the most likely id at each place.

        The first value is log p(ids[0] | the ids evaluated before); in an empty session it is 0.0, and the id -1.
        ArgumentError when the last id has no logits (after truncate or hidden): sync(session.ids) first.
        """
        added = id_bytes(ids, self.model.n_vocab)
        log_probs, top = array("d"), array("i")
        with self._lock:
            self._check_room(len(added), self.n_past)
            for part in self._parts(added):
                probs_block, top_block = self._library.alloc(8 * len(part)), self._library.alloc(4 * len(part))
                self._run_ids("gemel_session_score", part, probs_block, top_block)
                log_probs.frombytes(self._library.read(probs_block.address, probs_block.size))
                top.frombytes(self._library.read(top_block.address, top_block.size))
        return log_probs.tolist(), top.tolist()

    def hidden(self, ids: Ids) -> FloatArray:
        """Append `ids` and return their last hidden states after the output norm: float32 [n][n_embd]."""
        added = id_bytes(ids, self.model.n_vocab)
        rows = bytearray()
        with self._lock:
            self._check_room(len(added), self.n_past)
            for part in [added] if self.model.is_encoder and added else self._parts(added):
                block = self._library.alloc(4 * len(part) * self.model.n_embd)
                self._run_ids("gemel_session_hidden", part, block)
                rows += self._library.read(block.address, block.size)
        return floats(bytes(rows), (len(added), self.model.n_embd))

    def append_rows(self, rows: Rows) -> None:
        """Append positions that are given as embeddings instead of ids: float32 [n][n_embd], any buffer of that shape.

        The bits are those of the ids whose embeddings they are. In `ids` these positions are -1.
        """
        lent, n = self._rows(rows)
        with self._lock:
            self._check_room(n, self.n_past)
            self._run("gemel_session_eval_rows", lent, n, where=f"evaluating {counted(n, 'row')}")

    def layers(self, rows: Rows, first: int, last: int) -> FloatArray:
        """Evaluate only layers [first, last) and return the residual stream after them: float32 [n][n_embd].

        rows: the input of layer `first` at the next n positions: embeddings, or the output of layer first - 1. The
        session appends n positions, whose ids are -1, and has no logits. For verifying layers one by one.
        """
        lent, n = self._rows(rows)
        n_layer = self.model.n_layer
        start, end = whole(first), whole(last)
        wanted = f"must be integers, 0 <= first <= last <= {n_layer}"
        if start is None or end is None:
            raise ArgumentTypeError(f"layers {first!r} to {last!r}: {wanted}")
        if not 0 <= start <= end <= n_layer:
            raise ArgumentError(f"layers {first!r} to {last!r}: {wanted}")
        out = self._library.alloc(max(4, 4 * n * self.model.n_embd))
        with self._lock:
            self._check_room(n, self.n_past)
            where = f"evaluating layers {first} to {last}"
            self._run("gemel_session_layers", lent, n, start, end, out, where=where)
        return floats(self._library.read(out.address, 4 * n * self.model.n_embd), (n, self.model.n_embd))

    def _parts(self, ids: array[int]) -> Iterator[array[int]]:
        n_batch = self.model.n_batch
        for start in range(0, len(ids), n_batch):
            yield ids[start : start + n_batch]

    def _rows(self, rows: Rows) -> tuple[Block, int]:
        n_embd = self.model.n_embd
        try:
            view: memoryview[Any] = memoryview(rows)   # type: ignore[arg-type]  # numpy's arrays are buffers
        except TypeError:
            kind = type(rows).__name__
            raise ArgumentTypeError(f"rows must be a float32 array of shape [n][{n_embd}]; got a {kind}") from None
        if view.format != "f" or view.ndim != 2 or view.shape is None or view.shape[1] != n_embd:
            raise ArgumentError(f"rows must be float32 of shape [n][{n_embd}]; got {view.format!r}, {view.shape}")
        return self._library.lend(view.tobytes()), view.shape[0]

    def generate(
        self,
        prompt: str | Ids | Turn,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        special: bool = False,
        is_answer: bool = False,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """As Model.generate, in this session: of `prompt` only what the KV cache lacks is evaluated.

        The ids drawn stay in the session, except for the last one, which is not evaluated. To continue:
        `session.generate(generation.prompt_ids + generation.ids)`.
        A Turn is the next message of a chat; it decides what is_answer says.
        is_answer: the text is a message, not the rest of the prompt: it begins without the space that some tokenizers
        put before a text.
        """
        options = call_options(max_tokens, stop, sampling, fields, also=("special", "is_answer"))
        is_message = flag("is_answer", is_answer)
        if isinstance(prompt, Turn):
            prompt.check(self.model, special=special, is_answer=is_message)
            return Generation(Run(self, prompt, options, owned=False))
        ids = self.model._prompt_ids(prompt, special=special)
        return Generation(Run(self, ids, options, owned=False, is_message=is_message))

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
        from ..source.saved import write_whole

        write_whole(path, data)
        return None

    def restore(self, saved: Saved) -> None:
        """Replace ids, KV cache and logits by those in save()'s bytes or file.

        Where a version of gemel with other bits saved them, the ids are evaluated again, and a StateWarning says so.
        StateError for damaged bytes or another model's; ContextError when they need a larger n_ctx.
        """
        from ..source.saved import read_saved

        data = read_saved(saved, "session")
        error, lent, size = self._library.alloc(ERROR_SIZE), self._library.lend(data), memoryview(data).nbytes
        if self._library.call("gemel_session_saved_elsewhere", lent, size) == 1:
            self._evaluate_saved(lent, size, error)
            return
        self._change("gemel_session_restore", lent, size, error, error.size, where="restore", error=error)

    def _evaluate_saved(self, lent: Block, size: int, error: Block) -> None:
        """Evaluate the ids of a saved session whose numbers are of another version."""
        out = self._library.alloc(max(4, min(size, 4 * self.n_ctx)))
        name = "gemel_session_saved_ids"
        n = self._call(name, lent, size, out, out.size // 4, error, error.size, where="restore", error=error)
        warnings.warn(
            f"restore: a version of gemel with other bits saved this session: its {counted(n, 'token')} are evaluated "
            "again; save it again to avoid this", StateWarning, stacklevel=3,
        )   # fmt: skip
        if n:
            self.sync(ids_of(self._library.read(out.address, 4 * n)))
        else:
            self.truncate(0)


TakePreloaded = Callable[[Sequence[int], int, KvType | None], Session | None]
"""take(ids, n_ctx, kv_type): the session that evaluated these ids while the model loaded, or None."""
