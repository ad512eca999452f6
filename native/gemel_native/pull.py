"""`gemel pull`: downloads a model into the cache."""

from __future__ import annotations

from typing import Annotated

import gemel
import typer

from .progress import Bar

NAME_HELP = "A short name, a URL, hf:owner/repo:QUANT or hf:owner/repo/file.gguf."
SHORT_NAMES = "\n\n".join(
    ["Short names:", *(f"[bold]{name}[/bold]: {known.file}, {known.licence}" for name, known in gemel.NAMES.items())]
)


def pull(name: Annotated[str, typer.Argument(metavar="NAME", help=NAME_HELP, show_default=False)]) -> None:
    """Download a model into the cache, unless it is already there, and print its path.

    An interrupted download resumes. GEMEL_CACHE sets the cache's folder.
    """
    with Bar() as bar:
        path = gemel.pull(name, on_progress=bar)
    typer.echo(str(path))
