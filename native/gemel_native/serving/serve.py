"""`gemel serve MODEL...`: OpenAI's and other APIs from models of this machine."""

from __future__ import annotations

from contextlib import closing
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
    api_key: options.ApiKey = None,
    keys: options.Keys = None,
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
    --keep-alive and --page, can also be set in the environment, such as GEMEL_SERVE_PORT=8080.
    """
    check_packages("serve")
    from .config_file import Settings
    from .entries import aliases_of, entries_of, size_of, time_of
    from .entry import ModelOptions
    from .page import needed_page, page_folder
    from .server import listen, models_of, run
    from .settings import settings_of
    from .shelf import Files

    settings = settings_of({
        "host": host, "port": port, "parallel": parallel, "cache_memory": cache_memory, "queue": queue,
        "access_log": access_log, "api_key": api_key, "keys": keys,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    })
    folder = None if page is False else needed_page() if page else page_folder()
    drafts = draft_of(draft, no_draft)
    how = ModelOptions(threads=threads, isa=isa, ctx=ctx, kv_type=kv_type, draft=drafts, overrides=overrides)
    named = aliases_of(models or [], alias, overrides)
    file = None if config is None else Settings(config)
    alive = None if keep_alive is None else time_of(keep_alive)
    entries = entries_of(named, how, folder=models_dir, settings=file, keep_alive=alive)
    limit = None if max_memory is None else size_of(max_memory)
    opening = models_of(
        entries, max_memory=limit, cache_memory=settings.cache_bytes,
        at_once=len(entries) == len(named) == 1 and models_dir is None,
    )
    with closing(listen(settings.host, settings.port)) as listening, opening as served:
        if not named or models_dir is not None:
            files = Files(served, how, alive)
            served.shelf, served.named = files, files.alias
        run(settings, served, listening, page=folder)
