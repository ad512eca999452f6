"""A file of settings in TOML becomes entries: one table per model.

    [models.tiny]
    model = "tiny.gguf"                # a MODEL; a path is relative to the file. Absent: one that is served already
    aliases = ["gpt-4o-mini"]
    ctx = 4096
    kv_type = "q8_0"
    threads = 4
    template = "chat.jinja"            # a file with another chat template
    system = "Be brief."
    keep_alive = "10m"
    max_tokens = 500
    stop = ["###"]
    sampling = { temperature = 0.2, top_k = 40 }
    overrides = { ".rope.freq_base" = 5e5 }

Each error names the file, the table and the key.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gemel
from gemel import KV_TYPES
from gemel_web.models import Defaults
from gemel_web.ollama.options import seconds_of

from .entry import TEMPLATE, Entry, ModelOptions, is_address

SAMPLING = {field.name for field in dataclasses.fields(gemel.Sampling)}


class Settings:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise gemel.ArgumentError(f"--config {path}: {getattr(error, 'strerror', None) or error}") from None
        models = tables.pop("models", {})
        if tables or not isinstance(models, dict) or not all(isinstance(one, dict) for one in models.values()):
            odd = next(iter(tables), "models")
            raise gemel.ArgumentError(f"--config {path}: {odd}: write a table per model, such as [models.tiny]")
        self.tables: dict[str, Table] = {name: Table(path, name, table) for name, table in models.items()}

    def applied(self, entries: Mapping[str, Entry], usual: ModelOptions) -> list[Entry]:
        """Return entries with the settings of their tables, then those of further models. usual: options of all."""
        found = [self.tables[name].of(entry) if name in self.tables else entry for name, entry in entries.items()]
        for name, table in self.tables.items():
            if name not in entries:
                found.append(table.of(Entry(alias=name, source=table.source(), how=usual)))
        return found


class Table:
    """What the file says about a model."""

    def __init__(self, path: Path, name: str, table: dict[str, Any]) -> None:
        self._path, self._name, self._table = path, name, dict(table)
        for key in table:
            if key not in KEYS:
                raise self._error(key, f"there is no such key; known: {', '.join(KEYS)}")
        for key, check in KEYS.items():
            if key in table and not check(table[key]):
                raise self._error(key, f"{table[key]!r:.100} is not {WANTED[key]}")

    def source(self) -> str:
        """Return the MODEL."""
        if "model" not in self._table:
            raise self._error("model", "it is missing, and no MODEL of the command line or --models-dir has this name")
        return self._placed(self._table["model"])

    def of(self, entry: Entry) -> Entry:
        """Return an entry with these settings."""
        table, how = self._table, entry.how
        overrides = {**how.overrides, **table.get("overrides", {})}
        if "template" in table:
            overrides[TEMPLATE] = self._text("template")
        given: dict[str, Any] = {key: table[key] for key in ("ctx", "kv_type", "threads") if key in table}
        if "draft" in table:
            given["draft"] = self._placed(table["draft"])
        how = dataclasses.replace(how, overrides=overrides, **given)
        return dataclasses.replace(
            entry, how=how, source=self.source() if "model" in table else entry.source,
            aliases=tuple(table.get("aliases", entry.aliases)), defaults=self._defaults(),
            keep_alive=self._seconds() if "keep_alive" in table else entry.keep_alive,
        )

    def _defaults(self) -> Defaults:
        sampling = dict(self._table.get("sampling", {}))
        if odd := next((key for key in sampling if key not in SAMPLING), None):
            raise self._error(f"sampling.{odd}", f"there is no such key; known: {', '.join(sorted(SAMPLING))}")
        try:
            gemel.Sampling(**sampling)
        except (gemel.GemelError, TypeError) as error:
            raise self._error("sampling", str(error)) from None
        system = self._table.get("system")
        return Defaults(
            sampling=sampling, stops=tuple(self._table.get("stop", ())), max_tokens=self._table.get("max_tokens"),
            messages=({"role": "system", "content": system},) if system else (),
        )

    def _seconds(self) -> float | None:
        try:
            seconds = seconds_of(self._table["keep_alive"])
        except Exception as error:
            raise self._error("keep_alive", str(error)) from None
        return None if seconds is None or seconds < 0 else seconds

    def _text(self, key: str) -> str:
        try:
            return Path(self._placed(self._table[key])).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(key, f"{self._table[key]} can't be read: {error}") from None

    def _placed(self, given: str) -> str:
        return given if is_address(given) else str(self._path.parent / Path(given).expanduser())

    def _error(self, key: str, why: str) -> gemel.ArgumentError:
        return gemel.ArgumentError(f"--config {self._path}: models.{self._name}.{key}: {why}")


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


def _table(value: object) -> bool:
    return isinstance(value, dict)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _count(value: object) -> bool:
    return type(value) is int and value >= 1


KEYS: dict[str, Callable[[object], bool]] = {
    "model": _text, "aliases": _texts, "ctx": _count, "kv_type": lambda value: value in KV_TYPES, "threads": _count,
    "template": _text, "system": _text, "keep_alive": lambda value: type(value) in (int, float, str),
    "max_tokens": _count, "stop": _texts, "sampling": _table, "overrides": _table, "draft": _text,
}  # fmt: skip
WANTED = {
    "model": "a path, an address or a short name", "aliases": "a list of names", "ctx": "an integer of at least 1",
    "kv_type": "one of " + ", ".join(KV_TYPES), "threads": "an integer of at least 1", "template": "the path of a file",
    "system": "a text", "keep_alive": "a number of seconds or a duration, such as 5m",
    "max_tokens": "an integer of at least 1", "stop": "a list of texts", "sampling": "a table",
    "overrides": "a table", "draft": "a path, an address or a short name",
}  # fmt: skip
