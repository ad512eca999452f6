"""Ids drawn become a text: where it stops, what it lacks, and how long it took. It evaluates nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ..text.stops import StopScanner
from .core_model import CoreModel

StopReason = Literal["stop", "eos", "length", "cancelled", "error"]


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
    """

    n_prompt: int = 0
    n_cached: int = 0
    n_evaluated: int = 0
    prompt_s: float = 0.0
    n_decoded: int = 0
    decode_s: float = 0.0
    first_token_s: float = 0.0

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
        self._model = model
        self._stops = StopScanner(stops)
        self._limit = limit
        self._prefilled = Timings(n_prompt=n_prompt)
        self._n_decoded, self._decode_s = 0, 0.0

    def take(
        self, id: int, piece: str, rest: Callable[[], str], *, is_whole: bool = False
    ) -> tuple[str, StopReason | None]:
        """Add an id drawn and its text; return what can be shown, and why the answer ends with it, or None.

        rest: returns the bytes of an incomplete character, as text; it is called at the end. is_whole: nothing can
        follow, by the answer's grammar.
        """
        if self._model._is_end(id):
            return self._end(self._stops.feed(rest()) + self._stops.flush(), "eos")
        if self.is_message and not self.ids:
            piece = self._begun(id, piece)
        self.ids.append(id)
        shown = self._stops.feed(piece)
        if self._stops.stopped:
            return self._end(shown, "stop")
        if is_whole:
            return self._end(shown + self._stops.feed(rest()) + self._stops.flush(), "stop")
        if len(self.ids) < self._limit:
            self.text += shown
            return shown, None
        return self._end(shown + self._stops.feed(rest()) + self._stops.flush(), "length")

    @property
    def is_cut(self) -> bool:
        """Whether a stop string ended the text."""
        return self._stops.stopped

    def _end(self, shown: str, reason: StopReason) -> tuple[str, StopReason]:
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
        return replace(self._prefilled, n_decoded=self._n_decoded, decode_s=self._decode_s)
