"""Hidden states become an embedding: pooled, and brought to length 1.

Sums are doubles in token order, with or without numpy, and the norm is an exactly rounded sum: the bits are the same on
every host.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import mul
from typing import Any, Literal, cast

from ..core import abi
from ..core.checks import flag, not_whole, wrong_type
from ..core.checks import text as checked_text
from ..core.errors import ArgumentError, ArgumentTypeError, ContextError, NumericError, UnsupportedError
from ..core.floats import FloatArray, Rows, floats
from ..core.scalars import whole
from ..text.ids import Ids
from .core_model import CoreModel

Pooling = Literal["mean", "first", "cls", "last"]
Overflow = Literal["error", "chunk"]
POOLINGS: dict[str, int] = {
    "mean": abi.POOLING_MEAN, "first": abi.POOLING_CLS, "cls": abi.POOLING_CLS, "last": abi.POOLING_LAST,
}   # fmt: skip
IDS = 4096   # of a call, at most, unless one text has more


@dataclass(frozen=True)
class Recipe:
    """How hidden states become an embedding."""

    pooling: Pooling
    normalize: bool = True
    truncate_dim: int | None = None

    def made(self, row: Sequence[float]) -> FloatArray:
        """Return the embedding from the pooled row, in doubles."""
        return floats(packed(row[: self.truncate_dim], normalize=self.normalize))


def recipe_of(model: CoreModel, pooling: Pooling | None, normalize: bool, truncate_dim: int | None) -> Recipe:
    """Check the options of an embedding. pooling None: the file's, or "mean"."""
    if pooling is not None:
        check_pooling(pooling)
    elif model.pooling == "rank":
        raise UnsupportedError("this model scores texts, by its pooling_type: to embed them, pass a pooling")
    integer = None if truncate_dim is None else whole(truncate_dim)
    if truncate_dim is not None and (integer is None or not 1 <= integer <= model.n_embd):
        raise not_whole("truncate_dim", truncate_dim, f"an integer from 1 to {model.n_embd} (model.n_embd), or None")
    return Recipe(pooling or cast("Pooling", model.pooling or "mean"), flag("normalize", normalize), integer)


def text_ids(model: CoreModel, text: str | Ids) -> list[int]:
    """Return the ids of a text that is embedded, or ids as they are. ContextError if the file's n_ctx is less."""
    if isinstance(text, str):
        ids = model.tokenize(text, bos_eos=True)
    elif is_ids(text):
        ids = model._prompt_ids(text, special=False)
    else:
        raise ArgumentTypeError(f"texts must be strings or lists of ids, not {type(text).__name__}")
    if not ids:
        raise ArgumentError("an empty text has no tokens to embed")
    if len(ids) > model.n_ctx:
        words = f"n_ctx is {model.n_ctx}, but the text has {len(ids)} tokens"
        raise ContextError(f'{words}: split it, and embed the parts, or pass overflow="chunk"')
    return ids


def is_ids(text: object) -> bool:
    """Tell whether a text is given as ids: a list of integers, an array, a numpy array."""
    return not isinstance(text, str | bytes | Mapping | Set) and hasattr(text, "__len__") and hasattr(text, "__iter__")


def parts_of(model: CoreModel, text: str | Ids, prompt: str | None, overflow: Overflow) -> list[list[int]]:
    """Return the ids of a text with its prompt, in as many parts as its length needs; each begins with the prompt."""
    if checked_text("overflow", overflow, "'error' or 'chunk'") not in ("error", "chunk"):
        raise ArgumentError(f"overflow={overflow!r}: must be 'error' or 'chunk'")
    start = "" if prompt is None else checked_text("prompt", prompt)
    if not isinstance(text, str):
        return _parts_of_ids(model, text, start, overflow)
    if overflow == "error":
        return [text_ids(model, start + text)]
    whole_text = model.tokenize(start + text, bos_eos=True)
    if len(whole_text) <= model.n_ctx:
        return [text_ids(model, start + text)]
    head = [model.bos_id] if model.adds_bos and model.bos_id is not None else []
    tail = [model.eos_id] if model.adds_eos and model.eos_id is not None else []
    head += model.tokenize(start)
    room = model.n_ctx - len(head) - len(tail)
    if room < 1:
        raise ContextError(f"n_ctx is {model.n_ctx}, and the prompt leaves no room for the text: shorten it")
    body = model.tokenize(text)
    return [[*head, *body[at : at + room], *tail] for at in range(0, len(body), room)]


def _parts_of_ids(model: CoreModel, ids: Ids, prompt: str, overflow: Overflow) -> list[list[int]]:
    """Return ids as they are, without special tokens of gemel's; or in parts of n_ctx."""
    if prompt and is_ids(ids):
        raise ArgumentError("prompt has no effect on ids: put its ids before them")
    if overflow == "error" or not is_ids(ids) or len(ids) <= model.n_ctx:
        return [text_ids(model, ids)]
    whole_text = model._prompt_ids(ids, special=False)
    return [whole_text[at : at + model.n_ctx] for at in range(0, len(whole_text), model.n_ctx)]


