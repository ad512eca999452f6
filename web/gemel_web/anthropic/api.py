"""The routes of Anthropic's API: messages, counts of tokens, and the list of models for its clients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ..http.apis import Style
from ..http.body import decoded
from ..http.connection import EventStream
from ..jobs.answer import GenerateRequest, Prompts
from ..jobs.events import Began, Event
from ..jobs.sampling import sampling_of
from ..jobs.service import Service, json_of, key_of
from ..jobs.stops import stops_of
from ..jobs.turns import turns
from ..jobs.work import Completion, Counting
from ..models import ServedModel
from ..registry import Card
from . import wire
from .blocks import Events, Gathered, Head
from .content import Messages
from .options import Thinking, choice_of, form_of, placed, reasons, tools_of

STYLE = Style(("/v1/messages",), wire.error_of)
VERSION = b"anthropic-version"   # the header that all its clients send
INSTEAD = "use OpenAI's POST /v1/completions"


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    return [
        Route("/v1/messages", api.message, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count, methods=["POST"]),
        ClientRoute("/v1/models", api.list_models),
        ClientRoute("/v1/models/{alias:path}", api.get_model),
    ]


class ClientRoute(Route):
    """A route for requests of Anthropic's clients only: OpenAI's API has the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match requests with their header."""
        if any(name == VERSION for name, _ in scope.get("headers", ())):
            return super().matches(scope)
        return Match.NONE, {}


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def message(self, request: Request) -> Response | EventStream:
        """POST /v1/messages."""
        body = await decoded(request, wire.MessageRequest, self._service.config)
        wire.check_refused(body)
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        form, form_param = form_of(body)
        thinking, messages = Thinking(body), Messages(body)
        given = {name: value for name in wire.SAMPLING if (value := getattr(body, name)) is not None}
        wanted = GenerateRequest(
            n=1, max_tokens=body.max_tokens,
            stops=stops_of(body.stop_sequences, "stop_sequences") or served.defaults.stops,
            sampling=sampling_of(given, str, served.defaults), n_top=None, echo=False, param="messages", form=form,
            form_param=form_param, tools=[str(tool.get("name", "")) for tool in body.tools or ()],
            tool_place="tools[{}].input_schema", placed=lambda words: messages.placed(placed(words)),
            priority=body.priority or 0, key=key_of(request), cache_salt=body.cache_salt or "",
        )
        job = self._service.submit(served, Completion(_turns(body, messages, thinking, served), wanted))
        head = Head(
            id=f"msg_{self._service.config.new_id()}", alias=alias, max_tokens=body.max_tokens,
            shows_thinking=thinking.is_shown,
        )
        if body.stream:
            return await self._service.streamed(request, job, Events(head))
        return await self._service.whole(request, job, Gathered(head))

    async def count(self, request: Request) -> Response:
        """POST /v1/messages/count_tokens."""
        body = await decoded(request, wire.CountRequest, self._service.config)
        wire.check_refused(body)
        served = await self._service.open(request, self._service.alias(body.model))
        form_of(body)
        messages = Messages(body)
        prompts = _turns(body, messages, Thinking(body), served)
        work = Counting(prompts, param="messages", placed=lambda words: messages.placed(placed(words)))
        return await self._service.whole(request, self._service.submit(served, work), InputTokens())

    # ---- Models ------------------------------------------------------------------------------------------------------

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models."""
        data = [model_of(card) for card in await self._service.registry.cards()]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return json_of({"data": data, "has_more": False, **ends})

    async def get_model(self, request: Request) -> Response:
        """GET /v1/models/{alias}."""
        return json_of(model_of(await self._service.card(request.path_params["alias"])))


class InputTokens:
    """The number of a prompt's tokens."""

    def __init__(self) -> None:
        self._n = 0

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._n = event.n_prompt

    def value(self) -> dict[str, int]:
        """Return it."""
        return {"input_tokens": self._n}


def _turns(body: wire.Prompt, messages: Messages, thinking: Thinking, served: ServedModel) -> Prompts:
    tools = tools_of(body)
    options = {**({"tools": tools} if tools else {}), **choice_of(body), "reasoning_budget": thinking.budget}
    return turns(
        messages.sent, options=options, instead=INSTEAD, defaults=served.defaults,
        values=lambda reads: thinking.values(lambda: reasons(served.model), reads),
    )


def model_of(card: Card) -> dict[str, Any]:
    """Return what the list says about a model."""
    n_ctx = card.served.context if card.served is not None else card.facts.n_ctx if card.facts is not None else None
    return {
        "type": "model", "id": card.alias, "display_name": card.alias, "lifecycle": "active",
        "max_input_tokens": n_ctx, "max_tokens": n_ctx,
        "created_at": datetime.fromtimestamp(card.created, UTC).isoformat(),
    }  # fmt: skip
