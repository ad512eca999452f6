"""Tokens with their texts and log-probabilities, as several APIs show them."""

from __future__ import annotations

from typing import Any

import gemel

from .events import Token

Fields = dict[str, Any]


def named(model: gemel.Model, id: int, logprob: float) -> Fields:
    """Return a token's text, log-probability and bytes. In the text, U+FFFD stands for half of a character."""
    raw = model.piece(id, special=True)
    return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}


def with_top(model: gemel.Model, token: Token, *, with_ids: bool = False) -> Fields:
    """Return a token, and the most likely ones at its place."""

    def one(id: int, logprob: float) -> Fields:
        return {**({"id": id} if with_ids else {}), **named(model, id, logprob)}

    return {**one(token.id, token.logprob), "top_logprobs": [one(*top) for top in token.top]}
