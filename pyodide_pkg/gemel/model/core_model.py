"""The core's model: its numbers, its text, and the threads that compute it. model.py makes everything else of it."""

from __future__ import annotations

import os
import threading
import weakref
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsIndex

from ..core import abi, pool
from ..core.checks import flag
from ..core.closing import Closing
from ..core.cpu import pick_isa, pick_threads
from ..core.errors import ArgumentError, UnsupportedError, counted
from ..core.library import Argument, Handle, Library, check, double_at, texts_at
from ..core.public import public
from ..text.ids import Ids, encode, id_bytes, id_list, ids_of, one_id
from .call_options import check_template_options
from .gguf import Metadata, Tensor, read_tensors
from .grammar_cache import GrammarCache
from .kv import KvType, kv_type_of
from .overrides import CHAT_TEMPLATE, Overrides
from .tool_grammars import ToolGrammars

if TYPE_CHECKING:
    from ..source.saved import Saved
    from ..text.messages import Ending
    from ..tools.given import ToolLike

DEFAULT_N_CTX = 4096
PROMPT = str | Ids | Sequence[Mapping[str, Any]]
"""A text, ids, or messages ({"role": ..., "content": ...}) for the chat template."""


@public
@dataclass(frozen=True)
class Info:
    """What computes a model, and how its chat template has it write.

    Attributes:
        engine: "native", "side module", "threads", or "threads64": the threaded engine with 64-bit addresses
        isa: the instruction set, one of gemel.isas()
        threads: how many compute
        why: one sentence: why this engine
        tools: how it calls tools: a dialect, "generic" where its template has none; "": it has no template
        reasoning: how its reasoning is marked: a dialect; "": it has none
    """

    engine: str
    isa: str
    threads: int
    why: str
    tools: str = ""
    reasoning: str = ""


# Parameters of CoreModel.prompt_ids, which no template gets.
OF_PROMPT_IDS = (
    "self", "prompt", "special", "template", "tools", "continue_final_message", "add_generation_prompt",
    "continue_final",
)  # fmt: skip


