"""Where a session's time goes, and the machine's limits: `with Profile(session) as profile: ...`, `limits(model)`.

Times are seconds of the core's own clock. UnsupportedError where the core has no clock: on hosts without threads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from .core import abi
from .core.checks import not_whole, wrong_type
from .core.closing import Uncopied
from .core.library import double_at
from .core.scalars import number, whole
from .model.core_model import CoreModel
from .model.core_session import CoreSession

__all__ = ["EVENTS", "Event", "Limits", "Profile", "limits"]

EVENTS = 500_000   # that a profile holds unless told otherwise: 24 MB
OPERATIONS = {
    abi.OP_PASS: "pass", abi.OP_WAIT: "wait", abi.OP_EMBED: "embed", abi.OP_NORM: "norm, quantise",
    abi.OP_ATTENTION_IN: "attention in", abi.OP_ATTENTION_PUT: "attention put", abi.OP_ATTENTION: "attention",
    abi.OP_ATTENTION_OUT: "attention out", abi.OP_FFN_IN: "ffn in", abi.OP_FFN_ACT: "ffn act",
    abi.OP_FFN_OUT: "ffn out", abi.OP_HEAD: "head", abi.OP_SAMPLE: "sample, detokenise",
}   # fmt: skip


class Event(NamedTuple):
    """One operation on one thread.

    Attributes:
        start: seconds
        end: seconds
        operation: one of OPERATIONS; a thread's "pass" spans the others; "sample, ..." may follow it
        layer: None: before the first layer or after the last
        thread: 0 is the caller's
        tokens: of the micro-batch; sessions that decode together count one each
    """

    start: float
    end: float
    operation: str
    layer: int | None
    thread: int
    tokens: int


class Profile(Uncopied):
    """What a session does while the `with` block runs. The first session's profile has the passes of Model.decode.

    capacity: how many events are kept; `lost` says how many more there were.

    Attributes:
        count: events that happened

    >>> with model.session() as session, Profile(session) as profile:
    ...     session.append([1, 2, 3])
    >>> {event.operation for event in profile} >= {"embed", "attention", "head"}, profile.lost
    (True, 0)
    """

    copy_hint = "list() of it has its events"

    def __init__(self, session: CoreSession, capacity: int = EVENTS) -> None:
        size = whole(capacity)
        if size is None or not 1 <= size <= 10**8:
            raise not_whole("capacity", capacity, "an integer from 1 to 100000000")
        if not isinstance(session, CoreSession):
            raise wrong_type("session", session, "a gemel.Session")
        self._session = session
        self._capacity = size
        self._raw = b""
        self.count = 0   # events that happened

    def __enter__(self) -> Self:
        self._block = self._session._library.alloc(8 * abi.EVENT_SIZE * self._capacity)
        self._session._call("gemel_session_profile", self._block, self._capacity, where="a profile")
        return self

    def __exit__(self, *exc: object) -> None:
        library = self._session._library
        if self._session.closed:
            return
        with self._session._using():
            self.count = self._session._call("gemel_session_profile_count", where="a profile")
            self._raw = library.read(self._block.address, 8 * abi.EVENT_SIZE * min(self.count, self._capacity))
            self._session._call("gemel_session_profile", None, 0, where="a profile")
        del self._block

    @property
    def lost(self) -> int:
        """Events after `capacity` was full."""
        return max(0, self.count - self._capacity)

    def __len__(self) -> int:
        return min(self.count, self._capacity)

    def __iter__(self) -> Iterator[Event]:
        for start, end, op, layer, thread, tokens in struct.iter_unpack(f"={abi.EVENT_SIZE}d", self._raw):
            yield Event(start, end, OPERATIONS[int(op)], None if layer < 0 else int(layer), int(thread), int(tokens))


@dataclass(frozen=True)
class Limits:
    """The most that the machine can do with a model's threads and kernels.

    Attributes:
        read: bytes per second, reading the model's weights
        dot: multiply-adds per second of 8-bit integers
    """

    read: float
    dot: float


def limits(model: CoreModel, seconds: float = 0.1) -> Limits:
    """Measure both, each for `seconds`, 0.001 to 60; the best moment counts."""
    if not isinstance(model, CoreModel):
        raise wrong_type("model", model, "a gemel.Model")
    return Limits(_measure(model, abi.MEASURE_READ, seconds), _measure(model, abi.MEASURE_DOT, seconds))


def _measure(model: CoreModel, what: int, seconds: float) -> float:
    library, wanted = model._library, number(seconds)
    if wanted is None:
        raise wrong_type("seconds", seconds, "a number from 0.001 to 60")
    out = library.alloc(8)
    model._run("gemel_model_measure", what, float(wanted), out, where=f"measuring for {seconds} s")
    return double_at(library, out)
