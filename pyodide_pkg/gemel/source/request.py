"""Requests by urllib: the hub's token where it belongs, and what a failure means in words."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from . import hub

TIMEOUT = 30.0      # seconds without a byte
HEADERS = {"User-Agent": "gemel", "Accept-Encoding": "identity"}
FAILURES = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError)


def send(url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """Return the answer to a GET; raises one of FAILURES. The token does not follow redirects."""
    request = urllib.request.Request(url, headers=HEADERS | (headers or {}))
    token = hub.token_for(url)
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return answer


def is_final(error: Exception) -> bool:
    """Tell whether trying again is pointless: the server refuses, or there is no such server."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in (408, 429)
    if isinstance(error, http.client.InvalidURL):
        return True
    passing = (TimeoutError, ConnectionResetError)
    return isinstance(error, urllib.error.URLError) and not isinstance(error.reason, passing)


def reason(error: Exception, url: str) -> str:
    """Return why a request failed, and what to do."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}; {_advice(error.code, url)}"
    if isinstance(error, urllib.error.URLError):
        return f"{error.reason}; check the address and the network"
    return f"{error}; check the address" if isinstance(error, http.client.InvalidURL) else str(error)


def _advice(status: int, url: str) -> str:
    if status in (401, 403):
        if not hub.is_hubs(url):
            return "it needs a login: download it with your account and pass its path"
        return hub.advice(url.partition("/resolve/")[0], sent=hub.token_for(url) is not None)
    return "check the address" if status == 404 else "try again later"
