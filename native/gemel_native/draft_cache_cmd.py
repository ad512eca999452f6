"""`gemel draft-cache`: texts become a file that drafts for a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import gemel
import typer

from .opening import opened
from .options import ModelArgument, whole
from .output import bytes_text, counted, read_text, say

LEAST_HELP = "Keep what follows tokens that occur at least N times."


def draft_cache(
    name: ModelArgument,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Files of text; - reads stdin.", show_default=False)
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    least: Annotated[int, typer.Option("--least", metavar="N", parser=whole(1), help=LEAST_HELP)] = 2,
) -> None:
    """Write which tokens follow others in texts, for --draft FILE.

    Answers that resemble the texts are then faster: code like that of a project, letters like those of an office. The
    file is for models with MODEL's vocabulary.
    """
    with opened(name, threads=1, draft=False) as loaded:
        data = loaded.model.draft_cache(read(texts), least=least)
    try:
        output.write_bytes(data)
    except OSError as error:
        raise gemel.SourceError(f"--output {output} can't be written: {error.strerror or error}") from error
    say(f"{output}: {bytes_text(len(data))}, of {counted(len(texts), 'text')}")


def read(texts: list[str]) -> Iterator[str]:
    """Yield the texts, one file after another."""
    for one in texts:
        yield read_text(one)
