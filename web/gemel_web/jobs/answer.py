"""An answer as it grows: its text, reasoning and calls, with the tokens of each, and no incomplete characters."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gemel

from ..http.errors import ApiError, invalid, of_request
from .events import Call, Ended, Event, Kind, Text, Token
from .tokens import Tokens

SEEDS = 2**64
LONGEST = 4   # bytes of a character in UTF-8
Prompt = list[int] | gemel.Turn
Prompts = Callable[[gemel.Model], Iterator[Prompt]]
"""Makes the prompts of a request, one after another: their ids, or the next messages of chats."""


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """How to complete prompts."""

    n: int                      # answers per prompt
    max_tokens: int | None
    n_ctx: int | None = None    # tokens of a prompt and its answer; None: the model's, as it is served
    stops: tuple[str, ...]
    sampling: gemel.Sampling
    n_top: int | None           # most likely tokens to report at each position; None: no log-probabilities
    echo: bool                  # the answer begins with the prompt
    scores_prompt: bool = False   # and so do its log-probabilities
    param: str                  # the request's parameter that has the prompts
    form: Mapping[str, Any] = field(default_factory=dict)   # what answers may be: a keyword of Batch.generate
    form_param: str = ""        # the request's parameter that says so
    tools: Sequence[str] = ()   # their names
    tool_place: str = "tools[{}].function.parameters"   # where the schema of the tool with a number is
    placed: Callable[[str], str] = str   # see of_request
    closes: bool = False        # the answer is whole within its limit
    fast_forward: bool = True   # evaluate ahead what the form forces
    priority: int = 0           # lower ones begin first
    key: str = ""               # whose request it is
    cache_salt: str = ""

    def sampling_of(self, answer: int) -> gemel.Sampling:
        """Return the Sampling of the answers to a prompt, from 0: each has the seed after the one before."""
        seed = self.sampling.seed
        return self.sampling if seed is None or not answer else self.sampling.with_fields(seed=(seed + answer) % SEEDS)

    def refused(self, error: gemel.GemelError) -> ApiError:
        """Return the error for what gemel refuses of it, by the parameter that it came from."""
        words = str(error)
        for i, name in enumerate(self.tools):
            if words.startswith(f"tool {name!r}: "):
                why = words.partition(": ")[2].removeprefix("json_schema: ")
                return invalid(self.tool_place.format(i), why)
        source, _, why = words.partition(": ")
        if self.form and (isinstance(error, gemel.GrammarError) or source in self.form):
            return invalid(self.form_param, why)
        if self.tools and isinstance(error, gemel.GrammarError):
            return invalid("tools", f"their grammar: {why or words}")
        return of_request(error, self.param, self.placed)


class AnswerText:
    """An answer of a batch."""

    def __init__(
        self, batch: gemel.Batch, choice: int, prompt: Prompt, request: GenerateRequest, sampling: gemel.Sampling,
    ) -> None:  # fmt: skip
        self.ended = False
        self._batch = batch
        self._choice = choice
        self._n, self._stops = request.n, request.stops
        self._is_checked = request.form.get("strict") is False
        self._echoed = batch.model.detokenize(prompt) if request.echo and isinstance(prompt, list) else ""
        self._prompt_tokens: tuple[Token, ...] = ()
        self._ready = ""                  # text not yet sent to the client
        self._shown = len(self._echoed)   # characters sent or ready
        self._n_parts = 0                 # of an answer that has any
        self._kind: Kind = "text"         # of the last of them
        self._begun: set[Call] = set()
        self._tokens = None if request.n_top is None else Tokens(batch.model, request.n_top, self._shown)
        self._generation = batch.generate(
            prompt, max_tokens=request.max_tokens, n_ctx=request.n_ctx, stop=request.stops, sampling=sampling,
            key=request.key, priority=request.priority, cache_salt=request.cache_salt,
            close_at_max_tokens=request.closes, fast_forward=request.fast_forward,
            on_drawn=None if self._tokens is None else self._tokens.log, **request.form,
        )  # fmt: skip

    def score(self, tokens: tuple[Token, ...]) -> None:
        """Take the tokens of the prompt that is echoed."""
        self._prompt_tokens = tokens

    def close(self) -> None:
        """Stop it."""
        self._generation.close()

    @property
    def n_tokens(self) -> int:
        """How many tokens it has by now."""
        return len(self._generation.ids)

    def events(self) -> Iterator[Event]:
        """Yield what the last pass made ready."""
        if self._echoed or self._prompt_tokens:
            yield Text(self._choice, self._echoed, self._prompt_tokens)
            self._echoed, self._prompt_tokens = "", ()
        generation = self._generation
        reason = generation.stop_reason   # asked first: the last text comes before it
        piece = self._batch.ready(generation) or ""
        parts = generation.new_parts(self._n_parts)
        self._n_parts += len(parts)
        if self._tokens is not None:
            self._tokens.add(generation.ids, generation.n_dropped)
        self._ready += "" if self._n_parts else piece
        self._shown += len(piece)
        if reason is None:
            yield from self._of_parts(parts) if self._n_parts else self._of_text()
            return
        self._batch.ready(generation)   # raises its error
        self.ended = True
        if reason not in ("stop", "eos", "length"):
            raise gemel.CancelledError("the batch of this request was closed")
        yield from self._last_of_parts(parts, reason) if self._n_parts else self._last_of_text(reason)
        yield self._end(reason)

    def _end(self, reason: str) -> Ended:
        generation = self._generation
        cached = 0 if self._choice % self._n else generation.timings.n_cached
        has_call = any(call.is_complete for call in generation.calls)
        return Ended(
            self._choice, "length" if reason == "length" else "calls" if has_call else "stop", len(generation.ids),
            cached, generation.n_reasoning, "" if reason == "length" else self._invalid(),
            generation.stop_string, generation.timings,
        )  # fmt: skip

    def _invalid(self) -> str:
        """Return why the whole answer is not valid by a schema that its grammar does not enforce; "" if it is."""
        if not self._is_checked:
            return ""
        try:
            _ = self._generation.parsed
        except gemel.AnswerError as error:
            return str(error)
        return ""

    # ---- Answers that are a text -------------------------------------------------------------------------------------

    def _of_text(self) -> Iterator[Text]:
        if self._ready and not self._ready.endswith("\ufffd"):
            yield self._text(self._shown)

    def _last_of_text(self, reason: str) -> Iterator[Text]:
        """Yield the rest. A stop string ended the text: tokens after its end are dropped."""
        is_cut = reason == "stop"
        if not is_cut and self._ready.endswith("\ufffd") and self._ends_in_half_a_character():
            self._ready = self._ready.removesuffix("\ufffd")
        if self._ready or (not is_cut and self._tokens is not None and self._tokens.has_unsent):
            yield self._text(self._shown if is_cut else None)

    def _ends_in_half_a_character(self) -> bool:
        """Whether the last character of the answer lacks bytes; the bytes of the last ids tell."""
        raw = b""
        for id in reversed(self._generation.ids):
            raw = self._batch.model.piece(id) + raw
            if len(raw) > LONGEST:
                break
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.decode(raw)
        return bool(decoder.getstate()[0])

    def _text(self, end: int | None) -> Text:
        ready, self._ready = self._ready, ""
        given = () if self._tokens is None else self._tokens.taken(end)
        return Text(self._choice, ready, given, n_drawn=len(self._generation.ids))

    # ---- Answers with parts ------------------------------------------------------------------------------------------

    def _of_parts(self, parts: Sequence[Any]) -> Iterator[Text]:
        """Yield texts. Tokens come with the first one, except those that may begin a stop string."""
        texts = self._joined(parts)
        if texts and self._tokens is not None:
            longest = max(map(len, self._stops), default=0)
            given = self._tokens.taken(self._tokens.n_drawn - longest + 1 if longest else None)
            texts[0] = replace(texts[0], tokens=given)
        yield from texts

    def _last_of_parts(self, parts: Sequence[Any], reason: str) -> Iterator[Text]:
        """Yield the rest, without half a character; tokens behind a stop string are dropped."""
        texts = self._joined(parts)
        if texts and texts[-1].text.endswith("\ufffd") and reason != "stop" and self._ends_in_half_a_character():
            texts[-1] = replace(texts[-1], text=texts[-1].text.removesuffix("\ufffd"))
            if not (texts[-1].text or texts[-1].begins):
                texts.pop()
        if self._tokens is not None:
            is_text = reason == "stop" and self._kind != "call"
            given = self._tokens.taken(self._tokens.cut(self._stops) if is_text else None)
            if given and not texts:
                texts.append(Text(self._choice, "", kind=self._kind))
            texts[:1] = [replace(one, tokens=given) for one in texts[:1]]
        yield from texts

    def _joined(self, parts: Sequence[Any]) -> list[Text]:
        """Return the texts of parts. Those of a kind and a call are one, except the first of a call, which is empty."""
        texts: list[Text] = []
        for part in parts:
            self._kind = part.kind
            call = None if part.call is None else Call(part.call.index, part.call.id, part.call.name)
            last, is_new = texts[-1] if texts else None, call is not None and call not in self._begun
            if last is not None and not last.begins and (last.kind, last.call) == (part.kind, call):
                texts[-1] = replace(last, text=last.text + part.text)
            else:
                texts.append(Text(
                    self._choice, part.text, kind=part.kind, call=call, begins=is_new,
                    n_drawn=len(self._generation.ids),
                ))  # fmt: skip
            if call is not None:
                self._begun.add(call)
        return texts
