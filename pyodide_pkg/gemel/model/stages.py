"""The grammars of one answer, one after another: reasoning, what closes it, and the form of what follows."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..core.errors import ArgumentError
from ..text.ids import Ids
from .answer import Answer
from .call_options import CallOptions
from .core_model import CoreModel
from .grammar import Form, Grammar, Rules
from .sampler import sampler_of
from .turn import Script, Turn

if TYPE_CHECKING:
    from ..dialect.reader import Reader

SLACK = 16   # ids of reasoning over the budget, while they may be the beginning of a marker


class Stages:
    """Draws the ids of an answer by its script.

    Attributes:
        sampler: what draws them
        form: what the text of the answer may be, compiled; None: anything
    """

    def __init__(
        self, model: CoreModel, options: CallOptions, script: Script, limit: int, prompt_ids: Ids, *, is_message: bool
    ) -> None:
        if options.closes and script.is_staged:
            words = "reasoning comes first, whose end has no limit: turn it off, or leave it out"
            raise ArgumentError(f"close_at_max_tokens: {words}")
        self._budget = script.budget
        with ExitStack() as stack:
            def use(form: Form | Grammar | None) -> Rules | None:
                return stack.enter_context(model._grammars.use(form))

            self._then, self._is_staged = use(script.then), script.is_staged
            self._over, self._rest = use(script.over), use(script.rest)
            first = use(script.first)
            self.form = use(options.form)
            self.sampler = sampler_of(model, options, first, limit, prompt_ids, is_message=is_message)
            for rules in (self._then, self._over, self._rest):
                if rules is not None:
                    self.sampler.handle.keep(rules.handle)

    def is_whole(self, reader: Reader | None) -> bool:
        """Go on to the next stage where one has ended; return whether the answer has. To be asked after each id."""
        if reader is not None and self._budget is not None and reader.kind == "reasoning":
            is_over = reader.n_reasoning >= self._budget
            if is_over and (not reader.is_inside_marker or reader.n_reasoning >= self._budget + SLACK):
                self._budget = None
                self.sampler._follow(self._over)
                self._then, self._is_staged = self._rest, True
                return False
        if not self.sampler.is_whole:
            return False
        if not self._is_staged:
            return True
        self._is_staged = False
        self.sampler._follow(self._then)
        return False


def begun(
    answer: Answer, model: CoreModel, options: CallOptions, turn: Turn | None, limit: int, prompt_ids: Ids, *,
    is_message: bool,
) -> Stages:  # fmt: skip
    """Return the stages of an answer that is about to begin; the answer to a turn gets its reader."""
    answer.is_message = is_message
    script = Script(options.form) if turn is None else turn.script(options.form)
    stages = Stages(model, options, script, limit, prompt_ids, is_message=is_message)
    answer.reader = None if turn is None else turn.reader(stages.sampler.seed, options.form)
    return stages
