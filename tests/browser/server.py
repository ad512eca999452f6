"""What a tab talks to: a server in a thread, on two ports (two origins), that serves only local files and bytes.

A `Site` is a prefix of URLs whose pages and scripts share headers (cross-origin isolation, CSP). A `Served` is a file
with the habits of a bad network, switched while it is served: no ranges, slow, broken off, changing ETags. Each request
is written down.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import mimetypes
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

CHUNK = 1 << 16
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
# Updates, time, accounts, settings.
BROWSERS_OWN = re.compile(r"^[A-Z]+ (https?://)?[\w.-]+\.((google|googleapis|gvt1|firefox)\.com|mozilla\.(com|net|org))\b")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Seen:
    """One request for a Served file, and what came of it."""

    method: str
    path: str
    headers: Mapping[str, str]   # names in lower case
    status: int = 0
    start: int = 0               # of the range that was sent
    sent: int = 0                # bytes of the body handed to the network
    broken: bool = False         # broken off by `break_after`, or given up by the tab

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class Served:
    """A file under the server's hands. Every field may be changed while it is served."""

    data: bytes
    path: str                        # of the URL
    url: str                         # absolute, on the first origin
    other_url: str                   # on the second one
    ranges: bool = True              # False: every answer is 200 with the whole file
    mb_s: float | None = None        # at most so many megabytes (10**6 bytes) a second, for each request
    break_after: int | None = None   # break the connection off when so many bytes in all have gone out; then heal
    break_always: bool = False       # with break_after: each request breaks after that many bytes
    break_status: int | None = None  # with break_after: what every request is answered with afterwards
    etag: str | None = ""            # "": of the content; None: no ETag is sent
    etag_counter: bool = False       # a new ETag each time
    part_etag: bool = True           # False: a 206 has no ETag, though a 200 has
    delay: float = 0.0               # seconds before the head of an answer
    hold_from: int | None = None     # an answer from this byte on, or a later one, waits until this is None
    status: int | None = None        # answer so, with no content
    cors: bool = True                # Access-Control-Allow-Origin and exposed headers, CORP cross-origin
    length: bool = True              # Content-Length on 200 and 206
    headers: dict[str, str] = field(default_factory=dict)   # more of them
    requests: list[Seen] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def sent(self) -> int:
        """Bytes of content handed to the network so far."""
        return sum(seen.sent for seen in self.requests)

    def forget(self) -> None:
        """Empty the list of requests."""
        self.requests = []

    def the_etag(self) -> str | None:
        if self.etag_counter:
            return f'"{next(self._count)}"'
        return f'"{hashlib.sha256(self.data).hexdigest()[:16]}"' if self.etag == "" else self.etag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        seen = Seen(request.method, request.url.path, dict(request.headers))
        self.requests.append(seen)
        if self.delay:
            await asyncio.sleep(self.delay)
        headers = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store", **self._cors()}
        if request.method == "OPTIONS":
            seen.status = 204
        elif self.status is not None:
            seen.status = self.status
        else:
            first, last = self._range(seen, headers)
            if seen.status in (200, 206):
                await self._body(seen, headers, first, last, receive, send)
                return
        await send_head(send, seen.status, {**headers, **self.headers, "Content-Length": "0"})
        await send({"type": "http.response.body", "body": b""})

    def _cors(self) -> dict[str, str]:
        if not self.cors:
            return {}
        return {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, Accept-Ranges",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }

    def _range(self, seen: Seen, headers: dict[str, str]) -> tuple[int, int]:
        """Fill in status and headers of a GET or HEAD; return the first byte and the one after the last."""
        size, etag = len(self.data), self.the_etag()
        if etag is not None:
            headers["ETag"] = etag
        headers["Accept-Ranges"] = "bytes" if self.ranges else "none"
        match = RANGE.fullmatch(seen.range or "")
        unchanged = seen.headers.get("if-range") in (None, etag)
        seen.status = 200
        if not (self.ranges and match and unchanged) or seen.method == "HEAD":
            return 0, size
        first = int(match[1]) if match[1] else max(size - int(match[2] or 0), 0)
        last = min(int(match[2]) + 1, size) if match[1] and match[2] else size
        if first >= last:
            headers["Content-Range"] = f"bytes */{size}"
            seen.status = 416
            return 0, 0
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        if not self.part_etag:
            headers.pop("ETag", None)
        seen.status, seen.start = 206, first
        return first, last

    async def _body(
        self, seen: Seen, headers: dict[str, str], first: int, last: int, receive: Receive, send: Send
    ) -> None:
        if self.length:
            headers["Content-Length"] = str(last - first)
        while self.hold_from is not None and first >= self.hold_from:
            await asyncio.sleep(0.005)
        await send_head(send, seen.status, {**headers, **self.headers})
        gone = asyncio.create_task(_disconnected(receive))
        begun = asyncio.get_running_loop().time()
        try:
            while seen.method != "HEAD" and first + seen.sent < last:
                size = self._allowed(seen, min(CHUNK, last - first - seen.sent))
                if not size or gone.done():
                    seen.broken = True
                    return   # unfinished: the server closes the connection
                at = first + seen.sent
                seen.sent += size
                mb_s = self.mb_s
                due = begun + seen.sent / (mb_s * 1e6) if mb_s else 0.0
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await send({"type": "http.response.body", "body": self.data[at : at + size], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    def _allowed(self, seen: Seen, size: int) -> int:
        """Return how many of the next bytes go out before the connection breaks; 0: now."""
        if self.break_after is None:
            return size
        left = self.break_after - (seen.sent if self.break_always else self.sent)
        if left <= 0 and not self.break_always:
            self.break_after, self.status = None, self.break_status or self.status
        return max(0, min(size, left))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_head(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send an answer's status and headers."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


@dataclass(frozen=True)
class Site:
    """A prefix of URLs; all that is served under it has the same headers."""

    url: str         # absolute, without a slash at the end
    other_url: str   # the same on the second origin
    headers: Mapping[str, str]


class Server:
    """Folders and files on two local ports. A context manager; its loop runs in a thread."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = dict(folders)   # {"pyodide": folder}: .../pyodide/<file> under every site
        self.paths: list[str] = []     # of all requests, in order
        self._sites: dict[str, Site] = {}
        self._files: dict[str, Served] = {}
        self._sockets = [_listening(), _listening()]
        self.origin, self.other_origin = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in self._sockets)
        routes = [Route("/{site}/{folder}/{name:path}", self._static)]
        self._pages = Starlette(routes=routes)
        config = uvicorn.Config(
            self._app, interface="asgi3", http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="test server", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        self._thread.join(10)

    def site(self, *, isolated: bool = False, csp: str | None = None, headers: Mapping[str, str] | None = None) -> Site:
        """Return the site with these headers; equal ones are the same site."""
        wanted = dict(headers or {})
        if isolated:
            wanted |= ISOLATED
        if csp is not None:
            wanted["Content-Security-Policy"] = csp
        for site in self._sites.values():
            if site.headers == wanted:
                return site
        name = f"site{len(self._sites)}"
        self._sites[name] = Site(f"{self.origin}/{name}", f"{self.other_origin}/{name}", wanted)
        return self._sites[name]

    def file(
        self, data: bytes, name: str = "model.gguf", *, beside: Served | None = None, **switches: object
    ) -> Served:
        """Serve bytes under a separate address, or in the folder of another; `switches` are fields of Served."""
        folder = beside.path.rsplit("/", 1)[0] if beside else f"/file{len(self._files)}"
        path = f"{folder}/{quote(name)}"
        served = Served(data, path, self.origin + path, self.other_origin + path)
        for switch, value in switches.items():
            if not hasattr(served, switch):
                raise TypeError(f"a served file has no switch {switch!r}")
            setattr(served, switch, value)
        self._files[path] = served
        return served

    def _serve(self) -> None:
        asyncio.run(self._uvicorn.serve(sockets=self._sockets))

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.paths.append(scope["path"])
        served = self._files.get(quote(scope["path"]))
        await (self._pages if served is None else served)(scope, receive, send)

    async def _static(self, request: Request) -> Response:
        site = self._sites.get(request.path_params["site"])
        folder = self.folders.get(request.path_params["folder"])
        if site is None or folder is None:
            return Response(status_code=404)
        path = (folder / request.path_params["name"]).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return Response(status_code=404)
        corp = {"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*"}
        return FileResponse(path, media_type=_media_type(path), headers={**corp, **site.headers})


def _media_type(path: Path) -> str:
    known = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}
    return known.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _listening() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    return one


class Trap:
    """A proxy that lets nothing through and notes who was called: what a tab may not do is found here."""

    def __init__(self) -> None:
        self.called: list[str] = []   # "CONNECT host:443", "GET http://..."
        self._socket = _listening()
        self._socket.listen()
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="proxy trap", daemon=True)

    def __enter__(self) -> Trap:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def outside(self) -> list[str]:
        """Return the calls so far that no browser makes by itself, and forget them all."""
        called, self.called = self.called, []
        return [one for one in called if not BROWSERS_OWN.search(one)]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                line = client.recv(4096).split(b"\r\n", 1)[0].decode("latin-1")
                if line:   # a connection that is only tried out says nothing
                    self.called.append(line.rsplit(" ", 1)[0])
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
