"""A hub on this machine: the list of a repository's files, page by page, and the files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Hub:
    """Serves `files` {repository@revision: {path: bytes}}; `status` answers everything when it is set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, dict[str, bytes]] = {}
        self.per_page = 1000
        self.status = 0
        self.body = b""                    # of an answer with `status`, or of the list if `listed`
        self.link = ""                     # the Link header of every page, in place of the right one
        self.requests: list[tuple[str, str | None]] = []   # path and query, Authorization

    def listed(self, repository: str, start: int) -> tuple[bytes, str]:
        """Return one page of the list, and its Link header."""
        files = sorted(self.files[repository].items())
        folders = sorted({path.rpartition("/")[0] for path, _ in files} - {""})
        entries = [{"type": "directory", "oid": "0", "size": 0, "path": path} for path in folders]
        entries += [{"type": "file", "oid": "0", "size": len(data), "path": path} for path, data in files]
        end = start + self.per_page
        owner, _, revision = repository.partition("@")
        following = f'<{self.url}/api/models/{owner}/tree/{revision}?recursive=1&cursor={end}>; rel="next"'
        return json.dumps(entries[start:end]).encode(), following if end < len(entries) else ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.end_headers()

    def do_GET(self) -> None:
        hub, address = self.hub, urlsplit(self.path)
        hub.requests.append((self.path, self.headers.get("Authorization")))
        path, link = unquote(address.path).strip("/").split("/"), ""
        status, body = hub.status or 200, hub.body
        try:
            if path[:2] == ["api", "models"]:
                if not hub.status and not body:
                    start = int(parse_qs(address.query).get("cursor", ["0"])[0])
                    body, link = hub.listed(f"{path[2]}/{path[3]}@{'/'.join(path[5:])}", start)
            elif not hub.status:
                revision = "/".join(path[3:6] if path[3] == "refs" else path[3:4])
                file = "/".join(path[3 + len(revision.split("/")) :])
                body = hub.files[f"{path[0]}/{path[1]}@{revision}"][file]
        except KeyError:
            status, body = 404, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "ETag, Link, Content-Length")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        if link or hub.link:
            self.send_header("Link", hub.link or link)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
