"""Hidden states become an embedding: pooled, and brought to length 1.

Sums are doubles in token order, with or without numpy, and the norm is an exactly rounded sum: the bits are the same on
every host.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Literal

from ..core.checks import flag, wrong_type
from ..core.checks import text as checked_text
from ..core.errors import ArgumentError, ArgumentTypeError, ContextError, NumericError
from ..core.floats import FloatArray, Rows, floats
from .core_model import CoreModel

Pooling = Literal["mean", "first", "last"]


def text_ids(model: CoreModel, text: str) -> list[int]:
    """Return the ids of a text that is embedded. ContextError when they are more than the file's n_ctx."""
    if not isinstance(text, str):
        raise ArgumentTypeError(f"texts must be strings, not {type(text).__name__}")
    ids = model.tokenize(text, bos_eos=True)
    if not ids:
        raise ArgumentError("an empty text has no tokens to embed")
    if len(ids) > model.n_ctx:
        raise ContextError(f"n_ctx is {model.n_ctx}, but the text has {len(ids)} tokens: split it, and embed the parts")
    return ids


def pooled(rows: Rows, pooling: Pooling = "mean", *, normalise: bool = True) -> FloatArray:
    """Return the embedding of a text, float32 [n_embd], from the hidden states of its tokens, float32 [n][n_embd].

    They are those of Session.hidden, of one call or of several, one after the other. pooling, normalise: as for
    Model.embed, whose bits these are.

    >>> with model.session() as session:
    ...     rows = session.hidden(model.tokenize("Hello", bos_eos=True))
    >>> bytes(pooled(rows)) == bytes(model.embed("Hello"))
    True
    """
    check_pooling(pooling)
    flag("normalise", normalise)
    try:
        view: memoryview[Any] = memoryview(rows)   # type: ignore[arg-type]  # numpy's arrays are buffers
    except TypeError:
        raise wrong_type("rows", rows, "a float32 array of shape [n][n_embd]") from None
    if view.format != "f" or view.ndim != 2 or not view.shape or 0 in view.shape:
        raise ArgumentError(f"rows must be float32 of shape [n][n_embd]; got {view.format!r}, {view.shape}")
    return floats(packed(pool(floats(view.tobytes(), view.shape), pooling), normalise=normalise))


def check_pooling(pooling: Pooling) -> None:
    """Raise ArgumentError for an unknown pooling."""
    if checked_text("pooling", pooling, "'mean', 'first' or 'last'") not in ("mean", "first", "last"):
        raise ArgumentError(f"pooling={pooling!r}: must be 'mean', 'first' or 'last'")


def packed(row: Sequence[float], *, normalise: bool) -> bytes:
    """Return a row of doubles as float32 bytes. normalise: to length 1; NumericError when all are zero."""
    if normalise:
        norm = math.sqrt(math.fsum(x * x for x in row))
        if not norm:
            raise NumericError("the embedding is zero everywhere and can't be normalised: pass normalise=False")
        row = [x / norm for x in row]
    return array("f", row).tobytes()


class Pool:
    """The rows of a text become one row of doubles; they may come in parts, float32 [n][n_embd] each."""

    def __init__(self, pooling: Pooling) -> None:
        self._pooling = pooling
        self._n = 0
        self._total: Any = None   # of "mean" the sums so far, in token order; else the row

    def add(self, rows: FloatArray) -> None:
        """Add the next rows, at least one."""
        is_first, self._n = not self._n, self._n + len(rows)
        if self._pooling == "first":
            self._total = rows.tolist()[0] if is_first else self._total
        elif self._pooling == "last":
            self._total = rows.tolist()[-1]
        elif hasattr(rows, "astype"):   # numpy: adding row after row is the same additions, only faster
            self._total = rows[0].astype("float64") * 0.0 if is_first else self._total
            for row in rows:
                self._total += row
        else:
            self._total = [0.0] * rows.shape[1] if is_first else self._total
            for values in rows.tolist():
                self._total = [a + b for a, b in zip(self._total, values, strict=True)]

    def row(self) -> list[float]:
        """Return the pooled row."""
        if self._pooling != "mean":
            return [float(x) for x in self._total]
        total = self._total.tolist() if hasattr(self._total, "tolist") else self._total
        return [x / self._n for x in total]


def pool(rows: FloatArray, pooling: Pooling) -> list[float]:
    """Return one row of doubles from rows[n][n_embd]."""
    pooled_rows = Pool(pooling)
    pooled_rows.add(rows)
    return pooled_rows.row()
