"""Messages become the ids of a prompt, by a chat template.

The template renders text in the sandbox. Control tokens that the template writes become control ids; those spelled out
in a message stay plain text. The latter are found by tokenising each message and are marked before rendering, so that
the marks stay with the text whatever the template does to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ArgumentTypeError, TemplateError
from .sandbox import Value
from .template import Vocabulary, check_fields, compiled

NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]   # never part of text that is exchanged


def prompt_ids(
    model: Vocabulary,
    text: str,
    messages: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    *,
    is_open: bool = False,
) -> list[int]:
    """Render messages with the template `text` and return the ids, without a BOS that the template does not write.

    is_open: the last message goes on: the prompt ends where its content does, without the spaces at its end if the
    template removes those. TemplateError when the template leaves that content out.
    """
    check_fields(text, messages)
    opening, closing, end = marks(text, messages)
    marked = [
        {
            key: value if key == "role" else map_texts(value, lambda part: guard(model, part, opening, closing))
            for key, value in message.items()
        }
        for message in messages
    ]
    if is_open:
        marked[-1]["content"] += end + " "
    rendered = compiled(text).render(marked, **token_texts(model), **values)
    for i, message in enumerate(messages):   # a template that fails without it has said so
        if "content" not in message and message.get("role") != "assistant":
            raise ArgumentTypeError(f'messages[{i}] has no "content": pass a string')
    if is_open:
        rendered, found, rest = rendered.rpartition(end)
        if not found:
            words = "the prompt does not contain its text"
            raise TemplateError(f"the chat template can't continue the last message: {words}")
        if not is_end(marked, end, rendered, rest):
            words = "the prompt does not end with its text"
            raise TemplateError(f"the chat template can't continue the last message: {words}")
        rendered = rendered if rest.startswith(" ") else rendered.rstrip()
    ids: list[int] = []
    for part, special in segments(rendered, opening, closing):
        ids += model.tokenize(part, special=special)
    return ids


def is_end(messages: Sequence[Mapping[str, Any]], end: str, before: str, rest: str) -> bool:
    """Tell whether a rendering ends with the text of the last message, or a part of it that begins at a word.

    end: the mark behind that text. before, rest: what is rendered before and behind the mark; no other message may be
    in `rest` alone.
    """
    text, shown = messages[-1]["content"].partition(end)[0].rstrip(), before.rstrip()
    pairs = enumerate(zip(reversed(text), reversed(shown), strict=False))
    n = next((i for i, (one, other) in pairs if one != other), min(len(text), len(shown)))   # equal characters
    if text and not any(k == len(text) or not text[-k - 1].isalnum() for k in range(1, n + 1)):
        return False
    others = {str(message.get("content", "")).strip() for message in messages[:-1]} - {""}
    return not any(other in rest and other not in before for other in others)


def token_texts(model: Vocabulary) -> dict[str, str]:
    """Return the tokens that templates may use: bos_token and eos_token."""
    named = {"bos_token": model.bos_id, "eos_token": model.eos_id}
    return {
        name: "" if id is None else model.piece(id, special=True).decode("utf-8", "replace")
        for name, id in named.items()
    }


def guard(model: Vocabulary, text: str, opening: str, closing: str) -> str:
    """Return a message's text with marks around everything that would be parsed as a control token."""
    while True:
        found = set()
        for part, special in segments(text, opening, closing):
            if special:
                found |= {id for id in set(model.tokenize(part, special=True)) if model.is_control(id)}
        words = {model.piece(id, special=True).decode("utf-8", "replace") for id in found} - {""}
        words = {word for word in words if word in text}
        if not words:
            return text
        pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        fresh = "".join(
            re.sub(pattern, lambda match: opening + match[0] + closing, part) if special else opening + part + closing
            for part, special in segments(text, opening, closing)
        )
        if fresh == text:   # such as a BOS that the tokenizer added itself: it is not in the text
            return text
        text = fresh


def segments(text: str, opening: str, closing: str) -> Iterator[tuple[str, bool]]:
    """Split at the marks into (text, whether special tokens in it count). TemplateError when marks don't pair."""
    for i, part in enumerate(text.split(opening)):
        plain, mark, rest = part.partition(closing)
        if (i > 0) != bool(mark) or closing in rest:
            raise TemplateError("the chat template cuts a message inside a control token: remove the token")
        if i > 0:
            yield plain, False
        if rest if i > 0 else plain:
            yield rest if i > 0 else plain, True


def marks(template: str, messages: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """Return three characters that neither the template nor a message contains."""
    texts = [template]
    for message in messages:
        map_texts(dict(message), lambda part: texts.append(part) or part)   # type: ignore[func-returns-value]
    free = [mark for mark in NONCHARACTERS if not any(mark in text for text in texts)]
    if len(free) < 3:
        raise TemplateError("the messages use nearly all of the noncharacters U+FDD0 to U+FDEF: remove them")
    return free[0], free[1], free[2]


def map_texts(value: Value, change: Callable[[str], str]) -> Value:
    """Return a copy of nested lists and mappings with every text in them changed (keys stay)."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_texts(item, change) for item in value]
    return value
