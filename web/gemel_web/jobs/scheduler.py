"""Which requests are evaluated together: work becomes a job of its model's driver, and comes back as events.

A driver alternates: each job is resumed, then the model's batch takes one step for all of them. Natively it runs in the
model's own thread, in a tab in the event loop. What a step made ready reaches the clients in one turn of the loop.

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
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import gemel
from gemel import KvType, Pace

from ..access import Allowance
from ..http.errors import ApiError
from ..models import ServedModel
from .counts import Counts
from .events import Began, Event, Steps
from .passes import Passes
from .watch import Unwatched, Watch
from .work import Load, ModelSlot, Work


class End:
    """The last item of a job without an error."""


MOST_PARALLEL = 124
ORDERED = 0.1   # seconds for which later requests wait until the ids and the grammar of one are made
THREADS = {"prompts": 4, "steps": 1}
Item = Event | Exception | End   # of a job: an error or End is the last one


def _pool(name: str, n: int) -> ThreadPoolExecutor:
    """Return a pool whose threads have begun: a server has the same number of them from its start on."""
    pool, all_run = ThreadPoolExecutor(n, name), threading.Barrier(n)
    for _ in range(n):
        pool.submit(all_run.wait, 10)   # none is idle before the last has begun
    return pool


class Job:
    """Work for a driver: an async iterator of its events, which raises what the work raised."""

    def __init__(self, work: Work, slot: ModelSlot) -> None:
        self.work = work
        self.slot = slot
        self.ended = False
        self.began = time.monotonic()
        self.timer: asyncio.TimerHandle | None = None   # of `expire`
        self.allowance: Allowance | None = None   # of the key that it is for
        self._why: Exception = gemel.CancelledError("the request was stopped")
        self._steps: Steps = work.steps(slot)
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    def __aiter__(self) -> Job:
        return self

    async def __anext__(self) -> Event:
        item = await self._items.get()
        if isinstance(item, End):
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item

    @property
    def has_item(self) -> bool:
        """Whether the next item is there already, such as another event of the same step."""
        return not self._items.empty()

    def put(self, item: Item) -> None:
        """Pass on an event. Called in the event loop."""
        self._items.put_nowait(item)

    def stop(self) -> None:
        """Stop the work before the next pass. Does nothing once it has ended."""
        self.work.stop()

    def charge(self) -> None:
        """Count its tokens against its key, once: the response has ended."""
        allowance, self.allowance = self.allowance, None
        if allowance is not None:
            allowance.charge(self.work.n_tokens())

    def expire(self, seconds: float) -> None:
        """Stop it, because it took too long."""
        self._why = ApiError(
            503, f"the answer was not complete within {seconds:g} seconds, which is this server's limit: "
            "ask for fewer tokens, or try again later", code="deadline_exceeded",
        )  # fmt: skip
        self.stop()

    def prepare(self) -> Iterator[Item | None]:
        """Yield None between the prompts, then Began, or an error."""
        yield from self._resumed(_is_begin)

    def resume(self) -> Iterator[Item]:
        """Yield what there is to say before the next pass."""
        return filter(None, self._resumed(_is_pause))

    def fail(self, error: Exception) -> Item:
        """End with an error, and return it."""
        self.ended = True
        with contextlib.suppress(Exception):
            self._steps.close()
        return error

    def _resumed(self, is_last: Callable[[Event | None], bool]) -> Iterator[Item | None]:
        """Yield events up to one that `is_last`, and at the end, when `ended` is set, End or an error."""
        try:
            while not self.work.stopped:
                try:
                    event = next(self._steps)
                except StopIteration:
                    self.ended = True
                    yield End()
                    return
                yield event
                if is_last(event):
                    return
        except Exception as error:
            yield self.fail(error)
            return
        yield self.fail(self._why)


def _is_pause(event: Event | None) -> bool:
    return event is None


def _is_begin(event: Event | None) -> bool:
    return isinstance(event, Began)


@dataclass(frozen=True)
class Limits:
    """What a driver may do at a time."""

    parallel: int              # answers that are evaluated together
    queue: int                 # requests that may wait beside them
    threads: bool              # evaluate in threads; False: in the event loop, in short steps
    cache_memory: int | None   # bytes of a model's KV caches; None: see gemel.Model.batch
    answer_seconds: float | None = None   # for an answer, its wait included; None: no limit

    def __post_init__(self) -> None:
        if not 1 <= self.parallel <= MOST_PARALLEL:
            raise ValueError(f"parallel={self.parallel!r}: must be 1 to {MOST_PARALLEL}")


class Driver:
    """One model's jobs, and what evaluates them.

    A model may be served under several aliases: those with the same context and cache type share a slot.
    """

    def __init__(self, model: gemel.Model, limits: Limits, passes: Passes, watch: Watch | None = None) -> None:
        self._passes = passes   # of all models
        self._watch = watch or Unwatched()
        self._slots: dict[tuple[int | None, KvType | None, int | None], ModelSlot] = {}
        self._limits = limits
        self._jobs: set[Job] = set()       # all that have not ended
        self._active: list[Job] = []       # those that have begun, in order of arrival
        self._lock = threading.Lock()      # of `_active` and `_drives`
        self._drives = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = Pace(model)
        self._preparing = asyncio.Lock()   # ids are made in order of arrival, unless it takes long
        self._pools = [_pool(f"gemel-{name}", n) for name, n in THREADS.items() if limits.threads]
        self._seconds = 1.0                # how long a job takes, on average

    def add(self, served: ServedModel, work: Work) -> Job:
        """Queue work. Raises the API's 429 when too many jobs wait."""
        waiting = self.n_queued
        if waiting >= self._limits.queue:
            seconds = max(1, math.ceil(self._seconds * (waiting + 1) / self._limits.parallel))
            raise ApiError(
                429, f"{max(0, waiting)} requests are waiting for this model, which is the limit: try again later",
                code="queue_full", headers={"Retry-After": str(min(seconds, 3600))},
            )
        job = Job(work, self._slot_of(served))
        self._jobs.add(job)
        self._watch.submitted(served, job, work)
        if self._limits.answer_seconds is not None:
            limit = self._limits.answer_seconds
            job.timer = asyncio.get_running_loop().call_later(limit, job.expire, limit)
        self._start(self._prepared(job))
        return job

    @property
    def n_jobs(self) -> int:
        """How many jobs have not ended."""
        return len(self._jobs)

    @property
    def n_queued(self) -> int:
        """How many jobs there are beside those that can be evaluated together; below 0: so many more can."""
        return sum(not job.work.stopped for job in self._jobs) - self._limits.parallel

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self.n_queued >= self._limits.queue

    def load(self) -> Load:
        """Return what it evaluates and has evaluated."""
        loads, counts = [slot.load() for slot in self._slots.values()], Counts()
        for one in loads:
            counts.add(one.counts)
        return Load(
            sum(one.n_running for one in loads),
            sum(one.n_waiting for one in loads) + len(self._jobs.difference(self._active)),
            max((one.cache_size for one in loads), default=0), max((one.cache_memory for one in loads), default=0),
            max((one.n_pages for one in loads), default=0), counts,
        )  # fmt: skip

    def _slot_of(self, served: ServedModel) -> ModelSlot:
        limits = self._limits
        memory = limits.cache_memory if served.cache_memory is None else served.cache_memory
        key = served.n_ctx, served.kv_type, memory
        if key not in self._slots:
            self._slots[key] = ModelSlot(
                served.model, n_ctx=served.n_ctx, kv_type=served.kv_type, cache_memory=memory,
                parallel=limits.parallel, step_seconds=None if limits.threads else Pace.WORKER_SECONDS,
            )
        return self._slots[key]

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop all jobs, and close the batches once no job uses them."""
        for job in self._jobs:
            job.stop()
        while self._tasks:
            await asyncio.gather(*self._tasks)
        for pool in self._pools:
            pool.shutdown()
        for slot in self._slots.values():
            slot.drop()

    # ---- Making ids -------------------------------------------------------------------------------------------------

    async def _prepared(self, job: Job) -> None:
        items: list[Item | None] = []
        if self._pools:
            items += await self._prepared_in_thread(job)
        else:
            async with self._preparing:
                for item in job.prepare():
                    items.append(item)
                    await self._pace.yield_turn()
        self._deliver([(job, item) for item in items if item is not None])
        if job.ended:
            return
        with self._lock:
            self._active = [*self._active, job]   # a list that the driver may be reading stays as it is
            begins, self._drives = not self._drives, True
        if begins:
            self._start(self._drive())

    async def _prepared_in_thread(self, job: Job) -> list[Item | None]:
        """Return what prepare() yields. Later jobs wait a little: a form may take a second to compile."""
        async with self._preparing:
            making = asyncio.get_running_loop().run_in_executor(self._pools[0], lambda: list(job.prepare()))
            await asyncio.wait({making}, timeout=ORDERED)
        return await making

    # ---- Steps ------------------------------------------------------------------------------------------------------

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._pools:
                await loop.run_in_executor(self._pools[1], self._drive_in_thread, loop)
                return
            while self._turn(self._deliver):
                await self._pace.yield_turn()   # lets other tasks run
        except BaseException:
            with self._lock:
                self._drives = False   # the next request starts it again
            raise

    def _drive_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        goes_on = True
        while goes_on:
            with self._passes:
                goes_on = self._turn(lambda made: loop.call_soon_threadsafe(self._deliver, made))

    def _turn(self, deliver: Callable[[list[tuple[Job, Item]]], object]) -> bool:
        """Resume each job, deliver what they made, and take a step; return whether jobs are left."""
        jobs = self._active
        made = [(job, item) for job in jobs for item in job.resume()]
        if made:
            deliver(made)
        with self._lock:
            self._active = jobs = [job for job in self._active if not job.ended]
            self._drives = bool(jobs)
        for slot in {job.slot for job in jobs}:
            try:
                slot.step()
            except Exception as error:
                with contextlib.suppress(Exception):
                    slot.drop()
                deliver([(job, job.fail(error)) for job in jobs if job.slot is slot])
        return bool(jobs)

    def _deliver(self, made: list[tuple[Job, Item]]) -> None:
        for job, item in made:
            job.put(item)
            self._watch.delivered(job, item)
            if isinstance(item, End | Exception):
                self._jobs.discard(job)
                if job.timer is not None:
                    job.timer.cancel()
                self._seconds += (time.monotonic() - job.began - self._seconds) / 4


class Scheduler:
    """The drivers of all models. Belongs to one event loop."""

    def __init__(self, limits: Limits, watch: Watch | None = None) -> None:
        self._limits = limits
        self.watch: Watch = watch or Unwatched()
        self._drivers: dict[gemel.Model, Driver] = {}
        self._passes = Passes()
        self._closed = False

    def submit(self, served: ServedModel, work: Work) -> Job:
        """Queue work for a model. Raises a 429 if too many requests are waiting, a 503 if the server is stopping."""
        if self._closed:
            raise ApiError(503, "the server is stopping", code="stopped")
        self._drivers = dict(self.drivers())
        driver = self._drivers.get(served.model)
        if driver is None:
            driver = self._drivers[served.model] = Driver(served.model, self._limits, self._passes, self.watch)
        return driver.add(served, work)

    def n_jobs(self, model: gemel.Model) -> int:
        """Return how many jobs of a model have not ended."""
        driver = self._drivers.get(model)
        return 0 if driver is None else driver.n_jobs

    def drivers(self) -> Mapping[gemel.Model, Driver]:
        """Return those of the models that are open."""
        return {model: driver for model, driver in self._drivers.items() if not model.closed}

    @property
    def is_stopping(self) -> bool:
        """Whether new requests are refused."""
        return self._closed

    async def drop(self, model: gemel.Model) -> None:
        """Stop a model's jobs, wait for the running step, close the batches: then the model may be closed."""
        driver = self._drivers.pop(model, None)
        if driver is not None:
            await driver.close()
            self.watch.left(model, driver.load())

    async def close(self) -> None:
        """Stop all jobs, wait for the running steps, close the batches."""
        self._closed = True
        for driver in list(self._drivers.values()):
            await driver.close()
