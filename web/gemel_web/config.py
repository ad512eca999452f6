"""The app's configuration, as one frozen dataclass. Command lines, tabs and tests fill it."""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from .access import KeySource

NAME = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?"   # of a host, as clients write it: in lower case, punycode
NUMBERS = r"\[[0-9a-f:.]+\]"                    # IPv6
HOST = re.compile(rf"{NAME}|{NUMBERS}")
ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{NAME}|{NUMBERS})(?::[1-9][0-9]{{0,4}})?")


def new_id() -> str:
    """Return the unique part of a response's id."""
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Config:
    """Limits, safety, and the two things that differ between equal requests: the clock and ids."""

    api_key: str | None = None
    """The key that requests must send (Authorization: Bearer KEY); None: no key is needed. It has all scopes."""
    keys: KeySource | None = None
    """Further keys, each with its scopes and limits; None: only `api_key` counts."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host names accepted in the Host header, besides localhost and IP addresses; None: any."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may use the API, such as https://example.org; "*": any."""
    max_body: int = 4 << 20
    """Largest body of a request, in bytes."""
    body_seconds: float = 30.0
    """Time within which the whole body must arrive."""
    write_seconds: float = 60.0
    """Time within which a client must take the next 64 KiB of an answer or a file."""
    answer_seconds: float | None = None
    """Time within which an answer must be complete, its wait in the queue included; None: no limit."""
    ping_seconds: float = 15.0
    """A stream that is silent for this long sends a comment, so that proxies keep it open."""
    max_depth: int = 32
    """Deepest nesting of a body's JSON."""
    max_inputs: int = 256
    """Most texts to embed, or answers, per request."""
    max_n: int = 16
    """Most answers per prompt."""
    parallel: int = 64
    """Answers that a model evaluates together; further ones wait."""
    queue: int = 32
    """Requests that may wait for a model beside those that it evaluates."""
    cache_memory: int | None = None
    """Bytes that the KV caches of a model may take; None: a quarter of the memory that is free, in a tab 256 MB."""
    threads: bool = sys.platform != "emscripten"
    """Evaluate in one thread per model; False: in the event loop, in short steps."""
    where: str | None = None
    """Value of the header Gemel-Host of every response, "native" or "tab"; None: no such header."""
    access_log: bool = False
    """Log one line per request: method, path, status, seconds."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, for `created`."""
    new_id: Callable[[], str] = new_id
    """Makes the part of an id after "chatcmpl-"."""
