"""Ids become the int32 that the core takes, and text becomes UTF-8; both are checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from ..core.errors import ArgumentError


def id_bytes(ids: Iterable[int], n_vocab: int) -> array[int]:
    """Return ids as int32, ready to be lent to the core. ArgumentError unless each is an integer of 0..n_vocab-1."""
    try:
        made = array("i", ids)
    except (TypeError, OverflowError) as error:
        raise ArgumentError(f"ids are integers from 0 to {n_vocab - 1}, this model's vocabulary: {error}") from error
    if made and (min(made) < 0 or max(made) >= n_vocab):
        at, found = next((at, id) for at, id in enumerate(made) if not 0 <= id < n_vocab)
        raise ArgumentError(f"ids[{at}] is {found}: ids are integers from 0 to {n_vocab - 1}, this model's vocabulary")
    return made


def ids_of(raw: bytes) -> list[int]:
    """Return the ids in int32 bytes."""
    return memoryview(raw).cast("i").tolist()


def encode(text: str, what: str) -> bytes:
    """Return UTF-8. ArgumentError for half a surrogate pair, which UTF-8 can't represent."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{what} contains half a surrogate pair at character {error.start}") from error
