"""A file becomes texts: one per line, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import gemel

FILES = "Texts, one per line (UTF-8), or JSON lines that are strings or have a field \"text\"; - reads stdin."


def texts_of(raw: str) -> Iterator[str]:
    """Yield the texts of a file. ArgumentError, which names the line, for one that has none."""
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            raise gemel.ArgumentError(f"line {number} is empty: it has no text")
        if line.lstrip()[:1] not in ('"', "{"):
            yield line
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if line.lstrip()[0] == "{":
                words = f"line {number} begins with {{ but is not JSON ({error}): write such a text as a JSON string"
                raise gemel.ArgumentError(words) from None
            yield line   # a text that begins with a quotation mark
            continue
        found = value.get("text") if isinstance(value, dict) else value
        if not isinstance(found, str):
            raise gemel.ArgumentError(f'line {number} is an object without a field "text" that is a string')
        yield found
