"""The page's folder at the addresses that the API does not have, and config.json, which tells the page where it is.

Native: files are read in threads. Nothing here needs a key, and any page may use the files; config.json is the API's.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Receive, Scope, Send

from . import wire
from .config import Config
from .errors import ApiError
from .files import answer
from .guard import has_key, is_api
from .models import Models, file_names

INDEX = "index.html"
TEXT = "text/plain; charset=utf-8"
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm", ".zip": "application/zip", ".svg": "image/svg+xml", ".png": "image/png",
    ".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon", ".woff2": "font/woff2",
    ".txt": TEXT, ".md": TEXT, ".py": TEXT, ".ts": TEXT,
}  # fmt: skip
ISOLATED = {"Cross-Origin-Embedder-Policy": "require-corp"}   # a worker's script says it as well, or does not start
DOCUMENT = {
    **ISOLATED, "Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "frame-ancestors 'self'",
}  # fmt: skip
HEADERS = {".html": DOCUMENT, ".js": ISOLATED, ".mjs": ISOLATED}
STRANGE = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}   # in names: what some system reads otherwise


class Elsewhere(Mount):
    """A route to all addresses but the API's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave the API's own to its routes, also those that it has not: they are its errors."""
        if scope["type"] == "http" and is_api(get_route_path(scope)):
            return Match.NONE, {}
        return super().matches(scope)


class Pages:
    """The ASGI app of one folder: GET and HEAD of its files, index.html for a folder's address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise HTTPException(404)
        request = Request(scope, receive)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        path = path_of(self._folder, get_route_path(scope).removeprefix("/"))
        file = await asyncio.to_thread(opened, self._folder, path)
        suffix = path.suffix.lower()
        try:
            media = TYPES.get(suffix, "application/octet-stream")
            response = answer(request, file, media=media, headers=HEADERS.get(suffix, {}))
        except BaseException:
            file.close()
            raise
        await response(scope, receive, send)


def path_of(folder: Path, address: str) -> Path:
    """Return the file that an address below the folder means; the API's 404 for hidden ones and ways out.

    >>> path_of(Path("site"), "a/").as_posix(), path_of(Path("site"), "a/b.js").as_posix()
    ('site/a/index.html', 'site/a/b.js')
    """
    parts = [*address.split("/")[:-1], address.rpartition("/")[2] or INDEX]
    if any(not part or part.startswith(".") or not STRANGE.isdisjoint(part) for part in parts):
        raise missing()
    return folder.joinpath(*parts)


def opened(folder: Path, path: Path) -> BinaryIO:
    """Open a regular file that lies in the folder, links followed; the API's 404 for all else."""
    try:
        real = path.resolve(strict=True)
        if real.is_relative_to(folder) and stat.S_ISREG(real.stat().st_mode):
            return real.open("rb")
    except (OSError, ValueError):   # a name that is too long, or can't be written in this system's way
        pass
    raise missing()


def missing() -> ApiError:
    """Return the error for an address without a file."""
    return ApiError(404, "there is nothing at this address", code="not_found")


class PageConfig:
    """The route of config.json."""

    def __init__(self, config: Config, models: Models) -> None:
        self._config = config
        self._models = models

    async def get(self, request: Request) -> Response:
        """GET /config.json: that the page's server answers the API, and the models, for those who may see them."""
        known = has_key(Headers(scope=request.scope), self._config.api_key)
        models = [card_of(alias, served.files) for alias, served in self._models.items()] if known else []
        card = wire.PageConfig(native=True, key=self._config.api_key is not None, models=models)
        return Response(wire.encode(card), media_type="application/json")


def card_of(alias: str, files: Sequence[Path]) -> wire.PageModel:
    """Return what config.json says of a model: where its (first) file is, and the bytes of all of them."""
    try:
        size = sum(path.stat().st_size for path in files)
    except OSError:
        size = 0
    if not size:
        return wire.PageModel(alias, None, None)
    return wire.PageModel(alias, f"models/{quote(file_names(alias, files)[0])}", size)
