"""The app: its routes, the scheduler, and the middleware around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

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
from .http.errors import ApiError, of_status, response_of
from .http.files import Files
from .http.guard import Guard
from .http.pages import ConfigFile, StaticFolder, StaticRoute
from .jobs.scheduler import Limits, Scheduler
from .models import Models
from .openai.api import Api


def create_app(config: Config, models: Models, *, static: Path | ASGIApp | None = None) -> Starlette:
    """Return the app that serves `models` (alias -> ServedModel), a mapping that may change while the app runs.

    static: a folder, whose page also gets config.json, or an ASGI app; it answers all paths that the API does not use.
    The caller owns the models: they stay open when the app ends.
    """
    scheduler = Scheduler(
        Limits(
            parallel=config.parallel, queue=config.queue, threads=config.threads, cache_memory=config.cache_memory,
            answer_seconds=config.answer_seconds,
        )
    )
    api, files = Api(config, models, scheduler), Files(models)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await scheduler.close()

    app = Starlette(
        routes=[*_routes(api, files), *_static(static, config, models)],
        middleware=[Middleware(Guard, config=config)],
        exception_handlers={ApiError: _known, HTTPException: _of_router},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.scheduler = scheduler
    return app


def _routes(api: Api, files: Files) -> list[BaseRoute]:
    return [
        Route("/healthz", api.health),
        Route("/health", api.health),
        Route("/v1/models", api.list_models),
        Route("/v1/models/{alias:path}", api.get_model),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.complete, methods=["POST"]),
        Route("/v1/embeddings", api.embed, methods=["POST"]),
        Route("/models/{name:path}", files.get),
    ]


def _static(static: Path | ASGIApp | None, config: Config, models: Models) -> list[BaseRoute]:
    if static is None:
        return []
    if isinstance(static, Path):
        return [Route("/config.json", ConfigFile(config, models).get), StaticRoute("/", StaticFolder(static))]
    return [StaticRoute("/", static)]


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return response_of(error)


async def _of_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = of_status(error.status_code, error.detail, error.headers)
    known.message += hint_of(get_route_path(request.scope)) if error.status_code in (404, 405) else ""
    return response_of(known)
