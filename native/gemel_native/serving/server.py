"""A server of models, from its socket to its end: what `gemel serve` and `gemel demo` have in common."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import gemel
import gemel_web
import uvicorn
from gemel import KvType, Overrides
from gemel_web.models import alias_of

from ..opening import check_ctx, opened
from ..options import usage_error
from ..output import counted, say
from .protocol import Protocol, Server
from .settings import Settings

DEFAULT_N_CTX = 4096   # of a model whose file allows as much

# ---- The model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How to open the model and evaluate it; None: the defaults of gemel.open and Model.session."""

    threads: int | None
    isa: str | None
    ctx: int | None
    kv_type: KvType | None
    overrides: Overrides


def aliases_of(models: Sequence[str], alias: str | None, overrides: Overrides) -> dict[str, str]:
    """Return the models by their aliases. A usage error where two have the same, and for options of a single model."""
    if len(models) > 1:
        for option, value in (("--alias", alias), ("--override and the options for RoPE", overrides)):
            if value:
                raise usage_error(f"{option}: only for one MODEL, but there are {len(models)}")
    found: dict[str, str] = {}
    for model in models:
        name = alias_of(model) if alias is None else alias
        if name in found:
            raise usage_error(f"MODEL {model}: {name} is also the alias of {found[name]}: rename one of the files")
        found[name] = model
    return found


@contextmanager
def served_models(
    models: Mapping[str, str], options: ModelOptions, max_memory: int | None = None
) -> Iterator[dict[str, gemel_web.ServedModel]]:
    """Open models, given by alias, for as long as they are served. max_memory: MB that they may take."""
    if max_memory is not None:
        check_memory(models, options, 10**6 * max_memory)
    with ExitStack() as opening:
        yield {alias: opening.enter_context(served_model(model, options)) for alias, model in models.items()}


def check_memory(models: Mapping[str, str], options: ModelOptions, limit: int) -> None:
    """Raise OutOfMemoryError if the models, with one full context each, need more. Only their headers are read."""
    needed = {}
    for alias, model in models.items():
        plan = gemel.plan(
            model, n_ctx=_n_ctx(model, options), kv_type=options.kv_type, threads=options.threads,
            overrides=options.overrides,
        )  # fmt: skip
        needed[alias] = plan.total
    total = sum(needed.values())
    if total > limit:
        each = ", ".join(f"{alias} {size / 1e6:,.0f} MB" for alias, size in needed.items())
        raise gemel.OutOfMemoryError(
            f"the models need {total / 1e6:,.0f} MB ({each}), but --max-memory is {limit / 1e6:,.0f} MB: serve fewer "
            "models, or less context (--ctx)"
        )


def _n_ctx(model: str, options: ModelOptions) -> int:
    """Return the context with which a model will be served."""
    if options.ctx is not None:
        return options.ctx
    with gemel.inspect(model) as header:
        key = f"{header.metadata.get('general.architecture')}.context_length"
        limit = options.overrides.get(key, header.metadata.get(key))
    return min(limit, DEFAULT_N_CTX) if isinstance(limit, int) else DEFAULT_N_CTX


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
    settings: Settings, served: Mapping[str, gemel_web.ServedModel], listening: socket.socket, *,
    page: Path | None, ready: Callable[[str], None] | None = None,
) -> None:
    """Serve models, and a page, on a listening socket until a signal arrives. ready: is called with the address."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("gemel_web").setLevel(logging.INFO)
    app = gemel_web.create_app(settings.config(), served, static=page)
    limits = {"head_seconds": settings.head_seconds, "write_seconds": settings.write_seconds}
    connection = type("Connection", (Protocol,), limits)
    config = uvicorn.Config(
        app, http=connection, ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(settings.stop_seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    url = url_of(host, port)
    and_page = "" if page is None else f", the page at {url}/"
    first = next(iter(served.values())).model
    how = f"{first.isa}, {counted(first.threads, 'thread')}"
    are = "is" if len(served) == 1 else "are"
    say(f"{', '.join(served)} {are} served at {url}/v1 ({how}){and_page}; Ctrl-C stops it")
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

