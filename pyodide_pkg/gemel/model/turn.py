"""The next message of an assistant: the ids of its prompt, the grammar that it follows, and what reads its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..core.checks import flag, not_whole, sequence, text
from ..core.errors import ArgumentError
from ..core.public import public
from ..core.scalars import whole
from .call_options import check_template_options
from .core_model import CoreModel
from .grammar import Form, Grammar

if TYPE_CHECKING:
    from ..dialect.dialect import Dialect, Section
    from ..dialect.grammar import AnswerGrammar, Choice
    from ..dialect.reader import Reader
    from ..text.messages import Ending
    from ..tools.tool import Tool

TAIL = 32   # ids of a prompt's end, which may open a section
ID_SIZE, ALPHABET = 9, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ToolChoice = Literal["auto", "required", "none"] | str


@dataclass(frozen=True)
class Script:
    """The grammars that an answer follows, one after another.

    Attributes:
        first: from its first id on; None: anything
        then: what follows where `first` has ended, if `is_staged`; else the answer ends there
        budget: ids of reasoning after which `over` closes it; None: any number
        over, rest: what closes reasoning, and what follows that
    """

    first: Form | Grammar | None = None
    is_staged: bool = False
    then: Form | Grammar | None = None
    budget: int | None = None
    over: Form | None = None
    rest: Form | Grammar | None = None


@dataclass(frozen=True)
class ToolOptions:
    """The tools of an answer, checked.

    Attributes:
        tools: all that the template shows
        allowed: those that may be called
        choice: whether one must be called, may be, or must not
        is_parallel: whether an answer may have several calls
    """

    tools: tuple[Tool, ...] = ()
    allowed: tuple[Tool, ...] = ()
    choice: Choice = "auto"
    is_parallel: bool = True


def tool_options(
    tools: Sequence[Tool], choice: ToolChoice | None, parallel: bool | None, allowed: Sequence[str] | None = None
) -> ToolOptions:
    """Check what a call says about its tools. allowed: names of those that may be called; None: all."""
    names = [tool.name for tool in tools]
    is_parallel = True if parallel is None else flag("parallel_tool_calls", parallel)
    wanted = "auto" if choice is None else text("tool_choice", choice, "auto, required, none or a tool's name")
    if not tools:
        if wanted not in ("auto", "none"):
            raise ArgumentError(f"tool_choice={wanted!r:.50}: there are no tools: pass tools")
        return ToolOptions(choice="none")
    for name in sequence("allowed_tools", () if allowed is None else allowed, "a list of names, or None"):
        if text("allowed_tools", name, "a list of names, or None") not in names:
            raise ArgumentError(f"allowed_tools: {name!r:.50} is not one of the tools: {', '.join(names)}")
    may = tuple(tool for tool in tools if allowed is None or tool.name in allowed)
    if wanted in ("auto", "required", "none"):
        return ToolOptions(tuple(tools), may, wanted, is_parallel)   # type: ignore[arg-type]
    if wanted not in names:
        raise ArgumentError(
            f'tool_choice={wanted!r:.50}: must be "auto", "required", "none" or the name of a tool: {", ".join(names)}'
        )
    return ToolOptions(tuple(tools), tuple(tool for tool in tools if tool.name == wanted), "required", is_parallel)


@public
class Turn:
    """Made by Model.turn(): pass it as the prompt of a generation in a session or batch.

    Attributes:
        model: whose prompt it is
        ids: the ids of the prompt
        is_message: whether the answer begins a message; False: it goes on with the last one
        tools: those that the template shows
    """

    def __init__(
        self, model: CoreModel, ids: list[int], template: str, options: ToolOptions, *, continued: str | None,
        budget: int | None = None,
    ) -> None:  # fmt: skip
        """Prepare an answer.

        continued: the content of the last message, if the answer goes on with that.
        """
        from ..dialect.markers import Markers
        from ..dialect.rows import dialect_of

        self.model = model
        self.ids, self.tools, self.is_message = ids, options.tools, continued is None
        self._options = options
        if budget is not None and (whole(budget) is None or budget < 0):
            raise not_whole("reasoning_budget", budget, "an integer of at least 0, or None")
        self._budget = budget
        dialect = dialect_of(template, has_tools=bool(options.tools))
        self._start, self._is_done = _start(model, ids, dialect, continued)
        if self._is_done or not self.is_message or (budget == 0 and self._start is None):
            leads = tuple(one for one in dialect.thoughts.leads if one.kind != "reasoning")
            dialect = replace(dialect, thoughts=replace(dialect.thoughts, leads=leads))
        if not self.is_message and dialect.calls is not None:
            dialect = replace(dialect, calls=replace(dialect.calls, may_be_bare=False))
        self._markers = Markers(model, dialect)
        if self._start is not None:
            self._start = self._markers.section(self._start)
        self._grammars: dict[Form | Grammar | None, tuple[Form, Form | None]] = {}   # by the form of the text
        self._has_parts = bool(
            self._start or dialect.calls or dialect.thoughts.leads or dialect.thoughts.text.opens
        )

    def check(self, model: CoreModel, *, special: bool, is_answer: bool) -> None:
        """Raise ArgumentError where it can't be the prompt of a call."""
        if self.model is not model:
            raise ArgumentError("prompt: the turn is another model's: make it with turn() of this model")
        for name, value in (("special", special), ("is_answer", is_answer)):
            if value:
                raise ArgumentError(f"{name} has no effect on a turn: leave it out")

    def reader(self, seed: int, form: Form | Grammar | None = None) -> Reader | None:
        """Return what reads the answer; None: its text is all that it has. Equal seeds give equal ids of calls.

        form: what its text is; then it has no calls.
        """
        if not self._has_parts:
            return None
        from hashlib import blake2b

        from ..dialect.reader import Reader

        markers = self._markers
        if form is not None and markers.dialect.calls is not None:
            markers = markers.with_calls(replace(markers.dialect.calls, follows_text=False))
        key = blake2b(f"{seed} {self.ids}".encode(), digest_size=16).digest()
        named = {tool.name: tool.parameters for tool in self._options.tools}
        return Reader(markers, self._start, named, lambda index: _call_id(key, index))

    def script(self, form: Form | Grammar | None) -> Script:
        """Return the grammars of the answer. form: what its text may be. ArgumentError: they can't be combined."""
        from ..dialect.grammar import AnswerGrammar

        has_tools = bool(self._options.tools)
        first: Form | Grammar | None = form
        rest: Form | Grammar | None = form
        if has_tools:
            first, rest = self._of_tools(form)
        is_open = self._start is not None and self._start.kind == "reasoning"
        is_marked = bool(self._markers.dialect.thoughts.text.opens) and self._start is None
        closes = self._closes()
        over = Form("grammar", f'root ::= "\\n"? {closes}\n') if closes and self._budget is not None else None
        if is_open and self._budget == 0:
            return Script(over, is_staged=True, then=rest)
        if not has_tools and form is not None and (is_open or is_marked):
            bare = AnswerGrammar(self._markers, {}, choice="none", is_parallel=False)
            before = Form("grammar", bare.before_text(self._start))
            if self._markers.dialect.thoughts.text.opens:   # what follows reasoning has two stages
                if self._budget:
                    words = "with this model it can't be combined with a form of the text: pass only one of them"
                    raise ArgumentError(f"reasoning_budget: {words}")
                return Script(before, is_staged=True, then=form)
            return Script(before, True, form, self._budget, over, rest)
        return Script(first, budget=self._budget if closes else None, over=over, rest=rest)

    def _of_tools(self, form: Form | Grammar | None) -> tuple[Form, Form | None]:
        """Return the grammars of answers with tools, and of what follows their reasoning; all answers share them."""
        if form not in self._grammars:
            options, markers = self._options, self._markers
            made_of = (
                markers.dialect, tuple(markers.characters.items()), self._start, options.choice, options.is_parallel,
                self._budget is None, form,
            )   # fmt: skip
            tools = json.dumps([(tool.name, tool.strict, tool.parameters) for tool in options.allowed])
            held = self.model._tool_grammars
            self._grammars[form] = held.of(made_of, tools, lambda: self._written(form))
        return self._grammars[form]

    def _written(self, form: Form | Grammar | None) -> tuple[Form, Form | None]:
        grammar = self._grammar(form)
        rest = None if self._budget is None else Form("grammar", grammar.text(None, thinks=False))
        return Form("grammar", grammar.text(self._start)), rest

    def _closes(self) -> str:
        """Return what closes reasoning, as GBNF; "": there is none."""
        sections = [self._start, *self._markers.dialect.thoughts.leads]
        marks = [one.closes for one in sections if one is not None and one.kind == "reasoning"]
        return self._markers.gbnf(marks[0]) if marks else ""

    def _grammar(self, form: Form | Grammar | None) -> AnswerGrammar:
        from ..dialect.grammar import AnswerGrammar
        from ..schema.compiler import write_rules
        from ..schema.document import Read
        from ..tools.tool import arguments_schema

        options, calls = self._options, self._markers.dialect.calls
        text = None
        if form is not None:
            if not isinstance(form, Form) or form.kind != "json_schema":
                name = form.kind if isinstance(form, Form) else "grammar"
                raise ArgumentError(f"{name}: it can't be combined with tools; a json_schema can be")
            if calls is None or not calls.can_follow_json:
                words = "this model's calls look like other JSON: leave out the tools"
                raise ArgumentError(f"json_schema: {words}")
            text = write_rules(Read(form.schema), prefix="text-", any_order=form.any_order, strict=form.strict)
        return AnswerGrammar(
            self._markers, {tool.name: arguments_schema(tool.parameters) for tool in options.allowed},
            choice=options.choice, is_parallel=options.is_parallel,
            relaxed=[tool.name for tool in options.tools if not tool.strict], form=text,
        )


