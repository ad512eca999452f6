"""The headers of two responses become an answer: the same version of a file, another one, or unknown (RFC 9110, 8.8).

A response may leave its validators out, as a 206 often does: an absent one is unknown, not different.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Validators:
    """A strong ETag and a date; "" where the server sent none."""

    etag: str = ""
    date: str = ""

    @property
    def strongest(self) -> str:
        """What If-Range takes; "" where neither is known."""
        return self.etag or self.date

    def same(self, other: Validators) -> bool | None:
        """Tell whether both are of the same version; None where they have no validator in common."""
        if self.etag and other.etag:
            return self.etag == other.etag
        return self.date == other.date if self.date and other.date else None

    def joined(self, other: Validators) -> Validators:
        """Return these, with what only the other has."""
        return Validators(self.etag or other.etag, self.date or other.date)


def validators_of(header: Callable[[str], str | None]) -> Validators:
    """Return a response's validators; `header` looks up its headers. A weak ETag does not identify bytes."""
    etag = header("ETag") or ""
    return Validators("" if etag.startswith("W/") else str(etag), str(header("Last-Modified") or ""))
