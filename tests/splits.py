"""Logits of a text that is appended in parts."""

from __future__ import annotations

import gemel


def bits(session: gemel.Session) -> bytes:
    """Return the bytes of a session's logits."""
    return bytes(memoryview(session.logits()).cast("B"))


def alone(model: gemel.Model, ids: list[int], split: int, start: int = 0) -> bytes:
    """Return the bits of the logits of ids that a new session is given: `start` at once, then `split` at a time."""
    with model.session() as session:
        if start:
            session.append(ids[:start])
        for at in range(start, len(ids), split):
            session.append(ids[at : at + split])
        return bits(session)
