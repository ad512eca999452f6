"""The app: its routes, the scheduler, and the middleware around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
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
from .http.files import Files
from .http.guard import Guard
from .http.pages import ConfigFile, StaticFolder, StaticRoute
from .http.scopes import check_routes
from .jobs.scheduler import Limits, Scheduler
from .jobs.service import Service, json_of
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


def create_app(
    config: Config, models: Models | Registry, *, static: Path | ASGIApp | None = None,
    apis: Sequence[str] | None = None,
) -> Starlette:  # fmt: skip
    """Return the app that serves `models` (alias -> ServedModel), a mapping that may change while the app runs.

    models: or a Registry, which opens them when they are asked for.
    static: a folder, whose page also gets config.json, or an ASGI app; it answers all paths that the APIs do not use.
    apis: which of APIS it answers; None: all that are installed, of which the wheel for tabs lacks some.
    The caller owns the models of a mapping: they stay open when the app ends.
    """
    scheduler = Scheduler(
        Limits(
            parallel=config.parallel, queue=config.queue, threads=config.threads, cache_memory=config.cache_memory,
            answer_seconds=config.answer_seconds,
        )
    )
    registry = OpenModels(models) if isinstance(models, Mapping) else models
    service = Service(config, registry, scheduler)
    modules: list[ApiModule] = [_module(name) for name in (installed() if apis is None else apis)]
    known = Apis([module.STYLE for module in modules])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        registry.begin(scheduler.drop)
        yield
        await scheduler.close()
        await registry.close()

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
            Route("/healthz", health), Route("/health", health),
            *(route for module in modules for route in module.routes(service)),
            Route("/models/{name:path}", Files(registry).get), *_static(static, config, registry, known),
        ],
        middleware=[Middleware(Guard, config=config, apis=known)],
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
    """GET /healthz, and /health, as other servers call it."""
    return json_of({"status": "ok"})


def _static(static: Path | ASGIApp | None, config: Config, models: Registry, apis: Apis) -> list[BaseRoute]:
    if static is None:
        return []
    if isinstance(static, Path):
        return [Route("/config.json", ConfigFile(config, models).get), StaticRoute(StaticFolder(static), apis)]
    return [StaticRoute(static, apis)]
