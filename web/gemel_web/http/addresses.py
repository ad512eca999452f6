"""Addresses where clients look for an API become this one's: other servers' paths, base URLs put together wrongly."""

from __future__ import annotations

import re

ELSEWHERE = (   # the end of a path, and what answers such requests here
    (re.compile(r"/(chat/completions|api/chat|responses|messages)$"), "/v1/chat/completions"),
    (re.compile(r"/(completions?|api/generate)$"), "/v1/completions"),
    (re.compile(r"/(embeddings?|api/embed)$"), "/v1/embeddings"),
    (re.compile(r"/(models|api/tags)$"), "/v1/models"),
)


def hint_of(path: str) -> str:
    """Return where the API is, for a path that looks like one of its addresses; "" for others.

    >>> hint_of("/v1/v1/models"), hint_of("/api/chat"), hint_of("/v1/chat/completions"), hint_of("/index.html")
    (': the API is at /v1/models', ': the API is at /v1/chat/completions', '', '')
    """
    path = path.rstrip("/")
    if any(path == address for _, address in ELSEWHERE):
        return ""
    return next((f": the API is at {address}" for end, address in ELSEWHERE if end.search(path)), "")
