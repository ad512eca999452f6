"""A server of models, from its socket to its end: what `gemel serve` and `gemel demo` have in common."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import gemel
import gemel_web
import uvicorn
from gemel_web.observe import Observer
from gemel_web.observe.observer import Telemetry

from ..opening import check_ctx, opened
from ..output import counted, say
from .entry import Entry, Need, need_of, served_of
from .logs import start_log
from .protocol import Protocol, Server
from .registry import Models
from .settings import Settings

log = logging.getLogger("gemel_web.server")
ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)   # fmt: skip
MOST_NAMES = 10   # that the first line says
NO_LIMIT = 1 << 62   # bytes, where nothing says how much memory there is


def budget_of(max_memory: int | None) -> int:
    """Return the bytes that models may take together: what is given, and no more than there is now."""
    free = gemel.available_memory()
    if max_memory is None:
        return NO_LIMIT if free is None else free
    if free is not None and max_memory > free:
        say(f"--max-memory is {max_memory / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are available: that is the limit")
        return free
    return max_memory


@contextmanager
def models_of(
    entries: Sequence[Entry], *, max_memory: int | None, cache_memory: int | None, at_once: bool
) -> Iterator[Models]:
    """Return what opens a server's models. max_memory: bytes that they may take together; None: what there is.

    at_once: open the only one now, so that what is wrong with it is an error of the command.
    """
    budget = budget_of(max_memory)
    models = Models([] if at_once else entries, budget=budget, cache_memory=cache_memory)
    with ExitStack() as stack:
        if at_once:
            entry = entries[0]
            need = None if max_memory is None else need_of(entry, budget, cache_memory)
            served = stack.enter_context(opened_entry(entry, None if need is None else need.cache))
            if need is None:   # what it takes is not limited, but its caches are
                with served.model.batch(cache_memory=cache_memory) as batch:
                    cache = batch.cache_memory
                served, need = replace(served, cache_memory=cache), Need(weights_of(served.model) + cache, cache)
            models.add(entry, served, need)
        yield models


def weights_of(model: gemel.Model) -> int:
    """Return the bytes of a model's weights, and of its draft's."""
    draft = model.draft
    return model.weight_size + (draft.weight_size if isinstance(draft, gemel.Model) else 0)


@contextmanager
def opened_entry(entry: Entry, cache: int | None) -> Iterator[gemel_web.ServedModel]:
    """Open a model before the server begins, for as long as it is served. cache: bytes of its KV caches."""
    how = entry.how
    with opened(
        entry.source, threads=how.threads, isa=how.isa, draft=how.draft, overrides=how.overrides, log_progress=True
    ) as loaded:
        check_ctx(loaded.model, how.ctx)
        yield served_of(entry, loaded.model, cache)


# ---- The server ------------------------------------------------------------------------------------------------------


def run(
    settings: Settings, models: Models, listening: socket.socket, *,
    page: Path | None, ready: Callable[[str], None] | None = None, reload: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Serve models, and a page, on a listening socket until a signal arrives.

    ready: is called with the address; reload: at SIGHUP, in the event loop.
    """
    start_log(settings.log_format)
    tell = say if settings.log_format == "text" else log.info
    app = gemel_web.create_app(settings.config(), models, static=page, observer=Observer(telemetry_of()))
    limits = {"head_seconds": settings.head_seconds, "write_seconds": settings.write_seconds}
    connection = type("Connection", (Protocol,), limits)
    config = uvicorn.Config(
        app, http=connection, ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, ssl_certfile=settings.ssl_certfile, ssl_keyfile=settings.ssl_keyfile,
        timeout_graceful_shutdown=math.ceil(settings.stop_seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    url = url_of(host, port, secure=settings.ssl_certfile is not None)
    and_page = "" if page is None else f", the page at {url}/"
    names = models.aliases()
    first = next(iter(models.open_models().values()), None)
    how = "loaded on demand" if first is None else f"{first.isa}, {counted(first.threads, 'thread')}"
    who = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    are = "is" if len(names) == 1 else "are"
    tell(f"{who or 'no model yet'} {are} served at {url}/v1 ({how}){and_page}; Ctrl-C stops it")
    if settings.api_key is None and settings.keys is None and not host.startswith("127.") and host != "::1":
        tell("there is no API key: anyone who can reach this address can use the model (GEMEL_SERVE_API_KEY or --keys "
             "sets one)")
    if ready is not None:
        ready(f"{url}/")
    server = Server(config, app.state.scheduler, stop_seconds=settings.stop_seconds, reload=reload)
    server.run(sockets=[listening])


def telemetry_of() -> Telemetry | None:
    """Return what sends traces and metrics, if OpenTelemetry's variables say where to; GemelError without packages."""
    asked = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if asked is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from gemel_web.observe.telemetry import Telemetry as Sender
    except ImportError as error:
        words = f"{asked} is set, but packages are missing ({error}): pip install 'gemel[otel]', or unset it"
        raise gemel.GemelError(words) from error
    return Sender()


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


def url_of(host: str, port: int, *, secure: bool = False) -> str:
    """Return the server's address as a browser on this machine reaches it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http{'s' if secure else ''}://{name}:{port}"