def part_options(recipe: Recipe, parts: Sequence[list[int]]) -> dict[str, Any]:
    """Return the options of Batch.embed for the parts of a text: those of several are joined before anything else."""
    return vars(recipe) if len(parts) == 1 else {"pooling": recipe.pooling, "normalize": False}


def embed_texts(model: CoreModel, recipe: Recipe, texts: Sequence[list[list[int]]]) -> Iterator[bytes]:
    """Return the embeddings of texts, each in one part or several, by an encoder: many in a call of the core."""
    group: list[list[list[int]]] = []
    n_ids = 0
    for parts in texts:
        n = sum(map(len, parts))
        if group and n_ids + n > IDS:
            yield from _embed_group(model, recipe, group)
            group, n_ids = [], 0
        group.append(parts)
        n_ids += n
    yield from _embed_group(model, recipe, group)


def _embed_group(model: CoreModel, recipe: Recipe, texts: list[list[list[int]]]) -> list[bytes]:
    made = model._embed_rows([ids for parts in texts for ids in parts], POOLINGS[recipe.pooling])
    kept = iter([_finite(row)[: recipe.truncate_dim] for row in made])
    rows = [_joined_parts([next(kept) for _ in parts], parts) for parts in texts]
    if not recipe.normalize:
        return [array("f", row).tobytes() for row in rows]
    units = zip(rows, model._unit_rows(rows), strict=True)
    return [packed(row, normalize=True) if unit is None else unit for row, unit in units]


def _joined_parts(rows: list[array[float]], parts: Sequence[list[int]]) -> array[float]:
    """Return the pooled row of a text from those of its parts: of several, each is rounded to float32 before."""
    if len(rows) == 1:
        return rows[0]
    return array("d", joined([floats(array("f", row).tobytes()) for row in rows], [len(part) for part in parts]))


def _finite(row: array[float] | None) -> array[float]:
    if row is None:
        raise not_finite()
    return row


def not_finite() -> NumericError:
    """Return the error of a text whose row has no numbers."""
    return NumericError("embedding a text: a number is Inf, NaN or too large")


def row_of(recipe: Recipe, parts: Sequence[list[int]], rows: Sequence[FloatArray]) -> FloatArray:
    """Return the embedding of a text from those of its parts."""
    return rows[0] if len(rows) == 1 else recipe.made(joined(rows, [len(part) for part in parts]))


def joined(rows: Sequence[FloatArray], counts: Sequence[int]) -> list[float]:
    """Return the mean of the rows of a text's parts, each weighted by its number of ids."""
    total = sum(counts)
    columns = zip(*(row.tolist() for row in rows), strict=True)
    return [math.fsum(x * n for x, n in zip(column, counts, strict=True)) / total for column in columns]


def pooled(rows: Rows, pooling: Pooling = "mean", *, normalize: bool = True) -> FloatArray:
    """Return the embedding of a text, float32 [n_embd], from the hidden states of its tokens, float32 [n][n_embd].

    They are those of Session.hidden, of one call or of several, one after the other. pooling, normalize: as for
    Model.embed, whose bits these are.

    >>> with model.session() as session:
    ...     rows = session.hidden(model.tokenize("Hello", bos_eos=True))
    >>> bytes(pooled(rows)) == bytes(model.embed("Hello"))
    True
    """
    check_pooling(pooling)
    flag("normalize", normalize)
    try:
        view: memoryview[Any] = memoryview(rows)   # type: ignore[arg-type]  # numpy's arrays are buffers
    except TypeError:
        raise wrong_type("rows", rows, "a float32 array of shape [n][n_embd]") from None
    if view.format != "f" or view.ndim != 2 or not view.shape or 0 in view.shape:
        raise ArgumentError(f"rows must be float32 of shape [n][n_embd]; got {view.format!r}, {view.shape}")
    return floats(packed(pool(floats(view.tobytes(), view.shape), pooling), normalize=normalize))


def check_pooling(pooling: Pooling) -> None:
    """Raise ArgumentError for an unknown pooling."""
    if checked_text("pooling", pooling, "'mean', 'first' ('cls') or 'last'") not in POOLINGS:
        raise ArgumentError(f"pooling={pooling!r}: must be 'mean', 'first' ('cls') or 'last'")


def packed(row: Sequence[float], *, normalize: bool) -> bytes:
    """Return a row of doubles as float32 bytes. normalize: to length 1; NumericError when all are zero.

    numpy, where it is imported already, divides and rounds the same, only faster.
    """
    if normalize:
        norm = math.sqrt(math.fsum(map(mul, row, row)))
        if not norm:
            raise NumericError("the embedding is zero everywhere and can't be normalised: pass normalize=False")
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None:
            return bytes((numpy.asarray(row) / norm).astype(numpy.float32))
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
        if self._pooling in ("first", "cls"):
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
