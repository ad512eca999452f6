"""What a server sent in place of a GGUF file, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAGIC = b"GGUF"
HUB_PAGE = re.compile(r"https?://[^/]+/([^/]+/[^/?#]+)(?:/?|/tree/.*)(?:[?#].*)?$")
LFS = b"version https://git-lfs"
PACKED = ((b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "a gzip archive"), (b"\xfd7zXZ", "an xz archive"))


def what_instead(first: bytes, url: str) -> str:
    """Return what the first bytes of a file are, where they are not those of a GGUF file; "" where they are.

    >>> what_instead(b"GGUF....", ""), what_instead(b"<html>", "https://hub.example/o/r/blob/main/m.gguf")
    ('', 'a web page, not a GGUF file: write /resolve/ in place of /blob/ in the address')
    """
    if first.startswith(MAGIC) or not first:
        return ""
    return f"{_kind(first)}, not a GGUF file: {_advice(first, url)}"


def _kind(first: bytes) -> str:
    if first.startswith(LFS):
        return "a pointer of Git LFS"
    if _is_page(first):
        title = re.search(rb"<title[^>]*>\s*([^<]{1,200})", first, re.IGNORECASE)
        words = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
        return f"a web page ({words[:80]!r})" if words else "a web page"
    if first.lstrip()[:1] in (b"{", b"["):
        return f"JSON ({first[:60].decode('utf-8', 'replace')!r})"
    packed = next((name for magic, name in PACKED if first.startswith(magic)), None)
    return packed or f"a file that begins with {first[:8]!r}"


def _advice(first: bytes, url: str) -> str:
    from .hub import endpoint  # here: urllib costs a tab's import of gemel much

    page = HUB_PAGE.match(url)
    if page and url.startswith(endpoint() + "/"):
        return f"write hf:{page[1]} for a file of this repository"
    if "/blob/" in url:
        return "write /resolve/ in place of /blob/ in the address"
    if first.startswith(LFS):
        return "use the address from which the hub sends the file itself"
    if _is_page(first):
        return "the server or a proxy may ask for a login, or be down; open the address in a browser"
    if _begins(first, [magic for magic, _ in PACKED]):
        return "unpack it and pass the .gguf file"
    return "check the address"


def _is_page(first: bytes) -> bool:
    return _begins(first.lstrip(b"\xef\xbb\xbf \t\r\n").lower(), [b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--"])


def _begins(data: bytes, starts: Sequence[bytes]) -> bool:
    return any(data.startswith(start) for start in starts)
