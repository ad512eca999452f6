"""Where a schema can't be enforced, and why."""

from __future__ import annotations

from ..core.errors import SchemaError


class NotEnforcedError(SchemaError):
    """A keyword is valid, but a grammar can't enforce it: a check of the finished answer can."""


OPPOSITE = "~not"   # what the path of the opposite of a schema ends with


def refused(path: str, why: str) -> SchemaError:
    """Return the error of a schema at a path."""
    path = str(path.partition(OPPOSITE)[0])
    return SchemaError(f"json_schema: {path}: {why}", path)


def not_enforced(path: str, why: str) -> NotEnforcedError:
    """Return the error of a keyword that only a check of finished values can decide."""
    path = str(path.partition(OPPOSITE)[0])
    return NotEnforcedError(f"json_schema: {path}: {why}", path)
