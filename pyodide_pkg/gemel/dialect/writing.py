"""Calls as a model writes them: for templates that leave out the calls of earlier answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .dialect import Calls, Hole, Marks, each
from .parts import ToolCall


def written(
    calls: Calls, made: Sequence[ToolCall], parameters: Mapping[str, Mapping[str, Any]], *, which: int = 0
) -> str:
    """Return the text of complete calls. parameters: of the tools, by name. which: of several ways to write them."""

    def one(marks: Marks) -> str:
        return each(marks)[min(which, len(each(marks)) - 1)]

    def piece(piece: Marks | Hole, call: ToolCall) -> str:
        if not isinstance(piece, Hole):
            return one(piece)
        if piece is Hole.ARGUMENTS:
            return calls.encoding.written(call.arguments, parameters.get(call.name, {}))
        return call.name if piece is Hole.NAME else _id(calls.id, call)

    texts = ["".join(piece(part, call) for part in calls.pieces) for call in made]
    return one(calls.opens) + one(calls.between).join(texts) + one(calls.closes)


def _id(form: str, call: ToolCall) -> str:
    """Return the id of a call in the form that a dialect has: its own, or its number, from 0 or 1 on."""
    number = call.index if re.fullmatch(form, "0") else call.index + 1
    options = (call.id, str(number), f"{call.index:09d}", f"{call.index:010d}")
    return next(one for one in options if re.fullmatch(form, one))
