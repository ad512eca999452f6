"""The routes that manage models: load and unload, as in llama.cpp's router, and settings."""

from __future__ import annotations

from dataclasses import replace

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.errors import ApiError, invalid
from ..http.visits import require
from ..jobs.sampling import FIELDS, sampling_of
from ..jobs.service import Service, json_of, unknown
from ..jobs.stops import stops_of
from ..models import NO_DEFAULTS, Defaults
from ..ollama.options import seconds_of
from ..registry import Card, ModelSettings
from . import wire

STYLE = Style(("/manage", "/models/load", "/models/unload"))
DONE = {"success": True}


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    return [
        Route("/models/load", api.load, methods=["POST"]),
        Route("/models/unload", api.unload, methods=["POST"]),
        Route("/manage/models", api.list_models),
        Route("/manage/models/{alias:path}", api.get_model, methods=["GET"]),
        Route("/manage/models/{alias:path}", api.change, methods=["PATCH"]),
    ]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = service.registry

    async def load(self, request: Request) -> Response:
        """POST /models/load: answers when the model is loaded."""
        named = await decoded(request, wire.Named, self._service.config)
        require("manage", f"load {named.model}")
        await self._service.open(request, self._known(named.model))
        return json_of(DONE)

    async def unload(self, request: Request) -> Response:
        """POST /models/unload: the model is unloaded once its answers have ended."""
        named = await decoded(request, wire.Named, self._service.config)
        require("manage", f"unload {named.model}")
        alias = self._known(named.model)
        self._check_changes()
        self._registry.keep(alias, 0)
        return json_of(DONE)

    async def list_models(self, request: Request) -> Response:
        """GET /manage/models."""
        return json_of(wire.ModelList([self._shown(card) for card in await self._registry.cards()]))

    async def get_model(self, request: Request) -> Response:
        """GET /manage/models/{alias}."""
        return json_of(self._shown(await self._service.card(request.path_params["alias"])))

    async def change(self, request: Request) -> Response:
        """PATCH /manage/models/{alias}: requests that arrive from now on have the new settings."""
        alias = request.path_params["alias"]
        body = await decoded(request, wire.Changed, self._service.config)
        fields = [name for name in body.__struct_fields__ if getattr(body, name) is not UNSET]
        require("manage", f"set {', '.join(fields) or 'nothing'} of {alias}")
        self._known(alias)
        self._check_changes()
        self._registry.set(alias, changed(self._registry.settings(alias), body))
        return json_of(self._shown(await self._service.card(alias)))

    def _known(self, alias: str) -> str:
        if not self._registry.has(alias):
            raise unknown(alias, self._registry.aliases())
        return alias

    def _check_changes(self) -> None:
        if not self._registry.unloads:
            words = "these models belong to the program that serves them: only it unloads them, or sets anything"
            raise ApiError(400, words, code="unsupported")

    def _shown(self, card: Card) -> wire.Model:
        settings = self._registry.settings(card.alias)
        defaults = settings.defaults
        system = next((one["content"] for one in defaults.messages if one["role"] == "system"), None)
        return wire.Model(
            id=card.alias, state=card.state, memory=card.memory, expires=card.expires,
            settings=wire.Shown(
                keep_alive=settings.keep_alive, max_tokens=defaults.max_tokens, stop=list(defaults.stops),
                system=system, sampling=dict(defaults.sampling),
            ),
        )  # fmt: skip


def changed(settings: ModelSettings, body: wire.Changed) -> ModelSettings:
    """Return settings with what a request changes. A 400 for invalid values."""
    if body.keep_alive is not UNSET:
        seconds = seconds_of(body.keep_alive)
        settings = replace(settings, keep_alive=None if seconds is None or seconds < 0 else seconds)
    return replace(settings, defaults=_defaults(settings.defaults, body))


def _defaults(defaults: Defaults, body: wire.Changed) -> Defaults:
    if body.max_tokens is not UNSET:
        defaults = replace(defaults, max_tokens=body.max_tokens)
    if body.stop is not UNSET:
        defaults = replace(defaults, stops=stops_of(body.stop, "stop"))
    if body.system is not UNSET:
        others = tuple(one for one in defaults.messages if one["role"] != "system")
        system = ({"role": "system", "content": body.system},) if body.system else ()
        defaults = replace(defaults, messages=system + others)
    if body.sampling is not UNSET:
        given = body.sampling or {}
        if odd := next((name for name in given if name not in FIELDS), None):
            raise invalid(f"sampling.{odd[:50]}", f"there is no such field; known: {', '.join(FIELDS)}")
        try:
            sampling_of(given, lambda name: f"sampling.{name}", NO_DEFAULTS)   # checks them
        except TypeError as error:
            raise invalid("sampling", str(error)) from None
        defaults = replace(defaults, sampling=given)
    return defaults
