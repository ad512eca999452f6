"""What the outer layers know of the APIs that the app answers: their paths, and the JSON of their errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from .errors import ApiError, body_of, response_of

OWN = (   # paths that are no client's API, with OpenAI's errors
    "/models", "/manage", "/metrics", "/metrics.json", "/dashboard", "/healthz", "/readyz", "/health", "/config.json",
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """One API. A path belongs to the style with the longest of `paths` that it begins with."""

    paths: tuple[str, ...]
    error: Callable[[ApiError], object] = body_of   # makes the body of an error
    name: str = ""   # that metrics and logs give it


class Apis:
    """The APIs of an app. All other paths are static files'."""

    def __init__(self, styles: Sequence[Style]) -> None:
        self._styles = (Style(OWN, name="server"), *styles)

    def has(self, path: str) -> bool:
        """Tell whether a path is an API's, known or not."""
        return self._style(path) is not None

    def name(self, path: str) -> str:
        """Return the name of a path's API; "page": it belongs to no API."""
        style = self._style(path)
        return "page" if style is None else style.name

    def response(self, path: str, error: ApiError) -> Response:
        """Return an error as a response in the shape of the path's API."""
        style = self._style(path)
        if style is None:
            return response_of(error)
        raw = msgspec.json.encode(style.error(error))
        return Response(raw, error.status, error.headers, media_type="application/json")

    def _style(self, path: str) -> Style | None:
        found = [
            (len(start), style) for style in self._styles for start in style.paths
            if path == start or path.startswith(start + "/")
        ]
        return max(found, key=lambda one: one[0], default=(0, None))[1]
