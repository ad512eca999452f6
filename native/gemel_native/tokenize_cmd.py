"""`gemel tokenize`: turns text into ids."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .opening import opened
from .options import JsonOption, ModelArgument
from .output import print_json, printable, read_text
from .overrides import OverrideOption, overrides_of


def tokenize(
    name: ModelArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text; - reads all of stdin.", show_default=False)],
    *,
    special: Annotated[bool, typer.Option("--special", help="Parse special tokens spelled out in TEXT.")] = False,
    bos: Annotated[
        bool, typer.Option("--bos", help="Add BOS before and EOS after the text, if the model uses them.")
    ] = False,
    override: OverrideOption = None,
    json: JsonOption = False,
) -> None:
    """Print the ids of a text, one per line, each with its piece.

    Bytes of a piece that are not valid UTF-8 are shown as escapes.
    """
    given = read_text("-") if text == "-" else text
    with opened(name, threads=1, overrides=overrides_of({"override": override})) as loaded:
        model = loaded.model
        ids = model.tokenize(given, special=special, bos_eos=bos)
        pieces = [model.piece(id, special=True).decode("utf-8", "backslashreplace") for id in ids]
    if json:
        print_json({"ids": ids, "pieces": pieces})
        return
    sys.stdout.writelines(f"{id}\t{printable(piece)}\n" for id, piece in zip(ids, pieces, strict=True))
