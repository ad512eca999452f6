"""`gemel embed`: texts become rows of numbers, as JSON lines or as a .npy file."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import gemel
import typer
from gemel import Overrides

from .opening import opened
from .options import IsaOption, ModelArgument, ThreadsOption, usage_error, whole
from .output import read_text
from .overrides import with_overrides
from .texts import FILES, texts_of

AT_ONCE = 256   # texts between two writes
Pooling = Literal["mean", "first", "cls", "last"]


@with_overrides
def embed(
    name: ModelArgument,
    file: Annotated[str, typer.Argument(metavar="TEXTFILE", help=FILES, show_default=False)] = "-",
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.npy", help="Write a .npy file of float32 instead.")
    ] = None,
    pooling: Annotated[Pooling | None, typer.Option(help="How rows are pooled.", show_default="the file's")] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Comes before every text.")] = None,
    dim: Annotated[
        int | None, typer.Option("--dim", metavar="N", parser=whole(1), help="Only the first N numbers of each row.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Don't bring rows to length 1.")] = False,
    chunk: Annotated[bool, typer.Option("--chunk", help="Embed texts that are too long in parts.")] = False,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    overrides: Overrides,
) -> None:
    """Print the embedding of each text as a line of JSON.

    A line is {"index", "embedding"}; an empty line of TEXTFILE is an error, because it has no text.
    """
    texts = list(texts_of(read_text(file)))
    if not texts:
        raise usage_error(f"{file}: there are no texts to embed")
    options: dict[str, Any] = {
        "pooling": pooling, "prompt": prompt, "truncate_dim": dim, "normalize": not raw,
        "overflow": "chunk" if chunk else "error",
    }   # fmt: skip
    with opened(name, threads=threads, isa=isa, overrides=overrides) as loaded:
        rows = _rows(loaded.model, texts, options)
        if output is None:
            for i, row in enumerate(rows):
                sys.stdout.write(json.dumps({"index": i, "embedding": list(row)}) + "\n")
        else:
            _write_npy(output, len(texts), dim or loaded.model.n_embd, rows)


def _rows(model: gemel.Model, texts: Sequence[str], options: dict[str, Any]) -> Iterator[memoryview[float]]:
    for at in range(0, len(texts), AT_ONCE):
        part = texts[at : at + AT_ONCE]
        found = memoryview(model.embed(part, **options)).cast("B").cast("f")
        n_dim = len(found) // len(part)
        yield from (found[i * n_dim : (i + 1) * n_dim] for i in range(len(part)))


def _write_npy(path: Path, n: int, n_dim: int, rows: Iterator[memoryview[float]]) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {n_dim}), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    part = path.with_name(f"{path.name}.part")   # until all rows are there
    try:
        with part.open("wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
            for row in rows:
                file.write(struct.pack(f"<{n_dim}f", *row))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
