"""An open model: immutable, shared, and what everything else is made from: sessions, generations, chats, embeddings."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from ..core.checks import flag, integer, sequence, text, wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError, ContextError, GemelError
from ..core.floats import FloatArray, floats
from ..core.library import Handle, Library
from ..core.public import public
from ..text.ids import Ids
from .call_options import call_options, merged
from .call_types import CallFields, SamplingFields
from .core_model import CoreModel
from .generation import Generation, Run, n_ctx_for
from .grammar import Form, Grammar, Schema, form_of
from .kv import KvType
from .overrides import Overrides
from .sampler import Sampler
from .sampling import Sampling
from .session import Session
from .turn import ToolChoice, Turn, tool_options, turn_from

if TYPE_CHECKING:
    from ..source.saved import Saved
    from ..tools.given import ToolLike
    from .batch.batch import Batch
    from .batch.future import BatchFuture
    from .chat import Chat
    from .embed import Overflow, Pooling, Recipe
    from .rank import Ranked
    from .step import Drawn


@public
class Model(CoreModel):
    """Made by gemel.open. Any number of threads and sessions may use it; one pass computes at a time.

    A context manager. Closing it closes its sessions; its memory is freed when the last call has returned.

    Attributes:
        name: of the file
        arch: the architecture, one of gemel.ARCHITECTURES
        metadata: the file's key-value pairs, a mapping
        overrides: what replaces some of them, by full key names
        warnings: what the file lacks or has wrong and the model goes without, a sentence each
        n_vocab: ids in the vocabulary
        n_ctx: positions of the longest session that the file was trained for
        n_embd: floats of an embedding
        n_layer: layers
        n_head: heads of a query
        n_head_kv: heads of keys and values
        head_dim: floats of a head
        n_rot: of them, those that RoPE rotates
        n_ff: floats of the feed-forward's middle
        n_params: weights
        n_batch: ids of a micro-batch
        is_encoder: whether it reads texts whole, to embed them, and neither generates nor scores
        weight_size: bytes of weights in memory
        kv_size: bytes of KV cache per position, of type default_kv_type
        state_size: bytes of what recurrent layers keep of the past, whatever its length; 0: the model has none
        decode_size: bytes of weights read to decode one id
        decode_macs: multiply-adds in weights to decode one id
        prefill_macs: the same per id of a prompt, without the output
    """

    copy_hint = "threads and sessions share one; another process opens the file itself"

    def __init__(self, library: Library, handle: Handle, name: str, overrides: Overrides | None = None) -> None:
        self._preloaded: Session | None = None   # what open(prompt=...) evaluated, until a generation continues it
        super().__init__(library, handle, name, overrides)

    @property
    def draft(self) -> bool | CoreModel | Saved:
        """What generations evaluate ahead, where that is faster: it changes only the time. It can be set at any time.

        True: what followed where the end of the context occurred before. An open model of the same vocabulary, or a
        file of gemel draft-cache (a path, or its bytes): that, and what they propose. False: only text that a grammar
        forces. UnsupportedError, with nothing changed, for another vocabulary; it says which token differs.
        """
        return self._draft

    @draft.setter
    def draft(self, draft: bool | CoreModel | Saved) -> None:
        from .drafting import set_draft

        set_draft(self, draft)

    def session(self, n_ctx: int | None = None, *, kv_type: KvType | None = None) -> Session:
        """Open a session of at most `n_ctx` ids; default min(the file's, 4096).

        kv_type: what its KV cache rounds to; default default_kv_type. "q8_0" takes half the memory of "f16", and is
        faster the longer the text.
        """
        return Session(self, n_ctx, kv_type)

    def generate(
        self,
        prompt: str | Ids,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        special: bool = False,
        n_ctx: int | None = None,
        kv_type: KvType | None = None,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """Continue a text or ids, without a chat template; iterate over the result for pieces of text.

        max_tokens: the most ids to draw; None or -1: until n_ctx is full. stop: end before any of these strings.
        sampling, or its fields by name: how ids are drawn (gemel.Sampling). special: parse special tokens in `prompt`.
        grammar (GBNF text, or what grammar() returned), regex, choices or json_schema: what the answer may be. It ends
        with "stop" when nothing can follow.
        n_ctx: default as much as is needed, at least min(the file's, 4096). kv_type: as in session().
        A text begins with BOS where the file's flags ask for it; ids are taken as they are.
        ContextError, before anything is computed, when the prompt doesn't fit. The generation ends with "length" when
        max_tokens are drawn, or n_ctx is full.

        >>> generation = model.generate("Once upon a time", max_tokens=4, temperature=0)
        >>> generation.read() == generation.text, generation.stop_reason
        (True, 'length')
        """
        options = call_options(max_tokens, stop, sampling, fields, also=("special", "n_ctx", "kv_type"))
        ids = self._prompt_ids(prompt, special=special)
        n_ctx = n_ctx_for(self, len(ids), options.max_tokens) if n_ctx is None else n_ctx
        session = self._take_preloaded(ids, n_ctx, kv_type) or Session(self, n_ctx, kv_type)
        try:
            return Generation(Run(session, ids, options, owned=True))
        except BaseException:
            session.close()
            raise

    def batch(
        self,
        n_ctx: int | None = None,
        *,
        kv_type: KvType | None = None,
        cache_memory: int | None = None,
        max_running: int | None = None,
        step_seconds: float | None = None,
    ) -> Batch:
        """Return a Batch: its generations are evaluated together, and share what they have in common.

        n_ctx, kv_type: of each generation, as in generate(). cache_memory: bytes that the caches of this model may take
        before held ones are closed, and then the youngest generation waits; default a quarter of the memory that is
        available, in a tab 256 MB. max_running: generations at a time; default 64.
        step_seconds: how long a step of prompts alone may take; default 0.25, math.inf is no limit. Nothing is
        cancelled within a step.

        >>> with model.batch() as batch:
        ...     both = [batch.generate(text, max_tokens=4, temperature=0) for text in ("Once", "Twice")]
        ...     [generation.read() == generation.text for generation in both]
        [True, True]
        """
        from .batch.batch import Batch

        return Batch(
            self, n_ctx, kv_type, cache_memory=cache_memory, max_running=max_running, step_seconds=step_seconds,
            take_preloaded=self._take_preloaded,
        )  # fmt: skip

    def generate_many(
        self,
        prompts: Sequence[str | Ids],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        special: bool = False,
        n_ctx: int | None = None,
        kv_type: KvType | None = None,
        **fields: Unpack[CallFields],
    ) -> list[str]:
        """Continue many texts at once, and return their texts; each is what `generate` gives with the same seed.

        Without a seed each prompt draws its own. For the ids, reasons and speeds, use a batch().

        >>> model.generate_many(["Once", "Twice"], max_tokens=4, temperature=0) == [
        ...     model.generate(text, max_tokens=4, temperature=0).read() for text in ("Once", "Twice")
        ... ]
        True
        """
        also = ("special", "n_ctx", "kv_type")
        options = call_options(max_tokens, stop, sampling, fields, also=also)
        sequence("prompts", prompts, "a list of strings, or of lists of ids")
        ids = [self._prompt_ids(prompt, special=special) for prompt in prompts]
        with self.batch(n_ctx, kv_type=kv_type) as batch:
            generations = [batch.generate(one, **options.keywords()) for one in ids]
            return [generation._whole_text() for generation in generations]

    def grammar(
        self,
        grammar: str | None = None,
        *,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        json_schema: Schema | None = None,
        any_order: bool = False,
        strict: bool = True,
    ) -> Grammar:
        """Compile what answers may be, for many calls: GBNF text, a regular expression, a list of texts, a JSON schema.

        Pass it as `grammar` to calls that generate. any_order: members of objects may come in any order, not only in
        that of the schema's `properties`. strict=False: what a JSON schema says that can't be enforced is no error, and
        `Generation.parsed` checks it. GrammarError, with line and column or a path, when it is not valid, too
        large, or can't be enforced.

        >>> with model.grammar(choices=["yes", "no"]) as grammar:
        ...     model.generate("Is it?", grammar=grammar).read() in ("yes", "no")
        True
        """
        form = form_of(grammar, regex, choices, json_schema, any_order=any_order, strict=strict)
        if not isinstance(form, Form):
            raise ArgumentTypeError("pass what an answer may be: grammar, regex, choices or json_schema")
        return Grammar(self._library, form.compiled(self._library, self._handle))

    def draft_cache(self, texts: Iterable[str], *, least: int = 2) -> bytes:
        """Return a file that drafts for models of this vocabulary: which ids follow others in texts. See Model.draft.

        least: keep what follows ids that occur at least so often. The texts are read once; memory is bounded.

        >>> model.draft = model.draft_cache(["one two three, one two three"])
        >>> model.draft = True
        """
        from .ngrams import draft_cache

        return draft_cache(self, texts, least=least)

    def decode(self, sessions: Sequence[Session], ids: Ids) -> list[GemelError | None]:
        """Append ids[i] to sessions[i], all in one pass that reads the weights once: for many users at a time.

        sessions: of this model, each at most once. The bits are those of `session.append([id])`, one by one. The result
        has None per session, or the error that left it unchanged (ContextError, CancelledError, NumericError, ...).
        ArgumentError, with nothing changed, for ids or sessions that are not this model's.
        """
        from .step import decode

        return decode(self, sessions, ids)

    def sampler(
        self, sampling: Sampling | None = None, *, grammar: Grammar | None = None, **fields: Unpack[SamplingFields]
    ) -> Sampler:
        """Return a sampler for `step`, which draws the ids of one sequence. Close it after use.

        grammar: what grammar() returned: each id drawn continues an answer of it.
        """
        if grammar is not None and not isinstance(grammar, Grammar):
            raise wrong_type("grammar", grammar, "what Model.grammar() returned, or None")
        with self._grammars.use(grammar) as rules:
            sampler = Sampler(self._library, self._handle, merged(sampling, dict(fields)), self.tokenize, rules)
        try:
            sampler.begin()
        except BaseException:
            sampler.close()
            raise
        return sampler

    def step(
        self,
        sessions: Sequence[Session],
        ids: Sequence[Ids],
        samplers: Sequence[Sampler | None] | None = None,
        *,
        logits: bool = False,
    ) -> list[Drawn]:
        """Append ids[i] to sessions[i] in one pass, and draw the next id where samplers[i] is given.

        ids: the next id of an answer, a chunk of a prompt, or none where there are logits; at most n_batch in all.
        The pass reads the weights once; drawing ids and turning them into text are part of it. Each session's bits are
        those it would have alone. logits=True also computes each session's logits in the pass; otherwise they are
        computed on demand.

        >>> with model.session() as one, model.session() as other, model.sampler(temperature=0) as greedy:
        ...     drawn = model.step([one, other], [[1, 2, 3], [4]], [greedy, None])
        >>> drawn[0].id is not None, drawn[1].id
        (True, None)
        """
        from .step import step

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
        """Begin a conversation with the file's own chat template, or `template` (jinja text).

        n_ctx, kv_type: as in session(). tools and template_options are passed to the template (such as
        enable_thinking=False). TemplateError when there is no template: use generate().
        """
        from .chat import Chat

        return Chat(
            self, system, n_ctx=n_ctx, kv_type=kv_type, template=template, tools=tools, options=template_options,
            take_preloaded=self._take_preloaded,
        )

    def turn(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[ToolLike] | None = None,
        tool_choice: ToolChoice | None = None,
        allowed_tools: Sequence[str] | None = None,
        parallel_tool_calls: bool | None = None,
        reasoning_budget: int | None = None,
        template: str | None = None,
        continue_final_message: bool | None = None,
        add_generation_prompt: bool | None = None,
        **template_options: object,
    ) -> Turn:
        """Return the next message of a conversation, as the prompt of Session.generate or Batch.generate.

        The answer's text, reasoning and calls of tools are then apart: Generation.parts(). The keywords are those of
        chat() and Chat.send(); allowed_tools: names of the tools that may be called, of those that the model is shown.
        """
        from ..text.messages import Ending
        from ..tools.given import tools_of

        options = tool_options(tools_of(tools), tool_choice, parallel_tool_calls, allowed_tools)
        ending = Ending(continue_final_message, add_generation_prompt)
        return turn_from(self, messages, options, template, template_options, ending, reasoning_budget)

    def resume_chat(self, saved: Saved, *, n_ctx: int | None = None) -> Chat:
        """Continue a chat where Chat.save() left it: the bytes of its next answer are those of the saved chat's.

        saved: what save() returned, or the path that it wrote. n_ctx: default the saved chat's; a larger one is fine.
        StateError for damaged bytes, or another model's; ContextError when they need a larger n_ctx.

        >>> with model.chat("Be brief.") as chat:
        ...     _ = chat.send("Why is the sky blue?", max_tokens=4).read()
        ...     saved = chat.save()
        >>> with model.resume_chat(saved) as chat:
        ...     [message["role"] for message in chat.messages]
        ['system', 'user', 'assistant']
        """
        from ..source.saved import read_saved
        from .chat import resume
        from .chat_file import unpack

        return resume(self, unpack(read_saved(saved, "chat")), n_ctx, self._take_preloaded)

    def ask(
        self,
        question: str,
        system: str | None = None,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        **fields: Unpack[CallFields],
    ) -> str:
        """Answer one question with the file's own chat template, and return the whole text. The options are generate's.

        >>> isinstance(model.ask("Why is the sky blue?", max_tokens=8), str)
        True
        """
        options = call_options(max_tokens, stop, sampling, fields, also=("question", "system"))
        text("question", question)
        with self.chat(system) as chat:
            return chat.send(question, **options.keywords())._whole_text()

    def score(self, text: str | Ids) -> list[float]:
        """Return the natural log-probability of every id after the first: n - 1 numbers for n ids.

        A text begins with BOS where the file's flags ask for it; then every token of the text has a number.
        ContextError when it is longer than the file's n_ctx.

        >>> len(model.score([1, 2, 3]))
        2
        """
        ids = self._prompt_ids(text, special=False)
        if not ids:
            return []
        with self.batch(step_seconds=math.inf) as batch:
            return batch.score(ids).result()

    def embed(
        self, texts: str | Sequence[str | Ids], pooling: Pooling | None = None, *, normalize: bool = True,
        truncate_dim: int | None = None, prompt: str | None = None, overflow: Overflow = "error",
    ) -> FloatArray:   # fmt: skip
        """Return the pooled last hidden states: float32 [n_embd] of one text, [n][n_embd] of a sequence of them.

        A text in a sequence may be a list of ids, which are taken as they are: no special tokens are added.
        pooling: over the tokens of a text: "mean", the "first" one ("cls") or the "last"; None: as the file says, or
        "mean". truncate_dim: only so many numbers of each row. normalize: rows, truncated ones too, to length 1.
        prompt: comes before every text, such as "search_query: ". overflow: a text that is longer than the file's n_ctx
        is an "error"; "chunk": its parts are embedded, and their rows averaged, each weighted by its number of tokens.
        numpy where numpy can be imported, otherwise a memoryview with that shape.
        """
        from .embed import embed_texts, parts_of, recipe_of

        recipe = recipe_of(self, pooling, normalize, truncate_dim)
        wanted = "a string or a list of strings or of lists of ids"
        given = [texts] if isinstance(texts, str) else sequence("texts", texts, wanted)
        if not given:
            raise ArgumentError("there are no texts to embed")
        parts = [parts_of(self, one, prompt, overflow) for one in given]   # type: ignore[arg-type]  # it checks
        if self.is_encoder:
            rows = list(embed_texts(self, recipe, parts))
        else:
            with self.batch(step_seconds=math.inf) as batch:
                rows = [bytes(row) for row in _embedded(batch, recipe, parts)]
        n_dim = recipe.truncate_dim or self.n_embd
        return floats(b"".join(rows), (n_dim,) if isinstance(texts, str) else (len(given), n_dim))

    def rerank(
        self, query: str, documents: Sequence[str], top_n: int | None = None, *, normalize: bool = True
    ) -> list[Ranked]:
        """Score how well each document answers a query, with a reranker: the best ones first, equal ones by index.

        top_n: only so many. normalize: scores are chances from 0 to 1; else what the classifier makes, any numbers.
        A query and a document that are longer than the file's n_ctx together are a ContextError.
        """
        from .rank import Ranked

        text("query", query), flag("normalize", normalize)
        most = None if top_n is None else integer(top_n, 1, "top_n")
        given = sequence("documents", documents, "a list of strings")
        if not given:
            raise ArgumentError("there are no documents to rank")
        with self.batch(step_seconds=math.inf) as batch:
            scores = list(_ranked(batch, query, given, normalize=normalize))
        found = sorted((Ranked(i, score) for i, score in enumerate(scores)), key=lambda one: (-one.score, one.index))
        return found[:most]

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.isa}, {self.threads} threads"
        return f"<gemel.Model {self.name!r}: {self.arch}, {self.n_params / 1e6:.4g} M parameters, {state}>"

    # ---- Inside -----------------------------------------------------------------------------------------------------

    def _finish_loading(self, session: Session | None) -> None:
        """Take the facts of the complete model, and the session that a prompt was evaluated in while it loaded."""
        if session is not None:
            session.model = weakref.proxy(self)   # kept for _take_preloaded, it does not keep this model alive
        self._preloaded = session
        self._read_facts()

    def _take_preloaded(self, ids: Sequence[int], n_ctx: int, kv_type: KvType | None) -> Session | None:
        """Return the session that evaluated a prompt while the model loaded, if `ids` begin with that prompt."""
        found = self._preloaded
        if found is None or found.closed or found.n_ctx != n_ctx or found.ids != list(ids[: found.n_past]):
            return None
        if kv_type not in (None, found.kv_type):
            return None
        with self._run_lock:
            if self._preloaded is not found:   # another thread was faster
                return None
            self._preloaded = None
        found.model = self
        return found


def _embedded(batch: Batch, recipe: Recipe, texts: Sequence[list[list[int]]]) -> Iterator[FloatArray]:
    """Embed texts, each in one part or several; as many as run together wait in the batch, and one more."""
    from .embed import part_options, row_of

    running: deque[tuple[list[list[int]], list[BatchFuture[FloatArray]]]] = deque()

    def taken() -> FloatArray:
        parts, futures = running.popleft()
        return row_of(recipe, parts, [future.result() for future in futures])

    for parts in texts:
        running.append((parts, [batch.embed(part, **part_options(recipe, parts)) for part in parts]))
        if len(running) > batch.max_running:
            yield taken()
    while running:
        yield taken()


def _ranked(batch: Batch, query: str, documents: Sequence[Any], *, normalize: bool) -> Iterator[float]:
    """Score documents; as many as run together wait in the batch, and one more."""
    running: deque[BatchFuture[float]] = deque()
    for i, document in enumerate(documents):
        try:
            running.append(batch.rank(query, document, normalize=normalize))
        except (ContextError, ArgumentError) as error:
            raise type(error)(f"documents[{i}]: {error}") from None
        if len(running) > batch.max_running:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
