"""What jobs tell: the events of a request while it is evaluated."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

import gemel

Kind = Literal["text", "reasoning", "call"]


@dataclass(frozen=True)
class Began:
    """The request is valid, and waits for its evaluation."""

    n_prompt: int   # tokens of all its prompts


@dataclass(frozen=True)
class Token:
    """A token: its log-probability before bias, penalties and temperature, and the most likely tokens at its place."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    offset: int   # characters of the answer before it
    follows: bool = True   # False: the first token of a prompt, without a log-probability


@dataclass(frozen=True)
class Call:
    """A call of a tool that an answer has begun."""

    index: int   # its place among the calls of the answer
    id: str
    name: str


@dataclass(frozen=True)
class Text:
    """The next text of an answer, of its reasoning, or of a call's arguments."""

    choice: int
    text: str
    tokens: tuple[Token, ...] = ()
    kind: Kind = "text"
    call: Call | None = None   # whose arguments the text belongs to
    begins: bool = False       # it is the first text of the call
    n_drawn: int = 0           # tokens of the answer so far


@dataclass(frozen=True)
class Ended:
    """An answer is complete."""

    choice: int
    reason: Literal["stop", "length", "calls"]   # calls: it ended by itself, and has a complete call
    n_tokens: int
    n_cached: int  # tokens of its prompt that were not evaluated; 0 for the further answers to a prompt
    n_reasoning: int = 0   # of its tokens
    invalid: str = ""   # why a whole answer is not valid by its schema
    stop_string: str | None = None   # what ended it
    timings: gemel.Timings = field(default_factory=gemel.Timings)


@dataclass(frozen=True)
class Vector:
    """A text's embedding: float32 in the machine's byte order."""

    index: int
    raw: bytes


@dataclass(frozen=True)
class Scored:
    """How well a document answers a query."""

    index: int
    score: float


@dataclass(frozen=True)
class Ids:
    """A prompt's ids, which are not evaluated."""

    index: int
    ids: tuple[int, ...]


Event = Began | Text | Ended | Vector | Scored | Ids
Steps = Generator[Event | None, None, None]