class CoreModel(Closing):
    """What sessions, generations and chats need of a model."""

    def __init__(self, library: Library, handle: Handle, name: str, overrides: Overrides | None = None) -> None:
        self._library = library
        self._handle = handle
        self._sessions: weakref.WeakSet[Any] = weakref.WeakSet()   # of CoreSession
        self._batches: weakref.WeakSet[Any] = weakref.WeakSet()    # of Batch
        self._grammars = GrammarCache(library, handle)
        self._tool_grammars = ToolGrammars()
        self._finalizer = weakref.finalize(self, _free, self._grammars, handle)
        self._run_lock = threading.Lock()   # held while something computes: the core runs one pass at a time anyway
        self._ends: dict[int, bool] = {}    # id -> is_eog of it, for ids that were drawn
        self._draft: bool | CoreModel | Saved = True   # as it was set
        self._drafter: CoreModel | None = None      # the model that drafts for this one
        self._drafts_for: CoreModel | None = None   # the model that this one drafts for
        self._own_draft: CoreModel | None = None    # the one that open() opened
        self.name = name
        self._why = library.why
        with handle as model:
            self._gguf: int = library.call("gemel_model_gguf", model)
            self.arch: str = library.call("gemel_model_arch", model)
            self.warnings = texts_at(library, "gemel_model_warning", model)   # what the model goes without, in words
        self.metadata = Metadata(library, handle, self._gguf)   # as the file has it
        self.overrides: Overrides = MappingProxyType(dict(overrides or {}))   # what replaces it, by full key names
        self._read_facts()
        _live.add(self)

    def _read_facts(self) -> None:
        """Read the numbers; once more when a model that is loading is complete."""
        self.n_vocab = self._get(abi.MODEL_N_VOCAB)
        self.n_ctx = self._get(abi.MODEL_N_CTX_TRAIN)
        self.n_embd = self._get(abi.MODEL_N_EMBD)
        self.n_layer = self._get(abi.MODEL_N_LAYER)
        self.n_head = self._get(abi.MODEL_N_HEAD)
        self.n_head_kv = self._get(abi.MODEL_N_HEAD_KV)
        self.head_dim = self._get(abi.MODEL_HEAD_DIM)
        self.n_rot = self._get(abi.MODEL_N_ROT)
        self.n_ff = self._get(abi.MODEL_N_FF)
        self.n_params = self._get(abi.MODEL_N_PARAMS)
        self.n_batch = self._get(abi.MODEL_N_BATCH)
        self.is_encoder = bool(self._get(abi.MODEL_IS_ENCODER))
        self.weight_size = self._get(abi.MODEL_WEIGHT_SIZE)
        self.kv_size = self._get(abi.MODEL_KV_SIZE)
        self.state_size = self._get(abi.MODEL_STATE_SIZE)
        self.decode_size = self._get(abi.MODEL_DECODE_SIZE)
        self.decode_macs = self._get(abi.MODEL_DECODE_MACS)
        self.prefill_macs = self._get(abi.MODEL_PREFILL_MACS)

    # ---- Facts ------------------------------------------------------------------------------------------------------

    @property
    def default_n_ctx(self) -> int:
        """n_ctx of a session unless given: min(n_ctx, 4096)."""
        return min(self.n_ctx, DEFAULT_N_CTX)

    @property
    def default_kv_type(self) -> KvType:
        """kv_type of a session unless given; kv_size is for this type."""
        return kv_type_of(self._get(abi.MODEL_KV_TYPE))

    @property
    def cache_size(self) -> int:
        """Bytes that the KV caches and states of all sessions take now; what sessions share counts once."""
        return self._get(abi.MODEL_CACHE_SIZE)

    @property
    def _draft_kv_size(self) -> int:
        """Bytes of KV cache per position that a draft model's session takes beside that of this model."""
        return 0 if self._drafter is None else self._drafter.kv_size

    @property
    def tensors(self) -> list[Tensor]:
        """The file's tensor table."""
        with self._handle:
            return read_tensors(self._library, self._gguf)

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text, or None."""
        return self._special(abi.MODEL_BOS)

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text, or None."""
        return self._special(abi.MODEL_EOS)

    @property
    def eot_id(self) -> int | None:
        """The id that ends a message of a chat, or None."""
        return self._special(abi.MODEL_EOT)

    @property
    def adds_bos(self) -> bool:
        """Whether the file's flags ask for texts to begin with BOS."""
        return self._get(abi.MODEL_ADD_BOS) > 0

    @property
    def adds_eos(self) -> bool:
        """Whether the file's flags ask for texts to end with EOS, where a text is read whole."""
        return self._get(abi.MODEL_ADD_EOS) > 0

    @property
    def pooling(self) -> str:
        """How the file says that hidden states become an embedding: "mean", "first", "last", "rank"; "": not at all."""
        names = {abi.POOLING_MEAN: "mean", abi.POOLING_CLS: "first", abi.POOLING_LAST: "last", abi.POOLING_RANK: "rank"}
        return names.get(self._get(abi.MODEL_POOLING), "")

    @property
    def chat_template(self) -> str | None:
        """The file's chat template (jinja) or its override, or None."""
        template = self.overrides.get(CHAT_TEMPLATE, self.metadata.get(CHAT_TEMPLATE))
        return template if isinstance(template, str) else None

    @property
    def chat_templates(self) -> dict[str, str]:
        """The file's named chat templates (tokenizer.chat_template.NAME), such as "tool_use", by name."""
        start = f"{CHAT_TEMPLATE}."
        named = {key.removeprefix(start): self.metadata[key] for key in self.metadata if key.startswith(start)}
        return {name: text for name, text in named.items() if isinstance(text, str)}

    @property
    def threads(self) -> int:
        """The number of threads that compute; any number gives the same bits."""
        return self._get(abi.MODEL_N_THREADS)

    @property
    def isa(self) -> str:
        """The instruction set in use; any gives the same bits."""
        return str(self._library.call("gemel_isa_name", self._get(abi.MODEL_ISA)))

    @property
    def info(self) -> Info:
        """Which engine computes this model, with what, and why; none of it changes a bit of any result.

        How its own chat template has it call tools and mark its reasoning.
        """
        from ..dialect.rows import names_of

        tools, reasoning = names_of(self.chat_templates.get("tool_use") or self.chat_template)
        return Info(self._library.engine, self.isa, self.threads, self._why, tools, reasoning)

    def set_threads(self, threads: int) -> None:
        """Change the number of threads, 1..256. Waits while a call in another thread computes.

        The threads belong to a pool that all open models share; it grows when it has too few.
        """
        n_threads = pick_threads(threads)
        with self._handle, pool.at_least(self._library, n_threads):
            self._tune("gemel_model_set_threads", n_threads, where=f"threads={threads}")

    def set_isa(self, isa: str) -> None:
        """Change the instruction set. Waits while a call in another thread computes."""
        self._tune("gemel_model_set_isa", pick_isa(self._library, isa), where=f"isa={isa!r}")

    def _tune(self, name: str, value: int | None, *, where: str) -> None:
        """Call a function that sets how this model is computed, and the model that drafts for it."""
        if self._drafts_for is not None:
            raise ArgumentError(f"{where}: {self.name} drafts for {self._drafts_for.name}: set it there, for both")
        with self._run_lock:
            for one in (self, self._drafter):
                if one is not None:
                    with one._handle as model:
                        check(self._library, self._library.call(name, model, value), where)

    # ---- Text -------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False, bos_eos: bool = False) -> list[int]:
        """Return the ids of a text.

        special: parse special tokens that are spelled out in the text; otherwise "<|im_end|>" is ten plain characters.
        bos_eos: add BOS and EOS where the file's flags ask for them.

        >>> model.detokenize(model.tokenize("Hello"))
        'Hello'
        """
        raw = encode(text, "the text")
        flags = flag("special", special) * abi.TEXT_SPECIAL + flag("bos_eos", bos_eos) * abi.TEXT_BOS_EOS
        capacity = len(raw) // 3 + 16
        with self._handle as model:
            while True:
                block = self._library.alloc(4 * capacity)
                n = self._library.call("gemel_tokenize", model, raw, len(raw), flags, block, capacity)
                if check(self._library, n, "tokenize") <= capacity:
                    return ids_of(self._library.read(block.address, 4 * n))
                capacity = n

    def detokenize(self, ids: Ids | Iterator[SupportsIndex], *, special: bool = False) -> str:
        """Return the text of ids; invalid UTF-8 shows as U+FFFD. special: render control tokens as well."""
        given = id_bytes(list(ids) if isinstance(ids, Iterator) else ids, self.n_vocab)
        flags = flag("special", special) * abi.TEXT_SPECIAL
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
        """Return the bytes of one id, which may be part of a UTF-8 character."""
        capacity = 64
        id, flags = one_id(id, self.n_vocab), flag("special", special) * abi.TEXT_SPECIAL
        with self._handle as model:
            while True:
                block = self._library.alloc(capacity)
                size = self._library.call("gemel_piece", model, id, flags, block, capacity)
                if check(self._library, size, f"the piece of id {id}") <= capacity:
                    return self._library.read(block.address, size)
                capacity = size

    def is_eog(self, id: int) -> bool:
        """Tell whether a generation ends at this id."""
        id = one_id(id, self.n_vocab)
        with self._handle as model:
            return check(self._library, self._library.call("gemel_token_is_eog", model, id), f"id {id}") == 1

    def is_control(self, id: int) -> bool:
        """Tell whether an id is a control token, which plain text can't spell."""
        id = one_id(id, self.n_vocab)
        with self._handle as model:
            kind = check(self._library, self._library.call("gemel_token_kind_of", model, id), f"id {id}")
            return kind == abi.TOKEN_CONTROL

    def prompt_ids(
        self,
        prompt: PROMPT,
        *,
        special: bool = False,
        template: str | None = None,
        tools: Sequence[ToolLike] | None = None,
        continue_final_message: bool | None = None,
        add_generation_prompt: bool | None = None,
        continue_final: bool | None = None,
        **template_options: object,
    ) -> list[int]:
        """Return the ids that a generation from a prompt begins with, or a chat's next answer; opens no session.

        prompt: messages ({"role": ..., "content": ...}), rendered with the chat template; a text; or ids, which are
        returned as they are. Messages and texts begin with BOS where the file's flags ask for it.
        special: parse special tokens that are spelled out in a text. template, tools, template_options: as in chat().
        continue_final_message (or continue_final): whether the answer goes on with the last message, which must be the
        assistant's; None: it does where that message is the assistant's, unless add_generation_prompt=True.

        >>> model.prompt_ids([1, 2, 3])
        [1, 2, 3]
        """
        flag("special", special)
        items = prompt if isinstance(prompt, list | tuple) else ()
        n_messages = sum(isinstance(item, Mapping) for item in items)
        if n_messages < len(items) and n_messages:
            raise ArgumentError("the prompt mixes messages with other items: pass text, ids or messages")
        if not n_messages:
            given = {
                "template": template, "tools": tools, "continue_final": continue_final,
                "continue_final_message": continue_final_message, "add_generation_prompt": add_generation_prompt,
                **template_options,
            }  # fmt: skip
            ignored = next((name for name, value in given.items() if value is not None), None)
            if ignored is not None:
                raise ArgumentError(f"{ignored} has no effect without messages: leave it out")
            return self._prompt_ids(prompt, special=special)   # type: ignore[arg-type]  # it checks
        if special:
            raise ArgumentError("special=True has no effect on messages: leave it out")
        ending = _ending(continue_final, continue_final_message, add_generation_prompt)
        from ..text.template import compiled, template_text, template_values
        from ..tools.given import tools_of

        found = tools_of(tools)
        text = template_text(self, template, found)
        values = template_values([tool.as_json() for tool in found] or None, template_options)
        check_template_options(template_options, compiled(text).names)
        return self._message_ids(items, text, values, ending)

    # ---- Inside -----------------------------------------------------------------------------------------------------

    def _get(self, field: int) -> int:
        out = self._library.alloc(8)
        with self._handle as model:
            check(self._library, self._library.call("gemel_model_get", model, field, out), f"field {field}")
            return int(double_at(self._library, out))

    def _special(self, field: int) -> int | None:
        id = self._get(field)
        return None if id < 0 else id

    def _run(self, name: str, *arguments: Argument, where: str) -> int:
        """Call a function of the core's model while nothing computes in it."""
        with self._handle as model, self._run_lock:
            return check(self._library, self._library.call(name, model, *arguments), where)

    def _check_decodes(self) -> None:
        """Raise UnsupportedError for an encoder."""
        if self.is_encoder:
            raise UnsupportedError(f"{self.arch} is an encoder: it embeds texts, and neither generates nor scores them")

    def _embed_rows(
        self, texts: Sequence[Sequence[int]], pooling: int, types: Sequence[Sequence[int]] = ()
    ) -> list[array[float] | None]:
        """Return the pooled hidden states of texts, of an encoder: doubles [n_embd]; None: they are Inf or NaN.

        types: of the ids of each text; none: 0.
        """
        library, n, size = self._library, len(texts), 8 * self.n_embd
        ids, counts = array("i", chain.from_iterable(texts)), array("i", map(len, texts))
        lent_kinds = None
        if any(types):
            kinds = array("i", chain.from_iterable(types[i] or [0] * count for i, count in enumerate(counts)))
            lent_kinds = library.lend(kinds)
        rows, codes = library.alloc(n * size), library.alloc(4 * n)
        self._run(
            "gemel_model_embed", library.lend(ids), lent_kinds, library.lend(counts), n, pooling, abi.KV_DEFAULT, rows,
            codes, where=f"embedding {counted(n, 'text')}",
        )  # fmt: skip
        made = [array("d", library.read(rows.address + i * size, size)) for i in range(n)]
        ends = ids_of(library.read(codes.address, 4 * n))
        return [None if code < 0 else row for row, code in zip(made, ends, strict=True)]

    def _unit_rows(self, rows: Sequence[array[float]]) -> list[bytes | None]:
        """Return rows of doubles, all of one length, as float32 rows of length 1; None: one is zero everywhere."""
        library, n, n_dim = self._library, len(rows), len(rows[0])
        made, codes = library.alloc(4 * n * n_dim), library.alloc(4 * n)
        code = library.call("gemel_unit_rows", library.lend(b"".join(rows)), n, n_dim, made, codes)
        check(library, code, "normalising embeddings")
        raw, ends = library.read(made.address, 4 * n * n_dim), ids_of(library.read(codes.address, 4 * n))
        return [None if end < 0 else raw[4 * n_dim * i : 4 * n_dim * (i + 1)] for i, end in enumerate(ends)]

    def _rank(self, row: Sequence[float], *, as_chances: bool) -> list[float]:
        """Return a classifier's scores of a pooled row."""
        library, n = self._library, self._get(abi.MODEL_N_SCORES)
        scores = library.alloc(8 * n)
        with self._handle as model:
            lent = library.lend(array("d", row).tobytes())
            code = library.call("gemel_model_rank", model, lent, int(as_chances), scores)
            check(library, code, "ranking a text")
            return array("d", library.read(scores.address, 8 * n)).tolist()

    def _is_end(self, id: int) -> bool:
        """As is_eog, remembered: each id that is drawn asks."""
        if id not in self._ends:
            self._ends[id] = self.is_eog(id)
        return self._ends[id]

    def _prompt_ids(self, prompt: str | Ids, *, special: bool) -> list[int]:
        """Return the ids of a text, with BOS where the file's flags ask for it (never EOS), or ids as they are."""
        flag("special", special)
        if not isinstance(prompt, str):
            ids = id_list(prompt)
            if special:
                raise ArgumentError("special=True has no effect on ids: leave it out")
            return ids
        return self._with_bos(self.tokenize(prompt, special=special))

    def _message_ids(
        self,
        messages: Sequence[Mapping[str, Any]],
        template: str,
        values: Mapping[str, Any],
        ending: Ending | None = None,
    ) -> list[int]:
        """Return the ids of messages by a template, up to where the answer begins."""
        from ..dialect.rows import dialect_of
        from ..text.messages import continues, plain
        from ..text.prompt import prompt_ids
        from .as_text import as_text

        sent = plain(messages)
        goes_on = continues(sent, ending)
        calls = dialect_of(template, has_tools=True).calls
        assert calls is not None
        shown, tools = as_text(template, sent, values.get("tools"), calls)
        given = {**values, "tools": tools, "add_generation_prompt": not goes_on}
        return self._with_bos(prompt_ids(self, template, shown, given, is_open=goes_on))

    def _with_bos(self, ids: list[int]) -> list[int]:
        """The rule of BOS: ids begin with it, once, where the file's flags ask for it."""
        bos = self.bos_id
        return [bos, *ids] if bos is not None and self.adds_bos and ids[:1] != [bos] else ids

    # ---- Life -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle.closed

    def close(self) -> None:
        """Close the model and its sessions. Calls that compute in other threads are cancelled, and end safely."""
        for session in list(self._sessions):
            session.close()
        self._finalizer()
        if self._own_draft is not None:
            self._own_draft.close()   # freed after this one

    def _after_fork(self) -> None:
        self._handle.after_fork()
        self._grammars.after_fork()
        self._tool_grammars.after_fork()
        self._run_lock = threading.Lock()
        for one in [*self._sessions, *self._batches]:
            one._after_fork()


def _free(grammars: GrammarCache, handle: Handle) -> None:
    grammars.close()   # they use the handle
    handle.close()


def _ending(continue_final: bool | None, continue_final_message: bool | None, is_new: bool | None) -> Ending:
    from ..text.messages import Ending

    if continue_final is None:
        return Ending(continue_final_message, is_new)
    if continue_final_message is not None:
        raise TypeError("continue_final is another name of continue_final_message: pass only one of them")
    return Ending(continue_final, is_new, name="continue_final")


_live: weakref.WeakSet[CoreModel] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """Repair a forked child, which has no other threads: release their locks, and let the core start its workers."""
    pool.after_fork()
    for model in list(_live):
        model._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
