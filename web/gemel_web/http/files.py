"""GET and HEAD of models' files, by alias only: ranges, ETag, conditions. Read in threads, so not in a tab."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..models import file_names
from ..registry import Registry
from .connection import while_connected
from .errors import ApiError

PIECE = 1 << 18   # bytes
RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)

NONE: Mapping[str, str] = MappingProxyType({})


class Files:
    """The route of one app."""

    def __init__(self, models: Registry) -> None:
        self._models = models

    async def get(self, request: Request) -> Response:
        """GET /models/{alias}.gguf."""
        path = self._find(request.path_params["name"])
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise ApiError(404, "this model's file no longer exists", code="file_missing") from error
        try:
            return file_response(request, file)
        except BaseException:
            file.close()
            raise

    def _find(self, name: str) -> Path:
        for alias, files in self._models.files().items():
            for known, path in zip(file_names(alias, files), files, strict=True):
                if known == name:
                    return path
        raise ApiError(404, f"there is no file {name[:100]!r} here", code="model_not_found")


def file_response(
    request: Request, file: BinaryIO, *, media: str = "application/octet-stream", headers: Mapping[str, str] = NONE
) -> Response:
    """Return the response for an open file; it closes the file."""
    stat = os.fstat(file.fileno())
    tag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    headers = {**headers, "ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match", ""), tag):
        file.close()
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    span = span_of(asked, stat.st_size)
    start, end = span or (0, stat.st_size)
    headers["Content-Length"] = str(end - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stat.st_size}"
    status = 206 if span else 200
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers, media_type=media)
    return Slice(file, start, end, status=status, headers=headers, media=media)


def matches(given: str, tag: str) -> bool:
    """Tell whether an If-None-Match names the tag."""
    return given.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in given.split(",")]


def span_of(asked: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a Range header; None: the whole file, also for several ranges. Raises a 416 if outside.

    >>> span_of("bytes=2-", 10), span_of("bytes=-3", 10), span_of("bytes=0-99", 10), span_of("lines=1-2", 10)
    ((2, 10), (7, 10), (0, 10), None)
    """
    found = RANGE.fullmatch((asked or "").strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise ApiError(
            416, f"the file has {size} bytes", code="range_not_satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end


class Slice(Response):
    """The bytes [start, end) of a file, sent until the client leaves. Always closes the file."""

    def __init__(
        self, file: BinaryIO, start: int, end: int, *, status: int, headers: Mapping[str, str], media: str
    ) -> None:
        super().__init__(status_code=status, headers=headers, media_type=media)
        self._file = file
        self._start = start
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await while_connected(receive, self._send(send))
        finally:
            self._file.close()

    async def _send(self, send: Send) -> None:
        at = self._file.seek(self._start)
        while at < self._end:
            piece = await asyncio.to_thread(self._file.read, min(PIECE, self._end - at))
            if not piece:
                raise ApiError(500, "the file became shorter while it was being sent", code="file_changed")
            at += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
