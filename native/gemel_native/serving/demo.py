"""`gemel demo [MODEL]`: the server with its page, opened in a browser."""

from __future__ import annotations

import os
import threading
import webbrowser
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
from ..output import say
from ..overrides import with_overrides
from . import options
from .packages import check_packages

MODEL = "smollm2-135m-instruct"


@with_overrides
def demo(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)] = MODEL,
    *,
    open_: Annotated[bool, options.flag(
        "--open/--no-open", panel=options.SERVER, words="Open the page in a browser, or only print its address.",
    )] = True,
    alias: options.Alias = None,
    host: options.Host = None,
    port: Annotated[int | None, options.option(
        "--port", panel=options.SERVER, metavar="N", default="8090, or a free one if that is in use",
        words="Port to listen on; 0: any free port.",
    )] = None,
    allowed_origin: options.AllowedOrigins = None,
    access_log: options.AccessLog = None,
    log_format: options.LogFormat = None,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    ctx: ContextOption = None,
    kv_type: KvTypeOption = None,
    draft: DraftOption = None,
    no_draft: NoDraftOption = False,
    overrides: Overrides,
) -> None:
    """Open a page that chats with MODEL, in the browser's tab or on this machine. Ctrl-C stops the server.

    This is gemel serve with its page; the same environment variables apply.
    """
    check_packages("demo")
    from .entries import aliases_of, entries_of
    from .entry import ModelOptions
    from .page import needed_page
    from .server import listen, models_of, run
    from .settings import settings_of

    settings = settings_of({
        "host": host, "port": port, "access_log": access_log, "log_format": log_format,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
    })  # fmt: skip
    page = needed_page()
    drafts = draft_of(draft, no_draft)
    how = ModelOptions(threads=threads, isa=isa, ctx=ctx, kv_type=kv_type, draft=drafts, overrides=overrides)
    listening = listen(settings.host, settings.port, instead="port" not in settings.model_fields_set)
    entries = entries_of(aliases_of([model], alias, overrides), how)
    opening = models_of(entries, max_memory=None, cache_memory=settings.cache_bytes, at_once=True)
    with closing(listening), opening as served:
        run(settings, served, listening, page=page, ready=show if open_ else None)


def show(url: str) -> None:
    """Open the page in the default browser, without waiting for it; print the address if there is no browser."""
    threading.Thread(target=_show, args=(url,), daemon=True).start()


def _show(url: str) -> None:
    try:
        if not is_text(browser := webbrowser.get()) and browser.open(url):
            return
    except webbrowser.Error:
        pass
    say(f"no browser was found: open {url} yourself")


def is_text(browser: webbrowser.BaseBrowser) -> bool:
    """Tell whether a browser would take over this terminal, without being asked for by BROWSER."""
    return type(browser) is webbrowser.GenericBrowser and "BROWSER" not in os.environ
