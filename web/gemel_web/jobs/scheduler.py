"""Which request is answered when: work becomes a job in its model's queue, and comes back as events.

A queue runs one job at a time, in order of arrival, and limits how many may wait. Callers know only `submit`, so a
scheduler that evaluates several requests together could replace this one.

    job = scheduler.submit(served, work)
    try:
        async for event in job: ...
    finally:
        job.stop()
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

from ..http.errors import ApiError
from ..models import ServedModel
from .work import Event, ModelSlot, Work


class Job:
    """Work in a queue: an async iterator of its events, which raises what the work raised."""

    def __init__(self, work: Work, slot: ModelSlot) -> None:
        self.work = work
        self.slot = slot
        self._items: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

    def __aiter__(self) -> Job:
        return self

    async def __anext__(self) -> Event:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def put(self, item: Event | BaseException | None) -> None:
        """Pass on an event; an error or None is the last one. Called in the event loop."""
        self._items.put_nowait(item)

    def stop(self) -> None:
        """Stop the work: if it is running, it ends within its step. Does nothing once it has ended."""
        self.work.stop()


class ModelQueue:
    """One model's queue, and the task that runs its jobs.

    A model may be served under several aliases: those with the same context and cache type share a slot.
    """

    def __init__(self, model: gemel.Model, *, max_waiting: int, threads: bool) -> None:
        self._slots: dict[tuple[int | None, KvType | None], ModelSlot] = {}
        self._max_waiting = max_waiting
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._pace = Pace(model)
        self._pool = ThreadPoolExecutor(1, "gemel-queue") if threads else None
        self._seconds = 1.0   # how long a job takes, on average

    def add(self, served: ServedModel, work: Work) -> Job:
        """Queue work. Raises the API's 429 when the queue is full."""
        self._waiting = deque(job for job in self._waiting if not job.work.stopped)
        if len(self._waiting) >= self._max_waiting + (self._task is None):   # an idle queue runs one immediately
            seconds = max(1, math.ceil(self._seconds * len(self._waiting)))
            raise ApiError(
                429, f"{len(self._waiting)} requests are waiting for this model, which is the limit: try again later",
                code="queue_full", headers={"Retry-After": str(min(seconds, 3600))},
            )
        job = Job(work, self._slot_of(served))
        self._waiting.append(job)
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        return job

    def _slot_of(self, served: ServedModel) -> ModelSlot:
        key = served.n_ctx, served.kv_type
        if key not in self._slots:
            self._slots[key] = ModelSlot(
                served.model, n_ctx=served.n_ctx, kv_type=served.kv_type, short_steps=self._pool is None
            )
        return self._slots[key]

    async def close(self) -> None:
        """Stop all jobs, and close the sessions once no job uses them."""
        for job in [*self._waiting, *filter(None, [self._running])]:
            job.stop()
        if self._task is not None:
            await self._task
        if self._pool is not None:
            self._pool.shutdown()
        for slot in self._slots.values():
            slot.drop()

    async def _serve(self) -> None:
        try:
            while self._waiting:
                self._running = self._waiting.popleft()
                start = time.monotonic()
                await self._run(self._running)
                self._seconds += (time.monotonic() - start - self._seconds) / 4
        finally:
            self._running = self._task = None

    async def _run(self, job: Job) -> None:
        if self._pool is None:
            for item in self._items(job):
                if item is not None:
                    job.put(item)
                await self._pace.yield_turn()   # lets other tasks run
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._run_in_thread, job, loop.call_soon_threadsafe)
        job.put(None)

    def _run_in_thread(self, job: Job, in_loop: Callable[..., object]) -> None:
        for item in self._items(job):
            if item is not None:
                in_loop(job.put, item)

    def _items(self, job: Job) -> Iterator[Event | BaseException | None]:
        """Run step after step until the work is done, stopped or failed; an error is the last item."""
        work = job.work
        with contextlib.closing(work.steps(job.slot)) as steps:
            try:
                while not work.stopped:
                    try:
                        event = next(steps)
                    except StopIteration:
                        break
                    yield event
            except Exception as error:
                if not isinstance(error, ApiError):
                    job.slot.drop()
                yield error
                return
        if work.stopped:
            yield gemel.CancelledError("the request was stopped")


class Scheduler:
    """The queues of all models. Belongs to one event loop."""

    def __init__(self, *, queue: int, threads: bool) -> None:
        self._max_waiting = queue
        self._threads = threads
        self._queues: dict[gemel.Model, ModelQueue] = {}
        self._closed = False

    def submit(self, served: ServedModel, work: Work) -> Job:
        """Queue work for a model. Raises a 429 if too many requests are waiting, a 503 if the server is stopping."""
        if self._closed:
            raise ApiError(503, "the server is stopping", code="stopped")
        self._queues = {model: queue for model, queue in self._queues.items() if not model.closed}
        queue = self._queues.get(served.model)
        if queue is None:
            queue = self._queues[served.model] = self._new_queue(served.model)
        return queue.add(served, work)

    def _new_queue(self, model: gemel.Model) -> ModelQueue:
        return ModelQueue(model, max_waiting=self._max_waiting, threads=self._threads)

    async def drop(self, model: gemel.Model) -> None:
        """Stop a model's jobs, wait for the running step, close the sessions: then the model may be closed."""
        queue = self._queues.pop(model, None)
        if queue is not None:
            await queue.close()

    async def close(self) -> None:
        """Stop all jobs, wait for the running steps, close the sessions."""
        self._closed = True
        for queue in list(self._queues.values()):
            await queue.close()
