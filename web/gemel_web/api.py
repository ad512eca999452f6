"""The routes under /v1: a request is decoded, becomes work, and the work's events become its response."""

from __future__ import annotations

import base64
import sys
from array import array
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any

import gemel
from starlette.requests import Request
from starlette.responses import Response

from . import prompts, wire
from .body import decoded
from .config import Config
from .connection import EventStream, while_there
from .errors import body_of, invalid, note, of_failure, refused
from .models import Models, Served, find
from .sampling import sampling_of
from .scheduler import Scheduler, Ticket
from .shapes import ChatShape, Head, Shape, TextShape
from .work import Began, Completion, Embeddings, Ended, Text, Token, Vector, Wish

MAX_STOPS = 4
DEFAULT_MAX_TOKENS = 16   # of a completion, not of a chat, as in OpenAI's API


class Api:
    """The routes of one app."""

    def __init__(self, config: Config, models: Models, scheduler: Scheduler) -> None:
        self._config = config
        self._models = models
        self._scheduler = scheduler

    # ---- What is here -----------------------------------------------------------------------------------------------

    async def health(self, request: Request) -> Response:
        """GET /healthz."""
        return _json(wire.Health())

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        cards = [card_of(alias, served) for alias, served in self._models.items() if not served.model.closed]
        return _json(wire.ModelList("list", cards))

    async def get_model(self, request: Request) -> Response:
        """GET /v1/models/{alias}."""
        alias = request.path_params["alias"]
        return _json(card_of(alias, find(self._models, alias)))

    # ---- Text -------------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response | EventStream:
        """POST /v1/chat/completions."""
        wanted = await decoded(request, wire.ChatRequest, self._config)
        self._check(wanted)
        if wanted.top_logprobs is not None and not wanted.logprobs:
            raise invalid("top_logprobs", "it needs logprobs: true")
        served = find(self._models, wanted.model)
        most = _limit(wanted)
        n_top = (wanted.top_logprobs or 0) if wanted.logprobs else None
        wish = self._wish(wanted, max_tokens=most, n_top=n_top, echo=False, is_chat=True)
        work = Completion(prompts.of_chat(wanted.messages), wish)
        ticket = self._scheduler.submit(served, work)
        return await self._answer(request, wanted, ticket, ChatShape(served.model, logprobs=n_top is not None))

    async def complete(self, request: Request) -> Response | EventStream:
        """POST /v1/completions."""
        wanted = await decoded(request, wire.CompletionRequest, self._config)
        self._check(wanted)
        if wanted.best_of is not None and wanted.best_of != (wanted.n or 1):
            raise refused("best_of", "answers are not ranked here: leave it out, or send the same as n")
        if wanted.echo and wanted.logprobs is not None:
            raise refused("logprobs", "they can't be had of a prompt: leave out echo")
        served = find(self._models, wanted.model)
        texts = prompts.of_inputs(wanted.prompt, "prompt", self._config, n=wanted.n or 1, bos_eos=False)
        wish = self._wish(
            wanted, max_tokens=wanted.max_tokens or DEFAULT_MAX_TOKENS, n_top=wanted.logprobs,
            echo=bool(wanted.echo), is_chat=False,
        )
        ticket = self._scheduler.submit(served, Completion(texts, wish))
        shape = TextShape(served.model, logprobs=wanted.logprobs is not None)
        return await self._answer(request, wanted, ticket, shape)

    def _check(self, wanted: wire.Sampled) -> None:
        wire.check_refused(wanted)
        if wanted.stream_options is not None and not wanted.stream:
            raise invalid("stream_options", "it needs stream: true")
        if (wanted.n or 1) > self._config.max_n:
            raise invalid("n", f"{wanted.n} answers were asked for, the limit here is {self._config.max_n}")

    def _wish(
        self, wanted: wire.Sampled, *, max_tokens: int | None, n_top: int | None, echo: bool, is_chat: bool
    ) -> Wish:
        return Wish(
            n=wanted.n or 1, max_tokens=max_tokens, stops=_stops(wanted.stop), sampling=sampling_of(wanted),
            n_top=n_top, echo=echo, is_chat=is_chat, param="messages" if is_chat else "prompt",
        )

    async def _answer(
        self, request: Request, wanted: wire.Sampled, ticket: Ticket, shape: Shape
    ) -> Response | EventStream:
        """Return the response. Its status waits for Began: before that a request can still turn out to be wrong."""
        head = Head(
            id=shape.prefix + self._config.new_id(), created=int(self._config.clock()), alias=wanted.model,
            fingerprint=f"gemel-{gemel.__version__}",
        )
        try:
            began = await while_there(request.receive, _began(ticket))
            if wanted.stream:
                usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
                pieces = _streamed(ticket, began, head, shape, usage=usage)
                return EventStream(pieces, stop=ticket.stop)
            answer = await while_there(request.receive, _collected(ticket, began, head, shape))
            return _json(answer)
        except BaseException:
            ticket.stop()
            raise

    # ---- Embeddings -------------------------------------------------------------------------------------------------

    async def embed(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        wanted = await decoded(request, wire.EmbeddingRequest, self._config)
        served = find(self._models, wanted.model)
        n_embd = served.model.n_embd
        if wanted.dimensions not in (None, n_embd):
            raise refused("dimensions", f"this model's vectors have {n_embd}: leave it out")
        texts = prompts.of_inputs(wanted.input, "input", self._config, bos_eos=True)
        ticket = self._scheduler.submit(served, Embeddings(texts, param="input"))
        try:
            vectors, n_tokens = await while_there(request.receive, _vectors(ticket))
        finally:
            ticket.stop()
        shown = _as_base64 if wanted.encoding_format == "base64" else _as_floats
        data = [wire.Embedding("embedding", i, shown(raw)) for i, raw in enumerate(vectors)]
        return _json(wire.Embeddings("list", data, wanted.model, wire.InputUsage(n_tokens, n_tokens)))


def _json(value: object) -> Response:
    return Response(wire.encode(value), media_type="application/json")


def card_of(alias: str, served: Served) -> wire.ModelCard:
    """Return what /v1/models says of a model."""
    model = served.model
    meta = wire.ModelMeta(
        n_params=model.n_params, n_vocab=model.n_vocab, n_embd=model.n_embd, n_ctx_train=model.n_ctx,
        n_ctx=model.default_n_ctx if served.n_ctx is None else served.n_ctx, size=model.weight_size,
        **asdict(model.info),
    )  # fmt: skip
    return wire.ModelCard(id=alias, created=served.created, meta=meta)


def _limit(wanted: wire.ChatRequest) -> int | None:
    new, old = wanted.max_completion_tokens, wanted.max_tokens
    if new is not None and old is not None and new != old:
        raise invalid("max_completion_tokens", f"it is {new}, and max_tokens, its older name, is {old}: send one")
    return old if new is None else new


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MAX_STOPS:
        raise invalid("stop", f"there are {len(stops)} of them, the limit is {MAX_STOPS}")
    if "" in stops:
        raise invalid("stop", "a stop string is empty: it would stop at once")
    return stops


async def _began(ticket: Ticket) -> Began:
    event = await anext(ticket)
    assert isinstance(event, Began)
    return event


async def _collected(ticket: Ticket, began: Began, head: Head, shape: Shape) -> wire.Answer:
    texts: defaultdict[int, str] = defaultdict(str)
    tokens: defaultdict[int, list[Token]] = defaultdict(list)
    choices: list[Any] = []
    n_tokens = 0
    async for event in ticket:
        if isinstance(event, Text):
            texts[event.choice] += event.text
            tokens[event.choice] += event.tokens
        elif isinstance(event, Ended):
            n_tokens += event.n_tokens
            i = event.choice
            choices.append(shape.all(i, texts.pop(i, ""), tokens.pop(i, []), event.reason))
    return head.answer(shape.whole, choices, _usage(began, n_tokens))


async def _streamed(
    ticket: Ticket, began: Began, head: Head, shape: Shape, *, usage: bool
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a stream; an error ends it as an event."""
    n_tokens, opened = 0, -1
    none_yet: Any = {"usage": None} if usage else {}
    try:
        async for event in ticket:
            made: list[Any] = []
            if isinstance(event, Text | Ended) and event.choice > opened:
                opened = event.choice
                made.append(shape.first(opened))
            if isinstance(event, Text):
                made.append(shape.piece(event.choice, event.text, event.tokens))
            elif isinstance(event, Ended):
                n_tokens += event.n_tokens
                made.append(shape.last(event.choice, event.reason))
            for choice in filter(None, made):
                yield _event(head.answer(shape.chunk, [choice], **none_yet))
        if usage:
            yield _event(head.answer(shape.chunk, [], _usage(began, n_tokens)))
    except Exception as error:
        note(error)
        yield _event(body_of(of_failure(error)))
    yield b"data: [DONE]\n\n"


def _event(value: object) -> bytes:
    return b"data: " + wire.encode(value) + b"\n\n"


def _usage(began: Began, n_tokens: int) -> wire.Usage:
    n_prompt = sum(map(len, began.prompts))
    return wire.Usage(n_prompt, n_tokens, n_prompt + n_tokens)


async def _vectors(ticket: Ticket) -> tuple[list[bytes], int]:
    began = await _began(ticket)
    vectors = [event.raw async for event in ticket if isinstance(event, Vector)]
    return vectors, sum(map(len, began.prompts))


def _as_floats(raw: bytes) -> list[float]:
    return array("f", raw).tolist()


def _as_base64(raw: bytes) -> str:
    numbers = array("f", raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
