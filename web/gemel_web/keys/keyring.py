"""Whose key it is, by the file of keys as it is now: a file that has changed is read again before the next answer."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import gemel

from ..access import Caller
from ..http.errors import ApiError
from .file import Record, hash_of, read
from .limits import KeyAllowance, limit_of

log = logging.getLogger("gemel_web.keys")
State = tuple[int, int, int, int] | None   # of a file; None: it is not there


class Keyring:
    """The keys of a file.

    A file that has become invalid changes nothing, and the log says so; one that is gone has no keys.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._rows: dict[str, tuple[Record, Caller]] = {}   # by name
        self._state = self._now()
        self._take(read(path))

    def find(self, key: bytes) -> Caller | None:
        """Return whose key it is. All hashes are compared, in constant time each. A 401 for one that has expired."""
        self._refresh()
        given, found = hash_of(key), None
        for row in self._rows.values():
            if hmac.compare_digest(row[0].sha256, given):
                found = row
        if found is None:
            return None
        record, caller = found
        if record.expires is not None and self._clock() >= record.expires:
            when = datetime.fromtimestamp(record.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
            raise ApiError(
                401, f"the key {record.name!r} expired at {when}: ask for a new one", code="expired_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return caller

    def _refresh(self) -> None:
        state = self._now()
        if state == self._state:
            return
        self._state = state
        if state is None:
            log.error("%s is gone: none of its keys is accepted", self._path)
            self._rows = {}
            return
        try:
            self._take(read(self._path))
        except gemel.GemelError as error:
            log.error("the keys stay as they were: %s", error)
        else:
            log.info("%s has changed: %d keys", self._path, len(self._rows))

    def _take(self, records: list[Record]) -> None:
        """Take new records. A key whose limits are the same goes on where it was."""
        before, self._rows = self._rows, {}
        for record in records:
            old = before.get(record.name)
            if old is not None and _same_limits(old[0], record):
                allowance = old[1].allowance
            else:
                rate, tokens = (None if one is None else limit_of(one) for one in (record.rate, record.tokens))
                allowance = KeyAllowance(record.name, rate, tokens) if rate or tokens else None
            self._rows[record.name] = record, Caller(record.name, frozenset(record.scopes), allowance)

    def _now(self) -> State:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev


def _same_limits(one: Record, other: Record) -> bool:
    return (one.sha256, one.rate, one.tokens) == (other.sha256, other.rate, other.tokens)
