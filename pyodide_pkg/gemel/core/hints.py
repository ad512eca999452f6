"""The name that was probably meant, for errors about unknown names."""

from __future__ import annotations

import re
from collections.abc import Iterable

CUTOFF = 0.75   # how similar a name must be, of 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error: a question about the nearest known name, or "" when none is near.

    >>> did_you_mean("maxTokens", ["max_tokens", "stop"]), did_you_mean("colour", ["max_tokens", "stop"])
    ("; did you mean 'max_tokens'?", '')
    """
    import difflib  # here: only errors need it, and a tab waits for every import

    folded = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    close = difflib.get_close_matches(folded, list(known), n=1, cutoff=CUTOFF)
    return f"; did you mean {close[0]!r}?" if close else ""
