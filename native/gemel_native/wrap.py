"""Generated text on a terminal wraps at words: a word is held back until it ends, and begins a line if it must."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

WIDE = 2   # columns of a character of Chinese, Japanese or Korean: a line may end after any of them


def width_of(character: str) -> int:
    """Return the columns that a character takes."""
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return WIDE if unicodedata.east_asian_width(character) in "WF" else 1


class Wrap:
    """Turns pieces of a text into pieces whose lines are at most `width()` columns wide."""

    def __init__(self, width: Callable[[], int]) -> None:
        self._width = width
        self._column = 0
        self._spaces = ""   # before the word
        self._word, self._size = "", 0

    def feed(self, text: str) -> str:
        """Return what can be shown of the text so far."""
        shown = []
        for character in text:
            if character == "\n":
                shown += [self.end(), "\n"]
                self._column = 0
            elif character.isspace():
                shown.append(self._flush())
                self._spaces += character
            else:
                size = width_of(character)
                if size == WIDE:
                    shown.append(self._flush())
                self._word += character
                self._size += size
                if size == WIDE:
                    shown.append(self._flush())
        return "".join(shown)

    def end(self) -> str:
        """Return what is held back."""
        shown = self._flush() + self._spaces
        self._column += len(self._spaces)
        self._spaces = ""
        return shown

    def _flush(self) -> str:
        if not self._word:
            return ""
        width = max(1, self._width())
        spaces = self._spaces
        if self._column and self._column + len(spaces) + self._size > width:
            spaces, self._column = "\n", 0
        else:
            self._column += len(spaces)
        shown = spaces + self._word
        self._column += self._size
        if self._column > width:   # a longer word goes on in the next lines
            self._column = (self._column - 1) % width + 1
        self._word, self._size, self._spaces = "", 0, ""
        return shown
