"""An answer's text, in pieces, becomes its parts. However the text is split, the parts join to the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from . import bare
from .dialect import Calls, Dialect, Hole, Kind, Section, each
from .parts import Part, ToolCall
from .scanner import SPACES, EndError, OffError, Scanner, Steps

PLAIN = Section("text")


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
        self._scanner = Scanner(dialect.thoughts.begun if start is None else "")
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
        return bool(self._scanner.rest)

    def feed(self, text: str) -> list[Part]:
        """Return the parts that a piece of the answer completes."""
        self._scanner.rest += text
        self._resume()
        return self._taken()

    def finish(self, text: str = "") -> list[Part]:
        """Return the last parts: no text follows this."""
        self._scanner.is_last = True
        self._scanner.rest += text
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
            self._add(self._scanner.take(len(self._scanner.rest)))

    # ---- Sections ---------------------------------------------------------------------------------------------------

    def _answer(self, section: Section | None) -> Steps:
        thoughts, calls, scanner = self._dialect.thoughts, self._dialect.calls, self._scanner
        sections = {one.opens: one for one in (*thoughts.leads, thoughts.text) if one.opens}
        openers = [] if calls is None else calls.openers(self._parameters)
        inside = openers if calls is not None and calls.follows_text else []
        skipped = [mark for mark in (thoughts.absent, thoughts.ends) if mark]
        is_said = False   # the text
        try:
            while True:
                if section is None:
                    options = [*sections, *openers, *skipped]
                    found = yield from scanner.at(options, skips=True, is_whole=is_said)
                    if calls is not None and found in openers:
                        yield from self._calls(calls)
                        return
                    if found:
                        scanner.rest = scanner.rest.lstrip(SPACES).removeprefix(found)
                    if found in skipped:
                        self._drops_spaces = True
                        continue
                    if not found and calls is not None and calls.may_be_bare and not is_said:
                        called = yield from self._bare_call(calls)
                        if called:
                            return
                    section = sections.get(found, PLAIN)
                self._open(section.kind, is_marked=bool(section.opens))
                found = yield from scanner.until([section.closes] if section.closes else inside, self._add)
                if calls is not None and found in openers:
                    yield from self._calls(calls)
                    return
                if not found:
                    return
                scanner.take(len(found))
                is_said = is_said or section == thoughts.text
                self._open("text", is_marked=True)   # what closed is over, whatever follows
                section = None
        except EndError:
            scanner.rest = ""
        except OffError:
            self._open("text", is_marked=False)

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
        scanner, closes = self._scanner, each(calls.closes)
        heads = [] if calls.is_single else calls.heads(self._parameters)
        nexts = {between + head: len(between) for head in heads for between in each(calls.between)}
        scanner.rest = scanner.rest.lstrip(SPACES)
        yield from scanner.one_of(each(calls.opens))
        while True:
            yield from self._call(calls)
            options = [*nexts, *filter(None, closes)]
            found = yield from scanner.at(options, is_whole=True)
            if found not in nexts:
                break
            scanner.take(nexts[found])
        yield from scanner.one_of(closes)
        yield from scanner.one_of(["", self._dialect.thoughts.ends])
        self._is_begun, self.kind = False, "text"

    def _bare_call(self, calls: Calls) -> Generator[None, None, bool]:
        """Read an answer that is a call without markers; return whether it is one."""
        name = yield from bare.name_of(self._scanner, self._parameters)
        if not name:
            return False
        self.kind, self._drops_spaces = "call", True
        call = ToolCall(0, self._new_id(0), name)
        self.calls.append(call)
        self._parts.append(Part("call", "", call))
        yield from bare.before_arguments(self._scanner, name)
        yield from self._arguments(calls, call)
        yield from bare.behind_arguments(self._scanner)
        call.is_complete = True
        self._is_begun, self.kind = False, "text"
        return True

    def _call(self, calls: Calls) -> Steps:
        """Read one call."""
        call = ToolCall(len(self.calls), self._new_id(len(self.calls)), "")
        for i, piece in enumerate(calls.pieces):
            if piece is Hole.ARGUMENTS:
                yield from self._arguments(calls, call)
            elif piece is Hole.ID:
                yield from self._scanner.until(calls.after(i), lambda _: None)
            elif piece is Hole.NAME and not call.name:
                yield from self._name(calls.after(i), call)
            elif piece is Hole.NAME:
                yield from self._scanner.one_of([call.name])
            else:
                yield from self._scanner.one_of(each(piece))
        call.is_complete = True

    def _name(self, after: tuple[str, ...], call: ToolCall) -> Steps:
        """Read a tool's name: one that is known, or all up to what follows names."""
        known = {name + text: name for name in self._parameters for text in after}
        call.name = known.get((yield from self._scanner.at(known)), "")
        if call.name:
            self._scanner.take(len(call.name))
        else:
            read: list[str] = []
            found = yield from self._scanner.until(after, read.append)
            call.name = "".join(read)
            if not found:
                raise EndError
        self.calls.append(call)
        self._parts.append(Part("call", "", call))

    def _arguments(self, calls: Calls, call: ToolCall) -> Steps:
        def put(text: str) -> None:
            if text:
                call.arguments += text
                self._parts.append(Part("call", text, call))

        yield from calls.encoding.read(self._scanner, self._parameters.get(call.name, {}), put)
