"""Text that arrives in pieces, read by generators that wait for more of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

SPACES = " \t\r\n"
CUT = "\ufffd"   # of a character of which some bytes are missing, at the end of an answer that is cut
Steps = Generator[None, None, Any]       # resumed when there is more text
Choosing = Generator[None, None, str]    # returns what it found


class OffError(Exception):
    """The text is not written in the dialect."""


class EndError(Exception):
    """The text ends in the middle of what is read."""


class Scanner:
    """The text that was not read yet.

    Attributes:
        rest: it
        is_last: no more text follows
    """

    def __init__(self, rest: str = "") -> None:
        self.rest, self.is_last = rest, False

    def more(self) -> Steps:
        """Wait for more text. EndError: there is none."""
        if self.is_last:
            raise EndError
        yield

    def take(self, n: int) -> str:
        """Return the next n characters, which are read then."""
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def at(self, options: Iterable[str], *, skips: bool = False, is_whole: bool = False) -> Choosing:
        """Return the longest of the options that the text begins with; "": none.

        skips: spaces may come before it. is_whole: a text that ends in the middle of an option is an EndError.
        """
        options = list(options)
        while True:
            text = self.rest.lstrip(SPACES) if skips else self.rest
            begun = text.rstrip(CUT) if self.is_last else text
            is_begun = any(one != text and one.startswith(begun) for one in options)
            if self.is_last and is_whole and is_begun and text not in options:
                raise EndError
            if self.is_last or not is_begun:
                return max((one for one in options if text.startswith(one)), key=len, default="")
            yield

    def spaces(self, *, must_go_on: bool = True) -> Steps:
        """Read spaces. must_go_on: the end of the text behind them is an EndError."""
        while True:
            self.rest = self.rest.lstrip(SPACES)
            if self.rest or (self.is_last and not must_go_on):
                return
            yield from self.more()

    def one_of(self, options: Iterable[str]) -> Choosing:
        """Read the longest of the options that the text begins with, and return it. OffError: it begins with none."""
        options = list(options)
        found = yield from self.at(options, is_whole=True)
        if not found and "" not in options:
            raise OffError
        self.take(len(found))
        return found

    def up_to(self, mark: str, put: Callable[[str], None]) -> Steps:
        """Put the text up to a mark, which must come, and read the mark."""
        while (at := self.rest.find(mark)) < 0:
            put(self.take(len(self.rest) - _overlap(self.rest, mark)))
            yield from self.more()
        put(self.take(at))
        self.take(len(mark))

    def until(self, marks: Sequence[str], put: Callable[[str], None]) -> Choosing:
        """Put the text up to the first of the marks, and return which it is; "": the end came first."""
        while True:
            places = [(at, mark) for mark in marks if (at := self.rest.find(mark)) >= 0]
            if places:
                at, mark = min(places)
                put(self.take(at))
                return mark
            keep = 0 if self.is_last else max((_overlap(self.rest, mark) for mark in marks), default=0)
            put(self.take(len(self.rest) - keep))
            if self.is_last:
                return ""
            yield


def _overlap(text: str, mark: str) -> int:
    """Return the length of the longest end of a text that is a beginning of a mark.

    >>> _overlap("a </", "</think>"), _overlap("a", "</think>")
    (2, 0)
    """
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)
