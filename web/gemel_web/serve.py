"""`gemel serve MODEL`: the app under uvicorn. Native; reached from the command line through an entry point.

What the extra `serve` brings is imported when the command runs, so that the list of commands needs none of it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import gemel
import typer
from gemel._session import KV_TYPES, KvType

from .models import alias_of

if TYPE_CHECKING:
    from .models import Served
    from .settings import Settings

MODEL_HELP = "A GGUF file, a URL, hf:owner/repo/file.gguf, or a short name."
SERVER, SAFETY, MACHINE = "Server", "Safety", "Machine"
ENV = "GEMEL_SERVE_"


def option(*names: str, panel: str, metavar: str, default: str | bool, words: str, **more: Any) -> Any:  # noqa: ANN401
    """Return a typer option; unset, it is left to the environment."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, show_default=default, help=words, **more)


def known_kv_type(given: object) -> object:
    """Check the value of --kv-type."""
    if given not in KV_TYPES:
        raise typer.BadParameter(f"{given!r} is not {' or '.join(KV_TYPES)}")
    return given


def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)],
    *,
    alias: Annotated[str | None, option(
        "--alias", panel=SERVER, metavar="NAME", default="the short name, or the file's",
        words="What requests call the model.",
    )] = None,
    host: Annotated[str | None, option(
        "--host", panel=SERVER, metavar="ADDRESS", default="127.0.0.1: this machine only", words="Where to listen.",
    )] = None,
    port: Annotated[int | None, option(
        "--port", panel=SERVER, metavar="N", default="8090", words="Where to listen; 0: any free port.",
    )] = None,
    queue: Annotated[int | None, option(
        "--queue", panel=SERVER, metavar="N", default="32", words="Requests that may wait; further ones get a 429.",
    )] = None,
    access_log: Annotated[bool | None, typer.Option(
        "--access-log", rich_help_panel=SERVER, show_default=False, help="Log a line for each request, on stderr.",
    )] = None,
    api_key: Annotated[str | None, option(
        "--api-key", panel=SAFETY, metavar="KEY", default="none",
        words="Requests must bring it. Others can see this option: GEMEL_SERVE_API_KEY is safer.",
    )] = None,
    allowed_host: Annotated[list[str] | None, option(
        "--allowed-host", panel=SAFETY, metavar="NAME", default="localhost, --host, any address in numbers",
        words="A name that clients may know this server by; * is any. May be given repeatedly.",
    )] = None,
    allowed_origin: Annotated[list[str] | None, option(
        "--allowed-origin", panel=SAFETY, metavar="ORIGIN", default="none",
        words="An origin whose pages may use the API, or *. May be given repeatedly.",
    )] = None,
    threads: Annotated[int | None, option(
        "--threads", "-t", panel=MACHINE, metavar="N", default="GEMEL_THREADS, or physical cores",
        words="Threads that compute. Any number gives the same bits.",
    )] = None,
    isa: Annotated[str | None, option(
        "--isa", panel=MACHINE, metavar="ROW", default="GEMEL_ISA, or the best of this CPU",
        words="Row of kernels. Any gives the same bits.",
    )] = None,
    ctx: Annotated[int | None, option(
        "--ctx", panel=MACHINE, metavar="N", default="the file's limit, at most 4096",
        words="Tokens that a prompt and its answer may have together.",
    )] = None,
    kv_type: Annotated[KvType | None, option(
        "--kv-type", panel=MACHINE, metavar="TYPE", default="q8_0", parser=known_kv_type,
        words="What the KV cache keeps: q8_0, or f16.",
    )] = None,
) -> None:
    """Serve MODEL by OpenAI's API, until Ctrl-C.

    All options but MODEL, --alias and those of the machine can be set in the environment: GEMEL_SERVE_PORT=8080.
    """
    try:
        from . import Served
        from .settings import settings_of
    except ImportError as error:
        raise gemel.GemelError(f"gemel serve needs more packages ({error}): pip install 'gemel[serve]'") from error
    settings = settings_of({
        "host": host, "port": port, "queue": queue, "access_log": access_log, "api_key": api_key,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    })
    listening = listen(settings.host, settings.port)
    try:
        with gemel.open(model, threads=threads, isa=isa, on_progress=Progress()) as opened:
            if ctx is not None and not 1 <= ctx <= opened.n_ctx:
                raise typer.BadParameter(f"--ctx {ctx}: {opened.name} allows 1 to {opened.n_ctx}")
            served = Served(opened, files_of(model), ctx, int(time.time()), kv_type)
            run(settings, alias_of(model) if alias is None else alias, served, listening)
    finally:
        listening.close()


def run(settings: Settings, alias: str, served: Served, listening: socket.socket) -> None:
    """Serve one model on an open socket until a signal comes."""
    import uvicorn

    from . import create_app
    from .protocol import Protocol, Server

    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("gemel_web").setLevel(logging.INFO)
    app = create_app(settings.config(), {alias: served})
    connection = type("Connection", (Protocol,), {"head_seconds": settings.head_seconds})
    config = uvicorn.Config(
        app, http=connection, ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(settings.stop_seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    how = f"{served.model.isa}, {served.model.threads} threads"
    say(f"{alias} is served at {url_of(host, port)}/v1 ({how}); Ctrl-C stops it")
    if settings.api_key is None and not host.startswith("127.") and host != "::1":
        say("there is no API key: whoever reaches this address can use the model (GEMEL_SERVE_API_KEY sets one)")
    Server(config, app.state.scheduler, stop_seconds=settings.stop_seconds).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. A GemelError names what is in the way."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise gemel.GemelError(f"--host {host}: this is no address of this machine ({error})") from None
    try:
        if os.name == "posix":   # elsewhere this would share a port that is in use
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        raise gemel.GemelError(
            f"can't listen on {host}, port {port}: {error.strerror}; another --port may be free, --port 0 takes any"
        ) from None
    return made


def url_of(host: str, port: int) -> str:
    """Return the address of the server for people on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def files_of(model: str) -> tuple[Path, ...]:
    """Return the model's files on this machine, in order."""
    from gemel._names import part_names
    from gemel._source import locate

    path = locate(model)
    return tuple(path.with_name(name) for name in part_names(path.name))


class Progress:
    """A gemel on_progress: a line at each tenth of a download, on stderr."""

    def __init__(self) -> None:
        self._tenth = -1

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say how far a download is."""
        if stage == "download" and total and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(f"downloading: {self._tenth * 10} % of {total / 1e6:.0f} MB")


def say(line: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
