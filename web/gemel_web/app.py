"""The app: its routes, the scheduler, and the middleware around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from .config import Config
from .http.addresses import hint_of
from .http.apis import Apis, Style
from .http.errors import ApiError, of_status
from .http.exchange import Exchange, Exchanges
from .http.files import Files
from .http.guard import Guard
from .http.pages import ConfigFile, StaticFolder, StaticRoute
from .http.scopes import check_routes
from .jobs.scheduler import Limits, Scheduler
from .jobs.service import Service, encode, json_of
from .jobs.watch import Watch
from .models import Models
from .registry import OpenModels, Registry

APIS = (   # folders, each with a module `api`
    "anthropic", "ollama", "llama_cpp", "responses", "rerank", "manage", "openai",
)  # fmt: skip


class ApiModule(Protocol):
    """The module `api` of an API's folder."""

    STYLE: Style

    def routes(self, service: Service) -> list[BaseRoute]:
        """Return its routes."""


class Observer(Watch, Protocol):
    """What watches an app, and shows what it saw."""

    def begin(self, registry: Registry, scheduler: Scheduler) -> None:
        """Take what the app consists of, before its first request."""

    def routes(self) -> list[BaseRoute]:
        """Return where it shows what it saw."""

    def ended(self, exchange: Exchange) -> None:
        """A request has its response."""

    async def close(self) -> None:
        """Send what was not sent yet."""


def create_app(
    config: Config, models: Models | Registry, *, static: Path | ASGIApp | None = None,
    apis: Sequence[str] | None = None, observer: Observer | None = None,
) -> Starlette:  # fmt: skip
    """Return the app that serves `models` (alias -> ServedModel), a mapping that may change while the app runs.

    models: or a Registry, which opens them when they are asked for.
    static: a folder, whose page also gets config.json, or an ASGI app; it answers all paths that the APIs do not use.
    observer: gemel_web.observe.Observer(), for /metrics and /metrics.json; one per app.
    apis: which of APIS it answers; None: all that are installed, of which the wheel for tabs lacks some.
    The caller owns the models of a mapping: they stay open when the app ends.
    """
    scheduler = Scheduler(
        Limits(
            parallel=config.parallel, queue=config.queue, threads=config.threads, cache_memory=config.cache_memory,
            answer_seconds=config.answer_seconds,
        ),
        observer,
    )
    registry = OpenModels(models) if isinstance(models, Mapping) else models
    service = Service(config, registry, scheduler)
    modules: dict[str, ApiModule] = {name: _module(name) for name in (installed() if apis is None else apis)}
    known = Apis([replace(module.STYLE, name=name) for name, module in modules.items()])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        registry.begin(scheduler.drop)
        if observer is not None:
            observer.begin(registry, scheduler)
        yield
        await scheduler.close()
        await registry.close()
        if observer is not None:
            await observer.close()

    async def of_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return known.response(get_route_path(request.scope), error)

    async def of_router(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = get_route_path(request.scope)
        found = of_status(error.status_code, error.detail, error.headers)
        found.message += hint_of(path) if error.status_code == 404 else ""
        return known.response(path, found)

    app = Starlette(
        routes=[
            Route("/healthz", health), Route("/health", health), Route("/readyz", Ready(registry, scheduler).get),
            *(route for module in modules.values() for route in module.routes(service)),
            *(() if observer is None else observer.routes()),
            Route("/models/{name:path}", Files(registry).get), *_static(static, config, registry, known),
        ],
        middleware=[
            Middleware(
                Exchanges, apis=known, access_log=config.access_log,
                ended=_unwatched if observer is None else observer.ended,
            ),
            Middleware(Guard, config=config, apis=known),
        ],
        exception_handlers={ApiError: of_ours, HTTPException: of_router},
        lifespan=lifespan,
    )  # fmt: skip
    check_routes(app.routes)
    app.router.redirect_slashes = False
    app.state.scheduler = scheduler
    return app


def installed() -> list[str]:
    """Return the names of APIS that are there."""
    return [name for name in APIS if find_spec(f".{name}", __package__)]


def _module(name: str) -> Any:  # noqa: ANN401
    return import_module(f".{name}.api", __package__)


async def health(request: Request) -> Response:
    """GET /healthz, and /health, as other servers call it: the process is alive."""
    return json_of({"status": "ok"})


class Ready:
    """Whether the next request would be answered: the route /readyz."""

    def __init__(self, registry: Registry, scheduler: Scheduler) -> None:
        self._registry = registry
        self._scheduler = scheduler

    async def get(self, request: Request) -> Response:
        """GET /readyz: 200, or a 503 that says why not."""
        why = self._why_not()
        if not why:
            return json_of({"status": "ready"})
        return Response(encode({"status": "not ready", "why": why}), 503, media_type="application/json")

    def _why_not(self) -> str:
        if self._scheduler.is_stopping:
            return "the server is stopping"
        models = self._registry.usage()
        if not any(one.state == "loaded" or (self._registry.unloads and one.state == "unloaded") for one in models):
            return "a model is being loaded" if models else "there is no model"
        if any(driver.is_full for driver in self._scheduler.drivers().values()):
            return "the queue of a model is full"
        return ""


def _unwatched(exchange: Exchange) -> None:
    """Do nothing: nobody watches."""


def _static(static: Path | ASGIApp | None, config: Config, models: Registry, apis: Apis) -> list[BaseRoute]:
    if static is None:
        return []
    if isinstance(static, Path):
        return [Route("/config.json", ConfigFile(config, models).get), StaticRoute(StaticFolder(static), apis)]
    return [StaticRoute(static, apis)]
