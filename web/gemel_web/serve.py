"""`gemel serve MODEL`: OpenAI's API from a model of this machine. Native; an entry point of the command line."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer
from gemel import Overrides

from . import options
from .models import alias_of
from .server import MODEL_HELP, Machine, listen, needed_page, opened, page_folder, run, settings_from


def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)],
    *,
    alias: options.Alias = None,
    host: options.Host = None,
    port: options.Port = None,
    queue: options.Queue = None,
    page: options.Page = None,
    access_log: options.AccessLog = None,
    api_key: options.ApiKey = None,
    allowed_host: options.AllowedHosts = None,
    allowed_origin: options.AllowedOrigins = None,
    threads: options.Threads = None,
    isa: options.Isa = None,
    ctx: options.Context = None,
    kv_type: options.KvTypes = None,
    overrides: Overrides,
) -> None:
    """Serve MODEL by OpenAI's API, until Ctrl-C.

    All but MODEL, --alias, --page and the options of the machine and of the file's metadata can be set in the
    environment: GEMEL_SERVE_PORT=8080.
    """
    settings = settings_from("serve", {
        "host": host, "port": port, "queue": queue, "access_log": access_log, "api_key": api_key,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    })
    folder = None if page is False else needed_page() if page else page_folder()
    machine = Machine(threads=threads, isa=isa, ctx=ctx, kv_type=kv_type, overrides=overrides)
    with closing(listen(settings.host, settings.port)) as listening, opened(model, machine) as served:
        run(settings, alias_of(model) if alias is None else alias, served, listening, page=folder)
