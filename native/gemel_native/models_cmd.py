"""`gemel list` and `gemel rm`: what is in the cache of downloaded models, or what a running server serves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import gemel
import typer

from .options import JsonOption
from .output import bytes_text, console, print_json, printable, say, table
from .serving.client import Client

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", show_default="the cache", help="Ask a running server, not the cache."),
]


def list_models(server: Server = None, as_json: JsonOption = False) -> None:
    """List the models in the cache: name, size, path; with --server those that a running server serves."""
    if server is not None:
        _list_served(Client(server), as_json=as_json)
        return
    held = gemel.cache.list()
    if as_json:
        print_json({"folder": str(gemel.cache.folder()), "models": [_fact(entry) for entry in held]})
    elif held:
        rows = table("name", "size", "path", numbers=("size",))
        for one in held:
            rows.add_row(printable(one.name), bytes_text(one.size), printable(str(one.path)))
        console().print(rows)
    else:
        say(f"the cache {gemel.cache.folder()} holds no model; gemel pull NAME downloads one")


def _list_served(client: Client, *, as_json: bool) -> None:
    states = {model["id"]: model["status"]["value"] for model in client.models()}
    found = [{"name": one["name"], "size": one["size"], "state": states.get(one["name"], "")} for one in client.tags()]
    if as_json:
        print_json({"server": client.url, "models": found})
        return
    rows = table("name", "size", "state", numbers=("size",))
    for one in found:
        rows.add_row(printable(one["name"]), bytes_text(one["size"]), one["state"])
    console().print(rows)


def _fact(entry: gemel.cache.Entry) -> dict[str, object]:
    return {**asdict(entry), "path": str(entry.path)}


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names as gemel list shows them.", show_default=False)
    ],
    server: Server = None,
) -> None:
    """Delete models from the cache, including unfinished downloads, and print how much space that freed.

    With --server, a running server deletes models that were pulled or created.
    """
    if server is not None:
        client = Client(server)
        for name in names:
            client.delete(name)
            typer.echo(f"{printable(name)}: deleted")
        return
    for name in names:
        freed = gemel.cache.delete(name)
        typer.echo(f"{printable(name)}: {bytes_text(freed)} freed")
