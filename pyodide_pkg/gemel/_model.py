"""An open model: immutable, shared, and the place from which everything else is made.

Knows the core's model and text calls; opening one, sessions, generation and chat are other modules'.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import _abi, _pool
from ._cpu import pick_isa, pick_threads
from ._errors import ArgumentError, GemelError
from ._generate import Generation, Run
from ._gguf import Metadata, Tensor, double_at, read_tensors
from ._library import Handle, Library, check
from ._overrides import CHAT_TEMPLATE, Overrides
from ._sampling import Sampler, Sampling, merged
from ._session import FloatArray, KvType, Session, floats, kv_type_of
from ._text import check_stops, encode, id_bytes, ids_of

if TYPE_CHECKING:
    from ._chat import Chat
    from ._step import Drawn

DEFAULT_N_CTX = 4096
Pooling = Literal["mean", "first", "last"]


@dataclass(frozen=True)
class Info:
    """What computes a model."""

    engine: str    # "native", "side module", "threads", or "threads64": the threaded engine with 64-bit addresses
    isa: str       # the row of kernels
    threads: int
    why: str       # one sentence: why this engine


class Model:
    """Made by gemel.open. Any number of threads and sessions may use it; what computes takes turns.

    A context manager. Closing it closes its sessions; the memory goes when the last call in it has returned.
    """

    def __init__(self, library: Library, handle: Handle, name: str, overrides: Overrides | None = None) -> None:
        self._library = library
        self._handle = handle
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._ahead: Session | None = None   # what open_async(prompt=...) evaluated, until somebody goes on from it
        self._finalizer = weakref.finalize(self, handle.close)
        self._turn = threading.Lock()   # held by what computes; the core's calls take turns anyway
        self._ends: dict[int, bool] = {}   # id -> is_eog of it, of those that were drawn
        self.name = name
        self._why = library.why
        with handle as model:
            self._gguf: int = library.call("gemel_model_gguf", model)
            self.arch: str = library.call("gemel_model_arch", model)
        self.metadata = Metadata(library, handle, self._gguf)   # as the file has it
        self.overrides: Overrides = MappingProxyType(dict(overrides or {}))   # what counts in its place, by full names
        self._read_facts()
        _live.add(self)

    def _read_facts(self) -> None:
        self.n_vocab = self._get(_abi.MODEL_N_VOCAB)
        self.n_ctx = self._get(_abi.MODEL_N_CTX_TRAIN)         # the longest session the file was trained for
        self.n_embd = self._get(_abi.MODEL_N_EMBD)
        self.n_layer = self._get(_abi.MODEL_N_LAYER)
        self.n_head = self._get(_abi.MODEL_N_HEAD)
        self.n_head_kv = self._get(_abi.MODEL_N_HEAD_KV)
        self.head_dim = self._get(_abi.MODEL_HEAD_DIM)
        self.n_rot = self._get(_abi.MODEL_N_ROT)
        self.n_ff = self._get(_abi.MODEL_N_FF)
        self.n_params = self._get(_abi.MODEL_N_PARAMS)
        self.n_batch = self._get(_abi.MODEL_N_BATCH)           # tokens of a micro-batch
        self.weight_size = self._get(_abi.MODEL_WEIGHT_SIZE)   # bytes of weights in memory
        self.kv_size = self._get(_abi.MODEL_KV_SIZE)           # bytes of KV cache a position
        self.decode_size = self._get(_abi.MODEL_DECODE_SIZE)   # bytes of weights read to decode one token
        self.decode_macs = self._get(_abi.MODEL_DECODE_MACS)   # multiply-adds in weights to decode one token
        self.prefill_macs = self._get(_abi.MODEL_PREFILL_MACS)   # the same for a token of a prompt, but for the output

    # ---- Facts ------------------------------------------------------------------------------------------------------

    @property
    def default_n_ctx(self) -> int:
        """n_ctx of a session that asks for none: min(n_ctx, 4096)."""
        return min(self.n_ctx, DEFAULT_N_CTX)

    @property
    def default_kv_type(self) -> KvType:
        """kv_type of a session that asks for none; kv_size is of it."""
        return kv_type_of(self._get(_abi.MODEL_KV_TYPE))

    @property
    def tensors(self) -> list[Tensor]:
        """The file's tensor table."""
        with self._handle:
            return read_tensors(self._library, self._gguf)

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text, or None."""
        return self._special(_abi.MODEL_BOS)

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text, or None."""
        return self._special(_abi.MODEL_EOS)

    @property
    def eot_id(self) -> int | None:
        """The id that ends a turn of a chat, or None."""
        return self._special(_abi.MODEL_EOT)

    @property
    def adds_bos(self) -> bool:
        """Whether the file wants texts to begin with BOS."""
        return self._get(_abi.MODEL_ADD_BOS) > 0

    @property
    def chat_template(self) -> str | None:
        """The file's chat template (jinja), or an override of it, or None."""
        template = self.overrides.get(CHAT_TEMPLATE, self.metadata.get(CHAT_TEMPLATE))
        return template if isinstance(template, str) else None

    @property
    def threads(self) -> int:
        """The threads that compute; any number gives the same bits."""
        return self._get(_abi.MODEL_N_THREADS)

    @property
    def isa(self) -> str:
        """The row of kernels that computes; any gives the same bits."""
        return str(self._library.call("gemel_isa_name", self._get(_abi.MODEL_ISA)))

    @property
    def info(self) -> Info:
        """Which engine computes this model, with what, and why; nothing of it changes a bit of any result."""
        return Info(self._library.engine, self.isa, self.threads, self._why)

    def set_threads(self, threads: int) -> None:
        """Change the number of threads, 1..256. Waits for a call that computes in another thread.

        They are of the pool that all open models share, which grows when it has too few.
        """
        n_threads = pick_threads(threads)
        with self._handle as model, _pool.at_least(self._library, n_threads), self._turn:
            code = self._library.call("gemel_model_set_threads", model, n_threads)
            check(self._library, code, f"threads={threads}")

    def set_isa(self, isa: str) -> None:
        """Change the row of kernels. Waits for a call that computes in another thread."""
        row = pick_isa(self._library, isa)
        with self._handle as model, self._turn:
            check(self._library, self._library.call("gemel_model_set_isa", model, row), f"isa={isa!r}")

    # ---- Text -------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False, bos_eos: bool = False) -> list[int]:
        """Return the ids of a text.

        special: parse special tokens written out in the text; otherwise "<|im_end|>" is ten harmless characters.
        bos_eos: add BOS and EOS where the file's flags say so.

        >>> model.detokenize(model.tokenize("Hello"))
        'Hello'
        """
        raw = encode(text, "the text")
        flags = special * _abi.TEXT_SPECIAL + bos_eos * _abi.TEXT_BOS_EOS
        capacity = len(raw) // 3 + 16
        with self._handle as model:
            while True:
                block = self._library.alloc(4 * capacity)
                n = self._library.call("gemel_tokenize", model, raw, len(raw), flags, block, capacity)
                if check(self._library, n, "tokenize") <= capacity:
                    return ids_of(self._library.read(block.address, 4 * n))
                capacity = n

    def detokenize(self, ids: Iterable[int], *, special: bool = False) -> str:
        """Return the text of ids; bytes that are no UTF-8 show as U+FFFD. special: render control tokens as well."""
        given = id_bytes(ids, self.n_vocab)
        flags = special * _abi.TEXT_SPECIAL
        capacity = 8 * len(given) + 16
        lent = self._library.lend(given)
        with self._handle as model:
            while True:
                block = self._library.alloc(capacity)
                size = self._library.call("gemel_detokenize", model, lent, len(given), flags, block, capacity)
                if check(self._library, size, "detokenize") <= capacity:
                    return self._library.read(block.address, size).decode("utf-8", "replace")
                capacity = size

    def piece(self, id: int, *, special: bool = False) -> bytes:
        """Return the bytes of one id; not always whole UTF-8."""
        capacity = 64
        (id,) = id_bytes([id], self.n_vocab)
        with self._handle as model:
            while True:
                block = self._library.alloc(capacity)
                size = self._library.call("gemel_piece", model, id, special * _abi.TEXT_SPECIAL, block, capacity)
                if check(self._library, size, f"the piece of id {id}") <= capacity:
                    return self._library.read(block.address, size)
                capacity = size

    def is_eog(self, id: int) -> bool:
        """Tell whether a generation ends at this id."""
        with self._handle as model:
            return check(self._library, self._library.call("gemel_token_is_eog", model, id), f"id {id}") == 1

    def is_control(self, id: int) -> bool:
        """Tell whether an id is a control token, one that text should not be able to spell."""
        with self._handle as model:
            kind = check(self._library, self._library.call("gemel_token_kind_of", model, id), f"id {id}")
            return kind == _abi.TOKEN_CONTROL

    # ---- Running ----------------------------------------------------------------------------------------------------

    def session(self, n_ctx: int | None = None, *, kv_type: KvType | None = None) -> Session:
        """Open a timeline of at most `n_ctx` ids; default min(the file's, 4096).

        kv_type: what its KV cache rounds to, "f16" or "q8_0" (default): faster the longer the text, in half the memory.
        """
        return Session(self, n_ctx, kv_type)

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        sampling: Sampling | None = None,
        special: bool = False,
        n_ctx: int | None = None,
        kv_type: KvType | None = None,
        **fields: object,
    ) -> Generation:
        """Go on from a text or ids, without a chat template; iterate over the result for pieces of text.

        max_tokens: at most so many ids; None: until n_ctx is full. stop: end before any of these strings.
        sampling, or its fields by name: how ids are drawn (gemel.Sampling). special: parse special tokens in `prompt`.
        n_ctx: default as much as is needed, at least min(the file's, 4096). kv_type: as in session().
        A text begins with BOS where the file's flags say so; ids are taken as they are.
        ContextError, before anything is computed, when prompt and max_tokens don't fit.

        >>> generation = model.generate("Once upon a time", max_tokens=4, temperature=0)
        >>> generation.read() == generation.text, generation.stop_reason
        (True, 'length')
        """
        options, stops = merged(sampling, fields), check_stops(stop)
        ids = self._prompt_ids(prompt, special=special)
        if n_ctx is None:
            wanted = len(ids) + max_tokens - 1 if isinstance(max_tokens, int) else len(ids)
            n_ctx = min(max(self.default_n_ctx, wanted), self.n_ctx)
        session = self._take_ahead(ids, n_ctx, kv_type) or Session(self, n_ctx, kv_type)
        try:
            return Generation(
                Run(session, ids, max_tokens=max_tokens, stops=stops, sampling=options, owned=True)
            )
        except BaseException:
            session.close()
            raise

    def decode(self, sessions: Sequence[Session], ids: Sequence[int]) -> list[GemelError | None]:
        """Append ids[i] to sessions[i], all in one pass that reads the weights once: for many users at a time.

        sessions: of this model, each at most once. The bits are those of `session.append([id])` one by one. Return for
        each None, or the error that left that session as it was (ContextError, CancelledError, NumericError, ...).
        ArgumentError, and nothing is changed, for what is no id of this model or no session of it.
        """
        from ._step import decode

        return decode(self, sessions, ids)

    def sampler(self, sampling: Sampling | None = None, **fields: object) -> Sampler:
        """Return what draws ids for one sequence, for `step`; by a Sampling or its fields. Close it after use."""
        return Sampler(self._library, self._handle, merged(sampling, fields), self.tokenize)

    def step(
        self,
        sessions: Sequence[Session],
        ids: Sequence[Sequence[int]],
        samplers: Sequence[Sampler | None] | None = None,
        *,
        logits: bool = False,
    ) -> list[Drawn]:
        """Append ids[i] to sessions[i] in one pass, and draw the next id where samplers[i] is given.

        ids: the next id of an answer, a chunk of a prompt, or none where logits are at hand; at most n_batch in all.
        The pass reads the weights once, and ids are drawn and turned into text in it: one crossing for many users.
        Each session's bits are those it would have alone. logits=True makes each session's logits in the pass, too;
        otherwise they are made when asked for.

        >>> with model.session() as one, model.session() as other, model.sampler(temperature=0) as greedy:
        ...     drawn = model.step([one, other], [[1, 2, 3], [4]], [greedy, None])
        >>> drawn[0].id is not None, drawn[1].id
        (True, None)
        """
        from ._step import step

        return step(self, sessions, ids, samplers, logits=logits)

    def chat(
        self,
        system: str | None = None,
        *,
        n_ctx: int | None = None,
        kv_type: KvType | None = None,
        template: str | None = None,
        tools: Sequence[Any] | None = None,
        **template_options: object,
    ) -> Chat:
        """Begin a conversation in the file's own chat template (or `template`, jinja text).

        n_ctx, kv_type: as in session(). tools and template_options are handed to the template (such as
        enable_thinking=False). TemplateError when there is no template: use generate().
        """
        from ._chat import Chat

        return Chat(
            self, system, n_ctx=n_ctx, kv_type=kv_type, template=template, tools=tools, options=template_options
        )

    def score(self, text: str | Sequence[int]) -> list[float]:
        """Return the natural log-probability of every token after the first: n - 1 numbers for n ids.

        A text begins with BOS where the file's flags say so, and then every token of it has a number.
        ContextError when it is longer than the file's n_ctx.

        >>> len(model.score([1, 2, 3]))
        2
        """
        ids = self._prompt_ids(text, special=False)
        with Session(self, min(max(len(ids), 1), self.n_ctx)) as session:
            log_probs, _ = session.score(ids)
        return log_probs[1:]

    def embed(self, texts: str | Sequence[str], pooling: Pooling = "mean", *, normalise: bool = True) -> FloatArray:
        """Return the pooled last hidden states: float32 [n_embd] of one text, [n][n_embd] of a sequence of them.

        pooling: over the tokens of a text: "mean", or the "first" or "last" one. normalise: to length 1.
        numpy where numpy can be imported, otherwise a memoryview with that shape.
        """
        from ._embed import embed

        if isinstance(texts, str):
            return floats(embed(self, texts, pooling, normalise=normalise))
        rows = [embed(self, text, pooling, normalise=normalise) for text in texts]
        if not rows:
            raise ArgumentError("there are no texts to embed")
        return floats(b"".join(rows), (len(rows), self.n_embd))

    # ---- Life -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        """Close the model and its sessions. Calls that compute in other threads are cancelled, and end safely."""
        for session in list(self._sessions):
            session.close()
        self._finalizer()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.isa}, {self.threads} threads"
        return f"<gemel.Model {self.name!r}: {self.arch}, {self.n_params / 1e6:.4g} M parameters, {state}>"

    # ---- Inside -----------------------------------------------------------------------------------------------------

    def _get(self, field: int) -> int:
        out = self._library.alloc(8)
        with self._handle as model:
            check(self._library, self._library.call("gemel_model_get", model, field, out), f"field {field}")
            return int(double_at(self._library, out))

    def _special(self, field: int) -> int | None:
        id = self._get(field)
        return None if id < 0 else id

    def _keep_ahead(self, session: Session | None) -> None:
        """Hold a session for _take_ahead; meanwhile it does not keep this model alive."""
        if session is not None:
            session.model = weakref.proxy(self)
        self._ahead = session

    def _take_ahead(self, ids: Sequence[int], n_ctx: int, kv_type: KvType | None) -> Session | None:
        """Return the session that evaluated the prompt while the model loaded, if `ids` begin with what it holds."""
        ahead = self._ahead
        if ahead is None or ahead.closed or ahead.n_ctx != n_ctx or ahead.ids != list(ids[: ahead.n_past]):
            return None
        if kv_type not in (None, ahead.kv_type):
            return None
        with self._turn:
            if self._ahead is not ahead:   # another thread was quicker
                return None
            self._ahead = None
        ahead.model = self
        return ahead

    def _prompt_ids(self, prompt: str | Sequence[int], *, special: bool) -> list[int]:
        """Return the ids of a prompt: a text with BOS where the file wants it (never EOS), ids as they are."""
        if not isinstance(prompt, str):
            if special:
                raise ArgumentError("special=True has no effect on ids: leave it out")
            return list(prompt)
        ids = self.tokenize(prompt, special=special)
        return self._with_bos(ids)

    def _with_bos(self, ids: list[int]) -> list[int]:
        bos = self.bos_id
        return [bos, *ids] if bos is not None and self.adds_bos and ids[:1] != [bos] else ids

    def _after_fork(self) -> None:
        self._handle.after_fork()
        self._turn = threading.Lock()
        for session in list(self._sessions):
            session._after_fork()


_live: weakref.WeakSet[Model] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """The child has no other threads: their locks are let go of, and the core starts its workers again."""
    _pool.after_fork()
    for model in list(_live):
        model._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
