"""The models of a server: opened when somebody asks for them, closed when others need their memory or nobody asks.

One model is opened or closed at a time, in the order of requests. What a model will take is known from its header
before it is opened; then others are closed until it fits: idle ones first, those asked longest ago first. A busy one
answers what it has begun; later requests for it wait until their turn comes, so that no model starves another.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import gemel
from gemel_web.http.errors import ApiError, of_failure
from gemel_web.jobs.service import unknown
from gemel_web.models import ServedModel, too_wide
from gemel_web.registry import Card, Description, Drop, Facts, ModelSettings, Shelf, State, Usage

from .entry import Entry, Need, description_of, facts_of, need_of, open_entry

log = logging.getLogger("gemel_web.models")
PART = 0.1            # of a model's bytes, after which the log says how far it is,
LEAST = 500 * 10**6   # or so many bytes, while it is read from a disk
SAID = {"download": "downloading", "load": "loading"}


NOTHING = Need(0, 0)


class Loading:
    """A model that is being opened, for all that wait for it."""

    def __init__(self, row: Row) -> None:
        self.n_waiting = 0
        self._row = row
        self._task: asyncio.Task[None] | None = None

    def begin(self, task: asyncio.Task[None]) -> None:
        """Take the task that opens it."""
        self._task = task

    async def wait(self) -> None:
        """Wait until it is open; the task goes on if this waiter leaves. Raises an ApiError."""
        assert self._task is not None
        await asyncio.shield(self._task)

    @property
    def served(self) -> ServedModel:
        """The open model."""
        assert self._row.served is not None
        return self._row.served


@dataclass(eq=False)
class Row:
    """A model, open or not.

    Attributes:
        n_uses: responses that it is making
        loading: who waits for it, until it is open
        granted: who waited for it when it was opened, and may not have asked it yet
        is_leaving: it will be closed as soon as it has no uses: requests wait until it is open again
        keep: seconds that it stays open without requests; None: until its memory is needed
        n_loads, n_unloads: how often it was opened and closed, for metrics
    """

    entry: Entry
    served: ServedModel | None = None
    need: Need = NOTHING
    n_uses: int = 0
    loading: Loading | None = None
    granted: Loading | None = None
    is_leaving: bool = False
    keep: float | None = None
    asked: float = 0.0
    progress: float = 0.0
    timer: asyncio.TimerHandle | None = None
    expires: float | None = None
    facts: tuple[object, Facts | None] = field(default=(None, None))   # of a file with such a size and time
    n_loads: int = 0
    load_seconds: float = 0.0
    n_unloads: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether it is used, or will be at once."""
        return bool(self.n_uses or (self.granted is not None and self.granted.n_waiting))


