"""`gemel rerank`: documents, ordered by how well they answer a query."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from gemel import Overrides

from .opening import opened
from .options import IsaOption, ModelArgument, ThreadsOption, usage_error, whole
from .output import read_text
from .overrides import with_overrides
from .texts import FILES, texts_of


@with_overrides
def rerank(
    name: ModelArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What documents should answer.", show_default=False)],
    file: Annotated[str, typer.Argument(metavar="TEXTFILE", help=FILES, show_default=False)] = "-",
    *,
    top_n: Annotated[
        int | None, typer.Option("--top-n", "-n", metavar="N", parser=whole(1), help="Only the N best.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The classifier's scores, not chances from 0 to 1.")] = False,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    overrides: Overrides,
) -> None:
    """Print documents by their scores for a query, the best first, as lines of JSON.

    A line is {"index", "score", "text"}. MODEL is a reranker.
    """
    texts = list(texts_of(read_text(file)))
    if not texts:
        raise usage_error(f"{file}: there are no documents to rank")
    with opened(name, threads=threads, isa=isa, overrides=overrides) as loaded:
        for one in loaded.model.rerank(query, texts, top_n, normalize=not raw):
            line = {"index": one.index, "score": one.score, "text": texts[one.index]}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
