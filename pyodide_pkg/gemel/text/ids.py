"""Ids become the int32 that the core takes, and text becomes UTF-8; both are checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, SupportsIndex

from ..core.checks import wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.scalars import whole


class Ids(Protocol):
    """Token ids: a list, a tuple, a range, or an array of integers, array.array's or numpy's."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[SupportsIndex]: ...
    def __getitem__(self, index: int, /) -> Any: ...  # noqa: ANN401  # an integer; arrays return their own kind


def id_list(prompt: object, name: str = "prompt", range: str = "") -> list[int]:
    """Return a sequence of integers as a list. ArgumentTypeError, which says what to pass, for everything else.

    >>> id_list(range(3))
    [0, 1, 2]
    >>> id_list(b"hello")
    Traceback (most recent call last):
    ...
    gemel.ArgumentTypeError: a prompt must be a string or a sequence of ids, not bytes: decode it first
    """
    wanted = f"{name} must be a sequence of integers"
    if name == "prompt":
        wanted = "a prompt must be a string or a sequence of ids"
    if isinstance(prompt, bytes | bytearray) or (isinstance(prompt, memoryview) and prompt.itemsize == 1):
        raise ArgumentTypeError(f"{wanted}, not {type(prompt).__name__}: decode it first")
    if isinstance(prompt, str):
        raise ArgumentTypeError(f"{wanted}, not str: tokenize it first")
    if not hasattr(prompt, "__getitem__") or isinstance(prompt, Mapping) or not isinstance(prompt, Iterable):
        raise ArgumentTypeError(f"{wanted}, not {type(prompt).__name__}")
    ids = []
    for i, item in enumerate(_items(prompt)):
        id = whole(item)
        if id is None:
            words = ": pass messages to chat() or prompt_ids()" if isinstance(item, Mapping) else ""
            raise ArgumentTypeError(f"ids are integers{range}, but {name}[{i}] is {item!r:.50}{words}")
        ids.append(id)
    return ids


def _items(given: Iterable[object]) -> Iterable[object]:
    """Return what a sequence holds; an array's items as Python's own numbers, which takes a fraction of the time."""
    return given.tolist() if hasattr(given, "tolist") and getattr(given, "ndim", 1) == 1 else given


def id_bytes(ids: Ids, n_vocab: int, name: str = "ids") -> array[int]:
    """Return ids as int32, ready to be lent to the core. ArgumentError unless each is an integer of 0..n_vocab-1."""
    range = f" from 0 to {n_vocab - 1}, this model's vocabulary"
    try:
        made = array("i", ids if isinstance(ids, array) and ids.typecode == "i" else id_list(ids, name, range))
    except OverflowError as error:
        raise ArgumentError(f"ids are integers{range}, but one of {name} is too large: {error}") from error
    if made and (min(made) < 0 or max(made) >= n_vocab):
        at, found = next((at, id) for at, id in enumerate(made) if not 0 <= id < n_vocab)
        raise ArgumentError(f"{name}[{at}] is {found}: ids are integers{range}")
    return made


def one_id(id: object, n_vocab: int) -> int:
    """Return one id as an int. ArgumentError unless it is an integer of 0..n_vocab-1."""
    found, wanted = whole(id), f"an integer from 0 to {n_vocab - 1}, this model's vocabulary"
    if found is None:
        raise wrong_type("id", id, wanted)
    if not 0 <= found < n_vocab:
        raise ArgumentError(f"id={found}: must be {wanted}")
    return found


def ids_of(raw: bytes) -> list[int]:
    """Return the ids in int32 bytes."""
    return memoryview(raw).cast("i").tolist()


def encode(text: str, what: str) -> bytes:
    """Return UTF-8. ArgumentError for half a surrogate pair, which UTF-8 can't represent."""
    if not isinstance(text, str):
        raise ArgumentTypeError(f"{what} must be a str, not {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{what} contains half a surrogate pair at character {error.start}") from error
