"""The file of keys: JSON with a record per key, which has the key's SHA-256 and never the key.

A key has 256 random bits. Nobody can guess one, so a fast hash without a salt is enough: slow hashes and salts protect
secrets that people choose. A change writes a new file and renames it, so a reader sees the old set or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import gemel
import msgspec

from ..access import SCOPES, Scope
from .limits import limit_of

PREFIX = "gemel-"
MOST = 10_000   # keys of a file
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", re.ASCII)
SPAN = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Record(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, omit_defaults=True):
    """One key. Times are in seconds since 1970."""

    name: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    created: int = 0
    expires: int | None = None
    rate: str | None = None     # requests, such as 60/min
    tokens: str | None = None   # such as 100000/day


class Contents(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    keys: list[Record]


def hash_of(key: bytes) -> str:
    """Return what the file has of a key."""
    return hashlib.sha256(key).hexdigest()


def read(path: Path) -> list[Record]:
    """Return the keys of a file. Raises SourceError if it can't be read, ArgumentError for one that is invalid."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Contents).keys
    except OSError as error:
        raise gemel.SourceError(f"{path} can't be read: {error.strerror or error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise gemel.ArgumentError(f"{path} is not a file of keys: {error}") from None
    if len(found) > MOST:
        raise gemel.ArgumentError(f"{path} has {len(found)} keys, but at most {MOST} are allowed")
    seen: set[str] = set()
    for record in found:
        try:
            check(record)
        except ValueError as error:
            raise gemel.ArgumentError(f"{path}: the key {record.name!r:.80}: {error}") from None
        if record.name in seen:
            raise gemel.ArgumentError(f"{path}: two keys have the name {record.name!r}")
        seen.add(record.name)
    return found


def check(record: Record) -> None:
    """Raise ValueError for a record that is invalid."""
    if not NAME.fullmatch(record.name):
        raise ValueError("a name has 1 to 64 letters, digits and _ . @ -, and begins with a letter or digit")
    if not record.scopes or len(set(record.scopes)) < len(record.scopes):
        raise ValueError(f"scopes: name each once, of {', '.join(SCOPES)}")
    for limit in (record.rate, record.tokens):
        if limit is not None:
            limit_of(limit)


def add(path: Path, record: Callable[[str], Record]) -> str:
    """Add a key to a file, which is made if it is not there. record: makes it of its hash. Returns the key."""
    key = PREFIX + secrets.token_urlsafe(32)
    made = record(hash_of(key.encode()))
    try:
        check(made)
    except ValueError as error:
        raise gemel.ArgumentError(f"key {made.name!r}: {error}") from None

    def added(records: list[Record]) -> list[Record]:
        if any(one.name == made.name for one in records):
            raise gemel.ArgumentError(f"{path} has a key {made.name!r}: revoke it first, or choose another name")
        return [*records, made]

    change(path, added)
    return key


def revoke(path: Path, name: str) -> None:
    """Delete a key from a file."""

    def without(records: list[Record]) -> list[Record]:
        left = [one for one in records if one.name != name]
        if len(left) == len(records):
            known = ", ".join(one.name for one in records) or "none"
            raise gemel.ArgumentError(f"{path} has no key {name!r}; it has: {known}")
        return left

    change(path, without)


def change(path: Path, work: Callable[[list[Record]], Sequence[Record]]) -> None:
    """Write a file again with what `work` makes of its keys. Its owner and mode stay."""
    path = path.resolve()
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)   # its existence is the lock
    except FileExistsError:
        words = f"{fresh} exists: another command is changing {path.name}. If none runs, one was killed: delete {fresh}"
        raise gemel.SourceError(words) from None
    except OSError as error:
        raise gemel.SourceError(f"{path} can't be written: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as out:
            records = work(read(path) if path.exists() else [])
            raw = msgspec.json.encode(Contents(keys=list(records)))
            out.write(msgspec.json.format(raw, indent=1) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        _keep_access(path, fresh)
        fresh.replace(path)
    except OSError as error:
        raise gemel.SourceError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        fresh.unlink(missing_ok=True)


def _keep_access(old: Path, fresh: Path) -> None:
    """Give a file the owner and mode of the one that it replaces."""
    with suppress(FileNotFoundError):
        stat = old.stat()
        if hasattr(os, "chown") and (stat.st_uid, stat.st_gid) != (os.getuid(), os.getgid()):
            os.chown(fresh, stat.st_uid, stat.st_gid)
        fresh.chmod(stat.st_mode & 0o777)


def expiry_of(text: str, now: datetime) -> int:
    """Return when a key expires: a span from now, or a date and maybe a time (UTC). ValueError for anything else.

    >>> expiry_of("1h", datetime(1970, 1, 1, tzinfo=UTC)), expiry_of("1970-01-02", datetime(1970, 1, 1, tzinfo=UTC))
    (3600, 86400)
    """
    if found := SPAN.fullmatch(text):
        when = now + timedelta(**{SPANS[found[2]]: int(found[1])})
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            words = f"{text!r:.60} is no time: write a span such as 12h or 90d (of m, h, d, w), or a date: 2027-01-31"
            raise ValueError(words) from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if when <= now:
        raise ValueError(f"{text} is over already")
    return int(when.timestamp())
