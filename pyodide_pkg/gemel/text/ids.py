"""Ids become the int32 that the core takes, and text becomes UTF-8; both are checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

from ..core.errors import ArgumentError
from ..core.scalars import whole


def id_list(prompt: object) -> list[int]:
    """Return a sequence of integers as a list. TypeError, which says what to pass, for everything else.

    >>> id_list(range(3))
    [0, 1, 2]
    >>> id_list(b"hello")
    Traceback (most recent call last):
    ...
    TypeError: a prompt is a text or a sequence of ids, not bytes: decode it first
    """
    if isinstance(prompt, bytes | bytearray) or (isinstance(prompt, memoryview) and prompt.itemsize == 1):
        raise TypeError(f"a prompt is a text or a sequence of ids, not {type(prompt).__name__}: decode it first")
    if not hasattr(prompt, "__getitem__") or isinstance(prompt, Mapping) or not isinstance(prompt, Iterable):
        raise TypeError(f"a prompt is a text or a sequence of ids, not {type(prompt).__name__}")
    ids = []
    for i, item in enumerate(prompt):
        id = whole(item)
        if id is None:
            words = ": pass messages to chat() or prompt_ids()" if isinstance(item, Mapping) else ""
            raise TypeError(f"ids are integers, but prompt[{i}] is {item!r:.50}{words}")
        ids.append(id)
    return ids


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
