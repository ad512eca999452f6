"""Texts of an answer become blocks in order: a text, reasoning, or a call's arguments.

A block begins where the kind or the call changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import Began, Call, Ended, Event, Kind, Text, Token


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


class Growing:
    """An answer in blocks, as it grows.

    Attributes:
        blocks: in order; the last one may grow
        n_prompt: tokens of the prompt
        ended: how it ended; None: it has not
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.n_prompt = 0
        self.ended: Ended | None = None

    def add(self, event: Event) -> bool:
        """Take an event; return whether a block begins with it."""
        if isinstance(event, Began):
            self.n_prompt = event.n_prompt
        elif isinstance(event, Ended):
            self.ended = event
        return isinstance(event, Text) and grow(self.blocks, event)
