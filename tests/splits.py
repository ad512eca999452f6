"""Logits of a text that is appended in parts."""

from __future__ import annotations

import gemel


def bits(session: gemel.Session) -> bytes:
    """Return the bytes of a session's logits."""
    return bytes(memoryview(session.logits()).cast("B"))


def alone(model: gemel.Model, ids: list[int], split: int) -> bytes:
    """Return the bits of the logits of ids that a new session is given, `split` at a time."""
    with model.session() as session:
        for at in range(0, len(ids), split):
            session.append(ids[at : at + split])
        return bits(session)
