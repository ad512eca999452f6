"""`gemel ps` and `gemel stop`: the models of a server that runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..options import JsonOption
from ..output import bytes_text, console, print_json, printable, say, table
from .client import Client, ServerOption

FOREVER = "9999"   # the year in which a model is unloaded that stays


def ps(server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the models that a running server has loaded, or is loading: memory, context, until when."""
    client = Client(server)
    running = {one["name"]: one for one in client.running()}
    rows = [
        _fact(model, running.get(model["id"])) for model in client.models() if model["status"]["value"] != "unloaded"
    ]
    if as_json:
        print_json({"server": client.url, "models": rows})
    elif rows:
        shown = table("name", "state", "memory", "context", "until", numbers=("memory", "context"))
        for row in rows:
            memory = "" if row["memory"] is None else bytes_text(row["memory"])
            state = row["state"] if row["progress"] is None else f"{row['state']}, {row['progress']:.0%}"
            until = row["until"] or ("its memory is needed" if row["state"] == "loaded" else "")
            shown.add_row(printable(row["name"]), state, memory, str(row["context"] or ""), until)
        console().print(shown)
    else:
        say(f"{client.url} has no model loaded; gemel list --server {client.url} shows those that it serves")


def _fact(model: dict[str, Any], running: dict[str, Any] | None) -> dict[str, Any]:
    found = running or {}
    expires = found.get("expires_at", FOREVER)
    return {
        "name": model["id"], "state": model["status"]["value"], "progress": model["status"].get("progress"),
        "memory": found.get("size"), "context": found.get("context_length"),
        "until": None if expires.startswith(FOREVER) else expires,
    }  # fmt: skip


def stop(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Models as gemel ps shows them.", show_default=False)
    ],
    server: ServerOption = None,
) -> None:
    """Unload models of a running server, once their answers have ended. A later request loads them again."""
    client = Client(server)
    for name in names:
        client.unload(name)
        typer.echo(f"{printable(name)}: unloaded when it is idle")
