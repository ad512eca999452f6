"""Models that clients of a server pull, make of others, copy and delete.

Downloads are in gemel's cache. A made model is a file in the folder `made` beside it: the name, where its file is, and
settings. Each change is one rename, so a process that is killed leaves the state before it or after it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import gemel
from gemel_web.http.errors import ApiError, invalid
from gemel_web.models import Defaults, alias_of
from gemel_web.registry import Made, Report

from .entry import Entry, ModelOptions, is_address, longest_of
from .registry import Models

log = logging.getLogger("gemel_web.models")
HUBS = ("hf.co/", "huggingface.co/", "https://hf.co/", "https://huggingface.co/")
LONGEST = 200   # characters of a name


def address_of(name: str) -> str:
    """Return the address that a name of Ollama's means, in gemel's form.

    >>> address_of("hf.co/owner/repo:Q4_K_M"), address_of("huggingface.co/owner/repo:latest"), address_of("tiny")
    ('hf:owner/repo:Q4_K_M', 'hf:owner/repo', 'tiny')
    """
    for hub in HUBS:
        rest = name.removeprefix(hub)
        if rest != name and rest.count("/") == 1:
            return "hf:" + rest.removesuffix(":latest")
    plain = name.removesuffix(":latest")
    return plain if plain in gemel.NAMES else name


def folder() -> Path:
    """Return the folder of made models."""
    return gemel.cache.folder().parent / "made"


class Files:
    """The shelf of a server. A change is made by one request at a time."""

    def __init__(self, models: Models, how: ModelOptions, keep_alive: float | None) -> None:
        self._models = models
        self._how, self._keep_alive = how, keep_alive
        self._lock = asyncio.Lock()
        self._pulled: dict[str, str] = {}   # names in the cache, by alias
        self._made: set[str] = set()
        self._read()

    def _read(self) -> None:
        """Add what is there already. What a killed process left half-written is deleted."""
        for left in folder().glob("*.new"):
            left.unlink(missing_ok=True)
        for path in sorted(folder().glob("*.json")):
            try:
                entry = entry_of(json.loads(path.read_text(encoding="utf-8")), self._how, self._keep_alive)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.error("%s: not a made model: %s", path, error)
                continue
            if self._is_free(entry.alias, str(path)):
                self._models.add(entry)
                self._made.add(entry.alias)
        for held in gemel.cache.list():
            self._add_pulled(held.name)

    def _is_free(self, alias: str, what: str) -> bool:
        if self._models.has(alias):
            log.warning("%s is not served: %s is the name of another model", what, alias)
            return False
        return True

    def _add_pulled(self, name: str) -> None:
        alias = alias_of(name)
        if self._is_free(alias, f"{name} in the cache"):
            self._pulled[alias] = name
            self._models.add(Entry(
                alias=alias, source=name, how=self._how, keep_alive=self._keep_alive, created=int(time.time()),
            ))  # fmt: skip

    def alias(self, name: str) -> str | None:
        """Return the alias of a model that is named by its address; None: it has not been pulled."""
        address = address_of(name)
        if not is_address(address):
            return None
        try:
            path = gemel.cache.path(address)
        except gemel.GemelError:
            return None
        if path is None:
            return None
        return next((alias for alias, held in self._pulled.items() if gemel.cache.path(held) == path), None)

    # ---- Changes -----------------------------------------------------------------------------------------------------

    async def pull(self, name: str, report: Report) -> None:
        """Download a model into the cache."""
        address = address_of(name)
        if not is_address(address):
            known = ", ".join(gemel.NAMES)
            raise ApiError(
                404, f"{name[:100]!r} is neither a short name ({known}) nor an address, such as "
                "hf.co/owner/repo:Q4_K_M or https://.../file.gguf", param="model", code="model_not_found",
            )  # fmt: skip
        gone = threading.Event()
        report("pulling manifest", 0, 0)

        def on_progress(stage: str, done: int, total: int) -> None:
            if gone.is_set():
                raise gemel.CancelledError("the client has left")
            report(f"pulling {alias_of(address)}", done, total)

        try:
            await asyncio.to_thread(_pulled, address, on_progress)
        except asyncio.CancelledError:
            gone.set()
            raise
        except gemel.SourceError as error:
            raise ApiError(400, str(error), param="model", code="pull_failed") from None
        async with self._lock:
            held = {entry.name for entry in gemel.cache.list()}
            for new in sorted(held - set(self._pulled.values())):
                self._add_pulled(new)

    async def create(self, name: str, made: Made, report: Report) -> None:
        """Make a model of another one, which is pulled if it has to be."""
        self._check_new(name)
        if not self._models.has(made.base):
            await self.pull(made.base, report)
        async with self._lock:
            base = self._models.entry(made.base)
            how = base.how
            if made.n_ctx is not None:   # more than the model has means all of it, as in requests
                longest = await asyncio.to_thread(longest_of, base)
                how = dataclasses.replace(how, ctx=made.n_ctx if longest is None else min(made.n_ctx, longest))
            defaults = joined(base.defaults, made.defaults)
            report("writing manifest", 0, 0)
            await self._put(dataclasses.replace(base, alias=name, how=how, defaults=defaults))

    async def copy(self, source: str, target: str) -> None:
        """Make a model that is the same."""
        self._check_new(target)
        async with self._lock:
            await self._put(dataclasses.replace(self._models.entry(source), alias=target))

    async def delete(self, name: str) -> None:
        """Delete a model that was pulled or made."""
        async with self._lock:
            alias = self._models.entry(name).alias
            if alias in self._made:
                await self._models.remove(alias)
                self._made.discard(alias)
                _file_of(alias).unlink(missing_ok=True)
                return
            if alias not in self._pulled:
                raise ApiError(
                    400, f"{alias} was neither pulled nor created: delete its file, or start the server without it",
                    param="model", code="unsupported",
                )  # fmt: skip
            source = self._models.entry(alias).source
            users = [made for made in sorted(self._made) if self._models.entry(made).source == source]
            if users:
                words = f"{alias} is what {', '.join(users)} is made of: delete that first"
                raise ApiError(400, words, param="model", code="in_use")
            await self._models.remove(alias)
            try:
                await asyncio.to_thread(gemel.cache.delete, self._pulled.pop(alias))
            except gemel.SourceError as error:
                raise ApiError(500, str(error), code="internal_error") from None

    def _check_new(self, name: str) -> None:
        if not name or len(name) > LONGEST or not name.isprintable():
            raise invalid("model", f"a name has 1 to {LONGEST} characters that can be printed")
        if self._models.has(name) and self._models.entry(name).alias not in self._made:
            raise invalid("model", f"{name} is the name of a model that was not created: choose another name")

    async def _put(self, entry: Entry) -> None:
        """Write a made model, and serve it in place of an earlier one."""
        entry = dataclasses.replace(entry, aliases=(), created=int(time.time()))
        await asyncio.to_thread(_write, _file_of(entry.alias), note_of(entry))
        if entry.alias in self._made:
            await self._models.remove(entry.alias)
        self._models.add(entry)
        self._made.add(entry.alias)


def joined(base: Defaults, own: Defaults) -> Defaults:
    """Return a model's defaults: its own, and those of the model that it is made of."""
    has_system = any(message["role"] == "system" for message in own.messages)
    kept = tuple(one for one in base.messages if not (has_system and one["role"] == "system"))
    return Defaults(
        sampling={**base.sampling, **own.sampling}, stops=own.stops or base.stops,
        max_tokens=base.max_tokens if own.max_tokens is None else own.max_tokens, messages=kept + own.messages,
    )


