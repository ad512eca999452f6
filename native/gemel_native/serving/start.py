"""`gemel serve` from its options and its settings file to a server that runs, and what a reload reads again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import gemel
from gemel import Overrides

from . import config_file
from .entries import aliases_of, entries_of, size_of, time_of
from .entry import Entry, ModelOptions
from .page import needed_page, page_folder
from .registry import Models
from .server import listen, models_of, run
from .settings import settings_of
from .shelf import Files

log = logging.getLogger("gemel_web.models")


class Wanted:
    """Which models to serve, by options and the file as it is now.

    given: options of `serve` that are no fields of Settings; None: not given.
    """

    def __init__(self, given: Mapping[str, Any], overrides: Overrides, config: Path | None) -> None:
        self._given, self._overrides, self._config = given, overrides, config
        self.entries: list[Entry] = []
        self.read()

    def read(self) -> None:
        """Read the file again. Raises an error, and changes nothing, if it is invalid."""
        file = config_file.Settings(self._config) if self._config is not None else None
        options = dict(self._given) if file is None else file.server.under(self._given)
        draft = True if options["draft"] is None else options["draft"]
        plain = {name: options[name] for name in ("threads", "isa", "ctx", "kv_type")}
        how = ModelOptions(overrides=self._overrides, draft=draft, **plain)
        alive = None if options["keep_alive"] is None else time_of(str(options["keep_alive"]))
        named = aliases_of(options["models"] or [], options["alias"], self._overrides)
        self.entries = entries_of(named, how, folder=options["models_dir"], settings=file, keep_alive=alive)
        self.file, self.options, self.how, self.named, self.keep_alive = file, options, how, named, alive

    def reload(self, models: Models) -> None:
        """Read the file again, and let a running server have its models; the log says what else has changed."""
        before, file = [entry.alias for entry in self.entries], self.file
        try:
            self.read()
        except (gemel.GemelError, OSError) as error:
            log.error("reload: nothing has changed: %s", error)
            return
        if file is not None and self.file is not None and (odd := file.server.unlike(self.file.server)):
            log.warning("reload: %s of [server] changed: that counts after a restart", ", ".join(odd))
        models.reload(self.entries, before)
        log.info("reload: done")


def start(fields: Mapping[str, Any], given: Mapping[str, Any], overrides: Overrides, config: Path | None) -> None:
    """Serve until a signal. fields: options that are fields of Settings; given: the others; None: not given."""
    wanted = Wanted(given, overrides, config)
    settings = settings_of(fields, None if wanted.file is None else wanted.file.server)
    options, named = wanted.options, wanted.named
    page, models_dir = options["page"], options["models_dir"]
    folder = None if page is False else needed_page() if page else page_folder()
    opening = models_of(
        wanted.entries, cache_memory=settings.cache_bytes,
        max_memory=None if options["max_memory"] is None else size_of(str(options["max_memory"])),
        at_once=len(wanted.entries) == len(named) == 1 and models_dir is None,
    )
    with closing(listen(settings.host, settings.port)) as listening, opening as served:
        if not named or models_dir is not None:
            files = Files(served, wanted.how, wanted.keep_alive)
            served.shelf, served.named = files, files.alias
        run(settings, served, listening, page=folder, reload=lambda: wanted.reload(served))
