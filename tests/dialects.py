"""A script that plays a model: answers in a dialect as text, as ids of a tiny vocabulary, and what is read of them."""

from __future__ import annotations

import codecs
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gemel
import tiny
from gemel.dialect.dialect import Dialect, Section
from gemel.dialect.grammar import AnswerGrammar, Choice
from gemel.dialect.markers import Markers
from gemel.dialect.parts import Part, ToolCall
from gemel.dialect.reader import Reader
from gemel.dialect.rows import CALLS, GENERIC, NONE, THOUGHTS
from gemel.dialect.writing import written
from vocabulary import CONTROL, Pair, bpe_vocabulary

TOKEN = re.compile(r"<\|[^<>|]+\|?>|<[^<>|/]+\|>|<\uff5c[^<>]+\uff5c>|\[/?[A-Z_]+\]|</?(?:think|tool_call)>")
TOOLS: dict[str, dict[str, Any]] = {
    "search": {
        "type": "object",
        "properties": {
            "query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1},
            "among": {"type": "array", "items": {"type": ["string", "boolean", "null"]}},
        },
        "required": ["query"], "additionalProperties": False,
    },
    "clock": {"type": "object", "properties": {}, "additionalProperties": False},
}  # fmt: skip
Call = tuple[str, Mapping[str, Any]]
SEARCH: Call = ("search", {"query": 'a "b" {é}\n<i>\\', "limit": 3, "among": ["x}", True, None]})
CLOCK: Call = ("clock", {})


def dialects() -> list[Dialect]:
    """Return each way to write calls with each way to mark reasoning that goes with it."""
    own = {row.name: row for row in THOUGHTS}
    plain = [NONE, own["think"]]
    pairs = [(calls, thoughts) for calls in (*CALLS, GENERIC) for thoughts in (plain if calls.name not in own else [])]
    pairs += [(calls, own[calls.name]) for calls in (*CALLS, GENERIC) if calls.name in own]
    used = {thoughts.name for _, thoughts in pairs}
    pairs += [(GENERIC, row) for row in THOUGHTS if row.name not in used]
    return [Dialect(calls, thoughts) for calls, thoughts in pairs]


