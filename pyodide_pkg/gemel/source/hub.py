"""The hub's address and token: where they come from, and which requests carry the token: to the hub's host alone."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ..core.errors import SourceError
from .paths import filled_in

HUB = "https://huggingface.co"
PORTS = {"http": 80, "https": 443}
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def endpoint() -> str:
    """Return the address of the hub, or of its mirror: HF_ENDPOINT. SourceError for one that is not an http address."""
    given = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if given and not given.lower().startswith(("http://", "https://")):
        raise SourceError(f"HF_ENDPOINT is {given!r}: it must begin with https:// or http://, as in {HUB}")
    return given or HUB


def token_for(url: str) -> str | None:
    """Return the token for a request, or None: HF_TOKEN, or the file that the hub's own tools write.

    Only for addresses on the hub's host. Over http only if HF_ENDPOINT itself is http.
    """
    if not is_hubs(url):
        return None
    for name in TOKENS:
        if found := os.environ.get(name, "").strip():
            return _sendable(found, name)
    file = _token_file()
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return _sendable(found, str(file)) or None


def is_hubs(url: str) -> bool:
    """Tell whether an address is on the hub's host: the same scheme, host and port."""
    return _place(urlsplit(url)) == _place(urlsplit(endpoint()))


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or PORTS.get(url.scheme)


def _sendable(token: str, where: str) -> str:
    """Return a token; SourceError, which does not show it, when a header can't carry it."""
    if not all("!" <= character <= "~" for character in token):
        raise SourceError(f"the token in {where} contains spaces, line ends or other characters that no token has")
    return token


def _token_file() -> Path:
    if named := os.environ.get("HF_TOKEN_PATH"):
        return filled_in(named)
    if home := os.environ.get("HF_HOME"):
        return filled_in(home) / "token"
    return filled_in(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "token"


def advice(page: str, *, sent: bool | None) -> str:
    """Return what to do about a 401 or 403 of the hub. page: the repository's; sent: a token was, or None in a tab."""
    if sent:
        return f"the token that was sent gives no access: accept the model's terms on {page}, or use another token"
    if sent is None:
        return (
            f"the repository is private, gated or misspelt, and a tab sends no token: download the file from {page} "
            "and open it"
        )
    return f"the repository is private, gated or misspelt: accept the model's terms on {page} and set HF_TOKEN"
