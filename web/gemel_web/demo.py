"""`gemel demo [MODEL]`: the server with its page, shown in a browser. Native; an entry point of the command line."""

from __future__ import annotations

import os
import threading
import webbrowser
from contextlib import closing
from typing import Annotated

import typer
from gemel import Overrides

from . import options
from .models import alias_of
from .server import MODEL_HELP, Machine, listen, needed_page, opened, run, say, settings_from

MODEL = "smollm2-135m-instruct"


def demo(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)] = MODEL,
    *,
    open_: Annotated[bool, options.flag(
        "--open/--no-open", panel=options.SERVER, words="Open the page in a browser, or only say where it is.",
    )] = True,
    alias: options.Alias = None,
    host: options.Host = None,
    port: Annotated[int | None, options.option(
        "--port", panel=options.SERVER, metavar="N", default="8090, or a free one when that is in use",
        words="Where to listen; 0: any free port.",
    )] = None,
    access_log: options.AccessLog = None,
    threads: options.Threads = None,
    isa: options.Isa = None,
    ctx: options.Context = None,
    kv_type: options.KvTypes = None,
    overrides: Overrides,
) -> None:
    """Open a page that chats with MODEL: in the browser's tab, or by this machine. Until Ctrl-C.

    It is gemel serve with its page, and takes the same environment.
    """
    settings = settings_from("demo", {"host": host, "port": port, "access_log": access_log})
    page = needed_page()
    machine = Machine(threads=threads, isa=isa, ctx=ctx, kv_type=kv_type, overrides=overrides)
    listening = listen(settings.host, settings.port, instead="port" not in settings.model_fields_set)
    with closing(listening), opened(model, machine) as served:
        name = alias_of(model) if alias is None else alias
        run(settings, name, served, listening, page=page, ready=show if open_ else None)


def show(url: str) -> None:
    """Open the page in the person's browser, without waiting for it; say so where there is none."""
    threading.Thread(target=_show, args=(url,), daemon=True).start()


def _show(url: str) -> None:
    try:
        if not is_text(browser := webbrowser.get()) and browser.open(url):
            return
    except webbrowser.Error:
        pass
    say(f"no browser was found here: open {url} in one")


def is_text(browser: webbrowser.BaseBrowser) -> bool:
    """Tell whether it is one that takes this terminal, which nobody has asked for by BROWSER."""
    return type(browser) is webbrowser.GenericBrowser and "BROWSER" not in os.environ
