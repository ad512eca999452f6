"""Texts of an answer become blocks in order: a text, reasoning, or a call's arguments.

A block begins where the kind or the call changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import Call, Kind, Text, Token


@dataclass
class Block:
    """A block as it grows."""

    kind: Kind
    call: Call | None
    text: str = ""
    tokens: list[Token] = field(default_factory=list)


def grow(blocks: list[Block], event: Text) -> bool:
    """Add a text to the last block, or to a new one; return whether it is new. Tokens of no block are left out."""
    if not event.text and not event.begins:
        if blocks:
            blocks[-1].tokens += event.tokens
        return False
    last = blocks[-1] if blocks else None
    is_new = last is None or (last.kind, last.call) != (event.kind, event.call)
    if is_new:
        blocks.append(Block(event.kind, event.call))
    blocks[-1].text += event.text
    blocks[-1].tokens += event.tokens
    return is_new
