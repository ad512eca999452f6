"""The hub's token: where it is, and which requests carry it. It goes to the hub's own host alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import urlsplit

HUB = "https://huggingface.co"


def endpoint() -> str:
    """Return the address of the hub, or of its mirror: HF_ENDPOINT."""
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def token_for(url: str) -> str | None:
    """Return the token for a request, or None: HF_TOKEN, or the file that the hub's own tools write.

    Only for addresses on the hub's host. Over http only if HF_ENDPOINT itself is http.
    """
    there, hub = urlsplit(url), urlsplit(endpoint())
    if (there.scheme, there.netloc) != (hub.scheme, hub.netloc):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if found := os.environ.get(name, "").strip():
            return found
    with contextlib.suppress(OSError, ValueError):
        return _token_file().read_text(encoding="utf-8").strip() or None
    return None


def _token_file() -> Path:
    if named := os.environ.get("HF_TOKEN_PATH"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "token"


def advice(url: str, *, sent: bool) -> str:
    """Return what to do about a 401 or 403."""
    if urlsplit(url).netloc != urlsplit(endpoint()).netloc:
        return "it needs a login: download it with your account and pass its path"
    page = url.partition("/resolve/")[0]
    if sent:
        return f"the token that was sent gives no access: accept the model's terms on {page}, or use another token"
    return f"the repository is private, gated or misspelt: accept the model's terms on {page} and set HF_TOKEN"
