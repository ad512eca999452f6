"""A server of one model, from its socket to its end: what `gemel serve` and `gemel demo` have in common."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gemel
import gemel_web
import uvicorn
from gemel import KvType, Overrides

from ..opening import check_ctx, opened
from ..output import counted, say
from .protocol import Protocol, Server
from .settings import Settings

# ---- The model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How to open the model and evaluate it; None: the defaults of gemel.open and Model.session."""

    threads: int | None
    isa: str | None
    ctx: int | None
    kv_type: KvType | None
    overrides: Overrides


@contextmanager
def served_model(model: str, options: ModelOptions) -> Iterator[gemel_web.ServedModel]:
    """Open the model for as long as it is served."""
    with opened(
        model, threads=options.threads, isa=options.isa, overrides=options.overrides, log_progress=True
    ) as loaded:
        found = loaded.model
        ctx = check_ctx(found, options.ctx)
        created = int(time.time())
        yield gemel_web.ServedModel(found, gemel.model_files(found.name), ctx, created, options.kv_type)


# ---- The server ------------------------------------------------------------------------------------------------------


def run(
    settings: Settings, alias: str, served: gemel_web.ServedModel, listening: socket.socket, *,
    page: Path | None, ready: Callable[[str], None] | None = None,
) -> None:
    """Serve one model, and a page, on a listening socket until a signal arrives. ready: is called with the address."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("gemel_web").setLevel(logging.INFO)
    app = gemel_web.create_app(settings.config(), {alias: served}, static=page)
    limits = {"head_seconds": settings.head_seconds, "write_seconds": settings.write_seconds}
    connection = type("Connection", (Protocol,), limits)
    config = uvicorn.Config(
        app, http=connection, ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(settings.stop_seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    url = url_of(host, port)
    and_page = "" if page is None else f", the page at {url}/"
    how = f"{served.model.isa}, {counted(served.model.threads, 'thread')}"
    say(f"{alias} is served at {url}/v1 ({how}){and_page}; Ctrl-C stops it")
    if settings.api_key is None and not host.startswith("127.") and host != "::1":
        say("there is no API key: anyone who can reach this address can use the model (GEMEL_SERVE_API_KEY sets a key)")
    if ready is not None:
        ready(f"{url}/")
    Server(config, app.state.scheduler, stop_seconds=settings.stop_seconds).run(sockets=[listening])


def listen(host: str, port: int, *, instead: bool = False) -> socket.socket:
    """Return a listening socket; raise GemelError if that fails. instead: if the port is in use, take a free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise gemel.GemelError(f"--host {host}: not an address of this machine ({error})") from None
    try:
        if os.name == "posix":   # elsewhere it would share a port that is in use
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        if instead and error.errno == errno.EADDRINUSE:
            say(f"port {port} is in use; using a free one")
            return listen(host, 0)
        raise gemel.GemelError(
            f"can't listen on {host}, port {port}: {error.strerror}; try another --port, or --port 0 for any free one"
        ) from None
    return made


def url_of(host: str, port: int) -> str:
    """Return the server's address as a browser on this machine reaches it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"

