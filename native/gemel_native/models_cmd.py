"""`gemel list` and `gemel rm`: what is in the cache of downloaded models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import gemel
import typer

from .options import JsonOption
from .output import bytes_text, console, print_json, printable, say, table


def list_models(as_json: JsonOption = False) -> None:
    """List the models in the cache: name, size, path."""
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


def _fact(entry: gemel.cache.Entry) -> dict[str, object]:
    return {**asdict(entry), "path": str(entry.path)}


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names as gemel list shows them.", show_default=False)
    ],
) -> None:
    """Delete models from the cache, including unfinished downloads, and print how much space that freed."""
    for name in names:
        freed = gemel.cache.delete(name)
        typer.echo(f"{printable(name)}: {bytes_text(freed)} freed")
