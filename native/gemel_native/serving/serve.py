"""`gemel serve MODEL...`: OpenAI's and other APIs from models of this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from gemel import Overrides

from ..options import (
    MODEL_HELP,
    ContextOption,
    DraftOption,
    IsaOption,
    KvTypeOption,
    NoDraftOption,
    ThreadsOption,
    draft_of,
)
from ..overrides import with_overrides
from . import options
from .packages import check_packages


@with_overrides
def serve(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL...]", help=MODEL_HELP, show_default=False)
    ] = None,
    *,
    alias: options.Alias = None,
    host: options.Host = None,
    port: options.Port = None,
    parallel: options.Parallel = None,
    cache_memory: options.CacheMemory = None,
    max_memory: options.MaxMemory = None,
    models_dir: options.ModelsDir = None,
    config: options.ConfigFile = None,
    keep_alive: options.KeepAlive = None,
    queue: options.Queue = None,
    page: options.Page = None,
    access_log: options.AccessLog = None,
    log_format: options.LogFormat = None,
    api_key: options.ApiKey = None,
    keys: options.Keys = None,
    ssl_certfile: options.Certificate = None,
    ssl_keyfile: options.PrivateKey = None,
    allowed_host: options.AllowedHosts = None,
    allowed_origin: options.AllowedOrigins = None,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    ctx: ContextOption = None,
    kv_type: KvTypeOption = None,
    draft: DraftOption = None,
    no_draft: NoDraftOption = False,
    overrides: Overrides,
) -> None:
    """Serve each MODEL through OpenAI's API and others until Ctrl-C.

    One MODEL alone is loaded at the start; several are loaded when a request asks for them. Without
    MODEL, or with --models-dir, the models in the cache are served, too, and clients of Ollama's API
    may pull, create, copy and delete models.

    Options under Server and Safety, except --alias, --max-memory, --models-dir, --config,
    --keep-alive and --page, can also be set in the environment, such as GEMEL_SERVE_PORT=8080,
    and all of them in the table [server] of --config.

    SIGHUP reads the file of --config again, SIGTERM and Ctrl-C stop the server in order.
    """
    check_packages("serve")
    from .start import start

    fields = {
        "host": host, "port": port, "parallel": parallel, "cache_memory": cache_memory, "queue": queue,
        "access_log": access_log, "log_format": log_format, "api_key": api_key, "keys": keys,
        "ssl_certfile": ssl_certfile, "ssl_keyfile": ssl_keyfile,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    }
    given = {
        "models": models or None, "alias": alias, "models_dir": models_dir, "max_memory": max_memory,
        "keep_alive": keep_alive, "page": page, "threads": threads, "isa": isa, "ctx": ctx, "kv_type": kv_type,
        "draft": draft_of(draft, no_draft) if draft is not None or no_draft else None,
    }
    start(fields, given, overrides, config)
