"""Serves a page's folder at all paths that the API does not use, and config.json, which tells the page where it is.

Files are read in threads, so not in a tab. The files need no key, and other pages may use them; config.json counts as
the API's.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from ..config import Config
from ..models import file_names
from ..registry import Registry
from .apis import Apis
from .errors import ApiError
from .files import file_response
from .guard import caller_of
from .packed import open_packed, takes_gzip

INDEX = "index.html"
TEXT = "text/plain; charset=utf-8"
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm", ".zip": "application/zip", ".svg": "image/svg+xml", ".png": "image/png",
    ".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon", ".woff2": "font/woff2",
    ".txt": TEXT, ".md": TEXT, ".py": TEXT, ".ts": TEXT,
}  # fmt: skip
ISOLATED = {"Cross-Origin-Embedder-Policy": "require-corp"}   # a worker's script needs it, too, or does not start
DOCUMENT = {
    **ISOLATED, "Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "frame-ancestors 'self'",
}  # fmt: skip
HEADERS = {".html": DOCUMENT, ".js": ISOLATED, ".mjs": ISOLATED}
STRANGE = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}   # characters that some systems treat specially


class StaticRoute(Mount):
    """A route for all paths except those of the APIs."""

    def __init__(self, app: ASGIApp, apis: Apis) -> None:
        super().__init__("/", app)
        self._apis = apis

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match no path of an API, known or not: its routes answer, or its 404."""
        if scope["type"] == "http" and self._apis.has(get_route_path(scope)):
            return Match.NONE, {}
        return super().matches(scope)


class StaticFolder:
    """The ASGI app of one folder: GET and HEAD of its files; index.html stands for a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise HTTPException(404)
        request = Request(scope, receive)
        path = path_of(self._folder, get_route_path(scope).removeprefix("/"))
        file = await asyncio.to_thread(open_file, self._folder, path)
        if request.method not in ("GET", "HEAD"):   # of a file that is there
            file.close()
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        suffix = path.suffix.lower()
        try:
            media = TYPES.get(suffix, "application/octet-stream")
            headers = dict(HEADERS.get(suffix, {}))
            packed = await asyncio.to_thread(open_packed, self._folder, path, os.fstat(file.fileno()).st_size)
            if packed is not None:
                headers["Vary"] = "Accept-Encoding"
                file, packed = chosen(request, file, packed, headers)
                packed.close()
            response = file_response(request, file, media=media, headers=headers)
        except BaseException:
            file.close()
            raise
        await response(scope, receive, send)


def chosen(
    request: Request, file: BinaryIO, packed: BinaryIO, headers: dict[str, str]
) -> tuple[BinaryIO, BinaryIO]:
    """Return the file to send and the other; a range is of the file itself. Add the header that says which it is."""
    if "range" in request.headers or not takes_gzip(request.headers.get("accept-encoding", "")):
        return file, packed
    headers["Content-Encoding"] = "gzip"
    return packed, file


def path_of(folder: Path, address: str) -> Path:
    """Return the file of a path below the folder; raise a 404 for hidden files and for paths that leave the folder.

    >>> path_of(Path("site"), "a/").as_posix(), path_of(Path("site"), "a/b.js").as_posix()
    ('site/a/index.html', 'site/a/b.js')
    """
    parts = [*address.split("/")[:-1], address.rpartition("/")[2] or INDEX]
    if any(not part or part.startswith(".") or not STRANGE.isdisjoint(part) for part in parts):
        raise missing()
    return folder.joinpath(*parts)


def open_file(folder: Path, path: Path) -> BinaryIO:
    """Open a regular file inside the folder, after following links; raise a 404 for anything else."""
    try:
        real = path.resolve(strict=True)
        if real.is_relative_to(folder) and stat.S_ISREG(real.stat().st_mode):
            return real.open("rb")
    except (OSError, ValueError):   # a name that is too long or invalid on this system
        pass
    raise missing()


def missing() -> ApiError:
    """Return the error for a path without a file."""
    return ApiError(404, "there is nothing at this path", code="not_found")


class PageModel(msgspec.Struct, frozen=True):
    """A model that a page may load into its tab: its file's URL, relative to the page, and its bytes; null: no file."""

    alias: str
    url: str | None
    size: int | None


class PageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What config.json says. key: the API needs one; `models` is empty for requests without it."""

    native: bool
    key: bool
    models: list[PageModel]


class ConfigFile:
    """The route of config.json."""

    def __init__(self, config: Config, models: Registry) -> None:
        self._config = config
        self._models = models

    async def get(self, request: Request) -> Response:
        """GET /config.json: says that the server answers the API, and lists the models if the request has the key."""
        caller = caller_of(Headers(scope=request.scope), self._config)
        known = caller is not None and "use" in caller.scopes
        models = [page_model(alias, files) for alias, files in self._models.files().items()] if known else []
        needed = self._config.api_key is not None or self._config.keys is not None
        config = PageConfig(native=True, key=needed, models=models)
        return Response(msgspec.json.encode(config), media_type="application/json")


def page_model(alias: str, files: Sequence[Path]) -> PageModel:
    """Return what config.json says about a model: the URL of its (first) file, and the bytes of all of them."""
    try:
        size = sum(path.stat().st_size for path in files)
    except OSError:
        size = 0
    if not size:
        return PageModel(alias, None, None)
    return PageModel(alias, f"models/{quote(file_names(alias, files)[0])}", size)