def turn_of(
    model: CoreModel, messages: Sequence[Mapping[str, Any]], template: str, values: Mapping[str, Any],
    options: ToolOptions, ending: Ending | None = None, budget: int | None = None,
) -> Turn:  # fmt: skip
    """Return the next message of a chat. template: its text. values: of the template, without tools."""
    from ..text.messages import continues, plain

    shown = {**values, "tools": [tool.as_json() for tool in options.tools] or None}
    ids = model._message_ids(messages, template, shown, ending)
    continued = plain(messages)[-1]["content"] if continues(messages, ending) else None
    return Turn(model, ids, template, options, continued=continued, budget=budget)


def turn_from(
    model: CoreModel, messages: Sequence[Mapping[str, Any]], options: ToolOptions, template: str | None,
    template_options: Mapping[str, Any], ending: Ending, budget: int | None,
) -> Turn:  # fmt: skip
    """Return the next message of a conversation that is not a Chat's. template: jinja, or a name; None: the file's."""
    from ..text.template import compiled, template_text, template_values

    chosen, values = template_text(model, template, options.tools), template_values(None, template_options)
    check_template_options(template_options, compiled(chosen).names)
    return turn_of(model, messages, chosen, values, options, ending, budget)


def _start(
    model: CoreModel, ids: Sequence[int], dialect: Dialect, continued: str | None
) -> tuple[Section | None, bool]:
    """Return the section that a prompt has opened, or None, and whether it has closed reasoning."""
    raw = b"".join(model.piece(id, special=True) for id in ids[-TAIL:])
    tail = raw.decode("utf-8", "replace").rstrip()
    thoughts = dialect.thoughts
    if continued is not None:
        inside = [one for one in thoughts.leads if continued.rfind(one.opens) > continued.rfind(one.closes)]
        return (inside[0] if inside else None), False
    sections = [one for one in (*thoughts.leads, thoughts.text) if one.opens and tail.endswith(one.opens.rstrip())]
    if sections:
        return max(sections, key=lambda one: len(one.opens)), False
    closed = [one for one in thoughts.leads if one.closes and tail.endswith(one.closes.rstrip())]
    return None, bool(closed)


def _call_id(key: bytes, index: int) -> str:
    """Return nine letters and digits, as every template takes them."""
    from hashlib import blake2b

    number = int.from_bytes(blake2b(key + index.to_bytes(4, "little"), digest_size=16).digest(), "little")
    out = ""
    for _ in range(ID_SIZE):
        number, at = divmod(number, len(ALPHABET))
        out += ALPHABET[at]
    return out