class Models:
    """The registry. Belongs to one event loop once the app has begun."""

    unloads = True
    shelf: Shelf | None = None
    named: Callable[[str], str | None] | None = None   # finds the alias of a model that is named by an address

    def __init__(self, entries: Sequence[Entry], *, budget: int, cache_memory: int | None = None) -> None:
        self._rows: dict[str, Row] = {}
        self._budget = budget
        self._cache_memory = cache_memory
        self._lock = asyncio.Lock()        # of opening and closing
        self._changed = asyncio.Event()    # a model may have become idle
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops = threading.Event()
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry, served: ServedModel | None = None, need: Need = NOTHING) -> None:
        """Add a model. served: it is open, and takes `need`."""
        self._rows[entry.alias] = Row(entry, served, need, keep=entry.keep_alive, n_loads=served is not None)

    # ---- What the app asks -------------------------------------------------------------------------------------------

    def begin(self, drop: Drop) -> None:
        """Take what must end before a model is closed."""
        self._drop = drop
        for row in self._rows.values():   # open already: it may be idle from now on
            self._rest(row)

    async def close(self) -> None:
        """Close all models, and wait for what is being opened."""
        self._stops.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for row in self._rows.values():
            if row.served is not None:
                await self._close(row)

    def aliases(self) -> Sequence[str]:
        """Return the first name of each model."""
        return list(self._rows)

    def entry(self, name: str) -> Entry:
        """Return a model that `has` tells of."""
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        return row.entry

    async def remove(self, alias: str) -> None:
        """Forget a model, once its answers have ended."""
        row = self._rows[alias]
        async with self._lock:
            row.is_leaving = True
            try:
                await self._unload(row)
                del self._rows[alias]
            finally:
                row.is_leaving = False

    def open_models(self) -> dict[str, gemel.Model]:
        """Return those that are open, by alias."""
        return {alias: row.served.model for alias, row in self._rows.items() if row.served is not None}

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the files on this machine, by alias."""
        return {alias: row.entry.files() for alias, row in self._rows.items()}

    def has(self, alias: str) -> bool:
        """Tell whether there is a model of a name."""
        return self._row(alias) is not None

    def find(self, alias: str) -> ServedModel | None:
        """Return a model if it is open and may be asked."""
        row = self._row(alias)
        if row is None or row.served is None or row.is_leaving:
            return None
        row.asked = time.monotonic()
        self._rest(row)
        return row.served

    @contextmanager
    def loading(self, alias: str) -> Iterator[Loading]:
        """Wait for a model together with others; the first one begins to open it."""
        row = self._row(alias)
        if row is None:
            raise KeyError(alias)
        loading = row.loading
        if loading is None:
            loading = row.loading = Loading(row)
            loading.begin(self._start(self._load(row, loading)))
        loading.n_waiting += 1
        try:
            yield loading
        finally:
            loading.n_waiting -= 1
            self._changed.set()

    def keep(self, alias: str, seconds: float | None) -> None:
        """Set how long a model stays open without requests."""
        row = self._row(alias)
        if row is not None:
            kept = row.entry.keep_alive if seconds is None else seconds
            row.keep = None if kept is None or kept < 0 else kept
            self._rest(row)

    def settings(self, alias: str) -> ModelSettings:
        """Return the settings of a model."""
        entry = self.entry(alias)
        return ModelSettings(defaults=entry.defaults, keep_alive=entry.keep_alive)

    def set(self, alias: str, settings: ModelSettings) -> None:
        """Change them, until the server stops."""
        row = self._row(alias)
        if row is None:
            raise KeyError(alias)
        self._put(row, replace(row.entry, defaults=settings.defaults, keep_alive=settings.keep_alive))

    def take(self, served: ServedModel) -> None:
        """Count a use."""
        for row in self._of(served):
            row.n_uses += 1
            self._rest(row)

    def give_back(self, served: ServedModel) -> None:
        """End a use."""
        for row in self._of(served):
            row.n_uses -= 1
            row.asked = time.monotonic()
            self._rest(row)
            self._changed.set()

    async def widen(self, served: ServedModel, n_ctx: int) -> None:
        """Let the KV caches of a model hold a context of n_ctx tokens; it goes on if this caller leaves."""
        await asyncio.shield(self._start(self._widen(served, n_ctx)))

    def name_of(self, served: ServedModel) -> str:
        """Return the alias of an open model."""
        return next((row.entry.alias for row in self._of(served)), "")

    def usage(self) -> Sequence[Usage]:
        """Return what all models take now."""
        return [
            Usage(
                alias=row.entry.alias, state=_state(row), memory=row.need.total if row.served is not None else 0,
                n_loads=row.n_loads, load_seconds=row.load_seconds, n_unloads=row.n_unloads,
            ) for row in self._rows.values()
        ]  # fmt: skip

    async def card(self, alias: str) -> Card | None:
        """Return one model; None: there is none of that name."""
        row = self._row(alias)
        return None if row is None else await self._card(row)

    async def cards(self) -> list[Card]:
        """Return all models."""
        return [await self._card(row) for row in list(self._rows.values())]

    async def described(self, alias: str, longest: int | None) -> Description | None:
        """Read the header of a model that is not open."""
        row = self._row(alias)
        return None if row is None else await asyncio.to_thread(description_of, row.entry, longest)

    # ---- Changes -----------------------------------------------------------------------------------------------------

    def reload(self, given: Sequence[Entry], before: Collection[str]) -> None:
        """Take other entries for those that were given before, by alias: add, change and forget models.

        One that is open and has to be opened in another way is closed once its answers have ended.
        """
        names = {entry.alias for entry in given}
        for entry in given:
            row = self._rows.get(entry.alias)
            if row is None:
                self.add(entry)
                log.info("%s: added", entry.alias)
            elif entry.alias not in before:
                log.warning("%s of the settings is not served: a client made a model of this name", entry.alias)
            elif replace(entry, created=0) != replace(row.entry, created=0):
                opens_alike = (entry.source, entry.how) == (row.entry.source, row.entry.how)
                self._put(row, replace(entry, created=row.entry.created))
                log.info("%s: settings changed", entry.alias)
                if row.served is not None and not opens_alike:
                    self._start(self._leave(row))
        for alias in (set(before) - names) & set(self._rows):
            self._start(self.remove(alias))
            log.info("%s: removed", alias)

    def _put(self, row: Row, entry: Entry) -> None:
        row.entry, row.keep = entry, entry.keep_alive
        if row.served is not None:
            row.served = replace(row.served, defaults=entry.defaults)
        self._rest(row)

    async def _leave(self, row: Row) -> None:
        async with self._lock:
            row.is_leaving = True
            try:
                await self._unload(row)
            finally:
                row.is_leaving = False

    # ---- Opening -----------------------------------------------------------------------------------------------------

    async def _load(self, row: Row, loading: Loading) -> None:
        """Open a model for those that wait for it. Raises an ApiError to them alone."""
        alias = row.entry.alias
        try:
            row.progress = 0.0
            if row.entry.local() is None:   # it is downloaded while others are opened
                await asyncio.to_thread(gemel.model_files, row.entry.source, on_progress=self._reporter(row))
            async with self._lock:
                if self._rows.get(alias) is not row:   # removed, while this waited
                    raise unknown(alias, self.aliases())
                row.progress = 0.0
                need = await asyncio.to_thread(need_of, row.entry, self._budget, self._cache_memory)
                await self._make_room(need.total)
                start = time.monotonic()
                log.info("%s: loading, %.0f MB", alias, need.total / 1e6)
                served = await asyncio.to_thread(
                    open_entry, row.entry, cache=need.cache, on_progress=self._reporter(row)
                )
                row.served, row.need, row.granted = served, need, loading
                row.keep = row.entry.keep_alive   # what an earlier request asked for counts no longer
                row.asked = time.monotonic()
                row.n_loads += 1
                row.load_seconds += time.monotonic() - start
                log.info("%s: loaded in %.1f s", alias, time.monotonic() - start)
        except ApiError:
            raise
        except Exception as error:
            why = of_failure(error).message if not isinstance(error, OSError) else str(error)
            log.error("%s: not loaded: %s", alias, why)
            if path := row.entry.local():   # where it is concerns no client
                why = why.replace(str(path), path.name)
            raise ApiError(503, f"{alias} can't be loaded: {why}", param="model", code="model_not_loaded") from None
        finally:
            row.loading = None
            self._rest(row)

    def _reporter(self, row: Row) -> _Reporter:
        return _Reporter(row, self._stops)

    async def _widen(self, served: ServedModel, n_ctx: int) -> None:
        async with self._lock:
            row = next(iter(self._of(served)), None)
            if row is None or row.served is None:   # closed
                return
            size, need = row.served.cache_of(n_ctx), row.need
            if size <= need.cache:   # widened for another request
                return
            more = size - need.cache
            if self._cache_memory is not None:
                raise too_wide(n_ctx, size, need.cache, ", or raise --cache-memory")
            if need.total + more > self._budget:
                raise too_wide(n_ctx, size, self._budget - need.total + need.cache, ", or raise --max-memory")
            await self._make_room(more, but=row)
            row.need = Need(need.total + more, size)
            row.served = replace(row.served, cache_memory=size)
            log.info("%s: KV caches may take %.0f MB, for a context of %d tokens", row.entry.alias, size / 1e6, n_ctx)

    async def _make_room(self, size: int, *, but: Row | None = None) -> None:
        """Close models, except one, until `size` bytes more fit."""
        held = sum(row.need.total for row in self._rows.values() if row.served is not None)
        chosen = []
        for row in sorted(self._rows.values(), key=lambda row: (row.is_busy, row.asked)):
            if held + size <= self._budget:
                break
            if row.served is not None and row is not but:
                chosen.append(row)
                held -= row.need.total
        for row in chosen:
            row.is_leaving = True
        try:
            for row in chosen:
                await self._unload(row)
        finally:
            for row in chosen:
                row.is_leaving = False

    async def _unload(self, row: Row) -> None:
        """Close a model that is leaving, once its responses have ended."""
        while row.is_busy:
            self._changed.clear()
            await self._changed.wait()
        await self._close(row)

    async def _close(self, row: Row) -> None:
        served, row.served = row.served, None
        if served is not None:
            await self._drop(served.model)
            await asyncio.to_thread(served.model.close)
            row.n_unloads += 1
            if not self._stops.is_set():
                log.info("%s: unloaded", row.entry.alias)
        self._rest(row)

    # ---- Idle models -------------------------------------------------------------------------------------------------

    def _rest(self, row: Row) -> None:
        """Set the timer of a model that is open and idle; stop that of another."""
        if row.timer is not None:
            row.timer.cancel()
        row.timer = row.expires = None
        if row.served is not None and not row.is_busy and row.keep is not None and not self._stops.is_set():
            row.expires = time.time() + row.keep
            row.timer = asyncio.get_running_loop().call_later(row.keep, self._expire, row)

    def _expire(self, row: Row) -> None:
        self._start(self._end(row))

    async def _end(self, row: Row) -> None:
        async with self._lock:
            if row.expires is None or row.is_busy:   # somebody has asked it meanwhile
                return
            row.is_leaving = True
            try:
                await self._close(row)
            finally:
                row.is_leaving = False

    # ---- Rows --------------------------------------------------------------------------------------------------------

    def _row(self, name: str) -> Row | None:
        if name in self._rows:
            return self._rows[name]
        found = next((row for row in self._rows.values() if name in row.entry.aliases), None)
        if found is None and self.named is not None and (alias := self.named(name)) is not None:
            return self._rows.get(alias)
        return found

    def _of(self, served: ServedModel) -> list[Row]:
        return [row for row in self._rows.values() if row.served is not None and row.served.model is served.model]

    async def _card(self, row: Row) -> Card:
        entry, served = row.entry, row.served
        facts = None
        if served is None:
            facts = await asyncio.to_thread(_facts, row)
            served = row.served   # of now
        return Card(
            alias=entry.alias, state=_state(row), created=entry.created, served=served, facts=facts,
            progress=row.progress, memory=row.need.total or None, expires=row.expires,
        )

    def _start(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())   # its waiters may have left
        return task


def _state(row: Row) -> State:
    return "loaded" if row.served is not None else "loading" if row.loading is not None else "unloaded"


def _facts(row: Row) -> Facts | None:
    """Return what a model's header says, which is read once."""
    path = row.entry.local()
    stat = None if path is None else path.stat()
    key = None if stat is None else (path, stat.st_size, stat.st_mtime_ns)
    if key is None or row.facts[0] != key:
        row.facts = key, facts_of(row.entry)
    return row.facts[1]


class _Reporter:
    """Notes how far a model is, for lists, and logs it; ends the loading when the server stops."""

    def __init__(self, row: Row, stops: threading.Event) -> None:
        self._row, self._stops = row, stops
        self._stage, self._n_said = "", 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take what gemel.open reports."""
        if self._stops.is_set():
            raise gemel.CancelledError("the server is stopping")
        part = done / total if total else 0.0
        if stage != self._stage:
            self._stage, self._n_said = stage, 0
        self._row.progress = part
        n = int(part / (max(PART, LEAST / total) if total and stage == "load" else PART))
        if stage in SAID and n > self._n_said:
            self._n_said = n
            log.info("%s: %s, %.0f %% of %.0f MB", self._row.entry.alias, SAID[stage], 100 * part, total / 1e6)
