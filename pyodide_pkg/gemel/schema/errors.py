"""Where a schema can't be enforced, and why."""

from __future__ import annotations

from ..core.errors import SchemaError


def refused(path: str, why: str) -> SchemaError:
    """Return the error of a schema at a path."""
    return SchemaError(f"json_schema: {path}: {why}", path)
