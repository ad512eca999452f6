"""The routes that rank documents for a query. One response has what clients of Jina's and of Cohere's API read."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.errors import invalid
from ..jobs.events import Began, Event, Scored
from ..jobs.service import Service, key_of
from ..jobs.work import Ranking
from . import wire

CHANCES = ("/v1/rerank", "/v2/rerank")          # whose scores are from 0 to 1
LLAMA_CPP = ("/rerank", "/reranking", "/v1/reranking")   # whose scores are the model's own
STYLE = Style(CHANCES + LLAMA_CPP)


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app."""
    api = Api(service)
    return [Route(path, api.rank, methods=["POST"]) for path in (*CHANCES, *LLAMA_CPP)]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._config = service.config

    async def rank(self, request: Request) -> Response:
        """POST /v1/rerank and the others."""
        body = await decoded(request, wire.RankRequest, self._config)
        wire.check_refused(body)
        texts = [one if isinstance(one, str) else one.text for one in body.documents]
        if not texts:
            raise invalid("documents", "it is empty")
        if len(texts) > self._config.max_inputs:
            most = self._config.max_inputs
            raise invalid("documents", f"it has {len(texts)} items, but at most {most} are allowed")
        alias = self._service.alias(body.model)
        served = await self._service.open(request, alias)
        # llama.cpp's scores of decoders are chances, too.
        as_chances = request.url.path not in LLAMA_CPP or not served.model.is_encoder
        work = Ranking(body.query, texts, normalize=as_chances, key=key_of(request))
        shape = Ranks(self._config.new_id(), alias, texts if body.return_documents else None, body.top_n)
        return await self._service.whole(request, self._service.submit(served, work), shape)


class Ranks:
    """The documents of a request, ranked. texts: those to send back; None: none."""

    def __init__(self, id: str, alias: str, texts: list[str] | None, top_n: int | None) -> None:
        self._id, self._alias, self._texts, self._top_n = id, alias, texts, top_n
        self._n_tokens = 0
        self._scores: list[tuple[int, float]] = []

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._n_tokens = event.n_prompt
        elif isinstance(event, Scored):
            self._scores.append((event.index, event.score))

    def value(self) -> dict[str, Any]:
        """Return the best ones first, equal ones in the order of the request."""
        results = [self._result(i, score) for i, score in sorted(self._scores, key=lambda one: (-one[1], one[0]))]
        return {
            "id": self._id, "object": "list", "model": self._alias, "results": results[: self._top_n],
            "usage": {"prompt_tokens": self._n_tokens, "total_tokens": self._n_tokens},
            "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": self._n_tokens}},
        }   # fmt: skip

    def _result(self, index: int, score: float) -> dict[str, Any]:
        result: dict[str, Any] = {"index": index, "relevance_score": score}
        return result if self._texts is None else {**result, "document": {"text": self._texts[index]}}