def note_of(entry: Entry) -> dict[str, Any]:
    """Return what is written of a made model."""
    path = Path(entry.source)
    source = entry.source if is_address(entry.source) else str(path.expanduser().absolute())
    return {
        "name": entry.alias, "source": source, "created": entry.created, "ctx": entry.how.ctx,
        "overrides": dict(entry.how.overrides), "defaults": dataclasses.asdict(entry.defaults),
    }  # fmt: skip


def entry_of(note: dict[str, Any], how: ModelOptions, keep_alive: float | None) -> Entry:
    """Return the entry of what was written. how: what the server's options say."""
    defaults = note["defaults"]
    return Entry(
        alias=str(note["name"]), source=str(note["source"]), created=int(note["created"]), keep_alive=keep_alive,
        how=dataclasses.replace(how, ctx=note["ctx"] or how.ctx, overrides={**how.overrides, **note["overrides"]}),
        defaults=Defaults(
            sampling=dict(defaults["sampling"]), stops=tuple(defaults["stops"]), max_tokens=defaults["max_tokens"],
            messages=tuple(defaults["messages"]),
        ),
    )  # fmt: skip


def _file_of(alias: str) -> Path:
    return folder() / f"{hashlib.sha256(alias.encode()).hexdigest()[:32]}.json"


def _write(path: Path, note: dict[str, Any]) -> None:
    """Write whole or not at all, also where the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as out:
        json.dump(note, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def _pulled(address: str, on_progress: Report) -> Path:
    return gemel.pull(address, on_progress=on_progress)
