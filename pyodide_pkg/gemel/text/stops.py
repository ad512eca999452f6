"""Finds stop strings in a text that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..core.checks import wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError


def check_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return stop strings as a tuple; ArgumentError for an empty one, ArgumentTypeError for one that is not text."""
    if stop is not None and (isinstance(stop, bytes | bytearray | Mapping) or not isinstance(stop, Iterable)):
        raise wrong_type("stop", stop, "a string, a list of strings, or None")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    for text in stops:
        if not isinstance(text, str):
            raise ArgumentTypeError(f"a stop string must be a str, not {text!r:.50}")
        if not text:
            raise ArgumentError("a stop string is empty: generation would stop immediately")
    return stops


class StopScanner:
    """Cuts a text at the first stop string, however the text is split into pieces.

    It returns what can't be part of a stop string immediately, and holds the longest end that could begin one. Takes
    time linear in the text (one automaton of Knuth, Morris and Pratt per stop string).

    >>> scanner = StopScanner(("END",))
    >>> scanner.feed("an E"), scanner.feed("N"), scanner.feed("D and more")
    ('an ', '', '')
    >>> scanner.found
    'END'
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, _failures(stop)) for stop in stops]
        self._states = [0] * len(self._stops)   # characters of each stop string that the text ends with
        self._held = ""
        self.found: str | None = None   # the stop string that ended the text

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended the text."""
        return self.found is not None

    def feed(self, piece: str) -> str:
        """Return what can be shown now: nothing after a whole stop string."""
        if self.stopped or not self._stops:
            return "" if self.stopped else piece
        text = self._held + piece
        for at in range(len(self._held), len(text)):
            longest = self._step(text[at])
            if longest:
                self.found, self._held = longest, ""
                return text[: at + 1 - len(longest)]
        keep = len(text) - max(self._states)
        self._held = text[keep:]
        return text[:keep]

    def flush(self) -> str:
        """Return what is held, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _step(self, character: str) -> str:
        """Advance every automaton; return the longest stop string that is whole now, or ""."""
        longest = ""
        for i, (stop, failures) in enumerate(self._stops):
            state = self._states[i]
            while state and stop[state] != character:
                state = failures[state - 1]
            state += stop[state] == character
            if state == len(stop):
                longest = max(longest, stop, key=len)
                state = failures[state - 1]
            self._states[i] = state
        return longest


def _failures(text: str) -> list[int]:
    """Return for each prefix the length of its longest proper suffix that is also a prefix of the text."""
    failures = [0] * len(text)
    length = 0
    for i in range(1, len(text)):
        while length and text[i] != text[length]:
            length = failures[length - 1]
        length += text[i] == text[length]
        failures[i] = length
    return failures
