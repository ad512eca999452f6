"""Ids as the core wants them, and the search for stop strings in a text that arrives in pieces.

Knows neither models nor sessions.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from ._errors import ArgumentError


def id_bytes(ids: Iterable[int], n_vocab: int) -> array[int]:
    """Return ids as int32, ready to be lent to the core. ArgumentError when one is no integer of 0..n_vocab-1."""
    try:
        made = array("i", ids)
    except (TypeError, OverflowError) as error:
        raise ArgumentError(f"ids are integers from 0 to {n_vocab - 1}, this model's vocabulary: {error}") from error
    if made and (min(made) < 0 or max(made) >= n_vocab):
        at, found = next((at, id) for at, id in enumerate(made) if not 0 <= id < n_vocab)
        raise ArgumentError(f"ids[{at}] is {found}: ids are integers from 0 to {n_vocab - 1}, this model's vocabulary")
    return made


def ids_of(raw: bytes) -> list[int]:
    """Return the ids in int32 bytes."""
    return memoryview(raw).cast("i").tolist()


def encode(text: str, what: str) -> bytes:
    """Return UTF-8. ArgumentError for half a surrogate pair, which no UTF-8 can hold."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{what} holds half a surrogate pair at character {error.start}") from error


def check_stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    """Return stop strings as a tuple; ArgumentError for an empty one, TypeError for what is no text."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    for text in stops:
        if not isinstance(text, str):
            raise TypeError(f"a stop string is text, not {type(text).__name__}")
        if not text:
            raise ArgumentError("a stop string is empty: it would stop at once")
    return stops


class StopScanner:
    """Cuts a text at the first stop string, however the text is split into pieces.

    Gives back at once all that can't be part of a stop string; holds the longest end that could begin one. Linear in
    the text (each stop string is an automaton of Knuth, Morris and Pratt).

    >>> scanner = StopScanner(("END",))
    >>> scanner.feed("an E"), scanner.feed("N"), scanner.feed("D and more")
    ('an ', '', '')
    >>> scanner.stopped
    True
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, _failures(stop)) for stop in stops]
        self._states = [0] * len(self._stops)   # characters of each stop string that the text ends with
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Return what can be shown now. Once a stop string is whole, nothing more comes."""
        if self.stopped or not self._stops:
            return "" if self.stopped else piece
        text = self._held + piece
        for at in range(len(self._held), len(text)):
            longest = self._step(text[at])
            if longest:
                self.stopped = True
                self._held = ""
                return text[: at + 1 - longest]
        keep = len(text) - max(self._states)
        self._held = text[keep:]
        return text[:keep]

    def flush(self) -> str:
        """Return what was held, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _step(self, character: str) -> int:
        """Advance every automaton; return the length of the longest stop string that is whole now, or 0."""
        longest = 0
        for i, (stop, failures) in enumerate(self._stops):
            state = self._states[i]
            while state and stop[state] != character:
                state = failures[state - 1]
            state += stop[state] == character
            if state == len(stop):
                longest = max(longest, state)
                state = failures[state - 1]
            self._states[i] = state
        return longest


def _failures(text: str) -> list[int]:
    """For each prefix: the length of its longest proper end that begins the text as well."""
    failures = [0] * len(text)
    length = 0
    for i in range(1, len(text)):
        while length and text[i] != text[length]:
            length = failures[length - 1]
        length += text[i] == text[length]
        failures[i] = length
    return failures
