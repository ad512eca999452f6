"""An answer's text, in pieces, becomes its parts. However the text is split, the parts join to the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from .dialect import Calls, Dialect, Hole, Kind, Section
from .parts import Part, ToolCall

SPACES = " \t\r\n"
PLAIN = Section("text")
Steps = Generator[None, None, Any]   # resumed when there is more text


class _OffError(Exception):
    """The text is not written in the dialect."""


class _EndError(Exception):
    """The text ends in the middle of a call."""


class Parser:
    """Reads one answer.

    Attributes:
        calls: those that were begun
        kind: of the section that is being written
    """

    def __init__(
        self,
        dialect: Dialect,
        start: Section | None,
        parameters: Mapping[str, Mapping[str, Any]],
        new_id: Callable[[int], str],
    ) -> None:
        """Begin an answer.

        dialect: with one character for each marker that is a control token, as in the text that is fed.
        start: the section that the prompt opened; None: none. parameters: schemas of the tools that may be called, by
        name. new_id: makes the id of a call from its index.
        """
        self._dialect, self._parameters, self._new_id = dialect, parameters, new_id
        self._rest = dialect.thoughts.begun if start is None else ""   # text that no part has yet
        self._is_last = False        # no more text follows
        self._parts: list[Part] = []
        self._spaces = ""            # at the end of the section so far: it lacks them unless it goes on
        self._is_begun = False       # the section has a character that is not a space
        self._drops_spaces = False   # at the beginning of the section
        self.calls: list[ToolCall] = []
        self.kind: Kind = "text" if start is None else start.kind
        self._steps: Steps = self._answer(start)
        self._resume()

    @property
    def is_inside_marker(self) -> bool:
        """Whether the text so far may end in the middle of a marker."""
        return bool(self._rest)

    def feed(self, text: str) -> list[Part]:
        """Return the parts that a piece of the answer completes."""
        self._rest += text
        self._resume()
        return self._taken()

    def finish(self) -> list[Part]:
        """Return the last parts: no text follows."""
        self._is_last = True
        self._resume()
        if self.kind == "text" and self._spaces:
            self._parts.append(Part("text", self._spaces))
            self._spaces = ""
        return self._taken()

    def _taken(self) -> list[Part]:
        parts, self._parts = self._parts, []
        return parts

    def _resume(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            rest, self._rest = self._rest, ""
            self._add(rest)

    # ---- Sections ---------------------------------------------------------------------------------------------------

    def _answer(self, section: Section | None) -> Steps:
        thoughts, calls = self._dialect.thoughts, self._dialect.calls
        sections = {one.opens: one for one in (*thoughts.leads, thoughts.text) if one.opens}
        openers = [] if calls is None else self._call_openers(calls)
        inside = openers if calls is not None and calls.follows_text else []
        try:
            while True:
                if section is None:
                    found = yield from self._at([*sections, *openers], skips=True)
                    if calls is not None and found in openers:
                        yield from self._calls(calls)
                        return
                    section = sections.get(found, PLAIN)
                    self._rest = self._rest.lstrip(SPACES).removeprefix(found) if found else self._rest
                self._open(section.kind, is_marked=bool(section.opens))
                found = yield from self._until([section.closes] if section.closes else inside)
                if calls is not None and found in openers:
                    yield from self._calls(calls)
                    return
                if not found:
                    return
                self._rest = self._rest.removeprefix(found)
                self._drops_spaces, section = True, None
        except _EndError:
            self._rest = ""
        except _OffError:
            self._open("text", is_marked=False)

    def _call_openers(self, calls: Calls) -> list[str]:
        if calls.marker:
            return [calls.marker]
        return [f"{name}{calls.pieces[1]}" for name in self._parameters]

    def _open(self, kind: Kind, *, is_marked: bool) -> None:
        self.kind, self._is_begun, self._spaces = kind, False, ""
        self._drops_spaces = self._drops_spaces or is_marked

    def _add(self, text: str) -> None:
        """Add to the section. Spaces around what is in markers do not belong to it."""
        if self._drops_spaces and not self._is_begun:
            text = text.lstrip(SPACES)
        if not text:
            return
        shown = (self._spaces + text).rstrip(SPACES)
        self._spaces = (self._spaces + text)[len(shown) :]
        if shown:
            self._is_begun = True
            self._parts.append(Part(self.kind, shown))

    # ---- Calls ------------------------------------------------------------------------------------------------------

    def _calls(self, calls: Calls) -> Steps:
        self.kind, self._spaces, self._drops_spaces = "call", "", True
        first = calls.pieces[0]
        heads = [first] if isinstance(first, str) else [f"{name}{calls.pieces[1]}" for name in self._parameters]
        self._rest = self._rest.lstrip(SPACES)
        yield from self._literal(calls.opens)
        while True:
            yield from self._call(calls)
            goes_on = False
            if not calls.is_single:
                nexts = [calls.between + head for head in heads]
                goes_on = (yield from self._at([*nexts, *([calls.closes] if calls.closes else [])])) in nexts
            if not goes_on:
                break
            self._rest = self._rest.removeprefix(calls.between)
        yield from self._literal(calls.closes)
        self._is_begun, self.kind = False, "text"

    def _call(self, calls: Calls) -> Steps:
        """Read one call."""
        call = ToolCall(len(self.calls), self._new_id(len(self.calls)), "")
        for i, piece in enumerate(calls.pieces):
            if isinstance(piece, str):
                yield from self._literal(piece)
            elif piece is Hole.ARGUMENTS:
                yield from self._arguments(calls, call)
            else:
                follows = str(calls.pieces[i + 1])
                while (at := self._rest.find(follows)) < 0:
                    yield from self._more()
                if piece is Hole.NAME:
                    call.name = self._rest[:at]
                    self.calls.append(call)
                    self._parts.append(Part("call", "", call))
                self._rest = self._rest[at:]
        call.is_complete = True

    def _arguments(self, calls: Calls, call: ToolCall) -> Steps:
        reading = calls.encoding.reading(self._parameters.get(call.name, {}))
        while not reading.is_complete:
            text, n = reading.feed(self._rest)
            self._rest = self._rest[n:]
            if text:
                call.arguments += text
                self._parts.append(Part("call", text, call))
            if not reading.is_complete:
                yield from self._more()

    # ---- Text -------------------------------------------------------------------------------------------------------

    def _more(self) -> Steps:
        """Wait for more text. _EndError: there is none."""
        if self._is_last:
            raise _EndError
        yield

    def _at(self, options: Sequence[str], *, skips: bool = False) -> Generator[None, None, str]:
        """Return the longest of the options that the text begins with; "": none. skips: spaces may come before it."""
        while True:
            text = self._rest.lstrip(SPACES) if skips else self._rest
            if self._is_last or not any(one != text and one.startswith(text) for one in options):
                return max((one for one in options if text.startswith(one)), key=len, default="")
            yield

    def _until(self, marks: Sequence[str]) -> Generator[None, None, str]:
        """Add the text up to the first of the marks, and return which it is; "": the end came first."""
        while True:
            places = [(at, mark) for mark in marks if (at := self._rest.find(mark)) >= 0]
            if places:
                at, mark = min(places)
                self._add(self._rest[:at])
                self._rest = self._rest[at:]
                return mark
            keep = 0 if self._is_last else max((_overlap(self._rest, mark) for mark in marks), default=0)
            end = len(self._rest) - keep
            self._add(self._rest[:end])
            self._rest = self._rest[end:]
            if self._is_last:
                return ""
            yield

    def _literal(self, wanted: str) -> Steps:
        """Read a text that must follow."""
        while not self._rest.startswith(wanted):
            if not wanted.startswith(self._rest):
                raise _OffError
            yield from self._more()
        self._rest = self._rest[len(wanted) :]


def _overlap(text: str, mark: str) -> int:
    """Return the length of the longest end of a text that is a beginning of a mark.

    >>> _overlap("a </", "</think>"), _overlap("a", "</think>")
    (2, 0)
    """
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)
