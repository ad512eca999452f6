"""The routes of Ollama's API: chats, texts, embeddings, and models. The set of models is fixed."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gemel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.connection import EventStream
from ..http.errors import invalid, of_request
from ..http.visits import require, visit
from ..jobs.answer import Prompt, Prompts
from ..jobs.events import Began, Event, Vector
from ..jobs.fim import infill
from ..jobs.service import Service, json_of, key_of
from ..jobs.turns import has_template, turns
from ..jobs.work import Completion, Embeddings
from ..models import ServedModel
from . import cards, wire
from .answers import Gathered, Head, Lines
from .changes import Changes, alias_of
from .options import budget_of, check_options, context_of, placed, seconds_of, thinking, wanted

STYLE = Style(("/api",), wire.error_of)
VERSION = "0.13.0"   # of Ollama's API: clients ask for it, and look for features by it
ROLES = ("system", "user", "assistant", "tool")
RAW = "send raw: true to POST /api/generate"


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    changes = Changes(service)
    return [
        Route("/api/chat", api.chat, methods=["POST"]),
        Route("/api/generate", api.generate, methods=["POST"]),
        Route("/api/embed", api.embed, methods=["POST"]),
        Route("/api/embeddings", api.embeddings, methods=["POST"]),
        Route("/api/tags", api.tags),
        Route("/api/ps", api.ps),
        Route("/api/version", api.version),
        Route("/api/show", api.show, methods=["POST"]),
        Route("/api/pull", changes.pull, methods=["POST"]),
        Route("/api/create", changes.create, methods=["POST"]),
        Route("/api/copy", changes.copy, methods=["POST"]),
        Route("/api/delete", changes.delete, methods=["POST", "DELETE"]),
        Route("/api/push", changes.push, methods=["POST"]),
    ]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._config = service.config

    async def _found(self, request: Request, body: wire.Request) -> tuple[str, ServedModel]:
        """Return the model that a request names, open, and keep it open for as long as the request says."""
        alias = alias_of(self._service, body.model)
        check_options(body, unloads=self._service.registry.unloads)
        start = time.perf_counter()
        try:
            served = await self._service.open_wide(request, alias, context_of(body))
        except gemel.ContextError as error:
            raise of_request(error, "options.num_ctx", placed) from None
        request.state.times = {"start": start, "load_s": time.perf_counter() - start}
        seconds = seconds_of(body.keep_alive)   # an invalid one is an error in any case
        if visit().may("manage"):
            self._service.registry.keep(alias, seconds)
        return alias, served

    # ---- Answers -----------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response | EventStream:
        """POST /api/chat."""
        body = await decoded(request, wire.ChatRequest, self._config, undeclared=True)
        if not body.messages:
            return await self._loaded(request, body, is_chat=True)
        alias, served = await self._found(request, body)
        sent = [_message(message, f"messages[{i}]") for i, message in enumerate(body.messages)]
        more = {"tools": body.tools} if body.tools else {}
        prompts = _turns(body, served, sent, more)
        return await self._answer(request, body, (alias, served), prompts, "messages")

    async def generate(self, request: Request) -> Response | EventStream:
        """POST /api/generate."""
        body = await decoded(request, wire.GenerateRequest, self._config, undeclared=True)
        if not body.prompt:
            return await self._loaded(request, body, is_chat=False)
        alias, served = await self._found(request, body)
        if body.suffix or body.raw or not has_template(served.model):
            given = "suffix" if body.suffix else "raw" if body.raw else ""
            why = f"it can't be combined with {given}" if given else "this model has no chat template"
            for name in ("system", "think"):
                if getattr(body, name):
                    raise invalid(name, f"{why}: leave it out")
            prompts = infill(body.prompt, body.suffix, param="suffix") if body.suffix else _raw(body.prompt)
        else:
            system = [{"role": "system", "content": body.system}] if body.system else []
            prompts = _turns(body, served, [*system, {"role": "user", "content": body.prompt}], {})
        return await self._answer(request, body, (alias, served), prompts, "prompt")

    async def _loaded(self, request: Request, body: wire.Answered, *, is_chat: bool) -> Response:
        """Return the answer to a request without a prompt, which asks for a model to be loaded or unloaded."""
        registry, alias = self._service.registry, alias_of(self._service, body.model)
        if registry.unloads and seconds_of(body.keep_alive) == 0 and registry.has(alias):
            require("manage", f"unload {alias}")
            served = registry.find(alias)
            registry.keep(alias, 0)
            reason = "unload"
        else:
            alias, served = await self._found(request, body)
            reason = "load"
        head = self._head(request, alias, served, is_chat=is_chat, logprobs=False)
        return json_of(head.object("", done={"done_reason": reason}))

    def _head(self, request: Request, alias: str, served: ServedModel | None, *, is_chat: bool, logprobs: bool) -> Head:
        return Head(
            model=None if served is None else served.model, alias=alias,
            created=lambda: cards.time_of(self._config.clock()), is_chat=is_chat, logprobs=logprobs,
            **getattr(request.state, "times", {}),
        )

    async def _answer(
        self, request: Request, body: wire.Answered, named: tuple[str, ServedModel], prompts: Prompts, param: str
    ) -> Response | EventStream:
        alias, served = named
        tools = body.tools or [] if isinstance(body, wire.ChatRequest) else []
        how = wanted(body, served, param=param, key=key_of(request), tools=[_name(tool) for tool in tools])
        head = self._head(request, alias, served, is_chat=param == "messages", logprobs=bool(body.logprobs))
        job = self._service.submit(served, Completion(prompts, how))
        if body.stream is False:
            return await self._service.whole(request, job, Gathered(head))
        return await self._service.streamed(request, job, Lines(head))

    # ---- Embeddings --------------------------------------------------------------------------------------------------

    async def embed(self, request: Request) -> Response:
        """POST /api/embed."""
        body = await decoded(request, wire.EmbedRequest, self._config, undeclared=True)
        alias, served = await self._found(request, body)
        if body.dimensions is not None and not 1 <= body.dimensions <= served.model.n_embd:
            words = f"this model's vectors have {served.model.n_embd} dimensions: ask for 1 to so many"
            raise invalid("dimensions", words)
        texts = [body.input] if isinstance(body.input, str) else body.input
        return await self._vectors(request, body, served, texts, Vectors(alias))

    async def embeddings(self, request: Request) -> Response:
        """POST /api/embeddings."""
        body = await decoded(request, wire.EmbeddingsRequest, self._config, undeclared=True)
        _, served = await self._found(request, body)
        return await self._vectors(request, body, served, [body.prompt], Vectors(None))

    async def _vectors(
        self, request: Request, body: wire.Request, served: ServedModel, texts: list[str], shape: Vectors
    ) -> Response:
        param = "input" if isinstance(body, wire.EmbedRequest) else "prompt"
        if len(texts) > self._config.max_inputs:
            most = self._config.max_inputs
            raise invalid(param, f"it has {len(texts)} items, but at most {most} are allowed")
        if not texts or not all(texts):
            raise invalid(param, "it is empty")

        def prompts(model: gemel.Model) -> Iterator[list[int]]:
            return (model.tokenize(text, bos_eos=True) for text in texts)

        n_dim = body.dimensions if isinstance(body, wire.EmbedRequest) else None
        work = Embeddings(prompts, param=param, dimensions=n_dim, n_ctx=context_of(body), key=key_of(request))
        job = self._service.submit(served, work)
        return await self._service.whole(request, job, shape)

    # ---- Models ------------------------------------------------------------------------------------------------------

    async def tags(self, request: Request) -> Response:
        """GET /api/tags."""
        return json_of({"models": [cards.card(one) for one in await self._service.registry.cards()]})

    async def ps(self, request: Request) -> Response:
        """GET /api/ps."""
        shown = await self._service.registry.cards()
        return json_of({"models": [cards.running(one) for one in shown if one.state == "loaded"]})

    async def version(self, request: Request) -> Response:
        """GET /api/version."""
        return json_of({"version": VERSION, "gemel": gemel.__version__})

    async def show(self, request: Request) -> Response:
        """POST /api/show."""
        body = await decoded(request, wire.Named, self._config, undeclared=True)
        alias = alias_of(self._service, body.model or body.name)
        longest = None if body.verbose else cards.LONG
        card = await self._service.card(alias)
        about = None if card.served is not None else await self._service.registry.described(alias, longest)
        if about is None:   # it is open, or its header can't be read
            served = await self._service.open(request, alias)
            card, about = replace(card, served=served), cards.described(served, longest)
        return json_of(cards.shown(card, about))


class Vectors:
    """The vectors of a request. alias: None: the first one alone."""

    def __init__(self, alias: str | None) -> None:
        self._alias = alias
        self._n_tokens = 0
        self._rows: list[list[float]] = []

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._n_tokens = event.n_prompt
        elif isinstance(event, Vector):
            self._rows.append(array("f", event.raw).tolist())

    def value(self) -> dict[str, Any]:
        """Return them."""
        if self._alias is None:
            return {"embedding": self._rows[0]}
        return {"model": self._alias, "embeddings": self._rows, "prompt_eval_count": self._n_tokens}


def _turns(body: wire.Answered, served: ServedModel, sent: list[dict[str, Any]], more: dict[str, Any]) -> Prompts:
    options = {**more, "reasoning_budget": budget_of(body, served.model)}
    return turns(
        sent, options=options, values=lambda reads: thinking(body, served.model, reads), instead=RAW,
        values_param="think", defaults=served.defaults,
    )


def _raw(text: str) -> Prompts:
    def prompts(model: gemel.Model) -> Iterator[Prompt]:
        yield model.prompt_ids(text)

    return prompts


def _message(message: wire.Message, where: str) -> dict[str, Any]:
    wire.check_refused(message, f"{where}.")
    if message.role not in ROLES:
        raise invalid(f"{where}.role", f"{message.role[:50]!r} must be one of {', '.join(ROLES)}")
    names = ("thinking", "tool_calls", "tool_name", "tool_call_id")
    return {"role": message.role, "content": message.content or "", **{
        name: value for name in names if (value := getattr(message, name))
    }}  # fmt: skip


def _name(tool: dict[str, Any]) -> str:
    inner = tool.get("function", tool)
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""
