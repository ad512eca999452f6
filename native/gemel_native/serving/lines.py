"""On which line of a TOML file a table or key is, for errors: tomllib does not say."""

from __future__ import annotations

import re
import tomllib

TABLE = re.compile(r"\s*(\[\[?[^\]]+\]?\])\s*(?:#.*)?$")
PART = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
KEY = re.compile(rf"\s*({PART}(?:\s*\.\s*{PART})*)\s*=")
INNER = re.compile(rf"[{{,]\s*({PART}(?:\s*\.\s*{PART})*)\s*=")   # of an inline table
QUOTES = re.compile("\"\"\"|\'\'\'")
Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Return the first line of each table and key of a valid file, counted from 1.

    >>> lines_of('[server]\\nport = 1\\n\\n[models."a.b"]\\nsampling = { top_k = 3 }')
    ... # doctest: +NORMALIZE_WHITESPACE
    {('server',): 1, ('server', 'port'): 2, ('models', 'a.b'): 4, ('models', 'a.b', 'sampling'): 5,
     ('models', 'a.b', 'sampling', 'top_k'): 5}
    """
    found: dict[Path, int] = {}
    at: Path = ()
    is_text = False   # inside a text of several lines
    for number, line in enumerate(text.split("\n"), 1):
        if not is_text and (table := TABLE.match(line)):
            at = _path(table[1]) or at
            found.setdefault(at, number)
        elif not is_text and (key := KEY.match(line)):
            path = (*at, *_path(f"{key[1]} = 0"))
            found.setdefault(path, number)
            for inner in INNER.findall(line[key.end() :]):
                found.setdefault((*path, *_path(f"{inner} = 0")), number)
        is_text ^= len(QUOTES.findall(line)) % 2 == 1
    return found


def _path(fragment: str) -> Path:
    """Return the parts of a header or a key; () for anything else."""
    try:
        inside = tomllib.loads(fragment)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(inside, dict) and inside:
        path.append(next(iter(inside)))
        inside = inside[path[-1]]
        inside = inside[0] if isinstance(inside, list) else inside
    return tuple(path)
