"""A file's metadata and tensor table, read from the core on demand: a mapping and a list.

They are valid as long as the loader or model that they came from. Invalid UTF-8 shows as U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core.checks import not_whole
from ..core.errors import FormatError
from ..core.library import Handle, Library, check, double_at, size_at
from ..core.public import public
from ..core.scalars import whole
from ..core.slots import DEALT, SLOTS

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]

_BOOL, _STRING, _ARRAY = 7, 8, 9
_FLOATS = (6, 12)


_SLOT_IDS = {(True, name): id for id, (name, _) in DEALT.items()}
# The first of two slots that have one name in different architectures.
_SLOT_IDS |= {(row[1] == "layer", row[0]): id for id, row in reversed(SLOTS.items())}


@public
@dataclass(frozen=True)
class Tensor:
    """One row of the tensor table. `shape` is in the file's order: the fastest dimension first.

    Attributes:
        name: as in the file
        format: such as "Q4_1"
        shape: in the file's order
        offset: bytes from the start of the file
        size: bytes
        computed: False: the format is known, but not supported
    """

    name: str
    format: str
    shape: tuple[int, ...]
    offset: int
    size: int
    computed: bool

    @property
    def slot(self) -> str | None:
        """The id under which gemel uses a tensor of this name ("ATTN_Q"), or None."""
        in_layer = re.fullmatch(r"blk\.\d+\.(.+)", self.name)
        return _SLOT_IDS.get((in_layer is not None, in_layer[1] if in_layer else self.name))


@public
class Metadata(Mapping[str, Value]):
    """The key-value pairs of the file, in file order. Arrays become lists on demand.

    A 64-bit integer that a double can't hold exactly is returned as a float.
    """

    def __init__(self, library: Library, owner: Handle, gguf: int) -> None:
        self._library = library
        self._owner = owner
        self._gguf = gguf

    def __reduce__(self) -> tuple[type[dict[str, Value]], tuple[dict[str, Value]]]:
        """A copy, also of another process, is a dict of all values."""
        return dict, (dict(self),)

    def __len__(self) -> int:
        with self._owner:
            return int(self._library.call("gemel_gguf_n_kv", self._gguf))

    def __iter__(self) -> Iterator[str]:
        for i in range(len(self)):
            with self._owner:
                yield _text(self._library, "gemel_gguf_key", self._gguf, i)

    def __getitem__(self, key: str) -> Value:
        return self.first(key)

    def first(self, key: str, n: int | None = None) -> Value:
        """Return a value; of an array only the first `n` items, without reading the rest."""
        n = None if n is None else count_of(n)
        with self._owner:
            i = self._find(key)
            kind = self._library.call("gemel_gguf_item_type", self._gguf, i)
            if self._library.call("gemel_gguf_type", self._gguf, i) != _ARRAY:
                return self._item(i, 0, kind)
            count = int(self._library.call("gemel_gguf_count", self._gguf, i))
            return [self._item(i, j, kind) for j in range(count if n is None else min(n, count))]

    def size_of(self, key: str) -> int:
        """Return the number of items of an array without reading them; 1 for a scalar."""
        with self._owner:
            i = self._find(key)
            return int(self._library.call("gemel_gguf_count", self._gguf, i))

    def _find(self, key: str) -> int:
        name = key.encode("utf-8", "replace") if isinstance(key, str) else b""
        i = int(self._library.call("gemel_gguf_find", self._gguf, name, len(name)))
        if i < 0:
            raise KeyError(key)
        return i

    def _item(self, i: int, j: int, kind: int) -> Scalar:
        if kind == _STRING:
            return _text(self._library, "gemel_gguf_string", self._gguf, i, j)
        value, exact = number_at(self._library, self._gguf, i, j)
        if kind == _BOOL:
            return bool(value)
        return int(value) if exact and kind not in _FLOATS else value

    def __repr__(self) -> str:
        return f"<gemel.Metadata: {'closed' if self._owner.closed else f'{len(self)} keys'}>"


def count_of(n: object) -> int:
    """Return how many items of an array a caller wants."""
    count = whole(n)
    if count is None or count < 0:
        raise not_whole("n", n, "an integer of at least 0, or None")
    return count


def number_at(library: Library, gguf: int, i: int, j: int) -> tuple[float, bool]:
    """Return item j of value i, and whether a double holds it exactly."""
    out, exact = library.alloc(8), library.alloc(4)
    check(library, library.call("gemel_gguf_number", gguf, i, j, out, exact), f"metadata value {i}, item {j}")
    return double_at(library, out), bool(int.from_bytes(library.read(exact.address, 4), "little"))


def read_tensors(library: Library, gguf: int) -> list[Tensor]:
    """Return the whole tensor table."""
    return [_tensor(library, gguf, i) for i in range(library.call("gemel_gguf_n_tensors", gguf))]


def read_rows(library: Library, gguf: int) -> list[tuple[str, int, int]]:
    """Return (name, offset, bytes) of every tensor."""
    return [
        (
            _text(library, "gemel_gguf_tensor_name", gguf, i),
            int(library.call("gemel_gguf_tensor_offset", gguf, i)),
            int(library.call("gemel_gguf_tensor_size", gguf, i)),
        )
        for i in range(library.call("gemel_gguf_n_tensors", gguf))
    ]


def _tensor(library: Library, gguf: int, i: int) -> Tensor:
    kind = library.call("gemel_gguf_tensor_type", gguf, i)
    dims = library.alloc(32)
    n_dims = check(library, library.call("gemel_gguf_tensor_dims", gguf, i, dims), f"tensor {i}")
    shape = memoryview(library.read(dims.address, 32)).cast("d")[:n_dims]
    return Tensor(
        name=_text(library, "gemel_gguf_tensor_name", gguf, i),
        format=library.call("gemel_format_name", kind) or f"type {kind}",
        shape=tuple(int(ne) for ne in shape),
        offset=int(library.call("gemel_gguf_tensor_offset", gguf, i)),
        size=int(library.call("gemel_gguf_tensor_size", gguf, i)),
        computed=bool(library.call("gemel_format_computed", kind)),
    )


def _text(library: Library, name: str, gguf: int, *index: int) -> str:
    """Call one of the functions that return text with a length."""
    size = library.alloc(8)
    address = library.call(name, gguf, *index, size)
    if not address:
        noun = name.removeprefix("gemel_gguf_").replace("_", " ")
        raise FormatError(f"the file has no {noun} at index {', '.join(map(str, index))}")
    return library.read(address, size_at(library, size)).decode("utf-8", "replace")
