"""A file of settings in TOML: [server] (see server_table.py), and a table per model, which becomes an entry.

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

Each error names the file, the line, the table and the key.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gemel
from gemel import KV_TYPES
from gemel_web.http.validation import nearest
from gemel_web.models import Defaults
from gemel_web.ollama.options import seconds_of

from .entry import TEMPLATE, Entry, ModelOptions, is_address
from .lines import lines_of
from .server_table import Error, ServerTable, is_count, is_text, is_texts

SAMPLING = {field.name for field in dataclasses.fields(gemel.Sampling)}


class Settings:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            text = path.read_text(encoding="utf-8")
            tables = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise gemel.ArgumentError(f"--config {path}: {getattr(error, 'strerror', None) or error}") from None
        self._lines = lines_of(text)
        server, models = tables.pop("server", {}), tables.pop("models", {})
        if odd := next(iter(tables), ""):
            meant = nearest(odd, ("server", "models"))
            words = f"write a table per model, such as [models.tiny], and [server]{meant}"
            raise self.error((odd,), words)
        if not isinstance(models, dict):
            raise self.error(("models",), "write a table per model, such as [models.tiny]")
        for name, one in models.items():
            if not isinstance(one, dict):
                raise self.error(("models", name), "write a table per model, such as [models.tiny]")
        if not isinstance(server, dict):
            raise self.error(("server",), "write a table: [server]")
        self.server = ServerTable(path.parent, server, self.error)
        self.tables: dict[str, Table] = {name: Table(path, name, table, self.error) for name, table in models.items()}

    def error(self, place: Sequence[str], why: str) -> gemel.ArgumentError:
        """Return the error for a place of the file."""
        outer = (tuple(place[:n]) for n in range(len(place), 0, -1))
        line = next((self._lines[one] for one in outer if one in self._lines), 0)
        at = f", line {line}" if line else ""
        return gemel.ArgumentError(f"--config {self._path}{at}: {'.'.join(place)}: {why}")

    def applied(self, entries: Mapping[str, Entry], usual: ModelOptions) -> list[Entry]:
        """Return entries with the settings of their tables, then those of further models. usual: options of all."""
        found = [self.tables[name].of(entry) if name in self.tables else entry for name, entry in entries.items()]
        for name, table in self.tables.items():
            if name not in entries:
                found.append(table.of(Entry(alias=name, source=table.source(), how=usual)))
        return found


class Table:
    """What the file says about a model."""

    def __init__(self, path: Path, name: str, table: dict[str, Any], error: Error) -> None:
        self._path, self._name, self._table, self._make_error = path, name, dict(table), error
        for key in table:
            if key not in KEYS:
                raise self._error(key, _no_such_key(key, KEYS))
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
            raise self._error("sampling", _no_such_key(odd, sorted(SAMPLING)), odd)
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

    def _error(self, key: str, why: str, *inner: str) -> gemel.ArgumentError:
        return self._make_error(("models", self._name, key, *inner), why)


def _no_such_key(key: str, known: Iterable[str]) -> str:
    meant = nearest(key, list(known)) or f"; known: {', '.join(known)}"
    return f"there is no such key{meant}"


def _table(value: object) -> bool:
    return isinstance(value, dict)


KEYS: dict[str, Callable[[object], bool]] = {
    "model": is_text, "aliases": is_texts, "ctx": is_count, "kv_type": lambda value: value in KV_TYPES,
    "threads": is_count, "template": is_text, "system": is_text,
    "keep_alive": lambda value: type(value) in (int, float, str),
    "max_tokens": is_count, "stop": is_texts, "sampling": _table, "overrides": _table, "draft": is_text,
}  # fmt: skip
WANTED = {
    "model": "a path, an address or a short name", "aliases": "a list of names", "ctx": "an integer of at least 1",
    "kv_type": "one of " + ", ".join(KV_TYPES), "threads": "an integer of at least 1", "template": "the path of a file",
    "system": "a text", "keep_alive": "a number of seconds or a duration, such as 5m",
    "max_tokens": "an integer of at least 1", "stop": "a list of texts", "sampling": "a table",
    "overrides": "a table", "draft": "a path, an address or a short name",
}  # fmt: skip