def vocabulary(kind: int = CONTROL) -> list[Pair]:
    """Return a vocabulary in which everything that looks like a control token of some dialect is a token of a kind."""
    names = sorted({name for dialect in dialects() for name in TOKEN.findall(repr(dialect))})
    names += ["<|return|>", "<|flush|>"]
    pairs = {pair[0]: pair for pair in bpe_vocabulary()}
    tokens, kinds = pairs["tokenizer.ggml.tokens"], pairs["tokenizer.ggml.token_type"]
    new = [name for name in names if name not in tokens[2]]
    return [
        (*tokens[:2], [*tokens[2], *new]), (*kinds[:2], [*kinds[2], *([kind] * len(new))]),
        ("llama.vocab_size", "u32", len(tokens[2]) + len(new)),
    ]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What an answer says."""

    reasoning: str = ""
    text: str = ""
    calls: Sequence[Call] = ()

    def made(self) -> list[ToolCall]:
        """Return its calls."""
        return [
            ToolCall(i, f"id{i}", name, json.dumps(values, ensure_ascii=False), is_complete=True)
            for i, (name, values) in enumerate(self.calls)
        ]

    def written(self, dialect: Dialect, which: int = 0) -> str:
        """Return it as the model writes it."""
        thoughts, calls = dialect.thoughts, dialect.calls
        leads = [lead for lead in thoughts.leads if lead.kind == "reasoning"]
        out = leads[0].opens + self.reasoning + leads[0].closes if self.reasoning else ""
        if self.text:
            out += thoughts.text.opens + self.text + thoughts.text.closes
        if self.calls:
            assert calls is not None
            out += written(calls, self.made(), TOOLS, which=which)
        return out.removeprefix(thoughts.begun)


def answers(dialect: Dialect, *, is_parallel: bool = True) -> Iterator[Answer]:
    """Return answers of all kinds that a dialect has."""
    calls = dialect.calls
    assert calls is not None
    for reasoning in ["", "Let me <see>"] if dialect.thoughts.leads else [""]:
        for made in [(), (SEARCH,), (CLOCK,), (SEARCH, CLOCK)]:
            if len(made) > 1 and (calls.is_single or not is_parallel):
                continue
            for text in ["", "Well, é: 1 < 2"] if calls.follows_text or not made else [""]:
                if text or made:
                    yield Answer(reasoning, text, made)


def section(dialect: Dialect, at: int | None) -> Section | None:
    """Return a section of a dialect: of the leads, or -1: the text; None: none."""
    return None if at is None else (*dialect.thoughts.leads, dialect.thoughts.text)[at]


class Model:
    """A tiny model that a script speaks for."""

    def __init__(self, kv: Sequence[Pair] = ()) -> None:
        n_vocab = len(kv[0][2]) if kv else None
        self.model = gemel.open(tiny.tiny_llama(kv=kv, n_layer=1, n_vocab=n_vocab), threads=1)

    def ids(self, text: str, rng: random.Random) -> list[int]:
        """Return ids of a text: it is cut at random, but not in control tokens, and each piece becomes ids."""
        inside = {
            at for found in TOKEN.finditer(text) for at in range(found.start() + 1, found.end())
            if len(self.model.tokenize(found[0], special=True)) == 1
        }  # fmt: skip
        cuts = [at for at in range(1, len(text)) if at not in inside and rng.random() < 0.3]
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return [id for piece in pieces for id in self.model.tokenize(piece, special=True)]

    def grammar(
        self, dialect: Dialect, *, choice: Choice = "auto", is_parallel: bool = True,
        tools: Mapping[str, Mapping[str, Any]] = TOOLS, at: int | None = None, thinks: bool = True,
    ) -> gemel.Grammar:  # fmt: skip
        """Return the grammar of a dialect's answers. at: the section that the prompt opened."""
        markers = Markers(self.model, dialect)
        made = AnswerGrammar(markers, tools, choice=choice, is_parallel=is_parallel)
        return self.model.grammar(made.text(section(markers.dialect, at), thinks=thinks))

    def allows(self, grammar: gemel.Grammar, ids: Sequence[int]) -> bool:
        """Return whether a grammar allows ids as a whole answer."""
        library = self.model._library
        with self.model.sampler(temperature=0, grammar=grammar) as sampler, sampler.handle as address:
            for i, id in enumerate(ids):
                if self.model.is_eog(id) and i == len(ids) - 1:
                    break
                if library.call("gemel_sampler_accept", address, id) < 0:
                    return False
            return bool(library.call("gemel_sampler_ends", address) > 0)

    def read(
        self, dialect: Dialect, ids: Sequence[int], tools: Mapping[str, Mapping[str, Any]] = TOOLS,
        at: int | None = None,
    ) -> tuple[Reader, str]:  # fmt: skip
        """Return what has read an answer to its end, and the text of the answer."""
        markers = Markers(self.model, dialect)
        reader = Reader(markers, section(markers.dialect, at), tools, lambda i: f"id{i}")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        parts: list[Part] = []
        for id in ids:
            is_text = not self.model.is_control(id)
            parts += reader.take(id, decoder.decode(self.model.piece(id)) if is_text else "")
        parts += reader.finish(decoder.decode(b"", final=True))
        return reader, "".join(part.text for part in parts if part.kind == "text")


def read_text(dialect: Dialect, pieces: Sequence[str], new_id: Any = str) -> tuple[list[Part], list[ToolCall]]:  # noqa: ANN401
    """Return what is read of an answer's pieces, where no marker is a control token."""
    from gemel.dialect.parser import Parser

    parser = Parser(dialect, None, TOOLS, new_id)
    parts = [part for piece in pieces for part in parser.feed(piece)]
    return [*parts, *parser.finish()], parser.calls
