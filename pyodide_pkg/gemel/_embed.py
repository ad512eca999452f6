"""Pooled hidden states of one text: float32 bytes, the same on every host.

Sums are doubles in token order, with or without numpy, and the norm is an exactly rounded sum; so both ways give the
same bits.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._errors import ArgumentError, ContextError, NumericError
from ._session import FloatArray

if TYPE_CHECKING:
    from ._model import Model, Pooling


def embed(model: Model, text: str, pooling: Pooling, *, normalise: bool) -> bytes:
    """Return float32 [n_embd] as bytes. ContextError when the text is longer than the file's n_ctx."""
    if pooling not in ("mean", "first", "last"):
        raise ArgumentError(f"pooling={pooling!r}: must be 'mean', 'first' or 'last'")
    if not isinstance(text, str):
        raise TypeError(f"embed takes texts, not {type(text).__name__}")
    ids = model.tokenize(text, bos_eos=True)
    if not ids:
        raise ArgumentError("an empty text has no tokens to embed")
    if len(ids) > model.n_ctx:
        raise ContextError(f"a text of {len(ids)} tokens was given, {model.n_ctx} fit: split it, and embed the parts")
    with model.session(n_ctx=len(ids)) as session:
        return packed(pool(session.hidden(ids), pooling), normalise=normalise)


def packed(row: Sequence[float], *, normalise: bool) -> bytes:
    """Return a row of doubles as float32 bytes, normalise: brought to length 1. NumericError for zeros then."""
    if normalise:
        norm = math.sqrt(math.fsum(x * x for x in row))
        if not norm:
            raise NumericError("the embedding is zero everywhere and can't be normalised: pass normalise=False")
        row = [x / norm for x in row]
    return array("f", row).tobytes()


def pool(rows: FloatArray, pooling: Pooling) -> list[float]:
    """Return one row of doubles from rows[n][n_embd]."""
    n = len(rows)
    if pooling != "mean":
        return [float(x) for x in rows.tolist()[0 if pooling == "first" else n - 1]]
    if hasattr(rows, "astype"):   # numpy: adding row after row is the same additions, only quicker
        total = rows[0].astype("float64") * 0.0
        for row in rows:
            total += row
        return [x / n for x in total.tolist()]
    sums = [0.0] * rows.shape[1]
    for values in rows.tolist():
        sums = [a + b for a, b in zip(sums, values, strict=True)]
    return [x / n for x in sums]
