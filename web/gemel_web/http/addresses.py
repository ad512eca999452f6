"""Addresses where clients look for an API become this one's: other servers' paths, base URLs put together wrongly."""

from __future__ import annotations

import re

CUTOFF = 0.85   # how similar a path below /v1 must be to an address, of 1
ELSEWHERE = (   # the end of a path, and what answers such requests here
    (re.compile(r"/(chat/complet\w*|(api|v1)/chat|responses|messages)$"), "/v1/chat/completions"),
    (re.compile(r"/(complet\w*|api/generate)$"), "/v1/completions"),
    (re.compile(r"/(embeddings?|api/embed)$"), "/v1/embeddings"),
    (re.compile(r"/(models|api/tags)$"), "/v1/models"),
)


def hint_of(path: str) -> str:
    """Return where the API is, for a path that looks like one of its addresses; "" for others.

    >>> hint_of("/v1/v1/models"), hint_of("/api/chat"), hint_of("/v1/chat/completions"), hint_of("/index.html")
    (': the API is at /v1/models', ': the API is at /v1/chat/completions', '', '')
    >>> hint_of("/v1/chat/completion"), hint_of("/v1/chats/compeltions"), hint_of("/v1/files")
    (': the API is at /v1/chat/completions', ': the API is at /v1/chat/completions', '')
    """
    path = path.rstrip("/")
    addresses = [address for _, address in ELSEWHERE]
    if path in addresses:
        return ""
    found = [address for end, address in ELSEWHERE if end.search(path)]
    if not found and path.startswith("/v1/"):
        import difflib  # here: only errors need it, and a tab waits for every import

        found = difflib.get_close_matches(path[:100], addresses, n=1, cutoff=CUTOFF)
    return f": the API is at {found[0]}" if found else ""
