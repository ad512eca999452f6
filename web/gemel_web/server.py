"""A server of one model, from its socket to its end: what `gemel serve` and `gemel demo` have in common. Native.

What the extra `serve` brings is imported when a command runs, so that the list of commands needs none of it.
"""

from __future__ import annotations

import errno
import json
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
from typing import TYPE_CHECKING, Any

import gemel
import typer
from gemel import KvType, Overrides

if TYPE_CHECKING:
    from .models import Served
    from .settings import Settings

STATIC = Path(__file__).parent / "static"
MODEL_HELP = "A GGUF file, a URL, hf:owner/repo/file.gguf, or a short name."


def settings_from(command: str, options: dict[str, Any]) -> Settings:
    """Return the settings of options (None: not given) and the environment; GemelError where packages are missing."""
    try:
        import uvicorn  # noqa: F401

        from . import app  # noqa: F401
        from .settings import settings_of
    except ImportError as error:
        raise gemel.GemelError(f"gemel {command} needs more packages ({error}): pip install 'gemel[serve]'") from error
    return settings_of(options)


# ---- The model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a model is evaluated here; None: as gemel.open does it."""

    threads: int | None
    isa: str | None
    ctx: int | None
    kv_type: KvType | None
    overrides: Overrides


@contextmanager
def opened(model: str, machine: Machine) -> Iterator[Served]:
    """Open the model for as long as it is served."""
    from .models import Served

    with gemel.open(
        model, threads=machine.threads, isa=machine.isa, on_progress=Progress(), overrides=machine.overrides
    ) as found:
        if machine.ctx is not None and not 1 <= machine.ctx <= found.n_ctx:
            raise typer.BadParameter(f"--ctx {machine.ctx}: {found.name} allows 1 to {found.n_ctx}")
        yield Served(found, files_of(model), machine.ctx, int(time.time()), machine.kv_type)


def files_of(model: str, *, on_progress: Callable[[str, int, int], None] | None = None) -> tuple[Path, ...]:
    """Return the model's files on this machine, in order; what is not here is downloaded."""
    return gemel.model_files(model, on_progress=on_progress)


class Progress:
    """A gemel on_progress: a line at each tenth of a download, on stderr."""

    def __init__(self) -> None:
        self._tenth = -1

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say how far a download is."""
        if stage == "download" and total and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(f"downloading: {self._tenth * 10} % of {total / 1e6:.0f} MB")


# ---- The page --------------------------------------------------------------------------------------------------------


def page_folder() -> Path | None:
    """Return the folder of the page; None where it was installed without what `make assets` gathers.

    GemelError where a file is missing, or is not the one that assets.json names.
    """
    try:
        assets = json.loads((STATIC / "assets.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for file in [one for group in assets.values() for one in group]:
        path = STATIC / file["name"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            raise gemel.GemelError(
                f"{path} is missing, or is not the file that assets.json names: run `make assets` again in a source "
                "tree, reinstall gemel elsewhere, or do without the page (gemel serve --no-page)"
            )
    return STATIC


def needed_page() -> Path:
    """Return the folder of the page; GemelError where there is none."""
    found = page_folder()
    if found is None:
        raise gemel.GemelError(
            f"there is no {STATIC / 'assets.json'}: this gemel was installed without its page's files (Pyodide, "
            "wheels); in a source tree `make assets` makes them, elsewhere install a wheel that was built after that"
        )
    return found


# ---- The server ------------------------------------------------------------------------------------------------------


def run(
    settings: Settings, alias: str, served: Served, listening: socket.socket, *,
    page: Path | None, ready: Callable[[str], None] | None = None,
) -> None:
    """Serve one model, and a page beside it, on an open socket until a signal comes. ready: is called with the address.
    """
    import uvicorn

    from . import create_app
    from .protocol import Protocol, Server

    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("gemel_web").setLevel(logging.INFO)
    app = create_app(settings.config(), {alias: served}, static=page)
    limits = {"head_seconds": settings.head_seconds, "write_seconds": settings.write_seconds}
    connection = type("Connection", (Protocol,), limits)
    config = uvicorn.Config(
        app, http=connection, ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(settings.stop_seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    url = url_of(host, port)
    beside = "" if page is None else f", the page at {url}/"
    how = f"{served.model.isa}, {served.model.threads} threads"
    say(f"{alias} is served at {url}/v1 ({how}){beside}; Ctrl-C stops it")
    if settings.api_key is None and not host.startswith("127.") and host != "::1":
        say("there is no API key: whoever reaches this address can use the model (GEMEL_SERVE_API_KEY sets one)")
    if ready is not None:
        ready(f"{url}/")
    Server(config, app.state.scheduler, stop_seconds=settings.stop_seconds).run(sockets=[listening])


def listen(host: str, port: int, *, instead: bool = False) -> socket.socket:
    """Return a socket that listens. A GemelError names what is in the way. instead: of a port in use, take a free one.
    """
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
        if instead and error.errno == errno.EADDRINUSE:
            say(f"port {port} is in use; taking a free one")
            return listen(host, 0)
        raise gemel.GemelError(
            f"can't listen on {host}, port {port}: {error.strerror}; another --port may be free, --port 0 takes any"
        ) from None
    return made


def url_of(host: str, port: int) -> str:
    """Return the address of the server for people on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def say(line: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
