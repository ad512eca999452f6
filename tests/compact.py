"""JSON as grammars of schemas have it."""

from __future__ import annotations

import json


def compact(value: object) -> str:
    """Return JSON without white space, with all characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
