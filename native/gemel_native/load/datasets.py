"""Prompts for a benchmark: from a file, or made of random words.

    {"prompt": "...", "max_tokens": 64}        a line of FILE.jsonl; also {"messages": [...]}, or a text alone
    [{"conversations": [{"from": "human", "value": "..."}, ...]}, ...]      ShareGPT's JSON: the first human turn.
                                               Conversations without one are left out, and stderr says how many
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemel

from ..output import counted, say

HUMAN = ("human", "user")
WORDS = tuple(word for line in (
    "the of and to in is that it was for on are as with they at be this from have or by one had not but what all were",
    "when we there can an your which their said if do will each about how up out them then she many some so these",
    "would other into has more her two like him see time could no make than first been its who now people my made over",
    "did down only way find use may water long little very after words called just where most know",
) for word in line.split())  # fmt: skip


@dataclass(frozen=True)
class Prompt:
    """What is asked: a text or the messages of a chat. max_tokens: of the answer; None: the benchmark's."""

    content: str | list[dict[str, Any]]
    max_tokens: int | None = None

    def messages(self) -> list[dict[str, Any]]:
        """Return it as a chat."""
        return self.content if isinstance(self.content, list) else [{"role": "user", "content": self.content}]

    def text(self) -> str:
        """Return it as a text."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(message.get("content") or "") for message in self.content)


def synthetic(n: int, n_words: int, seed: int) -> list[Prompt]:
    """Return n prompts of common words, most of which are one token each. Each begins with its number.

    >>> synthetic(1, 4, 0)[0].text().count(" ")
    3
    """
    numbers = random.Random(seed)
    heads = [str(number) for number in numbers.sample(range(10 * n), n)]   # so no server has it in its cache
    return [Prompt(" ".join([head, *(numbers.choice(WORDS) for _ in range(n_words - 1))])) for head in heads]


def read(path: Path) -> list[Prompt]:
    """Return the prompts of a file. Raises ArgumentError that names the line or item of an invalid one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise gemel.SourceError(f"--dataset {path} can't be read: {why}") from None
    found = list(_of_list(path, text) if text.lstrip().startswith("[") else _of_lines(path, text))
    if not found:
        raise gemel.ArgumentError(f"--dataset {path} has no prompt")
    return found


def _of_lines(path: Path, text: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _prompt(f"--dataset {path}, line {number}", _json(f"--dataset {path}, line {number}", line))


def _of_list(path: Path, text: str) -> Iterator[Prompt]:
    n_without = 0   # conversations
    for number, item in enumerate(_json(f"--dataset {path}", text)):
        where = f"--dataset {path}, item {number}"
        turns = item.get("conversations") if isinstance(item, dict) else None
        if not isinstance(turns, list):
            yield _prompt(where, item)
            continue
        first = next((turn for turn in turns if isinstance(turn, dict) and turn.get("from") in HUMAN), None)
        if first is not None and isinstance(first.get("value"), str) and first["value"]:
            yield Prompt(first["value"])
        else:
            n_without += 1
    if n_without:
        say(f"{path}: {counted(n_without, 'conversation')} without a human turn left out")


def _json(where: str, text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise gemel.ArgumentError(f"{where} is not JSON: {error}") from None


def _prompt(where: str, item: Any) -> Prompt:  # noqa: ANN401
    most = item.get("max_tokens") if isinstance(item, dict) else None
    if most is not None and (type(most) is not int or most < 1):
        raise gemel.ArgumentError(f"{where}: max_tokens must be an integer of at least 1")
    content: Any = item.get("messages", item.get("prompt")) if isinstance(item, dict) else item
    is_chat = isinstance(content, list) and content and all(isinstance(one, dict) for one in content)
    if not (is_chat or (isinstance(content, str) and content)):
        words = 'write a text, {"prompt": TEXT}, {"messages": [...]} or {"conversations": [...]}'
        raise gemel.ArgumentError(f"{where} is not a prompt: {words}")
    return Prompt(content, most)
