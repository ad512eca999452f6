"""The name that was probably meant, for errors about unknown names."""

from __future__ import annotations

import re
from collections.abc import Iterable

BEGINNING = 3   # characters that may stand for a name, if only one name continues them
CUTOFF = 0.75   # how similar a name must be, of 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error: a question about the nearest known name, or "" when none is near.

    >>> did_you_mean("maxTokens", ["max_tokens", "stop"]), did_you_mean("colour", ["max_tokens", "stop"])
    ("; did you mean 'max_tokens'?", '')
    >>> did_you_mean("temp", ["temperature", "dry_base"]), did_you_mean("dry", ["dry_base", "dry_multiplier"])
    ("; did you mean 'temperature'?", '')
    """
    import difflib  # here: only errors need it, and a tab waits for every import

    folded = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    names = list(known)
    close = difflib.get_close_matches(folded, names, n=1, cutoff=CUTOFF) or _continued(folded, names)
    return f"; did you mean {close[0]!r}?" if close else ""


def _continued(beginning: str, names: list[str]) -> list[str]:
    """Return the only name that begins so, in a list; nothing for several, or for a short beginning."""
    found = [name for name in names if name.startswith(beginning)] if len(beginning) >= BEGINNING else []
    return found if len(found) == 1 else []
