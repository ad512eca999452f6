"""Options of `gemel serve` and `gemel demo`.

An option that is not given is None: then GEMEL_SERVE_* of the environment applies, or the default that its help names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

SERVER, SAFETY = "Server", "Safety"


def option(*names: str, panel: str, metavar: str, default: str | bool, words: str, **more: Any) -> Any:  # noqa: ANN401
    """Return a typer option whose default comes from the environment."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, show_default=default, help=words, **more)


def flag(*names: str, panel: str, words: str) -> Any:  # noqa: ANN401
    """Return a typer option without a value."""
    return typer.Option(*names, rich_help_panel=panel, show_default=False, help=words)


Alias = Annotated[str | None, option(
    "--alias", panel=SERVER, metavar="NAME", default="the short name, or the file's name",
    words="The name of the model in requests.",
)]
Host = Annotated[str | None, option(
    "--host", panel=SERVER, metavar="ADDRESS", default="127.0.0.1: this machine only", words="Address to listen on.",
)]
Port = Annotated[int | None, option(
    "--port", panel=SERVER, metavar="N", default="8090", words="Port to listen on; 0: any free port.",
)]
Parallel = Annotated[int | None, option(
    "--parallel", panel=SERVER, metavar="N", default="64", words="How many answers are generated at the same time.",
)]
CacheMemory = Annotated[int | None, option(
    "--cache-memory", panel=SERVER, metavar="MB", default="a quarter of the free memory",
    words="Memory for KV caches, including those that are kept from earlier requests.",
)]
MaxMemory = Annotated[str | None, option(
    "--max-memory", panel=SERVER, metavar="SIZE", default="what is free",
    words="Memory that the models may take together, such as 12GB: weights, KV caches, workspaces. What a model takes "
    "is known before it is read; others are unloaded to make room.",
)]
ModelsDir = Annotated[Path | None, option(
    "--models-dir", panel=SERVER, metavar="DIR", default="none",
    words="A folder whose GGUF files are served, too, each under its name without .gguf.",
)]
ConfigFile = Annotated[Path | None, option(
    "--config", panel=SERVER, metavar="FILE", default="none",
    words="Settings in TOML: in [server] these options, in a table for each model its context, cache type, template, "
    "sampling, further names and keep_alive.",
)]
KeepAlive = Annotated[str | None, option(
    "--keep-alive", panel=SERVER, metavar="TIME", default="until its memory is needed",
    words="How long a model stays loaded that nobody asks, such as 10m.",
)]
Queue = Annotated[int | None, option(
    "--queue", panel=SERVER, metavar="N", default="32",
    words="How many further requests may wait; any more get a 429.",
)]
Page = Annotated[bool | None, flag(
    "--page/--no-page", panel=SERVER,
    words="Serve the chat page, too; by default it is served if its files are installed.",
)]
AccessLog = Annotated[bool | None, flag(
    "--access-log", panel=SERVER, words="Log one line per request, on stderr.",
)]
LogFormat = Annotated[str | None, option(
    "--log-format", panel=SERVER, metavar="FORMAT", default="text",
    words="text, or json: one object per line. Never a prompt or an answer.",
)]
ApiKey = Annotated[str | None, option(
    "--api-key", panel=SAFETY, metavar="KEY", default="none",
    words="Key that requests must send. Other users of this machine can see it: GEMEL_SERVE_API_KEY is safer.",
)]
Keys = Annotated[Path | None, option(
    "--keys", panel=SAFETY, metavar="FILE", default="none",
    words="A file of keys that gemel keys makes, each with its scopes and limits. Changes count at once.",
)]
Certificate = Annotated[Path | None, option(
    "--ssl-certfile", panel=SAFETY, metavar="FILE", default="none: plain HTTP",
    words="A certificate with its chain, in PEM: serve HTTPS.",
)]
PrivateKey = Annotated[Path | None, option(
    "--ssl-keyfile", panel=SAFETY, metavar="FILE", default="in --ssl-certfile",
    words="The certificate's private key, in PEM, without a password.",
)]
AllowedHosts = Annotated[list[str] | None, option(
    "--allowed-host", panel=SAFETY, metavar="NAME", default="localhost, --host, any IP address",
    words="A host name that clients may use for this server; *: any. May be given repeatedly.",
)]
AllowedOrigins = Annotated[list[str] | None, option(
    "--allowed-origin", panel=SAFETY, metavar="ORIGIN", default="none",
    words="An origin whose pages may use the API; *: any. May be given repeatedly.",
)]
