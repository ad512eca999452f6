"""Who is answered when: work goes to a model's lane and comes back as events.

Today a lane does one thing at a time, first come first served, with so many waiting and no more. What asks for work
knows only `submit`: a scheduler that evaluates many requests together can take this one's place.

    ticket = scheduler.submit(served, work)
    try:
        async for event in ticket: ...
    finally:
        ticket.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import gemel
from gemel import KvType, Pace

from .errors import ApiError
from .models import Served
from .work import Desk, Event, Work


class Ticket:
    """A place in a lane: an async iterator of the work's events, which raises what the work raised."""

    def __init__(self, work: Work, desk: Desk) -> None:
        self.work = work
        self.desk = desk
        self._items: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

    def __aiter__(self) -> Ticket:
        return self

    async def __anext__(self) -> Event:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def put(self, item: Event | BaseException | None) -> None:
        """Hand over an event; an error or None is the last. Called in the event loop."""
        self._items.put_nowait(item)

    def stop(self) -> None:
        """Give the place up: work that runs ends within its step. Nothing happens when it has ended."""
        self.work.stop()


class Lane:
    """One model's queue, and what works through it while there is something in it.

    The model may be served under several aliases: those of equal context and cache share a desk.
    """

    def __init__(self, model: gemel.Model, *, most: int, threads: bool) -> None:
        self._desks: dict[tuple[int | None, KvType | None], Desk] = {}
        self._most = most
        self._waiting: deque[Ticket] = deque()
        self._running: Ticket | None = None
        self._task: asyncio.Task[None] | None = None
        self._pace = Pace(model)
        self._pool = ThreadPoolExecutor(1, "gemel-lane") if threads else None
        self._seconds = 1.0   # that work takes, about

    def enter(self, served: Served, work: Work) -> Ticket:
        """Queue work. The API's 429 when the queue is full."""
        self._waiting = deque(ticket for ticket in self._waiting if not ticket.work.stopped)
        if len(self._waiting) >= self._most + (self._task is None):   # an idle lane takes one at once
            seconds = max(1, math.ceil(self._seconds * len(self._waiting)))
            raise ApiError(
                429, f"{len(self._waiting)} requests wait for this model, which is the limit: try again later",
                code="queue_full", headers={"Retry-After": str(min(seconds, 3600))},
            )
        ticket = Ticket(work, self._desk_of(served))
        self._waiting.append(ticket)
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        return ticket

    def _desk_of(self, served: Served) -> Desk:
        key = served.n_ctx, served.kv_type
        if key not in self._desks:
            turns = self._pool is None
            self._desks[key] = Desk(served.model, n_ctx=served.n_ctx, turns=turns, kv_type=served.kv_type)
        return self._desks[key]

    async def close(self) -> None:
        """Stop all work, and close the sessions when nothing uses them any more."""
        for ticket in [*self._waiting, *filter(None, [self._running])]:
            ticket.stop()
        if self._task is not None:
            await self._task
        if self._pool is not None:
            self._pool.shutdown()
        for desk in self._desks.values():
            desk.drop()

    async def _serve(self) -> None:
        try:
            while self._waiting:
                self._running = self._waiting.popleft()
                start = time.monotonic()
                await self._work(self._running)
                self._seconds += (time.monotonic() - start - self._seconds) / 4
        finally:
            self._running = self._task = None

    async def _work(self, ticket: Ticket) -> None:
        if self._pool is None:
            for item in self._items(ticket):
                if item is not None:
                    ticket.put(item)
                await self._pace.yield_turn()   # for everybody else
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._work_in_thread, ticket, loop.call_soon_threadsafe)
        ticket.put(None)

    def _work_in_thread(self, ticket: Ticket, in_loop: Callable[..., object]) -> None:
        for item in self._items(ticket):
            if item is not None:
                in_loop(ticket.put, item)

    def _items(self, ticket: Ticket) -> Iterator[Event | BaseException | None]:
        """Take one step after another until the work is done, stopped, or failed; an error is the last item."""
        work = ticket.work
        with contextlib.closing(work.steps(ticket.desk)) as steps:
            try:
                while not work.stopped:
                    try:
                        event = next(steps)
                    except StopIteration:
                        break
                    yield event
            except Exception as error:
                if not isinstance(error, ApiError):
                    ticket.desk.drop()
                yield error
                return
        if work.stopped:
            yield gemel.CancelledError("the request was stopped")


class Scheduler:
    """The lanes of all models. Belongs to one event loop."""

    def __init__(self, *, queue: int, threads: bool) -> None:
        self._queue = queue
        self._threads = threads
        self._lanes: dict[gemel.Model, Lane] = {}
        self._closed = False

    def submit(self, served: Served, work: Work) -> Ticket:
        """Queue work for a model. The API's 429 where too much waits, 503 when the server stops."""
        if self._closed:
            raise ApiError(503, "the server is stopping", code="stopped")
        self._lanes = {model: lane for model, lane in self._lanes.items() if not model.closed}
        lane = self._lanes.get(served.model)
        if lane is None:
            lane = self._lanes[served.model] = Lane(served.model, most=self._queue, threads=self._threads)
        return lane.enter(served, work)

    async def drop(self, model: gemel.Model) -> None:
        """Stop a model's work, wait for the step that runs, close the session: then the model may be closed."""
        lane = self._lanes.pop(model, None)
        if lane is not None:
            await lane.close()

    async def close(self) -> None:
        """Stop all work, wait for the steps that run, close the sessions."""
        self._closed = True
        for lane in list(self._lanes.values()):
            await lane.close()
