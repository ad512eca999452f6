"""The routes under /v1: a request is decoded and becomes a job, whose events become the response."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Callable
from dataclasses import asdict, replace

import gemel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.connection import EventStream
from ..http.errors import ApiError, invalid, refused
from ..jobs.answer import Prompts
from ..jobs.events import Began, Event, Vector
from ..jobs.fim import infill
from ..jobs.scheduler import Job
from ..jobs.service import Service, json_of, key_of
from ..jobs.work import Completion, Embeddings
from ..registry import Card
from . import prompts, wire
from .answers import Chunks, Gathered
from .best import Best, best_of
from .requests import continues, generate_request, limit_of
from .shapes import ChatShape, Head, Shape, TextShape
from .tools import names_of

STYLE = Style(("/v1",))
DEFAULT_MAX_TOKENS = 16   # for completions, as in OpenAI's API; chats have no default limit


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    return [
        Route("/v1/models", api.list_models),
        Route("/v1/models/{alias:path}", api.get_model),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.complete, methods=["POST"]),
        Route("/v1/embeddings", api.embed, methods=["POST"]),
    ]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._config = service.config

    # ---- Models -----------------------------------------------------------------------------------------------------

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        return json_of(wire.ModelList("list", [model_of(card) for card in await self._service.registry.cards()]))

    async def get_model(self, request: Request) -> Response:
        """GET /v1/models/{alias}."""
        return json_of(model_of(await self._service.card(request.path_params["alias"])))

    # ---- Text -------------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response | EventStream:
        """POST /v1/chat/completions."""
        try:
            body = await decoded(request, wire.ChatRequest, self._config)
        except ApiError as error:
            names = self._service.registry.aliases()
            only = self._service.registry.find(names[0]) if len(names) == 1 else None
            raise (error if only is None else prompts.with_template_hint(error, only.model)) from None
        self._check(body)
        if body.top_logprobs and not body.logprobs:
            raise invalid("top_logprobs", "it needs logprobs: true")
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        max_tokens, goes_on = limit_of(body, served.defaults.max_tokens), continues(body)
        n_top = (body.top_logprobs or 0) if body.logprobs else None
        turns = prompts.of_chat(body, goes_on, served.defaults)
        wanted = generate_request(
            request, body, served.defaults, max_tokens=max_tokens, n_top=n_top, echo=False, param="messages",
            tools=names_of(body.tools),
        )
        job = self._service.submit(served, Completion(turns, wanted))
        shape = ChatShape(served.model, logprobs=n_top is not None)
        return await self._answer(request, body, job, self._head(alias, shape), shape)

    async def complete(self, request: Request) -> Response | EventStream:
        """POST /v1/completions."""
        body = await decoded(request, wire.CompletionRequest, self._config)
        self._check(body)
        best = best_of(body, self._config)
        if body.logprobs is True:
            raise invalid("logprobs", "must be an integer: how many of the most likely tokens to return")
        n_top = None if body.logprobs is False else body.logprobs
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        texts: Prompts = prompts.of_inputs(body.prompt, "prompt", self._config, n=best.of, bos_eos=False)
        if body.suffix:
            if not isinstance(body.prompt, str):
                raise invalid("suffix", "the prompt must be one string: the text before the gap")
            texts = infill(body.prompt, body.suffix, param="suffix")
        wanted = generate_request(
            request, body, served.defaults, n=best.of,
            max_tokens=limit_of(body, served.defaults.max_tokens or DEFAULT_MAX_TOKENS),
            n_top=0 if n_top is None and best.of > best.n else n_top,
            echo=bool(body.echo), param="prompt",
        )
        wanted = replace(wanted, scores_prompt=wanted.echo and n_top is not None)
        if wanted.scores_prompt and best.of > best.n:
            raise refused("best_of", "not supported with echo and logprobs: leave out one of them")
        job = self._service.submit(served, Completion(texts, wanted))
        shape = TextShape(served.model, logprobs=n_top is not None)
        return await self._answer(request, body, job, self._head(alias, shape), shape, best)

    def _check(self, body: wire.Sampled) -> None:
        wire.check_refused(body)
        if body.stream_options is not None and not body.stream:
            raise invalid("stream_options", "it needs stream: true")
        if (body.n or 1) > self._config.max_n:
            raise invalid("n", f"it is {body.n}, but at most {self._config.max_n} answers per prompt are allowed")

    def _head(self, alias: str, shape: Shape) -> Head:
        return Head(
            id=shape.prefix + self._config.new_id(), created=int(self._config.clock()), alias=alias,
            fingerprint=f"gemel-{gemel.__version__}",
        )

    async def _answer(
        self, request: Request, body: wire.Sampled, job: Job, head: Head, shape: Shape, best: Best | None = None
    ) -> Response | EventStream:
        """Return the response."""
        if not body.stream:
            return await self._service.whole(request, job, Gathered(head, shape, best))
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return await self._service.streamed(request, job, Chunks(head, shape, usage=usage))

    # ---- Embeddings -------------------------------------------------------------------------------------------------

    async def embed(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        body = await decoded(request, wire.EmbeddingRequest, self._config)
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        n_embd = served.model.n_embd
        if body.dimensions is not None and body.dimensions > n_embd:
            raise refused("dimensions", f"this model's vectors have {n_embd} dimensions: ask for at most so many")
        texts = prompts.of_inputs(body.input, "input", self._config, bos_eos=True)
        work = Embeddings(texts, param="input", dimensions=body.dimensions, key=key_of(request))
        job = self._service.submit(served, work)
        encoded = _as_base64 if body.encoding_format == "base64" else _as_floats
        return await self._service.whole(request, job, Vectors(alias, encoded))


class Vectors:
    """The vectors of a request."""

    def __init__(self, alias: str, encoded: Callable[[bytes], list[float] | str]) -> None:
        self._alias, self._encoded = alias, encoded
        self._n_tokens = 0
        self._data: list[wire.Embedding] = []

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._n_tokens = event.n_prompt
        elif isinstance(event, Vector):
            self._data.append(wire.Embedding("embedding", event.index, self._encoded(event.raw)))

    def value(self) -> wire.Embeddings:
        """Return all of them."""
        return wire.Embeddings("list", self._data, self._alias, wire.InputUsage(self._n_tokens, self._n_tokens))


def model_of(card: Card) -> wire.Model:
    """Return what /v1/models says about a model."""
    status = wire.ModelStatus(card.state, card.progress if card.state == "loading" else None)
    meta: wire.ModelMeta | wire.ModelFacts | None = None
    if card.served is not None:
        model = card.served.model
        meta = wire.ModelMeta(
            n_params=model.n_params, n_vocab=model.n_vocab, n_embd=model.n_embd, n_ctx_train=model.n_ctx,
            n_ctx=card.served.context, size=model.weight_size, warnings=model.warnings, **asdict(model.info),
        )
    elif card.facts is not None:
        meta = wire.ModelFacts(n_params=card.facts.n_params, n_ctx=card.facts.n_ctx, size=card.facts.size)
    return wire.Model(id=card.alias, created=card.created, meta=meta, status=status)


def _as_floats(raw: bytes) -> list[float]:
    return array("f", raw).tolist()


def _as_base64(raw: bytes) -> str:
    numbers = array("f", raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
