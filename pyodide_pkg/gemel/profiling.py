"""Where a session's time goes, and what the machine could do: `with Profile(session) as profile: ...`, `limits(model)`.

Times are seconds of the core's own clock. UnsupportedError where the core has none: on hosts without threads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from . import _abi
from ._errors import ArgumentError
from ._gguf import double_at
from ._library import check

if TYPE_CHECKING:
    from ._model import Model
    from ._session import Session

__all__ = ["EVENTS", "Event", "Limits", "Profile", "limits"]

EVENTS = 500_000   # that a profile holds when nothing else is said: 24 MB
OPERATIONS = {
    _abi.OP_PASS: "pass", _abi.OP_WAIT: "wait", _abi.OP_EMBED: "embed", _abi.OP_NORM: "norm, quantise",
    _abi.OP_ATTENTION_IN: "attention in", _abi.OP_ATTENTION_PUT: "attention put", _abi.OP_ATTENTION: "attention",
    _abi.OP_ATTENTION_OUT: "attention out", _abi.OP_FFN_IN: "ffn in", _abi.OP_FFN_ACT: "ffn act",
    _abi.OP_FFN_OUT: "ffn out", _abi.OP_HEAD: "head", _abi.OP_SAMPLE: "sample, detokenise",
}   # fmt: skip


class Event(NamedTuple):
    """One operation on one thread."""

    start: float
    end: float
    operation: str      # of OPERATIONS; a thread's "pass" spans the others; "sample, ..." may follow it
    layer: int | None   # None: before the first layer or after the last
    thread: int         # 0 is the caller's
    tokens: int         # of the micro-batch; sessions that decode together count one each


class Profile:
    """What a session does while the `with` block runs. Of Model.decode, the first session's profile has the pass.

    capacity: how many events are kept; `lost` says how many more there were.

    >>> with model.session() as session, Profile(session) as profile:
    ...     session.append([1, 2, 3])
    >>> {event.operation for event in profile} >= {"embed", "attention", "head"}, profile.lost
    (True, 0)
    """

    def __init__(self, session: Session, capacity: int = EVENTS) -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= 10**8:
            raise ArgumentError(f"capacity={capacity!r}: must be an integer from 1 to 100000000")
        self._session = session
        self._capacity = capacity
        self._raw = b""
        self.count = 0   # events that happened

    def __enter__(self) -> Profile:
        library = self._session._library
        self._block = library.alloc(8 * _abi.EVENT_SIZE * self._capacity)
        with self._session._using() as session:
            code = library.call("gemel_session_profile", session, self._block, self._capacity)
            check(library, code, "a profile")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        library = self._session._library
        if self._session.closed:
            return
        with self._session._using() as session:
            self.count = library.call("gemel_session_profile_count", session)
            self._raw = library.read(self._block.address, 8 * _abi.EVENT_SIZE * min(self.count, self._capacity))
            check(library, library.call("gemel_session_profile", session, None, 0), "a profile")
        del self._block

    @property
    def lost(self) -> int:
        """Events that came after `capacity` was full."""
        return max(0, self.count - self._capacity)

    def __len__(self) -> int:
        return min(self.count, self._capacity)

    def __iter__(self) -> Iterator[Event]:
        for start, end, op, layer, thread, tokens in struct.iter_unpack(f"={_abi.EVENT_SIZE}d", self._raw):
            yield Event(start, end, OPERATIONS[int(op)], None if layer < 0 else int(layer), int(thread), int(tokens))


@dataclass(frozen=True)
class Limits:
    """What the machine does at best with a model's threads and kernels, nothing else being computed."""

    read: float   # bytes a second of reading the model's weights
    dot: float    # multiply-adds a second of 8-bit integers


def limits(model: Model, seconds: float = 0.1) -> Limits:
    """Measure both, each for so many seconds, 0.001 to 60; the best moment counts."""
    return Limits(_measure(model, _abi.MEASURE_READ, seconds), _measure(model, _abi.MEASURE_DOT, seconds))


def _measure(model: Model, what: int, seconds: float) -> float:
    library = model._library
    out = library.alloc(8)
    with model._handle as handle, model._turn:
        code = library.call("gemel_model_measure", handle, what, float(seconds), out)
        check(library, code, f"measuring for {seconds} s")
    return double_at(library, out)
