"""Whose key it is, and what it may do: scopes, callers, and what keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Scope = Literal["use", "manage", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Allowance(Protocol):
    """What a key may take of a server, over time."""

    def admit(self) -> None:
        """Count a request, or raise the API's 429."""

    def check_tokens(self) -> None:
        """Raise the API's 429 if no token is left."""

    def charge(self, n_tokens: int) -> None:
        """Count tokens that were evaluated or made."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that say what is left."""


@dataclass(frozen=True)
class Caller:
    """Whom a key belongs to. name: in logs; scopes: what it may do; allowance: None: no limit."""

    name: str
    scopes: frozenset[Scope] = frozenset(SCOPES)
    allowance: Allowance | None = None


class KeySource(Protocol):
    """Keys that a server accepts, of which some may be added or revoked while it runs."""

    def find(self, key: bytes) -> Caller | None:
        """Return whose key it is; None: there is no such key. Raises an ApiError for one that has expired."""
