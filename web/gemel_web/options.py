"""Options of the commands that serve, `gemel serve` and `gemel demo`. Native.

One that is not given is None: then the environment's GEMEL_SERVE_* counts, or the default that its help names.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from gemel import KV_TYPES, KvType

SERVER, SAFETY, MACHINE = "Server", "Safety", "Machine"


def option(*names: str, panel: str, metavar: str, default: str | bool, words: str, **more: Any) -> Any:  # noqa: ANN401
    """Return a typer option; unset, it is left to the environment."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, show_default=default, help=words, **more)


def flag(*names: str, panel: str, words: str) -> Any:  # noqa: ANN401
    """Return a typer option without a value."""
    return typer.Option(*names, rich_help_panel=panel, show_default=False, help=words)


def known_kv_type(given: object) -> object:
    """Check the value of --kv-type."""
    if given not in KV_TYPES:
        raise typer.BadParameter(f"{given!r} is not {' or '.join(KV_TYPES)}")
    return given


Alias = Annotated[str | None, option(
    "--alias", panel=SERVER, metavar="NAME", default="the short name, or the file's",
    words="What requests call the model.",
)]
Host = Annotated[str | None, option(
    "--host", panel=SERVER, metavar="ADDRESS", default="127.0.0.1: this machine only", words="Where to listen.",
)]
Port = Annotated[int | None, option(
    "--port", panel=SERVER, metavar="N", default="8090", words="Where to listen; 0: any free port.",
)]
Queue = Annotated[int | None, option(
    "--queue", panel=SERVER, metavar="N", default="32", words="Requests that may wait; further ones get a 429.",
)]
Page = Annotated[bool | None, flag(
    "--page/--no-page", panel=SERVER,
    words="A page that chats, beside the API; unset, it is there where its files are installed.",
)]
AccessLog = Annotated[bool | None, flag(
    "--access-log", panel=SERVER, words="Log a line for each request, on stderr.",
)]
ApiKey = Annotated[str | None, option(
    "--api-key", panel=SAFETY, metavar="KEY", default="none",
    words="Requests must bring it. Others can see this option: GEMEL_SERVE_API_KEY is safer.",
)]
AllowedHosts = Annotated[list[str] | None, option(
    "--allowed-host", panel=SAFETY, metavar="NAME", default="localhost, --host, any address in numbers",
    words="A name that clients may know this server by; * is any. May be given repeatedly.",
)]
AllowedOrigins = Annotated[list[str] | None, option(
    "--allowed-origin", panel=SAFETY, metavar="ORIGIN", default="none",
    words="An origin whose pages may use the API, or *. May be given repeatedly.",
)]
Threads = Annotated[int | None, option(
    "--threads", "-t", panel=MACHINE, metavar="N", default="GEMEL_THREADS, or physical cores",
    words="Threads that compute. Any number gives the same bits.",
)]
Isa = Annotated[str | None, option(
    "--isa", panel=MACHINE, metavar="ROW", default="GEMEL_ISA, or the best of this CPU",
    words="Row of kernels. Any gives the same bits.",
)]
Context = Annotated[int | None, option(
    "--ctx", panel=MACHINE, metavar="N", default="the file's limit, at most 4096",
    words="Tokens that a prompt and its answer may have together.",
)]
KvTypes = Annotated[KvType | None, option(
    "--kv-type", panel=MACHINE, metavar="TYPE", default="the model's", parser=known_kv_type,
    words="What the KV cache keeps: q8_0, f16, or f32 to compare with.",
)]
