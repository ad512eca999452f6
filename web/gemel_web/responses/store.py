"""Responses that were asked to be kept, in memory: the oldest ones are dropped when there are too many."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from ..http.errors import ApiError
from ..jobs.service import encode

N_MAX = 256
SIZE_MAX = 16 << 20   # bytes of JSON together


@dataclass(frozen=True)
class Kept:
    """A response, and the items of the conversation before its output."""

    response: dict[str, Any]
    items: list[dict[str, Any]]
    size: int


class Store:
    """The responses of one app."""

    def __init__(self, *, n_max: int = N_MAX, size_max: int = SIZE_MAX) -> None:
        self._n_max, self._size_max = n_max, size_max
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0

    def keep(self, response: dict[str, Any], items: list[dict[str, Any]]) -> None:
        """Keep a response; drop the oldest ones, and this one too if it is larger than all may be."""
        size = len(encode([response, items]))
        self._kept[response["id"]] = Kept(response, items, size)
        self._size += size
        while len(self._kept) > self._n_max or self._size > self._size_max:
            self._size -= self._kept.popitem(last=False)[1].size

    def get(self, id: str, param: str | None = None) -> Kept:
        """Return a response, or raise a 404."""
        found = self._kept.get(id)
        if found is None:
            words = f"there is no response {id[:100]!r} here: it was not stored (store: true), or was dropped since"
            raise ApiError(404, words, param=param, code="response_not_found")
        return found

    def delete(self, id: str) -> None:
        """Delete a response, or raise a 404."""
        self._size -= self.get(id).size
        del self._kept[id]
