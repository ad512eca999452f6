"""`gemel serve MODEL...`: OpenAI's and other APIs from models of this machine."""

from __future__ import annotations

from contextlib import closing

from gemel import Overrides

from ..options import ContextOption, IsaOption, KvTypeOption, ModelsArgument, ThreadsOption
from ..overrides import with_overrides
from . import options
from .packages import check_packages


@with_overrides
def serve(
    models: ModelsArgument,
    *,
    alias: options.Alias = None,
    host: options.Host = None,
    port: options.Port = None,
    parallel: options.Parallel = None,
    cache_memory: options.CacheMemory = None,
    max_memory: options.MaxMemory = None,
    queue: options.Queue = None,
    page: options.Page = None,
    access_log: options.AccessLog = None,
    api_key: options.ApiKey = None,
    allowed_host: options.AllowedHosts = None,
    allowed_origin: options.AllowedOrigins = None,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    ctx: ContextOption = None,
    kv_type: KvTypeOption = None,
    overrides: Overrides,
) -> None:
    """Serve each MODEL through OpenAI's API and others until Ctrl-C.

    Options under Server and Safety, except --alias, --max-memory and --page, can also be set
    in the environment, such as GEMEL_SERVE_PORT=8080.
    """
    check_packages("serve")
    from .page import needed_page, page_folder
    from .server import ModelOptions, aliases_of, listen, run, served_models
    from .settings import settings_of

    settings = settings_of({
        "host": host, "port": port, "parallel": parallel, "cache_memory": cache_memory, "queue": queue,
        "access_log": access_log, "api_key": api_key,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    })
    folder = None if page is False else needed_page() if page else page_folder()
    how = ModelOptions(threads=threads, isa=isa, ctx=ctx, kv_type=kv_type, overrides=overrides)
    named = aliases_of(models, alias, overrides)
    with closing(listen(settings.host, settings.port)) as listening, served_models(named, how, max_memory) as served:
        run(settings, served, listening, page=folder)
