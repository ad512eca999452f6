"""The grammar of answers in a dialect: where tools are called, their names and arguments are those of the tools.

Text may be anything except what begins a call or a section, so that from a marker on everything is enforced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..core.errors import ArgumentError, SchemaError
from ..schema.compiler import Written
from ..schema.rules import EMPTY, common, in_class, quoted
from ..schema.work import STEPS_MAX, limited
from . import bare
from .dialect import Calls, Hole, Section
from .markers import FIRST, Markers

Choice = Literal["auto", "required", "none"]
ANY = "any ::= .*"
ALL_STEPS = 3 * STEPS_MAX   # of the schemas of all tools together
SPACE = "space ::= [ \\t\\r\\n]{0,4}"


class AnswerGrammar:
    """Writes grammars for one set of tools: {name: parameters}; those of other names can't be called.

    Attributes:
        warnings: what the schemas of the tools say that is not enforced
    """

    def __init__(
        self, markers: Markers, tools: Mapping[str, Mapping[str, Any]], *, choice: Choice, is_parallel: bool,
        relaxed: Sequence[str] = (), form: Written | None = None,
    ) -> None:  # fmt: skip
        """Take what an answer may do.

        relaxed: tools whose schemas are enforced as far as possible. form: what the text is, where there are no calls.
        """
        self._markers, self._dialect = markers, markers.dialect
        self._tools, self._choice, self._is_parallel, self._relaxed = tools, choice, is_parallel, relaxed
        self._form = form
        self._lines: list[str] = []
        self._states: dict[str, dict[str, str]] = {}   # of rules of texts: their rules, by the end of what was read
        self.warnings: list[str] = []

    def text(self, start: Section | None, *, thinks: bool = True) -> str:
        """Return the grammar of a whole answer.

        start: the section that the prompt opened. thinks: whether reasoning may come first.
        """
        self._lines = []
        thoughts = self._dialect.thoughts
        leads = [one for one in thoughts.leads if thinks or one.kind != "reasoning"]
        begun = thoughts.begun if start is None else ""
        pieces: list[str] = []
        if start is not None:
            pieces += [self._inside("start", start), self._markers.gbnf(start.closes)]
        if (leads and start is None) or len(leads) > 1:
            pieces.append(self._leads(leads))
        pieces.append(self._rest(leads if start is None else [], begun, is_said=start == thoughts.text))
        if thoughts.ends:
            pieces.append(f"({self._markers.gbnf(thoughts.ends)})?")
        root = f"root ::= {' '.join(filter(None, pieces))}"
        calls = self._dialect.calls
        shared = common(is_spaced=True) if calls is None else calls.encoding.common(self._markers.gbnf)
        return "\n".join([root, *self._lines, ANY, SPACE, shared]) + "\n"

    def before_text(self, start: Section | None) -> str:
        """Return the grammar of what comes before the text: reasoning that the prompt has opened, and the markers.

        start: as in text().
        """
        self._lines = []
        section = self._dialect.thoughts.text
        pieces = []
        if start is not None:
            pieces += [self._inside("start", start), self._markers.gbnf(start.closes)]
        if section.opens:
            leads = [one for one in self._dialect.thoughts.leads if one.kind == "reasoning"]
            pieces += [self._leads(leads)] if leads else []
            begun = self._dialect.thoughts.begun if start is None else ""
            pieces += ["space", self._markers.gbnf(section.opens.removeprefix(begun))]
        return "\n".join([f"root ::= {' '.join(filter(None, pieces))}", *self._lines, ANY, SPACE]) + "\n"

    def _leads(self, leads: Sequence[Section]) -> str:
        """Return what comes before the text: one section, or several in any order; or what says that there is none."""
        parts = [self._lead(i, one) for i, one in enumerate(leads)]
        if absent := self._markers.gbnf(self._dialect.thoughts.absent):
            parts.append(f"space {absent}")
        return f"({' | '.join(parts)}){'?' if len(leads) == 1 else '*'}"

    def _lead(self, i: int, section: Section) -> str:
        return f"space {self._markers.gbnf(section.opens)} {self._inside(f'lead{i}', section)} " + self._markers.gbnf(
            section.closes
        )

    def _inside(self, name: str, section: Section) -> str:
        """Return the rule of the text in a section: all up to its end."""
        return self._without(name, [section.closes] if section.closes else [])

    def _rest(self, leads: Sequence[Section], begun: str, *, is_said: bool) -> str:
        """Return what follows reasoning: text, calls, or both. is_said: the prompt began the text."""
        calls, section = self._dialect.calls, self._dialect.thoughts.text
        openers = [] if calls is None else calls.openers(self._tools)
        first = "space calls"
        if calls is not None and self._choice != "none":
            first = self._calls(calls, begun)
        if calls is not None and self._choice == "required":
            return first
        marks = [*(one.opens for one in leads), *openers]
        opens, closes = self._markers.gbnf(section.opens.removeprefix(begun)), self._markers.gbnf(section.closes)
        free = self._free(marks)
        inside = self._without("inside", [section.closes]) if section.closes else free
        if is_said:
            return "" if calls is None or self._choice == "none" else "(space calls)? space"
        if self._form is not None:
            inside = self._form.first
            self._lines += self._form.lines
        text = " ".join(filter(None, ["space" if opens and not begun else "", opens, inside, closes]))
        if self._form is not None:
            return text if self._choice == "none" else f"({text} | {first})"
        if opens and self._dialect.thoughts.is_plain:
            text = f"({text} | {free})"
        if calls is None or self._choice == "none":
            return text
        if not calls.follows_text:
            return f"({text} | {first})"
        if calls.may_be_bare and not section.opens:
            return f"({self._not_bare(marks)} (calls space)? | {self._bare()})"
        return f"{text} (calls space)?" if not section.opens else f"({text} (calls space)? | {first})"

    def _free(self, marks: Sequence[str]) -> str:
        """Return the rule of a text that has no markers around it."""
        calls, section = self._dialect.calls, self._dialect.thoughts.text
        marks = [*marks, section.opens]
        if calls is not None and (calls.leads or not calls.marker):
            return self._not_begun_by(marks)
        return self._without("text", marks)

    def _bare(self) -> str:
        """Return the rule of an answer that is a call without markers."""
        self._lines += bare.calls({name: f"arguments{i}" for i, name in enumerate(self._tools)})
        return "bare"

    def _not_bare(self, marks: Sequence[str]) -> str:
        """Return the rule of a text without marks that does not begin with such a call."""
        states = self._states.get("text", {"": "any"})
        after_first = {state: rule for state, rule in states.items() if len(state) < 2}
        first, lines = bare.not_begun(bare.Beginnings(self._tools), after_first)
        self._lines += lines
        return first

    # ---- Calls ------------------------------------------------------------------------------------------------------

    def _calls(self, calls: Calls, begun: str) -> str:
        """Write the rules of all calls of an answer, and return the one that continues what the prompt has of them."""
        self._lines += self._of_tools(calls)
        more = ""
        if self._is_parallel and not calls.is_single:
            more = f"({self._markers.either(calls.between)} call)*"
        opens, closes = self._markers.either(calls.opens), self._markers.either(calls.closes)
        self._lines.append(f"calls ::= {' '.join(filter(None, [opens, 'call', more, closes]))}")
        if not begun:
            return "space calls"
        rest = calls.heads(())[0].removeprefix(begun)
        alternatives = [self._call(calls, i, name, rest=rest) for i, name in enumerate(self._tools)]
        self._lines.append(f"begun ::= ({' | '.join(alternatives)}) {more} {closes}".rstrip())
        return "begun"

    def _of_tools(self, calls: Calls) -> list[str]:
        if not self._tools:
            raise ArgumentError("tools: there is none that may be called")
        lines: list[str] = []
        known: dict[tuple[str, bool], int] = {}   # tools whose rules are written, by what these follow from
        with limited(ALL_STEPS):
            for i, (name, parameters) in enumerate(self._tools.items()):
                strict = name not in self._relaxed
                first = known.setdefault((_key(parameters, i), strict), i)
                lines += self._of_tool(calls, i, name, strict=strict) if first == i else [
                    f"arguments{i} ::= arguments{first}"
                ]   # fmt: skip
        alternatives = (self._call(calls, i, name) for i, name in enumerate(self._tools))
        return [*lines, f"call ::= {' | '.join(alternatives)}"]

    def _of_tool(self, calls: Calls, i: int, name: str, *, strict: bool) -> list[str]:
        try:
            made = calls.encoding.rules(self._tools[name], self._markers.gbnf, prefix=f"t{i}-", strict=strict)
        except SchemaError as error:
            raise SchemaError(f"tool {name!r}: {error}", error.path) from None
        self.warnings += [f"tool {name!r}: {warning}" for warning in made.warnings]
        return [f"arguments{i} ::= {made.first}", *made.lines]

    def _call(self, calls: Calls, i: int, name: str, rest: str | None = None) -> str:
        pieces = []
        for at, piece in enumerate(calls.pieces):
            if not isinstance(piece, Hole):
                pieces.append(self._markers.either(piece if at or rest is None else rest))
            else:
                pieces.append({Hole.NAME: quoted(name), Hole.ARGUMENTS: f"arguments{i}", Hole.ID: calls.id}[piece])
        return " ".join(filter(None, pieces))

    # ---- Text -------------------------------------------------------------------------------------------------------

    def _without(self, name: str, marks: Sequence[str]) -> str:
        """Return the rule of all texts that have none of some texts in them.

        Marks with a control token in them are in no text. States are the longest beginnings of marks that the text
        ends with.
        """
        marks = _textual(marks)
        if not marks:
            return "any"
        states = sorted({mark[:n] for mark in marks for n in range(len(mark))})
        alphabet = sorted(set("".join(marks)))
        names = {state: name if not state else f"{name}-{i}" for i, state in enumerate(states)}
        for state in states:
            parts = [EMPTY, f"[^{''.join(map(in_class, map(ord, alphabet)))}] {names['']}"]
            for char in alphabet:
                text = state + char
                if not any(text.endswith(mark) for mark in marks):
                    after = next(text[at:] for at in range(len(text) + 1) if text[at:] in names)
                    parts.append(f"[{in_class(ord(char))}] {names[after]}")
            self._lines.append(f"{names[state]} ::= {' | '.join(parts)}")
        self._states[name] = names
        return names[""]

    def _not_begun_by(self, marks: Sequence[str]) -> str:
        """Return the rule of all texts that begin with none of some texts, behind spaces."""
        marks = _textual(marks)
        after: dict[str, set[str]] = {}   # of each beginning of a mark, the next characters
        for mark in marks:
            for n, char in enumerate(mark):
                after.setdefault(mark[:n], set()).add(char)
        states, whole = sorted(after), set(marks)
        names = {state: "plain" if not state else f"plain-{i}" for i, state in enumerate(states)}
        for state in states:
            nexts = sorted(after[state])
            spaces = "" if state else "".join(in_class(ord(char)) for char in " \t\r\n" if char not in nexts)
            parts = [EMPTY, f"[^{''.join(map(in_class, map(ord, nexts)))}{spaces}] any"]
            longer = [char for char in nexts if state + char in names and state + char not in whole]
            parts += [f"[{in_class(ord(char))}] {names[state + char]}" for char in longer]
            parts += [f"[{spaces}] {names[state]}"] if spaces else []
            self._lines.append(f"{names[state]} ::= {' | '.join(parts)}")
        return names.get("", "any")


def _key(parameters: Mapping[str, Any], i: int) -> str:
    """Return what is the same for equal schemas; i if it is no JSON, which is an error where it is read."""
    try:
        return json.dumps(parameters)
    except (TypeError, ValueError, RecursionError):
        return str(i)


def _textual(marks: Sequence[str]) -> list[str]:
    """Return the marks that a text may have: those without a control token."""
    return [mark for mark in marks if mark and not any(FIRST <= ord(char) <= 0xDFFF for char in mark)]
