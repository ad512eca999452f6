"""Requests of the command line to a server that runs. Needs only the standard library."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import gemel
import typer

from ..output import printable

DEFAULT = "http://127.0.0.1:8090"
TIMEOUT = 600.0   # seconds: a model that is busy is unloaded after its answers
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", show_default=f"GEMEL_SERVER, or {DEFAULT}", help="Address of the server to ask.",
    ),
]


class Client:
    """A server. url: None: GEMEL_SERVER, or the address at which gemel serve listens by default.

    The key, if one is needed, is GEMEL_SERVE_API_KEY, as for the server.
    """

    def __init__(self, url: str | None) -> None:
        given = url or os.environ.get("GEMEL_SERVER") or DEFAULT
        parts = urlsplit(given if "://" in given else f"http://{given}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise gemel.ArgumentError(f"--server {given}: write an address such as {DEFAULT}")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._key = os.environ.get("GEMEL_SERVE_API_KEY")

    def models(self) -> list[dict[str, Any]]:
        """Return what /v1/models says."""
        found: list[dict[str, Any]] = self._asked("GET", "/v1/models")["data"]
        return found

    def running(self) -> list[dict[str, Any]]:
        """Return what /api/ps says."""
        found: list[dict[str, Any]] = self._asked("GET", "/api/ps")["models"]
        return found

    def tags(self) -> list[dict[str, Any]]:
        """Return what /api/tags says."""
        found: list[dict[str, Any]] = self._asked("GET", "/api/tags")["models"]
        return found

    def unload(self, name: str) -> None:
        """Unload a model."""
        self._asked("GET", f"/v1/models/{quote(name)}")   # a 404 names those that are there
        self._asked("POST", "/api/generate", {"model": name, "keep_alive": 0, "stream": False})

    def delete(self, name: str) -> None:
        """Delete a model."""
        self._asked("DELETE", "/api/delete", {"model": name})

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                raw = response.read()
            return json.loads(raw) if raw else {}
        except urllib.error.HTTPError as error:
            with error:
                raise gemel.GemelError(f"{self.url}: {_words(error.read(), error.reason)}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise gemel.GemelError(f"{self.url}: no server of gemel answers there: {why}") from None


def _words(raw: bytes, reason: str) -> str:
    """Return the message of an error of either API."""
    try:
        error = json.loads(raw)["error"]
        return printable(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError):
        return reason
