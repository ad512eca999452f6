"""A small static server that isolates pages, counts what it sends, and can be as slow as a link.

Folders are mounted by name: /npm/... is whatever folder "npm" is. Ranges, ETags and HEAD as static hosts have them;
`?rate=N` sends N bytes per second. Models are never kept in the HTTP cache: an engine's own cache is what is measured.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

CHUNK = 1 << 18
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm", ".whl": "application/zip"}


@dataclass
class Sent:
    """What went out of one file."""

    path: Path
    bytes: int = 0
    last: float = 0.0   # time.time() of the last byte


@dataclass
class Site:
    """The folders by name, and what was sent since the last `forget`."""

    folders: dict[str, Path]
    sent: dict[str, Sent] = field(default_factory=dict)   # by URL path
    _link_free: float = 0.0   # time.monotonic() at which the slow link has sent what it was given

    def forget(self) -> None:
        self.sent = {}

    async def respond(self, request: Request) -> Response:
        """Answer GET and HEAD."""
        path = self._find(request.path_params["folder"], request.path_params["rest"])
        if path is None:
            return PlainTextResponse("there is no such file", 404, ISOLATED)
        headers, size = self._headers(path, request.path_params["folder"]), path.stat().st_size
        start, stop, status = 0, size, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            start, stop = int(match[1]), min(int(match[2] or size - 1) + 1, size)
            if start >= stop:
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{size}"
        headers["Content-Length"] = str(stop - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        rate = float(request.query_params.get("rate", "inf"))
        return StreamingResponse(self._stream(request.url.path, path, start, stop, rate), status, headers)

    def _find(self, folder: str, rest: str) -> Path | None:
        root = self.folders.get(folder)
        path = None if root is None else (root / rest).resolve()
        return path if path is not None and path.is_file() else None

    @staticmethod
    def _headers(path: Path, folder: str) -> dict[str, str]:
        facts = path.stat()
        type_ = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        caching = "no-store" if folder == "models" else "max-age=86400"
        tag = f'"{facts.st_size:x}-{facts.st_mtime_ns:x}"'
        return {**ISOLATED, "Content-Type": type_, "Cache-Control": caching, "Accept-Ranges": "bytes", "ETag": tag}

    async def _stream(self, url: str, path: Path, start: int, stop: int, rate: float) -> AsyncIterator[bytes]:
        """Yield the bytes; streams with a rate share one link, however many an engine opens."""
        record = self.sent.setdefault(url, Sent(path))
        step = min(CHUNK, max(1 << 12, int(rate / 200))) if rate < float("inf") else CHUNK
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                data = file.read(min(step, stop - start))
                start += len(data)
                self._link_free = max(time.monotonic(), self._link_free) + len(data) / rate
                if (wait := self._link_free - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                yield data
                record.bytes += len(data)
                record.last = time.time()


class Server:
    """The site on a free port of 127.0.0.1, in a thread. A context manager."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.site = Site({name: folder.resolve() for name, folder in folders.items()})
        route = Route("/{folder}/{rest:path}", self.site.respond, methods=["GET", "HEAD"])
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(Starlette(routes=[route]), log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
