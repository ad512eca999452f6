"""Ollama's requests that change the set of models, where the server has a shelf: pull, create, copy, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..http.body import decoded
from ..http.connection import EventStream, while_connected
from ..http.errors import ApiError, invalid, log_failure, of_failure, refused
from ..http.visits import Visit, require, visit
from ..jobs.sampling import sampling_of
from ..jobs.service import Service, encode, json_of, unknown
from ..jobs.stops import stops_of
from ..models import NO_DEFAULTS, Defaults
from ..registry import Made, Report, Shelf
from . import wire
from .answers import LINES
from .options import RENAMED

LATEST = ":latest"
DONE = {"status": "success"}
USED = ("num_predict", "num_ctx", "stop", *wire.SAMPLING)   # parameters of a model that have an effect
ROLES = ("system", "user", "assistant")


def alias_of(service: Service, named: str | None) -> str:
    """Return the alias of a model, which may be named with the tag "latest"."""
    alias = service.alias(named)
    return alias if service.registry.has(alias) else alias.removesuffix(LATEST)


class Changes:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = service.registry

    async def pull(self, request: Request) -> Response | EventStream:
        """POST /api/pull. A model that is served is there."""
        body = await decoded(request, wire.PullRequest, self._service.config, undeclared=True)
        named = _needed(body.model or body.name)
        require("manage", f"pull {named}")
        if self._registry.has(alias_of(self._service, named)):
            return json_of(DONE) if body.stream is False else Response(encode(DONE) + b"\n", media_type=LINES)
        if self._registry.shelf is None:
            error = unknown(named, self._registry.aliases())
            error.message = f"{error.message}; {wire.FIXED}: gemel pull downloads others"
            raise error
        shelf = self._registry.shelf
        return await self._said(request, body.stream, lambda report: shelf.pull(named, report))

    async def create(self, request: Request) -> Response | EventStream:
        """POST /api/create."""
        shelf = self._shelf("create", "start it with --config")
        body = await decoded(request, wire.CreateRequest, self._service.config, undeclared=True)
        wire.check_refused(body)
        name = _needed(body.model or body.name)
        require("manage", f"create {name} from {body.base}")
        if not body.base:
            raise invalid("from", "it is missing: name the model that this one is made of")
        made = made_of(body, self._named(body.base))
        return await self._said(request, body.stream, lambda report: shelf.create(_plain(name), made, report))

    async def copy(self, request: Request) -> Response:
        """POST /api/copy."""
        shelf = self._shelf("copy", "start it with --alias")
        body = await decoded(request, wire.CopyRequest, self._service.config, undeclared=True)
        if not body.destination:
            raise invalid("destination", "it is empty: send a name")
        require("manage", f"copy {body.source} to {body.destination}")
        await shelf.copy(self._there(body.source), _plain(body.destination))
        return Response(status_code=200)

    async def delete(self, request: Request) -> Response:
        """DELETE /api/delete."""
        shelf = self._shelf("delete", "gemel rm deletes files that were downloaded")
        body = await decoded(request, wire.Named, self._service.config, undeclared=True)
        name = _needed(body.model or body.name)
        require("manage", f"delete {name}")
        await shelf.delete(self._there(name))
        return Response(status_code=200)

    async def push(self, request: Request) -> Response:
        """POST /api/push."""
        raise ApiError(400, "push: not supported: there is no library to push to", code="unsupported")

    def _shelf(self, what: str, instead: str) -> Shelf:
        if self._registry.shelf is None:
            raise ApiError(400, f"{what}: not supported: {wire.FIXED}; {instead}", code="unsupported")
        return self._registry.shelf

    def _named(self, name: str) -> str:
        return name if self._registry.has(name) else _plain(name)

    def _there(self, name: str) -> str:
        """Return the name of a model that is there, or raise a 404."""
        found = self._named(name)
        if not self._registry.has(found):
            raise unknown(name, self._registry.aliases())
        return found

    async def _said(
        self, request: Request, stream: bool | None, work: Callable[[Report], Awaitable[None]]
    ) -> Response | EventStream:
        """Return the response of work: lines that say how far it is, or its end."""
        if stream is False:
            await while_connected(request.receive, _done(work(lambda *_: None)))
            return json_of(DONE)
        said, asked = Said(), visit()
        asked.result = "stopped"   # unless it comes to its end
        task = asyncio.create_task(_done(work(said.report)))
        seconds = self._service.config.ping_seconds

        def stop() -> None:
            task.cancel()

        return EventStream(_lines(task, said, asked), stop=stop, ping_seconds=seconds, media=LINES, ping=b"")


class Said:
    """What work says of its progress: the last line of each kind is kept for a client that reads slowly."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Event()

    def report(self, status: str, done: int, total: int) -> None:
        """Take a report."""
        more = {"digest": status.rpartition(" ")[2], "total": total, "completed": done} if total else {}
        self._loop.call_soon_threadsafe(self._take, {"status": status, **more})

    def _take(self, line: dict[str, Any]) -> None:
        self._lines[line["status"]] = line
        self.changed.set()

    def taken(self) -> list[dict[str, Any]]:
        """Return the lines since the last call."""
        lines = list(self._lines.values())
        self._lines.clear()
        self.changed.clear()
        return lines


