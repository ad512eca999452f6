"""The table of scopes: what a key needs for each route. An app with a route that is not in it does not start."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.routing import BaseRoute, Route, compile_path

from ..access import Scope

NO_KEY = None   # anyone may ask: what answers decides what it says
TABLE: dict[str, Scope | None] = {
    "/healthz": NO_KEY, "/health": NO_KEY, "/readyz": NO_KEY, "/config.json": NO_KEY,
    "/dashboard": NO_KEY, "/dashboard/{path:path}": NO_KEY,   # a page's files: its figures are /metrics.json
    "/metrics": "metrics", "/metrics.json": "metrics",
    "/v1/models": "use", "/v1/models/{alias:path}": "use", "/models/{name:path}": "use",
    "/v1/chat/completions": "use", "/v1/completions": "use", "/v1/embeddings": "use",
    "/v1/messages": "use", "/v1/messages/count_tokens": "use",
    "/v1/responses": "use", "/v1/responses/{id}": "use", "/v1/responses/{id}/input_items": "use",
    "/v1/rerank": "use", "/v2/rerank": "use", "/rerank": "use", "/reranking": "use", "/v1/reranking": "use",
    "/completion": "use", "/infill": "use", "/tokenize": "use", "/detokenize": "use", "/apply-template": "use",
    "/props": "use", "/slots": "use",
    "/api/chat": "use", "/api/generate": "use", "/api/embed": "use", "/api/embeddings": "use", "/api/tags": "use",
    "/api/ps": "use", "/api/version": "use", "/api/show": "use",
    "/api/pull": "manage", "/api/create": "manage", "/api/copy": "manage", "/api/delete": "manage",
    "/api/push": "manage",
    "/models/load": "manage", "/models/unload": "manage",
    "/manage/models": "manage", "/manage/models/{alias:path}": "manage",
}  # fmt: skip
UNKNOWN: Scope = "use"   # of a path without a route, which is a 404 to those who may ask anything
PATTERNS: list[tuple[re.Pattern[str], Scope | None]] = [
    (compile_path(path)[0], scope) for path, scope in TABLE.items() if "{" in path
]


def scope_of(path: str) -> Scope | None:
    """Return what a key needs for a path; None: no key is needed.

    >>> scope_of("/v1/models/tiny"), scope_of("/models/load"), scope_of("/healthz")
    ('use', 'manage', None)
    """
    if path in TABLE:
        return TABLE[path]
    return next((scope for pattern, scope in PATTERNS if pattern.fullmatch(path)), UNKNOWN)


def check_routes(routes: Sequence[BaseRoute]) -> None:
    """Raise ValueError for a route that the table does not have."""
    for route in routes:
        if isinstance(route, Route) and route.path not in TABLE:
            raise ValueError(f"{route.path} has no scope: add it to gemel_web.http.scopes.TABLE")
