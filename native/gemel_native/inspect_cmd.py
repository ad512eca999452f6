"""`gemel inspect`: prints a file's header. Weights are not read, so the file may have any size."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import gemel
import typer

from .options import JsonOption, usage_error
from .output import bytes_text, console, facts, print_json, printable, table
from .progress import Bar

SHOWN_ITEMS = 6      # of an array in the table
WHOLE_ITEMS = 64     # longest array that JSON has whole
SHOWN_TEXT = 72      # characters of a string in the table

FILE_HELP = "A GGUF file, or a short name or URL, which is downloaded first."
FULL_HELP = f"With --json: print arrays of over {WHOLE_ITEMS} items in full, not only their length and first items."


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help=FILE_HELP, show_default=False)],
    *,
    full: Annotated[bool, typer.Option("--full", help=FULL_HELP)] = False,
    json: JsonOption = False,
) -> None:
    """Print a file's metadata and tensor table. Works for any architecture; only the header is read."""
    if full and not json:
        raise usage_error("--full has no effect without --json")
    with Bar() as bar:
        gguf = gemel.inspect(file, on_progress=bar)
    with gguf:
        if json:
            print_json(as_json(gguf, full=full))
        else:
            show(gguf)


def as_json(gguf: gemel.Gguf, *, full: bool) -> dict[str, Any]:
    """Return what --json prints."""
    metadata: dict[str, Any] = {}
    for key in gguf.metadata:
        value = gguf.metadata.first(key, None if full else WHOLE_ITEMS)
        count = gguf.metadata.size_of(key)
        is_cut = isinstance(value, list) and len(value) < count
        metadata[key] = {"count": count, "first": value} if is_cut else value
    tensors = [
        {"name": t.name, "format": t.format, "shape": list(t.shape), "offset": t.offset, "size": t.size,
         "computed": t.computed, "slot": t.slot}
        for t in gguf.tensors
    ]   # fmt: skip
    return {
        "file": gguf.name, "size": gguf.size, "version": gguf.version, "data_offset": gguf.data_offset,
        "n_params": n_params(gguf), "warnings": list(gguf.warnings), "metadata": metadata, "tensors": tensors,
    }


def n_params(gguf: gemel.Gguf) -> int:
    """Return the number of weights in all tensors."""
    total = 0
    for tensor in gguf.tensors:
        count = 1
        for ne in tensor.shape:
            count *= ne
        total += count
    return total


def show(gguf: gemel.Gguf) -> None:
    """Print the header as tables."""
    formats = Counter(tensor.format for tensor in gguf.tensors)
    missing = sorted({tensor.format for tensor in gguf.tensors if not tensor.computed})
    about = {
        "file": gguf.name,
        "size": f"{bytes_text(gguf.size)}, GGUF version {gguf.version}, tensor data from offset {gguf.data_offset}",
        "weights": f"{n_params(gguf) / 1e6:.4g} M in {len(gguf.tensors)} tensors: "
        + ", ".join(f"{count} {name}" for name, count in formats.most_common()),
    }
    arch = gguf.metadata.get("general.architecture")
    if arch not in gemel.ARCHITECTURES:
        about["not supported"] = f"architecture {arch!r} (supported: {', '.join(gemel.ARCHITECTURES)})"
    if missing:
        about["unsupported formats"] = f"{', '.join(missing)}: gemel can inspect this file, but not run it"
    about |= {"warning" + f" {i}" * (i > 1): text for i, text in enumerate(gguf.warnings, 1)}
    keys = table("key", "value")
    for key in gguf.metadata:
        keys.add_row(printable(key), printable(value_text(gguf.metadata, key)))
    tensors = table("tensor", "slot", "format", "shape", "offset", "bytes", numbers=("shape", "offset", "bytes"))
    for t in gguf.tensors:
        shape = " x ".join(map(str, t.shape))
        tensors.add_row(printable(t.name), t.slot or "-", t.format, shape, str(t.offset), str(t.size))
    out = console()
    for part in (facts(about), keys, tensors):
        out.print(part)
        out.print()


def value_text(metadata: gemel.Metadata, key: str) -> str:
    """Return a value as text; long strings and arrays are shortened."""
    value = metadata.first(key, SHOWN_ITEMS)
    if not isinstance(value, list):
        return _item_text(value)
    count = metadata.size_of(key)
    more = ", ..." if count > len(value) else ""
    return f"[{', '.join(map(_item_text, value))}{more}] ({count} items)"


def _item_text(value: bool | int | float | str) -> str:
    if not isinstance(value, str):
        return str(value)
    if len(value) <= SHOWN_TEXT:
        return repr(value)
    return f"{value[:SHOWN_TEXT]!r}... ({len(value)} characters)"