async def _lines(task: asyncio.Task[None], said: Said, asked: Visit) -> AsyncGenerator[bytes, None]:
    task.add_done_callback(lambda _: said.changed.set())
    while not task.done():
        await said.changed.wait()
        for line in said.taken():
            yield encode(line) + b"\n"
    await asyncio.sleep(0)   # the last reports arrive
    for line in said.taken():
        yield encode(line) + b"\n"
    try:
        await task
    except Exception as error:
        log_failure(error)
        failure = of_failure(error)
        asked.result = f"failed: {failure.code}"
        yield encode(wire.error_of(failure)) + b"\n"
    else:
        asked.result = "done"
        yield encode(DONE) + b"\n"


async def _done(work: Awaitable[None]) -> None:
    await work


def made_of(body: wire.CreateRequest, base: str) -> Made:
    """Return the model that a request describes. A 400 for parameters that have no effect here."""
    options = body.parameters or wire.Options()
    for name in options.__struct_fields__:
        if name not in USED and getattr(options, name) is not None:
            words = "a model can't have it as a parameter here: leave it out"
            raise refused(f"parameters.{RENAMED.get(name, name)}", words)
    given = {name: value for name in wire.SAMPLING if (value := getattr(options, name)) is not None}
    sampling_of(given, lambda name: f"parameters.{RENAMED.get(name, name)}", NO_DEFAULTS)   # checks them
    limit = options.num_predict
    if limit == 0:
        raise invalid("parameters.num_predict", "must be an integer of at least 1, or -1 (until the context is full)")
    messages = [{"role": "system", "content": body.system}] if body.system else []
    for i, message in enumerate(body.messages or ()):
        where = f"messages[{i}]"
        wire.check_refused(message, f"{where}.")
        if message.role not in ROLES:
            raise invalid(f"{where}.role", f"{message.role[:50]!r} must be one of {', '.join(ROLES)}")
        if message.tool_calls or message.tool_name or message.tool_call_id or message.thinking:
            raise refused(where, "a model's own messages have only role and content")
        messages.append({"role": message.role, "content": message.content or ""})
    return Made(
        base=base, n_ctx=options.num_ctx or None,
        defaults=Defaults(
            sampling=given, stops=stops_of(options.stop, "parameters.stop"),
            max_tokens=None if limit is None or limit < 0 else limit, messages=tuple(messages),
        ),
    )  # fmt: skip


def _plain(name: str) -> str:
    return name.removesuffix(LATEST)


def _needed(name: str | None) -> str:
    if not name:
        raise invalid("model", "it is missing: name a model")
    return name
