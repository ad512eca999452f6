"""What the routes of all APIs share: models by alias, jobs for them, and responses made of a job's events.

A model that `open` returns stays open until the next `await`; a job keeps it open until its response has ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..config import Config
from ..http.connection import EventStream, while_connected
from ..http.errors import ApiError, log_failure, of_failure
from ..http.visits import visit
from ..models import ServedModel
from ..registry import Card, Registry
from .events import Began, Event
from .scheduler import Job, Scheduler
from .work import Work

encode = msgspec.json.Encoder().encode


class Stream(Protocol):
    """Makes a stream of a job's events. Each method returns bytes to send, or b""."""

    media: str    # the content type
    ping: bytes   # sent while nothing else is; b"": nothing

    def event(self, event: Event) -> bytes:
        """Return what an event adds."""

    def end(self) -> bytes:
        """Return the end of a whole stream."""

    def failed(self, error: ApiError) -> bytes:
        """Return the end of one that an error ends."""


class Whole(Protocol):
    """Makes one object of a job's events."""

    def event(self, event: Event) -> None:
        """Take an event."""

    def value(self) -> object:
        """Return the object, at the end."""


class Service:
    """The models of one app and what evaluates them."""

    def __init__(self, config: Config, registry: Registry, scheduler: Scheduler) -> None:
        self.config = config
        self.registry = registry
        self._scheduler = scheduler
        self._uses: dict[Job, ServedModel] = {}   # of jobs whose responses have not ended

    def alias(self, named: str | None) -> str:
        """Return the model that a request names, or means by naming none."""
        if named:
            return named
        known = self.registry.aliases()
        if not known:
            how = ": await gemel.load(...) first" if self.config.where == "tab" else ""
            raise ApiError(404, f"no model is loaded{how}", param="model", code="model_not_found")
        if len(known) != 1:
            raise ApiError(400, f"model: name one of the models served here: {', '.join(known)}", param="model",
                           code="missing_parameter")
        return known[0]

    async def open(self, request: Request, alias: str) -> ServedModel:
        """Return the model of an alias, which is opened if it is not, or raise a 404. The body must have been read."""
        if (served := self.registry.find(alias)) is not None:
            return served
        if not self.registry.has(alias):
            raise unknown(alias, self.registry.aliases())
        with self.registry.loading(alias) as loading:
            await while_connected(request.receive, loading.wait())
            return loading.served

    async def open_wide(self, request: Request, alias: str, n_ctx: int | None) -> ServedModel:
        """As `open`, with KV caches that hold a context of n_ctx tokens, where the registry can widen them."""
        while True:
            served = await self.open(request, alias)
            wanted = 0 if n_ctx is None else min(n_ctx, served.model.n_ctx)
            most = served.cache_memory
            if wanted <= served.context or most is None or served.cache_of(wanted) <= most:
                return served
            await while_connected(request.receive, self.registry.widen(served, wanted))

    async def card(self, alias: str) -> Card:
        """Return what lists say of a model, or raise a 404."""
        card = await self.registry.card(alias)
        if card is None:
            raise unknown(alias, self.registry.aliases())
        return card

    def submit(self, served: ServedModel, work: Work) -> Job:
        """Queue work: see Scheduler.submit. The model stays open until `whole` or `streamed` has answered."""
        allowance = visit().caller.allowance
        if allowance is not None:
            allowance.check_tokens()
        job = self._scheduler.submit(served, work)
        job.allowance = allowance
        self.registry.take(served)
        self._uses[job] = served
        return job

    def _leave(self, job: Job) -> None:
        """End a job whose response has ended."""
        job.stop()
        job.charge()
        if (served := self._uses.pop(job, None)) is not None:
            self.registry.give_back(served)

    def n_running(self, served: ServedModel) -> int:
        """Return how many requests to a model are evaluated or wait."""
        return self._scheduler.n_jobs(served.model)

    async def whole(self, request: Request, job: Job, shape: Whole) -> Response:
        """Return the response with all of a job's events as one object."""
        self._scheduler.watch.answers(request.scope, job)
        try:
            return json_of(await while_connected(request.receive, _collected(job, shape)))
        finally:
            self._leave(job)

    async def streamed(self, request: Request, job: Job, stream: Stream) -> EventStream:
        """Return the stream of a job. Its status waits for Began: until then the request can turn out to be invalid."""
        self._scheduler.watch.answers(request.scope, job)
        try:
            began = await while_connected(request.receive, anext(job))
            assert isinstance(began, Began)
        except BaseException:
            self._leave(job)
            raise
        return EventStream(
            _pieces(job, began, stream), stop=lambda: self._leave(job), ping_seconds=self.config.ping_seconds,
            media=stream.media, ping=stream.ping,
        )


def unknown(alias: str, known: Sequence[str]) -> ApiError:
    """Return the error for a model that is not there."""
    words = f"there is no model {alias[:100]!r} here; available: {', '.join(known) or 'none'}"
    return ApiError(404, words, param="model", code="model_not_found")


def json_of(value: object) -> Response:
    """Return a value as a response."""
    return Response(encode(value), media_type="application/json")


def event_of(value: object, name: str = "") -> bytes:
    """Return a server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + encode(value) + b"\n\n"


def key_of(request: Request) -> str:
    """Return whose request it is, as far as the server can tell: its API key and address."""
    key = request.headers.get("authorization") or request.headers.get("x-api-key") or ""
    return f"{key} {request.client.host if request.client else ''}"


async def _collected(job: Job, shape: Whole) -> object:
    async for event in job:
        shape.event(event)
    return shape.value()


async def _pieces(job: Job, began: Began, stream: Stream) -> AsyncGenerator[bytes, None]:
    """Yield a stream's bytes, those of a step together."""
    ready = bytearray(stream.event(began))
    if ready:
        yield bytes(ready)
        ready.clear()
    try:
        async for event in job:
            ready += stream.event(event)
            if ready and not job.has_item:
                yield bytes(ready)
                ready.clear()
        ready += stream.end()
    except Exception as error:
        log_failure(error)
        ready += stream.failed(of_failure(error))
    if ready:
        yield bytes(ready)
