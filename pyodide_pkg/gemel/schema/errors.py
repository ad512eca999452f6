"""Where a schema can't be enforced, and why."""

from __future__ import annotations

from ..core.errors import SchemaError


class NotEnforcedError(SchemaError):
    """A keyword is valid, but a grammar can't enforce it: a check of the finished answer can."""


def refused(path: str, why: str) -> SchemaError:
    """Return the error of a schema at a path."""
    return SchemaError(f"json_schema: {path}: {why}", path)


def not_enforced(path: str, why: str) -> NotEnforcedError:
    """Return the error of a keyword that only a check of finished values can decide."""
    return NotEnforcedError(f"json_schema: {path}: {why}", path)
