"""What the app can be told, as one frozen dataclass; who fills it (settings.py, a tab, a test) is not known here."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass


def new_id() -> str:
    """Return what makes a response's id unlike every other."""
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Config:
    """Limits, safety, and the two things that differ between equal requests: the clock and ids."""

    api_key: str | None = None
    """Requests must bring it (Authorization: Bearer); None: anyone may ask."""
    allowed_hosts: tuple[str, ...] | None = None
    """Names that the Host header may have beside localhost and addresses in numbers; None: any."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may use the API, such as https://example.org, or "*": any."""
    max_body: int = 4 << 20
    """Bytes of a request's body."""
    body_seconds: float = 30.0
    """Within which the whole body must have come."""
    write_seconds: float = 60.0
    """Within which a client must take the next 64 KiB of an answer or a file."""
    max_depth: int = 32
    """Levels of a body's nested JSON."""
    max_inputs: int = 256
    """Texts of one request to embed, or answers to give."""
    max_n: int = 16
    """Answers to each prompt of one request."""
    queue: int = 32
    """Requests that may wait for a model while another is answered."""
    threads: bool = sys.platform != "emscripten"
    """Evaluate in a thread of the model's own; False: in the event loop, a short step at a time."""
    where: str | None = None
    """What the header Gemel-Host of every answer says, "native" or "tab"; None: there is no such header."""
    access_log: bool = False
    """Log a line for each request: method, path, status, seconds."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, for `created`."""
    new_id: Callable[[], str] = new_id
    """Makes the part of an id after "chatcmpl-"."""
