"""Ids drawn become a text: where it stops, what it lacks, and how long it took. It evaluates nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ..core.public import public
from ..text.stops import StopScanner
from .core_model import CoreModel
from .drafts import Drafts

if TYPE_CHECKING:
    from ..dialect.parts import Part, ToolCall
    from ..dialect.reader import Reader

StopReason = Literal["stop", "eos", "length", "cancelled", "error"]


@public
@dataclass(frozen=True)
class Timings:
    """How long a generation has taken so far: counts in tokens, times in seconds, speeds in tokens per second.

    Attributes:
        n_prompt: ids of the prompt
        n_cached: of them, those that the KV cache had
        n_evaluated: those that it lacked; in a batch, where a prompt may be evaluated again, all that were evaluated
        prompt_s: seconds to evaluate those
        n_decoded: ids evaluated one by one after that
        decode_s: seconds in those steps, with drawing and detokenising, without the caller's own time
        first_token_s: seconds from the start to the first id
        n_drafted: ids that were evaluated ahead, because they might follow
        n_accepted: of them, those that were drawn: their steps took no pass
        drafts: both numbers by what proposed the ids, where there were any: "grammar", "repeats", "file", "model"
        queued_s: seconds that it waited in a batch before its evaluation began
    """

    n_prompt: int = 0
    n_cached: int = 0
    n_evaluated: int = 0
    prompt_s: float = 0.0
    n_decoded: int = 0
    decode_s: float = 0.0
    first_token_s: float = 0.0
    n_drafted: int = 0
    n_accepted: int = 0
    drafts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    queued_s: float = 0.0

    @property
    def prompt_tok_s(self) -> float:
        """Prefill speed; 0.0 when nothing was evaluated."""
        return self.n_evaluated / self.prompt_s if self.prompt_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Decode speed; 0.0 before the second id."""
        return self.n_decoded / self.decode_s if self.decode_s else 0.0


class Answer:
    """The ids and the text of one generation, as they grow."""

    def __init__(self, model: CoreModel, n_prompt: int, stops: tuple[str, ...], limit: int) -> None:
        self.ids: list[int] = []
        self.text = ""
        self.is_message = False   # set before the first id: the text is a message, not the rest of the prompt
        self.n_dropped = 0        # characters of the first id that a message's text lacks
        self.reader: Reader | None = None   # set before the first id: what tells text, reasoning and calls apart
        self.parts: list[Part] = []   # of an answer with a reader, in order; its texts join to `text`
        self._model = model
        self._stops = StopScanner(stops)
        self._limit = limit
        self._prefilled = Timings(n_prompt=n_prompt)
        self._n_decoded, self._decode_s = 0, 0.0
        self.drafts = Drafts()

    def take(
        self, id: int, piece: str, rest: Callable[[], str], is_whole: Callable[[Reader | None], bool]
    ) -> tuple[str, StopReason | None]:
        """Add an id drawn and its text; return what can be shown, and why the answer ends with it, or None.

        rest: returns the bytes of an incomplete character, as text; it is called at the end. is_whole: tells whether
        nothing can follow, by the answer's grammar; it is called after each id.
        """
        if self._model._is_end(id):
            return self._end("", rest, "eos")
        if self.is_message and not self.ids:
            piece = self._begun(id, piece)
        self.ids.append(id)
        shown = self._stops.feed(piece) if self.reader is None else self._of(self.reader.take(id, piece))
        if self._stops.stopped:
            return self._end(shown, None, "stop")
        if is_whole(self.reader):
            return self._end(shown, rest, "stop")
        if len(self.ids) < self._limit:
            self.text += shown
            return shown, None
        return self._end(shown, rest, "length")

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the text."""
        return self._stops.found

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "" if self.reader is None else self.reader.reasoning

    @property
    def calls(self) -> list[ToolCall]:
        """The calls of tools that were begun."""
        return [] if self.reader is None else self.reader.calls

    def _of(self, parts: list[Part]) -> str:
        """Note the parts of an answer; return the text that can be shown."""
        from ..dialect.parts import Part

        shown = ""
        for part in parts:
            if self._stops.stopped:
                break
            text = self._stops.feed(part.text) if part.kind == "text" else self._stops.flush()
            if text:
                self.parts.append(Part("text", text))
                shown += text
            if part.kind != "text":
                self.parts.append(part)
        return shown

    def _end(self, shown: str, rest: Callable[[], str] | None, reason: StopReason) -> tuple[str, StopReason]:
        """Add the last text, and return it with the reason. rest None: a stop string cut the text."""
        if rest is not None:
            last = rest()
            shown += self._stops.feed(last) if self.reader is None else self._of(self.reader.finish(last))
            if held := self._stops.flush():
                shown += held
                if self.reader is not None:
                    from ..dialect.parts import Part

                    self.parts.append(Part("text", held))
        self.text += shown
        return shown, "stop" if self._stops.stopped else reason

    def _begun(self, id: int, piece: str) -> str:
        """Return the first piece of a message without the space that some tokenizers put before a text."""
        if piece.startswith(" ") and self._model.detokenize([id]) == self._model.piece(id)[1:].decode(
            "utf-8", "replace"
        ):
            self.n_dropped = 1
        return piece[self.n_dropped :]

    # ---- Time -------------------------------------------------------------------------------------------------------

    def count_prompt(self, n_evaluated: int, seconds: float) -> None:
        """Note how many ids of the prompt were evaluated so far, and in what time."""
        self._prefilled = replace(self._prefilled, n_evaluated=n_evaluated, prompt_s=seconds)

    def count_cached(self, n: int) -> None:
        """Note how many ids of the prompt the KV cache had."""
        self._prefilled = replace(self._prefilled, n_cached=n)

    def count_queued(self, seconds: float) -> None:
        """Note how long it waited before its evaluation began."""
        self._prefilled = replace(self._prefilled, queued_s=seconds)

    def count_first(self, seconds: float) -> None:
        """Note what drawing the first id took."""
        self._prefilled = replace(self._prefilled, first_token_s=self._prefilled.prompt_s + seconds)

    def count_next(self, seconds: float) -> None:
        """Note what evaluating an id and drawing the next took."""
        self._n_decoded += 1
        self._decode_s += seconds

    @property
    def timings(self) -> Timings:
        """Counts and times up to now."""
        drafts = self.drafts.counts
        return replace(
            self._prefilled, n_decoded=self._n_decoded, decode_s=self._decode_s, drafts=drafts,
            n_drafted=sum(n for n, _ in drafts.values()), n_accepted=sum(n for _, n in drafts.values()),
        )  # fmt: skip
