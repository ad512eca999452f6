"""Watches an app: keeps a tally per model, and answers /metrics. All of it belongs to the app's event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable
from typing import Protocol

import gemel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ..http.errors import ApiError
from ..http.exchange import KEY, Exchange
from ..jobs.scheduler import End, Scheduler
from ..jobs.service import encode
from ..jobs.work import Completion, Load, Work
from ..models import ServedModel
from ..registry import Registry
from .figures import figures
from .state import State
from .tally import Record, Tally


class Telemetry(Protocol):
    """What sends requests to OpenTelemetry."""

    captures: bool   # prompts and answers, too

    def over(self, record: Record) -> None:
        """Send a request that is over."""

    def close(self) -> None:
        """Send what was not sent yet."""


class Observer:
    """What /metrics and /metrics.json show. Made for one app, by who makes the app."""

    def __init__(self, telemetry: Telemetry | None = None) -> None:
        self._telemetry = telemetry
        self._requests = Counter[tuple[str, str]]()   # by API and status
        self._tallies: dict[str, Tally] = {}          # by alias
        self._names: dict[gemel.Model, str] = {}      # of models that were asked, until they are closed
        self._records: dict[Hashable, Record] = {}
        self._registry: Registry | None = None
        self._scheduler: Scheduler | None = None

    # ---- What happens in the app -------------------------------------------------------------------------------------

    def begin(self, registry: Registry, scheduler: Scheduler) -> None:
        """Take what the app consists of."""
        self._registry, self._scheduler = registry, scheduler

    async def close(self) -> None:
        """Send what OpenTelemetry lacks."""
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.close)

    def ended(self, exchange: Exchange) -> None:
        """Count a request."""
        self._requests[exchange.api, str(exchange.status or "gone")] += 1

    def submitted(self, served: ServedModel, job: Hashable, work: Work) -> None:
        """Begin a record."""
        assert self._registry is not None
        name = self._names.setdefault(served.model, self._registry.name_of(served))
        record = self._records[job] = Record(self._tally(name), name)
        if self._telemetry is not None and isinstance(work, Completion):
            record.wanted, record.captures = work.request, self._telemetry.captures
            record.prompts = lambda: [served.model.detokenize(ids) for ids in work.made]

    def answers(self, scope: Scope, job: Hashable) -> None:
        """Note the request of a record."""
        if job in self._records:
            self._records[job].arrived(scope[KEY])

    def delivered(self, job: Hashable, item: object) -> None:
        """Count an event."""
        if (record := self._records.get(job)) is not None:
            record.take(item)
            if isinstance(item, End | Exception):
                del self._records[job]
                if self._telemetry is not None:
                    self._telemetry.over(record)

    def left(self, model: gemel.Model, load: Load) -> None:
        """Keep the counts of a model that will be closed."""
        if (name := self._names.pop(model, None)) is not None:
            self._tally(name).past.add(load.counts)

    def _tally(self, name: str) -> Tally:
        """Return the tally of a model; those of models that are no longer served are forgotten."""
        if name not in self._tallies:
            self._forget()
            self._tallies[name] = Tally()
        return self._tallies[name]

    def _forget(self) -> None:
        assert self._registry is not None
        served = set(self._registry.aliases())
        self._tallies = {name: tally for name, tally in self._tallies.items() if name in served}

    # ---- What it shows -----------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """Return the routes of metrics."""
        return [Route("/metrics", self._get), Route("/metrics.json", self._get_json)]

    async def _get(self, request: Request) -> Response:
        """GET /metrics."""
        try:
            from .collector import text_of
        except ImportError:
            words = "/metrics needs the package prometheus-client: pip install 'gemel[serve]'; /metrics.json does not"
            raise ApiError(501, words, code="not_installed") from None
        text, media = text_of(self._state(), request.headers.get("accept", ""))
        return Response(text, media_type=media)

    async def _get_json(self, request: Request) -> Response:
        """GET /metrics.json."""
        return Response(encode(figures(self._state())), media_type="application/json")

    def _state(self) -> State:
        """Return all that there is to show now."""
        assert self._registry is not None
        assert self._scheduler is not None
        self._forget()
        drivers = self._scheduler.drivers()
        self._names = {model: name for model, name in self._names.items() if model in drivers}
        loads = {name: drivers[model].load() for model, name in self._names.items()}
        return State(self._requests, self._tallies, self._registry.usage(), loads)
