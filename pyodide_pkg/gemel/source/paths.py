"""~ and environment variables in a path become what they stand for."""

from __future__ import annotations

import os
import re
from pathlib import Path


def filled_in(path: str) -> Path:
    """Return a path with ~ and variables filled in; what does not exist stays as it is."""
    filled = Path(os.path.expandvars(path))
    try:
        return filled.expanduser()
    except RuntimeError:   # there is no such user
        return filled


def not_known(path: Path) -> str:
    """Return the first user or variable in a path that could not be filled in; "" when there is none.

    >>> not_known(filled_in("~nobody-here/x")), not_known(filled_in("a/$NOT_SET_HERE/x")), not_known(filled_in("~/x"))
    ('~nobody-here', '$NOT_SET_HERE', '')
    """
    found = re.match(r"~[^/\\]*", str(path)) or re.search(r"\$\w+|\$\{\w+\}", str(path))
    return found[0] if found else ""
