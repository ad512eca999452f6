"""The routes of the Responses API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.connection import EventStream
from ..http.errors import ApiError, invalid
from ..jobs.service import Service, json_of
from ..jobs.work import Completion
from ..openai import prompts
from ..openai.requests import generate_request
from ..openai.tools import names_of
from ..openai.wire import ChatRequest
from . import wire
from .answers import Events, Gathered, Head
from .items import Conversation, choice_of, effort_of, format_of, tools_of
from .store import Store

STYLE = Style(("/v1/responses",))
REPEATED = (
    "instructions", "max_output_tokens", "previous_response_id", "temperature", "top_p", "user", "safety_identifier",
)  # fmt: skip


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    return [
        Route("/v1/responses", api.create, methods=["POST"]),
        Route("/v1/responses/{id}", api.get, methods=["GET"]),
        Route("/v1/responses/{id}", api.delete, methods=["DELETE"]),
        Route("/v1/responses/{id}/input_items", api.input_items, methods=["GET"]),
    ]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._config = service.config
        self._store = Store()

    async def create(self, request: Request) -> Response | EventStream:
        """POST /v1/responses."""
        body = await decoded(request, wire.ResponseRequest, self._config)
        wire.check_refused(body)
        try:
            return await self._answer(request, body)
        except ApiError as error:
            raise wire.renamed(error) from None

    async def _answer(self, request: Request, body: wire.ResponseRequest) -> Response | EventStream:
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        earlier: list[dict[str, Any]] = []
        if body.previous_response_id is not None:
            before = self._store.get(body.previous_response_id, "previous_response_id")
            earlier = [*before.items, *before.response["output"]]
        conversation = Conversation(earlier, body)
        logprobs = wire.LOGPROBS in (body.include or ())
        if body.top_logprobs and not logprobs:
            raise invalid("top_logprobs", f'it needs include: ["{wire.LOGPROBS}"]')
        chat = _chat(body, conversation)
        limit = served.defaults.max_tokens if body.max_output_tokens is None else body.max_output_tokens
        turns = prompts.of_chat(chat, False, served.defaults)
        wanted = generate_request(
            request, chat, served.defaults, max_tokens=limit, n_top=(body.top_logprobs or 0) if logprobs else None,
            echo=False, param="input", tools=names_of(chat.tools),
        )
        wanted = replace(wanted, placed=conversation.placed, tool_place="tools[{}].parameters")
        added = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
        items = [*earlier, *({"type": "message", **item} if "role" in item else item for item in added)]
        head = Head(
            model=served.model, id=f"resp_{self._config.new_id()}", created=int(self._config.clock()),
            fields=_repeated(body, alias), logprobs=logprobs,
            keep=lambda whole: self._store.keep(whole, items) if body.store else None,
        )
        job = self._service.submit(served, Completion(turns, wanted))
        if body.stream:
            return await self._service.streamed(request, job, Events(head))
        return await self._service.whole(request, job, Gathered(head))

    async def get(self, request: Request) -> Response:
        """GET /v1/responses/{id}."""
        return json_of(self._store.get(request.path_params["id"]).response)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/responses/{id}."""
        id = request.path_params["id"]
        self._store.delete(id)
        return json_of({"id": id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        """GET /v1/responses/{id}/input_items, the last one first."""
        kept = self._store.get(request.path_params["id"])
        data = [{"id": f"in_{i}", **item} for i, item in enumerate(kept.items)][::-1]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
        return json_of({"object": "list", "data": data, "has_more": False, **ends})


def _chat(body: wire.ResponseRequest, conversation: Conversation) -> ChatRequest:
    """Return the chat that a request means."""
    return ChatRequest(
        messages=conversation.messages, tools=tools_of(body) or None, tool_choice=choice_of(body),
        parallel_tool_calls=body.parallel_tool_calls, response_format=format_of(body),
        reasoning_effort=effort_of(body), temperature=body.temperature, top_p=body.top_p, top_k=body.top_k,
        min_p=body.min_p, repeat_penalty=body.repeat_penalty, seed=body.seed, cache_salt=body.cache_salt,
    )


def _repeated(body: wire.ResponseRequest, alias: str) -> dict[str, Any]:
    """Return the fields of a response that repeat those of its request."""
    reasoning = body.reasoning or {}
    return {
        "model": alias, **{name: getattr(body, name) for name in REPEATED}, "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False, "store": bool(body.store),
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "text": body.text or {"format": {"type": "text"}}, "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [], "top_logprobs": body.top_logprobs or 0, "truncation": "disabled",
    }  # fmt: skip
