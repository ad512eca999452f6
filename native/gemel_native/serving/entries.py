"""A command line becomes the entries of a server: MODELs, the files of a folder, and the tables of a settings file."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import gemel
from gemel import Overrides
from gemel_web.http.errors import ApiError
from gemel_web.models import alias_of
from gemel_web.ollama.options import seconds_of

from ..options import usage_error
from .config_file import Settings
from .entry import Entry, ModelOptions, is_address

SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?", re.IGNORECASE)
UNITS = {"": 10**6, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30,
         "tib": 2**40}  # fmt: skip
LATER_PART = re.compile(r"-(?!00001)[0-9]{5}-of-[0-9]{5}\.gguf$", re.IGNORECASE)


def size_of(given: str) -> int:
    """Return the bytes of a size; a number without a unit counts megabytes. A usage error for anything else.

    >>> size_of("12GB"), size_of("1.5 GiB"), size_of("500")
    (12000000000, 1610612736, 500000000)
    """
    found = SIZE.fullmatch(given.strip())
    if found is None:
        raise usage_error(f"--max-memory {given!r}: write a size such as 12GB, 800MB or 6GiB")
    return int(float(found[1]) * UNITS[(found[2] or "").lower()])


def time_of(given: str) -> float | None:
    """Return --keep-alive in seconds; below 0: None, forever. A usage error for anything else."""
    try:
        seconds = seconds_of(given)
    except ApiError:
        raise usage_error(f"--keep-alive {given!r}: write a number of seconds or a duration, such as 10m") from None
    return None if seconds is None or seconds < 0 else seconds


def aliases_of(models: Sequence[str], alias: str | None, overrides: Overrides) -> dict[str, str]:
    """Return the models by their aliases. A usage error where two have the same, and for options of a single model."""
    if len(models) > 1:
        for option, value in (("--alias", alias), ("--override and the options for RoPE", overrides)):
            if value:
                raise usage_error(f"{option}: only for one MODEL, but there are {len(models)}")
    found: dict[str, str] = {}
    for model in models:
        name = alias_of(model) if alias is None else alias
        if name in found:
            raise usage_error(f"MODEL {model}: {name} is also the alias of {found[name]}: rename one of the files")
        found[name] = model
    return found


def in_folder(folder: Path) -> dict[str, str]:
    """Return the models of a folder and those below it, by alias: the first parts of split ones only."""
    if not folder.is_dir():
        raise gemel.ArgumentError(f"--models-dir {folder}: there is no such folder")
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.gguf")):
        if path.is_file() and not LATER_PART.search(path.name):
            name = alias_of(path.name)
            other = found.setdefault(name, str(path))
            if other != str(path):
                raise gemel.ArgumentError(f"--models-dir {folder}: {other} and {path} have the same alias, {name}")
    return found


def entries_of(
    named: Mapping[str, str], how: ModelOptions, *, folder: Path | None = None, settings: Settings | None = None,
    keep_alive: float | None = None,
) -> list[Entry]:  # fmt: skip
    """Return what a server may open. named: MODELs by alias. keep_alive: of all whose settings say nothing else.

    Raises ArgumentError for a name that means two models, and for a path where nothing is.
    """
    for source in named.values():
        if not is_address(source) and not Path(source).expanduser().exists():
            gemel.model_files(source)   # says what is near
            raise gemel.SourceError(f"{source}: there is no such file")
    sources = {**({} if folder is None else in_folder(folder)), **named}
    now = int(time.time())
    plain = {
        name: Entry(alias=name, source=source, how=how, keep_alive=keep_alive, created=now)
        for name, source in sources.items()
    }
    found = list(plain.values()) if settings is None else settings.applied(plain, how)
    seen: dict[str, str] = {}
    for entry in found:
        for name in entry.names:
            if name in seen:
                raise gemel.ArgumentError(f"{name} is the name of two models, {seen[name]} and {entry.alias}")
            seen[name] = entry.alias
    return found
