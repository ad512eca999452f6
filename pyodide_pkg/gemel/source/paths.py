"""~ and environment variables in a path become what they stand for; what Windows asks of paths and file names.

Windows refuses paths of 260 characters and more, except in a form that begins with two backslashes and a question mark.
Some names are devices in any folder, with any ending.
"""

from __future__ import annotations

import ntpath
import os
import re
import sys
from pathlib import Path

LIMIT = 248   # characters of a folder's path; a file's may have 12 more
NAMES = 140   # of the longest name of a file in a model's folder, downloads and notes included
PREFIX = "\\\\?\\"
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|:|$)", re.IGNORECASE)


def filled_in(path: str) -> Path:
    """Return a path with ~ and variables filled in; what does not exist stays as it is."""
    filled = Path(os.path.expandvars(path))
    try:
        return reachable(filled.expanduser())
    except RuntimeError:   # there is no such user
        return reachable(filled)


def not_known(path: Path) -> str:
    """Return the first user or variable in a path that could not be filled in; "" when there is none.

    >>> not_known(filled_in("~nobody-here/x")), not_known(filled_in("a/$NOT_SET_HERE/x")), not_known(filled_in("~/x"))
    ('~nobody-here', '$NOT_SET_HERE', '')
    """
    found = re.match(r"~[^/\\]*", str(path)) or re.search(r"\$\w+|\$\{\w+\}", str(path))
    return found[0] if found else ""


def reachable(path: Path, room: int = 0) -> Path:
    """Return a path that the system can open, however long it is, and what has a name of `room` characters in it."""
    if sys.platform != "win32":
        return path
    return Path(without_limit(os.path.abspath(path), str(path), room))   # noqa: PTH100


def without_limit(whole: str, path: str, room: int = 0) -> str:
    r"""Return a path of Windows; where it is long, in the form that has no limit. whole: the same, absolute.

    >>> without_limit(r"C:\a.gguf", "a.gguf"), without_limit("C:\\" + "a" * 300, "a" * 300)[:8]
    ('a.gguf', '\\\\?\\C:\\a')
    >>> without_limit(r"\\server\share" + r"\long" * 60, "")[:24]
    '\\\\?\\UNC\\server\\share\\lon'
    """
    if len(whole) + room < LIMIT or whole.startswith((PREFIX, "\\\\.\\")):
        return path
    whole = ntpath.normpath(whole)   # such a path may have no "/", "." or ".."
    return f"{PREFIX}UNC\\{whole[2:]}" if whole.startswith("\\\\") else PREFIX + whole


def file_name(name: str) -> str:
    """Return a name that every system takes as that of a file: a device's name is changed, a last dot goes.

    >>> file_name("a.gguf"), file_name("CON.gguf"), file_name("com1"), file_name("console.gguf"), file_name("a. .")
    ('a.gguf', '_CON.gguf', '_com1', 'console.gguf', 'a')
    """
    name = name.rstrip(". ")
    return f"_{name}" if DEVICES.match(name) else name
