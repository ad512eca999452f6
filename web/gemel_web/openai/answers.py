"""Events of a job become a whole answer, or a stream of chunks."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..http.connection import EVENTS, PING
from ..http.errors import ApiError, body_of
from ..jobs.events import Began, Ended, Event, Text
from ..jobs.said import Said
from ..jobs.service import event_of
from . import wire
from .best import Best
from .message import Counts
from .shapes import Head, Shape

DONE = b"data: [DONE]\n\n"


class Gathered:
    """A whole answer. best: which of several answers to a prompt are returned."""

    def __init__(self, head: Head, shape: Shape, best: Best | None) -> None:
        self._head, self._shape, self._best = head, shape, best
        self._growing: defaultdict[int, Said] = defaultdict(Said)
        self._answers: dict[int, tuple[Said, Ended]] = {}
        self._counts = Counts()
        self._began = Began(0)

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Began):
            self._began = event
        elif isinstance(event, Text):
            self._growing[event.choice].add(event)
        elif isinstance(event, Ended):
            self._counts.add(event)
            self._answers[event.choice] = self._growing.pop(event.choice, Said()), event

    def value(self) -> wire.Answer:
        """Return the answer."""
        answers = self._answers
        chosen = sorted(answers) if self._best is None else self._best.chosen(answers)
        choices: list[Any] = [self._shape.all(i, *answers[at]) for i, at in enumerate(chosen)]
        return self._head.answer(self._shape.whole, choices, self._counts.usage(self._began))


class Chunks:
    """A stream; an error becomes its last event before [DONE]. usage: whether it ends with the counts of tokens."""

    media, ping = EVENTS, PING

    def __init__(self, head: Head, shape: Shape, *, usage: bool) -> None:
        self._head, self._shape, self._usage = head, shape, usage
        self._none_yet: Any = {"usage": None} if usage else {}
        self._opened: set[int] = set()
        self._counts = Counts()
        self._began = Began(0)

    def event(self, event: Event) -> bytes:
        """Return the chunks of an event."""
        made: list[Any] = []
        if isinstance(event, Began):
            self._began = event
        if isinstance(event, Text | Ended) and event.choice not in self._opened:
            self._opened.add(event.choice)
            made.append(self._shape.first(event))
        if isinstance(event, Text):
            made.append(self._shape.piece(event))
        elif isinstance(event, Ended):
            self._counts.add(event)
            made.append(self._shape.last(event))
        kind = self._shape.chunk
        return b"".join(
            event_of(self._head.answer(kind, [choice], **self._none_yet)) for choice in made if choice is not None
        )

    def end(self) -> bytes:
        """Return the counts, if they are wanted, and [DONE]."""
        if not self._usage:
            return DONE
        return event_of(self._head.answer(self._shape.chunk, [], self._counts.usage(self._began))) + DONE

    def failed(self, error: ApiError) -> bytes:
        """Return an error, and [DONE]."""
        return event_of(body_of(error)) + DONE
